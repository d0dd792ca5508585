"""The page: what the library writes of one profile after the other is what it would write of all at once."""

import re
from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from apimart_cli.exporter.page import join_lines, lines_of
from apimart_cli.output.prometheus import MetricReading, families
from apimart_cli.words import Scope
from support.readings import AUTH, LONGEST, failed, reading

HOSTILE = [
    'a"b', "c\\d", "e\nf", "g\r\n# HELP x y", "{profile=}", "|=';", "%0A", "::error::x", "🙈", "é\u202e", "n" * 10_000,
]  # fmt: skip


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """The samples of a page as Prometheus's own client reads them, by name and labels."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            place = (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
            assert place not in found
            found[place] = sample.value
    return found


def test_joined_pages_are_the_page_of_all() -> None:
    """Each family once, with all samples, in the order of the families."""
    told = [
        MetricReading(reading(profile="work", unit="USD"), Decimal(5)),
        MetricReading(reading(None, profile="work", scope=Scope.ACCOUNT)),
        MetricReading(failed(AUTH, "home"), Decimal(3)),
        MetricReading(reading(LONGEST, profile="rich")),
    ]
    page = join_lines([lines_of([]), lines_of(told[:2]), lines_of(told[2:3]), lines_of(told[3:])])
    expected = {
        (family.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): float(sample.value)
        for family in families(told)
        for sample in family.samples
    }
    assert samples(page) == expected
    heads = re.findall(rb"(?m)^# TYPE (\S+) gauge$", page)
    assert [name.decode() for name in heads] == [family.name for family in families(told)]
    assert len(re.findall(rb"(?m)^# HELP ", page)) == len(heads)
    assert page.endswith(b"\n")


def test_a_page_without_readings_tells_the_version() -> None:
    """And nothing of any key."""
    assert [place[0] for place in samples(join_lines([lines_of([])]))] == ["apimart_build_info"]


def test_no_name_or_unit_gets_out_of_its_label() -> None:
    """Each is one sample with one label, whatever is in it."""
    parts = [lines_of([MetricReading(reading(profile=name, unit=name))]) for name in HOSTILE]
    page = join_lines([lines_of([]), *parts])
    names = [place for place in samples(page) if place[0] == "apimart_remaining_balance"]
    assert len(names) == len(HOSTILE)
    assert all(line.startswith((b"# HELP apimart_", b"# TYPE apimart_", b"apimart_")) for line in page.splitlines())
