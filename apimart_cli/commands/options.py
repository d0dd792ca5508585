"""The options that several commands share, as records, and the decorator that passes such records to a command.

Values with a syntax of their own (amounts, seconds, addresses) stay text here: `config` reads them, so that an option,
a variable and the config file obey the same rules and give the same errors.
"""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_type_hints

import typer

from apimart_cli.errors import UsageError
from apimart_cli.words import OutputFormat, ReadingsFormat, ScopeChoice, SettingsFormat, VerdictFormat

if TYPE_CHECKING:
    from apimart_cli.config.settings import Options
    from apimart_cli.errors import Trace

T = TypeVar("T")


def complete_profile(incomplete: str) -> list[str]:
    """Return the profiles that a shell may complete. What finds them loads when a shell asks."""
    from apimart_cli.commands.completion import offered_profiles

    return offered_profiles(incomplete)


def value_option(name: str, metavar: str, help_text: str) -> Any:
    """Return an option with a value and without a default."""
    return typer.Option(name, metavar=metavar, help=help_text, show_default=False)


def profile_option(meaning: str) -> Any:
    """Return the option that names a profile. It need not be in the config file: its history may outlive it there."""
    return typer.Option(
        "--profile", "-p", metavar="NAME", help=meaning, show_default=False, autocompletion=complete_profile
    )


OneProfile = Annotated[str | None, profile_option("A profile of the config file.")]
WrittenProfile = Annotated[str | None, profile_option("A profile of the config file, or a new one.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="TEXT",
        help="The key itself; - reads it from standard input. Everybody on this machine can see arguments: "
        "use login, APIMART_API_KEY or --api-key-file instead.",
        show_default=False,
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", metavar="PATH", help="A file that holds the key and nothing else.", show_default=False
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="The gateway's address; with or without /v1. Default: https://api.apimart.ai.",
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Limit for the whole answer, retries included. Default: 10.",
        show_default=False,
    ),
]
Unit = Annotated[
    str | None,
    typer.Option("--unit", metavar="TEXT", help="What the amounts are in, like USD.", show_default=False),
]
Profiles = Annotated[list[str] | None, profile_option("A profile of the config file; may be repeated.")]
AllProfiles = Annotated[bool, typer.Option("--all-profiles", help="Every profile of the config file.")]


def _scope(default: str) -> Any:
    meaning = f"Which balance: key, account, both, or spendable, the smaller one. Default: {default}."
    return typer.Option("--scope", help=meaning, show_default=False)


Scopes = Annotated[ScopeChoice | None, _scope("key; of check spendable")]
DecidingScopes = Annotated[ScopeChoice | None, _scope("spendable")]
"""The scope of commands that decide."""
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show each attempt on standard error, and where a bug is."),
]
OnlyJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]


class AskingOptions(NamedTuple):
    """Which balances to ask for, with which keys: the options of all commands that ask, or show what they would ask.

    All fields but `debug` are passed on under their own names, as `Options` has the same.
    """

    api_key: ApiKey = None
    api_key_file: ApiKeyFile = None
    profiles: Profiles = None
    all_profiles: AllProfiles = False
    scope: Scopes = None
    unit: Unit = None
    base_url: BaseUrl = None
    timeout: Timeout = None
    debug: Debug = False

    def options(self, **thresholds: str | None) -> "Options":
        """Return what was typed as `config` takes it, together with thresholds and alerts."""
        from apimart_cli.config.settings import Options

        typed = {**self._asdict(), "profiles": tuple(self.profiles or ()), **thresholds}
        del typed["debug"]
        return Options(**typed, read_standard_input=_read_standard_input)


