"""The one path to the plugin's OK, read in the source."""

from support.source import calls_of, uses, written_like


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
