"""The page: readings as what Prometheus reads. The only importer of prometheus_client.

The library writes the lines of one profile at a time, when that was read. To write those of thousands anew for each
scrape takes a second; to join them takes a few milliseconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apimart_cli.output.metrics import HELP, Family, Told, families

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Lines = Mapping[str, bytes]
"""The lines of samples, by the name of their family."""


class _Collector(Collector):
    """What the library collects: the families that it is given."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        """Return nothing: which metrics there are depends on what was read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        for family in self._families:
            metric = Metric(family.name, family.help, "gauge")
            for sample in family.samples:
                metric.add_sample(family.name, dict(sample.labels), float(sample.value))
            yield metric


def lines_of(told: Sequence[Told]) -> Lines:
    """Return the lines of some readings, all of one profile; of none, what every page tells."""
    found = families(told, with_version=not told)
    return {family.name: _written(family) for family in found}


def join_lines(parts: Sequence[Lines]) -> bytes:
    """Return the page of several profiles: each family once, with all of its samples."""
    page = []
    for name in HELP:
        samples = [part[name] for part in parts if name in part]
        if samples:
            page += [_HEADS[name], *samples]
    return b"".join(page)


def _written(family: Family) -> bytes:
    """Return the samples of a family as the library writes them, without what stands above them."""
    return _exposition(family).removeprefix(_HEADS[family.name])


def _exposition(family: Family) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector([family]))
    return generate_latest(registry)


_HEADS = {name: _exposition(Family(name, text, ())) for name, text in HELP.items()}
"""What stands above the samples of each family."""
