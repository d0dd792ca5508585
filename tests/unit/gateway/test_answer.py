"""The gateway's answer and what it proves: every recorded payload, and everything that is not quite one."""

import itertools
import json
import math
import traceback
from datetime import UTC, datetime
from decimal import Decimal
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


# --- recorded payloads ------------------------------------------------------------------------------------------


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


# --- amounts ----------------------------------------------------------------------------------------------------


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


_A_DIGIT_TOO_LONG = "0." + "1" * 39

_BAD_AMOUNTS = [
    *((f'"{text}"', f'is the string "{text}", not a number')
      for text in ("1\u0662", "1\uff12", "1.\u0665", "1.5\u0665", "\u0661")),
    ("null", "is null, not a number"), ("true", "is true, not a number"), ("false", "is false, not a number"),
    ("{}", "is an object, not a number"), ('{"a":1}', "is an object, not a number"), ("[]", "is a list, not a number"),
    ("[10.5]", "is a list, not a number"), ('""', 'is the string "", not a number'),
    ('"abc"', 'is the string "abc", not a number'), ('"$10.5"', 'is the string "$10.5", not a number'),
    ('"10.5 USD"', 'is the string "10.5 USD", not a number'),
    ('"10,5"', 'is the string "10,5", not a number'), ('"1e3"', 'is the string "1e3", not a number'),
    ('"+5"', 'is the string "+5", not a number'), ('"05"', 'is the string "05", not a number'),
    ('".5"', 'is the string ".5", not a number'), ('"5."', 'is the string "5.", not a number'),
    ('" 5"', 'is the string "5", not a number'), ('"5\\n"', 'is the string "5", not a number'),
    ('"1_000"', 'is the string "1_000", not a number'), ('"--5"', 'is the string "--5", not a number'),
    ('"NaN"', 'is the string "NaN", not a number'),
    ('"Infinity"', 'is the string "Infinity", not a number'),
    ('"unlimited"', 'is the string "unlimited", not a number'),
    ('"\u0665"', 'is the string "\u0665", not a number'), ('"0x10"', 'is the string "0x10", not a number'),
    ('"\\u001b[2J"', 'is the string "\\x1b[2J", not a number'),
    ('"\\ud800"', 'is the string "\\ud800", not a number'),
    (_A_DIGIT_TOO_LONG, "has 41 characters, which no amount has"),
    (f'"{_A_DIGIT_TOO_LONG}"', "has 41 characters, which no amount has"),
    ("9" * 5000, "has 5000 characters, which no amount has"),
    ("1000000000000000", "has more than 15 digits before the point"),
    ("1e15", "has more than 15 digits before the point"),
    ("-1e15", "has more than 15 digits before the point"),
    ("0e15", "has more than 15 digits before the point"),
    ("1e400", "has more than 15 digits before the point"),
    ("1e999999999", "has more than 15 digits before the point"),
    ("1e99999999999999999999", "has an exponent that no amount has"),
    ("1e-99999999999999999999", "has an exponent that no amount has"),
    ("1e-31", "has more than 30 digits after the point"),
    ("1.5e-30", "has more than 30 digits after the point"),
    ("0.0000000000000000000000000000001", "has more than 30 digits after the point"),
    ("1e-999999999", "has more than 30 digits after the point"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), _BAD_AMOUNTS)
@pytest.mark.parametrize("name", ["remain_balance", "used_balance", "remain_credits", "used_credits"])
def test_what_is_not_plainly_an_amount_is_a_bad_response(name: str, text: str, fault: str) -> None:
    """The error names the field and what is wrong with it; no amount is guessed."""
    error = refusal(body_of(**{name: text}))
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}`{name}` {fault}"
    assert error.hint == (
        "try again later: something between here and the gateway, or the gateway itself, answered wrongly"
    )


def test_an_amount_of_the_longest_allowed_text_is_read() -> None:
    """The limit of characters is inclusive."""
    longest = "999999999999999." + "1" * 24
    assert len(longest) == 40
    assert understand(body_of(remain_balance=longest)).remain_balance == Decimal(longest)


