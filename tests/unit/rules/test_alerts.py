"""Alerts: what is low, what is enough again, and what is told of a row of readings."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.choices import AlertEvent
from apimart_cli.errors import AuthError, PaymentRequiredError
from apimart_cli.output.json import render_document
from apimart_cli.readings.alert_command import document, variables
from apimart_cli.rules.alerts import Alarm, Alert, Standing, each_threshold, question_of, standing_of, step
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.forecast import Forecast
from apimart_cli.rules.gate import Thresholds
from apimart_cli.words import ForecastState, Scope
from support.readings import failed, reading

D = Decimal
REARM = D("1.2")
MIN_5 = Thresholds(min=D(5))
THREE_DAYS = Thresholds(min_runway=timedelta(days=3))
NO_ACCOUNT = failed(AuthError("no"), scope=Scope.ACCOUNT)
LOW, RECOVERED = AlertEvent.LOW, AlertEvent.RECOVERED


def lasting(days: str, remain: str = "10") -> Reading:
    """A reading whose balance lasts for so many days at the low end, and one more by the point."""
    forecast = Forecast(ForecastState.OK, D(9), D(1), D(days) + 1, D(days), D(days) + 3)
    return reading(remain)._replace(forecast=forecast)


def test_it_is_low_below_the_threshold_and_safe_from_rearm_on() -> None:
    """Both bounds are exact; between them is neither; what is not known says nothing."""
    for found, threshold, said in (
        (reading("4.999999999999999999999999"), MIN_5, (True, False)),
        (reading("5"), MIN_5, (False, False)),
        (reading("5.999999999999999999999999"), MIN_5, (False, False)),
        (reading("6"), MIN_5, (False, True)),
        (reading(None), MIN_5, (False, True)),
        (lasting("2.99"), THREE_DAYS, (True, False)),
        (lasting("3"), THREE_DAYS, (False, False)),
        (lasting("3.59"), THREE_DAYS, (False, False)),
        (lasting("3.6"), THREE_DAYS, (False, True)),
        (failed(PaymentRequiredError("pay")), MIN_5, (True, False)),
        (failed(AuthError("no")), MIN_5, None),
        # Too little history.
        (reading("10"), THREE_DAYS, None),
        # One part is enough to be low, and both are needed to be safe.
        (spendable(reading("3"), NO_ACCOUNT), MIN_5, (True, False)),
        (spendable(reading("10"), NO_ACCOUNT), MIN_5, None),
    ):
        standing = standing_of(found, threshold, REARM)
        assert (None if standing is None else (standing.is_low, standing.is_safe)) == said


def test_the_total_is_that_of_all_limited_parts() -> None:
    """A charge moves nothing of it; a part without a limit has none; with a part that is not known there is none."""
    key, account = reading("3", "2"), reading("100", "7", scope=Scope.ACCOUNT)
    unlimited = reading(None, scope=Scope.ACCOUNT)
    for other, total in ((account, D("112")), (unlimited, D("5")), (NO_ACCOUNT, None)):
        standing = standing_of(spendable(key, other), MIN_5, REARM)
        assert standing is not None
        assert standing.total == total
    assert standing_of(failed(PaymentRequiredError("pay")), MIN_5, REARM) == Standing(is_low=True, is_safe=False)


def test_another_threshold_is_another_question() -> None:
    """The same amount written otherwise is not; key, host and scope belong to it, the profile does not."""
    first = reading(key_id="a", host="h", profile="one")
    same = question_of(first._replace(profile="two"), Thresholds(min=D("5.00")))
    assert question_of(first, Thresholds(min=D("50"))).threshold == "min 50"
    assert question_of(first, MIN_5) == same
    others = [
        question_of(first, Thresholds(min=D("5.01"))),
        question_of(first, Thresholds(min_runway=timedelta(days=5))),
        question_of(first, Thresholds(min_runway=timedelta(days=5, microseconds=1))),
        *(question_of(first._replace(**other), MIN_5) for other in ({"key_id": "b"}, {"host": "i"})),
        question_of(first._replace(scope=Scope.ACCOUNT), MIN_5),
    ]
    assert len({same, *others}) == 7
    # Each is asked by itself; how much was used is no balance that falls.
    assert list(each_threshold(Thresholds(D(5), D(9), timedelta(days=3)))) == [MIN_5, THREE_DAYS]
    assert list(each_threshold(Thresholds(max_used=D(9)))) == []


def test_the_largest_numbers_are_compared_exactly() -> None:
    """As many digits as a gateway may send, times a factor with as many."""
    digits = "9" * 15 + "." + "9" * 30
    safe = standing_of(reading(digits), Thresholds(min=D(digits)), D("1." + "0" * 29 + "1"))
    assert safe is not None
    assert (safe.is_low, safe.is_safe) == (False, False)
    assert f"{safe.total}" == "1000000000000002." + "2" + "9" * 29
    last = standing_of(lasting("99999"), Thresholds(min_runway=timedelta(days=3650)), D(digits))
    assert last is not None
    assert not last.is_safe


class Move(NamedTuple):
    """What happens, and how many seconds later the balance is read."""

    spent: int = 0
    topped_up: int = 0
    seconds: int = 60


def played(moves: Sequence[Move], *, remind: float | None = None, start: int = 8) -> list[AlertEvent | None]:
    """Look at a balance after each move; return what was told each time. Below 5 is low, 6 is safe."""
    alarm: Alarm | None = None
    left, used, now, told = start, 0, 0.0, []
    for move in moves:
        left, used, now = left - move.spent + move.topped_up, used + move.spent, now + move.seconds
        standing = standing_of(reading(str(left), str(used)), MIN_5, REARM)
        assert standing is not None
        event, alarm = step(alarm, standing, now, remind)
        told.append(event)
    return told


def modelled(moves: Sequence[Move], *, remind: float | None, start: int) -> list[AlertEvent | None]:
    """The same, told as a person would: after each look, by what happened since the last alert."""
    left, now = start, 0
    is_low, told_at, added, unconfirmed = False, 0, 0, 0
    told: list[AlertEvent | None] = []
    for move in moves:
        left += move.topped_up - move.spent
        now += move.seconds
        if not is_low:
            is_low = left < 5
            told_at, added, unconfirmed = now, 0, 0
            told.append(LOW if is_low else None)
            continue
        added += move.topped_up
        if left >= 6:
            is_low = False
            told.append(RECOVERED)
        elif added and not move.topped_up and unconfirmed == added:
            # The second look that sees the same top-up.
            is_low, told_at, added, unconfirmed = left < 5, now, 0, 0
            told.append(LOW if is_low else RECOVERED)
        elif left < 5 and remind is not None and now - told_at >= remind:
            told_at, unconfirmed = now, added
            told.append(LOW)
        else:
            unconfirmed = added
            told.append(None)
    return told


MOVES = st.builds(
    Move, spent=st.integers(0, 3), topped_up=st.sampled_from([0, 0, 0, 0, 1, 4]), seconds=st.integers(1, 900)
)


@given(st.lists(MOVES, max_size=40), st.sampled_from([None, 600.0, 1800.0]), st.integers(0, 12))
def test_a_row_of_readings_is_told_as_the_model_tells_it(moves: list[Move], remind: float | None, start: int) -> None:
    """Whatever is spent, topped up and waited: each event comes at the same look."""
    assert played(moves, remind=remind, start=start) == modelled(moves, remind=remind, start=start)


def test_it_is_told_once_until_it_recovers_or_is_topped_up() -> None:
    """The cases that people ask about."""
    # Around the threshold: once, until it is enough again.
    assert played([Move(4), Move(), Move(topped_up=1), Move(), Move(1)]) == [LOW, None, None, RECOVERED, LOW]
    # A top-up that is not enough: told again, once. Or one that was spent between two looks.
    assert played([Move(7), Move(topped_up=2), Move(), Move(), Move()]) == [LOW, None, LOW, None, None]
    assert played([Move(7), Move(9, 9), Move(), Move()]) == [LOW, None, LOW, None]
    # A charge that is given back is no top-up.
    assert played([Move(4), Move(-1), Move(), Move(1)]) == [LOW, None, None, None]


def test_a_top_up_is_one_that_two_readings_agree_on() -> None:
    """`used` may be booked some seconds after `remain`; the total that counts is the last one they agreed on."""
    for total, later, told, alarm in (
        ("10", ["12"], [None], Alarm(0.0, D(10), pending=D(12))),
        ("10", ["12", "10"], [None, None], Alarm(0.0, D(10))),
        # What floats add is none, however often the sum comes out like that.
        ("10", ["10.000001"] * 3, [None] * 3, Alarm(0.0, D(10))),
        ("1000000000000000", ["1000000000000009"] * 3, [None] * 3, Alarm(0.0, D(10) ** 15)),
        # A cut is none, and a top-up after it is.
        ("10", ["4", "4", "8", "8"], [None, None, None, LOW], Alarm(60.0, D(8))),
        # After HTTP 402 the first balance is the one to compare with.
        (None, ["9"], [None], Alarm(0.0, D(9))),
    ):
        found: Alarm | None = Alarm(0.0, None if total is None else D(total))
        for each, event in zip(later, told, strict=True):
            now, found = step(found, Standing(is_low=True, is_safe=False, total=D(each)), 60.0, None)
            assert now is event
        assert found == alarm
    assert step(None, Standing(is_low=True, is_safe=False), 5.0, None) == (LOW, Alarm(5.0))


@pytest.mark.parametrize(
    ("now", "told"), [(99.0, None), (100.0, None), (3699.0, None), (3700.0, LOW), (50.0, None), (30.0, LOW)]
)
def test_a_reminder_comes_after_its_time_or_when_the_clock_was_put_back(now: float, told: AlertEvent | None) -> None:
    """A clock that was wrong does not silence it for years."""
    event, alarm = step(Alarm(100.0, D(9)), Standing(is_low=True, is_safe=False, total=D(9)), now, 3600.0)
    assert event is told
    assert alarm == Alarm(now if told else 100.0, D(9))


def test_the_command_is_told_in_variables_and_in_json() -> None:
    """Amounts with every digit; what is not known is empty, or null."""
    low = reading("4.10", profile="work", unit="USD", key_id="d995c5dc5253", host="api.apimart.ai")
    alert = Alert(LOW, low, Thresholds(min=D("5.0")), "night")
    assert variables(alert) == {
        "APIMART_EVENT": "low", "APIMART_PROFILE": "work", "APIMART_SCOPE": "key", "APIMART_REMAIN": "4.10",
        "APIMART_THRESHOLD": "5.0", "APIMART_UNIT": "USD", "APIMART_DAYS_LEFT": "", "APIMART_DAYS_LEFT_LOW": "",
        "APIMART_RUN_LABEL": "night", "APIMART_REASON": "", "APIMART_SPENT": "",
    }  # fmt: skip
    assert document(alert) == (
        '{"schema":1,"event":"low","profile":"work","scope":"key","remain":4.10,"unlimited_quota":false,'
        '"threshold":5.0,"threshold_name":"min","unit":"USD","days_left":null,"days_left_low":null,"run_label":"night",'
        '"reason":null,"spent":null,"key_id":"d995c5dc5253","host":"api.apimart.ai"}\n'
    )


def test_a_runway_is_told_in_days() -> None:
    """With its unit in the variable, as it is written in the config file; as a number in JSON."""
    alert = Alert(LOW, lasting("1.56"), Thresholds(min_runway=timedelta(hours=36)))
    told = variables(alert)
    assert [told[f"APIMART_{name}"] for name in ("THRESHOLD", "DAYS_LEFT", "DAYS_LEFT_LOW")] == ["1.5d", "2.56", "1.56"]
    assert '"threshold":1.5,"threshold_name":"min_runway_days"' in document(alert)
    assert variables(alert._replace(threshold=THREE_DAYS))["APIMART_THRESHOLD"] == "3d"


def test_what_has_no_number_is_told_as_such() -> None:
    """Unlimited is a word; what HTTP 402 leaves unknown is empty."""
    for told_of, remain, shown in (
        (reading(None), "unlimited", '"remain":null,"unlimited_quota":true'),
        (failed(PaymentRequiredError("pay")), "", '"remain":null,"unlimited_quota":null'),
    ):
        alert = Alert(RECOVERED, told_of, MIN_5)
        assert variables(alert)["APIMART_REMAIN"] == remain
        assert shown in document(alert)


def test_texts_are_one_short_line_without_a_key() -> None:
    """A name can be a key in the wrong place; a label can be anything."""
    alert = Alert(LOW, reading(profile="sk-test-Zq7Wm3Xc9Vb1Nk5Lp8"), MIN_5, "a\0b\n" + "x" * 100_000)
    told = variables(alert)
    assert told["APIMART_PROFILE"] == "sk-..."
    assert told["APIMART_RUN_LABEL"] == r"a\x00b\x0a" + "x" * 190
    assert len(document(alert)) < 1000
    assert "Zq7" not in document(alert)
    assert render_document({}) == '{"schema":1}\n'
