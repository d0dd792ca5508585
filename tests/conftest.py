"""What every test uses: no access to the developer's own settings or network, the command, and the sandbox."""

import functools
import inspect
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import sysconfig
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pexpect
import pytest

from apimart_cli.sandbox.scenario import Scenario
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.places import GUARD
from support.processes import LONGEST
from support.running import Call, Called, Run, Serve, Spawn, Write
from support.schemas import held_where_tests_parse, hold_printed

# The same guard that the processes under test load by themselves holds for this one.
GUARDED = runpy.run_path(str(GUARD / "sitecustomize.py"))
GUARDED["give_the_ledger_time"]()

json.loads = held_where_tests_parse(json.loads)


def pytest_configure(config: pytest.Config) -> None:
    """Keep this process on loopback, too, unless coverage is measured: see the guard."""
    if not config.pluginmanager.hasplugin("_cov"):
        GUARDED["stay_on_loopback"]()


# Ledgers are written thousands of times: no test waits for a disk where there is room in memory for all their files.
_MEMORY = Path("/dev/shm")
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# How hard the property tests search. Every run of the tests tries the same examples, so that none fails by chance;
# `--hypothesis-profile=deep` tries fifty times as many and new ones each time (test_properties.py), `quick` is for
# runs that repeat the tests hundreds of times (mutation/run.py), `few` for those with other versions.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("deep", deadline=None, derandomize=False, print_blob=True)
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, phases=[hypothesis.Phase.generate])
hypothesis.settings.register_profile("few", hypothesis.settings.get_profile("steady"), max_examples=15)
hypothesis.settings.load_profile("steady")

# Tests that run in the background (`&`, nohup) are started with these ignored, and processes under test would inherit
# that. A signal that has a handler is inherited as the default.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda _number, _frame: None)

_KEPT = ("PATH", "SYSTEMROOT", "TMPDIR")
_MEASURING = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE")
_REMOVED = ("APIMART_", "OPENAI_", "REQUESTS_", "CURL_", "SSL_", "XDG_", "GITHUB_", "_APIMART")
_REMOVED_EXACTLY = {
    "NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS", "LINES", "NETRC", "PYTHONWARNINGS", "PYTHONIOENCODING",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
}  # fmt: skip


@functools.cache
def _cached(make: Callable[..., Any]) -> Callable[..., Any]:
    return functools.cache(make)


def pytest_xdist_auto_num_workers() -> int:
    """Run twice as many side by side as there are cores: many tests wait, for clocks and for processes."""
    return (os.cpu_count() or 1) * 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Keep this process away from the developer's config, key, proxy and netrc; record nothing, and ask no books."""
    for name in list(os.environ):
        if name.startswith(_REMOVED) or name in _REMOVED_EXACTLY:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("APIMART_RECORD", "0")
    monkeypatch.setenv("APIMART_BOOKS", "0")


