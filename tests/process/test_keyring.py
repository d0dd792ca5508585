"""Keys in the system's keyring: a real backend, one that refuses, one that hangs, and none at all."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.places import GUARD
from support.running import KEY, KEY_ID, Run, Write

pytestmark = pytest.mark.measured


Backend = Callable[..., Mapping[str, str]]

PLAINTEXT = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}
OTHER_KEY = "sk-other-Hx4Jd8Rw2Ty6Ub"

BACKEND = """
import json, os, time
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

class Keyring(KeyringBackend):
    priority = 1
    path = {vault!r}

    @property
    def kept(self):
        return json.load(open(self.path)) if os.path.exists(self.path) else {{}}

    def keep(self, kept):
        with open(self.path, "w") as file:
            json.dump(kept, file)

    def get_password(self, service, username):
        found = self.kept.get(username)
        {get}
        return found

    def set_password(self, service, username, password):
        {set}
        self.keep(self.kept | {{username: password}})

    def delete_password(self, service, username):
        {delete}
        self.keep({{name: key for name, key in self.kept.items() if name != username}})
"""
"""A keyring in a file; each of its methods may be told to do something else first."""

LOCKED = {"set": "raise KeyringLocked(f'cannot keep {password}')", "delete": "raise KeyringLocked('locked')"}

ABSENT = f"""
import runpy, sys
runpy.run_path({str(GUARD / "sitecustomize.py")!r})
sys.modules["keyring"] = None  # how Python is told that there is no such module
"""


@pytest.fixture
def vault(home: Path) -> Path:
    """Where the plain-text keyring keeps its keys."""
    return home / ".local" / "share" / "python_keyring" / "keyring_pass.cfg"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the made-up keyring keeps its keys."""
    return tmp_path / "kept.json"


@pytest.fixture
def backend(tmp_path: Path, kept: Path) -> Backend:
    """Make a keyring, but for what a statement changes; returns what points a process at it."""

    def make(**statements: str) -> Mapping[str, str]:
        folder = tmp_path / "backend"
        folder.mkdir()
        text = BACKEND.format(vault=str(kept), **{"get": "pass", "set": "pass", "delete": "pass", **statements})
        (folder / "made_up_keyring.py").write_text(text)
        return {"PYTHON_KEYRING_BACKEND": "made_up_keyring.Keyring", "PYTHONPATH": f"{folder}{os.pathsep}{GUARD}"}

    return make


def address(sandbox: Sandbox) -> dict[str, str]:
    return {"APIMART_BASE_URL": sandbox.url}


def test_a_key_lives_in_the_keyring_from_login_to_logout(run: Run, sandbox: Sandbox, config: Path, vault: Path) -> None:
    """The config file says only that it is there; every profile has its own; logout leaves nothing behind."""
    env = {**PLAINTEXT, **address(sandbox)}
    login = run("login", "--keyring", "--profile", "work", input=f"{KEY}\n", env=env)
    assert (login.returncode, "10.5" in login.stdout) == (0, True)
    assert login.stderr == (
        f"apimart: note: the key of profile work (id {KEY_ID}) is kept in the keyring\n"
        "apimart: note: work is the default profile now: it is used when none is named\n"
    )
    assert config.read_text() == 'default_profile = "work"\n\n[profiles.work]\napi_key_keyring = true\n'
    assert "[apimart]\nwork = " in vault.read_text()
    shown = run("balance", "--profile", "work", "--scope", "both", "-o", "value", env=env)
    assert shown.stdout == "work/key\t10.5\nwork/account\t100.0\nwork/spendable\t10.5\n"
    assert "in the keyring, which is not read here" in run("config", "show", "--profile", "work", env=env).stdout
    assert run("config", "check", env=env).stdout == "work  usable  key in the keyring, which is not read here\n"
    logout = run("logout", "--profile", "work", env=env)
    assert (logout.returncode, logout.stderr) == (0, "apimart: note: the key of profile work is forgotten\n")
    assert config.read_text() == 'default_profile = "work"\n\n[profiles.work]\n'
    assert "work" not in vault.read_text()
    again = run("logout", "--profile", "work", env=env)
    assert (again.returncode, "keeps no key" in again.stderr) == (2, True)


