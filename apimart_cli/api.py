"""The Python front door: `fetch_balance` and `fetch_usage`."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Literal

from apimart_cli.choices import BooksScope, UsageBy
from apimart_cli.errors import ApimartError, UsageError
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.rules.balance import Balance, spendable
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Target, check_timeout, parse_base_url
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.rules.books import Period, Usage


def fetch_balance(
    api_key: str,
    *,
    scope: Literal["key", "account", "spendable"] = "key",
    base_url: str = DEFAULT_BASE_URL,
    timeout: float = DEFAULT_TIMEOUT,
) -> Balance:
    """Ask the gateway for the balance of `api_key`.

    `scope` is `"key"` (the key's own quota), `"account"` (the account that pays for it) or `"spendable"` (the smaller
    of the two; both are asked); `timeout` is the wall-clock limit in seconds for the whole answer, retries included.

    Raises UsageError (also for an argument of another type), AuthError, PaymentRequiredError, UnavailableError or
    BadResponseError, each an ApimartError.
    """
    try:
        _check_type("api_key", api_key, str)
        key = ApiKey(api_key, source="the api_key argument")
    finally:
        # Reporters of exceptions show the local variables of every frame.
        del api_key
    _check_type("scope", scope, str)
    _check_type("base_url", base_url, str)
    _check_type("timeout", timeout, int, float)
    if scope not in set(Scope):
        raise UsageError(f"scope: must be one of {', '.join(Scope)}", 'give "key", "account" or "spendable"')
    source, address, seconds = GivenKey(key), parse_base_url(base_url), check_timeout(timeout)
    targets = [Target("default", asked, source, address, seconds) for asked in ScopeChoice(scope).asked]
    from apimart_cli.gateway.client import ask

    with ask(targets) as readings:
        answered = list(readings)
    result = (spendable(*answered) if len(answered) > 1 else answered[0]).result
    if isinstance(result, ApimartError):
        # Without its frames: local variables there hold what the server echoed.
        raise result.with_traceback(None)
    return result


def fetch_usage(
    api_key: str,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    by: Literal["model", "day", "day,model"] = "model",
    scope: Literal["key", "account"] = "key",
    tz: str | None = None,
    models: Sequence[str] = (),
    base_url: str = DEFAULT_BASE_URL,
    timeout: float = DEFAULT_TIMEOUT,
) -> "Usage":
    """Ask the gateway's own books what was spent, in US dollars, with `api_key` or from its account.

    `since` and `until` are days, both of them counted, or moments with a time zone, of which `until` is the first one
    that is not counted; by default the last 30 days with today. `tz` is the IANA name of the time zone whose days are
    meant, by default that of the machine. `by` says what the spend is told by; `models` are the only ones to count, at
    most 50, and all of them by default. `timeout` is the wall-clock limit in seconds for each month that is asked.

    The books are late by a minute or two: `Usage.lag`. Their first day is 2026-04-27.

    Raises as `fetch_balance`, and NoBooksError where the gateway keeps no books that can be asked.
    """
    try:
        _check_type("api_key", api_key, str)
        key = ApiKey(api_key, source="the api_key argument")
    finally:
        # Reporters of exceptions show the local variables of every frame.
        del api_key
    _check_type("base_url", base_url, str)
    _check_type("timeout", timeout, int, float)
    for name, value, kind in (("since", since, date), ("until", until, date), ("tz", tz, str)):
        if value is not None:
            _check_type(name, value, kind)
    if isinstance(models, str):
        raise UsageError("models: must be a sequence of names, not one string", 'give ["gpt-5"]')
    if scope not in set(BooksScope):
        raise UsageError(f"scope: must be one of {', '.join(BooksScope)}", 'give "key" or "account"')
    if by not in set(UsageBy):
        raise UsageError("by: must be one of model, day or day,model", 'give "model", "day" or "day,model"')
    from apimart_cli.gateway.books import Query, ask_books, check_models, joined, split
    from apimart_cli.zones import local_zone, zone_of

    name = local_zone() if tz is None else tz
    zone = zone_of(name, "tz")
    query = Query(
        _period(since, until, zone), name, zone, UsageBy(by), Scope(scope), check_models(tuple(models), "models")
    )
    target = Target("default", query.scope, GivenKey(key), parse_base_url(base_url), check_timeout(timeout))
    with ask_books([(target, each) for each in split(query)]) as readings:
        result = joined(list(readings)).result
    if isinstance(result, ApimartError):
        # Without its frames, as above.
        raise result.with_traceback(None)
    return result


def _period(since: date | datetime | None, until: date | datetime | None, zone: tzinfo) -> "Period":
    """Return the period that is meant. Raises UsageError where there is none."""
    from apimart_cli.rules.books import USUAL_DAYS, last_days, period_of

    now = datetime.now(UTC)
    for name, moment in (("since", since), ("until", until)):
        if isinstance(moment, datetime) and moment.tzinfo is None:
            raise UsageError(f"{name}: must have a time zone", "give a date, or a datetime with a tzinfo")
    if since is None and until is None:
        return last_days(USUAL_DAYS, now, zone)
    if since is None:
        raise UsageError("until: there is no since beside it", "give since, too")
    return period_of(since, until, now, zone)


def _check_type(name: str, value: Any, *types: type) -> None:
    """Raise UsageError, naming the argument and never its value, unless it has one of `types`."""
    is_right = isinstance(value, types) and not isinstance(value, bool)
    kind = type(value).__name__
    # Reporters of exceptions show the local variables of every frame.
    del value
    if not is_right:
        expected = "a number" if float in types else "a date" if date in types else "a string"
        raise UsageError(f"{name}: must be {expected}, not {kind}", "see: help(apimart_cli.fetch_balance)")