@pytest.fixture
def environment(home: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a process under test: made from nothing, with the guard against other hosts in it."""
    # Coverage makes a process take twice as long: only where tests in this process cannot cover the same.
    names = (*_KEPT, *_MEASURING) if request.node.get_closest_marker("measured") else _KEPT
    kept = {name: os.environ[name] for name in names if name in os.environ}
    scripts = sysconfig.get_path("scripts")
    return {
        **kept,
        "PATH": f"{scripts}{os.pathsep}{kept['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(GUARD),
        # What most tests look at is the same without, and quicker; those of the ledger and of the books take them out.
        "APIMART_RECORD": "0",
        "APIMART_BOOKS": "0",
    }


@pytest.fixture
def usual_patience(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is given up after a quarter of a second and the books after half of one, as they are for users.

    Everywhere else both have all the time they need (`give_the_ledger_time`): what comes too late is dropped, and a
    busy machine may need longer.
    """
    from apimart_cli.ledger import file, recall, runs, schema, store
    from apimart_cli.readings import alerting, book_forecasts, book_memory, forecasts

    environment["USUAL_PATIENCE"] = "1"
    usual: Mapping[str, float] = GUARDED["USUAL"]
    for module in (schema, recall, runs):
        monkeypatch.setattr(module, "ALLOWED_SECONDS", usual[schema.__name__])
    for function in (inspect.unwrap(file.opened), store.remember):
        monkeypatch.setitem(function.__kwdefaults__, "seconds", usual[schema.__name__])
    monkeypatch.setattr(forecasts, "HELD_UP_SECONDS", usual[forecasts.__name__])
    monkeypatch.setitem(forecasts.record.__kwdefaults__, "seconds", usual[forecasts.__name__])
    for module in (alerting, book_memory):
        monkeypatch.setattr(module, "LEDGER_SECONDS", usual[module.__name__])
    monkeypatch.setitem(book_forecasts.BookForecasts.__init__.__kwdefaults__, "seconds", usual[book_forecasts.__name__])


def _installed() -> str:
    found = shutil.which("apimart", path=sysconfig.get_path("scripts"))
    assert found, "the tests run the installed command: python3 -m pip install '.[test]'"
    return found


@pytest.fixture(scope="session")
def command() -> str:
    """The path of the installed `apimart`."""
    return _installed()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What has loaded the package and forks processes of commands (`support/forked.py`)."""
    with closing(Forks(_installed())) as opened:
        yield opened


@pytest.fixture
def quick_path(environment: dict[str, str], forks: Forks) -> None:
    """What scripts and shells find as `apimart` is forked, too; they see another process, which waits for it."""
    environment["PATH"] = f"{forks.scripts}{os.pathsep}{environment['PATH']}"


@pytest.fixture
def run(run_process: Run, forks: Forks) -> Run:
    """Run a command in a process that is forked: far quicker than `run_process`, and the same but for its start.

    A file whose tests need no process puts `call` in its place.
    """
    return partial(run_process, forks=forks)


@pytest.fixture
def run_process(command: str, environment: Mapping[str, str], tmp_path: Path) -> Run:
    """Run the installed command in a process of its own: `run("check", "--min", "5", env={...}, input="...")`."""

    def run_command(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float = LONGEST,
        forks: Forks | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        start = subprocess.Popen if forks is None else forks.process
        with start(
            [command, *arguments],
            env={**environment, **(env or {})},
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=tmp_path,
        ) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=timeout)
            except BaseException:
                process.kill()
                raise
        hold_printed(stdout)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run_command


@pytest.fixture
def spawn(forks: Forks, environment: Mapping[str, str], tmp_path: Path) -> Iterator[Spawn]:
    """Start a program on a terminal of its own, forked if it is ours: `spawn("apimart", "balance", columns=60)`."""
    with ExitStack() as stack:

        def start(
            program: str, *arguments: str, columns: int = 80, env: Mapping[str, str] | None = None
        ) -> "pexpect.spawn[bytes]":
            variables = {**environment, "TERM": "xterm-256color", **(env or {})}
            child = forks.spawn(
                program, *arguments, env=variables, dimensions=(24, columns), timeout=LONGEST, cwd=str(tmp_path)
            )
            child.delaybeforesend = None
            stack.callback(child.close, force=True)
            return child

        yield start


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run one command line in this process: `call("config", "set", "min", "5", env={...})`, as `run` and far quicker.

    For what does not depend on the process: its streams, signals, memory, end, or what it loads. With `columns` its
    streams are a terminal, and standard output is all that was written there.
    """
    import typer.main

    from apimart_cli.cli import main

    def run_here(
        *arguments: str, env: Mapping[str, str] | None = None, input: str | None = None, columns: int | None = None
    ) -> Called:
        with monkeypatch.context() as patch, ExitStack() as stack:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((input or "").encode())))
            shown = None if columns is None else stack.enter_context(_terminal(columns, patch))
            patch.chdir(tmp_path)
            # The parsers of the command line are the same for every run.
            patch.setattr(typer.main, "get_command", _cached(typer.main.get_command))
            # How long the pauses are is shown by the tests with processes.
            patch.setattr("apimart_cli.gateway.question.FIRST_PAUSE", 0.02)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = main(arguments)
            called = Called(code, *capsys.readouterr()) if shown is None else Called(code, shown(), "")
        hold_printed(called.stdout)
        return called

    return run_here


@contextmanager
def _terminal(columns: int, patch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Put a terminal in the place of the streams; give what returns all that was written there."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    patch.setenv("TERM", "xterm-256color")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        patch.setattr(sys, name, os.fdopen(theirs, mode, encoding="utf-8", closefd=False))
    written = bytearray()

    def read() -> None:
        while not written.endswith(b"\0"):
            written.extend(os.read(ours, 65536))

    reader = threading.Thread(target=read)
    reader.start()

    def shown() -> str:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.write(theirs, b"\0")
        reader.join()
        return written[:-1].decode()

    yield shown
    os.close(theirs)
    os.close(ours)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start sandboxes that end with the test: `serve(fault=Fault.HTML)` takes the fields of Scenario."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(Sandbox(Scenario(**fields)).serving())


@pytest.fixture
def sandbox(serve: Serve) -> Sandbox:
    """A sandbox with the documented amounts: 10.5 left and 2.3 used of the key, 100.0 and 25.5 of the account."""
    return serve()


@pytest.fixture
def config(home: Path) -> Path:
    """Where the config file is by default, or will be."""
    return _config_in(home)


@pytest.fixture
def write_config(home: Path) -> Write:
    """Write a config file where the command finds it by default, private to its owner."""

    def write(text: str, mode: int = 0o600) -> Path:
        path = _config_in(home)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


def _config_in(home: Path) -> Path:
    return home / ".config" / "apimart" / "config.toml"
