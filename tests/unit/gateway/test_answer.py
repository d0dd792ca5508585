"""The gateway's answer and what it proves: every recorded payload, and everything that is not quite one."""

import itertools
import json
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
)
from apimart_cli.gateway.answer import Answer, interpret
from apimart_cli.keys.key import ApiKey, Redactor
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.words import Scope
from support.payloads import EXPECTED, balance_of
from support.places import PAYLOADS as FOLDER
from support.running import KEY

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)

UNTRUSTED = "the gateway's answer cannot be trusted: "
AMOUNTS = ("remain_balance", "used_balance", "remain_credits", "used_credits")


def understand(
    body: str | bytes, status: int = 200, reason: str = "", location: str | None = None, **headers: str | None
) -> Balance:
    """What an answer with this body proves."""
    raw = body.encode() if isinstance(body, str) else body
    answer = Answer(status, reason, raw, location, **headers)
    return interpret(answer, scope=Scope.KEY, redactor=Redactor(ApiKey(KEY, source="a test")), fetched_at=MOMENT)


def refusal(
    body: str | bytes, status: int = 200, reason: str = "", location: str | None = None, **headers: str | None
) -> ApimartError:
    """The error that an answer with this body is."""
    with pytest.raises(ApimartError) as caught:
        understand(body, status, reason, location, **headers)
    return caught.value


def body_of(**fields: Any) -> str:
    """A good answer with some of its fields replaced by these raw JSON texts, or left out (None)."""
    texts = {"success": "true", "remain_balance": "10.5", "used_balance": "2.3", "unlimited_quota": "false", **fields}
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items() if text is not None) + "}"


_PERFECT = body_of()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_payload_is_understood(path: Path) -> None:
    """What the gateway is documented or was observed to send has exactly one meaning."""
    recorded = json.loads(path.read_text(encoding="utf-8"))
    expected = EXPECTED[path.stem]
    if isinstance(expected, Balance):
        assert _digits(understand(recorded["body"], recorded["status"])) == _digits(expected)
    else:
        sent = recorded["headers"]
        headers = {"server": sent.get("Server"), "mitigated": sent.get("cf-mitigated")}
        error = refusal(recorded["body"], recorded["status"], **headers)
        assert type(error) is type(expected)
        assert error.message == expected.message
        assert getattr(error, "retryable", False) is getattr(expected, "retryable", False)


