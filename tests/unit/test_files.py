"""Files that no other user can change or swap: a matrix of owners, modes and folders, and swaps in between.

The hooks swap something at the very moment between two steps; so no race is won or lost by luck.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from apimart_cli import owners
from apimart_cli.config.writer import require_writable, set_values
from apimart_cli.errors import ConfigError, OutputError, UsageError
from apimart_cli.exporter.access import AccessFiles, read_access
from apimart_cli.files import MOST_LINKS, Place, found, found_for_output
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError
from apimart_cli.owners import UnsafeError, own_files, trusted_owners
from apimart_cli.replacing import read_private_file, require_place, write_textfile
from apimart_cli.run import accounting
from apimart_cli.screen.pieces import write_pieces
from support.running import KEY
from support.strangers import (
    GROUP,
    MASK,
    NAMED_GROUP,
    OTHERS,
    OWNER,
    STRANGER,
    USER,
    act_as_stranger,
    as_root,
    ground,
    set_access_list,
)

SHARED_GROUP = STRANGER + 7
"""A group of which we are no member."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that other users can look into."""
    with ground() as folder:
        yield folder


def test_our_files_those_of_root_and_of_users_who_are_named_are_used() -> None:
    """By default no others."""
    assert trusted_owners({}) == own_files() == {0, os.geteuid()}
    assert trusted_owners({"APIMART_CONFIG_OWNER": "1000,0, 65534"}) == {0, os.geteuid(), 1000, 65534}


@pytest.mark.parametrize("named", ["", "alice", "-1", "1000;0", "1000,", "٣", "99999999999"])
def test_a_variable_that_names_nobody_is_a_mistake(named: str) -> None:
    """A list that is half understood would trust or refuse somebody by accident."""
    with pytest.raises(UsageError, match=r"^APIMART_CONFIG_OWNER is no list of user ids$") as refused:
        trusted_owners({"APIMART_CONFIG_OWNER": named})
    assert refused.value.hint


class Kind(NamedTuple):
    """A kind of file: what makes a good one, and what uses it. A refusal is one of the errors."""

    name: str
    content: str
    use: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = (ConfigError,)
    is_output: bool = False
    is_written: bool = False

    def __str__(self) -> str:
        return self.name


def use_ledger(path: Path) -> None:
    with opened(path, seconds=None) as ledger:
        ledger.execute("SELECT count(*) FROM samples").fetchone()


TOKEN = "a" * 32
KINDS = [
    Kind("config.toml", "min = 5\n", read_private_file),
    Kind("token", f"{TOKEN}\n", lambda path: read_access(AccessFiles(token=path))),
    Kind("history.db", "", use_ledger, (LedgerError,)),
    Kind("written.toml", "min = 5\n", lambda path: set_values(path, None, {"unit": "USD"}), is_written=True),
    Kind("a.prom", "old 1\n", lambda path: write_textfile(path, "new 1\n"), (OutputError,), is_output=True),
    Kind("report.json", "{}", lambda path: accounting._write(path, "{}"), (UnsafeError,), is_output=True),
    Kind("export.jsonl", "{}", lambda path: write_pieces(["{}\n"], path), (OutputError,), is_output=True),
]


class Ground(NamedTuple):
    """A folder: its owner, group and permissions."""

    owner: int
    group: int
    mode: int

    def __str__(self) -> str:
        return f"{self.owner}-{self.group}-{self.mode:o}"

    @property
    def is_safe(self) -> bool:
        """Whether no other user can swap what is in it, by rules that are written down once more here."""
        if self.owner != 0:
            return False
        if self.mode & stat.S_ISVTX or not self.mode & 0o022:
            return True
        return not self.mode & 0o002 and self.group == 0


SHARED_BY_ALL = Ground(0, 0, 0o777)
FOLDERS = [
    SHARED_BY_ALL,
    Ground(0, 0, 0o755),
    Ground(0, 0, 0o775),
    Ground(0, SHARED_GROUP, 0o775),
    Ground(0, 0, 0o1777),
    Ground(0, SHARED_GROUP, 0o1775),
    Ground(STRANGER, 0, 0o755),
    Ground(STRANGER, STRANGER, 0o1777),
]
FILES = [
    Ground(0, 0, 0o660),
    Ground(0, SHARED_GROUP, 0o620),
    Ground(0, 0, 0o602),
    Ground(STRANGER, STRANGER, 0o600),
    Ground(STRANGER, 0, 0o400),
]


