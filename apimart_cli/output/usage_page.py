"""What the gateway's books say as one page of HTML, without scripts and network: light, dark, and on paper.

Everything on it is escaped text or a number of ours.
"""

from collections.abc import Sequence
from datetime import tzinfo
from decimal import ROUND_HALF_UP, Decimal, localcontext
from html import escape

from apimart_cli.choices import UsageBy
from apimart_cli.output import plain
from apimart_cli.output.usage import facts, rows_of, share_of
from apimart_cli.rules.books import UNIT, Booked, BooksReading, Usage, every_day, grouped
from apimart_cli.rules.spending import EXACT
from apimart_cli.text import visible
from apimart_cli.zones import zone_of

WIDTH, HEIGHT = 720, 180
"""The size of a chart, in its own units. It grows with the page."""

_MOST_NAMES = 8
"""Most days that have their name below a chart."""

_STYLE = """\
:root { color-scheme: light dark; --text: #1b1f24; --quiet: #59636e; --line: #d1d9e0; --bar: #0969da; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --quiet: #9198a1; --line: #3d444d; --bar: #4493f8; --back: #0d1117; }
}
body { margin: 2rem auto; max-width: 48rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.5rem; }
p, dl { color: var(--quiet); } dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; }
dd { margin: 0; color: var(--text); }
svg { width: 100%; height: auto; } svg rect { fill: var(--bar); } svg line { stroke: var(--line); }
svg text { fill: var(--quiet); font-size: 12px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text { text-align: left; overflow-wrap: anywhere; }
tfoot td { font-weight: bold; border: 0; }
meter { width: 6rem; } meter + span { display: inline-block; min-width: 3rem; }
@media print { :root { --text: #000; --quiet: #333; --line: #999; --bar: #333; --back: #fff; }
  body { margin: 0; max-width: none; } section { break-inside: avoid-page; } }
"""


def render_page(readings: Sequence[BooksReading], by: UsageBy) -> str:
    """Return one page for all readings, also failed ones. The questions were by day and model; the table is `by`."""
    sections = "".join(_section(reading, by) for reading in readings)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>What was spent</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<h1>What was spent</h1>\n"
        f"{sections}</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape(visible(text), quote=True)


def _section(reading: BooksReading, by: UsageBy) -> str:
    head = f"<section>\n<h2>{_text(reading.name)}</h2>\n<p>key {reading.key_id or '-'} at {_text(reading.host)}</p>\n"
    usage = reading.usage
    if usage is None:
        assert reading.error is not None, "one of the two is there"
        return f'{head}<p role="alert">{_text(reading.error.message)}</p>\n</section>\n'
    zone = zone_of(usage.tz, "tz")
    pairs = [line.split(maxsplit=1) for line in facts(usage, zone).splitlines()]
    known = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>\n" for name, value in pairs)
    return f"{head}<dl>\n{known}</dl>\n{_chart(usage, zone)}{_table(usage, zone, by)}</section>\n"


def _chart(usage: Usage, zone: tzinfo) -> str:
    """Return a bar for each day. Pointers and screen readers find its amount."""
    days = every_day(usage, zone)
    most = max(row.spent for row in days)
    if not most:
        return "<p>Nothing was spent.</p>\n"
    step = Decimal(WIDTH) / len(days)
    every = max(1, -(-len(days) // _MOST_NAMES))
    bars, names = [], []
    for number, row in enumerate(days):
        left, high = step * number, _part(row.spent, most) * HEIGHT
        bars.append(
            f'<rect x="{_short(left)}" y="{_short(HEIGHT - high)}" width="{_short(step * Decimal("0.8"))}"'
            f' height="{_short(high)}"><title>{row.day}: {plain(row.spent)} {UNIT}</title></rect>\n'
        )
        if (len(days) - 1 - number) % every == 0:
            middle = min(max(left + step * Decimal("0.4"), Decimal(16)), Decimal(WIDTH - 16))
            names.append(f'<text x="{_short(middle)}" y="{HEIGHT + 16}" text-anchor="middle">{row.day:%m-%d}</text>\n')
    return (
        f'<svg viewBox="0 -18 {WIDTH} {HEIGHT + 42}" role="img" aria-label="What was spent each day">\n'
        f'<text x="0" y="-5">{plain(most)} {UNIT}</text>\n<line x1="0" y1="0" x2="{WIDTH}" y2="0"/>\n'
        f'<line x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>\n{"".join(bars)}{"".join(names)}</svg>\n'
    )


def _part(spent: Decimal, most: Decimal) -> Decimal:
    with localcontext(EXACT):
        return spent / most


def _short(length: Decimal) -> str:
    return plain(length.quantize(Decimal("0.01"), ROUND_HALF_UP))


def _table(usage: Usage, zone: tzinfo, by: UsageBy) -> str:
    usage = _by(usage, by)
    groups = [*(["Day"] if by.has_day else []), *(["Model"] if by.has_model else [])]
    heads = "".join(f'<th class="text" scope="col">{name}</th>' for name in groups)
    heads += "".join(f'<th scope="col">{name}</th>' for name in (f"Spent ({UNIT})", "Share", "Calls", "In", "Out"))
    rows = "".join(f"<tr>{_cells(row, usage, by)}</tr>\n" for row in rows_of(usage, zone))
    total = f'<td class="text" colspan="{len(groups)}">total</td>{_numbers(usage.total, "")}'
    return (
        f'<div class="wide"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n'
        f"<tfoot><tr>{total}</tr></tfoot>\n</table></div>\n"
    )


def _by(usage: Usage, by: UsageBy) -> Usage:
    """Return what is known by day and model, grouped by what was asked for."""
    rows = (
        row._replace(day=row.day if by.has_day else None, model=row.model if by.has_model else None)
        for row in usage.rows
    )
    return usage._replace(by=by, rows=tuple(grouped(rows)))


def _cells(row: Booked, usage: Usage, by: UsageBy) -> str:
    day = f'<td class="text">{row.day}</td>' if by.has_day else ""
    model = f'<td class="text">{_text(row.model or "") or "(no name)"}</td>' if by.has_model else ""
    share = share_of(row.spent, usage.total.spent)
    percent = int(share * 100)
    meter = f'<meter max="100" value="{percent}"></meter> <span>{percent} %</span>'
    return f"{day}{model}{_numbers(row, meter)}"


def _numbers(row: Booked, share: str) -> str:
    counts = "".join(
        f"<td>{'-' if count is None else count}</td>"
        for count in (row.requests, row.prompt_tokens, row.completion_tokens)
    )
    return f"<td>{plain(row.spent)}</td><td>{share}</td>{counts}"
