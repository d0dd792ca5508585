"""Where a text repeats a key, in any usual encoding. Pure: no I/O.

Most runs quote no text of a gateway, and do not load this.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

_PIECE = 8
"""A run of this many characters of the key counts as a leak."""

_LAYERS = 4
"""How often a text may be encoded over and over."""

_MAX_VIEWS = 64
"""Most ways to read one text. A text that has more is no honest message."""

_BACKSLASHED = re.compile(
    r"(?i)(?:\\+|%(?=u00))(?:u\{0*(?P<braced>[0-9a-f]{1,2})\}|(?:x|u00|u000000)(?P<hex>[0-9a-f]{2})"
    r"|(?P<octal>0?[01][0-7]{2}|[4-7][0-7]))"
)
"""The escapes in JSON, JavaScript, Python, C and the shell, of printable ASCII: a key has nothing else.

JavaScript's `escape` writes `%u0073`. Octal ones have three digits, after another zero for `echo -e`, or two where a
shell needs no third one.
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
"""What may be a key among decoded bytes, of UTF-16 as well. The other bytes need not be looked at."""

_BASE32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")
"""From the usual alphabet of base32 to the extended hex one, which is that of numbers (RFC 4648, 6 and 7)."""

_BESIDE_WORDS = re.compile(r"[\W_]+")
_BESIDE_ASCII = re.compile(r"[^!-~]+")
_QUOTED_PRINTABLE = re.compile(r"(?i)=([0-9a-f]{2})")


class Pieces(NamedTuple):
    """The texts that give a key away."""

    runs: frozenset[str] = frozenset()
    """Pieces of exactly `_PIECE` characters, so that one look-up finds each."""
    short: frozenset[str] = frozenset()
    """Keys that have fewer letters and digits, whole."""

    def plus(self, keys: Iterable[str]) -> "Pieces":
        """Return these pieces with those of `keys`, plain, in hex and in base64.

        The encoded ones are needed because a text in another letter case cannot be decoded, only compared.
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
    """Return `text` and every text that comes of decoding it again and again.

    Raises ValueError if there are more than _MAX_VIEWS.
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
    """Yield what `text` would be if it were base64 or hex, for each place in a group where it may start.

    UTF-16 needs nothing more: `_reduced` drops the zero byte that it has for each character of a key.
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
    """Yield what `text` would be if it were base32, in either alphabet, for each place where it may start."""
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
        # Words of two, four or eight bytes, as `od` prints them. As no byte of a key is zero, each shows its length.
        for order in _ORDERS:
            words = (number.to_bytes((number.bit_length() + 7) // 8, order) for number in numbers)
            yield b"".join(words).decode("latin-1")


def _of_places(text: str) -> Iterator[str]:
    """Yield `text` without the place before each member of a list, and what the numbers in that would be."""
    members = _PLACE.sub(" ", text)
    if members != text:
        yield members
        yield from _of_numbers(members)


_READERS: Sequence[Callable[[str], Iterator[str]]] = (_unpacked, _of_base32, _of_numbers, _of_places)


def _reduced(texts: Iterable[str]) -> set[str]:
    """Return each text twice, in one letter case: only its letters and digits, and only its printable ASCII."""
    folded = {text.casefold() for text in texts}
    return {_BESIDE_WORDS.sub("", text) for text in folded} | {_BESIDE_ASCII.sub("", text) for text in folded}


def _windows(text: str) -> set[str]:
    """Return every run of `_PIECE` characters in `text`; a shorter text is one piece, if it is not empty."""
    return {text[start : start + _PIECE] for start in range(max(1, len(text) - _PIECE + 1))} - {""}
