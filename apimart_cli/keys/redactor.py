"""When somebody repeats a key: looked for in every way in which a text may be encoded. Pure: no I/O.

Found are keys, and pieces of eight characters or more: in any letter case; broken up by spaces, punctuation or
characters that do not show; in full-width or other compatible letters; as base64, base32 or hex, of UTF-8 or UTF-16;
as a list of numbers, in any of the bases in which Go, C, Python and od print bytes, each for one byte or for a word of
up to eight, in either order; with the place before each character or number, as PHP and JavaScript write a list of
them; and all of that percent-, entity-, backslash- or quoted-printable-encoded, up to four times over and in any
mixture.

Not found are keys that somebody takes pains to hide from this: spelled backwards, with letters between the letters,
in look-alike letters of another alphabet, by the names of the characters, as numbers without anything between them, in
base32 with an alphabet that no standard has, in base58, base85 or uuencode, in base64 three times over, compressed, or
encrypted.

One redactor for every key of a run: a gateway that answers one key may repeat another. Pure: no I/O.
"""

import re
import threading
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from apimart_cli.keys.key import ApiKey
from apimart_cli.text import QUOTE_LIMIT, quote, without_token_ids

_PIECE = 8
"""A run of this many characters of the key counts as a leak."""

_LAYERS = 4
"""How often a text may be encoded over and over."""

_MAX_VIEWS = 64
"""Most ways to read one text. One that has more is no honest message."""

_BACKSLASHED = re.compile(
    r"(?i)(?:\\+|%(?=u00))(?:u\{0*(?P<braced>[0-9a-f]{1,2})\}|(?:x|u00|u000000)(?P<hex>[0-9a-f]{2})"
    r"|(?P<octal>0?[01][0-7]{2}|[4-7][0-7]))"
)
"""The escapes of printable ASCII in JSON, JavaScript, Python, C and the shell: all that a key is made of.

`%u0073` is that of JavaScript's `escape`.

Octal ones have three digits, after another zero for `echo -e`, or two where a shell needs no third one.
"""

_NUMBER = re.compile(r"(?i)(?<![0-9a-z])(?:0[xob]|u\+)?0*([0-9a-f]{1,22})(?![0-9a-z])")
"""A number of a list, in any base: `115`, `0x73`, `U+0073`, `0o163`, `0163`, `0b1110011`; or a word of eight bytes."""

_PLACE = re.compile(r"""["']?\[?[0-9]{1,4}\]?["']?\s*(?:=>|:)|\[[0-9]{1,4}\]""")
"""What stands before each member of a list that is written with places: `"0":`, `[0] =>`, `0:`, `[0]`."""

_BASES = (2, 8, 10, 16)
_ORDERS: Sequence[Literal["little", "big"]] = ("little", "big")
_ASCII = 128
_DIGITS = "0123456789abcdef"

_LEGIBLE = re.compile(rb"[\0!-~]{4,}")
"""What may be a key in bytes that mean nothing but for it, of UTF-16 as well. All the rest need not be looked at."""

_BASE32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")
"""From the usual alphabet of base32 to the extended hex one, which is that of numbers (RFC 4648, 6 and 7)."""

_BESIDE_WORDS = re.compile(r"[\W_]+")
_BESIDE_ASCII = re.compile(r"[^!-~]+")
_QUOTED_PRINTABLE = re.compile(r"(?i)=([0-9a-f]{2})")


class Pieces(NamedTuple):
    """The texts that give keys away."""

    runs: frozenset[str] = frozenset()
    """Each has exactly `_PIECE` characters, so that one look-up finds it."""
    short: frozenset[str] = frozenset()
    """What is left whole of keys that have fewer letters and digits."""

    def plus(self, keys: Iterable[str]) -> "Pieces":
        """Return these and those of `keys`: their pieces, plain, in hex and in base64.

        Encoded ones are among them because a text in another letter case cannot be decoded, only compared.
        """
        found = {piece for key in keys for form in _forms(key) for piece in _windows(form)}
        runs = frozenset(piece for piece in found if len(piece) == _PIECE)
        return Pieces(self.runs | runs, self.short | (found - runs))

    def are_in(self, text: str) -> bool:
        """Tell whether any way to read `text` holds one of them."""
        try:
            views = _views(text)
        except ValueError:  # too many, or a number of thousands of digits as an entity
            return True
        return any(
            not self.runs.isdisjoint(_windows(form)) or any(piece in form for piece in self.short)
            for form in _reduced([*views, *(text for view in views for read in _READERS for text in read(view))])
        )


