"""One redactor for every key of a run: what repeats a piece of one, plain or encoded, is not shown."""

import base64
import json
import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote as percent

import pytest

from apimart_cli.keys import echo as redacting
from apimart_cli.keys.echo import Pieces
from apimart_cli.keys.key import LOOKED_AT, MOST_REMEMBERED, MUTE, SHORTEST_CUT, WITHHELD, ApiKey, Redactor
from support.running import KEY


def redactor_of(*keys: str) -> Redactor:
    return Redactor(*(ApiKey(key, source="a test") for key in keys))


@pytest.fixture
def redactor() -> Redactor:
    return redactor_of(KEY)


def _split(text: str, by: str) -> str:
    return by.join(text)


NUMBERS: dict[str, Callable[[str], str]] = {
    "%v": lambda text: f"[{' '.join(str(each) for each in text.encode())}]",
    "%#v": lambda text: f"[]byte{{{', '.join(f'{each:#x}' for each in text.encode())}}}",
    "%d of Python": lambda text: str(list(text.encode())), "% x": lambda text: text.encode().hex(" "),
    "%# x": lambda text: " ".join(f"{each:#x}" for each in text.encode()),
    "%# X": lambda text: " ".join(f"0X{each:02X}" for each in text.encode()),
    "%U": lambda text: f"[{' '.join(f'U+{each:04X}' for each in text.encode())}]",
    "%#U": lambda text: f"[{' '.join(f'U+{ord(each):04X} {each!r}' for each in text)}]",
    "%c": lambda text: f"[{' '.join(text)}]", "%q of runes": lambda text: f"[{' '.join(map(repr, text))}]",
    "%q": lambda text: f'"{text}"', "%o": lambda text: f"[{' '.join(f'{each:o}' for each in text.encode())}]",
    "%#o": lambda text: f"[{' '.join(f'0{each:o}' for each in text.encode())}]",
    "%O": lambda text: f"[{' '.join(f'{each:#o}' for each in text.encode())}]",
    "od": lambda text: "0000000 " + " ".join(f"{each:03o}" for each in text.encode()) + "\n0000032",
    "%b": lambda text: f"[{' '.join(f'{each:b}' for each in text.encode())}]",
    "%08b": lambda text: " ".join(f"{each:08b}" for each in text.encode()),
    "%#b": lambda text: " ".join(f"{each:#b}" for each in text.encode()),
    "%d of UTF-16": lambda text: " ".join(str(each) for each in text.encode("utf-16-le")),
}  # fmt: skip
"""The ways of Go, Python and od to print bytes, each by the verb for it."""


