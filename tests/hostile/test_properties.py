"""Promises that hold for every input, tried on many: the project against the oracle, and invariants of text and money.

`python3 -m pytest tests/hostile/test_properties.py --hypothesis-profile=deep` tries fifty times as many, new ones each
time: more than half a million answers.
"""

import gzip
import json
import random
import re
import string
import zlib
from base64 import b32encode, b32hexencode, b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import quote as percent_encode

import hypothesis
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.config.values import parse_amount, parse_scope, parse_timeout, parse_unit
from apimart_cli.errors import (
    LONGEST_RETRY_AFTER,
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.gateway.failures import parse_retry_after
from apimart_cli.keys.key import WITHHELD, ApiKey, Redactor
from apimart_cli.output import format_of
from apimart_cli.rules.balance import Balance, Reading, spendable
from apimart_cli.rules.forecast import Forecast, lasts_at_least
from apimart_cli.rules.gate import Thresholds, judge
from apimart_cli.screen.writing import Screen
from apimart_cli.target import MAX_TIMEOUT, parse_base_url
from apimart_cli.text import QUOTE_LIMIT, quote, visible
from apimart_cli.words import ForecastState, OutputFormat, Scope
from hostile import oracle
from hostile.agreement import API_KEY, NOW, Answered, check_alike, judge_alike, read, receive
from hostile.answers import ANSWERS, ENTROPY, Choices, amount, number, question

T = TypeVar("T")
PROFILE = hypothesis.settings.get_current_profile_name()
SEARCH = {"quick": 0.05, "deep": 50}.get(PROFILE, 1)
EXCHANGES = int(1_000 * SEARCH)
"""How many checks of each kind of answer are tried; there are thirteen kinds."""


def tries(count: int) -> hypothesis.settings:
    """Try `count` examples, more or fewer as the profile says."""
    return hypothesis.settings(
        max_examples=max(10, int(count * SEARCH)), suppress_health_check=list(hypothesis.HealthCheck)
    )


def try_many(count: int, check: Callable[[Choices], object], seed: str = "") -> None:
    """Try `count` examples, more or fewer as the profile says; an error tells the bytes that its example is made of.

    They are the same in each run, but for a deep one. A loop of our own takes a third of the time of Hypothesis.
    """
    source = random.Random(None if PROFILE == "deep" else seed)
    for tried in range(max(10, int(count * SEARCH))):
        # The first one is the plainest choice everywhere.
        entropy = source.randbytes(ENTROPY) if tried else bytes(ENTROPY)
        try:
            check(Choices(entropy))
        except Exception as error:
            error.add_note(f"the example is Choices({entropy!r})")
            raise


REACHED = {
    "right": {0, 2, 3, 7}, "odd amounts": {0, 2, 3, 6}, "odd flags": {0, 2, 3, 5, 6}, "odd names": {0, 2, 3, 6},
    "failures": {2, 4, 5, 6}, "odd bytes": {0, 2, 3, 6}, "odd encodings": {0, 2, 3, 6}, "compressed": {0, 2, 3, 6},
    "nested": {0, 2, 3, 6}, "odd freshness": {0, 2, 3, 6}, "odd statuses": {0, 2, 3, 4, 5, 6},
    "shortages": {2, 3, 4, 5, 6}, "noise": {2, 3, 6},
}  # fmt: skip
"""The exit codes that checks of each kind end with, so that none of the generators goes barren unnoticed."""


def test_enough_exchanges_are_tried() -> None:
    """Every run of the tests tries at least 13,000 checks, a deep one at least 600,000."""
    assert PROFILE == "quick" or len(ANSWERS) * EXCHANGES >= (600_000 if PROFILE == "deep" else 13_000)
    assert set(ANSWERS) == set(REACHED)


@pytest.mark.parametrize("kind", ANSWERS)
def test_parser_and_gate_agree_with_the_oracle(kind: str) -> None:
    """Whatever a server answers, `check` ends as an independent reading of the contract says, and tells it safely."""
    ended: Counter[int] = Counter()
    try_many(1_000, lambda choose: ended.update([check_alike(question(choose, ANSWERS[kind]))]), kind)
    assert ended.total() >= EXCHANGES
    assert PROFILE == "quick" or set(ended) >= REACHED[kind]


_ERRORS = (
    UnavailableError, UnavailableError, UnavailableError, AuthError, BadResponseError, PaymentRequiredError, UsageError,
    ApimartError, partial(UnavailableError, was_told=True),
)  # fmt: skip
_FEW_AMOUNTS = tuple(map(Decimal, ("1", "0", "-1", "0.99", "1.00", "1.01", "2", "-0.5")))


def _reading(choose: Choices) -> Reading:
    """Any outcome of a question, also those that no parser would make."""
    result: Balance | ApimartError
    if choose.one_in(3):
        result = choose.of(_ERRORS)("no answer")
    else:
        remain = None if choose.one_in(4) else choose.of(_FEW_AMOUNTS)
        result = Balance(Scope.KEY, remain, abs(choose.of(_FEW_AMOUNTS)), remain is None, NOW)
    return Reading("default", Scope.KEY, None, result, forecast=choose.of(_FORECASTS))


def _thresholds(choose: Choices) -> Thresholds:
    least, most_used, shortest = choose.of(_WHICH)
    return Thresholds(
        abs(choose.of(_FEW_AMOUNTS)) if least else None,
        abs(choose.of(_FEW_AMOUNTS)) if most_used else None,
        timedelta(days=choose.number(3)) + timedelta(microseconds=choose.number(2)) if shortest else None,
    )


_WHICH = ((1, 0, 0), (1, 0, 1), (1, 0, 0), (0, 1, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1), (0, 0, 0), (0, 0, 1), (0, 0, 1))
"""Which of the three thresholds a reading is held to."""
_FORECASTS = (
    None,
    Forecast(ForecastState.TOO_LITTLE, Decimal("1.4")),
    Forecast(ForecastState.IDLE, Decimal(5), Decimal(0)),
    Forecast(ForecastState.UNLIMITED, Decimal(7), Decimal(1)),
    *(
        Forecast(state, Decimal(7), Decimal(1), Decimal(9), Decimal(low), high)
        for state in (ForecastState.OK, ForecastState.ROUGH)
        for low, high in (("0.999999999999", None), ("1", Decimal(9)), ("2.000000000001", Decimal(9)), ("3", None))
    ),
)


def test_the_gate_agrees_with_the_oracle_on_any_readings() -> None:
    """However many readings there are, and whatever failed, the verdict is the documented one."""
    try_many(1_500, _judge_any_readings)


def _judge_any_readings(choose: Choices) -> None:
    judged = [(_reading(choose), _thresholds(choose)) for _ in range(choose.number(4))]
    judge_alike(
        [reading for reading, _ in judged],
        [thresholds for _, thresholds in judged],
        oracle.Choices(choose.one_in(2), choose.one_in(2), choose.one_in(2)),
    )


def test_what_can_be_spent_agrees_with_the_oracle() -> None:
    """It passes only where key and account both prove it, whatever else is asked in the same go."""
    try_many(3_000, _judge_what_can_be_spent)


def _judge_what_can_be_spent(choose: Choices) -> None:
    judged = []
    for _ in range(1 + choose.number(2)):
        key, account = _reading(choose), _reading(choose)._replace(scope=Scope.ACCOUNT)
        judged.append((spendable(key, account), _thresholds(choose)))
        if choose.one_in(4):
            judged.append((_reading(choose), _thresholds(choose)))
    choices = oracle.Choices(choose.one_in(2), choose.one_in(2), choose.one_in(2))
    code = judge_alike([reading for reading, _ in judged], [thresholds for _, thresholds in judged], choices)
    if code == 0 and not choices.fail_open:
        for reading, thresholds in judged:
            for part in reading.parts:
                assert part.balance is not None
                remain = part.balance.remain_balance
                assert thresholds.min is None or remain is None or remain >= thresholds.min
                lasts = lasts_at_least(part.forecast, thresholds.min_runway or timedelta(0))
                assert lasts or thresholds.min_runway is None or remain is None or choices.untold_passes


@tries(600)
@given(
    st.binary(max_size=300) | st.binary(max_size=40).map(lambda data: data * 3_000),
    st.sampled_from(["", "gzip", "x-gzip", "GZIP", "identity", "br", "deflate", "gzip, gzip"]),
    st.sampled_from([gzip.compress, gzip.compress, gzip.compress, zlib.compress, bytes]),
    st.none() | st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=2)),
)
def test_a_body_arrives_exactly_or_not_at_all(
    plain: bytes, encoding: str, pack: Any, damage: tuple[float, bytes] | None
) -> None:
    """Whatever was compressed, cut or changed on the way: the exact bytes arrive, or a bad response."""
    body = pack(plain)
    if damage is not None:
        place = int(damage[0] * len(body))
        body = body[:place] + damage[1] + body[place + 1 :]
    try:
        expected = oracle.unpack(body, encoding)
    except oracle.UntrustworthyError:
        with pytest.raises(BadResponseError):
            receive(Answered(200, {"Content-Encoding": encoding}, body))
    else:
        assert receive(Answered(200, {"Content-Encoding": encoding}, body)).body == expected


