"""The least that asks the question with Typer and requests and shows it with Rich."""

import os

import requests
import typer
from rich.console import Console
from rich.table import Table


def balance(minimum: float = 5) -> None:
    """Ask and show."""
    response = requests.get(
        os.environ["APIMART_BASE_URL"] + "/v1/balance",
        headers={"Authorization": "Bearer " + os.environ["APIMART_API_KEY"]},
        timeout=10,
    )
    answer = response.json()
    table = Table()
    table.add_column("Remaining")
    table.add_column("Used")
    table.add_row(str(answer["remain_balance"]), str(answer["used_balance"]))
    Console().print(table)


if __name__ == "__main__":
    typer.run(balance)
