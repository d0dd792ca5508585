"""What Prometheus' own programs read: promtool the metrics, node_exporter the file while it is rewritten."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from apimart_cli.output.prometheus import readings_as_metrics
from apimart_cli.replacing import write_textfile
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.text import visible
from apimart_cli.words import Scope
from support.processes import wait_until
from support.programs import need
from support.readings import AUTH, LONGEST, failed, reading
from support.running import Run, Serve, Write, connected, run_program
from support.servers import free_ports, running

pytestmark = pytest.mark.servers

REWRITES = 200
PROCESSES = 12
"""How many of them are by the command; the others are by what it calls."""

HOSTILE = [
    "a|b", "a=b", "it's", "::error::x", "##[error]x", "one\ntwo", "%0A", 'say "hi"', "{a}", "\\", "\\n", "a\\", "é",
    "\U0001f600", "x" * 10_000, "#", "", "\r", "\x00", "sk-Zq7Wm3Xc9Vb1Nk5Lp8", "sk-Nk5Lp8Zq7Wm3Xc9Vb1",
]  # fmt: skip

Found = dict[tuple[str, ...], float]


def promtool_finds_nothing(text: str) -> bool:
    ended = run_program([need("promtool"), "check", "metrics"], input=text)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    return True


def test_promtool_finds_nothing_wrong_with_what_the_command_prints(run: Run, sandbox: Sandbox, serve: Serve) -> None:
    """Neither with the form nor with the names; of a failure, too."""
    for scope in ("key", "both", "spendable"):
        ended = run("balance", "-o", "prometheus", "--scope", scope, env=connected(sandbox))
        assert promtool_finds_nothing(ended.stdout)
    ended = run("balance", "-o", "prometheus", env=connected(serve(fault=Fault.PAYMENT_REQUIRED)))
    assert ended.returncode == 3
    assert promtool_finds_nothing(ended.stdout)


def test_promtool_finds_nothing_wrong_with_any_name() -> None:
    """All of them together, in one text; names and units alike."""
    readings = [reading(LONGEST, profile=name, unit=name) for name in HOSTILE]
    assert promtool_finds_nothing(readings_as_metrics([*readings, failed(AUTH, "other", Scope.ACCOUNT)]))


def test_promtool_does_find_what_is_wrong() -> None:
    """A series that is there twice, and a name that is not as it should be."""
    with pytest.raises(AssertionError, match="assert \\(3, "):
        promtool_finds_nothing("apimart_x_total 1\n")


Scrape = Callable[[], Found]
"""Returns what it tells: the number of each series, by its name and the values of its labels."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that it reads."""
    path = tmp_path / "collected"
    path.mkdir()
    return path


@pytest.fixture
def scrape(folder: Path, tmp_path: Path) -> Iterator[Scrape]:
    """A node_exporter of which only the textfile collector runs."""
    [port] = free_ports(1)
    arguments = [
        need("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    def ask() -> Found:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        samples = [sample for family in parse(text) for sample in family.samples]
        return {(sample.name, *sample.labels.values()): sample.value for sample in samples}

    with running(arguments, port=port, folder=tmp_path):
        yield ask


def test_the_collector_sees_whole_files_while_one_is_rewritten_200_times(
    scrape: Scrape, folder: Path, run: Run, sandbox: Sandbox
) -> None:
    """Every scrape has all the series of one writer, and none finds fault with the file.

    The writers have different numbers of profiles, each the same balance for all of its own: a half of one and a half
    of another would show.
    """
    path = folder / "apimart.prom"
    sizes = (1, 40, 400)

    def rewrite() -> None:
        for number in range(REWRITES - PROCESSES):
            size = sizes[number % len(sizes)]
            readings = [reading(str(size), profile=f"profile {each}") for each in range(size)]
            write_textfile(path, readings_as_metrics(readings))

    def run_command() -> None:
        for _ in range(PROCESSES):
            assert run("balance", "--textfile", str(path), env=connected(sandbox)).returncode == 0

    assert run("balance", "--textfile", str(path), env=connected(sandbox)).returncode == 0
    writers = [threading.Thread(target=target) for target in (rewrite, run_command)]
    for writer in writers:
        writer.start()
    seen = set()
    scrapes = 0
    while any(writer.is_alive() for writer in writers):
        found = scrape()
        balances = [value for (name, *_), value in found.items() if name == "apimart_remaining_balance"]
        assert found["node_textfile_scrape_error",] == 0
        assert len(set(balances)) == 1
        assert len(balances) == (1 if balances[0] == 10.5 else balances[0])
        assert sum(name == "apimart_reading_success" for name, *_ in found) == len(balances)
        seen.add(balances[0])
        scrapes += 1
    for writer in writers:
        writer.join()
    assert scrapes >= 10
    assert len(seen) >= 2
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_the_collector_sees_every_name_as_we_show_it(scrape: Scrape, folder: Path) -> None:
    """Its parser is Prometheus' own; each profile is there, and no two are one."""
    write_textfile(
        folder / "apimart.prom", readings_as_metrics([reading(profile=name, unit="USD") for name in HOSTILE])
    )
    found = scrape()
    assert found["node_textfile_scrape_error",] == 0
    profiles = [labels[0] for name, *labels in found if name == "apimart_reading_success"]
    assert sorted(profiles) == sorted({*map(visible, HOSTILE), "sk-... (2)"})
    assert len(profiles) == len(HOSTILE)


def test_two_files_side_by_side_are_no_error(
    scrape: Scrape, folder: Path, run: Run, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """Each of other profiles, written as often as each needs it: no series is in both."""
    write_config('[profiles.work]\napi_key = "sk-work-0123"\n[profiles.play]\napi_key = "sk-play-0123"\n')
    for name in ("work", "play"):
        line = ("balance", "-p", name, "--textfile", str(folder / f"{name}.prom"))
        assert run(*line, env={"APIMART_BASE_URL": sandbox.url}).returncode == 0
    found = scrape()
    assert {labels[0] for name, *labels in found if name == "apimart_reading_success"} == {"work", "play"}
    assert "error" not in (tmp_path / "output").read_text()


def test_the_collector_sees_a_failure_and_no_balance_of_before(
    scrape: Scrape, folder: Path, run: Run, serve: Serve
) -> None:
    """And how old the file is, which tells when nobody writes it any more."""
    path = folder / "apimart.prom"
    gateway = serve(fault=Fault.UNAUTHORIZED, fault_after=-1, fault_for=0)
    assert run("balance", "--textfile", str(path), env=connected(gateway)).returncode == 0
    before = scrape()
    assert run("balance", "--textfile", str(path), env=connected(serve(fault=Fault.UNAUTHORIZED))).returncode == 4
    wait_until(lambda: not scrape()["apimart_reading_success", "default", "key"])
    after = scrape()
    assert before["apimart_remaining_balance", "default", "key", ""] == 10.5
    assert not [name for name in after if name[0] in {"apimart_remaining_balance", "apimart_used_balance"}]
    assert after["node_textfile_mtime_seconds", str(path)] >= before["node_textfile_mtime_seconds", str(path)]
