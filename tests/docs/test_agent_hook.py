"""The hook for a coding agent in docs/scripting.md: an exit code and a reason that stop it, whatever is wrong."""

import json
from collections.abc import Mapping
from decimal import Decimal

import pytest

from apimart_cli.sandbox.scenario import Fault, Funds
from support.pages import blocks_of
from support.running import Serve, connected, run_program

pytestmark = pytest.mark.usefixtures("quick_path")


def _line() -> str:
    """Return the command of the documented hook, which the page shows by itself, too."""
    [settings] = blocks_of("json")
    [each] = json.loads(settings.text)["hooks"]["PreToolUse"]
    [hook] = each["hooks"]
    [line] = [block.text.strip() for block in blocks_of("sh") if block.text.strip() == hook["command"]]
    return str(line)


@pytest.mark.parametrize(
    ("scenario", "variables", "code", "reason"),
    [
        ({}, {}, 0, "PASS default/spendable: 10.5 left"),
        ({"key": Funds(Decimal(3), Decimal(0))}, {}, 2, "BELOW default/spendable: 3 left"),
        ({"fault": Fault.UNAUTHORIZED}, {}, 2, "apimart: error: the gateway rejected the API key"),
        ({}, {"APIMART_API_KEY": ""}, 2, "apimart: error: the API key from APIMART_API_KEY is empty"),
        ({}, {"PATH": "/usr/bin:/bin"}, 2, "apimart: "),
    ],
    ids=["enough", "too little", "a rejected key", "no key", "not installed"],
)
def test_the_hook_stops_an_agent_unless_enough_is_left(
    serve: Serve, environment: Mapping[str, str], scenario: Mapping[str, object], variables: Mapping[str, str],
    code: int, reason: str,
) -> None:  # fmt: skip
    """With 2, the one code that stops it, and the reason on standard error, the one stream that it reads."""
    ended = run_program(
        ["sh", "-c", _line()],
        env={**environment, **connected(serve(**scenario)), **variables},
        input='{"hook_event_name": "PreToolUse"}',
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert reason in ended.stderr
