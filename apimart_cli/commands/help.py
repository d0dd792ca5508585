"""`apimart help COMMAND`: the same as `apimart COMMAND --help`."""

from typing import Annotated, Any

import typer

from apimart_cli.commands import Command, Group, new_app
from apimart_cli.errors import ExitCode, UsageError


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the commands that a shell may complete; after the name of a group, the commands of that group."""
    found: Any = context.find_root().command
    for name in context.params.get("command") or ():
        found = found.get_command(context, name) if isinstance(found, Group) else None
    return (
        [name for name in found.list_commands(context) if name.startswith(incomplete)]
        if isinstance(found, Group)
        else []
    )


app = new_app()


@app.command("help", cls=Command)
def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]",
            help="A command, like check, or config set.",
            show_default=False,
            autocompletion=_names,
        ),
    ] = None,
) -> ExitCode:
    """Show the help of a command.

        apimart help check
        apimart help config set

    It is what the command shows with --help.
    """
    from apimart_cli.screen.writing import write_answer

    found: Any = context.find_root()
    for name in command or ():
        inner = found.command.get_command(found, name) if isinstance(found.command, Group) else None
        if inner is None:
            from apimart_cli.config.names import suggestion

            known = found.command.list_commands(found) if isinstance(found.command, Group) else []
            hint = suggestion(name, known, f"see: {found.command_path} --help")
            raise UsageError(f"{found.command_path} has no command {name!r}", hint)
        found = typer.Context(inner, info_name=name, parent=found)
    write_answer(f"{found.get_help()}\n")
    return ExitCode.OK
