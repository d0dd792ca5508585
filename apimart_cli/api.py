"""The Python front door: `fetch_balance`."""

from typing import Any, Literal

from apimart_cli.errors import ApimartError, UsageError
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.rules.balance import Balance, spendable
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Target, check_timeout, parse_base_url
from apimart_cli.words import Scope, ScopeChoice


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


def _check_type(name: str, value: Any, *types: type) -> None:
    """Raise UsageError, naming the argument and never its value, unless it has one of `types`."""
    is_right = isinstance(value, types) and not isinstance(value, bool)
    kind = type(value).__name__
    # Reporters of exceptions show the local variables of every frame.
    del value
    if not is_right:
        expected = "a number" if float in types else "a string"
        raise UsageError(f"{name}: must be {expected}, not {kind}", "see: help(apimart_cli.fetch_balance)")
