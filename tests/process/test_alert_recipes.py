"""The recipes of docs/alerts.md do what the page says: each is played with the program itself, or a stand-in.

A stand-in takes what the manual of the real program says, and fails otherwise.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.pages import PAGES, blocks
from support.programs import need
from support.running import Run, Write, connected

RECIPES: Sequence[Mapping[str, list[str]]] = [
    tomllib.loads(block.text) for block in blocks(PAGES["docs/alerts.md"]) if block.text.startswith("on_low")
]

STAND_INS = {
    # notify-send [OPTION...] <SUMMARY> [BODY]: notify-send(1) of libnotify.
    "notify-send": """test "$1 $2 $3 $#" = "-u critical -- 5" && printf '%s|%s\\n' "$4" "$5" > "$HOME/sent" """,
    # mail [-s subject] to-addr: mailx(1); the text is standard input.
    "mail": """test "$1 $#" = "-s 3" && { printf '%s|%s|' "$2" "$3"; cat; } > "$HOME/sent" """,
}


def recipe(program: str) -> list[str]:
    """The words of the recipe that runs a program."""
    [found] = [each["on_low"] for each in RECIPES if any(program in word for word in each["on_low"])]
    return found


class Received(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    posts: list[tuple[str, Mapping[str, str], bytes]]

    def do_POST(self) -> None:
        """Keep it, and say that it is fine."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log."""


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[str, Mapping[str, str], bytes]]]]:
    """Give the address of a server on this machine, and what it gets."""
    handler = type("Handler", (Received,), {"posts": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", handler.posts
        server.shutdown()


@pytest.fixture
def alerted(run: Run, sandbox: Sandbox, write_config: Write) -> Iterator[Any]:
    """Run `check` with the words of a recipe in the config file; nothing may be said about it."""

    def check(words: Sequence[str]) -> None:
        write_config(f'min = 50\nunit = "USD"\non_low = {json.dumps(words)}\n')
        ended = run("check", env=connected(sandbox))
        assert (ended.returncode, ended.stderr) == (3, "")

    return check


@pytest.mark.parametrize(
    ("program", "sent"),
    [
        ("notify-send", "APIMart: default is low|10.5 USD left\n"),
        ("mail", 'APIMart: the balance is low|you@example.com|{"schema":1,"event":"low","profile":"default",'),
    ],
)
def test_a_recipe_calls_its_program_as_the_manual_says(
    alerted: Any, environment: dict[str, str], tmp_path: Path, home: Path, program: str, sent: str
) -> None:
    """With what is left, and whose it is."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / program).write_text(f"#!/bin/sh\n{STAND_INS[program]}\n")
    (folder / program).chmod(0o755)
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    alerted(recipe(program))
    assert (home / "sent").read_text().startswith(sent)


def test_the_recipe_for_ntfy_posts_a_message(alerted: Any) -> None:
    """With curl itself: a title in the header, the message as the body (docs.ntfy.sh/publish)."""
    need("curl")
    with receiving() as (host, posts):
        alerted([word.replace("https://ntfy.sh", f"http://{host}") for word in recipe("ntfy.sh")])
    [(path, headers, body)] = posts
    assert (path, headers["Title"], body) == ("/your-topic", "APIMart: default is low", b"10.5 USD left")


def test_the_recipe_for_apprise_reaches_a_service(alerted: Any) -> None:
    """With Apprise itself, and the service that posts JSON."""
    need("apprise")
    with receiving() as (host, posts):
        alerted([word.replace("localhost:8080", host) for word in recipe("apprise")])
    [(path, _, body)] = posts
    document = json.loads(body)
    assert (path, document["title"], document["message"]) == ("/alerts", "APIMart: default is low", "10.5 USD left")


def test_every_recipe_is_tried() -> None:
    """None is on the page that is not above."""
    assert len(RECIPES) == 4
