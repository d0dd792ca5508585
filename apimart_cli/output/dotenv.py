"""Lines of NAME=value, as a dotenv report of GitLab wants them: no quotes, no comments, nothing of foreign text."""

from apimart_cli.errors import ApimartError
from apimart_cli.gate import Verdict
from apimart_cli.output import Format
from apimart_cli.output.outputs import outputs_of
from apimart_cli.screen.output import Screen


def _checked_as_dotenv(verdict: Verdict, _screen: Screen) -> str:
    return _as_dotenv(verdict)


def _as_dotenv(result: Verdict | ApimartError) -> str:
    # The names of the balances are left out: such a file has no way of writing just any character.
    return "".join(f"APIMART_{_name(output)}={value}\n" for output, value in outputs_of(result).items())


def _name(output: str) -> str:
    return output.upper().replace("-", "_")


FORMAT = Format(checked=_checked_as_dotenv, failed=_as_dotenv, encoding="utf-8")
