"""One redactor for every key of a run: what repeats a piece of one, plain or encoded, is not shown."""

import base64
import itertools
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


def escaped(form: str, is_escaped: Callable[[int, str], bool] = lambda _place, _character: True) -> str:
    """The key with some of its characters escaped."""
    return "".join(
        form.format(ord(character)) if is_escaped(place, character) else character
        for place, character in enumerate(KEY)
    )


def in_base64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


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
    "large numbers between": lambda text: " ".join(f"{at} {each}" for at, each in enumerate(text.encode(), 24930)),
    "fragments": lambda text: " ".join(f"[{place}]{text[place : place + 4]}" for place in range(0, len(text), 4)),
}
"""Lists with the place before each member, as PHP, JavaScript and Go write them."""

ESCAPES = [
    "%{:02x}",
    "%2525{:02x}",
    "%26%23{};",
    "%u{:04X}",
    "&#{};",
    "&#x{:x};",
    "&amp;#{};",
    "&amp;amp;#x{:x};",
    "={:02X}",
    "\\x{:02x}",
    "\\u{:04X}",
    "\\U{:08x}",
    "\\u{{{:x}}}",
    "\\\\u{:04x}",
]
"""Of URLs, HTML, mail, JSON, JavaScript and Python, also one in another."""

OCTAL = ["\\{:o}", "\\{:03o}", "\\0{:o}", "\\0{:03o}", "\\\\{:03o}"]
"""Escapes that a shell or C reads: `$'\\163'`, `printf '\\163'`, `echo -e '\\0163'`."""

ODD_KEY = "1b?b???~~b?a~~a??~b>aaaa"

FULL_WIDTH = "".join(chr(ord(character) + 0xFEE0) for character in KEY)


def at_odd_places(place: int, _character: str) -> bool:
    return place % 2 == 1


BASE32 = [base64.b32encode, base64.b32hexencode]


