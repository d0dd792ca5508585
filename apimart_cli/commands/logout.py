"""`apimart logout`: forget the key that login stored."""

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import OneProfile
from apimart_cli.errors import ExitCode

app = new_app()


@app.command(cls=Command)
def logout(profile: OneProfile = None) -> ExitCode:
    """Forget the key that login saved.

        apimart logout
        apimart logout -p work

    Everything else in the config file stays.
    """
    import os

    from apimart_cli.config.lookup import find_stored_key
    from apimart_cli.config.writer import unset_names
    from apimart_cli.screen.writing import write_note, write_warning

    stored = find_stored_key(profile, os.environ)
    if stored.name == "api_key_keyring":
        from apimart_cli.keys.sources import KeyringKey

        KeyringKey(stored.profile).delete()
    unset_names(stored.config_path, stored.profile, (stored.name,), warn=write_warning)
    write_note(f"the key of profile {stored.profile} is forgotten")
    return ExitCode.OK