def _forms(key: str) -> set[str]:
    from base64 import b64encode

    raw = key.encode()
    # The same bytes give three base64 texts, by where in a group of three they start.
    encodings = [b64encode(before + raw).decode() for before in (b"", b".", b"..")]
    return _reduced([key, raw.hex(), *encodings])


def _views(text: str) -> set[str]:
    """Return `text` and everything that it is once it is decoded, and decoded again.

    Raises ValueError for more than any honest message has.
    """
    seen = latest = {text}
    for _ in range(_LAYERS):
        latest = {decode(view) for view in latest for decode in _decoders()} - seen
        seen = seen | latest
        if len(seen) > _MAX_VIEWS:
            raise ValueError
    return seen


def _decoders() -> Sequence[Callable[[str], str]]:
    from html import unescape
    from urllib.parse import unquote

    return (
        unquote,
        unescape,
        lambda text: _BACKSLASHED.sub(_character_of, text),
        lambda text: _QUOTED_PRINTABLE.sub(lambda match: chr(int(match[1], 16)), text),
        lambda text: unicodedata.normalize("NFKC", text),
    )


def _character_of(escape: re.Match[str]) -> str:
    """Return the character that a backslash escape stands for."""
    digits = escape["hex"] or escape["braced"]
    return chr(int(digits, 16) if digits else int(escape["octal"], 8))


