"""Exporters as processes of their own, and what they answer."""

import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.forked import Forks
from support.processes import wait_until


class Answer(NamedTuple):
    """What was answered."""

    status: int
    body: str
    headers: Mapping[str, str]


class Exporter:
    """A running exporter."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        """What it has written to standard error by now."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def told(self) -> str:
        """The same as one text."""
        return "".join(list(self.lines))

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        found = re.search(r"listening on (https?://[^/]+)/metrics", self.told)
        assert found, self.told
        return found[1]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    def wait_until_told(self, words: str, times: int = 1) -> None:
        """Return once it has told that, so many times."""
        wait_until(lambda: self.told.count(words) >= times or self.process.poll() is not None)
        assert self.told.count(words) >= times, self.told

    def get(self, path: str = "/metrics", **headers: str) -> Answer:
        """Ask it over plain HTTP."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), dict(error.headers))

    def wait_until_ready(self) -> None:
        """Return once each profile was asked."""
        wait_until(lambda: self.get("/-/ready").status == 200, 60)

    def samples(self, family: str) -> dict[str, float]:
        """The samples of a family, by the text of their labels."""
        lines = re.findall(rf"(?m)^apimart_{family}(\{{.*\}}) (\S+)$", self.get().body)
        return {labels: float(value) for labels, value in lines}

    def reload(self) -> None:
        """Have it read its settings again."""
        self.process.send_signal(signal.SIGHUP)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Return the exit code of one that ends by itself."""
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=30)
        return code


Start = Callable[..., Exporter]
"""Starts one: `start("--interval", "1", env={...})`."""


@contextmanager
def exporters(command: str, environment: Mapping[str, str], folder: Path, forks: Forks) -> Iterator[Start]:
    """Give what starts exporters on free ports; they end with the block."""
    started: list[Exporter] = []

    def start(*options: str, env: Mapping[str, str] | None = None, waits: bool = True, forked: bool = True) -> Exporter:
        listen: Sequence[str] = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        process = (forks.process if forked else subprocess.Popen)(
            [command, "exporter", *listen, *options],
            # The sandbox may be asked as often as somebody likes.
            env={**environment, "APIMART_SANDBOX": "1", **(env or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(Exporter(process))
        if waits:
            started[-1].wait_until_told("listening on")
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            if each.process.poll() is None:
                os.kill(each.process.pid, signal.SIGKILL)
            each.ended()
            assert each.process.stderr is not None
            each.process.stderr.close()
