"""How a library is added: with the program that made the environment, so that the hint, when followed, helps."""

import sys
from pathlib import Path

import pytest

from apimart_cli.installing import command_to_add


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment that apimart is installed in."""
    folder = tmp_path / "apimart-cli"
    folder.mkdir()
    monkeypatch.setattr(sys, "prefix", str(folder))
    return folder


@pytest.mark.usefixtures("prefix")
def test_an_environment_of_ones_own_takes_pip() -> None:
    """The usual way."""
    assert command_to_add("keyring>=25") == "pip install 'keyring>=25'"


@pytest.mark.parametrize("name", ["apimart-cli", "apimart-cli-test"])
def test_an_environment_of_pipx_takes_inject(prefix: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """By the name of the environment, which a suffix changes."""
    folder = prefix.rename(prefix.with_name(name))
    (folder / "pipx_metadata.json").write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(folder))
    assert command_to_add("keyring>=25") == f"pipx inject {name} 'keyring>=25'"


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ('{ name = "apimart-cli" }', "apimart-cli"),
        ('{ name = "apimart-cli", directory = "/a b" }', "'/a b'"),
        ('{ name = "apimart-cli", editable = "/src" }', "/src"),
        ('{ name = "apimart-cli", git = "https://host/x.git" }', "git+https://host/x.git"),
        ('{ name = "keyring" }, { name = "apimart-cli", path = "/x.whl" }', "/x.whl"),
        ('"text"', "apimart-cli"),
    ],
)
def test_an_environment_of_uv_is_made_anew_with_what_it_had(prefix: Path, requirements: str, words: str) -> None:
    """From the same place, and with what was added before, as uv forgets that otherwise."""
    (prefix / "uv-receipt.toml").write_text(f"[tool]\nrequirements = [{requirements}]\nentrypoints = []\n")
    before = "--with keyring " if "keyring" in requirements else ""
    assert command_to_add("socks>=1") == f"uv tool install {before}--with 'socks>=1' {words}"


def test_a_receipt_that_is_none_gives_the_usual_name(prefix: Path) -> None:
    """Half a hint is better than an error in the place of one."""
    (prefix / "uv-receipt.toml").write_bytes(b"\xff = [")
    assert command_to_add("keyring") == "uv tool install --with keyring apimart-cli"
