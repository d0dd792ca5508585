"""Writing the config file: what was asked for changes, every other byte stays, and no accident loses the file."""

import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.config.values import Number
from apimart_cli.config.writer import set_values, unset_names
from apimart_cli.errors import ConfigError
from support.running import KEY

Change = Callable[[Path], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a config file may be written."""
    return tmp_path / "config.toml"


@pytest.fixture
def umask() -> Iterator[None]:
    """A machine that keeps nothing from anybody by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


BEFORE = '[profiles.work]\nmin = 5  # a day\nunit = "USD"\n'


def setting(profile: str | None = None, *, instead_of: tuple[str, ...] = (), **values: Any) -> Change:
    return lambda path: set_values(path, profile, values, instead_of=instead_of)


def unsetting(*names: str, profile: str | None = None) -> Change:
    return lambda path: unset_names(path, profile, names)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("", setting(min=Number("5")), "min = 5\n"),
        ("", setting("a", api_key_command=["x", "a b", "#"]), '[profiles.a]\napi_key_command = ["x", "a b", "#"]\n'),
        # Comments stay, but for that of a name that goes; a new name stands after the last one of its table.
        ("# mine\ntimeout = 20  # s\n", setting(timeout=Number("5")), "# mine\ntimeout = 5  # s\n"),
        ("min = 5 # a\n# b\n", setting(timeout=Number("7.50")), "min = 5 # a\ntimeout = 7.50\n# b\n"),
        ("[profiles.a] # a\n", setting("b c", unit="x"), '[profiles.a] # a\n\n[profiles."b c"]\nunit = "x"\n'),
        ("[profiles.a]\nmin = 5 # a\n# b\n", unsetting("min", profile="a"), "[profiles.a]\n# b\n"),
        ("min = 5 # a\n", unsetting("min", profile="nobody"), "min = 5 # a\n"),
        (
            '[profiles.a]\napi_key_env = "X"  # a\n',
            setting("a", api_key=KEY, instead_of=("api_key_env",)),
            f'[profiles.a]\napi_key = "{KEY}"\n',
        ),
        # The top level goes before the tables, after a comment that is about the whole file.
        ("# of a\n[profiles.a]\n", setting(min=Number("5")), "min = 5\n\n# of a\n[profiles.a]\n"),
        ("# all\n\n[profiles.a]\n", setting(min=Number("5")), "# all\n\nmin = 5\n\n[profiles.a]\n"),
        ("# all\n\n# of a\n[profiles.a]\n", setting(min=Number("5")), "# all\n\nmin = 5\n\n# of a\n[profiles.a]\n"),
        ("# only a comment", setting(min=Number("5")), "# only a comment\n\nmin = 5\n"),
        ("min = 5", setting(min=Number("6")), "min = 6\n"),
        ("min = 5", setting("a", min=Number("6")), "min = 5\n\n[profiles.a]\nmin = 6\n"),
        # Line ends of Windows, in new lines too.
        ("min = 5\r\n", setting(unit="x"), 'min = 5\r\nunit = "x"\r\n'),
        ("[profiles.a]\r\n", setting("b", min=Number("6")), "[profiles.a]\r\n\r\n[profiles.b]\r\nmin = 6\r\n"),
        ("\ufeffmin = 5\n", setting(min=Number("6")), "\ufeffmin = 6\n"),
        # Other ways to write a table.
        ("[profiles]\na = {min = 5} # a\n", setting("a", min=Number("6")), "[profiles]\na = {min = 6} # a\n"),
        ("[profiles]\na = {min = 5} # a\n", unsetting("min", profile="a"), "[profiles]\na = {} # a\n"),
        ("profiles.a.min = 5\n", setting("a", unit="x"), 'profiles.a.min = 5\nprofiles.a.unit = "x"\n'),
        ("profiles.a.min = 5 # a\nprofiles.a.unit = 'x'\n", unsetting("min", "unit", profile="a"), ""),
        ("profiles = {a = {min = 5}}\n", setting("b", min=Number("6")), "profiles = {a = {min = 5},b = {min = 6}}\n"),
        ("[profiles]\na = {min = 5} # a\n", setting("a", unit="x"), '[profiles]\na = {min = 5,unit = "x"} # a\n'),
        ("[profiles]\na = {}\n", setting("b", min=Number("6")), "[profiles]\na = {}\n\n[profiles.b]\nmin = 6\n"),
        ("[profiles.a]\n  min = 5\n", setting("a", unit="x"), '[profiles.a]\n  min = 5\n  unit = "x"\n'),
        ("['profiles'.\"a\"] # a\nmin = 5\n", setting("a", min=Number("6")), "['profiles'.\"a\"] # a\nmin = 6\n"),
        # What only looks like a table.
        (
            '[profiles.a]\napi_key_command = [\n  "x",\n  # [profiles.b]\n  """\n[profiles.b]\n""",\n]\n',
            setting("a", min=Number("5")),
            '[profiles.a]\napi_key_command = [\n  "x",\n  # [profiles.b]\n  """\n[profiles.b]\n""",\n]\nmin = 5\n',
        ),
        ("# \x85[x]\u2028min = 5\nmin = 5\n", setting(min=Number("6")), "# \x85[x]\u2028min = 5\nmin = 6\n"),
        # The same value in other digits is another value.
        ("min = 5\n", setting(min=Number("5.00")), "min = 5.00\n"),
        ("min = 5.0\n", setting(min=Number("5")), "min = 5\n"),
        ("profiles.a.api_key_keyring = 1", setting("a", api_key_keyring=True), "profiles.a.api_key_keyring = true\n"),
        # Mistakes that were there before stay, for somebody else to mend.
        ("timout = nan\nmin = 5\n", setting(min=Number("6")), "timout = nan\nmin = 6\n"),
        ("min = 5\n[[x]]\ny = 1\n[[x]]\ny = 2\n", setting(min=Number("6")), "min = 6\n[[x]]\ny = 1\n[[x]]\ny = 2\n"),
    ],
)  # fmt: skip
def test_every_layout_is_changed_in_its_own_manner(path: Path, before: str, change: Change, after: str) -> None:
    """However a file is laid out, the new text is what a careful person would have typed."""
    path.write_bytes(before.encode())
    change(path)
    assert path.read_bytes().decode() == after


