"""The gateway's books: what is asked, every shape of answer that the facts leave open, and what proves nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from requests_mock import Mocker

from apimart_cli import fetch_usage
from apimart_cli.choices import UsageBy
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    ExitCode,
    NoBooksError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.books import MOST_NAMES, Query, ask_books, check_models, interpret_books, split
from apimart_cli.gateway.failures import MAX_DATE_LENGTH
from apimart_cli.gateway.refusals import failure_of
from apimart_cli.keys.key import WITHHELD, ApiKey, GivenKey, NoKey, Redactor
from apimart_cli.rules.books import Booked, BooksReading, Period, Usage
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.places import PAYLOADS
from support.running import KEY

MOMENT = datetime(2026, 9, 18, 12, tzinfo=UTC)
PERIOD = Period(datetime(2026, 9, 15, 16, tzinfo=UTC), datetime(2026, 9, 17, 16, tzinfo=UTC))
"""The 16th and the 17th of September in Shanghai."""
UNTRUSTED = "the gateway's answer cannot be trusted: "
RECORDED = PAYLOADS / "usage"


def query(by: UsageBy = UsageBy.DAY_MODEL, **fields: Any) -> Query:
    from zoneinfo import ZoneInfo

    return Query(PERIOD, "Asia/Shanghai", ZoneInfo("Asia/Shanghai"), by)._replace(**fields)


def understand(body: str, status: int = 200, *, asked: Query | None = None, **headers: str | None) -> Usage:
    answer = Answer(status, "", body.encode(), **headers)
    redactor = Redactor(ApiKey(KEY, source="a test"))
    return interpret_books(answer, query=asked or query(), redactor=redactor, fetched_at=MOMENT)


def refusal(body: str, status: int = 200, **more: Any) -> ApimartError:
    with pytest.raises(ApimartError) as caught:
        understand(body, status, **more)
    return caught.value


def recorded(name: str) -> tuple[str, int]:
    document = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return document["body"], document["status"]


def item(model: str = '"a"', amount: str = "1", **more: str | None) -> str:
    """An item, of the 16th by default; a field that is None is left out."""
    fields = {"date": '"2026-09-16"', "model": model, "amount_usd": amount, **more}
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if text is not None) + "}"


def body(*items: str, total: str = "1", **more: str) -> str:
    fields = {"success": "true", **more}
    head = "".join(f'"{name}":{text},' for name, text in fields.items())
    return f'{{{head}"data":{{"total":{{"amount_usd":{total}}},"items":[{",".join(items)}]}}}}'


def test_the_documented_answer_is_understood() -> None:
    """Amounts to the last digit, counts, days and models."""
    usage = understand(*recorded("usage-by-model-and-date"))
    assert usage.total == Booked(Decimal("2.309312"), 530, 670100, 159000)
    assert [(row.day, row.model, row.spent) for row in usage.rows] == [
        (date(2026, 9, 16), "gpt-5", Decimal("1.25")),
        (date(2026, 9, 16), "gpt-image-2", Decimal("0.17")),
        (date(2026, 9, 17), "gpt-5", Decimal("0.804312")),
        (date(2026, 9, 17), "gpt-image-2", Decimal("0.085")),
    ]
    assert (usage.since, usage.until, usage.tz, usage.fetched_at) == (*PERIOD, "Asia/Shanghai", MOMENT)
    assert (usage.was_kept, usage.lag, usage.skew) == (False, timedelta(minutes=1), None)


def test_every_shape_that_the_facts_leave_open_is_understood() -> None:
    """The envelope, numbers and strings, the name of the day, fields that are missing or not known."""
    for text in (
        body(item(), success="true", message='""', error="null"),
        body(item()).replace('"success":true,', '"code":"success","message":"ok",'),
        body(item(amount='"1"'), total='"1.000000"'),
        body(item(amount="1e0"), total="1"),
        body(item(day='"2026-09-16"', date=None)),
        body(item(day='"2026-09-16"')),
        body(item(date='"2026-09-16"', day="null")),
        body(item(credits="10", requests="3", prompt_tokens='"7"', completion_tokens="0.0")),
        body(item(credits="10.00002", requests="null", cost="true", models='["b"]')),
        body(item(), currency='"usd"'),
        body(item(credits="null"), data2="[]", extra='{"a":{"b":[1]}}'),
        body(item(amount="0.4"), item('"b"', "0.6"), total="1.000001"),
    ):
        usage = understand(text)
        assert abs(usage.total.spent - 1) <= Decimal("0.000001")
        assert {(row.day, row.model) for row in usage.rows} >= {(date(2026, 9, 16), "a")}


@pytest.mark.parametrize("by", list(UsageBy))
def test_only_what_was_asked_for_is_in_a_row(by: UsageBy) -> None:
    """A day in an answer by model tells nothing, and the other way round; where nothing was spent there is no row."""
    [row] = understand(body(item()), asked=query(by)).rows
    assert (row.day is not None, row.model is not None) == (by.has_day, by.has_model)
    nothing = understand(body(total="0"), asked=query(by))
    assert (nothing.total.spent, nothing.rows) == (0, ())


def test_a_kept_answer_is_later_and_a_clock_may_differ() -> None:
    """What the headers say of both."""
    usage = understand(body(item()), usage_cache="HIT", date="Fri, 18 Sep 2026 12:00:30 GMT")
    assert (usage.was_kept, usage.lag, usage.skew) == (True, timedelta(minutes=2), timedelta(seconds=30))
    ahead = "Fri, 18 Sep 2026 14:00:30 +0200"
    for same in (ahead, ahead.ljust(MAX_DATE_LENGTH), "Fri, 18 Sep 2026 12:00:30 -0000"):
        assert understand(body(item()), date=same).skew == timedelta(seconds=30)
    for nonsense in (ahead.ljust(MAX_DATE_LENGTH + 1), "yesterday", "x" * 1000, "Fri, 99 Sep 2026 12:00:30 GMT"):
        assert understand(body(item()), date=nonsense).skew == timedelta.max, "a date that nothing agrees with"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "its body is empty"),
        ("{}", "`data` is missing"),
        ('{"data":[]}', "`data` is a list, not an object"),
        ('{"data":"x"}', '`data` is the string "x", not an object'),
        (body(item(), code='"usage_unavailable"'), '`code` is the string "usage_unavailable", which is no success'),
        (body(item(), code="503"), "`code` is the number 503, which is no success"),
        (body(item(), has_more="true"), "`has_more` says that this is not all"),
        (body(item(), currency='"CNY"'), '`currency` is the string "CNY", not USD'),
        (
            '{"data":{"error":{"message":"broken"},"total":{"amount_usd":0},"items":[]}}',
            "there is an error in it; it says: broken",
        ),
        ('{"data":{"code":401,"total":{"amount_usd":0},"items":[]}}', "`code` is the number 401, which is no success"),
        ('{"data":{"partial":true,"total":{"amount_usd":0},"items":[]}}', "`partial` says that this is not all"),
        ('{"data":{"items":[]}}', "`total` is missing"),
        ('{"data":{"total":{"amount_usd":0}}}', "`items` is missing"),
        ('{"data":{"total":{"amount_usd":0},"items":"x"}}', '`items` is the string "x", not a list'),
        ('{"data":{"total":0,"items":[]}}', "`total` is the number 0, not an object"),
        ('{"data":{"total":{},"items":[]}}', "`amount_usd` is missing"),
        (body(item(), success='"yes"'), '`success` is the string "yes", not true or false'),
        (body(item(), error='{"message":"broken"}'), "there is an error in it; it says: broken"),
        (body(item(), error="true"), "there is an error in it"),
        (body("1"), "an item is the number 1, not an object"),
        (body(item(amount=None)), "`amount_usd` is missing"),  # type: ignore[arg-type]
        (body(item(amount='"one"')), '`amount_usd` is the string "one", not a number'),
        (body(item(), total='"one"'), '`amount_usd` is the string "one", not a number'),
        (body(item(amount="2"), item('"b"', "-1")), "an amount is negative"),
        (body(item(), total="1.0000011"), "its total is not the sum of its parts"),
        (body(item(), item(), total="2"), "a day or a model stands in it twice"),
        (body(item(date='"2026-09-18"')), "it has a day in it that was not asked for"),
        (body(item(date=None)), "an item has no `date`"),
        (body(item(day='"2026-09-17"')), "an item has a `date` and another `day`"),
        (body(item(date="20260916")), "`date` is the number 20260916, not a day"),
        (body(item(date='"20260916"')), '`date` is the string "20260916", not a day'),
        (body(item(date='"2026-W38-3"')), '`date` is the string "2026-W38-3", not a day'),
        (body(item(date='"2026-09-31"')), '`date` is the string "2026-09-31", not a day'),
        (body(item("null")), "`model` is null, not a name"),
        (body(item("5")), "`model` is the number 5, not a name"),
        (body(item(model=None)), "`model` is missing"),  # type: ignore[arg-type]
        (body(item(credits="1")), "`credits` is not ten times `amount_usd`"),
        (body(item(amount="0." + "9" * 29, credits="10.00002")), "`credits` is not ten times `amount_usd`"),
        (body(item(credits='"ten"')), '`credits` is the string "ten", not a number'),
        (body(item(requests='"few"')), '`requests` is the string "few", not a number'),
        (body(item(requests="-1")), "`requests` is the number -1, not a number of things"),
        (body(item(requests="1.5")), "`requests` is the number 1.5, not a number of things"),
    ],
)
def test_what_is_not_the_documented_shape_or_contradicts_itself_is_refused(text: str, fault: str) -> None:
    """With code 6, and with what is wrong."""
    error = refusal(text)
    assert (type(error), error.message) == (BadResponseError, UNTRUSTED + fault)


def test_models_that_were_not_asked_for_or_are_too_many_are_refused() -> None:
    """Names are compared exactly. Each is searched for keys, which takes its time."""
    assert understand(body(item()), asked=query(models=("a", "b"))).total.spent == 1
    error = refusal(body(item()), asked=query(models=("A",)))
    assert error.message == UNTRUSTED + "it has a model in it that was not asked for"
    names = [item(f'"m{number}"', "0") for number in range(MOST_NAMES)]
    assert len(understand(body(*names, total="0")).rows) == MOST_NAMES
    assert "more than 1000 models" in refusal(body(*names, item('"one more"', "0"), total="0")).message


def test_names_of_models_are_foreign_text() -> None:
    """They cannot move a cursor, command a runner or repeat a key, however they are written."""
    names = [f'"{KEY}"', r'"\u001b[2J"', '"::error::x"', f'"{KEY[3:].encode().hex()}"', f'"{"x" * 5000}"']
    rows = understand(body(*(item(name, "0") for name in names), total="0")).rows
    shown = [row.model for row in rows]
    assert shown[0] == shown[3] == WITHHELD
    assert shown[1:3] == [r"\x1b[2J", r":\:error::x"]
    assert len(shown[4] or "") == 200


def test_books_that_cannot_be_asked_now_are_never_zero() -> None:
    """503: code 5, asked again, and the gateway's own word, which `--fail-open` does not forgive."""
    error = refusal(*recorded("usage-unavailable"))
    assert isinstance(error, UnavailableError)
    assert (error.retryable, error.is_silence) == (True, False)
    told = "the gateway cannot tell now what was spent (HTTP 503)"
    assert (error.message, error.hint) == (f"{told}: usage is temporarily unavailable", "try again later")
    code = '{"error":{"code":"usage_unavailable"}}'
    assert refusal(code, 503).message == told
    for text, status in (("", 503), ("", 429), (code, 500)):
        assert told not in refusal(text, status).message, "another failure"


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ('{"error":{"message":"Invalid URL (GET /v1/usage)"}}', ": Invalid URL (GET /v1/usage)"),
        ('{"error":{"message":"nothing at /account/v1/usage"},"token":5}', ": nothing at /account/v1/usage"),
        ('{"success":false}', ""),
        (" <html>your account", ""),
        ("404 page not found", ""),
        ("x" + "é" * 1000, ""),
    ],
)
def test_a_gateway_without_books_says_so(status: int, text: str, said: str) -> None:
    """Code 6, in words of its own. Addresses, web pages and names of fields are not about a customer."""
    error = refusal(text, status)
    assert isinstance(error, NoBooksError)
    assert error.exit_code == ExitCode.BAD_RESPONSE
    assert error.message == f"this gateway keeps no books that can be asked (HTTP {status}){said}"
    assert error.hint == (
        "what is left can be asked all the same: apimart balance; what was read before: apimart history"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"success":true}',
        '{"remain_balance":1}',
        '{"message":"no such user"}',
        '{"error":{"message":"no such user"}}',
        "No such ACCOUNT",
    ],
)
def test_a_word_about_a_customer_is_no_missing_address(text: str) -> None:
    """The books may be there, and this customer not."""
    error = refusal(text, 404)
    assert type(error) is BadResponseError
    assert not error.is_no_endpoint


