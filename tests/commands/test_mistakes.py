"""Words in the wrong place, misspelt names and empty values: the hint proposes what was meant."""

import pytest

from support.running import KEY, Call, Write


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("check 5", "did you mean: apimart check --min 5; see: apimart check --help"),
        ("login work", "did you mean: apimart login --profile work; see: apimart login --help"),
        ("balance my-key", "did you mean: apimart balance --profile my-key; see: apimart balance --help"),
        ("logout work", "did you mean: apimart logout --profile work; see: apimart logout --help"),
        ("balance 5", "see: apimart balance --help"),
        (f"login {KEY}", "see: apimart login --help"),
        ("check --min 5 5", "did you mean: apimart check --min 5; see: apimart check --help"),
        ("help chek", "did you mean check? see: apimart --help"),
        ("help nothing", "see: apimart --help"),
        (
            "profiles remove work",
            "forget its key: apimart logout --profile NAME; its table can then be deleted from the config file; "
            "see: apimart profiles --help",
        ),
        ("profiles renam a b", "see: apimart profiles --help"),
    ],
)
def test_what_was_meant_is_proposed(call: Call, line: str, hint: str) -> None:
    """Exit 2, and nothing of a key is repeated."""
    ended = call(*line.split())
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[1] == f"hint: {hint}"
    assert KEY[:12] not in ended.stderr


def test_logout_of_a_misspelt_profile_names_the_right_one(call: Call, write_config: Write) -> None:
    """Not "there is nothing to forget"; the file stays as it is."""
    path = write_config(f'[profiles.work]\napi_key = "{KEY}"\n')
    before = path.read_bytes()
    ended = call("logout", "-p", "wrok")
    assert (ended.code, path.read_bytes()) == (2, before)
    assert ended.stderr == (
        f"apimart: error: there is no profile 'wrok' in {path}\nhint: did you mean work? profiles in the file: work\n"
    )


@pytest.mark.parametrize(("words", "name"), [
    (["check", "--max-used", ""], "--max-used"), (["check", "--min", "5", "--timeout", ""], "--timeout"),
    (["check", "--min", "5", "--base-url", ""], "--base-url"),
    (["check", "--min", "5", "-p", ""], "--profile"), (["balance", "--scope", ""], "--scope"),
    (["check", "--min", "5", "--on-low", ""], "--on-low"),
    (["run", "--max-spend", "", "--", "true"], "--max-spend"),
    (["login", "-p", ""], "--profile"), (["logout", "-p", ""], "--profile"), (["config", "set", "min", ""], "min"),
    (["config", "set", "unit", ""], "unit"), (["profiles", "rename", "a", ""], "NEW"),
])  # fmt: skip
def test_an_empty_value_is_called_empty(call: Call, words: list[str], name: str) -> None:
    """Mostly a variable of a script that is not set: no talk of amounts or numbers."""
    ended = call(*words)
    assert ended.code in {2, 125}
    assert ended.stderr.splitlines()[0] == f"apimart: error: {name} is empty"
    assert ended.stderr.splitlines()[1].startswith("hint: ")


def test_an_empty_value_of_the_config_file_is_called_empty(call: Call, write_config: Write) -> None:
    """By its name and its place."""
    path = write_config('unit = ""\n')
    ended = call("balance", "--api-key", KEY)
    assert (ended.code, ended.stderr.splitlines()[0]) == (2, f"apimart: error: unit of {path} is empty")
