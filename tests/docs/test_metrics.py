"""The page about metrics: its tables are those of the program and of the rules, and its line for cron works."""

from pathlib import Path

import yaml

from apimart_cli.output.prometheus import HELP
from apimart_cli.sandbox.server import Sandbox
from support.examples import example
from support.pages import blocks_of, code_in, table
from support.running import Shell, Write


def test_the_tables_name_every_metric_and_every_alert() -> None:
    """And no other; the alerts in the order of the file."""
    assert sorted(name for row in table("metric").rows for name in code_in(row[0])) == sorted(HELP)
    rules = yaml.safe_load(example("prometheus/apimart.rules.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert [code_in(row[0]) for row in table("alert").rows] == [[rule["alert"]] for rule in rules]


def test_the_line_for_cron_writes_the_file_without_a_word(
    shell: Shell, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """It is five times and a command; the alert on the age of the file waits for three of them."""
    [line] = "".join(block.text for block in blocks_of("crontab") if block.page == "docs/monitoring.md").splitlines()
    *times, command = line.split(maxsplit=5)
    assert times == ["*/5", "*", "*", "*", "*"]
    assert "%" not in command, "cron would end the command there"
    write_config('[profiles.work]\napi_key = "sk-work-0123"\n')
    written = command.replace("/var/lib/prometheus/node-exporter", str(tmp_path))
    assert written != command
    ended = shell(written, env={"APIMART_BASE_URL": sandbox.url}, interpreter=("sh", "-c"))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert 'apimart_reading_success{profile="work",scope="key"} 1\n' in (tmp_path / "apimart.prom").read_text()
