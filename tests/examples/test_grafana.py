"""The dashboard for Grafana: whole, without overlaps, and about metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.output.prometheus import HELP, families, metric_readings
from apimart_cli.rules.forecast import Forecast
from apimart_cli.words import ForecastState, Scope
from support.examples import asked, example
from support.readings import reading

BOARD: dict[str, Any] = json.loads(example("grafana/apimart.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
VARIABLES = {each["name"]: each for each in BOARD["templating"]["list"]}
COLUMNS = 24


def queries() -> Iterator[str]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"]


def labels_of_metrics() -> dict[str, set[str]]:
    """The labels of every metric that there can be."""
    forecast = Forecast(ForecastState.OK, Decimal(7), Decimal(1), Decimal(9), Decimal(3))
    key = reading()._replace(low_below=Decimal(1), used_above=Decimal(9), forecast=forecast)
    known = metric_readings([key, reading(scope=Scope.ACCOUNT)])
    found = families([known[0]._replace(spent={Scope.KEY: Decimal(1)}), *known[1:]])
    return {family.name: set(family.samples[0].labels) for family in found}


def test_it_asks_for_metrics_that_there_are() -> None:
    """A panel about another one stays empty."""
    assert set(labels_of_metrics()) == set(HELP)
    text = json.dumps(BOARD)
    named = set(re.findall(r"\bapimart_\w+", text))
    assert named <= set(HELP)
    assert {"apimart_remaining_balance", "apimart_min_balance", "apimart_runway_low_seconds"} <= named


def test_it_chooses_and_names_by_labels_that_the_metrics_have() -> None:
    """In the braces of a query, and in those of a legend."""
    known = labels_of_metrics()
    for panel in PANELS:
        for target in panel["targets"]:
            [(metric, chosen)] = re.findall(r"(apimart_\w+)\{([^}]*)\}", target["expr"])
            assert set(re.findall(r"(\w+)=~", chosen)) <= known[metric]
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known[metric]


def test_its_variables_are_used_and_there() -> None:
    """The data source is chosen by whoever imports it."""
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(BOARD)))
    assert used == set(VARIABLES) == {"datasource", "profile", "scope"}
    assert VARIABLES["datasource"]["type"] == "datasource"
    for panel in PANELS:
        assert {
            source["uid"] for source in (panel["datasource"], *(each["datasource"] for each in panel["targets"]))
        } == {"${datasource}"}


def test_every_panel_has_its_place_and_a_name() -> None:
    """None lies over another, and none is wider than the page."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_grafana_takes_it_for_a_new_dashboard() -> None:
    """It has no number of the Grafana that it was made with."""
    assert BOARD.get("id") is None
    assert BOARD["uid"]
    assert BOARD["schemaVersion"] >= 36


@pytest.mark.servers
def test_promtool_reads_every_query(tmp_path: Path) -> None:
    """With the variables filled in as Grafana does."""
    filled = [query.replace("$profile", "work|play").replace("$scope", ".+") for query in queries()]
    rules = {"groups": [{"name": "g", "rules": [{"record": f"r{n}", "expr": expr} for n, expr in enumerate(filled)]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    assert f"{len(filled)} rules found" in asked("promtool", "check", "rules", tmp_path / "rules.yml")
