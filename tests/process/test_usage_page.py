"""The page of `usage -o html` in a real browser: it shows the chart and the table, light and dark, and on paper."""

import re
import struct
import zlib
from collections.abc import Mapping
from html import unescape
from pathlib import Path

import pytest

from support.fault_server import FaultServer
from support.programs import need
from support.running import Run, Serve, connected, run_program


@pytest.fixture
def page(run_process: Run, serve: Serve, tmp_path: Path) -> Path:
    """A page of a made-up month."""
    ended = run_process("usage", "-o", "html", env={**connected(serve(days=30)), "TZ": "UTC"})
    assert (ended.returncode, ended.stderr) == (0, "")
    path = tmp_path / "usage.html"
    path.write_text(ended.stdout, encoding="utf-8")
    return path


def browse(page: Path, environment: Mapping[str, str], *arguments: str, proxy: str = "127.0.0.1:9") -> str:
    """Open a page without a window, and without a network but for a proxy; return what is printed."""
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}", f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>",
        "--disable-background-networking", "--disable-component-update", "--window-size=800,1000",
    ]  # fmt: skip
    call = [need("chromium"), *options, *arguments, page.as_uri()]
    return run_program(call, env=environment, timeout=120, check=True).stdout


def first_pixel(path: Path) -> tuple[int, ...]:
    """Return the colour in the upper left corner of a PNG: nothing stands before it that it could depend on."""
    data = path.read_bytes()
    place, packed = 8, b""
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        place += 12 + length
    return tuple(zlib.decompress(packed)[1:4])


@pytest.mark.parametrize(("scheme", "background"), [("1", (255, 255, 255)), ("0", (13, 17, 23))])
def test_it_is_light_or_dark_as_the_reader_wants(
    page: Path, environment: Mapping[str, str], scheme: str, background: tuple[int, ...]
) -> None:
    """By the setting of the browser."""
    picture = page.with_suffix(".png")
    browse(page, environment, f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}")
    assert first_pixel(picture) == background


def test_it_can_be_printed(page: Path, environment: Mapping[str, str]) -> None:
    """On one sheet."""
    sheet = page.with_suffix(".pdf")
    browse(page, environment, f"--print-to-pdf={sheet}", "--no-pdf-header-footer")
    content = sheet.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b(?!s)", content)) == 1


def test_a_browser_shows_the_chart_and_the_table_and_loads_nothing(page: Path, environment: Mapping[str, str]) -> None:
    """A bar with its amount for each of the thirty days, a row for each model.

    Not even what somebody has put into it is loaded: the page forbids that. Without that word of it, the browser asks.
    """
    asked = []
    text = page.read_text(encoding="utf-8").replace("<h1>", '<img src="http://gateway.example/x.png"><h1>')
    for policy in ("Content-Security-Policy", "X-No-Policy"):
        page.write_text(text.replace("Content-Security-Policy", policy), encoding="utf-8")
        with FaultServer([(b"",)]) as proxy:
            shown = browse(page, environment, "--dump-dom", proxy=proxy.url.removeprefix("http://"))
            asked.append(any(b"gateway.example" in head for head in proxy.heads))
    assert asked == [False, True]
    assert shown.count("<rect ") == 30
    assert len(re.findall(r"<title>2026|<title>20\d\d-\d\d-\d\d: [\d.]+ USD</title>", shown)) == 30
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown)]
    models = [unescape(row[0]) for row in rows if row]
    assert models == ["claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "gpt-image-2", "total"]
