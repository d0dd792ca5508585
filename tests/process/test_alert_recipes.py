"""The recipes of docs/alerts.md do what the page says: each is played with the program itself, or a stand-in.

A stand-in takes what the manual of the real program says, and fails otherwise.
"""

import json
import socket
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.pages import PAGES, blocks
from support.programs import need
from support.running import Run, Write, connected
from support.secure import Listener, authority, certified

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
        alerted([word.replace("localhost:8080", host) for word in recipe("json://")])
    [(path, _, body)] = posts
    document = json.loads(body)
    assert (path, document["title"], document["message"]) == ("/alerts", "APIMart: default is low", "10.5 USD left")


CHATS = {
    # Each as its own manual has it: where a bot is written to, and how a text is sent. Nothing else gets a 200.
    "open.feishu.cn": ("/open-apis/bot/v2/hook/TOKEN", {}, "msg_type", "content"),
    "open.larksuite.com": ("/open-apis/bot/v2/hook/TOKEN", {}, "msg_type", "content"),
    "oapi.dingtalk.com": ("/robot/send", {"access_token": ["TOKEN"]}, "msgtype", "text"),
    "qyapi.weixin.qq.com": ("/cgi-bin/webhook/send", {"key": ["KEY"]}, "msgtype", "text"),
}


class Chats(Listener):
    """A proxy behind which the four services are stood in for, with certificates of our authority."""

    def __init__(self) -> None:
        super().__init__(self._serve_chat)
        self.texts: dict[str, str] = {}
        """The text that a service got, by its host."""

    def _serve_chat(self, connection: socket.socket) -> None:
        host = connection.recv(65536).split()[1].decode().rpartition(":")[0]
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with certified(*CHATS).wrap_socket(connection, server_side=True) as safe, safe.makefile("rwb") as stream:
            method, address, _ = stream.readline().decode().split()
            headers = dict(line.decode().strip().lower().split(": ") for line in iter(stream.readline, b"\r\n"))
            document = json.loads(stream.read(int(headers["content-length"])))
            assert method == "POST"
            self.texts[host] = text_of(host, address, document)
            stream.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")


def text_of(host: str, address: str, document: Mapping[str, Any]) -> str:
    """Return the text of a message; it is an error where the service would refuse it."""
    path, given, kind, content = CHATS[host]
    asked = parse_qs(urlsplit(address).query)
    assert (urlsplit(address).path.rstrip("/"), asked, document[kind]) == (path, given, "text")
    [text] = [value for name, value in document[content].items() if name in {"text", "content"}]
    return str(text)


def test_the_recipe_for_chats_writes_to_each(
    alerted: Any, environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    """With Apprise itself, and the lines of the page in its file: what is left, and the keyword."""
    need("apprise")
    [lines] = [block.text for block in blocks(PAGES["docs/alerts.md"]) if block.text.startswith("money=")]
    settings = home / ".config" / "apprise" / "apprise.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(lines, encoding="utf-8")
    authority().cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with Chats() as chats:
        environment["HTTPS_PROXY"] = f"http://127.0.0.1:{chats.port}"
        environment["REQUESTS_CA_BUNDLE"] = str(tmp_path / "authority.pem")
        alerted(recipe("--tag money"))
        chats.settle()
    assert set(chats.texts) == set(CHATS)
    for text in chats.texts.values():
        # Apprise ends lines as each service wants it.
        assert text.splitlines() == ["APIMart: default is low", "10.5 USD left"]


def test_every_recipe_is_tried() -> None:
    """None is on the page that is not above."""
    assert len(RECIPES) == 5