def words_of(text: str, size: int, form: str, order: Literal["little", "big"] = "little") -> str:
    """The words of so many bytes of which a text is made, after the place of its first byte, sixteen bytes a line."""
    raw = text.encode()
    groups = [int.from_bytes(raw[place : place + size], order) for place in range(0, len(raw), size)]
    lines = [groups[place : place + 16 // size] for place in range(0, len(groups), 16 // size)]
    return "\n".join(f"{16 * row:07o} {' '.join(form % each for each in line)}" for row, line in enumerate(lines))


WORDS: dict[str, Callable[[str], str]] = {
    "od": lambda text: words_of(text, 2, "%06o"), "od -x": lambda text: words_of(text, 2, "%04x"),
    "od -d": lambda text: words_of(text, 2, "%5d"), "od -t x4": lambda text: words_of(text, 4, "%08x"),
    "od -t o4": lambda text: words_of(text, 4, "%011o"), "od -t x8": lambda text: words_of(text, 8, "%016x"),
    "od -t o8": lambda text: words_of(text, 8, "%022o"), "od -t u8": lambda text: words_of(text, 8, "%20d"),
    "od --endian=big": lambda text: words_of(text, 2, "%06o", "big"),
    "words of four bytes": lambda text: str([int.from_bytes(text.encode()[at : at + 4]) for at in range(0, 24, 4)]),
}  # fmt: skip
"""Bytes in words, as `od`, `hexdump` and `xxd -e` print them unless they are told otherwise."""

PLACES: dict[str, Callable[[str], str]] = {
    "JSON": lambda text: json.dumps({str(place): each for place, each in enumerate(text)}),
    "JSON of bytes": lambda text: json.dumps({str(place): each for place, each in enumerate(text.encode())}),
    "JSON of bytes, later ones": lambda text: json.dumps({str(at): each for at, each in enumerate(text.encode(), 90)}),
    "print_r": lambda text: "\n".join(f"    [{place}] => {each}" for place, each in enumerate(text)),
    "var_export": lambda text: ", ".join(f"{place} => '{each}'" for place, each in enumerate(text)),
    "var_dump": lambda text: " ".join(f"[{place}]=> int({each})" for place, each in enumerate(text.encode())),
    "%v of a map": lambda text: f"map[{' '.join(f'{place}:{each}' for place, each in enumerate(text.encode(), 40))}]",
    "fragments": lambda text: " ".join(f"[{place}]{text[place : place + 4]}" for place in range(0, len(text), 4)),
}
"""Lists with the place before each member, as PHP, JavaScript and Go write them."""

OCTAL: list[Callable[[str], str]] = [
    lambda character: f"\\{ord(character):o}",
    lambda character: f"\\{ord(character):03o}",
    lambda character: f"\\0{ord(character):o}",
    lambda character: f"\\0{ord(character):03o}",
    lambda character: f"\\\\{ord(character):03o}",
]
"""Escapes that a shell or C reads: `$'\\163'`, `printf '\\163'`, `echo -e '\\0163'`."""

BASE32 = [base64.b32encode, base64.b32hexencode]


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
        "".join(f"\\U{ord(character):08x}" for character in KEY),
        "".join(f"\\u{{{ord(character):x}}}" for character in KEY),
        "".join(f"\\\\u{ord(character):04x}" for character in KEY),
        "".join(f"={ord(character):02X}" for character in KEY),
        "".join(f"&amp;#{ord(character)};" for character in KEY),
        "".join(f"&amp;amp;#x{ord(character):x};" for character in KEY),
        "".join(f"%2525{ord(character):02x}" for character in KEY),
        "".join(f"%26%23{ord(character)};" for character in KEY),
        "".join(chr(ord(character) + 0xFEE0) for character in KEY),
        percent("".join(chr(ord(character) + 0xFEE0) for character in KEY)),
        base64.b64encode(KEY.encode("utf-16")).decode(),
        base64.b64encode(KEY.encode("utf-16-be")).decode(),
        _split(base64.b64encode(KEY.encode("utf-16-le")).decode(), "\n"),
        percent(base64.b64encode(KEY.encode("utf-16-le")).decode()),
        "".join(f"={ord(character):02x}" if place % 2 else character for place, character in enumerate(KEY)),
        "".join(f"={ord(character):02x}" if character in "stqWVrpvwxyz0123456789" else character for character in KEY),
        _split(base64.b64encode(KEY.encode("utf-16-le")).decode(), "-"),
        base64.b64encode(f"{'x' * 100}{KEY[-8:]}".encode("utf-16-le")).decode(),
        f"{'x' * 100}{KEY[-8:]}".encode("utf-16-le").hex(),
        KEY.encode("utf-16-le").hex().upper(),
        KEY.encode("utf-16-le").hex(),
        KEY.encode("utf-16-be").hex(":"),
        *(form(KEY) for form in NUMBERS.values()),
        *(form(KEY[-8:]) for form in NUMBERS.values()),
        *(form(KEY) for form in WORDS.values()),
        *(form(KEY).upper() for form in WORDS.values()),
        *(form(f"x{KEY[:8]}x") for name, form in WORDS.items() if name != "words of four bytes"),
        *(form(KEY) for form in PLACES.values()),
        *(percent(form(KEY)) for form in PLACES.values()),
        "".join(f"%u{ord(character):04X}" for character in KEY),
        *("".join(escape(character) for character in KEY) for escape in OCTAL),
        *("".join(character if character.isalpha() else escape(character) for character in KEY) for escape in OCTAL),
        *("".join(escape(each) if place % 2 else each for place, each in enumerate(KEY)) for escape in OCTAL),
        " ".join(re.findall(".{1,3}", KEY.encode("utf-16-le").hex())),
        *(encode(f"{'x' * before}{KEY}".encode()).decode() for encode in BASE32 for before in range(5)),
        *(
            encode(f"{'x' * before}{KEY[-8:]}".encode()).decode().rstrip("=")
            for encode in BASE32
            for before in range(5)
        ),
        *(encode(f"xx{KEY}".encode()).decode().lower()[start:] for encode in BASE32 for start in range(12)),
        *(_split(encode(KEY[:8].encode()).decode(), "-") for encode in BASE32),
        *(f"the token {encode(KEY[3:11].encode()).decode().rstrip('=')} is no token" for encode in BASE32),
        *(encode(KEY.encode("utf-16-le")).decode() for encode in BASE32),
    ],
)
def test_server_text_that_repeats_the_key_is_withheld(redactor: Redactor, echo: str) -> None:
    """A message with a piece of the key in it, plain or encoded, is not shown at all."""
    assert redactor.quote(echo) == WITHHELD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "invalid API key (request id: 20260922101500)",
        KEY[3:10],
        "no such token",
        "令牌不存在",
        "%zz &#; &#xffffffff;",
        "quota 115 of 107, 90 left (116, 101, 115, 116, 45); token 90 is in group 113",
        "at 0x7ffd5e8c 0x73 0x6b: 12 goroutines, 1999999999999 bytes, U+10FFFF",
        "\\123\\456 \\4 \\8 \\01",
        *(form(KEY[3:10]) for name, form in NUMBERS.items() if name not in {"% x", "od", "%q", "%q of runes", "%#U"}),
        *(WORDS[name](KEY[3:10]) for name in ("od", "od -x", "od -t x8")),
        *(PLACES[name](KEY[3:10]) for name in ("JSON", "JSON of bytes", "%v of a map")),
    ],
)
def test_server_text_without_the_key_is_quoted(redactor: Redactor, text: str) -> None:
    """Messages that repeat no piece of the key are shown like any foreign text."""
    assert redactor.quote(f" {text}\x1b") == f"{text}\\x1b"


