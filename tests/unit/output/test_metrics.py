"""Metrics: which samples readings have, under which labels."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output.prometheus import HELP, MetricReading, families, metric_readings
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.forecast import Forecast
from apimart_cli.version import __version__
from apimart_cli.words import ForecastState, Scope
from support.readings import AUTH, LONGEST, failed, reading

D = Decimal


def metrics(*told: Reading | MetricReading) -> dict[str, dict[str, Decimal]]:
    """The samples by family and by the values of their labels, as one word: `profile/scope/unit`."""
    known = [each if isinstance(each, MetricReading) else metric_readings([each])[0] for each in told]
    found: dict[str, dict[str, Decimal]] = {}
    for family in families(known):
        samples = found.setdefault(family.name.removeprefix("apimart_"), {})
        for sample in family.samples:
            labels = "/".join(sample.labels.values())
            assert labels not in samples, "no series is there twice"
            samples[labels] = sample.value
    return found


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


def test_every_family_is_a_gauge_with_a_constant_help_and_a_known_name() -> None:
    """No family is made up on the way, and none is empty."""
    for family in families(metric_readings([reading(), failed(AUTH, "other")])):
        assert family.help == HELP[family.name]
        assert family.samples


def test_an_unlimited_quota_has_no_remaining_balance_and_says_why() -> None:
    """An infinite number would spoil every sum."""
    found = metrics(reading(None, "2.3"))
    assert "remaining_balance" not in found
    assert found["unlimited"] == {"default/key": 1}
    assert found["used_balance"] == {"default/key/": D("2.3")}


def test_a_failed_reading_leaves_nothing_but_that_it_failed() -> None:
    """No balance of an earlier time, and no zero in its place; the threshold is still that of the profile."""
    assert metrics(failed(AUTH, "work")._replace(low_below=D(5))) == {
        "build_info": {__version__: 1},
        "reading_success": {"work/key": 0},
        "payment_required": {"work/key": 0},
        "min_balance": {"work/key/": 5},
    }


def test_payment_required_is_told_apart_from_other_failures() -> None:
    """HTTP 402 says that the account cannot pay: that is no silence."""
    assert metrics(failed(PaymentRequiredError("pay")))["payment_required"] == {"default/key": 1}


def test_a_failed_reading_tells_when_the_last_good_one_was_where_that_is_known() -> None:
    """A successful one tells its own time, whatever else is known."""
    before = datetime(1970, 1, 1, 0, 1, 40, 999_999, tzinfo=UTC)
    assert metrics(MetricReading(failed(AUTH), read_at=before))["reading_timestamp_seconds"] == {"default/key": 100}
    assert metrics(MetricReading(reading(), read_at=before))["reading_timestamp_seconds"] == {"default/key": 1769860805}


def test_thresholds_are_those_that_check_holds_each_scope_to() -> None:
    """Of what can be spent: `min` for both of its parts, `max_used` for the key alone."""
    key, account = reading("3", "1"), reading("7", "2", scope=Scope.ACCOUNT)
    both = metrics(MetricReading(key, D(5), D(9)), MetricReading(account, D(5), D(9)))
    assert both["min_balance"] == {"default/key/": 5, "default/account/": 5}
    assert both["max_used_balance"] == {"default/key/": 9, "default/account/": 9}
    of_spendable = metrics(MetricReading(spendable(key, account), D(5), D(9)))
    assert of_spendable["min_balance"] == {"default/key/": 5, "default/account/": 5}
    assert of_spendable["max_used_balance"] == {"default/key/": 9}


@pytest.mark.parametrize("is_one", [True, False])
def test_what_can_be_spent_is_a_family_of_its_own_beside_key_and_account(is_one: bool) -> None:
    """A total among what it is made of would be counted twice by every sum."""
    key, account = reading("10.5", unit="USD"), reading("7", scope=Scope.ACCOUNT, unit="USD")
    found = metrics(spendable(key, account)) if is_one else metrics(key, account)
    assert found["spendable_balance"] == {"default/USD": 7}
    assert found["remaining_balance"] == {"default/key/USD": D("10.5"), "default/account/USD": 7}


def test_what_can_be_spent_is_not_told_where_it_is_not_known_or_has_no_limit() -> None:
    """Nobody knows which of the two is the smaller."""
    account = reading("7", scope=Scope.ACCOUNT)
    assert "spendable_balance" not in metrics(failed(AUTH), account)
    assert "spendable_balance" not in metrics(spendable(reading(), failed(AUTH, scope=Scope.ACCOUNT)))
    assert "spendable_balance" not in metrics(reading(None), reading(None, scope=Scope.ACCOUNT))
    assert "spendable_balance" not in metrics(reading(), reading(scope=Scope.ACCOUNT, profile="other"))
    assert metrics(reading(None), account)["spendable_balance"] == {"default/": 7}


def test_of_a_spendable_balance_whose_account_failed_the_key_is_still_told() -> None:
    """Each part has its own success and its own time."""
    before = datetime(1970, 1, 1, 0, 1, 40, tzinfo=UTC)
    found = metrics(MetricReading(spendable(reading(), failed(AUTH, scope=Scope.ACCOUNT)), read_at=before))
    assert found["reading_success"] == {"default/key": 1, "default/account": 0}
    assert found["reading_timestamp_seconds"] == {"default/key": 1769860805, "default/account": 100}
    assert found["remaining_balance"] == {"default/key/": D("10.5")}


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


def test_no_digit_is_lost() -> None:
    """Amounts stay what they are: whoever reads them makes floats of them."""
    assert metrics(reading(LONGEST, "0.10"))["remaining_balance"] == {"default/key/": D(LONGEST)}


def test_a_name_that_is_a_key_is_not_told() -> None:
    """Nor a unit that is one."""
    found = metrics(reading(profile="sk-Zq7Wm3Xc9Vb1", unit="sk-Zq7Wm3Xc9Vb1"))
    assert [*found["remaining_balance"]] == ["sk-.../key/sk-..."]


def test_profiles_that_are_shown_alike_are_told_apart_and_each_is_there() -> None:
    """Prometheus refuses a series that is there twice, and the one that is dropped could be the one that failed."""
    found = metrics(
        reading("1", profile="sk-Zq7Wm3Xc9Vb1"),
        failed(AUTH, "sk-Nk5Lp8Zq7Wm3"),
        reading("3", profile="sk-... (2)"),
        reading("4", profile="sk-..."),
    )
    assert found["reading_success"] == {
        "sk-... (3)/key": 1, "sk-... (4)/key": 0, "sk-... (2)/key": 1, "sk-.../key": 1,
    }  # fmt: skip
    assert found["remaining_balance"] == {"sk-... (3)/key/": 1, "sk-... (2)/key/": 3, "sk-.../key/": 4}


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_profile_that_was_asked_twice_the_failure_is_told(order: int) -> None:
    """A series is there once, and a success does not hide a failure."""
    found = metrics(*[reading(profile="work"), failed(AUTH, "work")][::order])
    assert found["reading_success"] == {"work/key": 0}
    assert "remaining_balance" not in found
