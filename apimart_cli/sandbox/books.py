"""The sandbox's books: what was spent by day and by model, as `GET /v1/usage` tells it. Pure: no I/O, no clock.

It follows the third-party notes of 2026-09-19 on the gateway's public reference. The names of the group fields and the
envelope are not documented; the ones here are those that the clients of such gateways expect.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from apimart_cli.sandbox.scenario import Fault, Funds, Scenario, past

LONGEST = timedelta(days=31)
"""Longest time that one question may be about."""

MOST_MODELS = 50

USUAL_ZONE = "Asia/Shanghai"

BURNING = "claude-sonnet-4-5"
"""The model on which `--burn` is spent."""

_GROUPS = ("none", "model", "date", "model,date")
_SCOPES = ("key", "account")

_PLACES = Decimal("0.000001")
_CREDITS = 10
_EXACT_DIGITS = 100
_SECOND = timedelta(seconds=1)

AGO_OF_CHARGE = _SECOND
"""From a charge of the made-up past to the reading that shows it."""


class Model(NamedTuple):
    """A model, and what its calls are like."""

    name: str
    share: Decimal
    """Of what is spent, about."""
    prompt_tokens: int
    """In a call, about; 0 for images."""
    completion_tokens: int
    price: Decimal
    """Of a call, about: so many calls were made as that goes into what was spent."""


MODELS = (
    Model(BURNING, Decimal("0.5"), 5200, 900, Decimal("0.012")),
    Model("gpt-5", Decimal("0.28"), 3100, 700, Decimal("0.008")),
    Model("gpt-5-mini", Decimal("0.14"), 2400, 500, Decimal("0.002")),
    Model("gpt-image-2", Decimal("0.08"), 0, 0, Decimal("0.04")),
)


class Charge(NamedTuple):
    """What was booked at one moment."""

    at: datetime
    model: str
    amount: Decimal
    """In US dollars, six places."""
    requests: int
    prompt_tokens: int
    completion_tokens: int


class SandboxBooking(NamedTuple):
    """A sum of charges."""

    amount: Decimal = Decimal(0)
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, charge: Charge) -> "SandboxBooking":
        """Return this with one more charge in it."""
        return SandboxBooking(
            self.amount + charge.amount,
            self.requests + charge.requests,
            self.prompt_tokens + charge.prompt_tokens,
            self.completion_tokens + charge.completion_tokens,
        )


class Told(NamedTuple):
    """What the books answer: a status and JSON."""

    status: int
    body: str
    headers: Mapping[str, str] = {}  # never changed


def made_up(end: datetime, funds: Funds, days: int, *, seed: int) -> list[Charge]:
    """Return the charges that lead to the same made-up past as `scenario.past`: those between two readings, by model.

    Which model costs most is the same on every day, as far as a day has more than some bursts.
    """
    dice = random.Random(seed)  # noqa: S311  # the same dice each time is the point
    charges = []
    for before, after in pairwise(past(end, funds, days, seed=seed)):
        left = (after.used - before.used).quantize(_PLACES)
        whole = left
        for model in MODELS[:0:-1]:
            share = model.share * Decimal(round(dice.uniform(0.5, 1.5), 6))
            amount = min(left, (whole * share).quantize(_PLACES))
            left -= amount
            charges.append((after.at - AGO_OF_CHARGE, model, amount))
        charges.append((after.at - AGO_OF_CHARGE, MODELS[0], left))
    return [_charge(*each) for each in charges if each[2] > 0]


def _charge(at: datetime, model: Model, amount: Decimal) -> Charge:
    requests = max(1, round(amount / model.price))
    return Charge(at, model.name, amount, requests, requests * model.prompt_tokens, requests * model.completion_tokens)


def burnt(scenario: Scenario, funds: Funds, began: datetime, elapsed: float) -> Iterator[Charge]:
    """Yield what `--burn` has spent: a charge for each whole second, until nothing is left."""
    if not scenario.burn:
        return
    seconds = int(elapsed - elapsed % scenario.lag if scenario.lag else elapsed)
    [model] = (each for each in MODELS if each.name == BURNING)
    left = funds.remain
    for number in range(1, seconds + 1):
        amount = scenario.burn if left is None else min(scenario.burn, left)
        if amount <= 0:
            return
        left = None if left is None else left - amount
        yield _charge(began + number * _SECOND, model, amount.quantize(_PLACES))


class Refused(Exception):  # noqa: N818  # an answer, not a failure of ours
    """A question that the gateway does not answer: a code, and words."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(code)


class UsageQuery(NamedTuple):
    """What a question asks for."""

    start: datetime
    end: datetime
    group_by: str
    zone: ZoneInfo
    scope: str
    models: frozenset[str]