@pytest.mark.parametrize(
    "echo",
    [
        *(KEY, KEY.upper(), KEY[:8], KEY[-8:], KEY[9:17], f"token {KEY} is unknown", repr(KEY.encode())),
        *(between.join(KEY) for between in " \u200b-"),
        percent(KEY),
        *(escaped(form) for form in ESCAPES),
        *(escaped("={:02x}", is_escaped) for is_escaped in (at_odd_places, lambda _, each: each not in "NALcXk")),
        # Those of which the code is the same two digits in decimal and in hex, read as another number.
        escaped("={:02x}", lambda _, each: each in "stqWVrpvwxyz0123456789"),
        FULL_WIDTH,
        percent(FULL_WIDTH),
        *(in_base64(text) for text in (KEY, f"Bearer {KEY}", f"me:{KEY} and more")),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
        *(in_base64(KEY, encoding) for encoding in ("utf-16", "utf-16-be")),
        *(between.join(in_base64(KEY, "utf-16-le")) for between in "\n-"),
        percent(in_base64(KEY, "utf-16-le")),
        in_base64(f"{'x' * 100}{KEY[-8:]}", "utf-16-le"),
        *(KEY.encode(encoding).hex() for encoding in ("utf-8", "utf-16-le")),
        *(KEY.encode(encoding).hex().upper() for encoding in ("utf-8", "utf-16-le")),
        f"{'x' * 100}{KEY[-8:]}".encode("utf-16-le").hex(),
        KEY.encode("utf-16-be").hex(":"),
        " ".join(re.findall(".{1,3}", KEY.encode("utf-16-le").hex())),
        *(form(text) for form in NUMBERS.values() for text in (KEY, KEY[-8:])),
        *(text for form in WORDS.values() for text in (form(KEY), form(KEY).upper())),
        *(form(f"x{KEY[:8]}x") for name, form in WORDS.items() if name != "words of four bytes"),
        *(text for form in PLACES.values() for text in (form(KEY), percent(form(KEY)))),
        *(escaped(form) for form in OCTAL),
        *(escaped(form, lambda _, each: not each.isalpha()) for form in OCTAL),
        *(escaped(form, at_odd_places) for form in OCTAL),
        *(encode(f"{'x' * before}{KEY}".encode()).decode() for encode in BASE32 for before in range(5)),
        *(encode(f"{'x' * at}{KEY[-8:]}".encode()).decode().rstrip("=") for encode in BASE32 for at in range(5)),
        *(encode(f"xx{KEY}".encode()).decode().lower()[start:] for encode in BASE32 for start in range(12)),
        *("-".join(encode(KEY[:8].encode()).decode()) for encode in BASE32),
        *(f"the token {encode(KEY[3:11].encode()).decode().rstrip('=')} is no token" for encode in BASE32),
        *(encode(KEY.encode("utf-16-le")).decode() for encode in BASE32),
    ],
    ids=itertools.count(),
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


@pytest.mark.parametrize(
    ("key", "text", "is_withheld"),
    [
        # Server text is withheld for eight characters of the key, not for seven; a shorter key is one piece.
        ("abcdefghijklmnop", "rejected jklmnop", False),
        ("abcdefghijklmnop", "rejected ijklmnop", True),
        ("ijklmnop", "rejected jklmnop", False),
        ("ijklmnop", "rejected ijklmnop", True),
        ("klmn", "rejected lmn", False),
        ("sk-Q7", "was: SK Q7", True),
        ("sk-Q7", "Q7", False),
        # Every character that a key may have counts.
        ("!?%&/(){}", "your key !?%&/(){} is wrong", True),
        ("!?%&/(){}", "your key is wrong", False),
        ("-", "", False),
        ("!" * 8, "rejected " + "!" * 8, True),
        ("~" * 8, "rejected " + "~" * 8, True),
        ("a!b~c!d~", "rejected a!b~c!d~", True),
        # A key that looks escaped, as a whole or in every eight characters of it, is found as it is.
        ("%41&#65;\\x41", "rejected %41&#65;\\x41", True),
        (3 * r"%41\x42&lt", "rejected " + 3 * r"%41\x42&lt", True),
        # The two other characters of URL-safe base64 matter where the text is UTF-16.
        (ODD_KEY, base64.urlsafe_b64encode(ODD_KEY.encode("utf-16-le")).decode(), True),
    ],
)
def test_eight_characters_of_a_key_are_found_whatever_they_are(key: str, text: str, is_withheld: bool) -> None:
    """And fewer are no leak."""
    assert redactor_of(key).quote(text) == (WITHHELD if is_withheld else text)


def test_a_text_that_can_be_read_in_too_many_ways_counts_as_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encodings in encodings, and an entity of too many digits. A text with just so many ways is still looked at."""
    ways = ("%2541", "&amp;#65;", r"\x5cx41", "=3D41", "\uff21")
    layers = "".join(f"{percent(way, safe='')}{way}{way.replace('%', '=25')}{way.replace('&', '%26')}" for way in ways)
    assert Pieces().plus(["another-key-0000"]).are_in(layers)
    assert Pieces().plus(["sk-12345678"]).are_in(f"rejected &#{5000 * '1'};")
    monkeypatch.setattr("apimart_cli.keys.echo._MAX_VIEWS", 2)
    assert not Pieces().plus([KEY]).are_in("%41")
    assert Pieces().plus([KEY]).are_in("%2541")


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
    # What is not shown is not looked at: 64 KiB of text cost no more than 1 KiB.
    assert redactor.quote("x " * LOOKED_AT + KEY) == ("x " * LOOKED_AT)[:197] + "..."


def test_a_mute_one_repeats_nothing() -> None:
    """Neither a key nor anything else, whatever keys it was told of."""
    MUTE.add(ApiKey(KEY, source="a test"))
    for text in ("the token expired", KEY, ""):
        assert MUTE.quote(text) == "(its words are not repeated here)"
    assert MUTE.quoted_in(MUTE.quote("anything")) == ()


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