def test_a_key_moves_between_the_keyring_and_the_file(run: Run, sandbox: Sandbox, config: Path, vault: Path) -> None:
    """It is in one place at a time: the other one forgets it."""
    env = {**PLAINTEXT, **address(sandbox)}
    in_file, in_keyring = (f"[profiles.default]\n{line}\n" for line in (f'api_key = "{KEY}"', "api_key_keyring = true"))
    for arguments, text in (((), in_file), (("--keyring",), in_keyring), ((), in_file)):
        assert run("login", *arguments, input=KEY, env=env).returncode == 0
        assert config.read_text() == text
        assert (vault.exists() and "default = " in vault.read_text()) is (text == in_keyring)
    assert run("balance", "-o", "value", env=env).stdout == "10.5\n"


def test_a_new_key_takes_the_place_of_the_old_one(run: Run, sandbox: Sandbox, config: Path, vault: Path) -> None:
    """The file needs no change for that."""
    env = {**PLAINTEXT, **address(sandbox)}
    assert run("login", "--keyring", input=KEY, env=env).returncode == 0
    before, kept = config.stat().st_mtime_ns, vault.read_text()
    assert run("login", "--keyring", input=OTHER_KEY, env=env).returncode == 0
    assert config.stat().st_mtime_ns == before
    assert vault.read_text() != kept


@pytest.mark.parametrize(
    ("get", "told", "hint"),
    [
        ("pass", "{keyring} keeps no key", "store one: apimart login --keyring --profile 'my work'"),
        ("raise KeyringLocked(f'no {username}')", "{keyring} refused: KeyringLocked", "unlock it, "),
        ("raise ZeroDivisionError", "{keyring} refused: ZeroDivisionError", "unlock it, "),
        ("return 'sk-two words'", "the API key from {keyring} has white space in it", ""),
        ("return b'sk-bytes'", "{keyring} gave no text", ""),
        ("return type('Odd', (), {'__str__': lambda _: 'sk-odd'})()", "{keyring} gave no text", ""),
        ("time.sleep(60)", "{keyring} gave no key within the time limit", "unlock the keyring and"),
    ],
)
def test_a_keyring_that_gives_no_key_is_an_auth_error(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend, get: str, told: str, hint: str
) -> None:
    """Exit 4 for every question that needed it, and never what the keyring said; nothing is turned into a key."""
    limit = 0.5 if "sleep" in get else 30
    write_config(f'timeout = {limit}\n[profiles."my work"]\napi_key_keyring = true\n')
    arguments = ("check", "--min", "1", "--scope", "both", "-p", "my work", "--json")
    ended = run(*arguments, env={**backend(get=get), **address(sandbox)})
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["exit_code"], document["verdict"]) == (4, 4, "error")
    for reading in document["readings"]:
        assert reading["error"]["message"] == told.format(keyring="the keyring (profile my work)")
        assert reading["error"]["hint"].startswith(hint)
    assert ended.stderr.count("\n") == 2
    assert "two words" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("keyring", "told"),
    [
        ("no.such.Backend", "refused: "),
        ("keyring.backends.fail.Keyring", "refused: "),
        # It throws keys away, without an error.
        ("keyring.backends.null.Keyring", "did not keep the key: what it gives back is not the same\nhint: choose"),
        (None, "refused: KeyringLocked"),
    ],
)
def test_a_keyring_that_refuses_a_key_changes_nothing(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend, keyring: str | None, told: str
) -> None:
    """The profile keeps its old key, in the old place; the error does not repeat what the keyring was given."""
    path = write_config(f'[profiles.default]\napi_key = "{OTHER_KEY}"\n')
    before = path.read_bytes()
    env = {"PYTHON_KEYRING_BACKEND": keyring} if keyring else backend(**LOCKED)
    ended = run("login", "--keyring", input=KEY, env={**env, **address(sandbox)})
    assert (ended.returncode, path.read_bytes()) == (4, before)
    assert f"apimart: error: the keyring (profile default) {told}" in ended.stderr
    assert ended.stderr.endswith("choose a backend: keyring --list-backends\n")
    assert "Zq7W" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "statement",
    [
        {"set": "password = password[:-1]"},
        {"set": "username = username.upper()"},
        {"get": "found = found and found.encode()"},
        {"get": "if found: raise SystemExit(found)"},
    ],
)
def test_no_key_leaves_its_place_for_a_keyring_that_does_not_give_it_back(
    run: Run, sandbox: Sandbox, write_config: Write, kept: Path, backend: Backend, statement: dict[str, str]
) -> None:
    """Something else, under another name, no text, or an error: exit 4, and no piece of the key.

    After `login` the file still has it, and after a rename the old name.
    """
    env = {**backend(**statement), **address(sandbox)}
    for line, before, arguments in (
        (f'api_key = "{KEY}"', {}, ("login", "-p", "work", "--keyring")),
        ("api_key_keyring = true", {"work": KEY}, ("profiles", "rename", "work", "client")),
    ):
        path = write_config(f"[profiles.work]\n{line}\n")
        kept.write_text(json.dumps(before))
        ended = run(*arguments, input=KEY, env=env)
        assert (ended.returncode, path.read_text()) == (4, f"[profiles.work]\n{line}\n")
        assert before.items() <= json.loads(kept.read_text()).items()
        assert "apimart: error: the keyring (profile " in ended.stderr
        assert "is kept in the keyring" not in ended.stderr
        assert "Zq7W" not in ended.stdout + ended.stderr