def owner_and_mode(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def set_to(path: Path, ground: Ground) -> None:
    os.chown(path, ground.owner, ground.group)
    path.chmod(ground.mode)


def try_use(kind: Kind, path: Path) -> bool:
    """Use a file; return whether that was allowed."""
    try:
        kind.use(path)
    except kind.errors as error:
        refused = error
    else:
        return True
    told = str(getattr(refused, "message", refused))
    assert isinstance(refused, UnsafeError) or "another user" in told or "can change" in told, told
    return False


@as_root
@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        (kind, folder)
        for kind in KINDS
        for folder in FOLDERS
        # A token is read as the config file is, and a report is replaced as metrics are.
        if folder is SHARED_BY_ALL or kind.name not in {"token", "report.json"}
    ],
    ids=str,
)
@pytest.mark.parametrize("is_above", [False, True], ids=["its folder", "a folder above"])
def test_a_file_is_used_where_nobody_can_swap_it(place: Path, kind: Kind, folder: Ground, is_above: bool) -> None:
    """Each kind of file, in and below each kind of folder: used, or refused, and then as it was."""
    outer = place / "outer"
    inner = outer / "inner" if is_above else outer
    inner.mkdir(parents=True)
    path = inner / kind.name
    path.write_text(kind.content)
    path.chmod(0o600)
    set_to(outer, folder)
    before = sorted(os.listdir(inner))
    # Metrics and reports may go below a folder of another user, where no link is followed.
    expected = folder.is_safe or (kind.is_output and is_above)
    if kind.name == "history.db" and folder.mode & stat.S_ISVTX and folder.mode & 0o022 and not is_above:
        # SQLite uses what lies beside it, which may be another user's.
        expected = False
    assert try_use(kind, path) is expected
    if not expected:
        assert (path.read_text(), sorted(os.listdir(inner))) == (kind.content, before)


@as_root
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_is_used_that_nobody_else_can_change(place: Path, kind: Kind, file: Ground) -> None:
    """Each kind of file, with each kind of owner and mode. An output replaces whatever lies in its place."""
    path = place / kind.name
    path.write_text(kind.content)
    set_to(path, file)
    before = owner_and_mode(path)
    expected = kind.is_output or (file.owner == 0 and not (file.mode & 0o002 or (file.mode & 0o020 and file.group)))
    assert try_use(kind, path) is expected
    if not expected:
        assert (path.read_text(), owner_and_mode(path)) == (kind.content, before)


@as_root
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("linked", ["the folder", "the file"])
@pytest.mark.parametrize("owner", [0, STRANGER])
def test_a_link_of_another_user_is_not_followed(place: Path, kind: Kind, linked: str, owner: int) -> None:
    """Whoever owns it says where it leads, also in a folder like /tmp; ours are followed."""
    real, shown = place / "real", place / "shown"
    real.mkdir()
    shown.mkdir()
    shown.chmod(0o1777)
    (real / kind.name).write_text(kind.content)
    (real / kind.name).chmod(0o600)
    link = shown / ("folder" if linked == "the folder" else kind.name)
    link.symlink_to(real if linked == "the folder" else real / kind.name)
    os.chown(link, owner, -1, follow_symlinks=False)
    replaces_links = kind.name in {"a.prom", "report.json"} and linked == "the file"
    assert try_use(kind, link / kind.name if linked == "the folder" else link) is (owner == 0 or replaces_links)
    if owner != 0 or replaces_links:
        assert (real / kind.name).read_text() == kind.content


