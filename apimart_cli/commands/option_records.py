"""Records of options that several commands share, and the decorator that passes such records to a command."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_type_hints

import typer

from apimart_cli.commands.options import (
    AllProfiles,
    ApiKey,
    ApiKeyFile,
    BaseUrl,
    Debug,
    Profiles,
    Scopes,
    Timeout,
    Unit,
)
from apimart_cli.errors import UsageError
from apimart_cli.words import OutputFormat

if TYPE_CHECKING:
    from apimart_cli.config.settings import Options

T = TypeVar("T")

JsonOutput = Annotated[bool, typer.Option("--json", help="Short for --output json.")]


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


class SettingsFormat(StrEnum):
    """How settings and profiles are written."""

    TABLE = "table"
    JSON = "json"


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


def chosen_format(output: StrEnum | None, *, json: bool) -> OutputFormat:
    """Return the format to use, of those a command takes. Raises UsageError if `--output` and `--json` contradict."""
    chosen = None if output is None else OutputFormat(output.value)
    if json and chosen not in {None, OutputFormat.JSON}:
        raise UsageError(f"--json and --output {output} contradict each other", "give one of them")
    return OutputFormat.JSON if json else chosen or OutputFormat.TABLE


def _read_standard_input(seconds: float) -> str:
    from apimart_cli.screen.prompt import read_key

    return read_key("--api-key -", hint="pipe the key in, or use --api-key-file", seconds=seconds)
