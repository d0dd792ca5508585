"""The least a Typer program of two commands can be: what start-up and completion are compared with."""

import typer

app = typer.Typer()


@app.command()
def balance(scope: str = "key") -> None:
    """Show."""


@app.command()
def check(minimum: str = "5") -> None:
    """Check."""


if __name__ == "__main__":
    app()
