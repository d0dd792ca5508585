"""The options that several commands share.

Values with a syntax of their own (amounts, seconds, addresses) stay text here: `config` reads them, so that an option,
a variable and the config file obey the same rules and give the same errors.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apimart_cli.words import ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.errors import Trace


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


def trace_of(*, debug: bool) -> "Trace | None":
    """Return the function that writes the lines of `--debug` or `APIMART_DEBUG=1`; None without either."""
    if not debug and os.environ.get("APIMART_DEBUG") != "1":
        return None
    from apimart_cli.screen.writing import write_debug

    return write_debug