def test_only_a_status_for_it_means_a_missing_address() -> None:
    """Whatever else is said."""
    error = failure_of(Answer(400, "", b""), scope=Scope.KEY, redactor=Redactor())
    assert isinstance(error, BadResponseError)
    assert not error.is_no_endpoint


def test_what_the_gateway_refuses_is_told_in_our_words() -> None:
    """Code 2, with a hint."""
    clock = "see whether the clock of this machine is right"
    for code, words, hint in (
        ("invalid_start", "does not take the beginning of this period", "begin later, with --since"),
        ("invalid_end", "does not take the end of this period", clock),
        ("invalid_range", "does not take this period", clock),
        ("range_too_large", "finds this period too long", "ask for fewer days"),
        ("invalid_tz", "does not know this time zone", "give another name, like: --tz UTC"),
        ("invalid_group_by", "does not tell its spend by that", "give another --by"),
        ("invalid_scope", "keeps no books of this scope", "give another --scope"),
        ("too_many_models", "takes fewer models at once", "name fewer with --model"),
    ):
        text = json.dumps({"error": {"code": code, "message": "nonsense"}})
        error = refusal(text, 400)
        assert isinstance(error, UsageError)
        assert (error.message, error.hint) == (f"the gateway {words} ({code})", hint)
        assert isinstance(refusal(text, 500), UnavailableError)


