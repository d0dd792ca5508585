"""`history`: what is shown of the ledger, and the commands about the file itself."""

import json
import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.schema import Entry
from apimart_cli.ledger.store import record
from apimart_cli.ledger.upkeep import document_of
from apimart_cli.output.json import render_document
from support.ledger import OTHER, WORK, entry
from support.past import recorded as kept
from support.running import KEY, Call

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
Keep = Callable[[Iterable[Entry]], Path]


@pytest.fixture
def path(home: Path) -> Path:
    """Where the ledger is by default, or will be."""
    return home / ".local" / "state" / "apimart" / "history.db"


@pytest.fixture
def keep(path: Path) -> Keep:
    """Write readings to the ledger."""

    def write(found: Iterable[Entry]) -> Path:
        with opened(path, seconds=None) as connection:
            record(connection, found)
        return path

    return write


def week(**fields: Any) -> list[Entry]:
    """Return eight readings, one every midnight up to today's, of a key that uses 1.5 a day and is topped up once."""
    found = []
    for day in range(8):
        remain = Decimal("30.5") - Decimal("1.5") * day + (10 if day >= 4 else 0)
        found.append(
            entry(at=TODAY - timedelta(days=7 - day), used=f"{Decimal('1.5') * day}", remain=f"{remain}", **fields)
        )
    return found


def day(ago: int) -> str:
    """Return a day as JSON has it."""
    return (TODAY - timedelta(days=ago)).strftime("%Y-%m-%d")


def line(**changes: object) -> str:
    """Return one line of an import."""
    return json.dumps({**json.loads(render_document(document_of(entry(at=TODAY)))), **changes}) + "\n"


def test_a_plain_table_has_a_line_a_day_and_what_is_known_below(call: Call, keep: Keep) -> None:
    """Not at a terminal: no chart, no escapes, every number exact."""
    keep(week())
    shown = call("history", "--days", "7", env={"FORCE_COLOR": "1"})
    days = "".join(f"{day(ago)}    1.5\n" for ago in range(6, 0, -1))
    assert shown.stdout == (
        "work/key  key 3f9a1c2e77aa at api.apimart.ai\n\n"
        f"Day         Spent\n{days}\n"
        "Spent   9 USD in 6 of 7 days\n"
        f"Top-up  10 USD on {day(3)}\n"
        "Left    30.0 USD\n"
        "Lasts   about 20 days\n"
        f"Read    8 times, last {day(0)} 00:00 UTC\n"
    )
    assert (shown.code, shown.stderr) == (0, "")


def test_show_is_the_same(call: Call, keep: Keep) -> None:
    """`history` alone and `history show` take the same options and give the same answer."""
    keep(week())
    for options in ((), ("-o", "json", "--days", "3"), ("-p", "work", "--scope", "key")):
        assert call("history", *options) == call("history", "show", *options)


def test_json_has_every_series_with_numbers_that_were_read_as_they_were(call: Call, keep: Keep) -> None:
    """One object a line; what was read has every digit, what was calculated at most six places."""
    keep([*week(), *week(series=OTHER, profile="home", unit=None)])
    shown = call("history", "--json")
    work, home = (json.loads(each, parse_float=Decimal) for each in shown.stdout.splitlines())

    assert work.pop("days") == [{"day": day(ago), "spent": Decimal("1.5")} for ago in range(7, 0, -1)]
    assert work.pop("top_ups") == [{"at": f"{day(3)}T00:00:00Z", "amount": 10}]
    forecast = dict.fromkeys(("days_left", "days_left_low", "days_left_high"), 20)
    forecast |= {"state": "ok", "spent_per_day": Decimal("1.5"), "days_seen": 7, "from": "history"}
    assert work.pop("forecast") == forecast
    series = {"profile": "work", "scope": "key", "key_id": "3f9a1c2e77aa", "host": "api.apimart.ai", "unit": "USD"}
    period = {"first_at": f"{day(7)}T00:00:00Z", "last_at": f"{day(0)}T00:00:00Z", "samples": 8, "remain_balance": 30}
    assert work == {"schema": 1, **series, **period}
    assert (home["profile"], home["scope"], home["unit"]) == ("home", "account", None)
    assert '"remain_balance":30.0,' in shown.stdout
    assert shown.stderr == ""


