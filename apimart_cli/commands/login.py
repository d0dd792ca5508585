"""`apimart login` and `apimart logout`: keep a key for a profile, and forget it."""

from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands.options import BaseUrlOption, OneProfileOption, TimeoutOption
from apimart_cli.errors import ExitCode

if TYPE_CHECKING:
    from apimart_cli.apikey import ApiKey
    from apimart_cli.balance import Reading
    from apimart_cli.settings import Settings


def login(
    profile: OneProfileOption = None,
    base_url: BaseUrlOption = None,
    timeout: TimeoutOption = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Save the key even if the gateway gives no answer about it.")
    ] = False,
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the key in the system's keyring, not in the config file.")
    ] = False,
) -> ExitCode:
    """Store a key for a profile: read without echo, or from standard input, and verified before it is saved.

    A key that the gateway rejects is never saved.
    """
    from apimart_cli.apikey import ApiKey
    from apimart_cli.gate import code_of_readings
    from apimart_cli.output import OutputFormat, render_readings
    from apimart_cli.settings import Options, read_standard_input, resolve_for_login
    from apimart_cli.streams import standard_output, write_answer, write_failures

    settings = resolve_for_login(Options(base_url=base_url, timeout=timeout), profile)
    key = ApiKey(read_standard_input(), source="standard input")
    reading = _ask(settings, key)
    write_answer(render_readings([reading], OutputFormat.TABLE, standard_output()))
    write_failures([reading])
    if _may_save(reading, no_verify=no_verify):
        _save(settings, key, base_url is not None, keyring=keyring)
        return ExitCode.OK
    return code_of_readings([reading])


def logout(profile: OneProfileOption = None) -> ExitCode:
    """Forget the key of a profile that login stored; everything else in the config file stays."""
    from apimart_cli.configwriter import unset_names
    from apimart_cli.errors import UsageError
    from apimart_cli.keysource import KeyringKey
    from apimart_cli.settings import Options, resolve_for_login
    from apimart_cli.streams import write_note

    settings = resolve_for_login(Options(), profile)
    name = settings.profile.value
    if settings.stored_in == "api_key_keyring":
        KeyringKey(name).delete()
    if settings.stored_in is None:
        raise UsageError(f"profile {name} keeps no key in {settings.config_path}", "there is nothing to forget")
    unset_names(settings.config_path, name, (settings.stored_in,))
    write_note(f"the key of profile {name} is forgotten")
    return ExitCode.OK
