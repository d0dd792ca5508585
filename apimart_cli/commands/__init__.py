"""One file a command: read the options, call, render. No HTTP, no formatting and no arithmetic in here.

A file is loaded when its command is named, and imports the heavy modules inside the command, so that no command pays
for another. Each has an `app`, made by `new_app`.
"""

from typing import Any

import typer
import typer.core


class QuickCompletion:
    """Completes names without their descriptions: to clean those of markup, Typer would load Rich at every TAB."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what a shell may complete here."""
        items: list[Any] = super().shell_complete(ctx, incomplete)  # type: ignore[misc]  # mixed into Typer's classes
        for item in items:
            item.help = None
        return items


class Command(QuickCompletion, typer.core.TyperCommand):
    """One command."""


class Group(QuickCompletion, typer.core.TyperGroup):
    """Commands under one name."""


def new_app(**settings: Any) -> typer.Typer:
    """Return the Typer app of a command. Plain help: Rich panels would load Rich for every --help."""
    return typer.Typer(cls=Group, rich_markup_mode=None, add_completion=False, **settings)
