"""When somebody repeats a key: looked for in every way in which a text may be encoded. Pure: no I/O."""

import re

_PIECE = 8
"""A run of this many characters of the key counts as a leak."""

_BACKSLASHED = re.compile(r"(?i)\\(?:(?:x|u00)(?P<hex>[0-9a-f]{2})|(?P<octal>[01][0-7]{2}))")
"""The escapes of printable ASCII in JSON, Python, C and the shell: all that a key is made of."""


def is_echoed(key: str, text: str) -> bool:
    """Tell whether `text` holds a piece of `key`, plain or percent-, entity-, backslash-, base64- or hex-encoded.

    Letter case and everything but letters and digits are ignored, so that a key broken up by spaces or zero-width
    characters is still found. A key may be mostly punctuation, so it is looked for with its own, too.
    """
    from html import unescape
    from urllib.parse import unquote

    try:
        unescaped = unescape(text)
    except ValueError:  # a number of thousands of digits as an entity: no honest text has that
        return True
    views = _reduced(text, unquote(text), unescaped, _BACKSLASHED.sub(_character_of, text))
    return any(piece in view for piece in _pieces(key) for view in views)


def _pieces(key: str) -> set[str]:
    from base64 import b64encode

    raw = key.encode()
    # The same bytes give three base64 texts, by where in a group of three they start.
    encodings = [b64encode(before + raw).decode() for before in (b"", b".", b"..")]
    return {piece for form in _reduced(key, raw.hex(), *encodings) for piece in _windows(form)}


def _character_of(escape: re.Match[str]) -> str:
    """Return the character that a backslash escape stands for."""
    return chr(int(escape["hex"], 16) if escape["hex"] else int(escape["octal"], 8))


def _reduced(*texts: str) -> set[str]:
    """Return each text twice, in one letter case: its letters and digits alone, and its printable ASCII alone."""
    folded = [text.casefold() for text in texts]
    essences = {"".join(filter(str.isalnum, text)) for text in folded}
    return essences | {"".join(character for character in text if "!" <= character <= "~") for text in folded}


def _windows(text: str) -> set[str]:
    """Return every run of `_PIECE` characters in `text`; a shorter text is one piece by itself, if it is not empty."""
    return {text[start : start + _PIECE] for start in range(max(1, len(text) - _PIECE + 1))} - {""}
