"""What an exporter tells of the last day's spend: how often it asks, and that no answer is no sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apimart_cli.config.settings import Settings
from apimart_cli.exporter import spending
from apimart_cli.exporter.spending import Spending
from apimart_cli.words import Scope
from support.processes import wait_until
from support.profiles import profiles
from support.scripted import Reply, gateway


def books(amount: str) -> Reply:
    return Reply(f'{{"data":{{"total":{{"amount_usd":{amount}}},"items":[{{"model":"a","amount_usd":{amount}}}]}}}}')


class Heard:
    """What was told, and a way to wait for so much of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Scope, Decimal | None]] = []

    def __call__(self, *told: Any) -> None:
        """Take note."""
        self.told.append(told)

    def wait_for(self, count: int) -> list[tuple[str, Scope, Decimal | None]]:
        """Wait until so much was told, and return it."""
        wait_until(lambda: len(self.told) >= count)
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
        settings = profiles(tmp_path, *((name, server.url) for name in "cab"), more='scope = "account"')
        heard = Heard()
        with begun(settings, heard, every=spending.ASK_EVERY) as asking:
            for each in settings[1:]:
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
        settings = profiles(tmp_path, ("a", server.url))
        heard = Heard()
        with begun(settings, heard, every=0.02) as asking:
            asking.seen(settings[0])
            told = heard.wait_for(3)
    assert [spent for _, _, spent in told[:3]] == [1, None, 2]


def test_a_gateway_without_books_is_left_alone(tmp_path: Path) -> None:
    """For an hour; a profile that wants none is never asked."""
    with gateway(lambda _path, _key: Reply("", 404)) as server:
        settings = profiles(tmp_path, *((name, server.url) for name in ("a", "b", "off")), more="books = false")
        heard = Heard()
        with begun(settings, heard, every=0.02) as asking:
            asking.seen(settings[2])
            asking.seen(settings[0])
            heard.wait_for(1)
            for each in settings:
                asking.seen(each)
        assert {each.key for each in server.asked} == {"sk-a-0123456789"}
    assert heard.told[0] == ("a", Scope.KEY, None)
