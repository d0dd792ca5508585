"""`exporter` before a real Prometheus, whose alerts a real Alertmanager sends to a server of the test."""

import json
import re
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Funds
from support.exporters import Exporter, Start
from support.places import ROOT
from support.processes import wait_until
from support.programs import need
from support.running import Serve, Write
from support.secure import authority
from support.servers import free_ports, running, write_certificate

pytestmark = pytest.mark.servers

SECONDS = 60
"""Most seconds that an alert may take from the gateway to the webhook: some rounds of four programs."""

TOKEN = "Zq7Wm3Xc9Vb1Nk5Lp8Rt"

RULES = ROOT / "examples" / "prometheus" / "apimart.rules.yml"


class Webhook:
    """A server that takes what Alertmanager sends."""

    def __init__(self) -> None:
        alerts: list[tuple[str, str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    labels = alert["labels"]
                    alerts.append((labels["alertname"], labels.get("profile", ""), alert["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep no log."""

        self.alerts = alerts
        """Each alert that was sent: its name, the profile, and whether it fires or is resolved."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Webhook":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, *alert: str) -> None:
        """Return once that was sent."""
        wait_until(lambda: alert in self.alerts, SECONDS)


class Monitoring:
    """Prometheus, Alertmanager and a webhook, each talking to the next."""

    def __init__(self, folder: Path, exporter: Exporter, *, scrape: str = "") -> None:
        self._folder = folder
        self._exporter = exporter
        self._scrape = scrape
        self._stack = ExitStack()
        self.webhook = Webhook()
        self._port, self._manager = free_ports(2)

    def __enter__(self) -> "Monitoring":
        webhook = self._stack.enter_context(self.webhook)
        self._write("am.yml", _MANAGER.format(url=webhook.url))
        # The rules that are shipped, but for how long something must last until it is told.
        self._write("rules.yml", re.sub(r"(?m)^( +for:) .*$", r"\1 0s", RULES.read_text()))
        self._write("prometheus.yml", _PROMETHEUS.format(am=self._manager, to=self._exporter.port, more=self._scrape))
        manager = self._folder / "alertmanager"
        manager.mkdir()
        options = ["--config.file", f"{self._folder}/am.yml", "--storage.path", str(manager)]
        here = [f"--web.listen-address=127.0.0.1:{self._manager}", "--cluster.listen-address="]
        program = need("prometheus-alertmanager")
        self._stack.enter_context(running([program, *options, *here], port=self._manager, folder=manager))
        folder = self._folder / "prometheus"
        folder.mkdir()
        options = ["--config.file", f"{self._folder}/prometheus.yml", "--storage.tsdb.path", f"{folder}/data"]
        here = [f"--web.listen-address=127.0.0.1:{self._port}"]
        self._stack.enter_context(running([need("prometheus"), *options, *here], port=self._port, folder=folder))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def query(self, expression: str) -> list[tuple[Mapping[str, str], str]]:
        """What Prometheus knows: labels and values."""
        url = f"http://127.0.0.1:{self._port}/api/v1/query?query={urllib.request.quote(expression)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.loads(answer.read())["data"]["result"]
        except OSError:
            # It listens a moment before it answers.
            return []
        return [(each["metric"], each["value"][1]) for each in found]

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


_MANAGER = """
route: {{ receiver: test, group_by: [alertname, profile], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}
receivers: [{{ name: test, webhook_configs: [{{ url: "{url}", send_resolved: true }}] }}]
"""

_PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [rules.yml]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ["127.0.0.1:{am}"] }}] }}] }}
scrape_configs:
  - job_name: apimart
    static_configs: [{{ targets: ["localhost:{to}"] }}]
{more}
"""


def test_an_alert_fires_when_the_balance_burns_down_and_resolves_after_a_top_up(
    start: Start, serve: Serve, write_config: Write, tmp_path: Path
) -> None:
    """From the gateway through the exporter, Prometheus and Alertmanager to a webhook; the other key is left alone."""
    burning, steady = serve(key=Funds(Decimal(12), Decimal(0)), burn=Decimal(1)), serve()
    write_config(
        f'min = 8\n[profiles.work]\napi_key = "sk-work-0123456789"\nbase_url = "{burning.url}"\n'
        f'[profiles."a|b=\'c\'"]\napi_key = "sk-home-0123456789"\nbase_url = "{steady.url}"\n'
    )
    exporter = start("--interval", "0.5")
    with Monitoring(tmp_path, exporter) as monitoring:
        monitoring.webhook.wait_for("ApimartBalanceLow", "work", "firing")
        burning.top_up(Decimal(1_000_000))
        monitoring.webhook.wait_for("ApimartBalanceLow", "work", "resolved")
        assert {profile for _, profile, _ in monitoring.webhook.alerts} == {"work"}
        # What Prometheus keeps of the other one is its name, as it is written in the file.
        assert monitoring.query("apimart_remaining_balance{profile=\"a|b='c'\"}")[0][1] == "10.5"


def test_no_alert_fires_at_a_start(start: Start, serve: Serve, write_config: Write, tmp_path: Path) -> None:
    """Prometheus scrapes before the first round is over, sees that it is up, and of no key that it fails."""
    slow = serve(latency=4.0)
    write_config(f'min = 8\nbase_url = "{slow.url}"\n[profiles.work]\napi_key = "sk-work-0123456789"\n')
    exporter = start("--interval", "1h")
    with Monitoring(tmp_path, exporter) as monitoring:
        wait_until(lambda: bool(monitoring.query("apimart_build_info")), SECONDS)
        if exporter.get("/-/ready").status == 503:
            assert monitoring.query("apimart_reading_success") == []
        wait_until(lambda: bool(monitoring.query("apimart_reading_success == 1")), SECONDS)
        assert monitoring.query("max_over_time(up[1m]) == 0") == []
        assert not {alert for alert in monitoring.webhook.alerts if alert[0] != "ApimartMissing"}


def test_prometheus_scrapes_over_tls_with_a_token(
    start: Start, serve: Serve, write_config: Write, tmp_path: Path
) -> None:
    """With the lines of its configuration that the documentation shows."""
    write_config(f'base_url = "{serve().url}"\n[profiles.work]\napi_key = "sk-work-0123456789"\n')
    pem = write_certificate(tmp_path)
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    exporter = start("--tls-cert", str(pem), "--tls-key", str(pem), "--token-file", str(tmp_path / "token"))
    scrape = (
        "    scheme: https\n"
        f"    tls_config: {{ ca_file: {tmp_path}/ca.pem }}\n"
        f"    authorization: {{ credentials_file: {tmp_path}/token }}\n"
    )
    with Monitoring(tmp_path, exporter, scrape=scrape) as monitoring:
        wait_until(lambda: bool(monitoring.query('apimart_remaining_balance{profile="work"}')), SECONDS)