def test_no_payload_is_forgotten() -> None:
    """Each expectation has its recording."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EXPECTED)


def _digits(balance: Balance) -> list[str]:
    """The fields as text: equal Decimals may differ in their digits."""
    return [str(field) for field in balance]


@pytest.mark.parametrize(("text", "amount"), [
    ("0", "0"), ("0.0", "0.0"), ("10.50", "10.50"), ("0.1", "0.1"), ("0.30000000000000004", "0.30000000000000004"),
    ("-3.5", "-3.5"), ("-1.5", "-1.5"), ("-0", "-0"), ("999999999999999", "999999999999999"),
    ("999999999999999.999999999999999999999999", "999999999999999.999999999999999999999999"),
    ("1e2", "1E+2"), ("1E+14", "1E+14"), ("1e-30", "1E-30"), ("12.5e-3", "0.0125"),
    ("0.000000000000000000000000000001", "1E-30"), ("0e14", "0E+14"), ('"10.5"', "10.5"), ('"0"', "0"),
    ('"0.50"', "0.50"), ('"-2"', "-2"), ('"100"', "100"),
])  # fmt: skip
def test_amounts_are_exact_to_the_last_digit(text: str, amount: str) -> None:
    """A JSON number, or a string that is a plain decimal, is the Decimal that was written and no other."""
    assert str(understand(body_of(remain_balance=text)).remain_balance) == amount
    if not amount.startswith("-"):
        assert str(understand(body_of(used_balance=text)).used_balance) == amount


def test_what_is_not_plainly_an_amount_is_a_bad_response() -> None:
    """The error names the field and what is wrong with it; no amount is guessed."""
    for texts, fault in (
        (["null"], "is null, not a number"),
        (["true"], "is true, not a number"),
        (['{"a":1}'], "is an object, not a number"),
        (["[10.5]"], "is a list, not a number"),
        (['"5\\n"', '" 5"'], 'is the string "5", not a number'),
        (['"\\u001b[2J"'], 'is the string "\\x1b[2J", not a number'),
        (['"\\ud800"'], 'is the string "\\ud800", not a number'),
        # The limit of characters is inclusive: see above.
        (["0." + "1" * 39, f'"0.{"1" * 39}"'], "has 41 characters, which no amount has"),
        (["9" * 5000], "has 5000 characters, which no amount has"),
        (["1000000000000000", "-1e15", "0e15", "1e999999999"], "has more than 15 digits before the point"),
        (["1e99999999999999999999", "1e-99999999999999999999"], "has an exponent that no amount has"),
        (["1e-31", "1.5e-30", "1e-999999999"], "has more than 30 digits after the point"),
    ):
        for name, text in itertools.product(AMOUNTS, texts):
            error = refusal(body_of(**{name: text}))
            assert (type(error), error.message) == (BadResponseError, f"{UNTRUSTED}`{name}` {fault}")
            assert error.hint == _HINTS[418]


@pytest.mark.parametrize(
    "text",
    ["", "abc", "$10.5", "10.5 USD", "10,5", "1e3", "+5", "05", ".5", "5.", "1_000", "--5", "NaN", "Infinity", "0x10"],
)
def test_text_that_is_no_plain_decimal_is_a_bad_response(text: str) -> None:
    """In digits of another script, neither."""
    for odd in (text, f"{text}\u0665"):
        error = refusal(body_of(remain_balance=f'"{odd}"'))
        assert error.message == f'{UNTRUSTED}`remain_balance` is the string "{odd}", not a number'


@pytest.mark.parametrize("remain", ["-1", "0", "10.5", "-7"])
def test_an_unlimited_quota_has_no_remaining_amount(remain: str) -> None:
    """`unlimited_quota: true` decides; whatever number stands beside it never gets past the parser."""
    balance = understand(body_of(remain_balance=remain, unlimited_quota="true", remain_credits="-1", used_credits="23"))
    assert balance == balance_of(None, "2.3", used_credits="23")


_SHOWN = {"null": "null", "1": "the number 1", "{}": "an object", "[true]": "a list"}
_BOTH = "`success` is true, but there is an error"
_SENTINEL = "`remain_balance` is -1, which means unlimited, but `unlimited_quota` is not true"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (body_of(success=None), "`success` is missing"),
        (body_of(remain_balance=None), "`remain_balance` is missing"),
        (body_of(used_balance=None, unlimited_quota="true"), "`used_balance` is missing"),
        (body_of(remain_balance="null", unlimited_quota="true"), "`remain_balance` is null, not a number"),
        # Another case or spelling is another name; an envelope is not looked into.
        (body_of(success=None, Success="true"), "`success` is missing"),
        (f'{{"data":{body_of()}}}', "`success` is missing"),
        # Nothing less than nothing has been used, of an unlimited key neither.
        (body_of(used_balance="-0.01"), "`used_balance` is negative"),
        (body_of(used_balance="-0.01", unlimited_quota="true"), "`used_balance` is negative"),
        # -1 means unlimited, and proves nothing beside a limit.
        (body_of(remain_balance="-1"), _SENTINEL),
        (body_of(remain_balance='"-1.00"'), _SENTINEL),
        (body_of(remain_balance="-10e-1", unlimited_quota=None), _SENTINEL),
        # Only JSON's own true and false count, and a message is nothing but text.
        *(
            (body_of(**{name: text}), f"`{name}` is {shown}, not true or false")
            for (text, shown), name in itertools.product(_SHOWN.items(), ("success", "unlimited_quota"))
        ),
        *((f'{{"success":false,"message":{text}}}', f"`message` is {_SHOWN[text]}, not a string") for text in _SHOWN),
        (body_of(success='"true"'), '`success` is the string "true", not true or false'),
        # Success beside an error, whatever else there is.
        *((body_of(error=error), _BOTH) for error in ("{}", '"account suspended"', "true", "1", "0.0", "[0]")),
        (body_of(error="{}", remain_balance=None), _BOTH),
        (body_of(error='{"message":"on leave"}'), f"{_BOTH}; it says: on leave"),
        # An answer in the form of an error is told in the server's words, although its status claims success.
        ('{"error":{"message":"no quota\\n here"}}', "`success` is missing; it says: no quota\\x0a here"),
        (body_of(success=None, error='{"message":"on leave"}'), "`success` is missing; it says: on leave"),
        ('{"error":{"message":7}}', "`success` is missing; it says: 7"),
        ('{"error":{"message":null}}', "`success` is missing"),
        ('{"error":"boo"}', "`success` is missing"),
        (f'{{"error":{{"message":"{KEY}"}}}}', "`success` is missing; it says: (withheld: it repeats the API key)"),
    ],
)
def test_an_answer_that_lacks_a_field_or_contradicts_itself_proves_nothing(body: str, fault: str) -> None:
    """The error says what is wrong."""
    error = refusal(body)
    assert (type(error), error.message) == (BadResponseError, f"{UNTRUSTED}{fault}")


def test_what_the_documented_shape_leaves_open_is_understood() -> None:
    """And nothing of it changes the balance."""
    for body, sent in (
        (" \r\n\t" + body_of().replace(",", " ,\n ") + "\n ", {}),
        (body_of(unlimited_quota=None), {}),
        # The gateway may add fields; they change nothing.
        (body_of(group='"vip"', nested='{"a":[1,{"b":null}]}', currency="null", message="null"), {}),
        (body_of(message='"insufficient balance"'), {}),
        # Gateways fill in an error that is not there.
        *((body_of(error=error), {}) for error in ("null", "false", '""', "[]", "0", '"0"')),
        # Credits are optional, each by itself.
        (body_of(remain_credits="7.5"), {"remain_credits": "7.5"}),
        (body_of(used_credits="7.5"), {"used_credits": "7.5"}),
        # Thirty-two levels, the answer itself being the first, and many containers side by side.
        (body_of(extra="[" * 31 + "]" * 31), {}),
        (body_of(extra='{"a":[' * 15 + "]}" * 15), {}),
        (body_of(extra="[" + ",".join(["[[]]", '{"a":{}}'] * 500) + "]"), {}),
    ):
        assert understand(body) == balance_of("10.5", "2.3", **sent)


@pytest.mark.parametrize(
    ("bodies", "fault"),
    [
        ([b""], "its body is empty"),
        (
            [b" ", b"<!doctype html>", _PERFECT[:-1], _PERFECT * 2, _PERFECT + "\0", f"data: {_PERFECT}"],
            "it is not JSON",
        ),
        ([_PERFECT.replace('"', "'"), body_of(extra="1,"), body_of(success="True")], "it is not JSON"),
        ([body_of(remain_balance=text) for text in ("010", "+10", ".5", "5.", "0x10")], "it is not JSON"),
        ([body_of(extra='"a\nb"'), f"\ufeff{_PERFECT}", _PERFECT.encode("utf-16-le")], "it is not JSON"),
        ([_PERFECT.encode("utf-16"), body_of(extra='"caf\xe9"').encode("latin-1")], "it is not UTF-8"),
        ([b'{"success":true,"x":"\xed\xa0\x80"}'], "it is not UTF-8"),
        (["null", "10.5", '"success"', f"[{_PERFECT}]"], "it is not a JSON object"),
        ([body_of(remain_balance="NaN"), body_of(extra="[NaN]")], "it holds NaN, which is no JSON number"),
        ([body_of(used_balance="-Infinity")], "it holds -Infinity, which is no JSON number"),
        (['{"success":false,' + _PERFECT[1:], '{"\\u0073uccess":true,' + _PERFECT[1:]], "a name stands in it twice"),
        ([body_of(x='{"a":1,"a":1}')], "a name stands in it twice"),
        # One level more than is read; and a document that would overflow the decoder's stack.
        ([body_of(extra="[" * 32 + "]" * 32), body_of(extra='{"a":[' * 16 + "]}" * 16)], "it is nested too deep"),
        (["[" * 30_000 + "]" * 30_000, '{"a":' * 9_000 + "1" + "}" * 9_000], "it is nested too deep"),
    ],
    ids=itertools.count(),
)
def test_what_is_not_one_strict_json_object_is_a_bad_response(bodies: list[str | bytes], fault: str) -> None:
    """UTF-8 without a byte order mark, one object, every name once, nothing before it, nothing after it."""
    for body in bodies:
        error = refusal(body)
        assert (type(error), error.message) == (BadResponseError, f"{UNTRUSTED}{fault}")


def test_what_the_server_sent_is_not_kept_in_an_exception() -> None:
    """The decoders' own exceptions hold the whole document, with whatever key the server echoed; ours do not."""
    for body in (f'{{"x":"{KEY}"', f'{{"x":"{KEY}","y":NaN}}', f'{{"x":"{KEY}","x":1}}'):
        error = refusal(body)
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        assert KEY not in "".join(traceback.format_exception(error))
    error = refusal(KEY.encode() + b"\xff")
    assert error.__suppress_context__


