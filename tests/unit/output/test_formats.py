"""What holds for every format: exact amounts, what can be spent, and what each loads."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.commands.balance import ReadingsFormat
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options
from apimart_cli.output import Format
from apimart_cli.readings.take import Taken
from apimart_cli.rules.balance import Reading
from apimart_cli.words import OutputFormat, Scope
from support.readings import AUTH, cells, failed, reading, show

TABLE, JSON, VALUE = OutputFormat.TABLE, OutputFormat.JSON, OutputFormat.VALUE
OF_READINGS = [OutputFormat(output.value) for output in ReadingsFormat]


AMOUNTS = [
    ("0", "0"), ("-0", "-0"), ("10.50", "10.50"), ("100.0", "100.0"), ("-3.25", "-3.25"),
    ("0.30000000000000004", "0.30000000000000004"), ("1E+2", "100"), ("1E-30", "0.000000000000000000000000000001"),
    ("999999999999999.123456789012345678901234", "999999999999999.123456789012345678901234"),
]  # fmt: skip


@pytest.mark.parametrize(("amount", "shown"), AMOUNTS)
@pytest.mark.parametrize("output", OF_READINGS)
def test_amounts_keep_every_digit_in_every_format(amount: str, shown: str, output: OutputFormat) -> None:
    """Trailing zeros stay, exponents are written out, nothing is rounded."""
    text = show([reading(amount, "7.10")], output)
    assert re.search(rf"(?<![\d.-]){re.escape(shown)}(?![\d.])", text)
    if output is not VALUE:
        assert re.search(r"(?<![\d.-])7\.10(?![\d.])", text)


@pytest.mark.parametrize(("key", "account", "document", "value", "row"), [
    (reading("3.50", unit="USD"), reading("7", scope=Scope.ACCOUNT, unit="USD"),
     {"remain_balance": 3.5, "unlimited_quota": False, "limited_by": "key", "unit": "USD", "used_balance": 2.3},
     "3.50", ["3.50 USD", "2.3 USD", "-", "limited by key"]),
    (reading(None), reading("-2", scope=Scope.ACCOUNT),
     {"remain_balance": -2, "unlimited_quota": False, "limited_by": "account", "unit": None, "used_balance": 2.3},
     "-2", ["-2", "2.3", "-", "empty (account)"]),
    (reading(None), reading(None, scope=Scope.ACCOUNT),
     {"remain_balance": None, "unlimited_quota": True, "limited_by": None, "unit": None, "used_balance": 2.3},
     "unlimited", ["unlimited", "2.3", "-", "unlimited"]),
    (reading("3"), failed(AUTH, scope=Scope.ACCOUNT),
     {"error": {"code": "auth", "exit_code": 4, "message": "the key was rejected", "hint": "check the key"}}, "error",
     ["-", "-", "-", "error: auth"]),
])  # fmt: skip
def test_a_key_and_its_account_tell_what_can_be_spent(
    key: Reading, account: Reading, document: Mapping[str, Any], value: str, row: Sequence[str]
) -> None:
    """The smaller of the two follows them in every format; without both answers nobody knows."""
    both = [key, account]
    *_, last = show(both, JSON).splitlines()
    shown = json.loads(last)
    assert shown.pop("forecast", None) is None
    assert shown.pop("fetched_at", None) == (None if "error" in document else "2026-01-31T12:00:05Z")
    assert shown == {"schema": 1, "profile": "default", "scope": "spendable", "key_id": None, **document}
    *_, last = show(both, VALUE).splitlines()
    assert last == f"default/spendable\t{value}"
    *_, last_row = cells(show(both, TABLE))
    assert last_row == ["default", "spendable", *row]


def test_only_a_key_and_its_own_account_are_compared() -> None:
    """Neither two profiles nor two keys have one number for what can be spent."""
    readings = [reading(profile="a"), reading(profile="b", scope=Scope.ACCOUNT), reading(profile="b")]
    for output in OF_READINGS:
        assert "spendable" not in show(readings, output)


@pytest.mark.parametrize(
    ("output", "loads"), [("table", True), ("json", False), ("value", False), ("prometheus", False)]
)
def test_only_a_table_loads_rich(output: str, loads: bool) -> None:
    """The other formats are written without it, and faster."""
    code = f"""
import sys
from apimart_cli.words import OutputFormat
from apimart_cli.output import format_of
format_of(OutputFormat({output!r})).prepare()
print("rich.table" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == f"{loads}\n"


@pytest.mark.parametrize("streams", [True, False])
def test_what_a_format_begins_with_comes_once(
    streams: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    """Before the first readings, as names of columns do: on standard output and in a file, streamed or not."""
    from apimart_cli.commands.balance import _write

    rows = Format(
        readings=lambda readings, _screen, _asked: "".join(f"{each.profile},10.5\n" for each in readings),
        head="profile,remaining\n",
        streams=streams,
    )
    [settings] = resolve(Options(), {"HOME": str(tmp_path)})
    taken = [Taken(settings, [reading(profile=name)]) for name in ("work", "home")]
    expected = "profile,remaining\nwork,10.5\nhome,10.5\n"
    assert len(_write(taken, rows, asked=2, path=None)) == 2
    assert capsys.readouterr().out == expected
    _write(taken, rows._replace(streams=False), asked=2, path=tmp_path / "rows.prom")
    assert (tmp_path / "rows.prom").read_text() == expected
