"""The options that say how an answer is written, as records; `commands.options.with_records` puts them in place."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from apimart_cli.errors import UsageError
from apimart_cli.words import OutputFormat, ReadingsFormat, SettingsFormat, VerdictFormat

JsonOutput = Annotated[bool, typer.Option("--json", help="Short for --output json.")]


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
        """The format that is asked for. Raises UsageError where options contradict each other."""
        if self.textfile is not None and (self.json or self.output is not None):
            given = "--json" if self.json else f"--output {self.output}"
            raise UsageError(
                f"--textfile and {given} exclude each other", "leave one of them out: the file is for Prometheus alone"
            )
        return OutputFormat.PROMETHEUS if self.textfile is not None else _format(self.output, json=self.json)


class VerdictOutput(NamedTuple):
    """How a verdict is written."""

    output: Annotated[
        VerdictFormat | None,
        typer.Option("--output", "-o", help="How to write the answer. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False

    @property
    def format(self) -> OutputFormat:
        """The format that is asked for. Raises UsageError where `--output` and `--json` contradict each other."""
        return _format(self.output, json=self.json)


def _format(output: ReadingsFormat | VerdictFormat | None, *, json: bool) -> OutputFormat:
    chosen = None if output is None else OutputFormat(output.value)
    if json and chosen not in {None, OutputFormat.JSON}:
        raise UsageError(f"--json and --output {output} contradict each other", "give one of them")
    return OutputFormat.JSON if json else chosen or OutputFormat.TABLE


class SettingsOutput(NamedTuple):
    """How settings and profiles are written, and balances that are watched."""

    output: Annotated[
        SettingsFormat | None,
        typer.Option("--output", "-o", help="How to write it. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False

    @property
    def is_json(self) -> bool:
        """Whether `--output` and `--json` ask for JSON together. Raises UsageError where they contradict."""
        if self.json and self.output is SettingsFormat.TABLE:
            raise UsageError("--json and --output table contradict each other", "give one of them")
        return self.json or self.output is SettingsFormat.JSON
