"""A terminal in tmux, which knows what its programs have turned on."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.processes import wait_until
from support.running import run_program


class Tmux:
    """A terminal in tmux, with a server of its own."""

    def __init__(self, program: str, socket: Path, environment: Mapping[str, str]) -> None:
        self._call = [program, "-S", str(socket), "-f", "/dev/null"]
        self._environment = {**environment, "TERM": "xterm-256color"}
        self("new-session", "-d", "-x", "100", "-y", "30", "bash --norc --noprofile")

    def __call__(self, *arguments: str) -> str:
        """Give one command to tmux, and return what it prints."""
        ended = run_program([*self._call, *arguments], env=self._environment, check=True)
        return ended.stdout

    def type(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self("send-keys", *keys)

    def expect(self, pattern: str) -> None:
        r"""Wait until the screen shows that; `\Z` is behind the last line with anything in it."""
        try:
            wait_until(lambda: re.search(pattern, self.screen, re.MULTILINE))
        except AssertionError:
            pytest.fail(f"there is no {pattern!r} in:\n{self.screen}")

    @property
    def screen(self) -> str:
        """What is shown, without the empty lines at its end."""
        return self("capture-pane", "-p").rstrip("\n")

    def tell(self, *names: str) -> dict[str, str]:
        """Return what tmux knows of the terminal, by the names of its formats."""
        told = self("display-message", "-p", "|".join(f"#{{{name}}}" for name in names))
        return dict(zip(names, told.rstrip("\n").split("|"), strict=True))