def test_every_other_failure_is_that_of_the_balance() -> None:
    """The same words decide; an old answer proves nothing, either."""
    for text, status, kind in (
        ('{"error":{"message":"invalid API key"}}', 401, AuthError),
        ('{"success":false,"message":"Failed to get token info"}', 200, AuthError),
        ('{"success":false,"message":"try later"}', 200, UnavailableError),
        ('{"error":{"message":"insufficient balance","code":402}}', 402, PaymentRequiredError),
        ('{"error":{"message":"insufficient balance"}}', 200, PaymentRequiredError),
        ("", 429, UnavailableError),
        ("<html>", 403, BadResponseError),
        # A code that is not documented means nothing to us.
        ('{"error":{"code":"teapot","message":"no"}}', 400, BadResponseError),
        ('{"error":{"code":["invalid_tz"],"message":"no"}}', 400, BadResponseError),
    ):
        assert type(refusal(text, status)) is kind
    assert refusal(body(item()), age="61").message == UNTRUSTED + "it is an old answer from a cache"
    unable = refusal('{"success":false,"message":"try later"}')
    assert unable.message == "the gateway could not tell what was spent: try later"
    for unit, floor in (("USD", Decimal("0.05")), ("CNY", None)):
        short = json.dumps({"error": {"message": f"insufficient balance (current: 0 {unit}, required: 0.05 {unit})"}})
        wanted = refusal(short, 402)
        assert isinstance(wanted, PaymentRequiredError)
        assert wanted.floor == floor
    empty = refusal('{"error":{"code":"insufficient_user_quota"}}')
    assert empty.message == "the gateway says that the quota or the balance is used up (HTTP 200)"