_NO_ANSWER = "the gateway could not answer (HTTP {})"


@pytest.mark.parametrize(
    ("status", "kind", "message", "retryable"),
    [
        (401, AuthError, "the gateway rejected the API key (HTTP 401)", False),
        (402, PaymentRequiredError, "the gateway asks for payment (HTTP 402)", False),
        (429, UnavailableError, "the gateway limits the rate of requests (HTTP 429)", True),
        *((status, UnavailableError, _NO_ANSWER.format(status), True) for status in (408, 502, 503, 504)),
        *((status, UnavailableError, _NO_ANSWER.format(status), False) for status in (500, 501, 505, 599)),
        (404, BadResponseError, "there is no balance endpoint at this address (HTTP 404)", False),
        *(
            (status, BadResponseError, f"the gateway answered with HTTP {status} where 200 was expected", False)
            for status in (0, 100, 199, 201, 204, 299, 400, 405, 499, 600)
        ),
    ],
)
@pytest.mark.parametrize("body", [_PERFECT, "", '{"success":false,"message":7}'])
def test_any_status_but_200_is_a_failure_whatever_the_body(
    status: int, kind: type[ApimartError], message: str, retryable: bool, body: str
) -> None:
    """The status decides first: a perfect body after a wrong status proves nothing."""
    error = refusal(body, status)
    assert type(error) is kind
    assert error.message == message + (": 7" if "7" in body else "")
    assert getattr(error, "retryable", False) is retryable


