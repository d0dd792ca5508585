"""Find the key in an output: any eight of its characters in a row, plain or encoded, broken up or not."""

import base64
import html
import re
from collections.abc import Iterator, Sequence
from functools import cache
from urllib.parse import unquote

PIECE = 8
"""This many characters of the key in a row are a leak."""


def find_key(output: str, key: str) -> list[str]:
    """Return the pieces of `key` that can be read from `output`, each with the encoding it was found in.

    Letter case is ignored, and so is everything but letters and digits, so that a key with spaces in it is found.
    """
    views = dict.fromkeys(view.casefold() for view in _views(output))
    # With what no needle has between them.
    whole, squeezed = "\0".join(views), "\0".join(dict.fromkeys(map(_alphanumeric, views)))
    found = [form for form, needle in _needles(key) if needle in whole]
    return found + [form for form, needle in _needles(_alphanumeric(key)) if needle in squeezed]


@cache
def _needles(key: str) -> Sequence[tuple[str, str]]:
    """Return every run of PIECE characters of `key` in every form, with the name of the form."""
    pieces = (key[start : start + PIECE] for start in range(len(key) - PIECE + 1))
    return [(f"{piece} as {form}", needle.casefold()) for piece in pieces for form, needle in _forms(piece)]


def _forms(piece: str) -> Iterator[tuple[str, str]]:
    raw = piece.encode("ascii")
    yield "plain", piece
    yield "hex", raw.hex()
    for name, encode in (("base32", base64.b32encode), ("base32hex", base64.b32hexencode)):
        for shift in range(5):
            first, last = -(-shift * 8 // 5), (shift + len(raw)) * 8 // 5
            yield f"{name}, shifted by {shift}", encode(b"\0" * shift + raw + b"\0" * 5).decode("ascii")[first:last]
    for shift in range(3):
        # Only the characters of the base64 text that belong to the piece alone, wherever it stands in a group of three.
        first, last = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        yield f"base64, shifted by {shift}", base64.b64encode(b"\0" * shift + raw + b"\0\0").decode("ascii")[first:last]


def _views(output: str) -> Iterator[str]:
    """Yield `output` as it is and as a reader could decode it."""
    yield output
    yield from _numbers(output)
    yield unquote(output)
    yield unquote(unquote(output))
    yield html.unescape(output)
    yield re.sub(
        r"\\+(?:x([0-9a-f]{2})|u\{?([0-9a-f]{1,6})\}?|([0-7]{3}))",
        lambda match: chr(int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8)),
        output,
        flags=re.IGNORECASE,
    )


def _numbers(output: str) -> Iterator[str]:
    """Yield what the numbers in `output` are as characters, in each base in which bytes are printed."""
    for base, form in ((10, r"\d+"), (8, "[0-7]+"), (16, r"(?:0x|U\+)?[0-9a-f]+"), (2, "(?:0b)?[01]+")):
        found = re.findall(rf"\b{form}\b", output, flags=re.IGNORECASE)
        values = [int(each.lower().removeprefix("u+"), base) for each in found if len(each) < 12]
        yield "".join(chr(value) for value in values if 32 < value < 127)


def _alphanumeric(text: str) -> str:
    return "".join(filter(str.isalnum, text))
