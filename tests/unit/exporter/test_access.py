"""Access: whom the token lets in, and which files are no token and no certificate."""

import os
from pathlib import Path

import pytest

from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.exporter.access import Access, AccessFiles, read_access
from support.servers import write_certificate

TOKEN = "Zq7Wm3Xc9Vb1Nk5Lp8Rt"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_without_a_token_everybody_is_let_in() -> None:
    """Whatever they say."""
    assert Access().admits(None)
    assert Access().admits("Bearer x")


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"\ufeff{TOKEN}\r\n"])
def test_the_token_lets_in(tmp_path: Path, text: str) -> None:
    """As editors and commands write it; the word before it in any case."""
    access = read_access(AccessFiles(token=write(tmp_path / "token", text)))
    assert access.admits(f"Bearer {TOKEN}")
    assert access.admits(f"bearer  {TOKEN} ")
    assert TOKEN not in repr(access)


@pytest.mark.parametrize("said", [
    None, "", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x",
    "Bearer é\udc80",
])  # fmt: skip
def test_nothing_else_lets_in(tmp_path: Path, said: str | None) -> None:
    """Not a part of it, nor the token in another form."""
    assert not read_access(AccessFiles(token=write(tmp_path / "token", TOKEN))).admits(said)


@pytest.mark.parametrize("text", ["", "\n", "short", f"{TOKEN} {TOKEN}", f"{TOKEN}é"])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file lets nobody in, rather than everybody; what is in it is not repeated."""
    with pytest.raises(ConfigError) as refused:
        read_access(AccessFiles(token=write(tmp_path / "token", text)))
    assert "holds no token" in refused.value.message
    assert TOKEN not in refused.value.message + (refused.value.hint or "")


@pytest.mark.parametrize(("mode", "told", "hint"), [
    (0o644, "holds the token and other users can read it", "run: chmod 600 "),
    (0o602, "is not used: every user can change it", "run: chmod o-w "),
])  # fmt: skip
def test_a_token_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int, told: str, hint: str) -> None:
    """With the command that mends it."""
    with pytest.raises(ConfigError) as refused:
        read_access(AccessFiles(token=write(tmp_path / "token", TOKEN, mode)))
    assert told in refused.value.message
    assert (refused.value.hint or "").startswith(hint)


def test_the_group_of_a_token_may_read_it(tmp_path: Path) -> None:
    """That is how Kubernetes gives a secret to a process that is not root."""
    assert read_access(AccessFiles(token=write(tmp_path / "token", TOKEN, 0o440))).admits(f"Bearer {TOKEN}")


def test_a_certificate_and_its_key_make_tls(tmp_path: Path) -> None:
    """Of one file, or of two."""
    pem = write_certificate(tmp_path)
    access = read_access(AccessFiles(pem, pem))
    assert access.tls is not None
    assert access.tls.minimum_version.name == "TLSv1_2"


@pytest.mark.parametrize("files", [AccessFiles(certificate=Path("a")), AccessFiles(key=Path("a"))])
def test_a_certificate_without_a_key_is_refused(files: AccessFiles) -> None:
    """And a key without a certificate: nothing is served without TLS where somebody asked for it."""
    with pytest.raises(UsageError) as refused:
        files.check()
    assert "is missing" in refused.value.message


def test_files_that_are_no_certificate_are_refused(tmp_path: Path) -> None:
    """With their names."""
    pem, other = write_certificate(tmp_path), write(tmp_path / "other", "no PEM")
    for certificate, key, told in ((other, pem, "other"), (pem, other, "other"), (pem, tmp_path / "none", "none")):
        with pytest.raises(ConfigError) as refused:
            read_access(AccessFiles(certificate, key))
        assert f"{tmp_path / told}" in refused.value.message


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever reads it can pass for this server."""
    pem = write_certificate(tmp_path)
    os.chmod(pem, 0o644)
    with pytest.raises(ConfigError, match="holds a private key and other users can read it"):
        read_access(AccessFiles(pem, pem))