class OneKeyOptions(NamedTuple):
    """Which balance to ask for, with which key, while a command runs: `AskingOptions` with a single profile."""

    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="TEXT",
            help="The key itself. Everybody on this machine can see arguments: use login, APIMART_API_KEY or "
            "--api-key-file instead.",
            show_default=False,
        ),
    ] = None
    api_key_file: ApiKeyFile = None
    profile: OneProfile = None
    scope: Annotated[
        ScopeChoice | None,
        typer.Option(
            "--scope",
            help="Which balance --min holds; of key and account the smaller one is spendable. Default: spendable.",
            show_default=False,
        ),
    ] = None
    unit: Unit = None
    base_url: BaseUrl = None
    timeout: Timeout = None
    debug: Debug = False

    def options(self, **thresholds: str | None) -> "Options":
        """Return what was typed as `config` takes it, together with thresholds and alerts.

        Raises UsageError for a key from standard input, which belongs to the command.
        """
        from apimart_cli.config.settings import Options

        if self.api_key == "-":
            raise UsageError("--api-key -: standard input belongs to the command", "use --api-key-file")
        typed = {**self._asdict(), "profiles": () if self.profile is None else (self.profile,), **thresholds}
        del typed["debug"], typed["profile"]
        return Options(**typed)


class AlertOptions(NamedTuple):
    """The commands to run when a balance becomes low, and when it has recovered."""

    on_low: Annotated[
        str | None,
        typer.Option(
            "--on-low",
            metavar="COMMAND",
            help="Run this once when less is left than --min, or it lasts shorter than --min-runway.",
            show_default=False,
        ),
    ] = None
    on_recover: Annotated[
        str | None,
        typer.Option("--on-recover", metavar="COMMAND", help="Run this when enough is left again.", show_default=False),
    ] = None


def trace_of(*, debug: bool) -> "Trace | None":
    """Return the function that writes the lines of `--debug` or `APIMART_DEBUG=1`; None without either."""
    if not debug and os.environ.get("APIMART_DEBUG") != "1":
        return None
    from apimart_cli.screen.writing import write_debug

    return write_debug


def _read_standard_input(seconds: float) -> str:
    from apimart_cli.screen.prompt import read_key

    return read_key("--api-key -", hint="pipe the key in, or use --api-key-file", seconds=seconds)


def with_records(command: Callable[..., T]) -> Callable[..., T]:
    """Return `command` for Typer: each parameter that is a record of options is replaced by its fields."""
    parameters: list[inspect.Parameter] = []
    records: dict[str, Any] = {}
    for parameter in inspect.signature(command).parameters.values():
        if isinstance(parameter.annotation, type) and hasattr(parameter.annotation, "_field_defaults"):
            records[parameter.name] = parameter.annotation
            parameters += _parameters_of(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def call(**values: Any) -> T:
        for name, record in records.items():
            values[name] = record(**{field: values.pop(field) for field in record._fields})
        return command(**values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _parameters_of(record: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(record, include_extras=True)
    return [
        inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field])
        for field, default in record._field_defaults.items()
    ]


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
        """The format to use. Raises UsageError if options contradict each other."""
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
        """The format to use. Raises UsageError if `--output` and `--json` contradict each other."""
        return _format(self.output, json=self.json)


def _format(output: ReadingsFormat | VerdictFormat | None, *, json: bool) -> OutputFormat:
    chosen = None if output is None else OutputFormat(output.value)
    if json and chosen not in {None, OutputFormat.JSON}:
        raise UsageError(f"--json and --output {output} contradict each other", "give one of them")
    return OutputFormat.JSON if json else chosen or OutputFormat.TABLE


class SettingsOutput(NamedTuple):
    """How settings, profiles, the history and watched balances are written."""

    output: Annotated[
        SettingsFormat | None,
        typer.Option("--output", "-o", help="How to write it. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False

    @property
    def is_json(self) -> bool:
        """Whether to write JSON. Raises UsageError if `--output` and `--json` contradict each other."""
        if self.json and self.output is SettingsFormat.TABLE:
            raise UsageError("--json and --output table contradict each other", "give one of them")
        return self.json or self.output is SettingsFormat.JSON
