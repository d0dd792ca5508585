"""Many hostile answers at once: what one of them costs may not be multiplied beyond the time limit."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from hostile.catalogue import AUTH, BACKSLASHES, BAD, BELOW, PASS, UNAVAILABLE, balance, http, refused, zipped
from support.fault_server import FaultServer, stall
from support.forked import Forks
from support.leaks import find_key
from support.processes import wait_until
from support.running import Run, Write

PROFILES = 50
TIMEOUT = {True: 1.0, False: 5.0}
"""Seconds for all answers, by whether it is that limit which ends them: a busy machine reads others for a while."""
SLACK = 0.5
"""Seconds that the end of a process may take beside that."""
COMPUTED = 2.0
"""Seconds of a processor that it may take in all, however busy the machine is: the worst answers take 0.8."""

HOSTILE = {
    "headers that are slow to parse": (PASS, http(balance(), f'Content-Type: multipart/mixed; a="{BACKSLASHES}";b')),
    "402 after such headers": (BELOW, http("{}", f'Content-Type: a/b; a="{BACKSLASHES}";b', status="402 Pay")),
    "401 after such headers": (AUTH, http("{}", f'Content-Disposition: a; b="{BACKSLASHES}"', status="401 No")),
    "a message of 64 KiB": (AUTH, refused("401 No", "x" * 65_000)),
    "a message of 64 KiB of escapes": (AUTH, refused("401 No", "%25%32&amp;#65;" * 4_000)),
    "a message of 64 KiB in gzip": (BAD, http(zipped("y" * 65_000), "Content-Encoding: gzip")),
    "64 KiB of numbers": (PASS, http(balance(more=',"x":[' + "1," * 32_000 + "1]"))),
    "64 KiB of names": (PASS, http(balance(more="".join(f',"n{number}":0' for number in range(6_000))))),
    "64 KiB of brackets": (BAD, http(balance(more=',"x":' + "[" * 32_000 + "]" * 32_000))),
    "a place of 60 KiB": (BAD, http("", f"Location: https://gateway.example/{'%41' * 20_000}", status="302 No")),
    "a wish for a pause of 60 KiB": (UNAVAILABLE, http("{}", f"Retry-After: {'1 Jan ' * 10_000}", status="503 No")),
    "silence": (UNAVAILABLE, stall),
}


@pytest.fixture
def profiles(write_config: Write) -> None:
    """Fifty profiles, each with a key of its own."""
    write_config("".join(f'[profiles.p{number}]\napi_key = "sk-{number:020}"\n' for number in range(PROFILES)))


def computed(forks: Forks) -> float:
    """Return the seconds of a processor that commands have taken so far, as the processes know that forked them."""
    ticks = 0
    for server in forks._servers.values():
        # What comes after the name begins with the third field; these are `cutime` and `cstime`.
        ticks += sum(map(int, Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[13:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.usefixtures("profiles")
def test_fifty_hostile_answers_stay_inside_the_clock(run: Run, forks: Forks, name: str) -> None:
    """The command ends half a second after `--timeout` at the most, and with the code of the answers."""
    code, play = HOSTILE[name]
    timeout = TIMEOUT[code == UNAVAILABLE]
    before = computed(forks)
    with FaultServer([[play]]) as server:
        env = {"APIMART_BASE_URL": server.url}
        ended = run("check", "--all-profiles", "--min", "5", "-q", "--timeout", f"{timeout:g}", env=env)
        assert server.since_contact is not None
        took = server.since_contact.took()
    assert ended.returncode == code, ended.stderr[:500]
    took.assert_within(timeout + 0.5 + SLACK)
    wait_until(lambda: computed(forks) > before)
    assert computed(forks) - before < COMPUTED


def test_a_gateway_that_repeats_the_key_of_another_profile(
    run: Run, write_config: Write, environment: Mapping[str, str]
) -> None:
    """Asked with one key it answers with another: neither is shown, whichever was asked for first."""
    first, second = "sk-First-Zq7Wm3Xc9Vb1", "sk-Second-Nk5Lp8Rt2Yh6"
    write_config(f'[profiles.a]\napi_key = "{first}"\n[profiles.b]\napi_key = "{second}"\n')
    for said in (first, second, second.removeprefix("sk-"), first[3:15]):
        with FaultServer([[refused("401 No", f"no such thing: {said}")]]) as server:
            ended = run("balance", "--all-profiles", "--json", env={"APIMART_BASE_URL": server.url})
        assert ended.returncode == AUTH
        assert all(f"apimart: error: {name}/key: " in ended.stderr for name in ("a", "b"))
        assert "(withheld: it repeats the API key)" in ended.stderr
        assert find_key(ended.stdout + ended.stderr, first) == find_key(ended.stdout + ended.stderr, second) == []