def test_the_used_amount_is_never_negative() -> None:
    """Nobody has used less than nothing: such an answer contradicts itself, on unlimited keys too."""
    for unlimited in ("false", "true"):
        error = refusal(body_of(used_balance="-0.01", unlimited_quota=unlimited))
        assert error.message == f"{UNTRUSTED}`used_balance` is negative"
    assert understand(body_of(used_balance="0")).used_balance == 0


@pytest.mark.parametrize("sentinel", ["-1", "-1.0", "-1e0", '"-1"', '"-1.00"', "-10e-1"])
def test_the_sentinel_on_a_limited_key_contradicts_itself(sentinel: str) -> None:
    """-1 means unlimited; next to `unlimited_quota: false`, or none, it proves nothing."""
    for unlimited in ("false", None):
        error = refusal(body_of(remain_balance=sentinel, unlimited_quota=unlimited))
        assert error.message == (
            f"{UNTRUSTED}`remain_balance` is -1, which means unlimited, but `unlimited_quota` is not true"
        )


@pytest.mark.parametrize("remain", ["-1", "0", "10.5", "-7"])
def test_an_unlimited_quota_has_no_remaining_amount(remain: str) -> None:
    """`unlimited_quota: true` decides; whatever number stands beside it never gets past the parser."""
    balance = understand(body_of(remain_balance=remain, unlimited_quota="true", remain_credits="-1", used_credits="23"))
    assert balance == balance_of(None, "2.3", used_credits="23")


def test_an_unlimited_quota_does_not_excuse_a_broken_answer() -> None:
    """The amounts of an unlimited key must be amounts too."""
    assert "`remain_balance` is null" in refusal(body_of(remain_balance="null", unlimited_quota="true")).message
    assert "`used_balance` is missing" in refusal(body_of(used_balance=None, unlimited_quota="true")).message


def test_a_missing_unlimited_quota_means_limited() -> None:
    """The account's answer was seen without the field."""
    assert understand(body_of(unlimited_quota=None)) == balance_of("10.5", "2.3")


@pytest.mark.parametrize(("text", "shown"), [
    ("null", "null"), ("1", "the number 1"), ("0", "the number 0"), ('"true"', 'the string "true"'),
    ('""', 'the string ""'), ("{}", "an object"), ("[true]", "a list"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["success", "unlimited_quota"])
def test_true_and_false_are_nothing_else(name: str, text: str, shown: str) -> None:
    """Only JSON's own true and false count: not 1, not "true", not null."""
    error = refusal(body_of(**{name: text}))
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}`{name}` is {shown}, not true or false"


@pytest.mark.parametrize("name", ["success", "remain_balance", "used_balance"])
def test_a_missing_field_is_named(name: str) -> None:
    """An answer without one of its required fields proves nothing."""
    error = refusal(body_of(**{name: None}))
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}`{name}` is missing"


@pytest.mark.parametrize("name", ["Success", "SUCCESS", "success ", "data"])
def test_names_are_read_as_they_are_written(name: str) -> None:
    """Another case or spelling is another name; an envelope is not looked into."""
    assert refusal(f'{{"{name}":true,"remain_balance":10,"used_balance":1}}').message == (
        f"{UNTRUSTED}`success` is missing"
    )


@pytest.mark.parametrize(("error", "said"), [
    ('{"message":"no quota\\n here"}', "; it says: no quota\\x0a here"),
    ('{"message":"[red]boo"}', "; it says: [red]boo"), ('{"message":7}', "; it says: 7"), ('{"message":null}', ""),
    ('{"message":["x"]}', ""), ('"boo"', ""), ("[]", ""),
    (f'{{"message":"{KEY}"}}', "; it says: (withheld: it repeats the API key)"),
])  # fmt: skip
def test_an_error_object_with_status_200_is_repeated(error: str, said: str) -> None:
    """An answer in the form of an error is told in the server's words, although its status claims success."""
    assert refusal(f'{{"error":{error}}}').message == f"{UNTRUSTED}`success` is missing{said}"


