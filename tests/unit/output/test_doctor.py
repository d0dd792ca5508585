"""The lines of `doctor`: broken between words, coloured where that is wanted, and harmless."""

from apimart_cli.output.doctor import render_findings
from apimart_cli.records import DoctorFinding
from apimart_cli.screen.writing import Screen

NOTE = DoctorFinding.note(
    "unit", "not known", "the gateway does not tell it; if it is dollars: apimart config set unit USD"
)


def test_a_finding_has_its_hint_below_it() -> None:
    """Both are broken between words, at 60 columns, on a wide terminal, too."""
    wanted = (
        "note  unit: not known\n"
        "      hint: the gateway does not tell it; if it is dollars:\n"
        "      apimart config set unit USD\n"
    )
    assert render_findings([NOTE], Screen()) == render_findings([NOTE], Screen(width=200)) == wanted


def test_a_narrow_terminal_gets_narrower_lines() -> None:
    """A word that is longer stays whole."""
    lines = render_findings(
        [NOTE, DoctorFinding.ok("ledger", "/a/long/path/of/a/ledger.db")], Screen(width=20)
    ).splitlines()
    assert [line for line in lines if len(line) > 20] == ["      /a/long/path/of/a/ledger.db"]


def test_the_condition_alone_is_coloured() -> None:
    """And the columns stay where they are."""
    plain = render_findings([NOTE], Screen())
    coloured = render_findings([NOTE], Screen(colour=True))
    assert coloured == plain.replace("note", "\x1b[33m\x1b[1mnote\x1b[0m", 1)


def test_foreign_text_is_harmless() -> None:
    """No cursor moves, no line begins, and nothing looks like a key."""
    shown = render_findings([DoctorFinding.ok("certificate", "by \x1b[2J\nwrong: x sk-abcdefgh12345678")], Screen())
    assert shown == "ok    certificate: by \\x1b[2J\\x0awrong: x sk-...\n"