def _unpacked(text: str) -> Iterator[str]:
    """Yield what `text` would be if it were base64 or hex, from wherever in a group it starts.

    UTF-16 needs nothing more: beside each character of a key it has a zero byte, which `_reduced` drops.
    """
    from base64 import b64decode
    from binascii import unhexlify

    ascii_text = text.encode("ascii", "ignore")
    packed = re.sub(rb"[^A-Za-z0-9+/]", b"", ascii_text.translate(bytes.maketrans(b"-_", b"+/")))
    for letters in {packed, re.sub(rb"[+/]", b"", packed)}:
        for start in range(min(4, len(letters))):
            group = letters[start:]
            yield b64decode(group[: len(group) // 4 * 4]).decode("latin-1")
    digits = re.sub(rb"[^0-9A-Za-z]", b"", ascii_text)
    for run in re.findall(rb"[0-9A-Fa-f]{16,}", digits):
        for start in range(2):
            pairs = run[start:]
            yield unhexlify(pairs[: len(pairs) // 2 * 2]).decode("latin-1")


def _of_base32(text: str) -> Iterator[str]:
    """Yield what `text` would be if it were base32, in either alphabet, from wherever in a group it starts."""
    letters = text.upper()
    for digits in (re.sub("[^A-Z2-7]", "", letters).translate(_BASE32), re.sub("[^0-9A-V]", "", letters)):
        number = int(f"0{digits}", 32)
        for shift in range(8):
            for run in _LEGIBLE.findall((number << shift).to_bytes(len(digits) + 1)):
                yield run.decode()


def _of_numbers(text: str) -> Iterator[str]:
    """Yield what `text` would be if the numbers in it were characters, as for the bytes that Go prints with `%v`."""
    found: list[str] = _NUMBER.findall(text.lower())
    for base in _BASES:
        digits = frozenset(_DIGITS[:base])
        numbers = [int(each, base) for each in found if digits.issuperset(each)]
        yield "".join(chr(number) for number in numbers if number < _ASCII)
        # Words of two, four or eight bytes, as `od` prints them. No byte of a key is zero, so each tells its length.
        for order in _ORDERS:
            words = (number.to_bytes((number.bit_length() + 7) // 8, order) for number in numbers)
            yield b"".join(words).decode("latin-1")


def _of_places(text: str) -> Iterator[str]:
    """Yield `text` without the place before each member of a list, and what the numbers that are left would be."""
    members = _PLACE.sub(" ", text)
    if members != text:
        yield members
        yield from _of_numbers(members)


_READERS: Sequence[Callable[[str], Iterator[str]]] = (_unpacked, _of_base32, _of_numbers, _of_places)


def _reduced(texts: Iterable[str]) -> set[str]:
    """Return each text twice, in one letter case: its letters and digits alone, and its printable ASCII alone."""
    folded = {text.casefold() for text in texts}
    return {_BESIDE_WORDS.sub("", text) for text in folded} | {_BESIDE_ASCII.sub("", text) for text in folded}


def _windows(text: str) -> set[str]:
    """Return every run of `_PIECE` characters in `text`; a shorter text is one piece by itself, if it is not empty."""
    return {text[start : start + _PIECE] for start in range(max(1, len(text) - _PIECE + 1))} - {""}


WITHHELD = "(withheld: it repeats the API key)"

NOT_REPEATED = "(its words are not repeated here)"

LOOKED_AT = 5 * QUOTE_LIMIT
"""Characters of a text that are looked at: more than a message shows of it."""


MOST_REMEMBERED = 16
"""Most quoted texts that are remembered, to tell them apart from words of ours."""

SHORTEST_CUT = 40
"""Fewest characters that a message leaves of a text that it cuts."""


def _longest_beginning(text: str, message: str) -> str:
    """Return `text`, or its first SHORTEST_CUT characters, where they stand in `message`; else nothing."""
    return next((each for each in (text, text[:SHORTEST_CUT]) if each in message), "")


class Redactor:
    """Quotes foreign text, and withholds what repeats a piece of any key it knows. Safe to share between threads."""

    def __init__(self, *keys: ApiKey) -> None:
        self._guard = threading.Lock()
        self._waiting = {key.reveal() for key in keys}
        self._known: set[str] = set()
        self._pieces = Pieces()
        self._quoted: deque[str] = deque(maxlen=MOST_REMEMBERED)

    def add(self, key: ApiKey) -> None:
        """Look for `key`, too, from now on."""
        with self._guard:
            self._waiting |= {key.reveal()} - self._known

    def quote(self, text: str) -> str:
        """Return foreign `text` fit for a message; withheld whole when it repeats a piece of a key."""
        looked_at = text.strip()[:LOOKED_AT]
        # What is left out may have stood between two halves of a key.
        shown, pieces = without_token_ids(looked_at), self._all_pieces()
        if any(pieces.are_in(each) for each in {looked_at, shown}):
            return WITHHELD
        quoted = quote(shown)
        self._quoted.append(quoted)
        return quoted

    def quoted_in(self, message: str) -> tuple[str, ...]:
        """Return what stands in `message` of the foreign texts that were quoted last, in full or cut."""
        found = (_longest_beginning(quoted, message) for quoted in list(self._quoted) if quoted)
        return tuple(dict.fromkeys(filter(None, found)))

    def _all_pieces(self) -> Pieces:
        """Return the pieces of all keys. They are made when something is quoted; most runs never need them."""
        with self._guard:
            if self._waiting:
                self._pieces = self._pieces.plus(self._waiting)
                self._known |= self._waiting
                self._waiting = set()
            return self._pieces


class Mute(Redactor):
    """Repeats no foreign text at all: for those who know thousands of keys, whose pieces would fill the memory."""

    def add(self, key: ApiKey) -> None:
        """Keep no key: none is needed."""

    def quote(self, text: str) -> str:  # noqa: ARG002  # the signature of what it stands for
        """Return that something was said."""
        return NOT_REPEATED


MUTE = Mute()
"""One is enough."""
