"""`exporter` as a process: from its start to its end, while gateways fail, files change and clients misbehave."""

import gzip
import http.client
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.exporters import Start
from support.leaks import find_key
from support.processes import wait_until
from support.programs import need
from support.running import KEY, Run, Serve, Write, connected, run_program
from support.scripted import balance, gateway, refusal

pytestmark = pytest.mark.measured

QUICK = ("--interval", "0.2")
WORK = '{profile="work",scope="key",unit=""}'


def config_of(*names: str, **urls: str) -> str:
    """A config file with these profiles, each with a key of its own; `work="http://..."` names a gateway as well."""
    tables = [f'[profiles."{name}"]\napi_key = "sk-{name}-Zq7Wm3Xc9Vb1"\n' for name in names]
    tables += [
        f'[profiles.{name}]\napi_key = "sk-{name}-Zq7Wm3Xc9Vb1"\nbase_url = "{url}"\n' for name, url in urls.items()
    ]
    return "\n".join(tables)


def test_before_the_first_round_it_is_healthy_and_not_ready_and_tells_of_no_key(start: Start) -> None:
    """No alert fires at a start; with the first answer all of it is there."""
    let_go = threading.Event()

    def answer(_path: str, _key: str) -> Any:
        let_go.wait(30)
        return balance("10.5", "2.3")

    with gateway(answer) as server:
        exporter = start(env={"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "APIMART_TIMEOUT": "60"})
        wait_until(lambda: bool(server.asked))
        assert [exporter.get(path).status for path in ("/-/healthy", "/-/ready")] == [200, 503]
        told = [line for line in exporter.get().body.splitlines() if line[0] != "#"]
        assert told == ['apimart_build_info{version="0.1.0"} 1.0']
        let_go.set()
        exporter.wait_until_ready()
        assert exporter.samples("remaining_balance") == {'{profile="default",scope="key",unit=""}': 10.5}
        assert exporter.samples("reading_success") == {'{profile="default",scope="key"}': 1}


def test_what_there_is_to_read(start: Start) -> None:
    """The page, whether it is well, and nothing else; no question is repeated, and no scrape asks the gateway."""
    with gateway(lambda _path, _key: balance("1")) as server:
        exporter = start("--interval", "1h", env={"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY})
        exporter.wait_until_ready()
        [stamp] = exporter.samples("reading_timestamp_seconds").values()
        assert abs(time.time() - stamp) < 60
        page = exporter.get()
        assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store"
        missing = exporter.get("/<script>")
        assert (missing.status, "script" in missing.body) == (404, False)
        packed = http.client.HTTPConnection("127.0.0.1", exporter.port)
        packed.request("GET", "/metrics?x=y", headers={"Accept-Encoding": "deflate, gzip"})
        answer = packed.getresponse()
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"apimart_remaining_balance" in gzip.decompress(answer.read())
        for method, status, has_body in (("HEAD", 200, False), ("POST", 405, True), ("BREW", 405, True)):
            other = http.client.HTTPConnection("127.0.0.1", exporter.port)
            other.request(method, "/metrics")
            refused = other.getresponse()
            assert (refused.status, bool(refused.read())) == (status, has_body)
        assert len(server.asked) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(start: Start, sandbox: Sandbox, number: int, code: int, tmp_path: Path) -> None:
    """What was read is in the ledger, and the port is free."""
    history = tmp_path / "history.db"
    exporter = start(env={**connected(sandbox), "APIMART_HISTORY": str(history), "APIMART_RECORD": "1"})
    exporter.wait_until_ready()
    port = exporter.port
    assert exporter.end(number) == code
    assert history.exists()
    assert exporter.told.count("\n") == 1
    assert re.match(r"20[0-9-]{8}T[0-9:]{8}Z apimart: note: listening on ", exporter.told)
    start("--listen", f"127.0.0.1:{port}", env=connected(sandbox))


def test_an_address_that_is_taken_or_unprotected_is_a_usage_error(run: Run, sandbox: Sandbox) -> None:
    """Though another one could be listened on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("exporter", "--listen", address, env=connected(sandbox))
    assert ended.returncode == 2
    assert f"apimart: error: --listen: cannot listen on {address}: address already in use\nhint: " in ended.stderr
    ended = run("exporter", "--listen", "127.0.0.1:0", "--listen", "[::]:0", env=connected(sandbox))
    assert (ended.returncode, "others can reach [::]:0" in ended.stderr) == (2, True)


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_several_addresses_show_the_same(start: Start, sandbox: Sandbox) -> None:
    """A port alone is every address of both families, and each `--listen` is one more place."""
    options = ("--listen", "127.0.0.1:0", "--listen", ":0", "--insecure")
    exporter = start(*options, env=connected(sandbox))
    exporter.wait_until_ready()
    urls = re.findall(r"http://\S+?:[0-9]+(?=/metrics)", exporter.told)
    assert len(urls) == 3, exporter.told
    pages = set()
    for url in (urls[0], urls[1].replace("0.0.0.0", "127.0.0.1"), urls[2].replace("[::]", "[::1]")):
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            pages.add(answer.read())
    assert len(pages) == 1
    # Names that are not ours are refused at each of them.
    asked = urllib.request.Request(f"{urls[2].replace('[::]', '[::1]')}/metrics", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(asked, timeout=30)


def test_the_config_file_is_read_again_when_told_so(start: Start, sandbox: Sandbox, write_config: Write) -> None:
    """What is new is asked, what went leaves the page, a threshold is told at once; a broken file changes nothing."""
    top = f'base_url = "{sandbox.url}"\n'
    write_config(top + config_of("work", "home"))
    exporter = start(*QUICK)
    exporter.wait_until_ready()
    assert len(exporter.samples("reading_success")) == 2
    write_config(top + "min = 7\n" + config_of("work", "new"))
    exporter.reload()
    exporter.wait_until_told("read again, asking for 2 profiles")
    wait_until(lambda: set(exporter.samples("min_balance")) == {WORK, WORK.replace("work", "new")})
    assert set(exporter.samples("min_balance").values()) == {7}
    write_config("[profiles.work\n")
    exporter.reload()
    exporter.wait_until_told("warning: nothing was changed: ")
    assert "config.toml" in exporter.told
    # As who writes a file anew leaves it for a moment.
    write_config(top)
    exporter.reload()
    exporter.wait_until_told("warning: nothing was changed: there is no API key")
    before = exporter.samples("reading_timestamp_seconds")
    wait_until(lambda: exporter.samples("reading_timestamp_seconds") != before)
    assert set(exporter.samples("min_balance")) == {WORK, WORK.replace("work", "new")}
    write_config(top + config_of("work"))
    exporter.reload()
    exporter.wait_until_told("read again, asking for 1 profile\n")
    wait_until(lambda: len(exporter.samples("reading_success")) == 1)


def test_a_profile_that_names_another_gateway_is_told_of_when_that_has_answered(
    start: Start, sandbox: Sandbox, serve: Serve, write_config: Write
) -> None:
    """What the old one said is no answer of the new one."""
    write_config(config_of(work=sandbox.url, home=sandbox.url))
    exporter = start("--interval", "1h")
    exporter.wait_until_ready()
    write_config("timeout = 60\n" + config_of(work=serve(fault=Fault.TIMEOUT).url, home=sandbox.url))
    exporter.reload()
    wait_until(lambda: len(exporter.samples("remaining_balance")) == 1)
    assert list(exporter.samples("reading_success")) == ['{profile="home",scope="key"}']


def test_shards_share_the_profiles(start: Start, write_config: Write, tmp_path: Path) -> None:
    """Each is told by one of them, which asks with its key; the keys of the others are not even read."""
    names = [f"team-{number}" for number in range(12)]
    with gateway(lambda _path, _key: balance("1")) as server:
        tables = [f'[profiles.{name}]\napi_key_file = "{tmp_path / name}"\n' for name in names]
        for name in names:
            (tmp_path / name).write_text(f"sk-{name}-Zq7Wm3Xc9Vb1")
            (tmp_path / name).chmod(0o600)
        write_config(f'base_url = "{server.url}"\n' + "".join(tables))
        told: list[set[str]] = []
        for shard in ("1/2", "2/2"):
            exporter = start("--shard", shard, "--interval", "1h")
            exporter.wait_until_ready()
            told.append({name for name in names if f'profile="{name}"' in exporter.get().body})
            for name in told[0]:
                (tmp_path / name).unlink(missing_ok=True)
        assert told[0] | told[1] == set(names)
        assert not told[0] & told[1]
        assert min(map(len, told)) > 0
        assert sorted(asked.key for asked in server.asked) == sorted(f"sk-{name}-Zq7Wm3Xc9Vb1" for name in names)


def test_an_empty_shard_is_ready(start: Start, sandbox: Sandbox, write_config: Write) -> None:
    """There may be fewer profiles than shards."""
    write_config(f'base_url = "{sandbox.url}"\n' + config_of("work"))
    exporter = start("--shard", "1/4")
    exporter.wait_until_ready()
    assert "asking for 0 profiles" in exporter.told


def test_one_that_is_named_is_asked_alone(start: Start, sandbox: Sandbox, write_config: Write) -> None:
    """By an option or by a variable, as in every command."""
    write_config(f'base_url = "{sandbox.url}"\n' + config_of("work", "home", "other"))
    for options, env, names in (
        (("-p", "home", "-p", "work", "-p", "home"), {}, {"home", "work"}),
        ((), {"APIMART_PROFILE": "home"}, {"home"}),
        ((), {}, {"work", "home", "other"}),
    ):
        exporter = start(*options, env=env)
        exporter.wait_until_ready()
        found = exporter.samples("reading_success")
        assert {name for name in ("work", "home", "other") if any(name in labels for labels in found)} == names


def test_gateways_that_fail_slow_nothing_but_their_own_keys(start: Start, serve: Serve, write_config: Write) -> None:
    """Dead, silent or limiting the rate: the others stay fresh, and each failure is told once."""
    with socket.socket() as taken, gateway(lambda _path, _key: refusal(429, Retry_After="3600")) as limiting:
        taken.bind(("127.0.0.1", 0))
        write_config(
            "timeout = 0.5\n"
            + config_of(
                work=serve().url, dead=f"http://127.0.0.1:{taken.getsockname()[1]}",
                silent=serve(fault=Fault.TIMEOUT).url, limited=limiting.url,
            )
        )  # fmt: skip
        exporter = start(*QUICK)
        exporter.wait_until_ready()
        stamps = set()

        def goes_on() -> bool:
            stamps.update(exporter.samples("reading_timestamp_seconds").values())
            return len(stamps) >= 4

        wait_until(goes_on)
        success = exporter.samples("reading_success")
        assert {labels for labels, value in success.items() if value} == {'{profile="work",scope="key"}'}
        assert set(exporter.samples("remaining_balance")) == {WORK}
        for name in ("dead", "silent", "limited"):
            exporter.wait_until_told(f"{name}/key cannot be read: ")
            assert exporter.told.count(f"{name}/key") == 1
        assert len(limiting.asked) == 1


def test_what_recovers_or_changes_is_told_and_read(start: Start, serve: Serve) -> None:
    """One line when it begins to fail, one when it ends; a top-up shows at one of the next scrapes."""
    server = serve(fault=Fault.SERVER_ERROR)
    exporter = start(*QUICK, env={**connected(server), "APIMART_TIMEOUT": "0.5"})
    exporter.wait_until_told("default/key cannot be read: the gateway could not answer (HTTP 500)")
    assert exporter.samples("remaining_balance") == {}
    server.scenario = server.scenario._replace(fault=None)
    exporter.wait_until_told("default/key can be read again")
    assert list(exporter.samples("remaining_balance").values()) == [10.5]
    assert exporter.told.count("cannot be read") == 1
    server.top_up(Decimal(1000))
    wait_until(lambda: list(exporter.samples("remaining_balance").values()) == [1010.5])


def test_fifty_scrapes_at_once_are_answered(start: Start, sandbox: Sandbox, write_config: Write) -> None:
    """All of them, with the same whole page, while the gateway is asked."""
    write_config(f'base_url = "{sandbox.url}"\n' + config_of(*(f"team-{number}" for number in range(40))))
    exporter = start(*QUICK)
    exporter.wait_until_ready()
    with ThreadPoolExecutor(50) as pool:
        pages = list(pool.map(lambda _: exporter.get(), range(150)))
    assert {page.status for page in pages} == {200}
    assert {page.body.count("apimart_reading_success{") for page in pages} == {40}


def test_what_is_no_question_is_refused(start: Start, sandbox: Sandbox) -> None:
    """In words of ours, whatever was sent; and it goes on."""
    exporter = start(env=connected(sandbox))
    for sent in (b"\x16\x03\x01\x02\x00\x01\n\n", b"GET\n\n", b"GET / HTTP/9.9\n\n", b"\0" * 10):
        with socket.create_connection(("127.0.0.1", exporter.port), timeout=30) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            received = b""
            with suppress(ConnectionResetError):
                while chunk := client.recv(65536):
                    received += chunk
        assert not received or b"apimart" in received
    assert exporter.get("/-/healthy").status == 200
    assert exporter.told.count("\n") == 1


HOSTILE = [
    'a"b', "a\\b", "a|b=c';d", "::error::x", "##[error]x", "%0Ax", "{profile=}", "🙈é", "n" * 2000, "a\\n# HELP x",
]  # fmt: skip


def test_names_stay_in_their_labels(start: Start, serve: Serve, write_config: Write) -> None:
    """Each profile is one sample of each family, whatever it is called, and promtool finds nothing wrong.

    One profile cannot be read, and one has no limit. The key is nowhere.
    """
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in HOSTILE]
    tables = [f'[profiles."{name}"]\napi_key = "{KEY}"\n' for name in quoted]
    more = config_of(none=serve(fault=Fault.UNAUTHORIZED).url, more=serve(key=Funds(None, Decimal(1))).url)
    top = f'base_url = "{serve().url}"\nunit = "€"\nmin = 5\nmax_used = 100\nscope = "both"\n'
    write_config(f"{top}{''.join(tables)}{more}")
    exporter = start(*QUICK)
    exporter.wait_until_ready()
    page = exporter.get().body
    labels = "".join(exporter.samples("remaining_balance"))
    assert [labels.count(f'scope="{scope}"') for scope in ("key", "account")] == [len(HOSTILE), len(HOSTILE) + 1]
    assert all(line.startswith(("# HELP apimart_", "# TYPE apimart_", "apimart_")) for line in page.splitlines())
    checked = run_program([need("promtool"), "check", "metrics"], input=page)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert find_key(page + exporter.told, KEY) == []


def test_a_key_that_the_gateway_repeats_is_not_told(start: Start) -> None:
    """Not what it says of one key, nor of another."""

    def answer(_path: str, key: str) -> Any:
        return refusal(401)._replace(body=f'{{"error":{{"message":"bad key {key} is not {KEY}"}}}}')

    with gateway(answer) as server:
        exporter = start(*QUICK, env={"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY})
        exporter.wait_until_told("default/key cannot be read: the gateway rejected the API key")
        exporter.wait_until_ready()
        assert find_key(exporter.get().body + exporter.told, KEY) == []
        assert "bad key" not in exporter.told


def test_a_command_that_prints_a_key_is_not_left_behind(start: Start, sandbox: Sandbox, write_config: Write) -> None:
    """When the exporter ends while it waits for somebody to type a password."""
    write_config(f'base_url = "{sandbox.url}"\ntimeout = 60\n[profiles.work]\napi_key_command = ["sleep", "61.27"]\n')
    exporter = start()
    wait_until(lambda: bool(psutil.Process(exporter.process.pid).children(recursive=True)))
    children = psutil.Process(exporter.process.pid).children(recursive=True)
    assert exporter.end() == 0
    wait_until(lambda: not any(map(psutil.Process.is_running, children)))
    assert "cannot be read" not in exporter.told


def test_a_key_that_a_command_prints_is_read_once_and_again_after_a_reload(
    start: Start, write_config: Write, tmp_path: Path
) -> None:
    """It may ask a person each time."""
    log = tmp_path / "log"
    script = f"echo asked >> {log}; wc -l < {log} | xargs printf sk-key-%s-0123456789"
    with gateway(lambda _path, _key: balance("1")) as server:
        write_config(f"base_url = \"{server.url}\"\n[profiles.work]\napi_key_command = ['sh', '-c', '{script}']\n")
        exporter = start(*QUICK)
        wait_until(lambda: len(server.asked) >= 4)
        assert {asked.key for asked in server.asked} == {"sk-key-1-0123456789"}
        exporter.reload()
        wait_until(lambda: server.asked[-1].key == "sk-key-2-0123456789")
        exporter.end()
    assert log.read_text() == "asked\n" * 2