_WIDE = Screen()


def test_every_output_shows_every_amount_exactly() -> None:
    """Any amount that is accepted is written with all its digits, as the same number, in every format."""
    accepted: Counter[bool] = Counter()
    try_many(2_500, lambda choose: accepted.update([_show_an_amount(choose)]))
    assert PROFILE == "quick" or accepted[True] >= 200


def _show_an_amount(choose: Choices) -> bool:
    """Hold an amount against what each format shows of it; return whether it is one that is accepted."""
    remain, used = amount(choose) if choose.one_in(4) else number(choose), number(choose).lstrip("-")
    body = f'{{"success":true,"remain_balance":{remain},"used_balance":{used},"used_credits":{used}}}'
    reading = read(Answered(200, {}, body.encode()))
    if reading.balance is None:
        return False
    expected = [Decimal(json.loads(remain, parse_float=str, parse_int=str)), Decimal(used)]

    document = json.loads(_rendered(reading, OutputFormat.JSON), parse_float=Decimal, parse_int=Decimal)
    assert document["used_credits"] == expected[1]
    row = re.split(" {2,}", _rendered(reading, OutputFormat.TABLE).splitlines()[-1].strip())
    line = _rendered_check(reading, OutputFormat.TABLE)
    shown = {
        "json": [document["remain_balance"], document["used_balance"]],
        "table": [Decimal(cell) for cell in row[2:4]],
        "value": [Decimal(_rendered(reading, OutputFormat.VALUE)), expected[1]],
        "check": [Decimal(line.split(" left")[0].split()[-1]), Decimal(line.split(" used")[0].split()[-1])],
    }
    for output, amounts in shown.items():
        assert [Fraction(amount) for amount in amounts] == [Fraction(amount) for amount in expected], output
        assert [_decimals(amount) for amount in amounts] == [_decimals(amount) for amount in expected], output
    return True


