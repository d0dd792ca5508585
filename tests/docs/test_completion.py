"""The completion scripts work where docs/completion.md puts them."""

from collections.abc import Mapping

import pytest

from support.pages import blocks_of
from support.places import ROOT
from support.programs import need
from support.running import Shell, run_program

ZSH = "fpath=(~/.zfunc $fpath); autoload -Uz compinit && compinit -u -D; print $_comps[apimart]"
BASH = 'source "$HOME/.local/share/bash-completion/completions/apimart"; complete -p apimart'


@pytest.mark.parametrize(
    ("script", "question", "answer"),
    [
        ("apimart.bash", ["bash", "-c", BASH], "apimart"),
        ("_apimart", ["zsh", "-f", "-c", ZSH], "_apimart"),
        ("apimart.fish", ["fish", "-c", 'complete -C "apimart ch"'], "check"),
    ],
)
def test_completion_scripts_are_found_where_the_page_puts_them(
    script: str, question: list[str], answer: str, shell: Shell, environment: Mapping[str, str]
) -> None:
    """After the page's commands the shell itself knows how to complete `apimart`."""
    need(question[0])
    [block] = [block for block in blocks_of("sh") if f"completions/{script}" in block.text]
    assert shell(block.text, env={}, interpreter=("sh", "-c")).stdout == ""
    answered = run_program(question, env=environment)
    assert answer in answered.stdout, answered.stderr


def test_the_powershell_line_names_the_script_that_exists() -> None:
    """The line for PowerShell loads the script of `completions/`."""
    [block] = blocks_of("powershell")
    assert block.text == ". ./completions/apimart.ps1\n"
    assert (ROOT / "completions" / "apimart.ps1").is_file()
