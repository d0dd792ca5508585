"""The API key: checked before any library sees it, and masked wherever it might be printed."""

import base64
import traceback
from traceback import walk_tb
from urllib.parse import quote as percent

import pytest

from apimart_cli.errors import AuthError
from apimart_cli.keys.key import MAX_LENGTH, ApiKey
from support.running import KEY

WITHHELD = "(withheld: it repeats the API key)"


@pytest.fixture
def key() -> ApiKey:
    return ApiKey(KEY, source="a test")


@pytest.mark.parametrize(
    ("characters", "fault"),
    [
        ("", "is empty"),
        ("sk-" + "x" * (MAX_LENGTH - 2), "is longer than 4096 characters"),
        ("sk-Zq7Wm3Xc\n", "has a line break in it"),
        ("sk-Zq7Wm3Xc\rX-Other: 1", "has a line break in it"),
        ("sk-Zq7W m3Xc", "has white space in it"),
        (" sk-Zq7Wm3Xc", "has white space in it"),
        ("sk-Zq7Wm3Xc\t", "has white space in it"),
        ("sk-Zq7Wm3Xc\xa0", "has white space in it"),
        ("sk-Zq7Wm3Xc…", "has a character in it that is not printable ASCII"),
        ("sk-Zq7Wm3Xcé", "has a character in it that is not printable ASCII"),
        ("sk-Zq7Wm3Xc\x00", "has a character in it that is not printable ASCII"),
        ("sk-Zq7Wm3Xc\x7f", "has a character in it that is not printable ASCII"),
        ("sk-Zq7Wm3Xc\u200b", "has a character in it that is not printable ASCII"),
        ("\ufeffsk-Zq7Wm3Xc", "has a character in it that is not printable ASCII"),
    ],
)
def test_a_malformed_key_is_refused_by_source_and_fault(characters: str, fault: str) -> None:
    """The error says where the key came from and what is wrong with it, and shows nothing of it."""
    with pytest.raises(AuthError) as caught:
        ApiKey(characters, source="MY_VARIABLE")
    assert caught.value.message == f"the API key from MY_VARIABLE {fault}"
    assert caught.value.hint is not None
    assert "Zq7W" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("characters", ["sk-abc", "!", "~", "a" * MAX_LENGTH, "sk-[red]%2F'\"\\"])
def test_one_word_of_printable_ascii_is_a_key(characters: str) -> None:
    """Every printable ASCII character may stand in a key; what it must look like is the gateway's business."""
    assert ApiKey(characters, source="a test").reveal() == characters


def test_a_key_shows_only_its_length(key: ApiKey) -> None:
    """However a key is printed, its characters are not."""
    for shown in (str(key), repr(key), f"{key}", f"{[key]}", "%s" % key):  # noqa: UP031  # one more way to print
        assert "26 characters" in shown
        assert "Zq7" not in shown
    assert len(key) == len(KEY) == 26


def test_a_key_takes_no_other_attributes(key: ApiKey) -> None:
    """There is no `__dict__` that a debugger or a pretty traceback would print."""
    assert not hasattr(key, "__dict__")


def _split(text: str, by: str) -> str:
    return by.join(text)


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY.upper(),
        KEY[:8],
        KEY[-8:],
        KEY[9:17],
        f"token {KEY} is unknown",
        _split(KEY, " "),
        _split(KEY, "\u200b"),
        _split(KEY, "-"),
        percent(KEY),
        "".join(f"%{ord(character):02x}" for character in KEY),
        "".join(f"&#{ord(character)};" for character in KEY),
        "".join(f"&#x{ord(character):x};" for character in KEY),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
        base64.b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        base64.b64encode(f"me:{KEY} and more".encode()).decode(),
        repr(KEY.encode()),
        "".join(f"\\x{ord(character):02x}" for character in KEY),
        "".join(f"\\u{ord(character):04X}" for character in KEY),
        "".join(f"\\{ord(character):03o}" for character in KEY),
    ],
)
def test_server_text_that_repeats_the_key_is_withheld(key: ApiKey, echo: str) -> None:
    """A message with a piece of the key in it, plain or encoded, is not shown at all."""
    assert key.is_echoed_in(echo)
    assert key.quote(echo) == "(withheld: it repeats the API key)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "invalid API key (request id: 20260922101500)",
        KEY[3:10],
        "no such token",
        "令牌不存在",
        "%zz &#; &#xffffffff;",
    ],
)
def test_server_text_without_the_key_is_quoted(key: ApiKey, text: str) -> None:
    """Messages that repeat no piece of the key are shown like any foreign text."""
    assert not key.is_echoed_in(text)
    assert key.quote(f" {text}\x1b") == f"{text}\\x1b"


def test_a_long_message_of_the_server_is_cut(key: ApiKey) -> None:
    """The limit for foreign text holds for messages that are checked for the key too."""
    assert key.quote("y" * 300) == "y" * 197 + "..."


def test_a_short_key_is_one_piece() -> None:
    """Of a key shorter than a piece, the whole is looked for, and not its parts."""
    short = ApiKey("sk-Q7", source="a test")
    assert short.is_echoed_in("was: SK Q7")
    assert not short.is_echoed_in("Q7")


def test_a_key_of_punctuation_is_found_too() -> None:
    """A key without letters and digits does not slip through."""
    odd = ApiKey("!?%&/(){}", source="a test")
    assert odd.is_echoed_in("your key !?%&/(){} is wrong")
    assert not odd.is_echoed_in("your key is wrong")
    assert not ApiKey("-", source="a test").is_echoed_in("")


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