def _rendered(reading: Reading, output: OutputFormat) -> str:
    show = format_of(output).readings
    assert show is not None
    text = show([reading], _WIDE, 1)
    assert output is OutputFormat.TABLE or text.count("\n") == 1
    return text


def _rendered_check(reading: Reading, output: OutputFormat) -> str:
    show = format_of(output).checked
    assert show is not None
    return show(judge([(reading, Thresholds(max_used=Decimal(1)))]), _WIDE)


def _decimals(amount: Decimal) -> int:
    """How many digits stand after the point."""
    return max(0, -int(amount.as_tuple().exponent))


_PIECES = (
    "a", "error", "::", ":", "#", "##[", "##vso[", "[", " ", "\n", "\r", "\t", "\x00", "\x1b[31m", "\x9b", "\x7f",
    "\u200b", "\u202e", "\u2066", "\u2028", "\ufeff", "\ud800", "\udfff", "\xa0", "\u3000", "\\", "\\x41", "sk-",
    "sk-abcdef", "e\u0301", "\U0001f600", "\U000e0041", "\xe9", "a" * 99, " " * 150,
)  # fmt: skip
_NUMERALS = ("1", "0", "9", ".", "", "+", "-", "e", "_", ",", " ", "\n", "\u0661", "\uff11", "nan", "inf", "0x")
_DATES = (
    "Mon, ", "01 ", "31 ", "Jan ", "Feb ", "2026 ", "0001 ", "9999 ", "12:00:00 ", "99:99:99 ", "GMT", "+9999", "-0000",
    "1", "0", "-", ",", " ", "9" * 99, "\u0661", ";", "(", ")",
)  # fmt: skip
_URL_PIECES = (
    "localhost", "http://", "HTTP://", "https://", "//", "127.0.0.1", "[::1]", "::1", "[", "]", "evil.example", "@",
    ":", ":80", "/", "/v1", "?", "#", "%2e", "%00", "\\", ".", "0", "127.1", "2130706433", "0x7f.1", "[::1%25lo]",
    "[::ffff:127.0.0.1]", "\u3002", "\uff0f", "\u2100", "\t", "\n", " ", "user:secret@", "localhost.evil.example",
    "127.0.0.1.evil.example", "v1",
)  # fmt: skip


