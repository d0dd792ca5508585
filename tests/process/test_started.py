"""What apimart starts gets no variable with a key in it: each of them, as the system sees it."""

import ast
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.leaks import find_key
from support.processes import wait_until
from support.programs import need
from support.running import KEY, Run, Write
from support.scripted import balance, gateway
from support.source import modules, read_module

OTHER = "sk-Zz8Yy7Xx6Ww5Vv4Uu3Tt2Ss1Rr0"
STORED = "sk-Bn4Mk9Lp3Qs7Jh5Tr8Wq2Zx6"

HOLDING = {
    "APIMART_API_KEY": KEY, "ALSO": f"Bearer_{KEY}", "OTHER": OTHER, "ALSO_OTHER": f"x{OTHER}",
    "ALSO_STORED": f"token={STORED}",
}  # fmt: skip
"""Variables with the key in use, with that of a profile that is not, and with one that the file holds."""

CONFIG = f"""
[profiles.other]
api_key_env = "OTHER"
[profiles.stored]
api_key = "{STORED}"
[profiles.told]
"""

Program = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write a program that keeps its environment in `seen`, and goes on with a script."""

    def write(script: str = "") -> Path:
        path = tmp_path / "program"
        path.write_text(f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/environ > "{tmp_path}/new"; mv "{tmp_path}/new" '
                        f'"{tmp_path}/seen"\n{script}\n')  # fmt: skip
        path.chmod(0o755)
        return path

    return write


def assert_no_key(seen: Path) -> None:
    text = seen.read_text()
    assert [find_key(text, key) for key in (KEY, OTHER, STORED)] == [[], [], []]
    assert "KEPT=as it is" in text.splitlines()


def test_these_are_all_that_start_something() -> None:
    """Whoever adds one gives it an environment without keys, and a test here."""
    found = {}
    for name, module in modules().items():
        calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and _starts(node)]
        if calls:
            found[name] = [{keyword.arg for keyword in call.keywords} >= {"env"} for call in calls]
    assert found == {"processes.child": [True], "processes.hook": [True, True]}


def _starts(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(ast.Name("subprocess"), name):
            return name in {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}
        case ast.Attribute(ast.Name("os"), name):
            return name.startswith(("exec", "spawn", "posix_spawn", "popen", "system", "startfile"))
        case _:
            return False


def test_a_call_that_starts_something_is_seen() -> None:
    """The test above looks at what it says."""
    source = "subprocess.run([]); os.execv('x', []); os.posix_spawn('x', [], {}); os.getpid()"
    tree = read_module("x", source).tree
    assert sum(isinstance(node, ast.Call) and _starts(node) for node in ast.walk(tree)) == 3


def test_an_alert_command_gets_no_key(run: Run, write_config: Write, program: Program, sandbox: Sandbox) -> None:
    """Not even that of a profile that nobody asked for."""
    path = program()
    write_config(CONFIG)
    env = {**HOLDING, "APIMART_BASE_URL": sandbox.url, "KEPT": "as it is"}
    assert run("check", "--min", "5000", "-q", "--on-low", str(path), env=env).returncode == 3
    assert_no_key(path.with_name("seen"))


def test_a_command_that_prints_a_key_gets_no_other_one(
    run: Run, write_config: Write, program: Program, sandbox: Sandbox
) -> None:
    """It is there to give a key, not to get one."""
    path = program("echo sk-printed-1234567")
    write_config(f'{CONFIG}api_key_command = ["{path}"]\n')
    env = {**HOLDING, "APIMART_BASE_URL": sandbox.url, "KEPT": "as it is"}
    assert run("balance", "-p", "told", env=env).returncode == 0
    assert_no_key(path.with_name("seen"))


def test_a_command_may_make_its_key_of_a_variable(
    run: Run, write_config: Write, program: Program, sandbox: Sandbox
) -> None:
    """Of one that the config file does not name."""
    path = program('echo "$SECRET"')
    write_config(f'[profiles.told]\napi_key_command = ["{path}"]\n')
    env = {"APIMART_BASE_URL": sandbox.url, "SECRET": KEY}
    ended = run("balance", "-p", "told", "--scope", "both", "-o", "value", env=env)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", ["APIMART_API_KEY", "OTHER", "api_key"])
def test_a_refresh_gets_the_key_through_a_pipe(
    run: Run, write_config: Write, environment: dict[str, str], name: str, home: Path
) -> None:
    """And none in its variables, which every process of the user can read; it asks with it all the same."""
    del environment["APIMART_RECORD"]
    write_config(CONFIG)
    keys = {"APIMART_API_KEY": KEY, "OTHER": OTHER, "api_key": STORED}
    profile = {"APIMART_API_KEY": [], "OTHER": ["-p", "other"], "api_key": ["-p", "stored"]}[name]
    asked: list[str] = []
    with gateway(lambda _path, key: (asked.append(key), balance("10.5", delay=20))[1]) as server:
        env = {**HOLDING, "APIMART_BASE_URL": server.url, "KEPT": "as it is"}
        assert run("statusline", *profile, env=env).returncode == 0
        wait_until(lambda: asked)
        [pid] = _refreshes(home)
        seen = home / "seen"
        seen.write_bytes(Path(f"/proc/{pid}/environ").read_bytes().replace(b"\0", b"\n"))
        os.kill(pid, 9)
    assert_no_key(seen)
    assert asked[0].removeprefix("Bearer ") == keys[name]


def _refreshes(home: Path) -> list[int]:
    """The processes in the background that belong to this test: those that have its home folder."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            is_ours = folder.name.isdigit() and f"HOME={home}".encode() in (folder / "environ").read_bytes().split(
                b"\0"
            )
            if is_ours and b"--refresh" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_shell_that_typer_starts_gets_no_key(
    run: Run, write_config: Write, program: Program, environment: Mapping[str, str]
) -> None:
    """It asks bash for its version before it prints the completion for it."""
    path = program(f'exec {need("bash")} "$@"')
    path.rename(path.with_name("bash"))
    write_config(CONFIG)
    search = f"{path.parent}:{environment['PATH']}"
    env = {**HOLDING, "_APIMART_COMPLETE": "source_bash", "KEPT": "as it is", "PATH": search}
    ended = run(env=env)
    assert (ended.returncode, "complete" in ended.stdout) == (0, True)
    assert_no_key(path.with_name("seen"))


@pytest.mark.parametrize("arguments", [("run", "--"), ("sandbox", "--")], ids=" ".join)
def test_a_command_of_the_user_gets_what_it_was_given(
    run: Run, program: Program, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    """It is theirs, and may well be what asks the gateway; only the sandbox puts its own key in the place of ours."""
    path = program()
    limits = ["--max-spend", "5", "--no-settle"] if arguments[0] == "run" else []
    env = {**HOLDING, "APIMART_BASE_URL": sandbox.url}
    assert run(arguments[0], *limits, *arguments[1:], str(path), env=env).returncode == 0
    seen = path.with_name("seen").read_text().splitlines()
    assert {f"{name}={value}" for name, value in HOLDING.items() if name != "APIMART_API_KEY"} <= set(seen)
    assert (f"APIMART_API_KEY={KEY}" in seen) == (arguments[0] == "run")
