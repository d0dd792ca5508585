"""The status line: a template with fields, and what each bar would obey, escaped."""

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.choices import Preset
from apimart_cli.errors import UsageError
from apimart_cli.output.statusline import (
    FIELDS,
    Known,
    LineReader,
    Status,
    for_bash,
    for_pango,
    for_tmux,
    for_zsh,
    needs_forecast,
    render,
    short_age,
    template_of,
)
from apimart_cli.rules.forecast import Forecast
from apimart_cli.text import visible
from apimart_cli.words import ForecastState, Scope
from support.readings import LONGEST

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
TWELVE = Forecast(ForecastState.OK, Decimal(14), Decimal("0.8"), Decimal("12.3"), Decimal("7.9"), Decimal("23.5"))
DASH = "\N{EN DASH}"
HOSTILE = "#[fg=red]#S#(date)<b>&amp;`id`$(id)\\u%n\x1b[31m\r\nx\u202e"

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
LINES = [Preset.PLAIN, Preset.TMUX, Preset.STARSHIP, Preset.CLAUDE]


def known(
    remain: str | None = "10.5", *, unit: str | None = "USD", age: timedelta = timedelta(seconds=5),
    is_old: bool = False, forecast: Forecast | None = TWELVE, is_low: bool = False,
) -> Known:  # fmt: skip
    amount = None if remain is None else Decimal(remain)
    return Known(amount, Decimal("2.3"), unit, AT, age, is_old, forecast, is_low)


def line(
    what: Known | None,
    template: str | None = None,
    preset: Preset = Preset.PLAIN,
    *,
    profile: str = "work",
    reader: LineReader = LineReader(),  # noqa: B008  # a record
) -> str:
    """The line of a bar, its end checked and taken away."""
    written = render(Status(profile, Scope.KEY, "api.apimart.ai", what), template_of(template, preset), preset, reader)
    assert written.endswith("\n")
    assert written.count("\n") == 1
    return written[:-1]


def test_the_line_says_what_is_left_and_how_long_it_lasts() -> None:
    """Every field can be on it, in any order, with braces written twice for one, and amounts with every digit."""
    assert line(known()) == "10.5 USD 12 d"
    assert line(known(), preset=Preset.CLAUDE) == "APIMart: 10.5 USD 12 d"
    assert line(known(None)) == "unlimited USD 12 d"
    template = "{{" + "|".join(f"{{{name}}}" for name in FIELDS) + "}}"
    assert line(known(LONGEST), template) == f"{{{LONGEST}|USD|12 d|work|key|2.3|5s|api.apimart.ai}}"


@pytest.mark.parametrize(("template", "shown"), [
    ("{remain} {unit} {lasts}", "10.5"), ("{unit} {remain} {unit}", "10.5"),
    ("{unit}{lasts} left: {remain}", "left: 10.5"), ("a {unit} {lasts} b", "a b"), ("a {unit}b", "a b"),
    ("({lasts}) {remain}", "() 10.5"), ("two  spaces {remain}", "two  spaces 10.5"), ("{remain} ", "10.5 "),
    ("{unit}", ""), ("", ""),
])  # fmt: skip
def test_an_empty_field_takes_a_space_with_it(template: str, shown: str) -> None:
    """Nothing is doubled or left at the end, and the user's own spaces stay."""
    assert line(known(unit=None, forecast=None), template) == shown


@pytest.mark.parametrize(("template", "message"), [
    ("{left}", "there is no field {left}"), ("{}", "there is no field {}"),
    ("{remain!r}", "there is no field {remain!r}"), ("{remain:>9}", "there is no field {remain:>9}"),
    ("{\x1b[31m}", "there is no field {\\x1b[31m}"), ("{remain", "there is a { alone"),
    ("remain}", "there is a } alone"), ("{remain}\n", "a status line is one line"),
    ("a\x85b", "a status line is one line"),
])  # fmt: skip
def test_a_wrong_format_is_refused(template: str, message: str) -> None:
    """With what is wrong, and the fields that there are."""
    with pytest.raises(UsageError) as raised:
        template_of(template, Preset.PLAIN)
    assert raised.value.message == f"--format: {message}"
    if "field" in message:
        assert all(f"{{{name}}}" in (raised.value.hint or "") for name in FIELDS)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_any_text_is_a_template_or_is_refused(template: str) -> None:
    """And no other error comes out of it."""
    try:
        read = template_of(template, Preset.PLAIN)
    except UsageError:
        return
    assert len(render(Status("a", Scope.KEY, "h", known()), read, Preset.PLAIN, LineReader()).splitlines()) == 1


