"""A status line for bars and prompts: what is known of a balance, in the user's own template, escaped for each bar.

Values may be foreign text: each is made visible text on one line, and what the bar would obey in it is escaped. The
words of the template stay as they are, as they may tell the bar to colour the line. Pure: no I/O, no clock.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.choices import Preset
from apimart_cli.errors import UsageError
from apimart_cli.output import plain, remaining
from apimart_cli.output.runway import document, in_short, in_words
from apimart_cli.rules.forecast import Forecast
from apimart_cli.text import iso_time, visible, without_commands, without_keys
from apimart_cli.words import Scope

FIELDS = ("remain", "unit", "lasts", "profile", "scope", "used", "age", "host")
"""The fields of a template."""

CRITICAL_BELOW = timedelta(days=1)
"""A balance is critical if, at the low end, it lasts shorter than this."""

_LISTED = ", ".join(f"{{{name}}}" for name in FIELDS)

_TEMPLATE = "{remain} {unit} {lasts}"

_TEMPLATES = {Preset.CLAUDE: "APIMart: {remain} {unit} {lasts}"}
"""Templates of presets for a bar that shows other things as well."""

_MARKUP = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))

_IN_BASH = {"\\": "\\\\\\\\", "$": "\\\\$", "`": "\\\\`"}

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))

Escape = Callable[[str], str]


class Known(NamedTuple):
    """What is known about a balance. Amounts are in the gateway's unit."""

    remain: Decimal | None
    """None is unlimited."""
    used: Decimal
    unit: str | None
    at: datetime
    """When the gateway said it, in UTC."""
    age: timedelta
    is_old: bool
    """Whether the line shows the age."""
    forecast: Forecast | None
    is_low: bool = False
    """Whether it is below the profile's own `min`."""


class Status(NamedTuple):
    """The balance that the line shows, and what is known about it."""

    profile: str
    scope: Scope
    host: str
    known: Known | None = None


class LineReader(NamedTuple):
    """The bar or prompt that reads the line."""

    unicode: bool = True
    """Whether it can show characters beyond ASCII."""
    shell: str = "bash"
    """The shell with the prompt, which decides what has to be escaped."""


class Template(NamedTuple):
    """Words and fields in turn: each pair has words, and the field after them. The last pair has no field."""

    parts: Sequence[tuple[str, str | None]]

    @property
    def names(self) -> set[str | None]:
        """The fields that it has."""
        return {field for _, field in self.parts}


def needs_forecast(template: Template, preset: Preset) -> bool:
    """Tell whether the line shows a forecast: to make one takes time."""
    return "lasts" in template.names or preset in {Preset.WAYBAR, Preset.JSON}


def template_of(text: str | None, preset: Preset) -> Template:
    """Read a template; None means that of the preset. Raises UsageError for an unknown field, and for a second line."""
    return read_template(_TEMPLATES.get(preset, _TEMPLATE) if text is None else text)


def read_template(text: str) -> Template:
    """Read a template. Raises UsageError for an unknown field, and for a second line."""
    if "".join(text.splitlines()) != text:
        raise UsageError("--format: a status line is one line", "take the line breaks out of it")
    parts: list[tuple[str, str | None]] = []
    words = ""
    for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+", text):
        if piece in {"{{", "}}"}:
            words += piece[0]
        elif piece[0] not in "{}":
            words += piece
        elif piece[1:-1] in FIELDS:
            parts.append((words, piece[1:-1]))
            words = ""
        elif len(piece) > 1:
            raise UsageError(f"--format: there is no field {visible(piece)}", f"use some of: {_LISTED}")
        else:
            raise UsageError(f"--format: there is a {piece} alone", f"write it twice, or use some of: {_LISTED}")
    return Template([*parts, (words, None)])


def render(status: Status, template: Template, preset: Preset, reader: LineReader) -> str:
    """Return the line for a bar, with its line end. Values are in ASCII if the reader shows nothing else."""
    return f"{_PRESETS[preset](status, template, reader)}\n"


def filled(template: Template, values: Mapping[str, str]) -> str:
    """Return the template with its fields filled in. An empty field takes a space beside it away.

    `{remain} {unit} {lasts}` without a unit, with dots for spaces:

        10.5·        the text when the empty field comes, with a space at its end
            ·42 d    what follows: the space at its beginning is dropped
        10.5·42 d    the result

    If the empty field is first, the space after it is dropped, too; if it is last, the one before it.
    """
    text, is_after_empty = "", False
    for words, field in template.parts:
        has_space = not text or text.endswith(" ")
        text += words.lstrip(" ") if is_after_empty and has_space else words
        if field is not None:
            text += values[field]
            # Empty fields with no words between them, or before this field, count as one.
            is_after_empty = not values[field] or (is_after_empty and not words)
    return text.rstrip(" ") if is_after_empty else text


