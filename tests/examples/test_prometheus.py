"""The examples for Prometheus and Alertmanager: their own programs read them, and the rules name what there is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.output.prometheus import HELP
from support.examples import asked, example

RULES = example("prometheus/apimart.rules.yml")
RULES_TEST = example("prometheus/apimart.rules.test.yml")
PROMETHEUS = example("prometheus/prometheus.yml")
ALERTMANAGER = example("prometheus/alertmanager.yml")

ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]


def test_the_rules_name_no_metric_that_is_not_there() -> None:
    """A name with a mistake in it is no error to Prometheus: the alert never fires."""
    named = set(re.findall(r"\b(?:apimart|node)_\w+", " ".join(alert["expr"] for alert in ALERTS)))
    assert named - set(HELP) == {"node_textfile_mtime_seconds"}


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """And waits, so that one odd reading wakes up nobody."""
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["for"]
        assert set(alert["annotations"]) == {"summary", "description"}


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    """The tests of the rules have both for each of them."""
    tests = yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    names = {alert["alert"] for alert in ALERTS}
    assert fired == names
    # Of this one the same case has balances for which it must not fire.
    assert silent == names - {"ApimartBurningTooFast"}


def test_alerts_that_are_inhibited_are_there() -> None:
    """Alertmanager takes any name."""
    inhibited = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]
    names = [alert["alert"] for alert in ALERTS]
    for rule in inhibited:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = re.fullmatch(r'alertname=~?"([^"]+)"', matcher)
            assert pattern, matcher
            assert [name for name in names if re.fullmatch(pattern[1], name)], matcher


def test_nothing_hides_a_failure_but_what_explains_it() -> None:
    """A file that is old does not: of the same machine, another one may tell of the failure."""
    inhibited = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]
    targets = {rule["source_matchers"][0]: rule["target_matchers"][0] for rule in inhibited}
    assert len(targets) == len(inhibited)
    hiding = {
        source
        for source, target in targets.items()
        if re.fullmatch(target.partition("=")[2].lstrip("~").strip('"'), "ApimartReadingFailing")
    }
    assert hiding == {'alertname="ApimartPaymentRequired"'}


@pytest.mark.servers
def test_promtool_finds_nothing_wrong() -> None:
    """The configuration, and the rules that it names."""
    told = asked("promtool", "check", "config", PROMETHEUS)
    assert f"SUCCESS: {len(ALERTS)} rules found" in told
    assert "is valid prometheus config file" in told


@pytest.mark.servers
def test_the_rules_fire_when_they_should() -> None:
    """Promtool plays the series of the test, minute by minute."""
    assert "SUCCESS" in asked("promtool", "test", "rules", RULES_TEST)


@pytest.mark.servers
def test_a_rule_that_is_wrong_fails_its_test(tmp_path: Path) -> None:
    """Promtool would tell: the tests do look at the rules."""
    (tmp_path / RULES.name).write_text(RULES.read_text(encoding="utf-8").replace("< last_over", "<= last_over"))
    (tmp_path / RULES_TEST.name).write_text(RULES_TEST.read_text(encoding="utf-8"))
    with pytest.raises(AssertionError, match="ApimartBalanceLow"):
        asked("promtool", "test", "rules", tmp_path / RULES_TEST.name)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=ApimartBalanceLow", "severity=critical"], "on-call"),
        (["alertname=ApimartReadingFailing", "severity=warning"], "mail"),
    ],
)
def test_alertmanager_sends_what_is_critical_to_who_is_on_call(labels: list[str], receiver: str) -> None:
    """Amtool finds nothing wrong, and routes each alert as the file says."""
    assert "SUCCESS" in asked("amtool", "check-config", ALERTMANAGER)
    routed = asked("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    # Before it may stand a warning.
    assert routed.split()[-1] == receiver
