"""Entries as JSON and CSV, and lines that are refused with their number and nothing of what they hold."""

import csv
import io
import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.errors import UsageError
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.upkeep import FIELDS, FUTURE, MAX_LINE, OLDEST, as_csv, document_of, lines_of, read_line
from apimart_cli.words import ScopeChoice
from support.ledger import NOW, OTHER, entry
from support.running import KEY

DOCUMENTED = (
    '{"schema":1,"at":"2026-11-20T10:00:00Z","key_id":"3f9a1c2e77aa","host":"api.apimart.ai","scope":"key",'
    '"profile":"work","remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false,"unit":"USD","source":"check"}'
)
SCOPES = ScopeChoice.BOTH.asked


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(DOCUMENTED), **fields})


def as_json(each: Entry) -> str:
    texts = {
        name: f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)
        for name, value in document_of(each).items()
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


def test_the_documented_line_is_an_entry_and_back() -> None:
    """Field by field, in that order."""
    assert read_line(DOCUMENTED, 1, NOW) == entry()
    assert read_line(DOCUMENTED, 1, NOW).at.utcoffset() == timedelta(0)
    assert as_json(entry()) == DOCUMENTED


@given(
    st.builds(
        Entry,
        st.builds(Series, st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.just("h:8443"), st.sampled_from(SCOPES)),
        st.integers(0, 2500 * 86_400).map(lambda seconds: OLDEST + timedelta(seconds=seconds)),
        st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=20),
        st.none() | st.decimals("-1e14", "1e14", places=9),
        st.decimals(0, "1e14", places=9),
        st.none() | st.just("USD"),
        st.sampled_from(["check", "balance"]),
    )
)
@settings(max_examples=50)
def test_what_is_exported_is_imported_as_it_was(each: Entry) -> None:
    """Exactly."""
    assert read_line(as_json(each), 1, NOW) == each


def with_each(name: str, *values: Any) -> list[str]:
    return [changed(**{name: value}) for value in values]


def with_amounts(*amounts: str) -> list[str]:
    return [DOCUMENTED.replace("10.5", amount) for amount in amounts]


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("is not JSON", ["", "[" * 9000, DOCUMENTED.replace('"source"', '"at":"2026-11-20T10:00:00Z","source"')]),
        ("is longer than", ["x" * 10_001]),
        ("is not an object with exactly the names", ["[]", "{}", changed(extra=1)]),
        ("its schema is not 1", with_each("schema", 2, True)),
        ("profile is not a short text", with_each("profile", "", 5, "x" * 301, "a\x1b[2Jb")),
        ("host is not a short text", with_each("host", "a\u202eb", "\ud800")),
        ("key_id is not 12 hexadecimal digits", with_each("key_id", "3F9A1C2E77AA", "3f9a1c2e77aab")),
        ("scope is none of key, account", with_each("scope", "spendable")),
        ("unit is neither", with_each("unit", "", 7)),
        ("unlimited_quota does not fit", [*with_each("unlimited_quota", True, 0), changed(remain_balance=None)]),
        ("remain_balance is not an amount", with_each("remain_balance", "10.5", True)),
        ("remain_balance is not an amount", with_amounts("NaN", "1e999999999", "1e-999999999", "1" * 16)),
        ("remain_balance is not an amount", with_amounts("Infinity", "0." + "1" * 31)),
        ("used_balance is not an amount", with_each("used_balance", None)),
        ("used_balance is negative", with_each("used_balance", -1)),
        ("at is not a time like", with_each("at", 5, "2026-11-20T10:00:00+01:00", "٢026-11-20T10:00:00Z")),
        ("at is not a time like", with_each("at", "2026-11-20", "2026-11-20T24:00:00Z")),
        ("at is a time that does not exist", with_each("at", "2026-02-30T10:00:00Z")),
        ("at is before 2020", with_each("at", "2019-12-31T23:59:59Z")),
        ("at is in the future", with_each("at", "2126-11-20T10:00:00Z")),
    ],
)
def test_a_line_that_is_wrong_is_refused_with_its_number(message: str, lines: list[str]) -> None:
    """The first thing that is wrong with it, and a hint."""
    for line in lines:
        with pytest.raises(UsageError) as raised:
            read_line(line, 17, NOW)
        assert raised.value.message.startswith("line 17: ")
        assert message in raised.value.message
        assert raised.value.hint
        assert len(raised.value.message) < 250


@pytest.mark.parametrize("field", ["profile", "unit", "key_id", "at", "extra"])
@pytest.mark.parametrize("key", [KEY, KEY.replace("-", r"\u002d")])
def test_a_key_is_refused_and_not_shown(field: str, key: str) -> None:
    """In whatever field, escaped or not; no part of it is in the message."""
    line = changed(**{field: "KEY"}).replace("KEY", f"x {key}")
    with pytest.raises(UsageError) as raised:
        read_line(line, 3, NOW)
    assert raised.value.message.startswith("line 3: ")
    assert "Zq7Wm3" not in raised.value.message + (raised.value.hint or "")


@pytest.mark.parametrize(
    "line", [changed(at=f"{NOW + FUTURE:%Y-%m-%dT%H:%M:%SZ}"), changed(remain_balance=-5), changed(unit=None)]
)
def test_what_is_unusual_and_possible_is_taken(line: str) -> None:
    """The clock of another system a day ahead, a debt, no unit."""
    assert read_line(line, 1, NOW)


@settings(max_examples=50)
@given(st.text(max_size=300) | st.builds(lambda value: changed(profile=value), st.text(max_size=50)))
def test_no_line_does_more_than_be_refused(line: str) -> None:
    """Whatever it is."""
    with suppress(UsageError):
        assert isinstance(read_line(line, 1, NOW), Entry)


def test_lines_of_a_file_are_bounded() -> None:
    """A file without an end of line does not fill the memory; a byte order mark is no mistake."""
    file = io.BytesIO(b"\xef\xbb\xbfone\n\n" + b"x" * 1_000_000)
    found = lines_of(file)
    assert (next(found), next(found), len(next(found))) == ("one\n", "\n", 4 * MAX_LINE + 1)


def test_bytes_that_are_no_text_are_refused() -> None:
    """With the number of the line."""
    line = changed(profile="NAME").encode().replace(b"NAME", b"a\xffb")
    (text,) = lines_of(io.BytesIO(line))
    with pytest.raises(UsageError, match=r"^line 4: profile is not a short text"):
        read_line(text, 4, NOW)


@pytest.mark.parametrize(
    ("profile", "cell"),
    [
        ('a "b", c', 'a "b", c'),
        ("\ta\x1b", "\\x09a\\x1b"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
    ],
)
def test_csv_has_the_same_fields(profile: str, cell: str) -> None:
    """Numbers are written out, what is not known is empty, what would not show is escaped; no cell is a formula."""
    lines = list(as_csv([entry(), entry(series=OTHER, remain=None, unit=None, profile=profile, used="1E-7")]))
    rows = list(csv.reader(io.StringIO("".join(lines))))
    assert rows[0] == list(FIELDS)
    assert rows[1][5:8] == ["work", "10.5", "2.3"]
    assert rows[2][4:10] == ["account", cell, "", "0.0000001", "true", ""]