_HINTS = {
    401: "check that the key is right, and on the gateway's key page that it exists, has not expired, is not disabled, "
    "has quota of its own left and allows your IP address",
    403: "it says nothing about the key: check the proxy settings and the base URL (`apimart config show`), or try "
    "from another network",
    402: "top up the account: it cannot pay for calls",
    404: "check the base URL: `apimart config show` tells where it comes from",
    408: "try again later; a longer --timeout allows more retries",
    500: "try again later",
    503: "try again later; a longer --timeout allows more retries",
    418: "try again later: something between here and the gateway, or the gateway itself, answered wrongly",
    429: "ask less often",
    302: "check the base URL: `apimart config show` tells where it comes from",
}


def test_every_failure_has_advice() -> None:
    """The hint says what to do next."""
    assert {status: refusal("", status).hint for status in _HINTS} == _HINTS


def test_the_scope_is_that_of_the_question() -> None:
    """Every gateway of this family has the key's endpoint alone for sure."""
    redactor = Redactor(ApiKey(KEY, source="a test"))
    with pytest.raises(BadResponseError) as raised:
        interpret(Answer(404, "", b""), scope=Scope.ACCOUNT, redactor=redactor, fetched_at=MOMENT)
    assert raised.value.hint == "use --scope key: this gateway has no account endpoint"
    good = Answer(200, "OK", _PERFECT.encode())
    balance = interpret(good, scope=Scope.ACCOUNT, redactor=redactor, fetched_at=MOMENT)
    assert (balance.scope, balance.fetched_at) == (Scope.ACCOUNT, MOMENT)