def read(query: str) -> UsageQuery:
    """Return what is asked. Raises Refused with the documented codes."""
    fields = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    start, end = _moment(fields.get("start"), "start"), _moment(fields.get("end"), "end")
    if end <= start:
        raise Refused("invalid_range", "end must be after start")
    if end - start > LONGEST:
        raise Refused("range_too_large", "the range is larger than 31 days")
    group_by, scope = fields.get("group_by", "none"), fields.get("scope", "key")
    if group_by not in _GROUPS:
        raise Refused("invalid_group_by", "group_by must be none, model, date or model,date")
    if scope not in _SCOPES:
        raise Refused("invalid_scope", "scope must be key or account")
    models = [name for name in fields.get("model", "").split(",") if name]
    if len(models) > MOST_MODELS:
        raise Refused("too_many_models", "at most 50 models")
    return UsageQuery(start, end, group_by, _zone(fields.get("tz", USUAL_ZONE)), scope, frozenset(models))


def _moment(text: str | None, name: str) -> datetime:
    try:
        if text is not None and re.fullmatch("[0-9]{1,11}", text):
            return datetime.fromtimestamp(int(text), UTC)
        moment = datetime.fromisoformat(text or "")
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Refused(f"invalid_{name}", f"{name} must be Unix seconds or RFC 3339")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise Refused("invalid_tz", "tz must be an IANA name") from None


class Books:
    """The books of one sandbox: of its key, and of its account."""

    def __init__(self, scenario: Scenario, past_ends_at: datetime, *, began: datetime) -> None:
        """Make up the days of the scenario, which end at a time, and go on with what is spent from `began` on."""
        self._began = began
        self._past = {
            scope: made_up(past_ends_at, funds, scenario.days, seed=seed) if scenario.days else []
            for seed, (scope, funds) in enumerate({"key": scenario.key, "account": scenario.account}.items(), 1)
        }

    def answer(self, query: str, scenario: Scenario, elapsed: float) -> Told:
        """Return what is answered to one question, so many seconds after the start."""
        match scenario.fault_at(elapsed):
            case Fault.USAGE_UNAVAILABLE:
                return _error(503, "usage_unavailable", "usage is temporarily unavailable", "server_error")
            case Fault.USAGE_MISSING:
                return _error(404, "not_found", "Invalid URL (GET /v1/usage)", "invalid_request_error")
            case fault:
                is_wrong = fault is Fault.USAGE_WRONG_TOTAL
        try:
            asked = read(query)
        except Refused as refused:
            return _error(400, refused.code, refused.message, "invalid_request_error")
        funds = scenario.key if asked.scope == "key" else scenario.account
        # A top-up or a refund is no spend, and is not in the books.
        charges = (*self._past[asked.scope], *burnt(scenario, funds, self._began, elapsed))
        with localcontext(prec=_EXACT_DIGITS):
            return Told(200, _body(asked, _chosen(asked, charges), is_wrong=is_wrong), {"X-Usage-Cache": "miss"})


def _chosen(asked: UsageQuery, charges: Iterable[Charge]) -> list[Charge]:
    return [
        charge
        for charge in charges
        if asked.start <= charge.at < asked.end and (not asked.models or charge.model in asked.models)
    ]


def _body(asked: UsageQuery, charges: Sequence[Charge], *, is_wrong: bool) -> str:
    total, groups = SandboxBooking(), dict[tuple[str, str], SandboxBooking]()
    for charge in charges:
        total = total.plus(charge)
        day: date = charge.at.astimezone(asked.zone).date()
        group = (
            day.isoformat() if "date" in asked.group_by else "",
            charge.model if "model" in asked.group_by else "",
        )
        groups[group] = groups.get(group, SandboxBooking()).plus(charge)
    items = [] if asked.group_by == "none" else [_item(group, booked) for group, booked in sorted(groups.items())]
    if is_wrong:
        total = total._replace(amount=total.amount + 1)
    return f'{{"success":true,"data":{{"total":{{{_facts(total)}}},"items":[{",".join(items)}]}}}}'


def _item(group: tuple[str, str], booked: SandboxBooking) -> str:
    names = "".join(
        f',"{name}":{json.dumps(value)}' for name, value in zip(("date", "model"), group, strict=True) if value
    )
    return f"{{{_facts(booked)}{names}}}"


def _facts(booked: SandboxBooking) -> str:
    """Return the documented fields, amounts written with all their digits (the library would make them floats)."""
    return (
        f'"amount_usd":{booked.amount:f},"credits":{booked.amount * _CREDITS:f},"requests":{booked.requests},'
        f'"prompt_tokens":{booked.prompt_tokens},"completion_tokens":{booked.completion_tokens}'
    )


def _error(status: int, code: str, message: str, kind: str) -> Told:
    return Told(status, json.dumps({"error": {"code": code, "message": message, "type": kind}}))