def test_a_long_message_of_the_server_is_cut(redactor: Redactor) -> None:
    """The limit for foreign text holds for messages that are checked for the key too."""
    assert redactor.quote("y" * 300) == "y" * 197 + "..."


def test_a_short_key_is_one_piece() -> None:
    """Of a key shorter than a piece, the whole is looked for, and not its parts."""
    short = redactor_of("sk-Q7")
    assert short.quote("was: SK Q7") == WITHHELD
    assert short.quote("Q7") == "Q7"


def test_a_key_of_punctuation_is_found_too() -> None:
    """A key without letters and digits does not slip through."""
    odd = redactor_of("!?%&/(){}")
    assert odd.quote("your key !?%&/(){} is wrong") == WITHHELD
    assert odd.quote("your key is wrong") == "your key is wrong"
    assert redactor_of("-").quote("") == ""


@pytest.mark.parametrize("key", ["!" * 8, "~" * 8, "!~!~!~!~", "a!b~c!d~"])
def test_a_key_of_the_first_and_last_printable_characters_is_found(key: str) -> None:
    """Every character that a key may have counts when it is looked for."""
    assert redactor_of(key).quote(f"rejected {key}") == WITHHELD


def test_a_key_that_looks_escaped_in_every_way_is_found() -> None:
    """A key that spells escapes of several kinds is found as it is: reading the escapes hides no key."""
    key = "%41&#65;\\x41"
    assert redactor_of(key).quote(f"rejected {key}") == WITHHELD


def test_fewer_than_eight_characters_of_a_key_are_no_leak() -> None:
    """Server text is withheld for eight characters of the key, not for seven."""
    key = redactor_of("abcdefghijklmnop")
    assert key.quote("rejected jklmnop") == "rejected jklmnop"
    assert key.quote("rejected ijklmnop") == WITHHELD


def test_a_key_of_eight_characters_is_one_piece() -> None:
    """The shortest key that has a piece is withheld whole, and its end alone is not."""
    key = redactor_of("ijklmnop")
    assert key.quote("rejected jklmnop") == "rejected jklmnop"
    assert key.quote("rejected ijklmnop") == WITHHELD
    assert redactor_of("klmn").quote("rejected lmn") == "rejected lmn"


def test_a_key_that_looks_encoded_is_found_as_it_is() -> None:
    """Every eight characters of it mean something else when they are decoded, in each of the ways."""
    characters = 3 * r"%41\x42&lt"
    assert redactor_of(characters).quote(f"rejected {characters}") == WITHHELD


def test_what_cannot_be_decoded_counts_as_an_echo() -> None:
    """Nobody can tell what an entity of more digits than a number may have stands for."""
    assert Pieces().plus(["sk-12345678"]).are_in(f"rejected &#{5000 * '1'};")


def test_a_text_that_can_be_read_in_too_many_ways_counts_as_an_echo() -> None:
    """Encodings in encodings in encodings: looking at all of them would take long, and no honest message has them."""
    ways = ("%2541", "&amp;#65;", r"\x5cx41", "=3D41", "\uff21")
    layers = "".join(f"{percent(way, safe='')}{way}{way.replace('%', '=25')}{way.replace('&', '%26')}" for way in ways)
    assert Pieces().plus(["another-key-0000"]).are_in(layers)