class Line(NamedTuple):
    """A line of a generated file, and what it says: the profile (None: top level) and the names that it sets."""

    text: str
    profile: str | None = None
    names: frozenset[str] = frozenset()
    """Every name that a change of touches this line; empty for comments, headers and empty lines."""


class File(NamedTuple):
    """A generated config file: its lines, and what is written of them."""

    lines: list[Line]
    end: str
    text: str
    has_mark: bool


VALUES: Mapping[str, list[str]] = {
    "base_url": ['"https://a.example/#x"', "'https://b.example'", '"\\u0068ttps://c.example"'],
    "timeout": ["5", "2.50", "1_0"], "scope": ['"both"', "'key'"], "unit": ['"USD"', '"¥"', '"[a]"', '"""u"""'],
    "min": ["5", "0.10", "1e2", "+3", "0x10"], "max_used": ["100.000", "1_000.5"],
}  # fmt: skip
KEYS: Mapping[str, list[str]] = {
    "api_key": [f'"{KEY}"', f"'{KEY}' "],
    "api_key_env": ['"CI_KEY"'],
    "api_key_command": ['["pass", "show"]', '[\n  "pass",  # the store\n\n  "[profiles.work]",\n]', '["a",\n"b"]'],
    "api_key_keyring": ["true"],
}
PROFILES = {"work": "work", "a b": '"a b"', "x.y": "'x.y'", "ключ": '"ключ"', "c": '"c"'}
"""Profiles as they are called and as they are written."""

COMMENTS = st.sampled_from(["", "", "  # why", "\t# [profiles.none]", " # min = 1"])
FILLERS = st.sampled_from(
    [[], [], [""], ["# about the next"], ["", "# [profiles.work]", "#min = 9"], ["   "], ["", ""]]
)


@st.composite
def assignments(draw: st.DrawFn, *, profile: str | None, prefix: str = "") -> list[Line]:
    """Lines that set some names, each with its comments."""
    names = draw(st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=4))
    if profile is not None and draw(st.booleans()):
        names.insert(draw(st.integers(0, len(names))), draw(st.sampled_from(list(KEYS))))
    lines = []
    for name in names:
        lines += [Line(text) for text in draw(FILLERS)]
        written = draw(st.sampled_from([name, name, f'"{name}"', f"'{name}'"]))
        value = draw(st.sampled_from({**VALUES, **KEYS}[name]))
        space = draw(st.sampled_from([" = ", "=", "  =\t"]))
        first, *rest = f"{prefix}{written}{space}{value}{draw(COMMENTS)}".split("\n")
        lines += [Line(text, profile, frozenset({name})) for text in (first, *rest)]
    return lines


