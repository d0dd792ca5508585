"""A verdict for the later steps of a CI job: names and values as text. Pure.

As lines of NAME=value they are a dotenv report, as GitLab takes it: no quotes, no comments, no foreign text.
"""

from collections.abc import Mapping
from decimal import Decimal

from apimart_cli.errors import ApimartError, ExitCode
from apimart_cli.output import Format, plain, remaining
from apimart_cli.rules.balance import Balance
from apimart_cli.rules.gate import Verdict
from apimart_cli.screen.writing import Screen
from apimart_cli.words import Outcome


def outputs_of(result: Verdict | ApimartError) -> Mapping[str, str]:
    """Return `verdict`, `exit-code`, and `remaining` and `used` of the balance with the least left.

    Both are empty if any balance is not known, as that may be the one with the least. None of it is foreign text.
    """
    if isinstance(result, ApimartError):
        return _outputs(Outcome.ERROR, result.exit_code, None)
    balances = [judged.reading.balance for judged in result.judged]
    known = [balance for balance in balances if balance is not None]
    least = min(known, key=_left, default=None) if len(known) == len(balances) else None
    return _outputs(result.outcome, result.exit_code, least)


def _outputs(outcome: Outcome, code: ExitCode, least: Balance | None) -> Mapping[str, str]:
    return {
        "verdict": outcome.value,
        "exit-code": str(int(code)),
        "remaining": "" if least is None else remaining(least.remain_balance),
        "used": "" if least is None else plain(least.used_balance),
    }


def _left(balance: Balance) -> Decimal:
    return Decimal("Infinity") if balance.remain_balance is None else balance.remain_balance


def _checked_as_dotenv(verdict: Verdict, _screen: Screen) -> str:
    return _as_dotenv(verdict)


def _as_dotenv(result: Verdict | ApimartError) -> str:
    # The names of the balances are left out, as such a file cannot hold every character.
    return "".join(f"APIMART_{_name(output)}={value}\n" for output, value in outputs_of(result).items())


def _name(output: str) -> str:
    return output.upper().replace("-", "_")


FORMAT = Format(checked=_checked_as_dotenv, failed=_as_dotenv, encoding="utf-8")