def short_age(age: timedelta) -> str:
    """Return an age as `45s`, `12m`, `3h` or `9d`, rounded down."""
    seconds = max(0, age // timedelta(seconds=1))
    number, unit = next(((seconds // size, unit) for size, unit in _UNITS if seconds >= size), (seconds, "s"))
    return f"{number}{unit}"


def for_tmux(text: str) -> str:
    """Escape what tmux expands in the output of `#()`: `#` begins formats and styles.

    tmux halves `##` twice, when it expands formats and when it draws the line; but before a bracket only when it draws
    (seen with tmux 3.3).
    """
    return re.sub(r"#+(?=(\[?))", lambda match: match[0] * (2 if match[1] else 4), text)


def for_pango(text: str) -> str:
    """Escape the markup of Pango, as in XML."""
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
"""By the name of the shell. Other shells expand nothing that a command has printed."""


def _text(status: Status, template: Template, escape: Escape, *, unicode: bool = True) -> str:
    values = {name: escape(_shown(value, unicode=unicode)) for name, value in _values(status, unicode=unicode).items()}
    text = filled(template, values)
    if status.known is None:
        return text.strip(" ") or _nothing(unicode=unicode)
    is_aged = status.known.is_old and "age" not in template.names
    return f"{text} ({values['age']})".lstrip(" ") if is_aged else text


def _values(status: Status, *, unicode: bool) -> Mapping[str, str]:
    known = status.known
    names = {"profile": status.profile, "scope": status.scope.value, "host": status.host}
    if known is None:
        nothing = _nothing(unicode=unicode)
        return {**dict.fromkeys(FIELDS, ""), **names, "remain": nothing, "used": nothing}
    return {
        **names,
        "remain": remaining(known.remain),
        "used": plain(known.used),
        "unit": known.unit or "",
        "lasts": in_short(known.forecast),
        "age": short_age(known.age),
    }


def _nothing(*, unicode: bool) -> str:
    return "\N{EN DASH}" if unicode else "-"


def _shown(value: str, *, unicode: bool) -> str:
    """Return a value as visible text on one line, in ASCII if the reader shows nothing else."""
    shown = visible(value).strip(" ")
    return shown if unicode else shown.encode("ascii", "backslashreplace").decode("ascii")


def _plain(status: Status, template: Template, reader: LineReader) -> str:
    return _text(status, template, str, unicode=reader.unicode)


def _tmux(status: Status, template: Template, reader: LineReader) -> str:
    return _text(status, template, for_tmux, unicode=reader.unicode)


def _starship(status: Status, template: Template, reader: LineReader) -> str:
    return _text(status, template, BY_SHELL.get(reader.shell, str), unicode=reader.unicode)


def _waybar(status: Status, template: Template, _reader: LineReader) -> str:
    import json

    # JSON escapes characters beyond ASCII itself.
    return without_commands(
        json.dumps(
            {
                "text": _text(status, template, for_pango),
                "tooltip": for_pango("\n".join(_sentences(status))),
                "class": _class_of(status),
                "percentage": _percentage(status.known),
            }
        )
    )


def _json(status: Status, template: Template, _reader: LineReader) -> str:
    from apimart_cli.output.json import render_document

    known = status.known
    return render_document(
        {
            "profile": without_keys(status.profile),
            "scope": status.scope.value,
            "host": without_keys(status.host),
            "text": _text(status, template, str),
            "state": _class_of(status),
            "remain_balance": known and known.remain,
            "used_balance": known and known.used,
            "unlimited_quota": known and known.remain is None,
            "unit": without_keys(known.unit) if known and known.unit else None,
            "at": known and iso_time(known.at),
            "age_seconds": known and max(0, known.age // timedelta(seconds=1)),
            "forecast": document(known.forecast) if known else None,
        }
    ).rstrip("\n")


def _class_of(status: Status) -> str:
    """Return the state, by which a style sheet colours the line. The first that applies counts."""
    known = status.known
    if known is None:
        return "unknown"
    if known.remain is not None and known.remain <= 0:
        return "critical"
    low_end = known.forecast.days_left_low if known.forecast else None
    if low_end is not None and low_end < CRITICAL_BELOW / timedelta(days=1):
        return "critical"
    if known.is_low:
        return "low"
    return "old" if known.is_old else "ok"


def _percentage(known: Known | None) -> int:
    """Return the share that is left, in percent, rounded down; 0 if it is not known."""
    if known is None:
        return 0
    if known.remain is None:
        return 100
    whole = known.remain + known.used
    return 0 if known.remain <= 0 or whole <= 0 else min(100, int(100 * known.remain / whole))


def _sentences(status: Status) -> list[str]:
    name = visible(f"{status.profile}/{status.scope}")
    known = status.known
    if known is None:
        return [f"{name} at {visible(status.host)}", "nothing is known yet"]
    unit = f" {visible(known.unit)}" if known.unit else ""
    return [
        f"{name} at {visible(status.host)}",
        f"left: {remaining(known.remain)}{unit if known.remain is not None else ''}",
        f"used: {plain(known.used)}{unit}",
        f"lasts: {in_words(known.forecast, None if known.unit is None else visible(known.unit))}",
        f"asked {short_age(known.age)} ago",
    ]


_PRESETS: Mapping[Preset, Callable[[Status, Template, LineReader], str]] = {
    Preset.PLAIN: _plain,
    Preset.TMUX: _tmux,
    Preset.WAYBAR: _waybar,
    Preset.STARSHIP: _starship,
    Preset.CLAUDE: _plain,
    Preset.JSON: _json,
}