@st.composite
def files(draw: st.DrawFn) -> File:
    """Config files in every layout that has a name: tables, inline tables, dotted names; comments everywhere."""
    lines = [Line(text) for text in draw(FILLERS)]
    lines += draw(assignments(profile=None))
    profiles = draw(st.lists(st.sampled_from(list(PROFILES)[:-1]), unique=True, max_size=3))
    layout = draw(st.sampled_from(["tables", "tables", "tables", "inline", "dotted", "dotted in a table"]))
    if layout in {"inline", "dotted in a table"} and profiles:
        lines.append(Line("[profiles]"))
    for profile in profiles:
        written = PROFILES[profile]
        lines += [Line(text) for text in draw(FILLERS)]
        if layout == "tables":
            lines.append(Line(f"[profiles.{written}]{draw(COMMENTS)}"))
            lines += draw(assignments(profile=profile))
        elif layout == "inline":
            names = draw(st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=4))
            pairs = ", ".join(f"{name} = {draw(st.sampled_from(VALUES[name]))}" for name in names)
            lines.append(Line(f"{written} = {{{pairs}}}{draw(COMMENTS)}", profile, frozenset({*VALUES, *KEYS})))
        else:
            prefix = f"profiles.{written}." if layout == "dotted" else f"{written}."
            lines += draw(assignments(profile=profile, prefix=prefix))
    lines += [Line(text) for text in draw(FILLERS)]
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = end.join(line.text for line in lines) + (end if lines and draw(st.booleans()) else "")
    return File(lines, end, text, draw(st.booleans()))


NEW_VALUES: Mapping[str, Any] = {
    "base_url": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    "timeout": st.sampled_from([Number("7"), Number("7.50")]),
    "scope": st.just("account"),
    "unit": st.text(min_size=1, max_size=5).filter(lambda text: text.isprintable()),
    "min": st.sampled_from([Number("0"), Number("5"), Number("999999999999.999999")]),
    "max_used": st.just(Number("1.000000")),
}
CHANGES = st.fixed_dictionaries({}, optional=NEW_VALUES).filter(bool) | st.sets(
    st.sampled_from([*VALUES, *KEYS]), min_size=1
)
"""New values, or names to remove."""


def plainly(text: str) -> dict[str, Any]:
    """Read TOML with nothing but the standard library; fractions keep their digits."""
    return tomllib.loads(text, parse_float=lambda digits: f"number {digits}")


def without_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    tables = {name: without_empty(value) if isinstance(value, dict) else value for name, value in document.items()}
    return {name: value for name, value in tables.items() if value != {}}


def plain_value(value: Any) -> Any:
    if not isinstance(value, Number):
        return value
    return f"number {value}" if "." in value else int(value)


def is_subsequence(some: list[str], all_of_them: list[str]) -> bool:
    rest = iter(all_of_them)
    return all(line in rest for line in some)


@given(file=files(), profile=st.sampled_from([None, *PROFILES]), change=CHANGES)
@settings(max_examples=150)
def test_any_change_of_any_file_is_the_plain_change_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, file: File, profile: str | None, change: dict[str, Any] | set[str]
) -> None:
    """The new file reads as the old one with that changed; every line that says something else is still there."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(before := file.text.encode("utf-8-sig" if file.has_mark else "utf-8"))
    expected = deepcopy(plainly(file.text))
    table = expected if profile is None else expected.setdefault("profiles", {}).setdefault(profile, {})
    if isinstance(change, dict):
        table |= {name: plain_value(value) for name, value in change.items()}
        set_values(path, profile, change)
    else:
        found = [table.pop(name) for name in change if name in table]
        assert unset_names(path, profile, change) is bool(found)
        assert found or path.read_bytes() == before
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") is file.has_mark
    after = content.decode("utf-8-sig")
    assert without_empty(plainly(after)) == without_empty(expected)
    untouched = [line.text for line in file.lines if not (line.names & set(change) and line.profile == profile)]
    assert is_subsequence(untouched, after.split(file.end if file.end in file.text else "\n"))


@pytest.mark.parametrize(("before", "change", "fault"), [
    ("", setting(default_profile="wrok"), "{path} was left as it was: default_profile: there is no profile 'wrok'"),
    (f'[profiles.a]\napi_key = "{KEY}"\n', setting("a", api_key_env="X"),
     "{path} was left as it was: [profiles.a] has both api_key and api_key_env"),
    ("min = \n", setting(min=Number("5")), "{path} is not valid TOML: "),
    ("profiles = 5\n", setting("a", min=Number("5")), "{path} is written in a way that cannot be changed safely"),
    ("", setting(base_url="\udcff"), "a name or value is not text, and a config file is"),
    ("", setting("\udcff", min=Number("5")), "a name or value is not text, and a config file is"),
])  # fmt: skip
def test_a_change_that_would_make_a_mistake_is_refused(path: Path, before: str, change: Change, fault: str) -> None:
    """The file stays as it was, byte for byte, and no other is left beside it."""
    path.write_text(before)
    with pytest.raises(ConfigError) as caught:
        change(path)
    assert caught.value.message.startswith(fault.format(path=path))
    assert caught.value.hint
    assert path.read_text() == before
    assert {file.name for file in path.parent.iterdir()} <= {path.name, f"{path.name}.lock", "home"}


def test_what_is_no_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may stand for an empty file when it is read; written, it would be lost. Nor is a folder or a pipe."""
    folder, pipe, loop = tmp_path / "folder", tmp_path / "pipe", tmp_path / "loop"
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    monkeypatch.setattr(os, "devnull", str(pipe))
    for path in (folder, pipe, loop):
        with pytest.raises(ConfigError, match=r" is not a regular file$|: Too many levels of symbolic links$"):
            set_values(path, None, {"min": Number("5")})
    assert folder.is_dir()
    assert pipe.is_fifo()
    assert loop.is_symlink()


