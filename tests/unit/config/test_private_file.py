"""Config and key files: read whole, with limits, and with a look at who else can read them."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from apimart_cli.errors import ConfigError
from apimart_cli.replacing import MAX_FILE_BYTES, read_private_file

NOT_REGULAR = "name a file; a key can also come from standard input: --api-key -"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a file"


def _mode(path: Path, mode: int) -> Path:
    path.write_bytes(b"text\n")
    path.chmod(mode)
    return path


def _refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_private_file(path)
    return caught.value


def test_a_file_is_read_whole(path: Path) -> None:
    """The text is what was written, line ends included."""
    path.write_bytes("line\r\nä\n\n".encode())
    path.chmod(0o600)
    file = read_private_file(path)
    assert (file.path, file.text, file.exposure()) == (path, "line\r\nä\n\n", None)


def test_a_byte_order_mark_is_no_part_of_the_text(path: Path) -> None:
    """Editors on Windows write one."""
    path.write_bytes(b"\xef\xbb\xbftext")
    assert read_private_file(path).text == "text"


def test_the_largest_file_is_read_and_a_larger_one_is_not(path: Path) -> None:
    """The limit is inclusive, and a file beyond it is refused without being read to its end."""
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read_private_file(path).text) == MAX_FILE_BYTES
    os.truncate(path, 1 << 40)
    error = _refusal(path)
    assert error.message == f"{path} is larger than 1024 KiB"
    assert error.hint == "check that it is the right file"


@pytest.mark.parametrize("content", [b"\xff\xfet\x00", b"caf\xe9", b"\x80", "text".encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_refused(path: Path, content: bytes) -> None:
    """A binary file or one in another encoding is not guessed at, and nothing of it is shown."""
    path.write_bytes(content)
    error = _refusal(path)
    assert error.message == f"{path} is not UTF-8 text"
    assert error.hint == "save it as UTF-8"
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("mode", "is_readable"),
    [(0o600, False), (0o400, False), (0o700, False), (0o640, True), (0o604, True), (0o644, True), (0o444, True)],
)
def test_what_others_can_read_is_told_with_the_command_that_mends_it(path: Path, mode: int, is_readable: bool) -> None:
    """It can be pasted, also where the path has a space in it."""
    exposure = read_private_file(_mode(path, mode)).exposure()
    assert (exposure is not None) is is_readable
    if exposure is not None:
        assert exposure.message == f"{path} holds a key and other users can read it"
        assert exposure.hint == f"run: chmod 600 '{path}'"


@pytest.mark.parametrize(("mode", "bits"), [(0o602, "o"), (0o622, "go"), (0o646, "o"), (0o777, "go")])
def test_what_others_can_change_is_not_read(path: Path, mode: int, bits: str) -> None:
    """Whatever is in it; the command that mends it can be pasted."""
    error = _refusal(_mode(path, mode))
    assert (error.message, error.hint) == (
        f"{path} is not used: every user can change it",
        f"run: chmod {bits}-w '{path}'",
    )


def test_windows_has_no_such_modes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where modes do not tell who can read or change a file, nobody is warned and nothing refused."""
    _mode(path, 0o666)
    with monkeypatch.context() as windows:
        windows.delattr(os, "geteuid")
        file = read_private_file(path)
    assert (file.text, file.exposure()) == ("text\n", None)


def test_a_symbolic_link_is_followed_to_the_file_whose_mode_counts(path: Path, tmp_path: Path) -> None:
    """Dotfile managers link config files; a link itself has no mode that means anything."""
    link = tmp_path / "link"
    link.symlink_to(_mode(path, 0o600))
    assert (read_private_file(link).path, read_private_file(link).exposure()) == (link, None)
    path.chmod(0o644)
    assert read_private_file(link).exposure() is not None


def _missing(path: Path) -> None:
    """Make nothing."""


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(("make", "reason"), [
    (_missing, "No such file or directory"), (_dangling, "No such file or directory"),
    (_loop, "Too many levels of symbolic links"),
])  # fmt: skip
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(
    path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """The system's own reason is told."""
    make(path)
    error = _refusal(path)
    assert error.message == f"cannot read {path}: {reason}"
    assert error.hint == "check the path and its permissions"


def test_a_file_without_permission_is_named_with_the_reason(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the test runs as a user who may read everything."""

    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("apimart_cli.replacing.os.open", refuse)
        assert _refusal(path).message == f"cannot read {path}: Permission denied"


def test_a_path_that_no_file_can_have_is_refused() -> None:
    """A path with a NUL in it is an error like any other, and shown safely."""
    assert _refusal(Path("a\0b")).message == "cannot read a\\x00b: no file has a NUL in its name"


def test_an_error_of_the_system_without_words_is_told_by_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some errors have no `strerror`."""

    def refuse(*_arguments: object) -> int:
        raise OSError("no words")

    with monkeypatch.context() as patched:
        patched.setattr("apimart_cli.replacing.os.open", refuse)
        assert _refusal(path).message == f"cannot read {path}: no words"


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [_folder, _fifo])
def test_what_is_not_a_regular_file_is_refused_at_once(path: Path, make: Callable[[Path], None]) -> None:
    """A pipe that nobody writes to must not be waited for; the hint says how to pass a key without a file."""
    make(path)
    error = _refusal(path)
    assert error.message == f"{path} is not a regular file"
    assert error.hint == NOT_REGULAR


def test_a_device_is_refused() -> None:
    """A source of endless bytes is not read."""
    assert _refusal(Path("/dev/zero")).message == "/dev/zero is not a regular file"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """The system refuses to open one."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))
        assert _refusal(path).message == f"cannot read {path}: No such device or address"


def test_the_null_device_is_an_empty_file() -> None:
    """`APIMART_CONFIG=/dev/null` is how one says `no config file`."""
    file = read_private_file(Path(os.devnull))
    assert file.text == ""


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    """Reading, and refusing to read, both give back what they opened."""
    before = len(os.listdir("/dev/fd"))
    _mode(path, 0o600)
    for _ in range(50):
        read_private_file(path)
        with pytest.raises(ConfigError):
            read_private_file(tmp_path)
    assert len(os.listdir("/dev/fd")) <= before + 1
