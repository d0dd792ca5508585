"""The options that several commands share, declared once.

Values that have a syntax of their own (amounts, seconds, addresses) stay text here: `settings` reads them, so that an
option, a variable and the config file obey the same rules and give the same errors.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from apimart_cli.errors import UsageError


class ScopeChoice(StrEnum):
    """What `--scope` takes."""

    KEY = "key"
    ACCOUNT = "account"
    BOTH = "both"


class OutputChoice(StrEnum):
    """What `--output` takes."""

    TABLE = "table"
    JSON = "json"
    VALUE = "value"


ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="TEXT",
        help="The API key; - reads it from standard input. Arguments are visible in the process list: "
        "prefer APIMART_API_KEY or --api-key-file.",
        show_default=False,
    ),
]
ApiKeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", metavar="PATH", help="A file that holds the key and nothing else.", show_default=False
    ),
]


def _profile_names(incomplete: str) -> list[str]:
    """Return the profiles that a shell may complete; none where the config file cannot be read.

    Shells take what they are given as if it had been typed, and zsh evaluates it: a name that would have to be quoted
    is left out.
    """
    import os
    import re

    from apimart_cli.configfile import inspect_config
    from apimart_cli.errors import ApimartError

    try:
        config, _ = inspect_config(os.environ)
    except ApimartError:
        return []
    return [name for name in config.profiles if name.startswith(incomplete) and re.fullmatch(r"[\w@.+/-]+", name)]


def _profile(meaning: str) -> Any:
    return typer.Option(
        "--profile", "-p", metavar="NAME", help=meaning, show_default=False, autocompletion=_profile_names
    )


ProfilesOption = Annotated[list[str] | None, _profile("A profile of the config file; may be repeated.")]
OneProfileOption = Annotated[str | None, _profile("A profile of the config file.")]
WrittenProfileOption = Annotated[str | None, _profile("A profile of the config file, or a new one.")]
AllProfilesOption = Annotated[bool, typer.Option("--all-profiles", help="Every profile of the config file.")]
ScopeOption = Annotated[
    ScopeChoice | None,
    typer.Option("--scope", help="Which balance: this key's (default), the account's, or both.", show_default=False),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="The gateway's address; with or without /v1. Default: https://api.apimart.ai.",
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Wall-clock limit for the whole answer, retries included. Default: 10.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    OutputChoice | None,
    typer.Option("--output", "-o", help="How to write the answer. Default: table.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --output json.")]
OnlyJsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def choose_output(output: OutputChoice | None, json: bool) -> str:
    """Return the name of the output format that `--output` and `--json` ask for together."""
    if json and output not in {None, OutputChoice.JSON}:
        raise UsageError(f"--json and --output {output} contradict each other", "give one of them")
    return "json" if json else (output or OutputChoice.TABLE).value
