"""Untrusted text made safe to show: one visible line, and nothing in it that looks like a key. And the form of times.

Text from a server, a file or an argument passes through here before it stands in a message, so that it can neither move
the cursor, nor hide, nor end the line, nor give a command to a CI runner that reads the log.
Pure: no I/O, nothing heavy imported.
"""

import re
from collections.abc import Sequence
from datetime import datetime

QUOTE_LIMIT = 200
"""Most characters of foreign text that one message shows."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp"})
"""Unicode categories that are invisible, change the order in a line or leave it: controls, formats (bidi, zero-width),
surrogates, private use, unassigned, combining marks, and the two line separators."""

_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing: the Hangul fillers and the empty Braille pattern."""

# CI runners obey `::command::` where a line or a word starts with it, and `##[command]`, `##vso[...]` and
# `##teamcity[...]` anywhere in a line. A colon inside a word stays whole: it is how an IPv6 address is written.
_RUNNER_COMMAND = r"(?<!\S):(?=:)|#(?=#\w*\[)"

_NOT_PRINTABLE_ASCII = r"[^ -~]"
"""Characters that may have to be replaced; all others show."""

# Text that looks like a key of the gateway, up to a space, a quote, a bracket, a comma or a slash. After a letter it
# must be as long as a key and have a digit, so that a path with a `task-runner` in it is shown as it is.
_KEY_END = r"[!#$%&*+\-.0-9:=?@A-Z^_`a-z|~]"
_KEY_LIKE = (
    rf"(?<![A-Za-z])sk-[A-Za-z0-9_-]{_KEY_END}{{3,}}"
    rf"|sk-(?=[A-Za-z_-]{{0,40}}[0-9])(?=(?:[_-]{{0,4}}[A-Za-z0-9]){{16}}){_KEY_END}+"
)


# The number that the gateway has given a token, which gateways put before their errors. It is private.
_ID_OF_TOKEN = r"""(?ai)\[?\btoken[ _-]?ids?["']? ?[=:] ?["']?[\w-]+["']?\]? ?"""  # noqa: S105  # a pattern


def visible(text: str) -> str:
    r"""Return `text` as one line in which every character shows: hidden ones are written as `\xNN` or `\uNNNN`.

    Text that looks like an API key is reduced to `sk-…`, and CI workflow commands (`::error::`, `##[group]`,
    `##vso[...]`) are broken up by a backslash so that no runner obeys them.
    """
    # Keys first: after an escape, a key would look like the end of a word.
    shown = without_keys(text)
    # Most texts need none of this, and a pattern takes a while to compile.
    if not (shown.isascii() and shown.isprintable()):
        shown = re.sub(_NOT_PRINTABLE_ASCII, lambda match: _show_character(match.group()), shown)
    if "::" in shown or "#" in shown:
        shown = re.sub(_RUNNER_COMMAND, lambda match: match.group() + "\\", shown)
    return shown


def without_commands(json: str) -> str:
    r"""Return JSON that means the same, and in which no CI runner finds a command: `##[group]` begins with `\u0023`."""
    if "##" not in json and "::" not in json:
        return json
    # Both stand only inside strings.
    return re.sub(_RUNNER_COMMAND, lambda match: f"\\u{ord(match.group()):04x}", json)


def without_keys(text: str) -> str:
    """Return `text` with everything that looks like an API key reduced to `sk-…`."""
    return re.sub(_KEY_LIKE, "sk-...", text) if "sk-" in text else text


def without_token_ids(text: str) -> str:
    """Return the words of a gateway without the ids of tokens in them, such as `[token_id=17]`."""
    return re.sub(_ID_OF_TOKEN, "", text)


def quote(text: str, limit: int = QUOTE_LIMIT) -> str:
    """Return foreign `text` made visible and cut to at most `limit` characters, the cut marked by `...`."""
    text = text.strip()
    # Cut before and after: escapes make the text longer, and a long text should not be read to its end.
    shown = visible(text[:limit])
    return shown if max(len(text), len(shown)) <= limit else shown[: limit - 3] + "..."


def shell_word(text: str) -> str:
    """Return `text` as one word of a shell's command line, for hints."""
    from shlex import quote as quoted

    return quoted(text)


def iso_time(moment: datetime) -> str:
    """Return a time, which is in UTC, as documents, lines and logs have it: `2026-01-31T12:00:00Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _show_character(character: str) -> str:
    import unicodedata

    if character in _BLANK_LETTERS or unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return _escape(ord(character))
    return " " if character.isspace() else character


def _escape(code: int) -> str:
    # Not the codecs' `backslashreplace`, for which a control character is ASCII that needs no escape.
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def listed(names: Sequence[str]) -> str:
    """Return up to three names; if there are more, the first two and the number of the others."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"