@as_root
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.is_output], ids=str)
def test_a_user_who_is_named_is_trusted_for_reading(place: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted files of a container have the ids of another machine. What is written is still ours alone."""
    folder = place / "mounted"
    folder.mkdir()
    path = folder / kind.name
    path.write_text(kind.content)
    path.chmod(0o600)
    for each in (folder, path):
        os.chown(each, STRANGER, STRANGER)
    assert not try_use(kind, path)
    monkeypatch.setenv("APIMART_CONFIG_OWNER", str(STRANGER))
    assert try_use(kind, path) is not kind.is_written
    assert path.stat().st_uid == STRANGER


@as_root
@pytest.mark.parametrize("ground", FOLDERS, ids=str)
def test_folders_are_made_where_nobody_can_swap_them(place: Path, ground: Ground) -> None:
    """Nothing is made in a folder of another user, and what is made is ours alone."""
    outer = place / "outer"
    outer.mkdir()
    set_to(outer, ground)
    path = outer / "new" / "newer" / "config.toml"
    with suppress(ConfigError):
        set_values(path, None, {"unit": "USD"})
    assert path.exists() is ground.is_safe
    if ground.is_safe:
        assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent.parent, path.parent)] == [0o700, 0o700]
    else:
        assert os.listdir(outer) == []


@pytest.mark.parametrize(
    ("name", "members", "gid_of_bob", "is_private"),
    [
        ("alice", [], 1001, True),
        ("alice", ["alice"], 1001, True),
        ("alice", ["bob"], 1001, False),
        ("alice", [], 1000, False),
        ("users", [], 1001, False),
    ],
)
def test_the_group_of_one_user_is_private(
    monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], gid_of_bob: int, is_private: bool
) -> None:
    """It has the name of the user, and no other member, listed or by a primary group."""
    root, alice = (
        SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=uid) for name, uid in (("root", 0), ("alice", 1000))
    )
    bob = SimpleNamespace(pw_name="bob", pw_uid=1001, pw_gid=gid_of_bob)
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name=name, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", {1000: alice, 0: root}.__getitem__)
    monkeypatch.setattr(pwd, "getpwall", lambda: [alice, bob])
    assert owners._is_private(1000, frozenset({0, 1000})) is is_private


def test_a_group_without_a_name_is_private_with_the_number_of_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container. Another one that we are in may be another user's, too, as `fsGroup` of Kubernetes is."""
    monkeypatch.setattr(os, "getgroups", lambda: [10_001])
    monkeypatch.setattr(os, "getegid", lambda: 10_001)
    private = [gid for gid in (20_002, 10_001, 30_003) if owners._is_private(gid, frozenset({0, 20_002}))]
    assert private == [20_002]


@as_root
def test_an_access_list_that_lets_others_write_is_seen(place: Path) -> None:
    """It hides behind the bit of the group, which may be our own."""
    path = place / "config.toml"
    path.write_text("min = 5\n")
    path.chmod(0o660)
    assert read_private_file(path).text == "min = 5\n"
    set_access_list(path, (OWNER, 6), (USER, 6, STRANGER), (GROUP, 4), (MASK, 6), (OTHERS, 0))
    with pytest.raises(ConfigError, match="can change it"):
        read_private_file(path)


NOTHING, READ = 0, 4


@as_root
@pytest.mark.parametrize(
    ("owner", "entries", "is_exposed"),
    [
        # What systemd gives a service: root's, for the user of the service, and nothing for the group.
        (0, [(USER, READ, STRANGER), (GROUP, NOTHING), (MASK, READ), (OTHERS, NOTHING)], False),
        (0, [(GROUP, READ), (MASK, READ), (OTHERS, NOTHING)], True),
        (0, [(USER, READ, STRANGER), (GROUP, READ), (MASK, READ), (OTHERS, NOTHING)], True),
        (0, [(GROUP, NOTHING), (NAMED_GROUP, READ, SHARED_GROUP), (MASK, READ), (OTHERS, NOTHING)], True),
        (0, [(GROUP, READ), (NAMED_GROUP, READ, SHARED_GROUP), (MASK, NOTHING), (OTHERS, NOTHING)], False),
        (0, [(GROUP, NOTHING), (MASK, NOTHING), (OTHERS, READ)], True),
        # An entry for root changes nothing, one for another user does.
        (STRANGER, [(USER, READ, 0), (GROUP, NOTHING), (MASK, READ), (OTHERS, NOTHING)], False),
        (STRANGER, [(USER, READ, STRANGER + 1), (GROUP, NOTHING), (MASK, READ), (OTHERS, NOTHING)], True),
        (STRANGER, [(USER, READ, STRANGER + 1), (GROUP, NOTHING), (MASK, NOTHING), (OTHERS, NOTHING)], False),
    ],
)
def test_an_access_list_exposes_a_key_to_those_whom_it_lets_read(
    place: Path, owner: int, entries: list[tuple[int, ...]], is_exposed: bool
) -> None:
    """The bits of the group are only the mask of the list. `chmod 600`, which the hint says, ends what it gives."""
    path = place / "key"
    path.write_text(KEY)
    os.chown(path, owner, -1)
    set_access_list(path, (OWNER, READ), *entries)
    environ = {"APIMART_CONFIG_OWNER": str(STRANGER)}
    assert (read_private_file(path, environ).exposure() is not None) is is_exposed
    path.chmod(0o600)
    assert read_private_file(path, environ).exposure() is None


def test_what_is_done_is_done_in_the_folder_that_was_looked_at(tmp_path: Path) -> None:
    """The path leads elsewhere by then."""
    folder, elsewhere, aside = tmp_path / "folder", tmp_path / "elsewhere", tmp_path / "aside"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").write_text("precious")
    with found(folder / "file", own_files()) as place:
        folder.rename(aside)
        folder.symlink_to(elsewhere)
        with place.replaced("new", mode=0o600) as file:
            file.write(b"ours")
        os.close(place.open(os.O_RDWR | os.O_CREAT, name="lock"))
        place.remove("nothing")
        place.sync()
    assert ((elsewhere / "file").read_text(), os.listdir(elsewhere)) == ("precious", ["file"])
    assert ((aside / "file").read_text(), sorted(os.listdir(aside))) == ("ours", ["file", "lock"])


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
def test_a_link_that_comes_after_the_look_is_not_followed(tmp_path: Path, flags: int) -> None:
    """Opening fails."""
    path, precious = tmp_path / "file", tmp_path / "precious"
    precious.write_text("precious")
    with found(path, own_files()) as place:
        path.symlink_to(precious)
        with pytest.raises(OSError, match="symbolic links") as refused:
            place.open_safe(flags)
    assert (refused.value.errno, precious.read_text()) == (errno.ELOOP, "precious")


@as_root
def test_a_file_that_is_swapped_before_it_is_opened_is_judged_by_itself(place: Path) -> None:
    """What counts is the file that is open, not the one that had its name."""
    path = place / "config.toml"
    path.write_text("min = 5\n")
    with found(path, own_files()) as at:
        os.chown(path, STRANGER, -1)
        with pytest.raises(UnsafeError) as refused:
            at.open_safe(os.O_RDONLY)
    assert refused.value.owner == STRANGER


@as_root
@pytest.mark.parametrize("step", range(6))
def test_a_folder_that_is_swapped_at_any_step_never_leads_to_another_file(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before each step of the walk in turn, another user puts a link in the place of a folder of theirs."""
    theirs, secret = place / "theirs", place / "secret"
    (theirs / "a" / "b").mkdir(parents=True)
    (secret / "a" / "b").mkdir(parents=True)
    (theirs / "a" / "b" / "config.toml").write_text("unit = 'theirs'\n")
    (secret / "a" / "b" / "config.toml").write_text("unit = 'ours'\n")
    for each in (theirs, theirs / "a", theirs / "a" / "b"):
        os.chown(each, STRANGER, STRANGER)
    opens = os.open
    steps = iter(range(100))

    def swap_then_open(*arguments: Any, **where: Any) -> int:
        if next(steps) == step:
            (theirs / "a").rename(theirs / "aside")
            (theirs / "a").symlink_to(secret / "a")
        return opens(*arguments, **where)

    monkeypatch.setattr(os, "open", swap_then_open)
    path = theirs / "a" / "b" / "config.toml"
    with pytest.raises(ConfigError, match="another user"):
        read_private_file(path)
    monkeypatch.setattr(os, "open", opens)
    for write in (lambda: set_values(path, None, {"unit": "USD"}), lambda: write_textfile(path, "x")):
        with pytest.raises((ConfigError, OutputError)):
            write()
    assert (secret / "a" / "b" / "config.toml").read_text() == "unit = 'ours'\n"
    assert os.listdir(secret / "a" / "b") == ["config.toml"]


def attack(folder: Path, precious: Path) -> None:
    """Put a link in the place of each name, with the permissions of another user."""
    act_as_stranger(
        'cd "$1" && for name in config.toml config.toml.lock .config.toml.new .config.toml.old history.db '
        'history.db-journal history.db.import a.prom; do ln -s "$2" "$name"; ln -sf "$2" "$name"; '
        'mv "$name" aside && ln -s "$2" "$name"; done',
        folder,
        precious,
    )


MOMENTS = {
    "config.toml": ["open", "stat", "fstat"],
    "history.db": ["open", "stat", "fstat"],
    "written.toml": ["open", "stat", "fstat", "replace", "unlink"],
    "a.prom": ["open", "replace"],
    "export.jsonl": ["open", "replace"],
}
"""The calls that using each kind of file makes."""


@as_root
@pytest.mark.parametrize(
    ("kind", "moment"), [(kind, moment) for kind in KINDS for moment in MOMENTS.get(kind.name, [])], ids=str
)
def test_links_that_are_planted_at_any_moment_lead_to_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, moment: str
) -> None:
    """In a folder like /tmp another user, a real one, acts before each call: what the links name stays as it was."""
    shared, precious = place / "shared", place / "precious"
    shared.mkdir()
    shared.chmod(0o1777)
    precious.write_text("precious\n")
    precious.chmod(0o600)
    path = shared / ("config.toml" if kind.is_written else kind.name)
    if not kind.is_output:
        path.write_text(kind.content)
        path.chmod(0o600)
    call = getattr(os, moment)

    def attack_then_call(*arguments: Any, **where: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(os, moment, call)
            attack(shared, precious)
        return call(*arguments, **where)

    with monkeypatch.context() as patch, suppress(*kind.errors, UnsafeError, OSError):
        patch.setattr(os, moment, attack_then_call)
        kind.use(path)
    attack(shared, precious)
    assert (shared / "config.toml.lock").lstat().st_uid in {0, STRANGER}, "the other user can make files there"
    assert (precious.read_text(), owner_and_mode(precious)) == ("precious\n", (0, os.getegid(), 0o600))


def test_a_relative_path_has_the_folders_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked at as well."""
    folder = tmp_path / "open" / "closed"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("")
    monkeypatch.chdir(folder)
    for path in (Path("config.toml"), Path("../closed/config.toml"), Path("./config.toml")):
        assert read_private_file(path).text == ""
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="every user can change the folder"):
        read_private_file(Path("config.toml"))


@pytest.mark.parametrize("target", ["real/file", "../{name}/real/file", "{tmp}/real/file", "./real/../real/file"])
def test_links_lead_where_the_system_says(tmp_path: Path, target: str) -> None:
    """Relative to their folder, absolute, and up again."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("text")
    (tmp_path / "link").symlink_to(target.format(tmp=tmp_path, name=tmp_path.name))
    with found(tmp_path / "link", own_files()) as place:
        assert place.path == Path(os.path.realpath(tmp_path / "real" / "file"))
        os.close(place.open_safe(os.O_RDONLY))


@as_root
@pytest.mark.parametrize("way", ["theirs/a/../a.prom", "theirs/../a.prom", "theirs/a/ours/../../a.prom", "link/a.prom"])
def test_no_output_goes_up_from_a_folder_of_another_user(place: Path, way: str) -> None:
    """That user can move the folder while we are in it: `..` would lead to where it is by then."""
    theirs = place / "theirs"
    (theirs / "a" / "ours").mkdir(parents=True)
    for each in (theirs, theirs / "a"):
        os.chown(each, STRANGER, STRANGER)
    (place / "link").symlink_to("theirs/a/..")
    with pytest.raises(UsageError, match=r"folder .*/theirs belongs to another user, .*, and '\.\.' comes") as refused:
        require_place(place / way)
    assert refused.value.hint == "write the path without '..'"
    with pytest.raises(OutputError, match="belongs to another user"):
        write_textfile(place / way, "new 1\n")
    assert not list(place.rglob("*.prom"))


@as_root
def test_an_output_goes_down_from_a_folder_of_another_user(place: Path) -> None:
    """From there a link of ours may lead to another place, unless that way leads up from their folder."""
    theirs, ours = place / "theirs", place / "theirs" / "ours"
    (place / "real" / "er").mkdir(parents=True)
    ours.mkdir(parents=True)
    os.chown(theirs, STRANGER, STRANGER)
    write_textfile(ours / "a.prom", "new 1\n")
    (ours / "out").symlink_to(f"{place}/theirs/../theirs/ours")
    with pytest.raises(OutputError, match="belongs to another user"):
        write_textfile(ours / "out" / "b.prom", "new 1\n")
    (ours / "real").symlink_to(place / "real" / "er" / "..")
    write_textfile(ours / "real" / "c.prom", "new 1\n")
    assert (place / "real" / "c.prom").exists()


@as_root
@pytest.mark.parametrize("theirs", ["pipe", "link", "nothing"])
@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_an_export_goes_into_no_pipe_of_another_user(place: Path, mode: int, theirs: str) -> None:
    """Nor along a link of theirs, be it to a pipe of ours or to a device: it goes into a pipe of ours."""
    place.chmod(mode)
    pipe, link, device = place / "pipe", place / "link", place / "device"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    link.symlink_to(pipe)
    device.symlink_to("/dev/null")
    for path in {"pipe": [pipe], "link": [link, device], "nothing": []}[theirs]:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for path in (link, device) if theirs == "link" else (pipe, link):
            with nullcontext() if theirs == "nothing" else pytest.raises(OutputError, match="another user"):
                write_pieces(["{}\n"], path)
            assert os.read(reader, 10) == (b"{}\n" if theirs == "nothing" else b"")
    finally:
        os.close(reader)


def test_a_file_that_comes_in_the_place_of_a_pipe_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one of ours that is precious: writing fails."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    look = Place.is_special

    def look_then_swap(self: Place) -> bool:
        is_special = look(self)
        pipe.unlink()
        pipe.write_text("precious")
        return is_special

    monkeypatch.setattr(Place, "is_special", look_then_swap)
    with pytest.raises(OutputError, match="it was swapped for another file meanwhile"):
        write_pieces(["{}\n"], pipe)
    assert pipe.read_text() == "precious"


def test_an_export_goes_to_what_a_shell_has_opened(tmp_path: Path) -> None:
    """A pipe has no path: `/dev/fd/N` stands for it, as for `>(gzip)` of bash."""
    reader, writer = os.pipe()
    write_pieces(["{}\n"], Path(f"/dev/fd/{writer}"))
    os.close(writer)
    with open(reader, encoding="utf-8") as read:
        assert read.read() == "{}\n"


def test_a_chain_of_links_has_an_end(tmp_path: Path) -> None:
    """As many are followed as the system would follow, and no more."""
    (tmp_path / "0").write_text("text")
    for number in range(1, MOST_LINKS + 2):
        (tmp_path / f"{number}").symlink_to(f"{number - 1}")
    assert read_private_file(tmp_path / f"{MOST_LINKS}").text == "text"
    with pytest.raises(ConfigError, match="Too many levels of symbolic links"):
        read_private_file(tmp_path / f"{MOST_LINKS + 1}")


@pytest.mark.parametrize("path", ["/", "/tmp/..", "."])
def test_what_names_no_file_is_an_error(path: str) -> None:
    """Of the system."""
    with pytest.raises(OSError, match="directory"), found(Path(path), own_files()) as place:
        os.close(place.open_safe(os.O_WRONLY))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Whether it is found or refused."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    before = os.listdir("/dev/fd")
    for path in (tmp_path / "file", tmp_path / "open" / "file", tmp_path / "no" / "file", tmp_path / "file" / "file"):
        for find in (found, found_for_output):
            with suppress(UnsafeError, OSError), find(path, own_files()):
                pass
    assert os.listdir("/dev/fd") == before


@as_root
def test_what_cannot_be_written_is_told_before_it_is_needed(place: Path) -> None:
    """A key that is typed in vain, or a balance that is asked for in vain."""
    folder = place / "theirs"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    for require, path in ((require_writable, folder / "config.toml"), (require_place, folder / "a.prom")):
        with pytest.raises(UsageError, match=f"the folder {folder} belongs to another user") as refused:
            require(path)
        assert f"sudo -u '#{STRANGER}' apimart …" in (refused.value.hint or "")
    with pytest.raises(ConfigError, match="belongs to another user"):
        require_writable(folder / "not" / "made" / "config.toml")


@as_root
def test_a_pipe_of_another_user_is_not_opened_for_a_secret(tmp_path: Path) -> None:
    """What is written there leads to that user; a device is what it is."""
    pipe = tmp_path / "keys"
    os.mkfifo(pipe)
    os.chown(pipe, STRANGER, -1)
    with found(pipe, own_files()) as place, pytest.raises(UnsafeError):
        place.open_safe(os.O_RDWR)
    os.chown(pipe, 0, -1)
    for path in (pipe, Path(os.devnull)):
        with found(path, own_files()) as place:
            os.close(place.open_safe(os.O_RDWR))
