"""One file a command: read the options, call, render. No HTTP, no formatting and no arithmetic in here.

A file is loaded when its command is named, and imports the heavy modules inside the command, so that no command pays
for another. Each has an `app`, made by `new_app`.
"""

from typing import Any

import typer


def new_app(**settings: Any) -> typer.Typer:
    """Return the Typer app of a command. Plain help: Rich panels would load Rich for every --help."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, **settings)