def test_unlimited_and_long_amounts(call: Call, keep: Keep) -> None:
    """Unlimited is null; no number has an exponent, whatever its size."""
    keep(
        [
            entry(at=TODAY - timedelta(days=1), remain=None, used="0"),
            entry(at=TODAY, remain=None, used="999999999999999.000000000000000000000000000001"),
            entry(series=OTHER, at=TODAY - timedelta(days=1), remain="0.00000000000000000000000005", used="0"),
            entry(series=OTHER, at=TODAY, remain="0.00000000000000000000000001", used="0.00000000000000000000000004"),
        ]
    )
    for shown in (call("history").stdout, call("history", "--json").stdout):
        assert "999999999999999" in shown
        assert "0.00000000000000000000000004" in shown
        assert not re.search("[0-9]E", shown)
    assert json.loads(call("history", "--json").stdout.splitlines()[0])["remain_balance"] is None
    assert "Left    unlimited\n" in call("history").stdout


def test_only_what_was_asked_for(call: Call, keep: Keep) -> None:
    """Profiles and scopes choose; a name without readings is told with those that there are."""
    keep([*week(), *week(series=OTHER, profile="home"), *week(series=WORK._replace(host="b"), profile="other")])

    def shown(*options: str) -> list[str]:
        return [json.loads(each)["profile"] for each in call("history", "--json", *options).stdout.splitlines()]

    assert shown() == ["work", "home", "other"]
    assert shown("-p", "work", "-p", "other") == ["work", "other"]
    assert shown("--scope", "account") == ["home"]
    assert shown("--scope", "spendable") == ["work", "home", "other"]
    nobody = call("history", "-p", "nobody", "-p", "home")
    assert nobody.code == 0
    assert nobody.stdout.startswith("home/account  ")
    assert nobody.stderr == (
        "apimart: note: profile nobody has read nothing yet\nhint: there are readings of: home, other, work\n"
    )
    nothing = call("history", "-p", "home", "--scope", "key", "--json")
    assert (nothing.code, nothing.stdout) == (0, "")
    assert "nothing was read yet of the key" in nothing.stderr


