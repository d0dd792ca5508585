"""What each recorded payload proves."""

from datetime import UTC, datetime
from decimal import Decimal

from apimart_cli.errors import ApimartError, AuthError, BadResponseError, PaymentRequiredError, UnavailableError
from apimart_cli.rules.balance import Balance
from apimart_cli.words import Scope

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def balance_of(remain: str | None, used: str, **credits: str | None) -> Balance:
    """A balance of the key, from the texts of its amounts; None is unlimited."""
    return Balance(
        scope=Scope.KEY, remain_balance=None if remain is None else Decimal(remain), used_balance=Decimal(used),
        unlimited_quota=remain is None, fetched_at=MOMENT,
        **{name: None if text is None else Decimal(text) for name, text in credits.items()},
    )  # fmt: skip


EXPECTED: dict[str, Balance | ApimartError] = {
    "account-limited": balance_of("100.0", "25.5"),
    "account-unlimited": balance_of(None, "25.5"),
    "account-without-unlimited-quota": balance_of("9.19881", "25.5", remain_credits="91.9881", used_credits="255"),
    "amounts-as-strings": balance_of("99.25", "10.75"),
    "bad-gateway": UnavailableError("the gateway could not answer (HTTP 502): bad gateway", retryable=True),
    "below-the-floor": PaymentRequiredError(
        "the gateway asks for payment (HTTP 402): 0.013570 USD left, the gateway wants 0.050000 for any call"
    ),
    "challenge-403": BadResponseError("a bot check of cloudflare answered in place of the gateway (HTTP 403)"),
    "exhausted-401": PaymentRequiredError(
        "the gateway says that the quota or the balance is used up (HTTP 401): 该令牌额度已用尽"
    ),
    "insufficient-quota-500": PaymentRequiredError(
        "the gateway says that the quota or the balance is used up (HTTP 500): "
        "insufficient quota: balance=12, required=500"
    ),
    "quota-not-enough-403": PaymentRequiredError(
        "the gateway says that the quota or the balance is used up (HTTP 403): "
        "token quota is not enough, token remain quota: 12, need quota: 500"
    ),
    "insufficient-balance": PaymentRequiredError("the gateway asks for payment (HTTP 402): insufficient balance"),
    "invalid-key": AuthError(
        "the gateway rejected the API key (HTTP 401): invalid API key (request id: 20260922101500)"
    ),
    "invalid-key-http-200": AuthError("the gateway rejected the API key: invalid api key"),
    "key-limited": balance_of("10.5", "2.3"),
    "key-unknown": AuthError("the gateway rejected the API key: Failed to get token info"),
    "key-unlimited": balance_of(None, "2.3"),
    "key-with-credits": balance_of("10.5", "2.3", remain_credits="105", used_credits="23"),
    "no-authorization-header": AuthError("the gateway rejected the API key (HTTP 401): No Authorization header"),
    "rate-limited": UnavailableError(
        "the gateway limits the rate of requests (HTTP 429): rate limit exceeded", retryable=True
    ),
}