def test_a_new_file_and_its_folders_are_for_their_owner_alone(tmp_path: Path, umask: None) -> None:
    """From birth, whatever the umask: no other user can look into the file, nor swap a folder above it."""
    path = tmp_path / "a" / "b" / "config.toml"
    set_values(path, "work", {"api_key": KEY})
    made = (path, path.parent, path.parent.parent, path.with_name("config.toml.lock"))
    assert [mode(each) for each in made] == [0o600, 0o700, 0o700, 0o600]
    path.chmod(0o644)
    set_values(path, "work", {"unit": "USD"})
    assert mode(path) == 0o600


def test_the_new_file_is_private_before_the_key_is_in_it(
    path: Path, umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which somebody else could open it."""
    modes = []
    write, fsync, replace = os.fdopen, os.fsync, os.replace

    def look(step: str) -> None:
        modes.append((step, mode(path.with_name(".config.toml.new"))))

    monkeypatch.setattr(os, "fdopen", lambda *args, **kwargs: (look("opened"), write(*args, **kwargs))[1])
    monkeypatch.setattr(os, "fsync", lambda number: (fsync(number), modes and len(modes) < 2 and look("written"))[0])
    monkeypatch.setattr(os, "replace", lambda *args, **where: (look("replaced"), replace(*args, **where))[1])
    set_values(path, "work", {"api_key": KEY})
    assert modes == [("opened", 0o600), ("written", 0o600), ("replaced", 0o600)]


@pytest.mark.parametrize("before", ["# mine\n\n", ""])
def test_a_link_stays_a_link(tmp_path: Path, path: Path, before: str) -> None:
    """The file among the dotfiles is written, in a folder that is made if need be."""
    target = tmp_path / "dotfiles" / "apimart.toml"
    if before:
        target.parent.mkdir()
        target.write_text(before)
    path.symlink_to(target)
    set_values(path, None, {"min": Number("5")})
    assert path.is_symlink()
    assert (target.read_text(), mode(target)) == (f"{before}min = 5\n", 0o600)


def test_a_file_that_needs_no_change_is_not_written(path: Path) -> None:
    """The same file with the same times is still there."""
    path.write_text(BEFORE)
    before = path.stat()
    set_values(path, "work", {"unit": "USD"})
    unset_names(path, "work", ["scope"])
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_a_dead_process_left_does_no_harm(path: Path) -> None:
    """A lock file that nobody holds, and half a new file that others can read, are in nobody's way."""
    stale = path.with_name(".config.toml.new")
    stale.write_text("[profiles.half")
    stale.chmod(0o644)
    path.with_name("config.toml.lock").write_text("4711")
    set_values(path, "work", {"api_key": KEY})
    assert path.read_text() == f'[profiles.work]\napi_key = "{KEY}"\n'
    assert (mode(path), stale.exists()) == (0o600, False)


def test_a_writer_waits_for_another_and_then_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits in vain leaves the file alone."""
    monkeypatch.setattr("apimart_cli.config.writer.LOCK_SECONDS", 0.1)
    path.write_text(BEFORE)
    with FileLock(f"{path}.lock"), pytest.raises(ConfigError, match=r" is being changed by another apimart$"):
        set_values(path, None, {"min": Number("5")})
    assert path.read_text() == BEFORE
    set_values(path, None, {"min": Number("5")})
    assert "min = 5\n" in path.read_text()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where a folder should be, for example."""
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "apimart" / "config.toml"
    with pytest.raises(ConfigError, match=f"^cannot write {path}: Not a directory$") as caught:
        set_values(path, None, {"min": Number("5")})
    assert caught.value.hint == "check the folder and its permissions"
