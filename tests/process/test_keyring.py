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


NULL = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}


@pytest.fixture
def without_keyring(tmp_path: Path) -> Mapping[str, str]:
    """What makes a process run as where the extra is not installed."""
    folder = tmp_path / "absent"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ABSENT)
    return {"PYTHONPATH": str(folder)}


def address(sandbox: Sandbox) -> dict[str, str]:
    return {"APIMART_BASE_URL": sandbox.url}


def test_a_key_lives_in_the_keyring_from_login_to_logout(run: Run, sandbox: Sandbox, config: Path, vault: Path) -> None:
    """The config file says only that it is there; every profile has its own; logout leaves nothing behind."""
    env = {**PLAINTEXT, **address(sandbox)}
    login = run("login", "--keyring", "--profile", "work", input=f"{KEY}\n", env=env)
    assert (login.returncode, login.stderr) == (
        0,
        f"apimart: note: the key of profile work (id {KEY_ID}) is kept in the keyring\n"
        "apimart: note: work is the default profile now: it is used when none is named\n",
    )
    assert "10.5" in login.stdout
    assert config.read_text() == 'default_profile = "work"\n\n[profiles.work]\napi_key_keyring = true\n'
    assert "[apimart]\nwork = " in vault.read_text()

    shown = run("balance", "--profile", "work", "--scope", "both", "-o", "value", env=env)
    assert shown.stdout == "work/key\t10.5\nwork/account\t100.0\nwork/spendable\t10.5\n"
    assert (
        run("config", "show", "--profile", "work", env=env).stdout.count("in the keyring, which is not read here") == 1
    )
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


def test_a_keyring_without_the_key_is_an_auth_error(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """The hint is a command that can be pasted."""
    write_config('[profiles."my work"]\napi_key_keyring = true\n')
    ended = run("balance", "--profile", "my work", env={**PLAINTEXT, **address(sandbox)})
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr == (
        "apimart: error: the keyring (profile my work) keeps no key\n"
        "hint: store one: apimart login --keyring --profile 'my work'\n"
    )


@pytest.mark.parametrize(
    "get", ["raise KeyringLocked(f'no {username}')", "raise ZeroDivisionError", "return 'sk-two words'"]
)
def test_a_keyring_that_gives_no_key_is_an_auth_error(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend, get: str
) -> None:
    """Locked, broken or wrong: exit 4 for every question that needed it, and never what the keyring said."""
    write_config("[profiles.work]\napi_key_keyring = true\n")
    arguments = ("check", "--min", "1", "--scope", "both", "-p", "work", "--json")
    ended = run(*arguments, env={**backend(get=get), **address(sandbox)})
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["exit_code"], document["verdict"]) == (4, 4, "error")
    messages = {reading["error"]["message"] for reading in document["readings"]}
    assert len(messages) == 1
    assert "the keyring (profile work)" in messages.pop()
    assert "two words" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_keyring_that_hangs_ends_with_the_time_limit(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend
) -> None:
    """A dialogue that nobody answers does not hold up a pipeline: `run` waits less than a minute."""
    write_config("timeout = 0.5\n[profiles.work]\napi_key_keyring = true\n")
    ended = run("balance", "-p", "work", env={**backend(get="time.sleep(60)"), **address(sandbox)})
    assert ended.returncode == 4
    assert ended.stderr == (
        "apimart: error: the keyring (profile work) gave no key within the time limit\n"
        "hint: unlock the keyring and try again\n"
    )


@pytest.mark.parametrize("name", ["no.such.Backend", "keyring.backends.fail.Keyring"])
def test_a_machine_without_a_keyring_is_told_so(run: Run, sandbox: Sandbox, config: Path, name: str) -> None:
    """The key is not saved, and not repeated; the hint names the choices."""
    env = {"PYTHON_KEYRING_BACKEND": name, **address(sandbox)}
    ended = run("login", "--keyring", input=KEY, env=env)
    assert ended.returncode == 4
    assert "apimart: error: the keyring (profile default) refused: " in ended.stderr
    assert "hint: unlock it, or choose a backend: keyring --list-backends\n" in ended.stderr
    assert "Zq7W" not in ended.stdout + ended.stderr
    assert not config.exists()


