"""Untrusted text made safe to show: one visible line, and nothing in it that looks like a key. And the form of times.

Whatever a server, a file or an argument sent us is data. Before it may stand in a message it passes through here,
so that it can neither move the cursor, nor hide, nor end the line, nor command the CI runner that reads the log.
Pure: no I/O, nothing heavy imported.
"""

import re
import unicodedata
from datetime import datetime

QUOTE_LIMIT = 200
"""Most characters of foreign text that one message shows."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp"})
"""Unicode categories that are invisible, reorder a line or grow out of it: controls, formats (bidi, zero-width),
surrogates, private use, unassigned, combining marks, and the two line separators."""

_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing: the Hangul fillers and the empty Braille pattern."""

# CI runners obey `::command::` where a line or a word starts with it, and `##[command]`, `##vso[...]` and
# `##teamcity[...]` anywhere in a line. A colon inside a word stays whole: it is how an IPv6 address is written.
_RUNNER_COMMAND = r"(?<!\S):(?=:)|#(?=#\w*\[)"

_NOT_PRINTABLE_ASCII = re.compile(r"[^ -~]")
"""What may have to be replaced; all else shows."""

# Anything that looks like a key of the gateway, typed where a key does not belong, up to a space, a quote, a bracket,
# a comma or a slash. After a letter only what is as long as keys are and has a digit, so that a path with a
# `task-runner` in it is shown as it is.
_KEY_END = r"[!#$%&*+\-.0-9:=?@A-Z^_`a-z|~]"
_KEY_LIKE = (
    rf"(?<![A-Za-z])sk-[A-Za-z0-9_-]{_KEY_END}{{3,}}"
    rf"|sk-(?=[A-Za-z_-]{{0,40}}[0-9])(?=(?:[_-]{{0,4}}[A-Za-z0-9]){{16}}){_KEY_END}+"
)


# The number of a token in the books of the gateway is the customer's own: gateways put it before their errors.
_ID_OF_TOKEN = r"""(?ai)\[?\btoken[ _-]?ids?["']? ?[=:] ?["']?[\w-]+["']?\]? ?"""  # noqa: S105  # a pattern


def visible(text: str) -> str:
    r"""Return `text` as one line in which every character shows: hidden ones are written as `\xNN` or `\uNNNN`.

    Anything that looks like an API key is reduced to `sk-…`, and CI workflow commands (`::error::`, `##[group]`,
    `##vso[...]`) are broken up by a backslash so that no runner obeys them.
    """
    # Keys first: an escape before one would look like a word that goes on.
    shown = re.sub(_NOT_PRINTABLE_ASCII, lambda match: _show_character(match.group()), without_keys(text))
    return re.sub(_RUNNER_COMMAND, lambda match: match.group() + "\\", shown)


def without_commands(json: str) -> str:
    r"""Return JSON that means the same, and in which no CI runner finds a command: `##[group]` begins with `\u0023`."""
    if "##" not in json and "::" not in json:
        return json
    # Both stand only inside of strings.
    return re.sub(_RUNNER_COMMAND, lambda match: f"\\u{ord(match.group()):04x}", json)


def without_keys(text: str) -> str:
    """Return `text` with anything that looks like an API key reduced to `sk-…`, and otherwise as it is."""
    return re.sub(_KEY_LIKE, "sk-...", text)


def without_token_ids(text: str) -> str:
    """Return what a gateway said without the ids of tokens in it, such as `[token_id=17]`."""
    return re.sub(_ID_OF_TOKEN, "", text)


def quote(text: str, limit: int = QUOTE_LIMIT) -> str:
    """Return foreign `text` made visible and cut to at most `limit` characters, the cut marked by `...`."""
    text = text.strip()
    # Cut before and after: escapes lengthen the text, and a long text should not be walked to its end.
    shown = visible(text[:limit])
    return shown if max(len(text), len(shown)) <= limit else shown[: limit - 3] + "..."


def iso_time(moment: datetime) -> str:
    """Return a time, which is in UTC, as documents, lines and logs have it: `2026-01-31T12:00:00Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _show_character(character: str) -> str:
    if character in _BLANK_LETTERS or unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return _escape(ord(character))
    return " " if character.isspace() else character


def _escape(code: int) -> str:
    # Not the codecs' `backslashreplace`: it takes a control character for ASCII that needs no escape.
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