def test_what_is_not_known_is_a_dash() -> None:
    """Alone where there is nothing else to say, and as ASCII where there is nothing else to say it in."""
    assert line(None) == DASH
    assert line(None, "{profile}: {remain} {unit} {age}") == f"work: {DASH}"
    assert line(None, "{lasts}") == DASH
    assert line(None, reader=LineReader(unicode=False)) == "-"
    assert line(None, preset=Preset.CLAUDE) == f"APIMart: {DASH}"


def test_what_is_old_says_so() -> None:
    """At the end of the line, unless the age is on it anyway."""
    old = known(unit=None, forecast=None, age=timedelta(minutes=12, seconds=50), is_old=True)
    assert line(old) == "10.5 (12m)"
    assert line(old, "{age} {remain}") == "12m 10.5"
    assert line(old, "{unit}") == "(12m)"


@pytest.mark.parametrize(("age", "shown"), [
    (timedelta(seconds=-3), "0s"), (timedelta(seconds=59.9), "59s"), (timedelta(seconds=60), "1m"),
    (timedelta(minutes=119), "1h"), (timedelta(hours=47), "1d"), (timedelta(days=400), "400d"),
])  # fmt: skip
def test_an_age_is_short(age: timedelta, shown: str) -> None:
    """In one unit, rounded down."""
    assert short_age(age) == shown


def test_a_forecast_is_told_only_where_it_shows() -> None:
    """As telling it takes time."""
    assert needs_forecast(template_of(None, Preset.PLAIN), Preset.PLAIN)
    assert needs_forecast(template_of("{remain}", Preset.JSON), Preset.JSON)
    assert not needs_forecast(template_of("{remain}", Preset.TMUX), Preset.TMUX)


