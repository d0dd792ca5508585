"""Failures that are the same are told once, with the names of those that they happened to."""

import json
from pathlib import Path

import pytest

from apimart_cli.errors import ApimartError, AuthError
from apimart_cli.readings.telling import write_failures
from support.readings import failed, reading
from support.running import KEY, Call

LOST = AuthError("lost", "look for it")
GONE = AuthError("gone", "look for it")
BROKEN = AuthError("lost", "mend it")


@pytest.mark.parametrize(("failures", "told"), [
    ([LOST], ["apimart: error: lost", "hint: look for it"]),
    ([LOST, None], ["apimart: error: p1/key: lost", "hint: look for it"]),
    ([LOST, LOST], ["apimart: error: p1/key, p2/key: lost", "hint: look for it"]),
    ([LOST] * 3, ["apimart: error: p1/key, p2/key, p3/key: lost", "hint: look for it"]),
    ([LOST] * 4, ["apimart: error: p1/key, p2/key and 2 more: lost", "hint: look for it"]),
    ([LOST] * 1000, ["apimart: error: p1/key, p2/key and 998 more: lost", "hint: look for it"]),
    ([LOST, GONE, LOST], ["apimart: error: p1/key, p3/key: lost", "apimart: error: p2/key: gone", "hint: look for it"]),
    ([LOST, BROKEN],
     ["apimart: error: p1/key: lost", "hint: look for it", "apimart: error: p2/key: lost", "hint: mend it"]),
    ([None, None], []),
])  # fmt: skip
def test_the_same_failures_are_told_once(
    capsys: pytest.CaptureFixture[str], failures: list[ApimartError | None], told: list[str]
) -> None:
    """By message and hint, in the order of the first; up to three names stand there, and of more the first two."""
    write_failures(
        [
            reading(profile=f"p{number}") if error is None else failed(error, f"p{number}")
            for number, error in enumerate(failures, start=1)
        ]
    )
    assert capsys.readouterr().err.splitlines() == told


def test_many_keys_of_one_unreachable_gateway_are_one_message(call: Call, tmp_path: Path) -> None:
    """And one hint, for `balance` and `check`; the table has a row and JSON an object for each."""
    config = tmp_path / "many.toml"
    names = [f"p{number}" for number in range(1, 41)]
    config.write_text("".join(f'[profiles.{name}]\napi_key = "{KEY}{name}"\n' for name in names))
    config.chmod(0o600)
    env = {"APIMART_CONFIG": str(config), "APIMART_BASE_URL": "http://127.0.0.1:9", "APIMART_TIMEOUT": "20"}
    for arguments, scope in ((["balance"], "key"), (["check", "--min", "5"], "spendable")):
        ended = call(*arguments, "--all-profiles", env=env)
        error, hint = ended.stderr.splitlines()
        assert ended.code == 5
        assert error.startswith(f"apimart: error: p1/{scope}, p2/{scope} and 38 more: could not reach 127.0.0.1:9: ")
        assert hint.startswith("hint: check the network")
        assert len(ended.stdout.splitlines()) == (42 if arguments == ["balance"] else 0)
    documents = call("balance", "--all-profiles", "--json", env=env).stdout.splitlines()
    assert [json.loads(line)["profile"] for line in documents] == names
    assert all("error" in json.loads(line) for line in documents)