def test_a_redirect_is_told_with_its_target_and_never_a_balance() -> None:
    """The error names where the gateway pointed, so that a wrong base URL is easily found."""
    for status in (300, 302, 304, 399):
        told = f"(HTTP {status}), which is never followed"
        error = refusal(_PERFECT, status, "Found", "https://elsewhere.example/v1/balance")
        assert type(error) is BadResponseError
        assert error.message == (f"the gateway answered with a redirect to https://elsewhere.example/v1/balance {told}")
        for nowhere in (None, ""):
            assert refusal("", status, "Found", nowhere).message == f"the gateway answered with a redirect {told}"
        hostile = refusal("", status, "", f"https://h/\x1b[2J?key={KEY}")
        assert hostile.message == f"the gateway answered with a redirect to (withheld: it repeats the API key) {told}"
        assert "\\x1b" in refusal("", status, "", "https://h/\x1b").message


@pytest.mark.parametrize(
    ("body", "reason", "said"),
    [
        ('{"error":{"message":"in an error object"}}', "Teapot", ": in an error object"),
        ('{"message":"at the top"}', "Teapot", ": at the top"),
        ('{"error":{"message":"inner"},"message":"outer"}', "Teapot", ": inner"),
        ('{"error":"text","message":"beside it"}', "Teapot", ": beside it"),
        ('{"error":{"message":null},"message":"outer"}', "Teapot", ": Teapot"),
        ('{"message":42}', "Teapot", ": 42"),
        ("{}", "Teapot", ": Teapot"),
        ("<html>", "Teapot", ": Teapot"),
        ("", "   ", ""),
        ('{"message":" \\n "}', "Teapot", ""),
        ('{"message":"a\\nb\\u001b[31m\\u202e ::error::x"}', "", ": a\\x0ab\\x1b[31m\\u202e :\\:error::x"),
        ('{"message":"' + "x" * 300 + '"}', "", ": " + "x" * 197 + "..."),
        (f'{{"message":"unknown key {KEY}"}}', "", ": (withheld: it repeats the API key)"),
        ("", f"Bad {KEY[4:14]}", ": (withheld: it repeats the API key)"),
        ('{"message":"key sk-other-people-s-key"}', "", ": key sk-..."),
    ],
)
def test_the_server_s_words_are_quoted_safely(body: str, reason: str, said: str) -> None:
    """The message comes from the body, else from the reason phrase: one short visible line without the key."""
    assert refusal(body, 418, reason).message == f"the gateway answered with HTTP 418 where 200 was expected{said}"