def halved_by_tmux(text: str) -> str:
    """What tmux shows: formats are expanded, then the line is drawn; both halve what is escaped."""
    expanded = re.sub(r"#{2,}(?!\[)(?=[^#]|$)", lambda match: "#" * ((len(match[0]) + 1) // 2), text)
    assert not re.search(r"(?<!#)(##)*#[({S]", text), "tmux would expand it"
    assert not re.search(r"(?<!#)(##)*#\[", text), "tmux would take it for a style"
    return re.sub(r"##", "#", expanded)


def expanded_by_bash(text: str) -> str:
    """What bash shows: its own escapes are decoded, then expansions take place as between double quotes."""
    decoded = re.sub(r"\\(.)", lambda match: match[1] if match[1] == "\\" else "!", text)
    assert not re.search(r"(?<!\\)(\\\\)*[$`]", decoded), "bash would expand it"
    return re.sub(r"\\([\\$`])", r"\1", decoded)


@given(NAMES)
def test_what_is_escaped_shows_as_it_was(text: str) -> None:
    """In markup, and in the prompts of bash and zsh, whatever it is."""
    assert html.unescape(for_pango(text)) == text
    assert not re.search(r"[<>]", for_pango(text))
    assert expanded_by_bash(for_bash(text)) == text
    assert for_zsh(text).replace("%%", "%") == text
    assert "%" not in for_zsh(text).replace("%%", "")


@given(st.text("#[S(ab%", max_size=12))
def test_what_is_escaped_for_tmux_is_no_command(text: str) -> None:
    """Every `#` is one of an even row, which neither begins a format nor a style; what is shown is what it was."""
    escaped = for_tmux(text)
    assert all(len(row) % 2 == 0 for row in re.findall(r"#+", escaped))
    assert halved_by_tmux(escaped) == text


@pytest.mark.parametrize("preset", LINES)
@settings(max_examples=25)
@given(name=NAMES)
def test_a_line_is_one_line_of_visible_characters(preset: Preset, name: str) -> None:
    """Whatever the profile and the unit are called."""
    for reader in (LineReader(), LineReader(unicode=False, shell="zsh")):
        shown = line(known(unit=name), "{profile} {unit}", preset, profile=name, reader=reader)
        assert visible(shown).replace("\\", "") == shown.replace("\\", "")
        assert reader.unicode or shown.isascii()


@pytest.mark.parametrize(
    ("preset", "shell", "escape"),
    [
        (Preset.PLAIN, "bash", str),
        (Preset.CLAUDE, "bash", str),
        (Preset.TMUX, "bash", for_tmux),
        (Preset.STARSHIP, "bash", for_bash),
        (Preset.STARSHIP, "zsh", for_zsh),
        (Preset.STARSHIP, "fish", str),
        (Preset.WAYBAR, "bash", for_pango),
        (Preset.JSON, "bash", str),
    ],
)
def test_no_preset_lets_a_name_command_its_bar(preset: Preset, shell: str, escape: Callable[[str], str]) -> None:
    """The escape of each, for a name with everything in it."""
    status = known(unit=None, forecast=None)
    shown = line(status, "{profile}", preset, profile=HOSTILE, reader=LineReader(shell=shell))
    assert (json.loads(shown)["text"] if preset in {Preset.WAYBAR, Preset.JSON} else shown) == escape(visible(HOSTILE))


def test_the_users_own_words_stay_as_they_are() -> None:
    """A bar may be told by them to colour the line."""
    assert line(known(), "#[fg=green]{unit}", Preset.TMUX) == "#[fg=green]USD"
    assert json.loads(line(known(), "<b>{unit}</b>", Preset.WAYBAR))["text"] == "<b>USD</b>"


def test_an_escape_is_not_one_for_the_locale() -> None:
    """What ASCII lacks is escaped first, so that the prompt does not obey that escape."""
    shown = line(known(unit="€", forecast=None), "{unit}", Preset.STARSHIP, reader=LineReader(unicode=False))
    assert shown == r"\\\\u20ac"
    assert expanded_by_bash(shown) == r"\u20ac"


@pytest.mark.parametrize(("what", "expected"), [
    (None, ("unknown", 0)), (known(), ("ok", 82)), (known(is_old=True), ("old", 82)),
    (known(is_old=True, is_low=True), ("low", 82)),
    (known(forecast=TWELVE._replace(days_left_low=Decimal("0.99"))), ("critical", 82)),
    (known(forecast=TWELVE._replace(days_left_low=Decimal(1))), ("ok", 82)),
    (known("0"), ("critical", 0)), (known("-4"), ("critical", 0)), (known(None), ("ok", 100)),
])  # fmt: skip
def test_waybar_gets_a_class_and_a_percentage(what: Known | None, expected: tuple[str, int]) -> None:
    """For its style sheet: what matters most comes first."""
    document = json.loads(line(what, preset=Preset.WAYBAR))
    assert list(document) == ["text", "tooltip", "class", "percentage"]
    assert (document["class"], document["percentage"]) == expected


def test_the_tooltip_says_it_in_words() -> None:
    """A line each, escaped as markup."""
    document = json.loads(line(known(unit="<i>"), preset=Preset.WAYBAR, profile="a\nb"))
    assert document["tooltip"].splitlines() == [
        "a\\x0ab/key at api.apimart.ai", "left: 10.5 &lt;i&gt;", "used: 2.3 &lt;i&gt;",
        "lasts: about 12 days (7 to 24)", "asked 5s ago",
    ]  # fmt: skip
    unlimited = json.loads(line(known(None, forecast=None), preset=Preset.WAYBAR))["tooltip"]
    assert "left: unlimited\n" in unlimited
    assert "nothing is known yet" in json.loads(line(None, preset=Preset.WAYBAR))["tooltip"]


def test_json_has_a_schema_and_exact_numbers() -> None:
    """ASCII, one object; null for what is not known, and for what has no limit."""
    written = line(known("10.50"), preset=Preset.JSON)
    assert '"remain_balance":10.50,' in written
    assert written.isascii()
    document = json.loads(written)
    assert document.pop("forecast")["state"] == "ok"
    assert document == {
        "schema": 1, "profile": "work", "scope": "key", "host": "api.apimart.ai", "text": "10.50 USD 12 d",
        "state": "ok", "remain_balance": 10.5, "used_balance": 2.3, "unlimited_quota": False, "unit": "USD",
        "at": "2026-11-20T10:00:00Z", "age_seconds": 5,
    }  # fmt: skip
    nothing = json.loads(line(None, preset=Preset.JSON))
    assert (nothing["text"], nothing["state"]) == (DASH, "unknown")
    assert nothing["remain_balance"] is nothing["forecast"] is None
    assert json.loads(line(known(None), preset=Preset.JSON))["unlimited_quota"] is True
