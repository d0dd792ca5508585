"""One file for each command, which reads the options, calls and renders: no HTTP, no formatting, no arithmetic.

A file is loaded when its command is named, and imports heavy modules inside the command. It has an `app` of `new_app`.
The docstring of a command is its help: one sentence, which is also the line in the list of commands, then indented
examples; what follows the examples is shown after the options.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from apimart_cli.errors import ExitCode
from apimart_cli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from apimart_cli.config.settings import Settings
    from apimart_cli.errors import Trace
    from apimart_cli.readings import Tells
    from apimart_cli.readings.alerting import Alerts
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.readings.books import TakenBooks
    from apimart_cli.readings.take import Taken
    from apimart_cli.rules.balance import Reading
    from apimart_cli.rules.budget import JudgedSpend

_FIRST = (
    "min", "max_used", "warning", "critical", "runway_warning", "runway_critical",
    "profile", "profiles", "all_profiles", "scope", "output", "json",
)  # fmt: skip
_LAST = ("debug", "api_key_file", "api_key", "help")
"""The parameters that the help shows before all others, and after them."""

_NAME_WIDTH = 22
"""Cells for the name of an option. A longer name gets a line of its own."""


def _print_version(asked: bool) -> None:
    if asked:
        from apimart_cli.screen.writing import write_answer

        write_answer(f"apimart {__version__}\n")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
]


class _HelpLayout(typer.Context.formatter_class):  # type: ignore[misc,valid-type]  # it has no public name
    """Lays out a help. Breaks lines only between words, so an option is never broken at a hyphen."""

    def write_text(self, text: str) -> None:
        for line in _wrapped(text, self.width - self.current_indent):
            self.write(f"{'':{self.current_indent}}{line}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], *_: Any, **__: Any) -> None:
        width = min(max(len(name) for name, _ in rows), _NAME_WIDTH)
        column = self.current_indent + width + 2
        for name, meaning in rows:
            lines = _wrapped(meaning, self.width - column)
            label = f"{'':{self.current_indent}}{name}"
            if len(name) > width or not lines:
                self.write(f"{label}\n")
            else:
                self.write(f"{label:{column}}{lines.pop(0)}\n")
            self.write("".join(f"{'':{column}}{line}\n" for line in lines))


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


class Plain:
    """Does what Typer does, without Rich, and writes to our own streams."""

    help: str | None

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help, written as every other answer is."""
        option = super().get_help_option(ctx)  # type: ignore[misc]  # mixed into Typer's classes
        if option is not None:
            option.callback = _show_help
        return option

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters in the order of the help: first the ones needed most, last the discouraged ones."""
        return sorted(super().get_params(ctx), key=_place)  # type: ignore[misc]  # mixed into Typer's classes

    def get_help(self, ctx: Any) -> str:
        """Return the help, laid out for the width of the terminal."""
        ctx.formatter_class = _HelpLayout
        text: str = super().get_help(ctx)  # type: ignore[misc]  # mixed into Typer's classes
        return text

    def format_help_text(self, _ctx: Any, formatter: Any) -> None:
        """Write what the command does, and its examples."""
        _write_paragraphs(split_help(self.help)[0], formatter)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the rest of the docstring, after the options."""
        _write_paragraphs(split_help(self.help)[1], formatter)

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002  # the library's signature
        """Return the first sentence, whole: a narrow terminal gets it on two lines."""
        return " ".join((self.help or "").partition("\n\n")[0].split())

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what a shell may complete here, with descriptions if Typer needs no Rich for them."""
        items: list[Any] = super().shell_complete(ctx, incomplete)  # type: ignore[misc]  # mixed into Typer's classes
        if not _keep_descriptions():
            for item in items:
                item.help = None
        return items


class Command(Plain, typer.core.TyperCommand):
    """One command."""


class Group(Plain, typer.core.TyperGroup):
    """Commands under one name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options. Without any argument, show the help as an error, as a script may have lost a word."""
        if not args and not ctx.resilient_parsing and not self.invoke_without_command:
            from apimart_cli.screen.writing import tell

            tell(f"{ctx.get_help()}\n")
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)


def _place(parameter: Any) -> int:
    if parameter.name in _FIRST:
        return _FIRST.index(parameter.name)
    return len(_FIRST) + (1 + _LAST.index(parameter.name) if parameter.name in _LAST else 0)


def split_help(text: str | None) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a help up to its examples, and those after them."""
    paragraphs = (text or "").split("\n\n")
    end = next((number for number, each in enumerate(paragraphs, 1) if each.startswith(" ")), len(paragraphs))
    return paragraphs[:end], paragraphs[end:]


def _write_paragraphs(paragraphs: Sequence[str], formatter: Any) -> None:
    for paragraph in paragraphs:
        formatter.write_paragraph()
        if paragraph.startswith(" "):
            # Indented as in the docstring: each example on its line.
            formatter.write(f"{paragraph}\n")
        else:
            with formatter.indentation():
                formatter.write_text(paragraph)


