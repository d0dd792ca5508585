"""The gateway's books: what is asked of `GET /v1/usage`, and what its answer proves. Pure, but for the asking.

No whole answer has been seen in the open (2026-09). So fields that are not known here are left out, the envelope may
have `success` or not, amounts may be numbers or strings, and a day may be called `date` or `day`. What contradicts
itself, or what was asked, proves nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from apimart_cli.choices import UsageBy
from apimart_cli.errors import (
    ApimartError,
    BadResponseError,
    NoBooksError,
    Trace,
    UnavailableError,
    UsageError,
    untrustworthy,
)
from apimart_cli.gateway.answer import (
    NO_ERROR,
    Answer,
    JsonNumber,
    NotStrictError,
    amount_in,
    described,
    is_old,
    parse_object,
    reject,
    required,
)
from apimart_cli.gateway.client import ask_as
from apimart_cli.gateway.failures import MAX_DATE_LENGTH
from apimart_cli.gateway.question import Means, QuestionOf, Sharing
from apimart_cli.gateway.refusals import (
    NO_ENDPOINT_STATUSES,
    failure_of,
    failure_told,
    fields_of,
    server_words,
    shortage_told,
    words_of_error,
)
from apimart_cli.gateway.transport import Inspection
from apimart_cli.keys.key import ApiKey, Redactor
from apimart_cli.rules.books import UNIT, Booked, BooksReading, Period, Usage, contradiction, days_of, pieces, together
from apimart_cli.rules.spending import EXACT
from apimart_cli.target import Target
from apimart_cli.text import quote
from apimart_cli.words import Scope

ADDRESS = "/v1/usage"

MOST_BYTES = 4 * 1024 * 1024
"""Largest answer that is read: a month of 31 days with some 800 models."""

MOST_MODELS = 50
"""Most models that one question may name."""

MOST_NAMES = 1000
"""Most models that an answer may name."""

_GROUPS = {UsageBy.MODEL: "model", UsageBy.DAY: "date", UsageBy.DAY_MODEL: "model,date"}

_CREDITS = 10
_CREDITS_SLACK = Decimal("0.00002")
"""Both are rounded to six places, and one of them is ten times as large."""

_ECHO_SLACK = timedelta(seconds=1)
"""A time that an answer repeats may be rounded to a second."""

_NO_BOOKS_HINT = "what is left can be asked all the same: apimart balance; what was read before: apimart history"

_CODES_OF_SUCCESS = frozenset({"0", "200", "success", "ok"})
"""What gateways of this family write into `code` beside an answer that is none of a failure."""

_DAY_NAMES = ("date", "day")
"""What a day may be called."""

_SIGNS_OF_MORE = ("has_more", "partial", "truncated")

_REFUSALS = {
    "invalid_start": ("the gateway does not take the beginning of this period", "begin later, with --since"),
    "invalid_end": (
        "the gateway does not take the end of this period",
        "see whether the clock of this machine is right",
    ),
    "invalid_range": ("the gateway does not take this period", "see whether the clock of this machine is right"),
    "range_too_large": ("the gateway finds this period too long", "ask for fewer days"),
    "invalid_tz": ("the gateway does not know this time zone", "give another name, like: --tz UTC"),
    "invalid_group_by": ("the gateway does not tell its spend by that", "give another --by"),
    "invalid_scope": ("the gateway keeps no books of this scope", "give another --scope"),
    "too_many_models": ("the gateway takes fewer models at once", "name fewer with --model"),
}
"""By its code, what the gateway refuses: what happened, and what to do."""


class Query(NamedTuple):
    """What is asked of the books: at most LONGEST at once."""

    period: Period
    tz: str
    zone: tzinfo
    """The zone that `tz` names."""
    by: UsageBy = UsageBy.MODEL
    scope: Scope = Scope.KEY
    models: tuple[str, ...] = ()
    """Only these; all of them where none is named."""

    @property
    def address(self) -> str:
        """The path and the query of the question."""
        fields = {
            "start": str(int(self.period.since.timestamp())),
            "end": str(int(self.period.until.timestamp())),
            "group_by": _GROUPS[self.by],
            # Always: the gateway's own default is Asia/Shanghai.
            "tz": self.tz,
            "scope": self.scope.value,
        }
        if self.models:
            fields["model"] = ",".join(self.models)
        return f"{ADDRESS}?{urlencode(fields)}"


class BooksQuestion(QuestionOf[Usage, BooksReading]):
    """A question for the books."""

    def __init__(self, query: Query, target: Target, means: Means) -> None:
        super().__init__(target, means)
        self._query = query

    noun = "what was spent"

    def read(self, answer: Answer, *, redactor: Redactor, fetched_at: datetime) -> Usage:
        """Return what the books say, as `interpret_books`."""
        return interpret_books(answer, query=self._query, redactor=redactor, fetched_at=fetched_at)

    def failure(self, answer: Answer, *, redactor: Redactor) -> ApimartError:
        """Return the error, as `failure_of_books`."""
        return failure_of_books(answer, query=self._query, redactor=redactor)

    def _settled(self, target: Target, key: ApiKey | None, result: Usage | ApimartError) -> BooksReading:
        key_id = key.key_id if key else None
        return BooksReading(target.profile, target.scope, result, key_id, target.host, self._quoted_in(result))


@contextmanager
def ask_books(
    asked: Sequence[tuple[Target, Query]],
    *,
    trace: Trace | None = None,
    sharing: Sharing | None = None,
    looking: Inspection | None = None,
) -> Iterator[Iterator[BooksReading]]:
    """Start asking at once, and give the readings one by one, in order, as `gateway.client.ask` does of balances.

    Of a target the key, the host and the time limit count; what is asked is the query beside it.
    """
    queries = {query.address: query for _, query in asked}
    targets = [
        target._replace(scope=query.scope, address=query.address, most_bytes=MOST_BYTES) for target, query in asked
    ]

    def question(target: Target, means: Means) -> BooksQuestion:
        return BooksQuestion(queries[target.address or ""], target, means)

    with ask_as(question, targets, trace=trace, sharing=sharing, looking=looking) as readings:
        yield readings


def check_models(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Return names of models as a question has them. Raises UsageError, which names `source`."""
    unique = tuple(dict.fromkeys(names))
    if len(unique) > MOST_MODELS:
        raise UsageError(f"{source}: the gateway takes {MOST_MODELS} models at once", "name fewer of them")
    for name in unique:
        if not name or "," in name:
            raise UsageError(
                f"{source}: '{quote(name, 40)}' is no name of a model", "give one name, exactly, each time"
            )
    return unique


