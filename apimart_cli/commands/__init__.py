"""One file a command: read the options, call, render. No HTTP, no formatting and no arithmetic in here.

A file is loaded when its command is named, and imports the heavy modules inside the command, so that no command pays
for another. Each has an `app`, made by `new_app`.
"""

from typing import Any

import typer
import typer.core

from apimart_cli.screen.writing import write_answer


class Plain:
    """What Typer does, without Rich and through our own streams."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help, written as every other answer is."""
        option = super().get_help_option(ctx)  # type: ignore[misc]  # mixed into Typer's classes
        if option is not None:
            option.callback = _show_help
        return option

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what a shell may complete here, with descriptions where Typer needs no Rich for them."""
        items: list[Any] = super().shell_complete(ctx, incomplete)  # type: ignore[misc]  # mixed into Typer's classes
        if not _keep_descriptions():
            for item in items:
                item.help = None
        return items


class Command(Plain, typer.core.TyperCommand):
    """One command."""


class Group(Plain, typer.core.TyperGroup):
    """Commands under one name."""


def _keep_descriptions() -> bool:
    """Have Typer hand on descriptions as they are, and tell whether it will.

    It cleans them of markup, which ours have none of, and loads Rich for that at every TAB. The function is not public;
    with a Typer that does it elsewhere there are no descriptions.
    """
    try:
        from typer import _completion_classes
    except ImportError:
        return False
    if not hasattr(_completion_classes, "_sanitize_help_text"):
        return False
    _completion_classes._sanitize_help_text = str  # type: ignore[assignment]  # text in, the same text out
    return True


def _show_help(context: Any, _option: Any, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        write_answer(f"{context.get_help()}\n")
        context.exit()


def new_app(**settings: Any) -> typer.Typer:
    """Return the Typer app of a command. Plain help: Rich panels would load Rich for every --help."""
    return typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, **settings)