def test_the_number_of_ways_to_read_a_text_is_limited_inclusively(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text with just so many is still looked at."""
    monkeypatch.setattr("apimart_cli.keys.echo._MAX_VIEWS", 2)
    assert not Pieces().plus([KEY]).are_in("%41")
    assert Pieces().plus([KEY]).are_in("%2541")


def test_url_safe_base64_is_read_as_well() -> None:
    """Its two other characters matter where the text is UTF-16, whose base64 is found by decoding it."""
    key = "1b?b???~~b?a~~a??~b>aaaa"
    packed = base64.urlsafe_b64encode(key.encode("utf-16-le")).decode()
    assert {"-", "_"} <= set(packed)
    assert redactor_of(key).quote(packed) == WITHHELD


def test_what_is_not_shown_is_not_looked_at(redactor: Redactor) -> None:
    """A key after the end of what a message shows of a text is no leak, and 64 KiB of text cost no more than 1 KiB."""
    assert redactor.quote("x " * LOOKED_AT + KEY) == ("x " * LOOKED_AT)[:197] + "..."


def test_every_key_of_the_run_is_withheld() -> None:
    """Whichever key a question was asked with, an answer may repeat another's; keys that come later count as well."""
    other, latest = "sk-Other-Jh5Tr8Wq2Zx6", "sk-Latest-Bn4Mk9Lp3Qs7"
    redactor = redactor_of(KEY, other)
    assert [redactor.quote(f"no: {key}") for key in (KEY, other)] == [WITHHELD, WITHHELD]
    assert redactor.quote("no: Bn4Mk9Lp3") == "no: Bn4Mk9Lp3"
    redactor.add(ApiKey(latest, source="a test"))
    redactor.add(ApiKey("sk-One-More-Pd6Gf2Hs8", source="a test"))
    assert [redactor.quote(f"no: {key[10:]}") for key in (KEY, other, latest)] == [WITHHELD, WITHHELD, WITHHELD]


def test_a_key_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is added and looked for: a run may have a thousand keys."""
    taken: list[str] = []
    real = redacting._forms
    monkeypatch.setattr(redacting, "_forms", lambda key: [taken.append(key), real(key)][1])
    redactor, other = redactor_of(KEY), "sk-Other-Jh5Tr8Wq2Zx6"
    for key in (KEY, other, KEY, other):
        redactor.quote("no")
        redactor.add(ApiKey(key, source="a test"))
    redactor.quote("no")
    assert taken == [KEY, other]


def test_what_the_documentation_calls_not_found_is_not_found(redactor: Redactor) -> None:
    """The limits are as they are told: spelled backwards, with letters in between, in base64 three times over."""
    packed = KEY.encode()
    for _ in range(3):
        packed = base64.b64encode(packed)
    for hidden in (KEY[::-1], "x".join(KEY), packed.decode()):
        assert redactor.quote(hidden) != WITHHELD


def test_a_mute_one_repeats_nothing() -> None:
    """Neither a key nor anything else, whatever keys it was told of."""
    MUTE.add(ApiKey(KEY, source="a test"))
    for text in ("the token expired", KEY, ""):
        assert MUTE.quote(text) == "(its words are not repeated here)"


# --- what was quoted --------------------------------------------------------------------------------------------


def test_it_tells_what_of_a_message_is_foreign() -> None:
    """In full, or by its beginning where the message cuts it; each once, and nothing that was withheld."""
    redactor = redactor_of(KEY)
    words, long = redactor.quote("try\x1b later"), redactor.quote("go " * 60)
    redactor.quote(words)
    withheld = redactor.quote(f"your key is {KEY}")
    assert redactor.quoted_in(f"it failed: {words}") == (words,)
    assert redactor.quoted_in(f"a bot check of {long[:SHORTEST_CUT]} answered: {words}") == (words, long[:SHORTEST_CUT])
    assert redactor.quoted_in(f"it failed: {withheld}") == ()
    assert redactor.quoted_in(long[: SHORTEST_CUT - 1]) == ()
    assert redactor.quoted_in("") == ()


def test_it_remembers_the_last_texts_alone() -> None:
    """However many answers a run has; an empty one is none of them."""
    redactor = Redactor()
    first = redactor.quote("the first text")
    for number in range(MOST_REMEMBERED - 1):
        redactor.quote(f"text {number}")
    assert redactor.quoted_in(first) == (first,)
    redactor.quote("")
    assert redactor.quoted_in(first) == ()


def test_one_that_repeats_nothing_remembers_nothing() -> None:
    """What it says in place of a text is ours."""
    assert MUTE.quoted_in(MUTE.quote("anything")) == ()