def text_of(choose: Choices, pieces: Sequence[str] = _PIECES) -> str:
    """Return a text made of these pieces and, now and then, of any character there is."""
    return "".join(
        chr(choose.number(choose.of((0x10FFFF, 0x3000, 0xFF)))) if choose.one_in(8) else choose.of(pieces)
        for _ in range(choose.number(12))
    )


def numeral(choose: Choices) -> str:
    """Return a text that is, or nearly is, a number, or any other that a hostile file or argument may hold."""
    return text_of(choose, choose.of((_NUMERALS, _PIECES)))


def try_texts(count: int, check: Callable[[str], None], text: Callable[[Choices], str] = text_of) -> None:
    """Try many texts that a hostile server, file or argument may hold."""
    try_many(count, lambda choose: check(text(choose)))


def test_an_amount_of_the_user_is_a_plain_decimal_or_a_usage_error() -> None:
    """Thresholds are read exactly, and nothing but a plain decimal is taken for one."""

    def check(text: str) -> None:
        value = _parsed(parse_amount, text)
        assert (value is not None) == bool(re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,30})?|\.[0-9]{1,30}", text))
        assert value is None or Fraction(value) == Fraction(text)

    try_texts(1_000, check, numeral)


def test_a_time_limit_of_the_user_limits_or_is_a_usage_error() -> None:
    """A time limit that was accepted ends: it is more than nothing and at most an hour."""

    def check(text: str) -> None:
        value = _parsed(parse_timeout, text)
        assert value is None or 0 < value <= MAX_TIMEOUT

    try_texts(1_000, check, numeral)


def test_a_word_of_the_user_is_understood_or_a_usage_error() -> None:
    """Scopes and units are taken as they are, or refused in words that are safe to show."""
    words = ("key", "account", "both", "spendable")

    def check(text: str) -> None:
        scopes, unit = _parsed(parse_scope, text), _parsed(parse_unit, text)
        assert (scopes is not None) == (text in words)
        assert unit is None or (unit == text and oracle.faults_of_text(unit) == [])

    try_texts(300, check, lambda choose: choose.of(words) if choose.one_in(4) else text_of(choose))


