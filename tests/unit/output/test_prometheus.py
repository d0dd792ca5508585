"""Prometheus: which samples readings have, under which labels, and what an independent parser reads of the text."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import hypothesis
import pytest
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output.prometheus import (
    HELP,
    Family,
    MetricReading,
    MetricSample,
    exposition,
    families,
    metric_readings,
)
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.forecast import Forecast
from apimart_cli.text import visible
from apimart_cli.version import __version__
from apimart_cli.words import ForecastState, OutputFormat, Scope
from support.hostile_names import NAMES
from support.readings import AUTH, failed, reading, show

D = Decimal
LONG_AGO = datetime(1970, 1, 1, 0, 1, 40, 999_999, tzinfo=UTC)


def metrics(*told: Reading | MetricReading) -> dict[str, dict[str, Decimal]]:
    """The samples by family and by the values of their labels, as one word: `profile/scope/unit`."""
    known = [each if isinstance(each, MetricReading) else metric_readings([each])[0] for each in told]
    found: dict[str, dict[str, Decimal]] = {}
    for family in families(known):
        assert family.help == HELP[family.name]
        samples = found.setdefault(family.name.removeprefix("apimart_"), {})
        for sample in family.samples:
            labels = "/".join(sample.labels.values())
            assert labels not in samples, "no series is there twice"
            samples[labels] = sample.value
        assert samples
    return found


def parsed(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What the parser reads: the name, the labels and the number of each sample."""
    for family in parse(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            yield sample.name, dict(sample.labels), sample.value


def test_a_limited_balance_says_what_is_left_and_used_and_when_it_was_read() -> None:
    """Amounts have the unit as a label; what has none has no such label. The version is told once."""
    assert metrics(reading("10.50", "2.3", profile="work", unit="USD")) == {
        "build_info": {__version__: 1}, "reading_success": {"work/key": 1},
        "reading_timestamp_seconds": {"work/key": 1769860805}, "payment_required": {"work/key": 0},
        "remaining_balance": {"work/key/USD": D("10.50")}, "used_balance": {"work/key/USD": D("2.3")},
        "unlimited": {"work/key": 0},
    }  # fmt: skip


def test_the_version_is_left_out_where_others_tell_it() -> None:
    """Files side by side would all tell the same series."""
    names = [family.name for family in families(metric_readings([reading()]), with_version=False)]
    assert "apimart_build_info" not in names
    assert families([], with_version=False) == []


def test_an_unlimited_quota_has_no_remaining_balance_and_says_why() -> None:
    """An infinite number would spoil every sum."""
    found = metrics(reading(None))
    assert "remaining_balance" not in found
    assert (found["unlimited"], found["used_balance"]) == ({"default/key": D(1)}, {"default/key/": D("2.3")})


def test_a_failed_reading_leaves_nothing_but_that_it_failed() -> None:
    """No balance of an earlier time, and no zero in its place; HTTP 402 is told apart."""
    assert metrics(failed(AUTH, "work")._replace(low_below=D(5))) == {
        "build_info": {__version__: 1},
        "reading_success": {"work/key": 0},
        "payment_required": {"work/key": 0},
        "min_balance": {"work/key/": 5},
    }
    assert metrics(failed(PaymentRequiredError("pay")))["payment_required"] == {"default/key": 1}


def test_a_failed_reading_tells_when_the_last_good_one_was_where_that_is_known() -> None:
    """A successful one tells its own time. Of key and account each has its own success and time."""
    assert metrics(MetricReading(failed(AUTH), read_at=LONG_AGO))["reading_timestamp_seconds"] == {"default/key": 100}
    half = spendable(reading(), failed(AUTH, scope=Scope.ACCOUNT))
    found = metrics(MetricReading(half, read_at=LONG_AGO))
    assert found["reading_success"] == {"default/key": 1, "default/account": 0}
    assert found["reading_timestamp_seconds"] == {"default/key": 1769860805, "default/account": 100}
    assert found["remaining_balance"] == {"default/key/": D("10.5")}
    assert "spendable_balance" not in found


def test_thresholds_are_those_that_check_holds_each_scope_to() -> None:
    """Of what can be spent: `min` for both of its parts, `max_used` for the key alone."""
    key, account = reading("3", "1"), reading("7", "2", scope=Scope.ACCOUNT)
    both = metrics(MetricReading(key, D(5), D(9)), MetricReading(account, D(5), D(9)))
    of_spendable = metrics(MetricReading(spendable(key, account), D(5), D(9)))
    for found in (both, of_spendable):
        assert found["min_balance"] == {"default/key/": 5, "default/account/": 5}
    assert both["max_used_balance"] == {"default/key/": 9, "default/account/": 9}
    assert of_spendable["max_used_balance"] == {"default/key/": 9}


def test_what_can_be_spent_is_a_family_of_its_own_beside_key_and_account() -> None:
    """A total among what it is made of would be counted twice by every sum. It is told only where it is known."""
    key, account = reading("10.5", unit="USD"), reading("7", scope=Scope.ACCOUNT, unit="USD")
    for found in (metrics(spendable(key, account)), metrics(key, account)):
        assert found["spendable_balance"] == {"default/USD": 7}
        assert found["remaining_balance"] == {"default/key/USD": D("10.5"), "default/account/USD": 7}
    assert metrics(reading(None, unit="USD"), account)["spendable_balance"] == {"default/USD": 7}
    unlimited = reading(None, scope=Scope.ACCOUNT)
    for other in (failed(AUTH), reading(None), reading(profile="other")):
        assert "spendable_balance" not in metrics(other, unlimited if other.balance else account)


@pytest.mark.parametrize(("forecast", "seconds", "at_least"), [
    (Forecast(ForecastState.OK, D(7), D(1), D("7.1"), D("3.33333333"), D(9)), 613440, 287999),
    (Forecast(ForecastState.ROUGH, D(3), D(0), None, D(2), None), None, 172800),
    (Forecast(ForecastState.EMPTY, D(3), None, D(0), D(0), D(0)), 0, 0),
    (Forecast(ForecastState.IDLE, D(3), D(0)), None, None),
    (Forecast(ForecastState.TOO_LITTLE, D(1)), None, None),
])  # fmt: skip
def test_a_forecast_is_told_in_seconds(forecast: Forecast, seconds: int | None, at_least: int | None) -> None:
    """The expected end and the low one, which is rounded down; what has no end has no sample."""
    found = metrics(reading()._replace(forecast=forecast))
    assert found.get("runway_seconds") == (None if seconds is None else {"default/key": seconds})
    assert found.get("runway_low_seconds") == (None if at_least is None else {"default/key": at_least})


def test_profiles_that_are_shown_alike_are_told_apart_and_each_is_there() -> None:
    """Prometheus refuses a series that is there twice, and the one that is dropped could be the one that failed."""
    found = metrics(
        reading("1", profile="sk-Zq7Wm3Xc9Vb1", unit="sk-Zq7Wm3Xc9Vb1"),
        failed(AUTH, "sk-Nk5Lp8Zq7Wm3"),
        reading("3", profile="sk-... (2)"),
        reading("4", profile="sk-..."),
    )
    assert found["reading_success"] == {
        "sk-... (3)/key": 1, "sk-... (4)/key": 0, "sk-... (2)/key": 1, "sk-.../key": 1,
    }  # fmt: skip
    assert found["remaining_balance"] == {"sk-... (3)/key/sk-...": 1, "sk-... (2)/key/": 3, "sk-.../key/": 4}


def test_of_a_profile_that_was_asked_twice_the_failure_is_told() -> None:
    """A series is there once, and a success does not hide a failure."""
    for order in (1, -1):
        found = metrics(*[reading(profile="work"), failed(AUTH, "work")][::order])
        assert found["reading_success"] == {"work/key": 0}
        assert "remaining_balance" not in found


def test_the_text_is_as_the_format_wants_it() -> None:
    """A help and a type before each metric, and an end to the last line."""
    text = show([reading("10.50", "2.3", profile="work", unit="USD")], OutputFormat.PROMETHEUS)
    assert text.startswith("# HELP apimart_reading_success Whether the last reading gave a balance: 1 or 0.\n")
    assert (
        "# HELP apimart_remaining_balance What is left; no sample where that is unlimited or not known.\n"
        "# TYPE apimart_remaining_balance gauge\n"
        'apimart_remaining_balance{profile="work",scope="key",unit="USD"} 10.50\n'
    ) in text
    assert text.endswith("\n")
    assert not re.search(r"^\s*$", text.removesuffix("\n"), re.MULTILINE)


def test_a_help_cannot_end_its_line() -> None:
    """Backslashes and line breaks are escaped there, and quotes are not."""
    family = Family("apimart_x", 'a\\b\n"c"', [MetricSample({}, Decimal(1))])
    assert exposition([family]).splitlines()[0] == '# HELP apimart_x a\\\\b\\n"c"'


def test_a_name_is_a_label_and_nothing_else() -> None:
    """It comes back from the parser as it is shown everywhere, on the one line of its sample."""
    for name in NAMES:
        text = show([reading("1", "2", profile=name, unit=name or None)], OutputFormat.PROMETHEUS)
        [(labels, value)] = [
            (labels, value) for found, labels, value in parsed(text) if found == "apimart_used_balance"
        ]
        plain = visible(name)
        assert (labels, value) == ({"profile": plain, "scope": "key", "unit": plain}, 2)
        assert text.splitlines() == text.split("\n")[:-1]
        assert all(line.startswith(("# HELP apimart_", "# TYPE apimart_", "apimart_")) for line in text.splitlines())


@hypothesis.given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from(Scope), st.booleans()), max_size=6))
def test_whatever_names_there_are_every_reading_is_there_once(asked: list[tuple[str, Scope, bool]]) -> None:
    """No series is there twice, none is lost, and no line is one that a runner would obey."""
    asked = [(name, scope, fails) for name, scope, fails in asked if scope is not Scope.SPENDABLE]
    readings = [
        failed(AUTH, name, scope) if fails else reading(profile=name, scope=scope, unit=name)
        for name, scope, fails in asked
    ]
    text = show(readings, OutputFormat.PROMETHEUS)
    series = [(name, *sorted(labels.items())) for name, labels, _ in parsed(text)]
    assert len(series) == len(set(series))
    successes = [value for name, _, value in parsed(text) if name == "apimart_reading_success"]
    assert len(successes) == len({(name, scope) for name, scope, _ in asked})
    assert successes.count(0) == len({(name, scope) for name, scope, fails in asked if fails})
    assert not re.search(r"^\s*::|##\w*\[", text, re.MULTILINE)
