"""What the sandbox answers.

It follows the gateway's public reference; fields and bodies that are not documented there were observed in 2026: the
credits beside the balances (1 credit = 0.10), and errors as `{"error": {"message": ..., "type": ...}}`.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import NamedTuple

from apimart_cli.sandbox.scenario import Fault, Funds, Scenario

CREDITS_PER_UNIT = 10

EXACT_DIGITS = 100
"""Enough precision to round nothing."""

_WELL_FORMED = re.compile(r"Bearer sk-[!-~]+")


class Answer(NamedTuple):
    """One answer: what goes over the wire."""

    status: int
    body: str
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = MappingProxyType({})


def answer(path: str, authorization: str | None, scenario: Scenario, elapsed: float) -> Answer:
    """Return what the sandbox answers to one question, so many seconds after the start."""
    funds = {
        "/v1/balance": scenario.key,
        "/balance": scenario.key,
        "/v1/user/balance": scenario.account,
        "/user/balance": scenario.account,
    }.get(path.partition("?")[0])
    if funds is None:
        return _error(404, f"Invalid URL (GET {path})", "invalid_request_error")
    if authorization is None:
        return Answer(401, json.dumps({"success": False, "message": "No Authorization header"}))
    if not _WELL_FORMED.fullmatch(authorization):
        return _error(401, "invalid API key", "apimart_error")
    if (fault := scenario.fault_at(elapsed)) is not None:
        return _with_delay(_FAULTS[fault], scenario.retry_after)
    with localcontext(prec=EXACT_DIGITS):
        return Answer(200, _balance_body(scenario.funds_at(funds, elapsed)))


def _with_delay(failure: Answer, seconds: float) -> Answer:
    """Return a failure with the delay of the scenario, where it asks for one."""
    return failure._replace(headers={"Retry-After": f"{seconds:.0f}"}) if failure.headers else failure


def _balance_body(funds: Funds) -> str:
    """Return the documented object, amounts written with all their digits (the library would make them floats)."""
    limited = funds.remain is not None
    remain = funds.remain if funds.remain is not None else Decimal(-1)
    remain_credits = remain * CREDITS_PER_UNIT if limited else remain
    return (
        f'{{"success":true,"remain_balance":{remain:f},"remain_credits":{remain_credits:f},'
        f'"used_balance":{funds.used:f},"used_credits":{funds.used * CREDITS_PER_UNIT:f},'
        f'"unlimited_quota":{"false" if limited else "true"}}}'
    )


def _error(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps({"error": {"code": status, "message": message, "type": kind}})
    return Answer(status, body, headers=headers or {})


_FAULTS: Mapping[Fault, Answer] = {
    Fault.UNAUTHORIZED: _error(401, "invalid API key (request id: sandbox)", "apimart_error"),
    Fault.UNKNOWN_KEY: Answer(200, json.dumps({"success": False, "message": "Failed to get token info"})),
    Fault.PAYMENT_REQUIRED: _error(402, "insufficient balance", "payment_required"),
    Fault.RATE_LIMIT: _error(429, "rate limit exceeded", "rate_limit_error", {"Retry-After": "1"}),
    Fault.SERVER_ERROR: _error(500, "internal error", "server_error"),
    Fault.MALFORMED: Answer(200, '{"success":true,"remain_balance":10.5,"used_bal'),
    Fault.HTML: Answer(200, "<!doctype html><title>Welcome</title>", "text/html; charset=utf-8"),
}
"""What each fault answers; a timeout answers nothing."""
