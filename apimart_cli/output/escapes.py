"""What bars and prompts would obey in text from outside, escaped, so that they show it as it is. Pure: no I/O."""

import re
from collections.abc import Callable, Mapping

Escape = Callable[[str], str]


def for_tmux(text: str) -> str:
    """Escape what tmux expands in the output of `#()`: `#` begins formats and styles.

    It is halved twice, once where formats are expanded and once where the line is drawn; but before a bracket only
    where it is drawn (seen with tmux 3.3).
    """
    return re.sub(r"#+(?=(\[?))", lambda match: match[0] * (2 if match[1] else 4), text)


def for_pango(text: str) -> str:
    """Escape the markup of Pango, which is that of XML."""
    for character, name in _MARKUP:
        text = text.replace(character, name)
    return text


def for_bash(text: str) -> str:
    """Escape what bash expands in a prompt: first backslashes, then `$`, backticks and backslashes once more."""
    return re.sub(r"[\\$`]", lambda match: _IN_BASH[match[0]], text)


def for_zsh(text: str) -> str:
    """Escape what zsh expands in a prompt that a command has printed."""
    return text.replace("%", "%%")


BY_SHELL: Mapping[str, Escape] = {"bash": for_bash, "zsh": for_zsh}
"""By the shell whose prompt it is; the other shells expand nothing that a command has printed."""

_MARKUP = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))
_IN_BASH = {"\\": "\\\\\\\\", "$": "\\\\$", "`": "\\\\`"}
