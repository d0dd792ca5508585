r"""The text format of Prometheus, version 0.0.4: what its collectors and its server read. Always UTF-8.

Amounts are written with every digit; who reads them makes floats of them.
"""

from collections.abc import Iterable, Sequence

from apimart_cli.balance import Reading
from apimart_cli.output import Format
from apimart_cli.output.amounts import plain
from apimart_cli.output.metrics import Family, Sample, families, told_once
from apimart_cli.screen.output import Screen


def exposition(families: Iterable[Family]) -> str:
    """Return the metrics as whole lines."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterable[str]:
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {help_text}\n"
    yield f"# TYPE {family.name} gauge\n"
    for sample in family.samples:
        yield f"{family.name}{{{_labels(sample)}}} {plain(sample.value)}\n"


def _labels(sample: Sample) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def readings_as_metrics(readings: Sequence[Reading]) -> str:
    """Return readings that were just taken as the text of a file or an answer.

    Without the version: in two files of one folder it would be a series that is there twice.
    """
    return exposition(families(told_once(readings), with_version=False))


def _readings_as_metrics(readings: Sequence[Reading], _screen: Screen, _asked: int) -> str:
    return readings_as_metrics(readings)


FORMAT = Format(readings=_readings_as_metrics, encoding="utf-8")
