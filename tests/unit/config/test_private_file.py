"""Config and key files: read whole, with limits, and with a look at who else can read them."""

import os
import socket
from pathlib import Path

import pytest

from apimart_cli.errors import ConfigError
from apimart_cli.replacing import MAX_FILE_BYTES, read_private_file


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
    """The text is what was written, line ends included; a byte order mark, as of Windows, is no part of it."""
    path.write_bytes("\ufeffline\r\nä\n\n".encode())
    path.chmod(0o600)
    file = read_private_file(path)
    assert (file.path, file.text, file.exposure()) == (path, "line\r\nä\n\n", None)


def test_the_largest_file_is_read_and_a_larger_one_is_not(path: Path) -> None:
    """The limit is inclusive, and a file beyond it is refused without being read to its end."""
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read_private_file(path).text) == MAX_FILE_BYTES
    os.truncate(path, 1 << 40)
    error = _refusal(path)
    assert error.message == f"{path} is larger than 1024 KiB"
    assert error.hint == "check that it is the right file"


@pytest.mark.parametrize("content", [b"caf\xe9", b"\x80", "text".encode("utf-16")])
def test_a_file_that_is_not_utf_8_is_refused(path: Path, content: bytes) -> None:
    """A binary file or one in another encoding is not guessed at, and nothing of it is shown."""
    path.write_bytes(content)
    error = _refusal(path)
    assert (error.message, error.hint) == (f"{path} is not UTF-8 text", "save it as UTF-8")
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("mode", "is_readable"),
    [(0o600, False), (0o700, False), (0o640, True), (0o604, True)],
)
def test_what_others_can_read_is_told_with_the_command_that_mends_it(path: Path, mode: int, is_readable: bool) -> None:
    """It can be pasted, also where the path has a space in it."""
    exposure = read_private_file(_mode(path, mode)).exposure()
    assert (exposure is not None) is is_readable
    if exposure is not None:
        assert exposure.message == f"{path} holds a key and other users can read it"
        assert exposure.hint == f"run: chmod 600 '{path}'"


@pytest.mark.parametrize(("mode", "bits"), [(0o602, "o"), (0o646, "o"), (0o777, "go")])
def test_what_others_can_change_is_not_read(path: Path, mode: int, bits: str) -> None:
    """Whatever is in it; the command that mends it can be pasted."""
    error = _refusal(_mode(path, mode))
    assert error.message == f"{path} is not used: every user can change it"
    assert error.hint == f"run: chmod {bits}-w '{path}'"


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
    file = read_private_file(link)
    assert (file.path, file.exposure()) == (link, None)
    path.chmod(0o644)
    assert read_private_file(link).exposure() is not None


@pytest.mark.parametrize(
    ("target", "reason"), [("gone", "No such file or directory"), ("a file", "Too many levels of symbolic links")]
)
def test_a_file_that_cannot_be_opened_is_named_with_the_reason(path: Path, target: str, reason: str) -> None:
    """Of a link to nothing and of a loop; the system's own reason is told."""
    path.symlink_to(path.with_name(target))
    error = _refusal(path)
    assert error.message == f"cannot read {path}: {reason}"
    assert error.hint == "check the path and its permissions"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(13, "Permission denied"), "Permission denied"), (OSError("no words"), "no words")],
)
def test_an_error_of_the_system_is_told_in_its_words(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    """Some errors have no `strerror`; a user who may read everything is refused here, too."""

    def refuse(*_arguments: object) -> int:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("apimart_cli.replacing.os.open", refuse)
        assert _refusal(path).message == f"cannot read {path}: {reason}"


def test_a_path_that_no_file_can_have_is_refused() -> None:
    """A path with a NUL in it is an error like any other, and shown safely."""
    assert _refusal(Path("a\0b")).message == "cannot read a\\x00b: no file has a NUL in its name"


@pytest.mark.parametrize("kind", ["folder", "fifo", "/dev/zero"])
def test_what_is_not_a_regular_file_is_refused_at_once(path: Path, kind: str) -> None:
    """A pipe is not waited for, and a device without an end is not read; the hint says how to pass a key otherwise."""
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path = Path(kind)
    error = _refusal(path)
    assert error.message == f"{path} is not a regular file"
    assert error.hint == "name a file; a key can also come from standard input: --api-key -"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """The system refuses to open one."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))
        assert _refusal(path).message == f"cannot read {path}: No such device or address"


def test_the_null_device_is_an_empty_file() -> None:
    """`APIMART_CONFIG=/dev/null` is how one says `no config file`."""
    assert read_private_file(Path(os.devnull)).text == ""


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    """Reading, and refusing to read, both give back what they opened."""
    before = len(os.listdir("/dev/fd"))
    _mode(path, 0o600)
    for _ in range(50):
        read_private_file(path)
        with pytest.raises(ConfigError):
            read_private_file(tmp_path)
    assert len(os.listdir("/dev/fd")) <= before + 1
