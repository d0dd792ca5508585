"""The one path to exit 0 and to the plugin's OK, read in the source: one place passes, one ends the process."""

import pytest
import typer

from apimart_cli import cli
from apimart_cli.errors import ExitCode
from support.source import calls_of, uses, written_like


def test_only_main_ends_the_process() -> None:
    """Nothing but `__main__` exits, and a signal: everything else returns its code, through the one boundary."""
    ends = uses(written_like("sys.exit", "os._exit", "exit", "quit", "SystemExit", "os.abort"))
    elsewhere = {place for place in ends if not place.startswith("__main__")}
    # The front door catches the SystemExit of Typer, the keyring that of a backend; they raise none.
    assert elsewhere == {
        "cli.main",
        "cli._report_unexpected",
        "keys.sources.KeyringKey._ask",
        "processes.signals.ending_cleanly.end",
        "processes.watchdog._detach",
    }
    assert len(ends) > 1


def test_a_pass_has_a_single_source() -> None:
    """The passing verdict is made in one place, from balances that are made in one place."""
    assert uses(written_like("Verdict(Outcome.PASS, ExitCode.OK, judged, spends)")) == ["rules.gate.judge"]
    assert uses(calls_of("Balance")) == ["gateway.answer._read_balance"]
    assert uses(calls_of("_read_balance")) == ["gateway.answer.interpret"]


def test_exit_code_zero_has_few_places() -> None:
    """`ExitCode.OK` stands where a verdict passes or is waved through, and in commands that judge nothing."""
    places = set(uses(written_like("ExitCode.OK")))
    judging = ("commands.check", "commands.nagios", "commands.run", "commands.balance")
    assert {place for place in places if not place.startswith("commands.") or place.startswith(judging)} == {
        "cli._report_unexpected",
        "commands.check._comment",
        "exporter.service.export",
        "rules.gate._untold",
        "rules.gate.code_of_failures",
        "rules.gate.judge",
        "run.supervision._after_failure",
        "run.supervision._supervised",
    }


def test_ok_has_a_single_source() -> None:
    """`State.OK` is made where nothing alerts, and compared with elsewhere; a command's status is the worst of all."""
    assert sorted(set(uses(written_like("State.OK")))) == [
        "output.nagios._sentence",
        "output.nagios._sentence_of_spend",
        "rules.plugin",
        "rules.plugin._state",
    ]
    assert uses(calls_of("CommandStatus")).count("commands.nagios.nagios") == 1
    worst = "CommandStatus(worst([*(each.state for each in found), *(each.state for each in spends)]))"
    assert uses(written_like(worst)) == ["commands.nagios.nagios"]


def test_a_choice_that_can_be_ok_has_a_single_place() -> None:
    """Only too little history can be chosen to be OK."""
    assert uses(written_like("State[choices.no_forecast.name]")) == ["rules.plugin._state_without_forecast"]
    assert uses(written_like("State[choices.unavailable.name]")) == ["rules.plugin._state_of_failure"]


def test_a_command_without_a_code_is_a_bug_and_not_a_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that forgets to return its code exits 1."""
    forgetful = typer.Typer()
    forgetful.command()(lambda: None)
    monkeypatch.setattr(cli, "app", forgetful)
    assert cli.main([]) == ExitCode.INTERNAL
    assert "a bug in apimart" in capsys.readouterr().err