def test_days_of_summer_time_have_24_hours_as_all_others(
    call: Call, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The days are those of UTC: a time zone that changes its clocks changes nothing."""
    source = "".join(line(at=f"2026-03-{number}T00:00:00Z", used_balance=number) for number in range(27, 32))
    texts = set()
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        environment = {"APIMART_HISTORY": str(path.with_name(zone.replace("/", "-")))}
        assert call("history", "import", "-", input=source, env=environment).code == 0
        texts.add(call("history", "--days", "730", "--json", env=environment).stdout)
    [text] = texts
    assert [each["spent"] for each in json.loads(text)["days"]] == [1, 1, 1, 1]


@pytest.mark.parametrize("output", [(), ("--json",), ("export",), ("export", "--csv")])
def test_without_a_ledger_a_note_says_what_to_do(call: Call, path: Path, output: tuple[str, ...]) -> None:
    """Standard output is empty, the exit code 0, and nothing is made."""
    shown = call("history", *output)
    assert (shown.code, shown.stdout) == (0, "")
    assert "note: nothing was read yet: there is no history in" in shown.stderr
    assert "APIMART_RECORD=1" in shown.stderr
    assert "apimart sandbox --days 14 -- apimart history" in shown.stderr
    assert not path.parent.exists()


def test_one_reading_tells_no_spend(call: Call, keep: Keep) -> None:
    """It is shown all the same."""
    keep([entry(at=TODAY)])
    shown = call("history").stdout
    assert "Spent   not known: fewer than two readings in the last 14 days\n" in shown
    assert "Lasts   not enough history: 0.0 of 3 days\n" in shown
    assert "Read    1 time, last " in shown


def test_names_that_would_move_the_cursor_or_hold_a_key_are_made_visible(call: Call, keep: Keep) -> None:
    """Whatever somebody else wrote into the file."""
    keep(week(profile=f"a\x1b[2J\n{KEY}", unit="U\x07", series=WORK._replace(host=f"h\u202e{KEY}")))
    for shown in (
        call("history"),
        call("history", "--json"),
        call("history", "-p", "x"),
        call("history", "export", "--csv"),
        call("history", "export"),
    ):
        assert KEY not in shown.stdout + shown.stderr
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", shown.stdout + shown.stderr)


def test_it_asks_nobody_and_reads_no_key(call: Call, keep: Keep) -> None:
    """A key and an address that are nonsense, and a config file that is broken, change nothing."""
    keep(week())
    nonsense = {"APIMART_API_KEY": "no key", "APIMART_BASE_URL": "nowhere", "APIMART_CONFIG": "/nonexistent/x.toml"}
    assert call("history", env=nonsense) == call("history")


def test_it_prunes_when_that_is_due(call: Call, keep: Keep) -> None:
    """Once a day: of a day 100 days ago only the last reading stays."""
    path = keep(entry(at=TODAY - timedelta(days=100, minutes=-20 * number)) for number in range(9))
    assert call("history").code == 0
    assert len(kept(path)) == 1


@pytest.mark.parametrize("days", ["0", "731", "1.5"])
def test_days_that_are_none(call: Call, days: str) -> None:
    """A number of days is a whole one, from 1 to what is kept."""
    assert call("history", "--days", days).code == 2


def test_options_before_the_inner_command_are_refused(call: Call, keep: Keep) -> None:
    """`history -p work clear` would delete everything otherwise."""
    path = keep(week())
    for options in (("-p", "home"), ("--json",), ("--days", "3")):
        ended = call("history", *options, "clear", "--yes")
        assert (ended.code, ended.stdout.count("deleted")) == (2, 0)
        assert "options of apimart history clear go after it" in ended.stderr
    assert len(kept(path)) == 8


def test_path(call: Call, path: Path, tmp_path: Path) -> None:
    """It is printed whether it is there or not."""
    assert call("history", "path") == (0, f"{path}\n", "")
    document = json.loads(call("history", "path", "--json").stdout)
    assert document == {"schema": 1, "path": str(path), "source": "default", "exists": False}
    named = tmp_path / "my history.db"
    document = json.loads(call("history", "path", "--json", env={"APIMART_HISTORY": str(named)}).stdout)
    assert document == {"schema": 1, "path": str(named), "source": "APIMART_HISTORY", "exists": False}
    assert call("history", "path", env={"APIMART_HISTORY": ""}).code == 2


@pytest.mark.parametrize("arguments", ["history --json", "history export", "history clear --yes", "history import -"])
@pytest.mark.parametrize("kind", ["folder", "newer", "damaged"])
def test_a_file_that_is_no_ledger_is_left_alone(
    call: Call, tmp_path: Path, keep: Keep, kind: str, arguments: str
) -> None:
    """A clear error, exit 2, and the file stays; only a damaged one of ours is set aside, whole."""
    place = tmp_path / "history.db"
    if kind == "folder":
        place.mkdir()
    else:
        content = bytearray(keep(week()).read_bytes())
        if kind == "newer":
            content[60:64] = (99).to_bytes(4, "big")
        else:
            content[100:] = os.urandom(len(content) - 100)
        place.write_bytes(content)
    before = place.read_bytes() if place.is_file() else b""
    ended = call(*arguments.split(), env={"APIMART_HISTORY": str(place)}, input=line())
    assert ended.code == 2
    assert ended.stderr.startswith("apimart: error: the history cannot be used: ")
    assert str(place) in ended.stderr
    assert "hint: " in ended.stderr
    if kind == "damaged":
        assert [each.read_bytes() for each in tmp_path.glob("history.db?*") if each.stat().st_size] == [before]
    elif before:
        assert place.read_bytes() == before


def test_what_is_exported_can_be_imported(call: Call, keep: Keep, tmp_path: Path, home: Path) -> None:
    """Every reading, exactly; a second time nothing is added."""
    path = keep([*week(), *week(series=OTHER, profile="home", unit=None), entry(series=OTHER, at=NOW, remain=None)])
    exported = call("history", "export")
    assert (exported.code, exported.stderr) == (0, "")
    assert exported.stdout.startswith(
        f'{{"schema":1,"at":"{day(7)}T00:00:00Z","key_id":"3f9a1c2e77aa","host":"api.apimart.ai","scope":"key",'
        '"profile":"work","remain_balance":30.5,"used_balance":0.0,"unlimited_quota":false,"unit":"USD",'
        '"source":"check"}\n'
    )
    assert call("history", "export", "copy.jsonl") == (0, "", "")
    assert (tmp_path / "copy.jsonl").read_text() == exported.stdout == call("history", "export", "-").stdout
    assert (tmp_path / "copy.jsonl").stat().st_mode & 0o777 == 0o600
    elsewhere = {"APIMART_HISTORY": str(home / "new" / "history.db")}
    added = call("history", "import", "copy.jsonl", env=elsewhere)
    assert (added.code, added.stdout) == (0, "")
    assert added.stderr == f"apimart: note: 17 readings added to {home}/new/history.db\n"
    assert kept(Path(elsewhere["APIMART_HISTORY"])) == kept(path)
    again = call("history", "import", "-", env=elsewhere, input=exported.stdout)
    assert f"0 readings added to {home}/new/history.db, 17 left out: there already" in again.stderr


def test_csv(call: Call, keep: Keep) -> None:
    """The same fields, under their names."""
    keep([entry(at=TODAY)])
    assert call("history", "export", "--csv").stdout == (
        "schema,at,key_id,host,scope,profile,remain_balance,used_balance,unlimited_quota,unit,source\n"
        f"1,{day(0)}T00:00:00Z,3f9a1c2e77aa,api.apimart.ai,key,work,10.5,2.3,false,USD,check\n"
    )


def test_an_export_that_cannot_be_written(call: Call, keep: Keep, tmp_path: Path) -> None:
    """A clear error, exit 1, and nothing is left of it; a file that is there stays."""
    keep(week())
    ended = call("history", "export", "nowhere/file")
    assert (ended.code, ended.stdout) == (1, "")
    assert "nowhere/file could not be written: No such file or directory" in ended.stderr
    assert call("history", "export", os.devnull).code == 0
    (tmp_path / "old").write_text("old")
    assert call("history", "export", "old").code == 0
    assert (tmp_path / "old").read_text().count("\n") == 8
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "old"]


def test_an_export_does_not_replace_the_history(call: Call, keep: Keep, tmp_path: Path) -> None:
    """By whatever name it is called."""
    path = keep(week())
    (tmp_path / "link").symlink_to(path)
    for name in (str(path), "link"):
        assert call("history", "export", name).code == 2
    assert len(kept(path)) == 8


@pytest.mark.parametrize(("bad", "reason"), [
    (line(profile=KEY), "something in it that looks like an API key"),
    (line(at=(NOW + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")), "at is in the future"),
    ("\udcff\n", "it is not JSON"),
])  # fmt: skip
def test_an_import_with_one_bad_line_adds_nothing(
    call: Call, keep: Keep, tmp_path: Path, bad: str, reason: str
) -> None:
    """The error has the number of the line and the reason, and nothing of what it holds."""
    path = keep(week())
    source = tmp_path / "source"
    source.write_text(f"{line(key_id='0' * 12)}\n{bad}", encoding="utf-8", errors="surrogateescape")
    ended = call("history", "import", "source")
    assert (ended.code, ended.stdout) == (2, "")
    assert re.search(f"error: line 3: .*{reason}", ended.stderr)
    assert "hint: nothing was imported" in ended.stderr
    assert KEY not in ended.stderr
    assert len(kept(path)) == 8


def test_an_import_that_cannot_be_read(call: Call, tmp_path: Path, path: Path) -> None:
    """A file that is missing, or a folder: exit 2, what to do, and no ledger is made."""
    for name, reason, hint in (
        ("nothing", "No such file or directory", "check the path"),
        ("", "No such file or directory", "check the path"),
        (str(tmp_path), "Is a directory", "name the file in it"),
    ):
        ended = call("history", "import", name)
        assert ended.code == 2
        assert f"cannot read {name}: {reason}\nhint: {hint}" in ended.stderr
        assert "name a file" not in ended.stderr
    assert not path.exists()


def test_an_empty_import(call: Call) -> None:
    """It is no error."""
    assert call("history", "import", "-", input="\n\n").code == 0


def test_clear_deletes_what_was_named(call: Call, keep: Keep) -> None:
    """A profile, what is before a day, both, or all; it says how many."""
    path = keep([*week(), *week(series=OTHER, profile="home")])
    ended = call("history", "clear", "-p", "home", "--before", day(5), "--yes")
    assert (ended.code, ended.stdout) == (0, "")
    assert ended.stderr == f"apimart: note: 2 readings of profile home before {day(5)} deleted from {path}\n"
    assert len(kept(path)) == 14
    assert "1 reading before" in call("history", "clear", "--before", day(6), "--yes").stderr
    unknown = call("history", "clear", "-p", "nobody", "--yes")
    assert "0 readings of profile nobody deleted" in unknown.stderr
    assert "hint: there are readings of: home, work" in unknown.stderr
    assert "13 readings deleted" in call("history", "clear", "--yes").stderr
    assert kept(path) == []
    assert "nothing was read yet" in call("history").stderr


def test_clear_without_yes_needs_a_terminal(call: Call, keep: Keep) -> None:
    """A script that forgot it deletes nothing."""
    path = keep(week())
    ended = call("history", "clear", input="y\n")
    assert (ended.code, ended.stdout) == (2, "")
    assert "hint: say yes with: --yes" in ended.stderr
    assert len(kept(path)) == 8


def test_clear_without_a_ledger(call: Call, path: Path) -> None:
    """Nothing is deleted, and nothing is made."""
    assert "0 readings deleted" in call("history", "clear", "--yes").stderr
    assert not path.exists()


@pytest.mark.parametrize("text", ["2019-12-31", "2126-11-20", "2026-02-30", "20261120", "yesterday", ""])
def test_days_that_cannot_be(call: Call, keep: Keep, text: str) -> None:
    """Another century, the future, no day at all: a clear error, and nothing is deleted."""
    path = keep(week())
    ended = call("history", "clear", f"--before={text}", "--yes")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("apimart: error: --before: ")
    assert "hint: give " in ended.stderr
    assert len(kept(path)) == 8


PROFILES = '[profiles.work]\nbase_url = "https://api.apimart.ai"\n'


def test_a_profile_that_is_renamed_is_renamed_in_the_history(
    call: Call, keep: Keep, write_config: Callable[[str], Path]
) -> None:
    """Its readings stay together."""
    write_config(PROFILES)
    path = keep([*week(), *week(series=OTHER, profile="home")])
    assert call("profiles", "rename", "work", "client").code == 0
    assert [each.profile for each in kept(path)] == ["client"] * 8 + ["home"] * 8


def test_a_history_that_cannot_be_written_holds_up_no_renaming(
    call: Call, write_config: Callable[[str], Path], tmp_path: Path, path: Path
) -> None:
    """A warning says so, the profile is renamed; without a history nothing is said, and none is made."""
    config = write_config(PROFILES)
    assert "warning" not in call("profiles", "rename", "work", "first").stderr
    assert not path.parent.exists()
    (tmp_path / "diary").write_text("mine")
    for old, new, history in (("first", "second", str(tmp_path / "diary")), ("second", "third", "")):
        ended = call("profiles", "rename", old, new, env={"APIMART_HISTORY": history})
        assert ended.code == 0
        assert "apimart: warning: the history keeps the old name: " in ended.stderr
        assert f"[profiles.{new}]" in config.read_text()