def split(query: Query) -> list[Query]:
    """Return the questions that a query of any length is asked in."""
    return [query._replace(period=period) for period in pieces(query.period, query.zone)]


def joined(readings: Sequence[BooksReading]) -> BooksReading:
    """Return what the answers to the questions of `split` say together: the first failure, where there is one."""
    failed = next((reading for reading in readings if reading.error is not None), None)
    if failed is not None:
        return failed
    return readings[0]._replace(result=together([reading.usage for reading in readings if reading.usage is not None]))


def failure_of_books(answer: Answer, *, query: Query, redactor: Redactor) -> ApimartError:
    """Return the error that an answer with a status other than 200 is, whatever its body."""
    error = failure_of(answer, scope=query.scope, redactor=redactor)
    fields = fields_of(answer)
    code = _code(fields)
    if answer.status == 400 and code in _REFUSALS:
        message, hint = _REFUSALS[code]
        return UsageError(f"{message} ({code})", hint)
    if answer.status == 503 and code == "usage_unavailable" and isinstance(error, UnavailableError):
        message = (
            f"the gateway cannot tell now what was spent (HTTP 503){server_words(fields, answer.reason, redactor)}"
        )
        # Its own word, and not a silence.
        return UnavailableError(message, "try again later", retryable=True, was_told=True)
    if isinstance(error, BadResponseError) and answer.status in NO_ENDPOINT_STATUSES and error.is_no_endpoint:
        said = server_words(fields, answer.reason, redactor)
        return NoBooksError(
            f"this gateway keeps no books that can be asked (HTTP {answer.status}){said}", _NO_BOOKS_HINT
        )
    return error