def test_no_base_url_takes_the_key_in_the_open_to_another_host() -> None:
    """A base URL that was accepted is https, or plain http to this machine in the eyes of the HTTP library as well."""

    def check(text: str) -> None:
        url = _parsed(parse_base_url, text)
        if url is None:
            return
        assert url.isascii()
        assert not set(url) & set(" ?#\\\t\r\n")
        assert "@" not in url.split("/")[2]
        assert not url.endswith("/")
        if not url.startswith("https://"):
            assert url.startswith("http://")
            with suppress(urllib3.exceptions.LocationParseError):  # then the library connects to nobody
                assert _is_this_machine(urllib3.util.parse_url(url + "/v1/balance").host)

    try_texts(2_000, check, lambda choose: choose.of(("http://", "https://", "")) + text_of(choose, _URL_PIECES))


def _is_this_machine(host: str | None) -> bool:
    return host == "localhost" or (host is not None and ip_address(host.strip("[]")).is_loopback)


def _parsed(parse: Callable[[str, str], T], text: str) -> T | None:
    """Return what a parser of settings makes of `text`, None where it is refused with a message safe to show."""
    try:
        return parse(text, "--option")
    except UsageError as error:
        refusal = error
    assert oracle.faults_of_text(f"{refusal.message} {refusal.hint}") == []
    assert len(refusal.message) <= QUOTE_LIMIT + 100
    assert "secret" not in refusal.message
    return None


def test_any_wish_for_a_pause_is_a_number_of_seconds_or_nothing() -> None:
    """A server may write anything into Retry-After without breaking the command. It is never more than a day."""

    def check(text: str) -> None:
        seconds = parse_retry_after(text, datetime.now(UTC))
        assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER

    try_texts(1_000, check, lambda choose: text_of(choose, _DATES))


@pytest.mark.parametrize(("text", "seconds"), [
    ("0", 0), ("86399", 86399), ("86401", LONGEST_RETRY_AFTER), ("9999999999", LONGEST_RETRY_AFTER),
    ("9" * 400, LONGEST_RETRY_AFTER), ("9" * 5000, LONGEST_RETRY_AFTER),
    ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
    ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_RETRY_AFTER),
    ("Mon, 01 Jan 0001 00:00:00 +2359", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("-5", None), ("1e9", None),
    ("inf", None), ("nan", None), ("", None),
])  # fmt: skip
def test_a_wish_for_a_pause_is_bounded_where_it_is_read(text: str, seconds: float | None) -> None:
    """So that nothing that waits for it can wait for ever, or longer than a clock can count."""
    assert parse_retry_after(text, datetime.now(UTC)) == seconds


def test_shown_text_is_harmless_short_and_honest() -> None:
    """It is one line, holds nothing forbidden and looks like no key; in ASCII, and shown again, it is the same."""

    def check(text: str) -> None:
        shown, quoted = visible(text), quote(text)
        narrow = shown.encode("ascii", "backslashreplace").decode("ascii")
        for each in (shown, quoted, narrow):
            assert oracle.faults_of_text(each) == []
            assert len(each.splitlines()) <= 1
            assert not re.search(r"(?<![A-Za-z])sk-[A-Za-z0-9_-]{4}|sk-[0-9][A-Za-z0-9]{15}", each)
            assert visible(each) == each
        assert quote(quoted) == quoted
        assert len(quoted) <= QUOTE_LIMIT
        if quoted != visible(text.strip()):
            assert quoted.endswith("...")
            assert max(len(text), len(shown)) > QUOTE_LIMIT
        # Beyond what is changed on purpose (commands, keys, wide spaces) the original can be read back.
        if not re.search(r"\\|::|#|sk-", text):
            plain_spaces = re.sub(r"[^\S\x00-\x9f\u2028\u2029]", " ", text)
            assert narrow.encode().decode("unicode_escape") == plain_spaces

    try_texts(2_000, check)
    # Blanks in front of a long text do not hide that it was cut.
    check(" " + "a" * (QUOTE_LIMIT + 1))


