"""The service of `watch` in the documentation: systemd reads its file, and the command that it runs is one."""

import configparser
from collections.abc import Mapping
from pathlib import Path

from support.pages import blocks_of
from support.programs import need
from support.running import Call, Write, connected, run_program

NAME = "apimart-watch.service"
[UNIT] = [block.text for block in blocks_of("ini") if block.note == NAME]


def test_systemd_finds_nothing_wrong_in_the_service(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """`systemd-analyze verify` has nothing to say about the file."""
    program = tmp_path / "apimart"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / NAME).write_text(UNIT.replace("%h/.local/bin/apimart", str(program)))
    ended = run_program(
        [need("systemd-analyze"), "--user", "verify", str(tmp_path / NAME)],
        env={**environment, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_service_runs_a_command_that_works(call: Call, sandbox: object, write_config: Write) -> None:
    """With the options that the file has; a reader that goes away must not be the end of it."""
    service = configparser.ConfigParser(interpolation=None)
    service.read_string(UNIT)
    program, *arguments = service["Service"]["ExecStart"].split()
    assert program == "%h/.local/bin/apimart"
    assert service["Service"]["Restart"] == "always"
    write_config('[profiles.work]\napi_key = "sk-work-0123"\n')
    env = {"APIMART_BASE_URL": connected(sandbox)["APIMART_BASE_URL"]}  # type: ignore[arg-type]
    ended = call(*arguments, "--count", "1", env=env)
    assert (ended.code, ended.stdout.count("work/key: 10.5 left")) == (0, 1)
