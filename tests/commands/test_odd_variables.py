"""Variables of apimart with whatever can stand in one: each command ends as always, or with a reason."""

import re
from pathlib import Path

import pytest

import apimart_cli
from apimart_cli.sandbox.server import Sandbox
from support.running import Call, connected

NAMES = sorted(
    {
        name
        for path in Path(apimart_cli.__file__).parent.rglob("*.py")
        for name in re.findall(r"\bAPIMART_[A-Z_]+[A-Z]\b", path.read_text("utf-8"))
    }
)

LONGEST = 128 * 1024 - 100
"""Nearly as many characters as the system lets a variable have."""

VALUES = {
    "nothing": "", "bytes that are no text": "\udcff\udc80", "a number": "-1", "a number without an end": "1e999999",
    "digits without an end": "9" * LONGEST, "letters without an end": "x" * LONGEST,
    "a key without an end": "sk-" + "a" * LONGEST, "half an address": "http://[", "two lines": "a\nb",
    "a sequence of a terminal": "\x1b[31m", "a folder": "/", "a device": "/dev/null",
    "a text that turns around": "\u202eabc",
}  # fmt: skip

COMMANDS = [
    ("check", "--min", "1", "--timeout", "2"), ("config", "show"), ("config", "check"), ("statusline",), ("history",),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_variable_is_a_bug(name: str, call: Call, sandbox: Sandbox) -> None:
    """Whatever stands in it. A key in it is not repeated."""
    for value in VALUES.values():
        for arguments in COMMANDS:
            ended = call(*arguments, env={**connected(sandbox), name: value})
            where = (value[:40], arguments, ended.stderr[:500])
            assert "a bug in" not in ended.stderr, where
            assert ended.code in {0, 2, 3, 4, 5, 6, 8}, where
            assert ended.code in {0, 3} or ended.stderr, where
            assert "a" * 100 not in ended.stdout + ended.stderr, where
