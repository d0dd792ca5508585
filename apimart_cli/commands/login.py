"""`apimart login`: ask the gateway whether it accepts a key, and keep it for a profile."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, new_app, note_unlimited
from apimart_cli.commands.options import BaseUrl, Debug, Timeout, WrittenProfile, trace_of
from apimart_cli.errors import ExitCode
from apimart_cli.text import shell_word

if TYPE_CHECKING:
    from apimart_cli.config.writer import LoginSettings
    from apimart_cli.keys.key import ApiKey
    from apimart_cli.rules.balance import Reading

app = new_app()


@app.command(cls=Command)
def login(
    profile: WrittenProfile = None,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Save the key even if the gateway gives no answer about it.")
    ] = False,
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the key in the system's keyring, not in the config file.")
    ] = False,
    debug: Debug = False,
) -> ExitCode:
    """Verify a key and save it to a profile.

    The key is asked for without showing it, or read from standard input.

        apimart login
        apimart login -p work
        apimart login -p ci --keyring

    A key that the gateway rejects is never saved.
    """
    from apimart_cli.config.settings import Options
    from apimart_cli.config.writer import require_writable, resolve_for_login
    from apimart_cli.keys.key import ApiKey
    from apimart_cli.keys.sources import KeyringKey
    from apimart_cli.readings.take import take_readings
    from apimart_cli.rules.gate import code_of_readings
    from apimart_cli.screen.prompt import read_key

    settings = resolve_for_login(Options(base_url=base_url, timeout=timeout), profile)
    # Fail before prompting.
    require_writable(settings.config_path)
    if keyring:
        KeyringKey(settings.profile).require_package()
    _announce(settings)
    hint, seconds = "pipe the key in, or type it at a terminal", settings.settings.timeout.value
    key = ApiKey(read_key("login", hint=hint, seconds=seconds), source="standard input")
    with take_readings([settings.with_key(key)], source="login", trace=trace_of(debug=debug)) as taken:
        reading = next(taken).readings[0]
        _write(reading)
    if _may_save(reading, no_verify=no_verify):
        _save(settings, key, keyring=keyring, with_base_url=base_url is not None)
        note_unlimited([reading], _asking_with(settings))
        return ExitCode.OK
    return code_of_readings([reading])


def _asking_with(settings: "LoginSettings") -> list[str]:
    """Return the options that `balance` needs to ask about the profile."""
    is_named = settings.settings.profile.source == "--profile"
    return ["--profile", settings.profile] if is_named or _variable_instead() else []


def _variable_instead() -> str | None:
    """Return the variable that gives the key if no profile is named; None if none does."""
    from apimart_cli.config.names import KEY_VARIABLES

    return next((name for name in KEY_VARIABLES if name in os.environ), None)


def _announce(settings: "LoginSettings") -> None:
    """Tell a person who is about to type a key what it is for, and that it replaces the old one."""
    from apimart_cli.screen.writing import write_note

    if sys.stdin is None or not sys.stdin.isatty():
        return
    if settings.stored_in is not None:
        old = f" with the id {settings.old_key_id}" if settings.old_key_id else ""
        write_note(f"profile {settings.profile} has a key{old} already; the new one replaces it")
    write_note(
        f"the key is for profile {settings.profile} and goes to {settings.host}",
        "paste or type it; nothing shows while you do",
    )


def _write(reading: "Reading") -> None:
    from apimart_cli.output import format_of
    from apimart_cli.screen.writing import standard_output, write_answer
    from apimart_cli.words import OutputFormat

    shown = format_of(OutputFormat.TABLE)
    assert shown.readings is not None, "the table shows readings"
    write_answer(shown.readings([reading], standard_output(), 1))


def _may_save(reading: "Reading", *, no_verify: bool) -> bool:
    """Tell whether to keep the key: if it works, or if nothing is known about it and `--no-verify` is given."""
    from apimart_cli.screen.writing import write_warning

    error = reading.error
    if error is None or error.exit_code is ExitCode.BELOW:
        return True
    is_open = error.exit_code in {ExitCode.UNAVAILABLE, ExitCode.BAD_RESPONSE}
    if is_open and no_verify:
        write_warning(
            "the key is saved without having been verified",
            f"see whether it works: apimart balance --profile {shell_word(reading.profile)}",
        )
        return True
    write_warning("the key is not saved", "keep it unverified with: --no-verify" if is_open else None)
    return False


def _save(settings: "LoginSettings", key: "ApiKey", *, keyring: bool, with_base_url: bool) -> None:
    """Keep the key in the file or the keyring, and remove it from the other place; keep an address that was given."""
    from apimart_cli.config.names import STORED_NAMES
    from apimart_cli.config.writer import store_key
    from apimart_cli.errors import ApimartError
    from apimart_cli.keys.sources import KeyringKey
    from apimart_cli.owners import has_owners
    from apimart_cli.screen.writing import write_note, write_warning

    in_keyring = KeyringKey(settings.profile)
    if keyring:
        in_keyring.store(key)
    place = {"api_key_keyring": True} if keyring else {"api_key": key.reveal()}
    address = {"base_url": settings.settings.base_url.value} if with_base_url else {}
    others = [name for name in STORED_NAMES if name not in place]
    becomes_default = store_key(
        settings.config_path, settings.profile, {**place, **address}, instead_of=others, warn=write_warning
    )
    kept_in = "the keyring" if keyring else settings.config_path
    write_note(f"the key of profile {settings.profile} (id {key.key_id}) is kept in {kept_in}")
    if not keyring and not has_owners():
        write_note("apimart can set no permissions on this system: who else can read that file depends on its folder")
    if settings.old_key_id == key.key_id:
        write_note("it is the key that was kept before")
    elif settings.stored_in is not None:
        old = f"the key with the id {settings.old_key_id}" if settings.old_key_id else "another key"
        write_note(f"it replaces {old}")
    if becomes_default:
        write_note(f"{settings.profile} is the default profile now: it is used when none is named")
    if variable := _variable_instead():
        write_note(f"{variable} is set, and is used instead wherever no --profile is named")
    if settings.stored_in == "api_key_keyring" and not keyring:
        try:
            in_keyring.delete()
        except ApimartError as error:
            write_warning(f"the keyring still keeps the old key: {error.message}", error.hint)