def test_a_keyring_that_refuses_a_key_changes_nothing(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend
) -> None:
    """The profile keeps its old key, in the old place; the error does not repeat what the keyring was given."""
    path = write_config(f'[profiles.default]\napi_key = "{OTHER_KEY}"\n')
    before = path.read_bytes()
    ended = run("login", "--keyring", input=KEY, env={**backend(**LOCKED), **address(sandbox)})
    assert (ended.returncode, path.read_bytes()) == (4, before)
    assert "the keyring (profile default) refused: KeyringLocked" in ended.stderr
    assert "Zq7W" not in ended.stdout + ended.stderr


KEEPS_NOT = [
    {"set": "password = password[:-1]"},
    {"set": "username = username.upper()"},
    {"get": "found = found and found.encode()"},
    {"get": "if found: raise SystemExit(found)"},
]


def test_the_backend_that_keeps_nothing_does_not_get_the_key_out_of_the_file(
    run: Run, sandbox: Sandbox, write_config: Write
) -> None:
    """The null backend takes keys and throws them away, without an error: the one in the file is the only one."""
    path = write_config(f'[profiles.default]\napi_key = "{KEY}"\n')
    before = path.read_bytes()
    ended = run("login", "--keyring", input=KEY, env={**NULL, **address(sandbox)})
    assert (ended.returncode, path.read_bytes()) == (4, before)
    assert ended.stderr.endswith(
        "apimart: error: the keyring (profile default) did not keep the key: what it gives back is not the same\n"
        "hint: choose a backend: keyring --list-backends\n"
    )
    assert run("balance", "-o", "value", env={**NULL, **address(sandbox)}).stdout == "10.5\n"


@pytest.mark.parametrize("statement", KEEPS_NOT)
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


@pytest.mark.parametrize("given", ["b'sk-bytes'", "12345678", "type('Odd', (), {'__str__': lambda _: 'sk-odd'})()"])
def test_what_is_no_text_is_no_key(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend, given: str
) -> None:
    """Nothing is turned into a key: it would be sent."""
    write_config("[profiles.work]\napi_key_keyring = true\n")
    ended = run("balance", "-p", "work", env={**backend(get=f"return {given}"), **address(sandbox)})
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.startswith("apimart: error: the keyring (profile work) gave no text\n")


def test_a_locked_keyring_does_not_stop_a_key_from_moving_to_the_file(
    run: Run, sandbox: Sandbox, write_config: Write, backend: Backend
) -> None:
    """The new key is saved; that the keyring could not forget the old one is a warning."""
    path = write_config("[profiles.default]\napi_key_keyring = true\n")
    ended = run("login", input=KEY, env={**backend(get="return 'sk-old'", **LOCKED), **address(sandbox)})
    assert (ended.returncode, path.read_text()) == (0, f'[profiles.default]\napi_key = "{KEY}"\n')
    told = "the keyring still keeps the old key: the keyring (profile default) refused: KeyringLocked"
    assert f"apimart: warning: {told}\n" in ended.stderr


def test_without_the_extra_a_login_ends_before_the_key_is_asked_for(
    run: Run, sandbox: Sandbox, config: Path, without_keyring: Mapping[str, str]
) -> None:
    """Exit 2, and what to install; nothing is asked, of the person or of the gateway."""
    ended = run("login", "--keyring", input="no key at all", env={**without_keyring, **address(sandbox)})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "apimart: error: the keyring package is not installed\n"
        "hint: install it beside apimart: pip install 'keyring>=25'\n"
    )
    assert not config.exists()


def test_without_the_extra_a_profile_of_the_keyring_is_told_what_to_install(
    run: Run, sandbox: Sandbox, write_config: Write, without_keyring: Mapping[str, str]
) -> None:
    """Exit 2 for its readings; the other profiles still show; `config check` calls it broken."""
    write_config(f'[profiles.a]\napi_key_keyring = true\n[profiles.b]\napi_key = "{KEY}"\n')
    env = {**without_keyring, **address(sandbox)}
    ended = run("balance", "--all-profiles", "-o", "value", env=env)
    assert (ended.returncode, ended.stdout) == (2, "a/key\terror\nb/key\t10.5\n")
    assert ended.stderr == (
        "apimart: error: a/key: the keyring package is not installed\n"
        "hint: install it beside apimart: pip install 'keyring>=25'\n"
    )
    checked = run("config", "check", env=env)
    assert checked.stdout.splitlines()[0] == "a  broken  the keyring package is not installed"
    assert run("balance", "--profile", "b", env=env).returncode == 0