def interpret_books(answer: Answer, *, query: Query, redactor: Redactor, fetched_at: datetime) -> Usage:
    """Return what `answer` proves of what was spent.

    Raises as `gateway.answer.interpret`, NoBooksError with HTTP 404 or 405, and UsageError where the gateway refuses
    the question. Names of models are foreign text: `redactor` quotes them.
    """
    if answer.status != 200:
        raise failure_of_books(answer, query=query, redactor=redactor)
    if is_old(answer):
        reject("it is an old answer from a cache")
    total, items = _parts_of(answer, query, redactor)
    booked = _booked(total, redactor)
    days = frozenset(days_of(query.period, query.zone))
    rows = [_row(item, query, days, redactor) for item in items]
    if query.models and query.by.has_model and any(row.model not in query.models for row in rows):
        reject("it has a model in it that was not asked for")
    if fault := contradiction(booked, rows, days=days if query.by.has_day else None):
        reject(fault)
    return Usage(
        query.scope,
        *query.period,
        query.tz,
        query.by,
        booked,
        tuple(_quoted(rows, redactor)),
        fetched_at,
        was_kept=(answer.usage_cache or "").strip().lower() == "hit",
        skew=None if answer.date is None else _skew(answer.date, fetched_at),
    )


def _parts_of(answer: Answer, query: Query, redactor: Redactor) -> tuple[Mapping[str, Any], Sequence[Any]]:
    """Return the total and the items of a successful answer, as they came."""
    try:
        fields = parse_object(answer.body)
    except NotStrictError as error:
        raise untrustworthy(str(error)) from None
    success = fields.get("success", True)
    if success is False:
        raise failure_told(fields, redactor, asked_for="what was spent")
    if success is not True:
        reject(f"`success` is {described(success, redactor)}, not true or false")
    if fields.get("error") not in NO_ERROR:
        raise shortage_told(fields, answer.status, redactor) or untrustworthy(
            f"there is an error in it{words_of_error(fields, redactor)}"
        )
    data = required(fields, "data")
    if not isinstance(data, Mapping):
        reject(f"`data` is {described(data, redactor)}, not an object")
    if data.get("error") not in NO_ERROR:
        reject(f"there is an error in it{words_of_error(data, redactor)}")
    for holder in (fields, data):
        _refuse_doubt(holder, redactor)
        _refuse_another_question(holder, query, redactor)
    total, items = required(data, "total"), required(data, "items")
    if not isinstance(total, Mapping):
        reject(f"`total` is {described(total, redactor)}, not an object")
    if not isinstance(items, list):
        reject(f"`items` is {described(items, redactor)}, not a list")
    return total, items


def _refuse_doubt(fields: Mapping[str, Any], redactor: Redactor) -> None:
    """Raise BadResponseError where an answer says of itself that it failed, is not whole, or counts in other money."""
    code = fields.get("code")
    if code is not None and str(code).lower() not in _CODES_OF_SUCCESS:
        reject(f"`code` is {described(code, redactor)}, which is no success")
    for name in _SIGNS_OF_MORE:
        if fields.get(name) not in (None, False):
            reject(f"`{name}` says that this is not all")
    currency = fields.get("currency")
    if currency is not None and str(currency).upper() != UNIT:
        reject(f"`currency` is {described(currency, redactor)}, not {UNIT}")