GATEWAY = "https://gateway.example"


@pytest.fixture
def gateway() -> Iterator[Mocker]:
    with Mocker() as mocker:
        yield mocker


def test_names_of_models_are_checked() -> None:
    """Fifty at most, each once."""
    fifty = tuple(f"m{number}" for number in range(50))
    assert check_models([*fifty, "m0"], "models") == fifty
    exactly = "give one name, exactly, each time"
    for names, fault, hint in (
        ([*fifty, "another"], "the gateway takes 50 models at once", "name fewer of them"),
        (["a," + "x" * 50], f"'a,{'x' * 35}...' is no name of a model", exactly),
        ([""], "'' is no name of a model", exactly),
    ):
        with pytest.raises(UsageError) as caught:
            check_models(names, "models")
        assert (caught.value.message, caught.value.hint) == (f"models: {fault}", hint)


def test_a_long_time_is_cut_at_midnight_of_the_zone_that_was_asked_for() -> None:
    """The rest of the question stays."""
    long = query(period=Period(PERIOD.since, PERIOD.since + timedelta(days=40)), models=("a",))
    cut = PERIOD.since + timedelta(days=31)
    assert split(long) == [
        long._replace(period=Period(PERIOD.since, cut)),
        long._replace(period=Period(cut, long.period.until)),
    ]


