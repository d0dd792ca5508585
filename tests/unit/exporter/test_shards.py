"""Shards: each profile is in exactly one, on every machine in the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.errors import UsageError
from apimart_cli.exporter.access import Shard, parse_shard


@given(st.text(), st.integers(1, 60))
def test_a_profile_is_in_exactly_one_shard(name: str, total: int) -> None:
    """Whatever its name."""
    assert sum(Shard(number, total).has(name) for number in range(1, total + 1)) == 1


def test_the_shard_of_a_profile_never_changes() -> None:
    """It depends on nothing but the name: another process, machine or version of Python finds the same."""
    found = {name: next(n for n in range(1, 5) if Shard(n, 4).has(name)) for name in ("work", "home", "é", "team-1")}
    assert found == {"work": 3, "home": 1, "é": 4, "team-1": 1}


def test_shards_are_about_equal() -> None:
    """Of 10,000 profiles, each of four has about 2,500."""
    sizes = [sum(Shard(number, 4).has(f"team-{name}") for name in range(10_000)) for number in range(1, 5)]
    assert all(2_300 < size < 2_700 for size in sizes)


def test_one_of_one_is_everything() -> None:
    """So that a template can always name a shard."""
    assert parse_shard("1/1").has("anything")


@pytest.mark.parametrize(("text", "told"), [
    ("", "'' names no shard"), ("2", "'2' names no shard"), ("2/4/6", "names no shard"), ("-1/4", "names no shard"),
    ("\uff12/4", "names no shard"), ("a\x1b[31m/4", "names no shard"), ("0/4", "there is no shard 0 of 4"),
    ("5/4", "there is no shard 5 of 4"), ("1/0", "there cannot be 0 shards"), ("1/1001", "there cannot be 1001 shards"),
])  # fmt: skip
def test_what_is_no_shard_is_refused(text: str, told: str) -> None:
    """With what is wrong, and how it is written."""
    with pytest.raises(UsageError) as refused:
        parse_shard(text)
    assert told in refused.value.message
    assert refused.value.hint
    assert "\x1b" not in refused.value.message