def test_unknown_fields_are_ignored() -> None:
    """The gateway may add fields; they change nothing."""
    more = body_of(group='"vip"', nested='{"a":[1,{"b":null}]}', currency="null", message="null")
    assert understand(more) == balance_of("10.5", "2.3")


@pytest.mark.parametrize("present", ["remain_credits", "used_credits"])
def test_credits_may_come_one_by_one(present: str) -> None:
    """Credits are optional, each by itself."""
    assert understand(body_of(**{present: "7.5"})) == balance_of("10.5", "2.3", **{present: "7.5"})


# --- JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "fault"), [
    (b"", "its body is empty"), (b" ", "it is not JSON"), (b"\n\n", "it is not JSON"), (b"OK", "it is not JSON"),
    (b"<!doctype html><title>Welcome</title>", "it is not JSON"),
    (body_of().encode()[:-1], "it is not JSON"), (body_of().encode() + b"}", "it is not JSON"),
    (body_of().encode() + body_of().encode(), "it is not JSON"),
    (body_of().encode() + b"\x00", "it is not JSON"),
    (b"callback(" + body_of().encode() + b")", "it is not JSON"),
    (b"data: " + body_of().encode(), "it is not JSON"), (b")]}'\n" + body_of().encode(), "it is not JSON"),
    (body_of().replace('"', "'").encode(), "it is not JSON"),
    (body_of(extra="1,").encode(), "it is not JSON"),
    (body_of(remain_balance="010").encode(), "it is not JSON"),
    (body_of(remain_balance="+10").encode(), "it is not JSON"),
    (body_of(remain_balance=".5").encode(), "it is not JSON"),
    (body_of(remain_balance="5.").encode(), "it is not JSON"),
    (body_of(remain_balance="1_0").encode(), "it is not JSON"),
    (body_of(remain_balance="0x10").encode(), "it is not JSON"),
    (body_of(success="True").encode(), "it is not JSON"), (body_of(extra='"a\nb"').encode(), "it is not JSON"),
    (b"\xef\xbb\xbf" + body_of().encode(), "it is not JSON"),
    (body_of().encode("utf-16"), "it is not UTF-8"), (body_of().encode("utf-16-le"), "it is not JSON"),
    (body_of().encode("utf-32"), "it is not UTF-8"),
    (body_of(extra='"caf\xe9"').encode("latin-1"), "it is not UTF-8"),
    (b'{"success":true,"x":"\xed\xa0\x80"}', "it is not UTF-8"),
    (b"\xff" * 100, "it is not UTF-8"), (b"null", "it is not a JSON object"), (b"true", "it is not a JSON object"),
    (b"10.5", "it is not a JSON object"), (b'"success"', "it is not a JSON object"),
    (f"[{body_of()}]".encode(), "it is not a JSON object"),
    (body_of(remain_balance="NaN").encode(), "it holds NaN, which is no JSON number"),
    (body_of(remain_balance="Infinity").encode(), "it holds Infinity, which is no JSON number"),
    (body_of(used_balance="-Infinity").encode(), "it holds -Infinity, which is no JSON number"),
    (body_of(extra="[NaN]").encode(), "it holds NaN, which is no JSON number"),
    (b'{"success":false,"success":true,"remain_balance":10,"used_balance":1}', "a name stands in it twice"),
    (b'{"success":true,"remain_balance":10,"used_balance":1,"remain_balance":10}', "a name stands in it twice"),
    (b'{"success":true,"remain_balance":10,"used_balance":1,"x":{"a":1,"a":1}}', "a name stands in it twice"),
    (b'{"success":true,"remain_balance":10,"used_balance":1,"\\u0073uccess":true}', "a name stands in it twice"),
], ids=itertools.count())  # fmt: skip
def test_what_is_not_one_strict_json_object_is_a_bad_response(body: bytes, fault: str) -> None:
    """UTF-8 without a byte order mark, one object, every name once, nothing before it, nothing after it."""
    error = refusal(body)
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}{fault}"