def test_a_reading_says_what_it_is_of(gateway: Mocker) -> None:
    """The profile, the scope, the key and the host; of a failure, what is quoted in it, and no key where none is."""
    key = ApiKey(KEY, source="a test")
    told = f"{GATEWAY}/v1/usage"
    gateway.get(told, [{"text": body(item())}, {"text": '{"error":{"message":"Invalid URL"}}', "status_code": 404}])
    asked = query(scope=Scope.ACCOUNT)
    target = Target("work", Scope.KEY, GivenKey(key), GATEWAY)
    found = []
    for _ in range(2):
        with ask_books([(target, asked)]) as readings:
            found += readings
    assert found[0].usage is not None
    assert found[0] == BooksReading("work", Scope.ACCOUNT, found[0].usage, key.key_id, "gateway.example")
    assert isinstance(found[1].error, NoBooksError)
    assert found[1][3:] == (key.key_id, "gateway.example", ("Invalid URL",))
    failure = AuthError("there is no key")
    with ask_books([(target._replace(api_key=NoKey(failure)), asked)]) as readings:
        assert list(readings) == [BooksReading("work", Scope.ACCOUNT, failure, None, "gateway.example")]


def fields_of(request: Any) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(urlsplit(request.url).query).items()}


def usage(**more: Any) -> Usage:
    return fetch_usage(KEY, base_url=f"{GATEWAY}/prefix/v1", **more)


def test_the_question_names_everything(gateway: Mocker) -> None:
    """The zone above all: the gateway's own default is Asia/Shanghai. The key is in a header alone."""
    gateway.get(f"{GATEWAY}/prefix/v1/usage", text=body(item()))
    days = {"since": date(2026, 9, 16), "until": date(2026, 9, 17)}
    told = usage(**days, by="day,model", tz="Europe/Berlin", scope="account", models=["a", "b"])
    [request] = gateway.request_history
    assert fields_of(request) == {
        "start": f"{int(datetime(2026, 9, 15, 22, tzinfo=UTC).timestamp())}",
        "end": f"{int(datetime(2026, 9, 17, 22, tzinfo=UTC).timestamp())}",
        "group_by": "model,date",
        "tz": "Europe/Berlin",
        "scope": "account",
        "model": "a,b",
    }
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in request.url
    assert (told.tz, told.scope, told.by) == ("Europe/Berlin", "account", "day,model")