def test_a_failure_with_status_200_is_sorted_by_what_it_names() -> None:
    """`success: false` is a matter of the key where the message or the code says so, else there is no answer."""
    for fields, kind, said in (
        *(
            (f'"message":"{words}"', AuthError, f": {words}")
            for words in ("Failed to get token info", "No Authorization header", "获取令牌信息失败", "密钥无效")
        ),
        *(
            (f'"message":"{words}"', AuthError, f": {words}")
            for words in ("INVALID API-KEY", "bad api key", "bad api_key", "bad apikey", "Unauthorized", "unauthorised")
        ),
        (f'"message":"{KEY} is no token"', AuthError, ": (withheld: it repeats the API key)"),
        *((f'"message":"no","code":{code}', AuthError, ": no") for code in ("401", "403", '"401"')),
        ('"code":401', AuthError, ""),
        ('"message":"查询用户额度失败"', UnavailableError, ": 查询用户额度失败"),
        ('"message":"a\\u001bb"', UnavailableError, ": a\\x1bb"),
        *((f'"message":"no","code":{code}', UnavailableError, ": no") for code in ("402", "4010", "null", "[401]")),
        ('"remain_balance":10,"used_balance":1', UnavailableError, ""),
    ):
        error = refusal(f'{{"success":false,{fields}}}')
        assert type(error) is kind
        told = "rejected the API key" if kind is AuthError else "could not tell the balance"
        assert error.message == f"the gateway {told}{said}"
        assert getattr(error, "retryable", False) is False
        assert error.hint == (_HINTS[401] if kind is AuthError else "try again later")


def test_a_reading_is_a_balance_or_an_error() -> None:
    """One of them is there, the other is None."""
    balance, error = balance_of("10.5", "2.3"), AuthError("no")
    good, failed = Reading("work", Scope.KEY, None, balance), Reading("work", Scope.ACCOUNT, None, error)
    assert (good.name, good.balance, good.error) == ("work/key", balance, None)
    assert (failed.name, failed.balance, failed.error) == ("work/account", None, error)


def test_403_without_an_error_of_the_gateway_says_nothing_about_the_key() -> None:
    """A web page, a bot check or anything else that answers in place of the gateway: it has not seen the key."""
    for body, who in (
        ("<html>", "a web page"),
        (" \n<p>No</p>", "a web page"),
        ("", "something else"),
        (_PERFECT, "something else"),
    ):
        error = refusal(body, 403, "Forbidden")
        assert type(error) is BadResponseError
        assert error.message == f"{who} answered in place of the gateway (HTTP 403): Forbidden"
        assert error.hint == _HINTS[403]
    for text in ('{"error":"no"}', '{"message":7}', '{"success":true,"message":"no"}', '{"success":false}', "[]"):
        assert type(refusal(text, 403)) is BadResponseError


def test_the_gateway_s_own_word_rejects_the_key() -> None:
    """A JSON error with 403. 401 speaks of the credentials of the request (RFC 9110), even with a web page."""
    for body in ('{"error":{"message":"no"}}', '{"error":{}}', '{"message":"no"}'):
        error = refusal(body, 403)
        assert type(error) is AuthError
        assert error.message.startswith("the gateway rejected the API key (HTTP 403)")
        assert error.hint == _HINTS[401]
    assert type(refusal("<html>", 401)) is AuthError


def test_a_bot_check_is_named_by_what_sent_it() -> None:
    """The header tells it, whatever the body says; the name of the server is data."""
    for server, who in (
        (None, ""),
        ("", ""),
        ("x" * 50, f" of {'x' * 40}"),
        ("a\x1b[2Jb", " of a\\x1b[2Jb"),
        (f"for {KEY}", " of (withheld: it repeats the API key)"),
    ):
        for status in (401, 403):
            error = refusal('{"error":{"message":"wait"}}', status, server=server, mitigated="challenge")
            assert type(error) is BadResponseError
            assert error.message == f"a bot check{who} answered in place of the gateway (HTTP {status}): wait"
        assert type(refusal("", 503, server=server, mitigated="challenge")) is UnavailableError


