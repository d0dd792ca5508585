"""What an exporter tells of the last day's spend: how often it asks, and that no answer is no sample."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.exporter import spending
from apimart_cli.exporter.page import MetricsBoard
from apimart_cli.exporter.spending import Spending
from apimart_cli.rules.balance import Reading
from apimart_cli.words import Scope
from support.readings import reading
from support.scripted import Reply, gateway

pytest.importorskip("prometheus_client")


def profiles(tmp_path: Path, url: str, *names: str, **more: str) -> list[Settings]:
    path = tmp_path / "config.toml"
    tables = [f'[profiles.{name}]\napi_key = "sk-{name}-0123456789"\n{more.get(name, "")}\n' for name in names]
    path.write_text(f'base_url = "{url}"\n' + "".join(tables))
    path.chmod(0o600)
    return resolve(Options(all_profiles=True), {"APIMART_CONFIG": str(path)})


def books(amount: str) -> Reply:
    return Reply(f'{{"data":{{"total":{{"amount_usd":{amount}}},"items":[{{"model":"a","amount_usd":{amount}}}]}}}}')


class Heard:
    """What was told, and a way to wait for so much of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Scope, Decimal | None]] = []
        self._changed = threading.Condition()

    def __call__(self, *told: Any) -> None:
        """Take note."""
        with self._changed:
            self.told.append(told)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, Scope, Decimal | None]]:
        """Wait until so much was told, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.told) >= count, timeout=20)
            return list(self.told)


@contextmanager
def begun(settings: list[Settings], heard: Heard, *, every: float) -> Iterator[Spending]:
    asking = Spending(heard, every=every)
    asking.use(settings)
    asking.start()
    try:
        yield asking
    finally:
        asking.finish()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "_PAUSE", 0.01)


def test_a_profile_is_asked_once_it_was_read_and_then_seldom(tmp_path: Path) -> None:
    """The last 24 hours, by model, of the key or the account, as the profile says; five minutes lie between two."""
    with gateway(lambda _path, key: books("1.5" if "-a-" in key else "2")) as server:
        settings = profiles(tmp_path, server.url, "a", "b", "c", b='scope = "account"')
        heard = Heard()
        with begun(settings, heard, every=spending.ASK_EVERY) as asking:
            for each in settings[:2]:
                for _ in range(3):
                    asking.seen(each)
            told = heard.wait_for(2)
        asked = [
            {name: value for name, [value] in parse_qs(urlsplit(each.path).query).items()} for each in server.asked
        ]
    assert sorted(told) == [("a", Scope.KEY, Decimal("1.5")), ("b", Scope.ACCOUNT, Decimal(2))]
    assert len(asked) == 2
    assert all(int(each["end"]) - int(each["start"]) == 86_400 and each["group_by"] == "model" for each in asked)
    assert spending.ASK_EVERY >= 300


def test_what_fails_is_not_known_and_asked_again(tmp_path: Path) -> None:
    """Never zero, and never what was known before."""
    answers = [books("1"), Reply("{"), books("2")]
    with gateway(lambda _path, _key: answers.pop(0) if len(answers) > 1 else answers[0]) as server:
        settings = profiles(tmp_path, server.url, "a")
        heard = Heard()
        with begun(settings, heard, every=0.02) as asking:
            asking.seen(settings[0])
            told = heard.wait_for(3)
    assert [spent for _, _, spent in told[:3]] == [1, None, 2]


def test_a_gateway_without_books_is_left_alone(tmp_path: Path) -> None:
    """For an hour; a profile that wants none is never asked."""
    with gateway(lambda _path, _key: Reply("", 404)) as server:
        settings = profiles(tmp_path, server.url, "a", "b", "off", off="books = false")
        heard = Heard()
        with begun(settings, heard, every=0.02) as asking:
            asking.seen(settings[0])
            heard.wait_for(1)
            for each in settings:
                asking.seen(each)
        assert {each.key for each in server.asked} == {"sk-a-0123456789"}
    assert heard.told[0] == ("a", Scope.KEY, None)


def test_the_page_has_it_with_its_window(tmp_path: Path) -> None:
    """A sample while it is known, and none after a failure; what is told of balances stays."""
    settings = profiles(tmp_path, "http://127.0.0.1:1", "a")
    board = MetricsBoard()
    board.is_shown = True
    board.show(settings, {"a": "a"})
    board.take_spent("a", Scope.KEY, Decimal(1))
    assert b"apimart_spent_usd" not in board.page()
    taken: list[Reading] = [reading("10", profile="a")]
    board.take(settings[0], taken)
    board.take_spent("a", Scope.KEY, Decimal("1.25"))
    line = b'apimart_spent_usd{profile="a",scope="key",window="24h"} 1.25\n'
    assert line in board.page()
    board.take(settings[0], taken)
    assert line in board.page()
    board.take_spent("a", Scope.KEY, None)
    assert b"apimart_spent_usd{" not in board.page()
    assert b"apimart_remaining_balance{" in board.page()