def _keep_descriptions() -> bool:
    """Keep Typer from removing markup from descriptions; return whether that worked.

    Ours have no markup, and Typer would load Rich at every TAB to remove it. The function that does so is not public: a
    version of Typer without it gets no descriptions.
    """
    try:
        from typer import _completion_classes
    except ImportError:
        return False
    if not hasattr(_completion_classes, "_sanitize_help_text"):
        return False
    _completion_classes._sanitize_help_text = str  # type: ignore[assignment]  # text in, the same text out
    return True


def _show_help(context: Any, _option: Any, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from apimart_cli.screen.writing import write_answer

        write_answer(f"{context.get_help()}\n")
        context.exit()


def new_app(**settings: Any) -> typer.Typer:
    """Return the Typer app of a command. Its help is plain, as panels would load Rich for every --help."""
    return typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, **settings)


def write_path(path: "Path", variable: str, *, json: bool, exists: bool) -> ExitCode:
    """Write the path of a file that `variable` can name, as text or as JSON."""
    import os

    from apimart_cli.screen.writing import write_answer

    if not json:
        write_answer(f"{path}\n")
        return ExitCode.OK
    from apimart_cli.output.json import render_document

    source = variable if variable in os.environ else "default"
    write_answer(render_document({"path": str(path), "source": source, "exists": exists}))
    return ExitCode.OK


def note_unlimited(readings: "Sequence[Reading]", asked_with: "Sequence[str] | None") -> None:
    """Tell a person that an unlimited key spends from its account, if the account was not looked at.

    `asked_with` are the options that ask about the same keys; None if one of them must not be repeated.
    """
    import shlex

    from apimart_cli.screen.writing import is_terminal_error, write_note
    from apimart_cli.words import Scope

    seen_accounts = {each.profile for each in readings if each.scope is not Scope.KEY}
    is_unlimited = any(
        each.balance is not None and each.balance.unlimited_quota and each.profile not in seen_accounts
        for each in readings
    )
    if is_unlimited and is_terminal_error():
        command = None if asked_with is None else shlex.join(["apimart", "balance", *asked_with, "--scope", "both"])
        write_note(
            "an unlimited key spends what its account has left, which was not looked at",
            "see the account with: --scope both" if command is None else f"see the account: {command}",
        )


@contextmanager
def alerts_about(
    profiles: "Sequence[Settings]",
    seen: "Sequence[Taken]" = (),
    spends: "Sequence[tuple[Settings, JudgedSpend]]" = (),
    *,
    label: str | None = None,
    holds_warnings: bool = False,
    stops: bool = False,
    trace: "Trace | None" = None,
) -> "Iterator[Alerts | None]":
    """Give the `Alerts` that take readings inside the block; None if no alert is set. `stops` counts `on_stop`, too.

    At the end of the block, even if it raised, the readings in `seen` and the budgets in `spends` are taken, and all
    commands are waited for. With `holds_warnings` no warning is written before. `trace` takes a line for each command
    that is run, or is not.

    Raises UsageError if an option asks for alerts and there is no threshold.
    """
    for profile in profiles:
        profile.require_alert_threshold()
    for profile in profiles:
        if trace is not None and profile.names_alert_command and not profile.has_alerts:
            trace(f"alert: {profile.profile.value}: nothing is run: there is neither min nor min_runway")
    is_needed = any(profile.has_alerts or (stops and profile.on_stop.value is not None) for profile in profiles)
    if not is_needed:
        yield None
        return
    from apimart_cli.readings.alerting import Alerts

    alerts = Alerts(profiles, label=label, holds_warnings=holds_warnings, trace=trace)
    try:
        yield alerts
    finally:
        if seen:
            alerts.take(seen)
        if spends:
            alerts.take_spends(spends)
        alerts.finish()


@contextmanager
def take_readings_and_books(
    held: "Sequence[Settings]",
    budgeted: "Sequence[Settings]",
    *,
    source: str,
    tells: "Tells",
    keyless_too: bool = False,
    trace: "Trace | None",
    forecast_patience: float | None,
    books: "BookForecasts | None",
) -> "Iterator[tuple[Iterable[Taken], Iterable[TakenBooks]]]":
    """Ask for the balances of `held`, and side by side for what was spent with the keys of `budgeted`.

    The other arguments are those of `take_readings`.
    """
    from apimart_cli.readings import Tells
    from apimart_cli.readings.take import look_at, take_readings

    profiles = [*held, *(each for each in budgeted if each not in held)]
    look_at(profiles, tells=tells, refuse_exposed=True, keyless_too=keyless_too)
    with ExitStack() as stack:
        sharing = None
        if budgeted:
            from apimart_cli.gateway.question import Sharing

            sharing = Sharing()
        taken: Iterable[Taken] = ()
        if held:
            taken = stack.enter_context(
                take_readings(
                    held,
                    source=source,
                    tells=tells,
                    trace=trace,
                    forecast_patience=forecast_patience,
                    books=books,
                    sharing=sharing,
                    is_looked_at=True,
                )
            )
        if not budgeted:
            yield taken, ()
            return
        # Loaded here, as most checks have no budget.
        from apimart_cli.readings.books import budget_query, take_books

        # One progress is enough.
        told = Tells.FAILURES if held and tells is Tells.EVERYTHING else tells
        taken_books = take_books(budgeted, budget_query, tells=told, trace=trace, sharing=sharing, is_looked_at=True)
        yield taken, stack.enter_context(taken_books)