def test_white_space_around_the_object_is_allowed() -> None:
    """JSON allows it, and pretty-printing gateways send it."""
    assert understand(" \r\n\t" + body_of().replace(",", " ,\n ") + "\n ") == balance_of("10.5", "2.3")


def _nested(depth: int, opening: str, closing: str) -> str:
    return body_of(extra=opening * depth + closing * depth)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":[', "]}")])
def test_nesting_has_a_limit(opening: str, closing: str) -> None:
    """Thirty-two levels are read, the answer itself being the first; one more is a bad response."""
    levels = opening.count("{") + opening.count("[")
    fitting = math.floor(31 / levels)
    assert understand(_nested(fitting, opening, closing)) == balance_of("10.5", "2.3")
    beyond = _nested(32 // levels, opening, closing)
    assert refusal(beyond).message == f"{UNTRUSTED}it is nested too deep"


def test_nesting_beyond_the_stack_is_a_bad_response() -> None:
    """A document that would overflow the decoder's stack is refused like any other."""
    assert refusal("[" * 30_000 + "]" * 30_000).message == f"{UNTRUSTED}it is nested too deep"
    assert refusal('{"a":' * 9_000 + "1" + "}" * 9_000).message == f"{UNTRUSTED}it is nested too deep"


def test_a_wide_answer_is_no_deep_one() -> None:
    """Many small containers side by side are read."""
    assert understand(body_of(extra="[" + ",".join(["[[]]", '{"a":{}}'] * 500) + "]")) == balance_of("10.5", "2.3")


def test_what_the_server_sent_is_not_kept_in_an_exception() -> None:
    """The decoders' own exceptions hold the whole document, with whatever key the server echoed; ours do not."""
    for body in (f'{{"x":"{KEY}"', f'{{"x":"{KEY}","y":NaN}}', f'{{"x":"{KEY}","x":1}}'):
        error = refusal(body)
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        assert KEY not in "".join(traceback.format_exception(error))
    error = refusal(KEY.encode() + b"\xff")
    assert error.__suppress_context__


# --- failures the gateway reports -------------------------------------------------------------------------------

_PERFECT = body_of()


@pytest.mark.parametrize(("status", "kind", "message", "retryable"), [
    (401, AuthError, "the gateway rejected the API key (HTTP 401)", False),
    (402, PaymentRequiredError, "the gateway asks for payment (HTTP 402)", False),
    (429, UnavailableError, "the gateway limits the rate of requests (HTTP 429)", True),
    (408, UnavailableError, "the gateway could not answer (HTTP 408)", True),
    (500, UnavailableError, "the gateway could not answer (HTTP 500)", False),
    (501, UnavailableError, "the gateway could not answer (HTTP 501)", False),
    (502, UnavailableError, "the gateway could not answer (HTTP 502)", True),
    (503, UnavailableError, "the gateway could not answer (HTTP 503)", True),
    (504, UnavailableError, "the gateway could not answer (HTTP 504)", True),
    (505, UnavailableError, "the gateway could not answer (HTTP 505)", False),
    (529, UnavailableError, "the gateway could not answer (HTTP 529)", False),
    (599, UnavailableError, "the gateway could not answer (HTTP 599)", False),
    (404, BadResponseError, "there is no balance endpoint at this address (HTTP 404)", False),
    (100, BadResponseError, "the gateway answered with HTTP 100 where 200 was expected", False),
    (199, BadResponseError, "the gateway answered with HTTP 199 where 200 was expected", False),
    (201, BadResponseError, "the gateway answered with HTTP 201 where 200 was expected", False),
    (203, BadResponseError, "the gateway answered with HTTP 203 where 200 was expected", False),
    (204, BadResponseError, "the gateway answered with HTTP 204 where 200 was expected", False),
    (206, BadResponseError, "the gateway answered with HTTP 206 where 200 was expected", False),
    (299, BadResponseError, "the gateway answered with HTTP 299 where 200 was expected", False),
    (400, BadResponseError, "the gateway answered with HTTP 400 where 200 was expected", False),
    (405, BadResponseError, "the gateway answered with HTTP 405 where 200 was expected", False),
    (418, BadResponseError, "the gateway answered with HTTP 418 where 200 was expected", False),
    (499, BadResponseError, "the gateway answered with HTTP 499 where 200 was expected", False),
    (600, BadResponseError, "the gateway answered with HTTP 600 where 200 was expected", False),
    (999, BadResponseError, "the gateway answered with HTTP 999 where 200 was expected", False),
    (0, BadResponseError, "the gateway answered with HTTP 0 where 200 was expected", False),
])  # fmt: skip
@pytest.mark.parametrize("body", [_PERFECT, "", "<html>", '{"success":false,"message":7}', "\x00"])
def test_any_status_but_200_is_a_failure_whatever_the_body(
    status: int, kind: type[ApimartError], message: str, retryable: bool, body: str
) -> None:
    """The status decides first: a perfect body after a wrong status proves nothing."""
    error = refusal(body, status)
    assert type(error) is kind
    said = ": 7" if "7" in body else ""
    assert error.message == message + said
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


@pytest.mark.parametrize(("status", "hint"), _HINTS.items())
def test_every_failure_has_advice(status: int, hint: str) -> None:
    """The hint says what to do next."""
    assert refusal("", status).hint == hint


def test_a_gateway_without_an_account_endpoint_is_no_wrong_address() -> None:
    """Every gateway of this family has the key's endpoint alone for sure."""
    with pytest.raises(BadResponseError) as raised:
        interpret(Answer(404, "", b""), scope=Scope.ACCOUNT, redactor=Redactor(), fetched_at=datetime.now(UTC))
    assert raised.value.hint == "use --scope key: this gateway has no account endpoint"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_told_with_its_target_and_never_a_balance(status: int) -> None:
    """The error names where the gateway pointed, so that a wrong base URL is easily found."""
    told = f"(HTTP {status}), which is never followed"
    error = refusal(_PERFECT, status, "Found", "https://elsewhere.example/v1/balance")
    assert type(error) is BadResponseError
    assert error.message == (f"the gateway answered with a redirect to https://elsewhere.example/v1/balance {told}")
    for nowhere in (None, ""):
        assert refusal("", status, "Found", nowhere).message == f"the gateway answered with a redirect {told}"
    hostile = refusal("", status, "", f"https://h/\x1b[2J?key={KEY}")
    assert hostile.message == f"the gateway answered with a redirect to (withheld: it repeats the API key) {told}"
    assert "\\x1b" in refusal("", status, "", "https://h/\x1b").message


@pytest.mark.parametrize(("body", "reason", "said"), [
    ('{"error":{"message":"in an error object"}}', "Teapot", ": in an error object"),
    ('{"message":"at the top"}', "Teapot", ": at the top"),
    ('{"error":{"message":"inner"},"message":"outer"}', "Teapot", ": inner"),
    ('{"error":"text","message":"beside it"}', "Teapot", ": beside it"),
    ('{"error":{"message":null},"message":"outer"}', "Teapot", ": Teapot"),
    ('{"error":{"message":["x"]}}', "Teapot", ": Teapot"),
    ('{"message":42}', "Teapot", ": 42"), ("{}", "Teapot", ": Teapot"), ("", "Teapot", ": Teapot"),
    ("<html>", "Teapot", ": Teapot"), ("", "", ""), ("", "   ", ""), ('{"message":""}', "Teapot", ""),
    ('{"message":" \\n "}', "Teapot", ""),
    ('{"message":"a\\nb\\u001b[31m\\u202e ::error::x"}', "", ": a\\x0ab\\x1b[31m\\u202e :\\:error::x"),
    ('{"message":"' + "x" * 300 + '"}', "", ": " + "x" * 197 + "..."),
    (f'{{"message":"unknown key {KEY}"}}', "", ": (withheld: it repeats the API key)"),
    ("", f"Bad {KEY[4:14]}", ": (withheld: it repeats the API key)"),
    ('{"message":"key sk-other-people-s-key"}', "", ": key sk-..."),
])  # fmt: skip
def test_the_server_s_words_are_quoted_safely(body: str, reason: str, said: str) -> None:
    """The message comes from the body, else from the reason phrase: one short visible line without the key."""
    assert refusal(body, 418, reason).message == (f"the gateway answered with HTTP 418 where 200 was expected{said}")


@pytest.mark.parametrize(("fields", "kind", "message"), [
    ('"message":"Failed to get token info"', AuthError, "rejected the API key: Failed to get token info"),
    ('"message":"No Authorization header"', AuthError, "rejected the API key: No Authorization header"),
    ('"message":"获取令牌信息失败"', AuthError, "rejected the API key: 获取令牌信息失败"),
    ('"message":"密钥无效"', AuthError, "rejected the API key: 密钥无效"),
    ('"message":"无 Authorization 头"', AuthError, "rejected the API key: 无 Authorization 头"),
    ('"message":"invalid api key"', AuthError, "rejected the API key: invalid api key"),
    ('"message":"INVALID API-KEY"', AuthError, "rejected the API key: INVALID API-KEY"),
    ('"message":"bad api_key"', AuthError, "rejected the API key: bad api_key"),
    ('"message":"bad apikey"', AuthError, "rejected the API key: bad apikey"),
    ('"message":"Unauthorized"', AuthError, "rejected the API key: Unauthorized"),
    ('"message":"unauthorised"', AuthError, "rejected the API key: unauthorised"),
    ('"message":"no","code":401', AuthError, "rejected the API key: no"),
    ('"message":"no","code":403', AuthError, "rejected the API key: no"),
    ('"message":"no","code":"401"', AuthError, "rejected the API key: no"),
    ('"code":401', AuthError, "rejected the API key"),
    ('"message":"","code":401', AuthError, "rejected the API key"),
    ('"message":"quota query failed"', UnavailableError, "could not tell the balance: quota query failed"),
    ('"message":"查询用户额度失败"', UnavailableError, "could not tell the balance: 查询用户额度失败"),
    ('"message":"no","code":402', UnavailableError, "could not tell the balance: no"),
    ('"message":"no","code":4010', UnavailableError, "could not tell the balance: no"),
    ('"message":"no","code":null', UnavailableError, "could not tell the balance: no"),
    ('"message":"no","code":[401]', UnavailableError, "could not tell the balance: no"),
    ('"message":""', UnavailableError, "could not tell the balance"),
    ('"remain_balance":10,"used_balance":1', UnavailableError, "could not tell the balance"),
])  # fmt: skip
def test_a_failure_with_status_200_is_sorted_by_what_it_names(
    fields: str, kind: type[ApimartError], message: str
) -> None:
    """`success: false` is a matter of the key where the message or the code says so, else there is no answer."""
    error = refusal(f'{{"success":false,{fields}}}')
    assert type(error) is kind
    assert error.message == f"the gateway {message}"
    assert getattr(error, "retryable", False) is False
    assert error.hint == (_HINTS[401] if kind is AuthError else "try again later")


def test_the_words_of_a_failure_with_status_200_are_quoted_safely() -> None:
    """One short visible line, without the key."""
    assert refusal('{"success":false,"message":"a\\u001bb"}').message.endswith(": a\\x1bb")
    assert refusal(f'{{"success":false,"message":"{KEY} is no token"}}').message == (
        "the gateway rejected the API key: (withheld: it repeats the API key)"
    )


@pytest.mark.parametrize(
    ("message", "shown"),
    [("null", "null"), ("42", "the number 42"), ("true", "true"), ("{}", "an object"), ("[]", "a list")],
)
def test_a_failure_whose_message_is_no_text_is_a_bad_response(message: str, shown: str) -> None:
    """A failure must be told in the documented shape too."""
    error = refusal(f'{{"success":false,"message":{message}}}')
    assert type(error) is BadResponseError
    assert error.message == f"{UNTRUSTED}`message` is {shown}, not a string"


# --- readings ---------------------------------------------------------------------------------------------------


def test_scope_and_time_are_kept() -> None:
    """A balance knows whose it is and when it was fetched."""
    answer = Answer(200, "OK", body_of().encode())
    balance = interpret(answer, scope=Scope.ACCOUNT, redactor=Redactor(ApiKey(KEY, source="a test")), fetched_at=MOMENT)
    assert (balance.scope, balance.fetched_at) == (Scope.ACCOUNT, MOMENT)


def test_a_reading_is_a_balance_or_an_error() -> None:
    """One of them is there, the other is None."""
    balance, error = balance_of("10.5", "2.3"), AuthError("no")
    good, failed = Reading("work", Scope.KEY, None, balance), Reading("work", Scope.ACCOUNT, None, error)
    assert (good.balance, good.error) == (balance, None)
    assert (failed.balance, failed.error) == (None, error)
    assert (good.name, failed.name) == ("work/key", "work/account")


def test_an_error_in_place_of_success_is_told() -> None:
    """Where `success` is missing and the answer says why, the message says it, too."""
    error = refusal(body_of(success=None, error='{"message":"on leave"}'))
    assert error.message == f"{UNTRUSTED}`success` is missing; it says: on leave"


@pytest.mark.parametrize(("error", "said"), [
    ("{}", ""), ('{"message":"on leave"}', "; it says: on leave"), ('"account suspended"', ""), ("true", ""), ("1", ""),
    ("0.0", ""), ("[0]", ""),
])  # fmt: skip
@pytest.mark.parametrize("missing", [None, "remain_balance", "used_balance"])
def test_success_beside_an_error_contradicts_itself(missing: str | None, error: str, said: str) -> None:
    """Whatever else the answer holds, it proves nothing."""
    refused = refusal(body_of(**({missing: None} if missing else {}), error=error))
    assert type(refused) is BadResponseError
    assert refused.message == f"{UNTRUSTED}`success` is true, but there is an error{said}"


@pytest.mark.parametrize("error", ["null", "false", '""', "[]", "0", '"0"'])
def test_no_error_beside_success_is_none(error: str) -> None:
    """Gateways fill in what is not there."""
    assert understand(body_of(error=error)) == balance_of("10.5", "2.3")


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


@pytest.mark.parametrize("body", ['{"error":{"message":"no"}}', '{"error":{}}', '{"message":"no"}'])
def test_403_with_an_error_of_the_gateway_rejects_the_key(body: str) -> None:
    """It is the gateway's own word."""
    error = refusal(body, 403)
    assert type(error) is AuthError
    assert error.message.startswith("the gateway rejected the API key (HTTP 403)")
    assert error.hint == _HINTS[401]


@pytest.mark.parametrize(("server", "who"), [
    (None, "a bot check"), ("", "a bot check"), ("cloudflare", "a bot check of cloudflare"),
    ("x" * 50, f"a bot check of {'x' * 40}"), ("a\x1b[2Jb", "a bot check of a\\x1b[2Jb"),
    (f"for {KEY}", "a bot check of (withheld: it repeats the API key)"),
])  # fmt: skip
@pytest.mark.parametrize("status", [401, 403])
def test_a_bot_check_is_named_by_what_sent_it(status: int, server: str | None, who: str) -> None:
    """The header tells it, whatever the body says; the name of the server is data."""
    error = refusal('{"error":{"message":"wait"}}', status, server=server, mitigated="challenge")
    assert type(error) is BadResponseError
    assert error.message == f"{who} answered in place of the gateway (HTTP {status}): wait"
    assert type(refusal("", 503, server=server, mitigated="challenge")) is UnavailableError


def test_401_rejects_the_key_even_from_a_web_page() -> None:
    """The status speaks of the credentials of the request (RFC 9110), and the key is all there is."""
    assert type(refusal("<html>", 401)) is AuthError


SHORT = "the gateway says that the quota or the balance is used up (HTTP "


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 408, 418, 500, 503])
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


