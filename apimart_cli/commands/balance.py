"""`apimart balance`: show what is left and what is used."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, new_app, note_unlimited
from apimart_cli.commands.option_records import AskingOptions, JsonOutput, chosen_format, with_records
from apimart_cli.commands.options import trace_of
from apimart_cli.errors import ExitCode, UsageError
from apimart_cli.words import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apimart_cli.config.settings import Settings
    from apimart_cli.output import Format
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.readings.take import Taken
    from apimart_cli.rules.balance import Reading


class ReadingsFormat(StrEnum):
    """What `--output` of a command that shows balances takes: the formats that have `readings`."""

    TABLE = OutputFormat.TABLE.value
    JSON = OutputFormat.JSON.value
    VALUE = OutputFormat.VALUE.value
    PROMETHEUS = OutputFormat.PROMETHEUS.value


class ReadingsOutput(NamedTuple):
    """How balances are written."""

    output: Annotated[
        ReadingsFormat | None,
        typer.Option("--output", "-o", help="How to write the answer. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile",
            metavar="PATH",
            help="Write metrics into this file, whole, for Prometheus' node_exporter; its name ends in .prom.",
            show_default=False,
        ),
    ] = None

    @property
    def format(self) -> OutputFormat:
        """The format to use. Raises UsageError if options contradict each other."""
        if self.textfile is not None and (self.json or self.output is not None):
            given = "--json" if self.json else f"--output {self.output}"
            raise UsageError(
                f"--textfile and {given} exclude each other", "leave one of them out: the file is for Prometheus alone"
            )
        return OutputFormat.PROMETHEUS if self.textfile is not None else chosen_format(self.output, json=self.json)


app = new_app()


@app.command(cls=Command)
@with_records
def balance(asking: AskingOptions, output: ReadingsOutput) -> ExitCode:
    """Show what is left and what is used.

        apimart balance
        apimart balance --scope both
        apimart balance -p work --json

    --textfile is for cron and node_exporter: nothing is printed, and a reading that failed leaves no balance in the
    file.

    Exit codes: 0 shown, 1 internal error, 2 usage, 3 no money left, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted, 130 interrupted.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.readings import Tells
    from apimart_cli.readings.take import count, take_readings

    chosen = output.format
    if output.textfile is not None:
        from apimart_cli.replacing import require_place

        require_place(output.textfile)
    profiles = resolve(asking.options())
    trace = trace_of(debug=asking.debug)
    # The lines of several profiles show the progress by themselves.
    is_streamed = len(profiles) > 1 and _is_streamed_to_terminal(chosen)
    with take_readings(
        profiles,
        source="balance",
        tells=Tells.FAILURES if is_streamed else Tells.EVERYTHING,
        # Metrics can say that a reading failed.
        keyless_too=chosen is OutputFormat.PROMETHEUS,
        trace=trace,
        forecast_patience=None if chosen is OutputFormat.VALUE else 0.0,
        books=None if chosen is OutputFormat.VALUE else _books(profiles),
    ) as taken:
        # Loaded while the answers travel, with Rich if a table is to be drawn.
        from apimart_cli.output import format_of
        from apimart_cli.rules.gate import code_of_readings

        shown = format_of(chosen)
        shown.prepare()
        readings = _write(taken, shown, asked=count(profiles), path=output.textfile)
    if output.textfile is None:
        note_unlimited(readings, _repeated(asking))
    return code_of_readings(readings)


def _books(profiles: "Sequence[Settings]") -> "BookForecasts | None":
    """Return what tells forecasts from the gateway's books, if a profile allows it."""
    if not any(profile.books.value for profile in profiles):
        return None
    from apimart_cli.readings.book_forecasts import shown_books

    return shown_books(profiles)


def _repeated(asking: AskingOptions) -> "list[str] | None":
    """Return the options that ask about the same keys; None if one of them is the key itself."""
    if asking.api_key is not None:
        return None
    values = [("--api-key-file", asking.api_key_file), ("--base-url", asking.base_url), ("--timeout", asking.timeout)]
    named = [("--profile", name) for name in asking.profiles or ()]
    words = [word for name, value in (*named, *values) if value is not None for word in (name, str(value))]
    return ["--all-profiles", *words] if asking.all_profiles else words


def _is_streamed_to_terminal(chosen: OutputFormat) -> bool:
    """Tell whether a person sees each answer as it arrives, and needs no other sign of progress."""
    from apimart_cli.screen.progress import is_beside_answer

    if not is_beside_answer():
        return False
    from apimart_cli.output import format_of

    return format_of(chosen).streams


def _write(taken: "Iterable[Taken]", shown: "Format", *, asked: int, path: "Path | None") -> "list[Reading]":
    """Write the readings to standard output, or to the file at `path`, and return them.

    If the format streams, those of each profile are written to standard output as soon as they are there.
    """
    from apimart_cli.screen.writing import standard_output, write_answer

    assert shown.readings is not None, "every format of this command shows readings"
    screen = standard_output()
    readings: list[Reading] = []
    for each in taken:
        if shown.streams:
            head = "" if readings else shown.head
            write_answer(head + shown.readings(each.readings, screen, asked), shown.encoding)
        readings += each.readings
    if shown.streams and path is None:
        return readings
    text = shown.head + shown.readings(readings, screen, asked)
    if path is None:
        write_answer(text, shown.encoding)
    else:
        from apimart_cli.replacing import write_textfile

        write_textfile(path, text)
    return readings
