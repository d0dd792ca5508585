"""`apimart logout`: forget the key that login stored."""

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import OneProfile
from apimart_cli.errors import ExitCode

app = new_app()


@app.command(cls=Command)
def logout(profile: OneProfile = None) -> ExitCode:
    """Forget the key that login stored.

    Everything else in the config file stays.
    """
    from apimart_cli.config.login import resolve_for_login
    from apimart_cli.config.settings import Options
    from apimart_cli.config.writer import unset_names
    from apimart_cli.errors import UsageError
    from apimart_cli.screen.writing import write_note

    settings = resolve_for_login(Options(), profile)
    name = settings.profile
    if settings.stored_in == "api_key_keyring":
        from apimart_cli.keys.keyring import KeyringKey

        KeyringKey(name).delete()
    if settings.stored_in is None:
        raise UsageError(f"profile {name} keeps no key in {settings.config_path}", "there is nothing to forget")
    unset_names(settings.config_path, name, (settings.stored_in,))
    write_note(f"the key of profile {name} is forgotten")
    return ExitCode.OK