def test_with_429_only_a_code_says_no_money() -> None:
    """Its words are about the rate of requests."""
    coded = refusal('{"error":{"message":"","code":"quota_not_enough"}}', 429, "Busy")
    assert (type(coded), coded.message) == (PaymentRequiredError, f"{SHORT}429)")
    assert type(refusal('{"error":{"message":"insufficient balance"}}', 429)) is UnavailableError


def test_what_is_no_error_of_the_gateway_says_nothing_of_money() -> None:
    """A page about it, an answer that claims success, and a body that is no JSON."""
    for body in ("insufficient balance", "<p>insufficient balance</p>", '["insufficient balance"]', '{"x":"no money"}'):
        assert type(refusal(body, 500)) is UnavailableError
    assert type(refusal('{"success":true,"message":"insufficient balance"}', 500)) is UnavailableError
    assert understand(body_of(message='"insufficient balance"')) == balance_of("10.5", "2.3")


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
    """Nothing is guessed."""
    message = "[token_id=77] insufficient balance (current: some USD, required: 0.05 USD)"
    error = refusal(json.dumps({"error": {"message": message}}), 402)
    assert isinstance(error, PaymentRequiredError)
    assert error.in_short == "the account cannot pay (HTTP 402)"
    assert error.message == (
        "the gateway asks for payment (HTTP 402): insufficient balance (current: some USD, required: 0.05 USD)"
    )