def test_by_default_it_is_a_month_of_this_machine(gateway: Mocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 days with today, by model, for the key, in the zone of the machine."""
    monkeypatch.setenv("TZ", "Australia/Lord_Howe")
    gateway.get(f"{GATEWAY}/prefix/v1/usage", text=body(item(date=None)))
    told = usage()
    [request] = gateway.request_history
    asked = fields_of(request)
    assert (asked["tz"], asked["group_by"], asked["scope"]) == ("Australia/Lord_Howe", "model", "key")
    assert 29 <= (int(asked["end"]) - int(asked["start"])) / 86_400 <= 30.1
    assert told.until <= datetime.now(UTC)


def test_a_year_is_asked_in_pieces_and_put_together(gateway: Mocker) -> None:
    """Each question is no longer than the gateway allows, and the totals add up; one that fails fails all."""
    gateway.get(f"{GATEWAY}/prefix/v1/usage", text=body(item(date=None)))
    since = datetime.now(UTC) - timedelta(days=120)
    told = usage(since=since, tz="UTC")
    asked = sorted((int(each["start"]), int(each["end"])) for each in map(fields_of, gateway.request_history))
    assert len(asked) == 4
    assert all(end - start <= 31 * 86_400 for start, end in asked)
    assert [end for _, end in asked[:-1]] == [start for start, _ in asked[1:]]
    assert (told.total.spent, [row.spent for row in told.rows]) == (4, [4])
    gateway.get(
        f"{GATEWAY}/prefix/v1/usage", [{"text": body(item(date=None))}, {"text": "{"}, {"text": body(item(date=None))}]
    )
    with pytest.raises(BadResponseError):
        usage(since=since, tz="UTC")


def test_books_that_come_back_are_asked_again(gateway: Mocker) -> None:
    """503 is retried inside the deadline, as for the balance; 404 is not."""
    address = f"{GATEWAY}/prefix/v1/usage"
    text, status = recorded("usage-unavailable")
    gateway.get(address, [{"text": text, "status_code": status}, {"text": body(item(date=None))}])
    assert usage().total.spent == 1
    gateway.reset_mock()
    gateway.get(address, status_code=404)
    with pytest.raises(NoBooksError):
        usage()
    assert len(gateway.request_history) == 1


def test_a_question_without_sense_is_not_asked(gateway: Mocker) -> None:
    """UsageError, which names the argument."""
    for options, words in (
        ({"scope": "both"}, "scope: must be one of key, account"),
        ({"by": "hour"}, "by: must be one of"),
        ({"tz": "Mars/Olympus"}, "tz: there is no time zone 'Mars/Olympus'"),
        ({"tz": "../../etc/passwd"}, "tz: there is no time zone"),
        ({"tz": 5}, "tz: must be a string, not int"),
        ({"since": "2026-09-01"}, "since: must be a date, not str"),
        ({"since": datetime(2026, 9, 1)}, "since: must have a time zone"),  # noqa: DTZ001
        ({"until": date(2026, 9, 1)}, "until: there is no since"),
        ({"since": date(2020, 1, 1)}, "longer than 366 days"),
        ({"since": date(2026, 4, 1), "until": date(2026, 4, 2)}, "begin on 2026-04-27"),
        ({"models": "gpt-5"}, "models: must be a sequence"),
        ({"models": ["a,b"]}, "models: 'a,b' is no name of a model"),
        ({"models": [f"m{n}" for n in range(51)]}, "models: the gateway takes 50 models at once"),
        ({"timeout": 0}, "timeout: "),
    ):
        with pytest.raises(UsageError) as caught:
            usage(**options)
        assert words in caught.value.message
    assert gateway.request_history == []


def test_a_large_month_is_read(gateway: Mocker) -> None:
    """Answers of the books may be far larger than a balance, and have a limit, too."""
    address = f"{GATEWAY}/prefix/v1/usage"
    many = [item(f'"model-{number:04}"', "0.01", date=None, filler=f'"{"x" * 300}"') for number in range(900)]
    gateway.get(address, text=body(*many, total="9"))
    assert len(usage().rows) == 900
    gateway.get(address, text=body(item(date=None, filler=f'"{"x" * 5_000_000}"')))
    with pytest.raises(BadResponseError, match="larger than 4096 KiB"):
        usage()
