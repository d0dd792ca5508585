"""The least that asks the question with Typer and requests."""

import os

import requests
import typer


def balance(minimum: float = 5) -> None:
    """Ask and compare."""
    response = requests.get(
        os.environ["APIMART_BASE_URL"] + "/v1/balance",
        headers={"Authorization": "Bearer " + os.environ["APIMART_API_KEY"]},
        timeout=10,
    )
    typer.echo(response.json()["remain_balance"])


if __name__ == "__main__":
    typer.run(balance)
