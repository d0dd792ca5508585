"""The number alone, for scripts."""

from apimart_cli.words import OutputFormat, Scope
from support.readings import AUTH, check, failed, limits, reading, show, terminal

VALUE = OutputFormat.VALUE


def test_a_value_is_the_remaining_number_alone() -> None:
    """Without unit; an unlimited quota is a word; a failure leaves nothing to print."""
    assert show([reading("10.50", unit="USD")], VALUE) == "10.50\n"
    assert show([reading(None)], VALUE) == "unlimited\n"
    assert show([failed(AUTH)], VALUE) == ""
    assert check([reading("10.50", unit="USD")], limits("5"), VALUE) == "10.50\n"


def test_several_values_have_a_line_each_after_their_names() -> None:
    """Name, tab, number; a failure keeps its line, so that the names are those that were asked for."""
    readings = [reading("1", profile="a"), failed(AUTH, "b\t\n", Scope.ACCOUNT), reading(None, profile="c")]
    lines = "a/key\t1\nb\\x09\\x0a/account\terror\nc/key\tunlimited\n"
    assert show(readings, VALUE, terminal(20, colour=True)) == lines
    assert check(readings, limits("5"), VALUE) == lines
    streamed = [show([each], VALUE, asked=len(readings)) for each in readings]
    assert "".join(streamed) == lines