def _refuse_another_question(fields: Mapping[str, Any], query: Query, redactor: Redactor) -> None:
    """Raise BadResponseError where an answer repeats a question, and that is not the one that was asked."""
    scope = fields.get("scope")
    if isinstance(scope, str) and scope.lower() != query.scope.value:
        reject(f"`scope` is {described(scope, redactor)}, and {query.scope.value} was asked for")
    for name, asked in (("start", query.period.since), ("end", query.period.until)):
        told = _moment(fields.get(name))
        if told is not None and abs(told - asked) > _ECHO_SLACK:
            reject(f"`{name}` is {described(fields[name], redactor)}, and another time was asked for")


def _moment(value: Any) -> datetime | None:
    """Return a time in one of the forms that a question may have, in seconds or as a date; None for any other."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else None
        return datetime.fromtimestamp(int(value), UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _code(fields: Mapping[str, Any]) -> str:
    error = fields.get("error")
    code = (error if isinstance(error, Mapping) else fields).get("code")
    return code if isinstance(code, str) and not isinstance(code, JsonNumber) else ""


def _row(item: Any, query: Query, days: frozenset[date], redactor: Redactor) -> Booked:
    if not isinstance(item, Mapping):
        reject(f"an item is {described(item, redactor)}, not an object")
    row = _booked(item, redactor)
    if query.by.has_day:
        row = row._replace(day=_day(item, redactor))
    elif any(item.get(name) is not None for name in _DAY_NAMES) and _day(item, redactor) not in days:
        reject("it has a day in it that was not asked for")
    return row._replace(model=_model(item, redactor)) if query.by.has_model else row


def _booked(fields: Mapping[str, Any], redactor: Redactor) -> Booked:
    spent = amount_in(required(fields, "amount_usd"), "amount_usd", redactor)
    if fields.get("credits") is not None:
        in_credits = amount_in(fields["credits"], "credits", redactor)
        with localcontext(EXACT):
            if abs(in_credits - _CREDITS * spent) > _CREDITS_SLACK:
                reject("`credits` is not ten times `amount_usd`")
    requests, prompt, completion = (
        _count(fields, name, redactor) for name in ("requests", "prompt_tokens", "completion_tokens")
    )
    return Booked(spent, requests, prompt, completion)


def _count(fields: Mapping[str, Any], name: str, redactor: Redactor) -> int | None:
    if fields.get(name) is None:
        return None
    count = amount_in(fields[name], name, redactor)
    if count < 0 or count != int(count):
        reject(f"`{name}` is {described(fields[name], redactor)}, not a number of things")
    return int(count)


def _day(item: Mapping[str, Any], redactor: Redactor) -> date:
    found = [item[name] for name in _DAY_NAMES if item.get(name) is not None]
    if not found:
        reject("an item has no `date`")
    if len(found) > 1 and found[0] != found[1]:
        reject("an item has a `date` and another `day`")
    text = found[0]
    try:
        # The library takes other forms, too, like 20260916 and 2026-W38-3.
        if not isinstance(text, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise untrustworthy(f"`date` is {described(text, redactor)}, not a day") from None


def _model(item: Mapping[str, Any], redactor: Redactor) -> str:
    model = required(item, "model")
    if not isinstance(model, str) or isinstance(model, JsonNumber):
        reject(f"`model` is {described(model, redactor)}, not a name")
    return model


def _quoted(rows: Sequence[Booked], redactor: Redactor) -> Iterator[Booked]:
    """Return the rows with names that may be shown. Each name is looked at once: that takes half a millisecond."""
    named = {row.model for row in rows}
    if len(named) > MOST_NAMES:
        reject(f"it names more than {MOST_NAMES} models")
    names = {row.model: redactor.quote(row.model) for row in rows if row.model is not None}
    return (row if row.model is None else row._replace(model=names[row.model]) for row in rows)


def _skew(date_of_answer: str, fetched_at: datetime) -> timedelta:
    """Return by how much the clock of what answered is ahead of ours; a date that cannot be read is ahead of all."""
    if len(date_of_answer) > MAX_DATE_LENGTH:
        return timedelta.max
    try:
        moment = parsedate_to_datetime(date_of_answer)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - fetched_at
    except (ValueError, OverflowError, TypeError, IndexError):
        return timedelta.max
