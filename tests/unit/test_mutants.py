"""Details that only a deliberate fault in the parser, the gate or the cleaning of text showed to be held by no test."""

import json
from decimal import Decimal
from traceback import walk_tb
from typing import Any

import pytest

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import AuthError, BadResponseError
from apimart_cli.gate import Thresholds, judge_reading
from apimart_cli.gateway.answer import Answer, interpret
from apimart_cli.keys.key import ApiKey
from apimart_cli.text import visible
from apimart_cli.words import Outcome, Scope
from hostile.agreement import NOW, Answered, read

WITHHELD = "(withheld: it repeats the API key)"


@pytest.mark.parametrize("missing", ["success", "remain_balance", "used_balance"])
def test_an_error_in_place_of_a_field_is_told(missing: str) -> None:
    """Where a field is missing and the answer says why, the message says it, too."""
    fields: dict[str, Any] = {"success": True, "remain_balance": 1, "used_balance": 1, "error": {"message": "on leave"}}
    del fields[missing]
    error = read(Answered(200, {}, json.dumps(fields).encode())).error
    assert isinstance(error, BadResponseError)
    assert f"`{missing}` is missing; it says: on leave" in error.message


@pytest.mark.parametrize("amount", ["1\u0662", "1\uff12", "1.\u0665", "1.5\u0665", "\u0661"])
def test_digits_of_other_scripts_are_no_amount(amount: str) -> None:
    """Python reads the digits of every script as numbers; JSON and the gateway know ten."""
    body = json.dumps({"success": True, "remain_balance": amount, "used_balance": 1})
    assert isinstance(read(Answered(200, {}, body.encode())).error, BadResponseError)


def test_a_result_that_is_nothing_of_the_kind_is_named() -> None:
    """A reading that is neither a balance nor an error stops the gate and says what it was."""
    with pytest.raises(AssertionError, match="nothing of the kind"):
        judge_reading(Reading("default", Scope.KEY, None, "nothing of the kind"), Thresholds())  # type: ignore[arg-type]


def test_a_threshold_that_is_not_given_is_none() -> None:
    """One threshold alone asks nothing of the other amount, and none at all is no threshold."""
    empty_and_used = Balance(Scope.KEY, Decimal(-2), Decimal(9), False, NOW)
    reading = Reading("default", Scope.KEY, None, empty_and_used)
    assert judge_reading(reading, Thresholds(max_used=Decimal(9))) is Outcome.PASS
    assert judge_reading(reading, Thresholds(min=Decimal(-2))) is Outcome.PASS
    assert not Thresholds().are_set


@pytest.mark.parametrize("key", ["!" * 8, "~" * 8, "!~!~!~!~", "a!b~c!d~"])
def test_a_key_of_the_first_and_last_printable_characters_is_found(key: str) -> None:
    """Every character that a key may have counts when it is looked for."""
    assert ApiKey(key, source="the test").quote(f"rejected {key}") == WITHHELD


def test_a_key_that_looks_escaped_in_every_way_is_found() -> None:
    """A key that spells escapes of several kinds is found as it is: reading the escapes hides no key."""
    key = "%41&#65;\\x41"
    assert ApiKey(key, source="the test").quote(f"rejected {key}") == WITHHELD


def test_fewer_than_eight_characters_of_a_key_are_no_leak() -> None:
    """Server text is withheld for eight characters of the key, not for seven."""
    key = ApiKey("abcdefghijklmnop", source="the test")
    assert key.quote("rejected jklmnop") == "rejected jklmnop"
    assert key.quote("rejected ijklmnop") == WITHHELD


def test_a_key_of_eight_characters_is_one_piece() -> None:
    """The shortest key that has a piece is withheld whole, and its end alone is not."""
    key = ApiKey("ijklmnop", source="the test")
    assert key.quote("rejected jklmnop") == "rejected jklmnop"
    assert key.quote("rejected ijklmnop") == WITHHELD
    assert ApiKey("klmn", source="the test").quote("rejected lmn") == "rejected lmn"


def test_a_malformed_key_comes_with_a_hint() -> None:
    """Who has no usable key is told what to do next."""
    with pytest.raises(AuthError) as refusal:
        ApiKey("", source="the test")
    assert refusal.value.hint == "copy the key again from the gateway's key page; it is one word that starts with sk-"


def test_a_malformed_key_is_in_no_frame_of_its_refusal() -> None:
    """Reporters of exceptions show what every frame holds: of a key that was refused there is nothing to show."""
    with pytest.raises(AuthError) as refusal:
        ApiKey("two words", source="the test")
    held = [value for frame, _ in walk_tb(refusal.tb) for value in frame.f_locals.values()]
    assert [value.reveal() for value in held if isinstance(value, ApiKey)] == [""]


def test_a_key_that_looks_encoded_is_found_as_it_is() -> None:
    """Every eight characters of it mean something else when they are decoded, in each of the ways."""
    characters = 3 * r"%41\x42&lt"
    assert ApiKey(characters, source="the test").quote(f"rejected {characters}") == WITHHELD


def test_what_cannot_be_decoded_is_withheld() -> None:
    """Nobody can tell what an entity of more digits than a number may have stands for."""
    assert ApiKey("sk-12345678", source="the test").quote(f"rejected &#{5000 * '1'};") == WITHHELD


def test_the_last_character_of_the_basic_plane_has_a_short_escape() -> None:
    """Escapes have two, four or eight digits, whichever is the fewest that do."""
    assert visible("\x9f\u0378\uffff\U000e0001") == "\\x9f\\u0378\\uffff\\U000e0001"


@pytest.mark.parametrize("text", ["\u4eba\u3005", "\u0915\u093e", "\u02b0"])
def test_marks_with_a_place_of_their_own_are_shown(text: str) -> None:
    """A letter that repeats or follows another, and does not lie over it, is shown like any other."""
    assert visible(text) == text


def test_the_parser_needs_no_more_than_the_answer() -> None:
    """A balance keeps whose it is and when it came, as the caller said."""
    answer = Answer(200, "OK", b'{"success":true,"remain_balance":1,"used_balance":2}')
    assert answer.location is None
    balance = interpret(answer, scope=Scope.ACCOUNT, key=ApiKey("sk-12345678", source="the test"), fetched_at=NOW)
    assert (balance.scope, balance.fetched_at) == (Scope.ACCOUNT, NOW)