_SEPARATORS = ("", "", "", " ", "\u200b", "\u200d", "\ufeff", "\xad", "\n", "\t ", "\x00")
_RECASINGS: Sequence[Callable[[str], str]] = (str, str.upper, str.lower, str.swapcase)
_DISGUISES: Mapping[str, Callable[[str], Sequence[str]]] = {
    "plain": str,
    "percent": lambda piece: [f"%{ord(character):02x}" for character in piece],
    "percent where needed": lambda piece: [percent_encode(character, safe="") for character in piece],
    "base64": lambda piece: b64encode(piece.encode()).decode(),
    "base64 from within a group": lambda piece: b64encode(f"x{piece}yz".encode()).decode(),
    "hex": lambda piece: piece.encode().hex(),
    "entities": lambda piece: [f"&#{ord(character)};" for character in piece],
    "escapes of JSON": lambda piece: [f"\\u{ord(character):04x}" for character in piece],
    "escapes of C": lambda piece: [f"\\x{ord(character):02X}" for character in piece],
    "octal escapes": lambda piece: [f"\\{ord(character):03o}" for character in piece],
    "octal escapes of a shell": lambda piece: [f"\\0{ord(character):03o}" for character in piece],
    "base32": lambda piece: b32encode(piece.encode()).decode().rstrip("="),
    "base32 from within a group": lambda piece: b32encode(f"xyz{piece}z".encode()).decode(),
    "base32 for sorting": lambda piece: b32hexencode(f"x{piece}yz".encode()).decode(),
    "bytes as Go prints them": lambda piece: [f"{ord(character)} " for character in piece],
    "bytes as Go writes them": lambda piece: [f"0x{ord(character):x}, " for character in piece],
    "code points as Go prints them": lambda piece: [f" U+{ord(character):04X}" for character in piece],
    "bytes as od prints them": lambda piece: [f" {ord(character):03o}" for character in piece],
    "bits": lambda piece: [f"{ord(character):08b} " for character in piece],
}


def _key(choose: Choices) -> str:
    """A key of the usual alphabet, or of all that a key may have."""
    length = 8 + choose.number(20)
    if choose.one_in(2):
        return "".join(chr(33 + choose.number(126 - 33)) for _ in range(length))
    return "sk-" + "".join(choose.of(string.ascii_letters + string.digits + "-_") for _ in range(length))


@pytest.mark.parametrize("disguise", _DISGUISES)
def test_no_disguise_brings_a_piece_of_the_key_through(disguise: str) -> None:
    """Eight characters of a key are recognised plain, encoded, broken up or in another letter case."""

    def is_withheld(choose: Choices) -> None:
        key = _key(choose)
        start = choose.number(len(key) - 8)
        piece = key[start : start + 8 + choose.number(len(key) - start - 8)]
        hidden = choose.of(_RECASINGS)(choose.of(_SEPARATORS).join(_DISGUISES[disguise](piece)))
        # What comes after the first few hundred characters of a message is not shown, so it is not looked at either.
        text = f"{text_of(choose)[:400]} {hidden} {text_of(choose)}"
        assert Redactor(ApiKey(key, source="the test")).quote(text) == WITHHELD

    try_many(200, is_withheld, disguise)


@tries(400)
@given(
    st.sampled_from([200, 302, 401, 402, 404, 429, 500]),
    st.sampled_from(["success", "remain_balance", "used_credits", "unlimited_quota", "message", "error"]),
    st.integers(0, len(API_KEY) - 8),
    st.integers(8, len(API_KEY)),
    st.booleans(),
)
def test_no_message_repeats_the_key_that_an_answer_echoes(
    status: int, field: str, start: int, length: int, is_nested: bool
) -> None:
    """A server that echoes the key in whatever field, header or status line never sees it printed."""
    piece = API_KEY.reveal()[start : start + length]
    echo = {"message": f"rejected: {piece}"} if is_nested else f"rejected: {piece}"
    fields = {"success": field == "message", "remain_balance": 1, "used_balance": 1, field: echo}
    answered = Answered(status, {"Location": f"https://host/{piece}"}, json.dumps(fields).encode(), f"No {piece}")
    error = read(answered).error
    if len(piece) >= 8 and error is not None:
        assert piece.casefold() not in f"{error.message} {error.hint} {error!r}".casefold()