def test_402_says_so_without_words() -> None:
    """Of several the error object counts; where there is no message, the reason phrase is told."""
    assert refusal('{"error":{}}', 402, "Pay").message == "the gateway asks for payment (HTTP 402): Pay"
    assert refusal('{"error":{"message":"[token_id=3]"}}', 402).message == "the gateway asks for payment (HTTP 402)"


@pytest.mark.parametrize(("age", "warning"), [
    ("61", None), ("61, 0", None), ("0, 3600", None), ("9999999999999999999", None), ("-5", None), ("", None),
    ("soon", None), ("1.5", None), ("\u0661", None), (None, '110 - "Response is Stale"'), ("0", "110"),
    (None, '112 - "Disconnected", 110 cache "stale"'),
])  # fmt: skip
def test_an_old_answer_from_a_cache_proves_nothing(age: str | None, warning: str | None) -> None:
    """The requests ask for a fresh answer; a cache that gives an old one says so, or says what nobody can read."""
    answer = Answer(200, "OK", body_of().encode(), age=age, warning=warning)
    with pytest.raises(BadResponseError) as caught:
        interpret(answer, scope=Scope.KEY, redactor=Redactor(), fetched_at=MOMENT)
    assert caught.value.message == f"{UNTRUSTED}it is an old answer from a cache"


@pytest.mark.parametrize(
    ("age", "warning"), [(None, None), ("0", None), (" 60 ", None), ("30, 60", '199 - "1110 and 110."'), ("0060", None)]
)
def test_an_answer_of_at_most_a_minute_is_fresh(age: str | None, warning: str | None) -> None:
    """The limit is inclusive, and other warnings are none."""
    answer = Answer(200, "OK", body_of().encode(), age=age, warning=warning)
    assert interpret(answer, scope=Scope.KEY, redactor=Redactor(), fetched_at=MOMENT) == balance_of("10.5", "2.3")


def test_only_a_word_of_the_gateway_is_marked_as_one() -> None:
    """HTTP 200 that cannot tell is the gateway's own word; a status of failure is what stands before it as well."""
    told = refusal('{"success":false,"message":"quota query failed"}')
    assert isinstance(told, UnavailableError)
    assert not told.is_silence
    for status in (408, 429, 500, 503):
        silent = refusal('{"success":false}', status)
        assert isinstance(silent, UnavailableError)
        assert silent.is_silence
