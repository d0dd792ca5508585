"""The examples at work: the command, node_exporter and Prometheus with our rules and the queries of our dashboard."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.sandbox.server import Sandbox
from support.examples import example
from support.past import write_past
from support.processes import wait_until
from support.programs import need
from support.running import Run, Write, connected
from support.servers import free_ports, running

pytestmark = pytest.mark.servers

PATIENCE = 90
"""Most seconds until Prometheus has seen something."""

CONFIG = """
unit = "USD"
min = 5
max_used = 40
scope = "both"
[profiles.default]
"""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def found(self, query: str) -> list[dict[str, Any]]:
        """The series that a query gives."""
        found: list[dict[str, Any]] = self._asked(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return found

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire, each with its scope."""
        alerts = [alert for alert in self._asked("alerts")["alerts"] if alert["state"] == "firing"]
        return {(alert["labels"]["alertname"], alert["labels"].get("scope", "")) for alert in alerts}

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._asked("alerts"))
        except urllib.error.HTTPError:
            return False

    def _asked(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}/{what}", timeout=30) as answer:
            document = json.load(answer)
        assert document["status"] == "success"
        data: dict[str, Any] = document["data"]
        return data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file for node_exporter, in a folder of its own."""
    (tmp_path / "collected").mkdir()
    return tmp_path / "collected" / "apimart.prom"


@pytest.fixture
def prometheus(path: Path, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus with our rules, which wait for nothing, and a node_exporter that reads the file."""
    node, port = free_ports(2)
    rules = yaml.safe_load(example("prometheus/apimart.rules.yml").read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        del rule["for"]
    config = yaml.safe_load(example("prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    del config["alerting"]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "node"]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{node}"]
    (tmp_path / "apimart.rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    collector = [
        need("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={path.parent}", f"--web.listen-address=127.0.0.1:{node}",
    ]  # fmt: skip
    server = [
        need("prometheus"), f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    (tmp_path / "node").mkdir()
    with running(collector, port=node, folder=tmp_path / "node"), running(server, port=port, folder=tmp_path):
        prometheus = Prometheus(port)
        # It listens a moment before it answers.
        wait_until(prometheus.is_ready)
        yield prometheus


def test_a_balance_falls_low_stays_so_while_nobody_knows_and_is_topped_up(
    prometheus: Prometheus, path: Path, run: Run, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """Every panel of the dashboard has something to show, and each alert comes and goes as the page says."""
    ledger = tmp_path / "h.db"
    write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day="0.25")
    write_config(CONFIG)
    env = {**connected(sandbox), "APIMART_HISTORY": str(ledger)}

    def write(code: int = 0, **variables: str) -> None:
        ended = run("balance", "--textfile", str(path), "--timeout", "5", env={**env, **variables})
        assert (ended.returncode, ended.stdout) == (code, "")

    def told(*alerts: tuple[str, str]) -> bool:
        wait_until(lambda: prometheus.firing() == set(alerts), PATIENCE)
        return True

    assert told(("ApimartMissing", ""))
    write()
    assert told()
    for panel in json.loads(example("grafana/apimart.json").read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$profile", ".+").replace("$scope", ".+")
            wait_until(lambda query=query: prometheus.found(query), PATIENCE)

    # Of 10.5 and of 100 left.
    write_config(CONFIG.replace("min = 5", "min = 20"))
    write()
    assert told(("ApimartBalanceLow", "key"))
    by_scope = "apimart_remaining_balance < on (profile, scope) group_left apimart_min_balance"
    assert [found["metric"]["scope"] for found in prometheus.found(by_scope)] == ["key"]
    write(5, APIMART_BASE_URL="http://127.0.0.1:9")
    failing = {("ApimartReadingFailing", "key"), ("ApimartReadingFailing", "account")}
    assert told(("ApimartBalanceLow", "key"), *failing)
    assert not prometheus.found("apimart_remaining_balance")
    sandbox.top_up(Decimal(10))
    write()
    assert told()