SHORT = "the gateway says that the quota or the balance is used up (HTTP "


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 408, 418, 500])
@pytest.mark.parametrize("body", [
    '{"error":{"message":"insufficient balance","type":"x"}}',
    '{"success":false,"message":"insufficient balance"}',
    '{"success":false,"message":"insufficient balance","code":401}',
    '{"error":{"message":"insufficient balance","code":"quota_not_enough"}}',
])  # fmt: skip
def test_no_money_is_a_verdict_whatever_the_status(status: int, body: str) -> None:
    """It comes before what the status says, and is not asked again."""
    error = refusal(body, status)
    assert isinstance(error, PaymentRequiredError)
    assert error.message == f"{SHORT}{status}): insufficient balance"
    assert error.in_short == f"the quota or the balance is used up (HTTP {status})"
    assert error.hint == "top up the account, or give the key more quota on the gateway's key page"


def test_what_is_no_error_of_the_gateway_says_nothing_of_money() -> None:
    """A page about it, an answer that claims success, a body that is no JSON; with 429 only a code says it."""
    for body in ("<p>insufficient balance</p>", '["insufficient balance"]', '{"x":"no money"}'):
        assert type(refusal(body, 500)) is UnavailableError
    assert type(refusal('{"success":true,"message":"insufficient balance"}', 500)) is UnavailableError
    assert type(refusal('{"error":{"message":"insufficient balance"}}', 429)) is UnavailableError
    coded = refusal('{"error":{"message":"","code":"quota_not_enough"}}', 429, "Busy")
    assert (type(coded), coded.message) == (PaymentRequiredError, f"{SHORT}429)")


@pytest.mark.parametrize("status", [402, 403, 200])
def test_the_least_that_a_gateway_wants_is_told_in_numbers(status: int) -> None:
    """Both with all their digits; the id of the token is not shown."""
    message = "[token_id=77] insufficient balance (current: 0.013570 USD, required: 0.050000 USD). Please top up"
    error = refusal(json.dumps({"success": False, "message": message}), status)
    told = "0.013570 USD left, the gateway wants 0.050000 for any call"
    assert isinstance(error, PaymentRequiredError)
    assert error.in_short == told
    assert error.message.endswith(f" (HTTP {status}): {told}")
    assert "77" not in f"{error.message}{error.hint}"


def test_other_numbers_leave_the_words_as_they_are() -> None:
    """Nothing is guessed. Where there is no message, the reason phrase is told."""
    asks = "the gateway asks for payment (HTTP 402)"
    message = "insufficient balance (current: some USD, required: 0.05 USD)"
    error = refusal(json.dumps({"error": {"message": f"[token_id=77] {message}"}}), 402)
    assert isinstance(error, PaymentRequiredError)
    assert error.in_short == "the account cannot pay (HTTP 402)"
    assert error.message == f"{asks}: {message}"
    assert refusal('{"error":{}}', 402, "Pay").message == f"{asks}: Pay"
    assert refusal('{"error":{"message":"[token_id=3]"}}', 402).message == asks


def test_an_old_answer_from_a_cache_proves_nothing() -> None:
    """The requests ask for a fresh answer, of a minute at most; a cache says how old one is, and that must be clear."""
    for age, warning in (
        *((age, None) for age in ("61", "61, 0", "0, 3600", "9999999999999999999", "-5", "", "1.5", "\u0661")),
        (None, '110 - "Response is Stale"'),
        ("0", "110"),
        (None, '112 - "Disconnected", 110 cache "stale"'),
    ):
        error = refusal(_PERFECT, age=age, warning=warning)
        assert (type(error), error.message) == (BadResponseError, f"{UNTRUSTED}it is an old answer from a cache")
    for age, warning in (("0", None), (" 60 ", None), ("30, 0060", '199 - "1110 and 110."')):
        assert understand(_PERFECT, age=age, warning=warning) == balance_of("10.5", "2.3")


def test_only_a_word_of_the_gateway_is_marked_as_one() -> None:
    """HTTP 200 that cannot tell is the gateway's own word; a status of failure is what stands before it as well."""
    for status in (200, 408, 429, 500, 503):
        error = refusal('{"success":false}', status)
        assert isinstance(error, UnavailableError)
        assert error.is_silence is (status != 200)
