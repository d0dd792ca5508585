"""What `check` prints: a failure once, and with `--quiet-pass` nothing when everything passes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running import KEY, Run
from support.scripted import Gateway, Reply, balance, gateway, refusal


def _answer(_path: str, key: str) -> Reply:
    return refusal(401) if key.endswith("rejected") else balance("10", "1")


@pytest.fixture
def server() -> Iterator[Gateway]:
    """A gateway that knows one key, with 10 left, and rejects the other."""
    with gateway(_answer) as server:
        yield server


@pytest.fixture
def two(tmp_path: Path, server: Gateway) -> dict[str, str]:
    """What points a command at two profiles, the second of them rejected."""
    config = tmp_path / "two.toml"
    config.write_text(f'[profiles.a]\napi_key = "{KEY}"\n[profiles.b]\napi_key = "{KEY}rejected"\n')
    config.chmod(0o600)
    return {"APIMART_BASE_URL": server.url, "APIMART_CONFIG": str(config)}


def test_a_failure_among_several_readings_is_told_once(run: Run, two: dict[str, str]) -> None:
    """On standard error, with its hint; standard output has what was judged. JSON has everything."""
    ended = run("check", "--all-profiles", "--min", "5", env=two)
    assert ended.returncode == 4
    assert ended.stdout == "PASS a/spendable: 10 left (limited by key), at least 5 required\n"
    error, hint = ended.stderr.splitlines()
    assert error.startswith("apimart: error: b/spendable: the gateway rejected the API key from profile b in ")
    assert hint.startswith("hint: check that the key is right")
    document = json.loads(run("check", "--all-profiles", "--min", "5", "--json", env=two).stdout)
    assert [each["verdict"] for each in document["readings"]] == ["pass", "error"]


@pytest.mark.parametrize("options", ["", "--json", "-o value"])
def test_quiet_pass_prints_nothing_when_everything_passes(run: Run, two: dict[str, str], options: str) -> None:
    """For cron, which sends a mail for every line; on a terminal no hint and no sign of progress either."""
    for columns in (None, 60):
        line = ("check", "-p", "a", "--min", "5", "--quiet-pass", *options.split())
        assert run(*line, env=two, columns=columns) == (0, "", "")


@pytest.mark.parametrize(("arguments", "code"), [
    ("-p a --min 50", 3), ("--all-profiles --min 5", 4), ("-p b --min 5 --json", 4),
    ("-p a -p a --min 5 --max-used 0.5 -o value", 3), ("-p a", 2), ("-p a --min 50 --quiet", 3),
])  # fmt: skip
def test_quiet_pass_changes_nothing_else(run: Run, two: dict[str, str], arguments: str, code: int) -> None:
    """Whatever is no pass is told as without it, on both streams."""
    with_it, without = (run("check", *arguments.split(), *more, env=two) for more in (["--quiet-pass"], []))
    assert with_it.returncode == without.returncode == code
    assert _without_time(with_it.stdout) == _without_time(without.stdout)
    assert with_it.stderr == without.stderr
    assert with_it.stdout + with_it.stderr or "--quiet" in arguments


def _without_time(output: str) -> str:
    """Return an output without the moments at which its answers came."""
    return ",".join(part for part in output.split(",") if "fetched_at" not in part)


def test_quiet_pass_tells_when_it_goes_on_without_an_answer(run: Run, two: dict[str, str]) -> None:
    """`--fail-open` exits 0 and is no pass."""
    env = {**two, "APIMART_BASE_URL": "http://127.0.0.1:9", "APIMART_TIMEOUT": "1"}
    ended = run("check", "-p", "a", "--min", "5", "--quiet-pass", "--fail-open", env=env)
    assert ended.returncode == 0
    assert "going on because of --fail-open" in ended.stderr