def test_a_rename_moves_a_key_that_the_keyring_gives_back(
    run: Run, write_config: Write, kept: Path, backend: Backend
) -> None:
    """The same backend without a fault."""
    path = write_config("[profiles.work]\napi_key_keyring = true\n")
    kept.write_text(json.dumps({"work": KEY}))
    assert run("profiles", "rename", "work", "client", env=backend()).returncode == 0
    assert path.read_text() == "[profiles.client]\napi_key_keyring = true\n"
    assert json.loads(kept.read_text()) == {"client": KEY}


@pytest.mark.parametrize(
    ("delete", "told"),
    [("return", "still gives a key after it was told to forget it"), (LOCKED["delete"], "refused: KeyringLocked")],
)
def test_a_key_that_the_keyring_does_not_forget_is_not_said_to_be_forgotten(
    run: Run, write_config: Write, kept: Path, backend: Backend, delete: str, told: str
) -> None:
    """It is locked, or it is several keyrings, one behind the other, and deletes in one of them."""
    path = write_config("[profiles.work]\napi_key_keyring = true\n")
    before = path.read_bytes()
    kept.write_text(json.dumps({"work": KEY}))
    ended = run("logout", "-p", "work", env=backend(delete=delete))
    assert (ended.returncode, path.read_bytes()) == (4, before)
    assert told in ended.stderr


def test_a_locked_keyring_does_not_stop_a_key_from_moving_to_the_file(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend
) -> None:
    """The new key is saved; that the keyring could not forget the old one is a warning."""
    path = write_config("[profiles.default]\napi_key_keyring = true\n")
    ended = run("login", input=KEY, env={**backend(get="return 'sk-old'", **LOCKED), **address(sandbox)})
    assert (ended.returncode, path.read_text()) == (0, f'[profiles.default]\napi_key = "{KEY}"\n')
    told = "the keyring still keeps the old key: the keyring (profile default) refused: KeyringLocked"
    assert f"apimart: warning: {told}\n" in ended.stderr


def test_without_the_extra_it_is_told_what_to_install(
    run: Run, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """Exit 2 for its readings; the others still show, `config check` calls it broken, and no key is asked for."""
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    write_config(f'[profiles.a]\napi_key_keyring = true\n[profiles.b]\napi_key = "{KEY}"\n')
    env = {"PYTHONPATH": str(tmp_path), **address(sandbox)}
    told = "the keyring package is not installed\nhint: install it beside apimart: pip install 'keyring>=25'\n"
    ended = run("balance", "--all-profiles", "-o", "value", env=env)
    assert (ended.returncode, ended.stdout) == (2, "a/key\terror\nb/key\t10.5\n")
    assert ended.stderr == f"apimart: error: a/key: {told}"
    checked = run("config", "check", env=env)
    assert checked.stdout.splitlines()[0] == "a  broken  the keyring package is not installed"
    ended = run("login", "-p", "new", "--keyring", input="no key at all", env=env)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"apimart: error: {told}")
