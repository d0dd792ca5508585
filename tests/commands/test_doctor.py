"""`doctor` says of each thing whether it is right, and what to do; it exits as `balance` does, and hides secrets."""

import json
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

from apimart_cli.doctor.machine import READ
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.addresses import resolve_to
from support.pages import PAGES, blocks, code_in, table
from support.past import write_past
from support.running import KEY, KEY_ID, Call, Serve, Write, connected
from support.scripted import ACCOUNT, balance, refusal
from support.scripted import gateway as gateway_of
from support.secure import ANSWER, Gateway, Proxy, authority, certified, dead_port
from support.stopwatch import Stopwatch

SECRET = "hunter2-Xy7Qw9"
"""A password. No part of it is a word."""

_BODY = (
    b'{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false,'
    b'"data":{"total":{"amount_usd":0},"items":[]}}'
)
EVERYTHING = ANSWER.partition(b"Content-Length")[0] + b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
"""An answer to every question: a balance, and books in which nothing was spent."""


class Findings(list[dict[str, Any]]):
    """What `doctor --json` has found, and how it ended."""

    code = 0

    def of(self, subject: str) -> list[str]:
        """Return the conditions and messages about one thing."""
        return [f"{each['condition']} {each['message']}" for each in self if each["subject"] == subject]

    def hints(self, subject: str) -> list[str]:
        """Return the hints about one thing."""
        return [each["hint"] for each in self if each["subject"] == subject and each["hint"]]

    @property
    def wrong(self) -> list[str]:
        """Return what is wrong."""
        return [each["subject"] for each in self if each["condition"] == "wrong"]


Doctor = Callable[..., Findings]


@pytest.fixture
def doctor(call: Call) -> Doctor:
    """Run `doctor --json` in this process: `doctor("-p", "work", APIMART_API_KEY=...)`. Nothing gives the key away."""

    def run(*arguments: str, **env: str) -> Findings:
        # What a busy machine needs is no finding; tests of the time limit give their own.
        patient = () if "--timeout" in arguments else ("--timeout", "60")
        ended = call("doctor", "--json", *patient, *arguments, env=env)
        assert (ended.stderr, KEY in ended.stdout, SECRET in ended.stdout) == ("", False, False)
        document = json.loads(ended.stdout)
        assert document["exit_code"] == ended.code
        found = Findings(document["findings"])
        found.code = ended.code
        return found

    return run


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """The certificate of our authority, in a file."""
    path = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway over TLS, vouched for by our authority."""
    with Gateway(certified("localhost"), answer=EVERYTHING) as server:
        yield server


def to(gateway: Gateway, **more: str) -> dict[str, str]:
    """The variables that point a process at a gateway over TLS."""
    return {"APIMART_BASE_URL": f"https://localhost:{gateway.port}", "APIMART_API_KEY": KEY, **more}


def test_where_all_is_well_nothing_is_wrong(doctor: Doctor, sandbox: Sandbox, write_config: Write) -> None:
    """The balance, its unit, the clock, and what the books say are told."""
    path = write_config(f'unit = "USD"\n[profiles.work]\napi_key = "{KEY}"\n')
    found = doctor("-p", "work", APIMART_BASE_URL=sandbox.url)
    assert (found.code, found.wrong) == (0, [])
    assert found.of("profile") == ["ok work, by --profile"]
    assert found.of("key") == [f"ok from profile work in ~/.config/apimart/config.toml, 26 characters, id {KEY_ID}"]
    assert found.of("config") == ["ok ~/.config/apimart/config.toml: valid, 1 profile, only its owner can read it"]
    assert str(path).endswith(".config/apimart/config.toml")
    assert found.of("balance") == [
        "ok of the key: 10.5 USD left, 2.3 USD used",
        "ok of the account: 100.0 USD left, 25.5 USD used",
    ]
    assert found.of("unit") == ["ok USD, by ~/.config/apimart/config.toml"]
    assert found.of("clock") == ["ok within 60 seconds of the gateway's"]
    assert [re.sub("[0-9]+ ms", "N ms", each) for each in found.of("endpoint")] == [
        "ok of the key: HTTP 200 in N ms, a balance",
        "ok of the account: HTTP 200 in N ms, a balance",
    ]
    [books] = found.of("books")
    assert re.fullmatch(r"ok of the key: HTTP 200 in [0-9]+ ms, 0[.0]* USD spent in the last 24 hours", books), books


def test_each_endpoint_is_asked_once_and_the_other_connection_sends_nothing(
    doctor: Doctor, gateway: Gateway, ca_file: Path
) -> None:
    """The key travels in three questions; the connection that is only looked at stays silent."""
    found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file)))
    gateway.settle()
    assert found.code == 0
    assert sorted(re.split(rb" HTTP|\?", question)[0] for question in gateway.received) == [
        b"",
        b"GET /v1/balance",
        b"GET /v1/usage",
        b"GET /v1/user/balance",
    ]


def test_nothing_is_recorded(doctor: Doctor, sandbox: Sandbox, tmp_path: Path) -> None:
    """Not even where recording is asked for."""
    path = tmp_path / "history.db"
    found = doctor(**connected(sandbox), APIMART_RECORD="1", APIMART_HISTORY=str(path))
    assert (found.code, path.exists()) == (0, False)
    assert found.of("ledger") == [f"note there is no {path}"]


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.PAYMENT_REQUIRED, Fault.SERVER_ERROR, Fault.HTML])
def test_every_failure_ends_as_balance_does(call: Call, doctor: Doctor, serve: Serve, fault: Fault) -> None:
    """With the code of `balance`, and the endpoint is wrong."""
    env = connected(serve(fault=fault))
    found = doctor("--timeout", "0.8", **env)
    assert found.code == call("balance", "--timeout", "0.8", env=env).code != 0
    assert {"endpoint", "books"} <= set(found.wrong)


def test_a_command_for_the_key_is_run_once(
    doctor: Doctor, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """The endpoints and the books share what it prints."""
    script = f"echo run >> {tmp_path}/runs; echo {KEY}"
    write_config(f'[profiles.work]\napi_key_command = ["sh", "-c", "{script}"]\n')
    found = doctor("-p", "work", APIMART_BASE_URL=sandbox.url)
    assert (found.code, found.wrong) == (0, [])
    assert (tmp_path / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    ("config", "arguments", "env"),
    [
        ("", [], {}),
        ("[profiles.work]\n", ["-p", "work"], {}),
        ("[profiles.work]\n", ["-p", "wrok"], {}),
        ('min = "x"\n', [], {"APIMART_API_KEY": KEY}),
        ("= 5\n", [], {"APIMART_API_KEY": KEY}),
        ("", [], {"APIMART_API_KEY": ""}),
        ("", [], {"APIMART_API_KEY": KEY, "APIMART_BASE_URL": "http://example.com"}),
        ("", [], {"APIMART_API_KEY": KEY, "APIMART_CONFIG": ""}),
        ('[profiles.work]\napi_key_command = ["no-such-program", "it"]\n', ["-p", "work"], {}),
        ('[profiles.work]\napi_key_command = ["false", "it"]\n', ["-p", "work"], {}),
    ],
)
def test_settings_that_are_wrong_end_as_balance_does(
    call: Call, doctor: Doctor, write_config: Write, sandbox: Sandbox, config: str, arguments: list[str], env: Any
) -> None:
    """Something is wrong, with the words of `balance` and a hint, and what does not depend on it is looked at."""
    write_config(config)
    env = {"APIMART_BASE_URL": sandbox.url, **env}
    shown = call("balance", *arguments, env=env)
    found = doctor(*arguments, **env)
    assert found.code == shown.code != 0
    told = {each["message"] for each in found if each["condition"] == "wrong"}
    home = re.sub(r"\S*/home/\.config", "~/.config", shown.stderr)
    assert any(message in home for message in told), (told, home)
    assert {"version", "completion", "manual"} <= {each["subject"] for each in found}


def test_an_account_and_books_that_are_missing_are_notes(doctor: Doctor) -> None:
    """The key alone is looked at, and that is how `balance` ends."""
    with gateway_of(lambda path, _: refusal(404) if path == ACCOUNT or "usage" in path else balance("4")) as running:
        found = doctor(APIMART_BASE_URL=running.url, APIMART_API_KEY=KEY)
    assert (found.code, found.wrong) == (0, [])
    assert found.of("endpoint")[1].endswith("there is none; keys can be looked at")
    [books] = found.of("books")
    assert re.fullmatch(r"note of the key: HTTP 404 in [0-9]+ ms, this gateway keeps no books that can be asked", books)
    assert len(found.hints("books")) == 1


@pytest.mark.parametrize(
    ("fault", "budget", "told"),
    [
        (Fault.USAGE_MISSING, 'max_spent = 5\nwithin = "24h"\n', "this gateway keeps no books that"),
        (Fault.USAGE_UNAVAILABLE, "", "the gateway cannot tell now what was spent (HTTP 503)"),
        (Fault.USAGE_WRONG_TOTAL, "", "the gateway's answer cannot be trusted: its total is not the"),
    ],
)
def test_books_that_fail_are_told_and_the_balance_counts(
    doctor: Doctor, serve: Serve, write_config: Write, fault: Fault, budget: str, told: str
) -> None:
    """A gateway may have none, unless a budget needs them. `balance` does not ask them: the exit code is 0."""
    write_config(budget)
    found = doctor(**connected(serve(fault=fault)))
    assert (found.code, found.wrong) == (0, ["books"])
    assert found.of("books")[0].startswith(f"wrong of the key: {told}")
    assert len(found.hints("books")) == 1


def test_the_page_shows_what_it_says_of_a_gateway_without_books(call: Call, serve: Serve) -> None:
    """Line by line, but for the milliseconds."""
    printed = call("doctor", env=connected(serve(fault=Fault.USAGE_MISSING))).stdout
    [example] = [each.text for each in blocks(PAGES["docs/troubleshooting.md"]) if each.text.startswith("note  books")]
    in_words, shown = (" ".join(re.sub("[0-9]+ ms", "N ms", text).split()) for text in (example, printed))
    assert in_words in shown


def test_the_books_are_those_that_usage_would_ask(doctor: Doctor, sandbox: Sandbox, write_config: Write) -> None:
    """The account's for a profile that looks at nothing else; without a key none are asked, as no endpoint is."""
    for scope, whose in (("account", "account"), ("both", "key"), ("spendable", "key")):
        write_config(f'scope = "{scope}"\n')
        [books] = doctor(**connected(sandbox)).of("books")
        assert books.startswith(f"ok of the {whose}: HTTP 200")
    found = doctor(APIMART_BASE_URL=sandbox.url)
    assert (found.code, found.of("books"), found.of("endpoint")) == (4, [], ["note not asked, as there is no key"])


def test_an_authority_that_is_not_trusted_is_named(doctor: Doctor, gateway: Gateway) -> None:
    """Behind a company's proxy that opens TLS: who issued the certificate, and the variable that is missing."""
    found = doctor(**to(gateway))
    gateway.settle()
    assert (found.code, found.wrong) == (5, ["connection", "certificate", "endpoint", "endpoint", "books"])
    [certificate] = found.of("certificate")
    assert re.fullmatch(r"wrong issued by trustme v[\d.]+, which is not trusted", certificate)
    assert "REQUESTS_CA_BUNDLE" in found.hints("certificate")[0]
    assert [each for each in gateway.received if each] == []


def test_the_page_shows_what_it_says_behind_a_company_s_proxy(call: Call) -> None:
    """Each finding of the example stands in the output, word for word."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(organization_name="Example Corp").issue_cert("localhost").configure_cert(context)
    with Gateway(context) as gateway, Proxy() as proxy:
        env = to(gateway, HTTPS_PROXY=f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        printed = " ".join(call("doctor", env=env).stdout.split())
    printed = printed.replace(f"127.0.0.1:{proxy.port}", "proxy.example.com:3128")
    printed = printed.replace(f"localhost:{gateway.port}", "api.apimart.ai")
    [example] = [each.text for each in blocks(PAGES["docs/troubleshooting.md"]) if each.text.startswith("ok ")]
    findings = re.split(r"^(?=ok |note |wrong )", example, flags=re.MULTILINE)[1:]
    assert len(findings) == 3
    assert [each for each in findings if " ".join(each.split()) not in printed] == []


def test_a_trusted_authority_is_named_with_the_days_left(doctor: Doctor, ca_file: Path) -> None:
    """And the setting that makes it trusted; a certificate that ends soon is a note."""
    for days, condition in ((30, "ok"), (5, "note")):
        until = datetime.now(UTC) + timedelta(days=days, hours=1)
        with Gateway(certified("localhost", not_after=until)) as gateway:
            found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file)))
        assert found.code == 0
        [certificate] = found.of("certificate")
        assert certificate.startswith(f"{condition} issued by trustme v")
        assert certificate.endswith(f", {days} days left")
        assert found.of("authorities") == [f"ok those of REQUESTS_CA_BUNDLE ({ca_file})"]


def test_a_proxy_is_named_with_its_variable_and_without_its_password(
    doctor: Doctor, gateway: Gateway, ca_file: Path
) -> None:
    """Everything goes through it; of its address, host and port alone are told, no path and no query string."""
    with Proxy() as proxy:
        address = f"http://user:{SECRET}@127.0.0.1:{proxy.port}/?token={SECRET}"
        found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file), ALL_PROXY=address))
    assert (found.code, found.wrong, found.of("name")) == (0, [], [])
    assert found.of("proxy") == [f"ok 127.0.0.1:{proxy.port}, from ALL_PROXY"]
    assert len(proxy.questions) == 4


def test_a_proxy_that_is_excepted_dead_or_malformed_is_told(doctor: Doctor, gateway: Gateway, ca_file: Path) -> None:
    """With the variable that excepts the host or has the address; the exit code is that of `balance`."""
    with dead_port() as port:
        proxy = {"HTTPS_PROXY": f"http://user:{SECRET}@127.0.0.1:{port}"}
        excepted = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file), NO_PROXY="localhost", **proxy))
        dead = doctor(**to(gateway, **proxy))
    assert (excepted.code, excepted.of("proxy")) == (0, ["ok none for this host, by NO_PROXY"])
    assert dead.code == 5
    assert dead.of("connection") == [f"wrong no connection through the proxy 127.0.0.1:{port}: connection refused"]
    assert not any("apimart doctor" in hint for hint in dead.hints("connection"))
    malformed = doctor(**to(gateway, HTTPS_PROXY=f"http://user:{SECRET}#x@proxy.example:3128"))
    assert malformed.code == 2
    [told] = malformed.of("proxy")
    assert told.startswith("wrong HTTPS_PROXY: the proxy's address is malformed")
    assert "proxy.example" not in told


def test_a_name_is_told_with_its_addresses(
    doctor: Doctor, gateway: Gateway, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system resolves it; one without any is wrong."""
    resolve_to(monkeypatch, "localhost", "127.0.0.1")
    found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file)))
    assert (found.code, found.of("name")) == (0, ["ok localhost is 127.0.0.1"])
    resolve_to(monkeypatch, "localhost")
    found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file)))
    assert (found.code, found.of("name")) == (5, ["wrong localhost has no address"])


def test_the_time_limit_holds(doctor: Doctor, serve: Serve) -> None:
    """A gateway that does not answer costs no more than --timeout; what is on this machine is told all the same."""
    watch = Stopwatch()
    found = doctor("--timeout", "0.5", **connected(serve(fault=Fault.TIMEOUT)))
    watch.took().assert_within(3)
    assert (found.code, found.of("alerts")) == (5, ["ok no command is set"])


def test_a_name_server_that_hangs_does_not_hold_it_up(
    doctor: Doctor, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is given up with the time."""
    ended = Event()
    monkeypatch.setattr("apimart_cli.gateway.connections.socket.getaddrinfo", lambda *_: ended.wait(30))
    watch = Stopwatch()
    found = doctor("--timeout", "0.5", **to(gateway))
    watch.took().assert_within(3)
    ended.set()
    assert found.code == 5
    assert found.of("connection") == ["wrong no connection within 0.5 seconds"]


@pytest.mark.parametrize(
    ("date", "told"),
    [
        (0, "ok within"),
        (-120, "note 1"),
        (120, "note 1"),
        (-3600, "wrong 3"),
        (3600, "wrong 3"),
        ("yesterday", "note not compared: no answer told the time"),
        ("x" * 10_000, "note not compared: no answer told"),
    ],
)
def test_the_clock_is_compared_with_the_gateway_s(doctor: Doctor, date: int | str, told: str, ca_file: Path) -> None:
    """Up to a minute it is right, beyond five it is wrong, in either direction; what is no date is left out."""
    behind = isinstance(date, int) and date < 0
    ahead = isinstance(date, int) and date > 0
    if isinstance(date, int):
        date = format_datetime(datetime.now(UTC) - timedelta(seconds=date), usegmt=True)
    answer = ANSWER.replace(b"Connection:", f"Date: {date}\r\nConnection:".encode())
    with Gateway(certified("localhost"), answer=answer) as gateway:
        found = doctor(**to(gateway, REQUESTS_CA_BUNDLE=str(ca_file)))
    [clock] = found.of("clock")
    assert clock.startswith(told)
    assert (found.code, "ahead of" in clock, "behind" in clock) == (0, ahead, behind)


def test_an_unlimited_key_is_explained(doctor: Doctor, serve: Serve) -> None:
    """It spends what its account has; where that has no limit either, no threshold ever holds."""
    found = doctor(**connected(serve(key=Funds(None, 2))))
    assert found.of("limit") == ["ok the key has none: it spends what its account has"]
    assert found.of("balance")[1] == "ok of the account: 100.0 left, 25.5 used"
    assert found.of("unit") == ["note not known"]
    found = doctor(**connected(serve(key=Funds(None, 2), account=Funds(None, 2))))
    assert found.of("limit") == ["note neither the key nor its account has a limit"]


def test_arguments_of_commands_are_not_told(doctor: Doctor, sandbox: Sandbox, write_config: Write) -> None:
    """Of the commands for the key and the alerts, the programs alone; the key of a command has an id."""
    write_config(
        f'min = 5\n[profiles.work]\napi_key_command = ["echo", "{KEY}"]\n'
        f'on_low = ["true", "{SECRET}"]\non_recover = ["no-such-program", "{SECRET}"]\non_stop = ["sh", "{SECRET}"]\n'
    )
    found = doctor("-p", "work", APIMART_BASE_URL=sandbox.url)
    assert (found.code, found.wrong) == (0, ["alerts"])
    assert found.of("key") == [f"ok from api_key_command of profile work in ~/.config/apimart/config.toml, id {KEY_ID}"]
    assert [re.sub(";.*", "", each) for each in found.of("alerts")] == [
        "ok on_low: true is there",
        "wrong on_recover: there is no command no-such-program",
        "ok on_stop: sh is there",
    ]


def test_alerts_that_are_never_run_are_noted(doctor: Doctor, sandbox: Sandbox, write_config: Write) -> None:
    """Without a threshold there is nothing to fall below."""
    write_config('on_low = ["true"]\n')
    found = doctor(**connected(sandbox))
    assert found.of("alerts")[1] == "note none is run: there is neither min nor min_runway"


def test_a_bug_in_one_section_is_a_finding(doctor: Doctor, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told all the same."""
    monkeypatch.setattr("apimart_cli.doctor.machine.manual_page", lambda *_: 1 // 0)
    found = doctor(**connected(sandbox))
    assert (found.code, found.wrong) == (0, ["installed"])
    assert found.of("installed")[0].startswith("wrong a bug in apimart: ZeroDivisionError in ")
    assert found.of("alerts") == ["ok no command is set"]


def test_variables_that_are_not_read_are_named(doctor: Doctor, sandbox: Sandbox) -> None:
    """Those that look as if they had the key, and those that have our name and no meaning; never their values."""
    found = doctor(**connected(sandbox), OPENAI_API_KEY=SECRET, APIMART_BASEURL=f"https://x/?token={SECRET}")
    assert found.of("variables") == ["note OPENAI_API_KEY, APIMART_BASEURL are set, and not read"]


def test_the_variables_that_are_read_are_those_of_the_page() -> None:
    """The table of variables has all of ours."""
    documented = {name for row in table("variable").rows for name in code_in(row[0])}
    assert {name for name in documented if name.startswith("APIMART_")} == READ


def test_a_key_of_a_variable_in_place_of_the_profile_s_is_noted(
    doctor: Doctor, sandbox: Sandbox, write_config: Write
) -> None:
    """As `balance` notes at a terminal."""
    write_config('default_profile = "work"\n[profiles.work]\napi_key = "sk-other-Xq7Wm3Xc9V"\n')
    found = doctor(**connected(sandbox))
    assert found.of("key") == [
        f"ok from APIMART_API_KEY, 26 characters, id {KEY_ID}",
        "note it is not that of profile work, which has one of its own",
    ]


def test_who_can_read_the_config_file_is_told(doctor: Doctor, sandbox: Sandbox, write_config: Write) -> None:
    """One with a key in it that others can read is wrong, once."""
    write_config('[profiles.work]\napi_key_env = "APIMART_API_KEY"\n', mode=0o644)
    found = doctor(**connected(sandbox))
    assert found.of("config")[0].endswith("valid, 1 profile, every user can read it")
    write_config(f'[profiles.work]\napi_key = "{KEY}"\n', mode=0o644)
    found = doctor(**connected(sandbox))
    assert found.of("config") == ["wrong ~/.config/apimart/config.toml: it holds a key and other users can read it"]
    assert found.of("key") == [f"ok from APIMART_API_KEY, 26 characters, id {KEY_ID}", found.of("key")[1]]


def test_mistakes_of_the_config_file_are_listed_with_their_lines(
    doctor: Doctor, sandbox: Sandbox, write_config: Write
) -> None:
    """The first five, and how many more there are."""
    write_config("".join(f"wrong{number} = 5\n" for number in range(7)))
    found = doctor(**connected(sandbox))
    config = found.of("config")
    assert found.code == 2
    assert config[0] == "wrong ~/.config/apimart/config.toml:1: unknown name 'wrong0'"
    assert (len(config), config[5]) == (6, "wrong 2 more mistakes")


def test_the_ledger_is_told_with_its_size_and_how_long_the_balance_lasts(
    doctor: Doctor, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Or how much history is missing."""
    for days, lasts in ((8, "ok about"), (1, "ok not enough history: ")):
        path = tmp_path / f"{days}.db"
        write_past(path, sandbox.url.removeprefix("http://"), days=days, spent_per_day="0.25")
        found = doctor(**connected(sandbox), APIMART_HISTORY=str(path))
        [ledger] = found.of("ledger")
        assert re.fullmatch(rf"ok {path}, \d+ KiB, \d series", ledger)
        assert found.of("lasts")[0].startswith(lasts)
        assert found.of("recording") == ["note off, by APIMART_RECORD"]


def test_a_ledger_that_is_not_ours_is_wrong(doctor: Doctor, sandbox: Sandbox, tmp_path: Path) -> None:
    """It is left as it is, and the exit code is that of `balance`."""
    path = tmp_path / "history.db"
    path.write_text("something else, long enough to be looked at" * 9, encoding="utf-8")
    found = doctor(**connected(sandbox), APIMART_HISTORY=str(path))
    assert (found.code, found.wrong) == (0, ["ledger"])
    assert "is not a ledger of apimart, and was left as it is" in found.of("ledger")[0]


def test_what_is_installed_is_found(doctor: Doctor, sandbox: Sandbox, home: Path, tmp_path: Path) -> None:
    """The script of the shell in SHELL, wherever that looks, and the manual beside the programs."""
    programs = tmp_path / "prefix" / "bin"
    env = {**connected(sandbox), "SHELL": "/bin/fish", "PATH": str(programs)}
    assert doctor(**env).of("completion") == ["note none is installed for fish"]
    script = home / ".config/fish/completions/apimart.fish"
    page = tmp_path / "prefix/share/man/man1/apimart.1"
    for path in (script, page):
        path.parent.mkdir(parents=True)
        path.write_text("")
    found = doctor(**env)
    assert found.of("completion") == ["ok ~/.config/fish/completions/apimart.fish, for fish"]
    assert found.of("manual") == [f"ok {page}"]
    assert doctor(**{**env, "SHELL": "/bin/odd"}).of("completion") == ["note not known for odd"]


def test_ci_and_containers_say_what_they_change(doctor: Doctor, sandbox: Sandbox) -> None:
    """What is recorded, and where the ledger is."""
    found = doctor(**connected(sandbox), CI="true", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert found.of("ci") == ["note in CI nothing is recorded by default, so there is no forecast"]
    assert found.of("container")[0].startswith("note in a container the ledger ends with it")


def test_lines_have_sixty_columns(call: Call, serve: Serve, write_config: Write) -> None:
    """In a pipe and on any terminal; a word that is longer stays whole, and each line says what it is."""
    write_config("wrong = 5\n")
    for env in (connected(serve(fault=Fault.HTML)), {"APIMART_CONFIG": "/nowhere"}, {}):
        lines = call("doctor", env=env).stdout.splitlines()
        assert len(lines) > 5
        assert [line for line in lines if len(line) > 60 and " " in line.strip()] == []
        assert [line for line in lines if not re.match(r"(ok    |note  |wrong |      )\S", line)] == []


@pytest.mark.parametrize("place", ["APIMART_BASE_URL", "APIMART_PROFILE", "APIMART_CONFIG", "SHELL"])
def test_a_key_in_the_wrong_place_is_withheld(doctor: Doctor, sandbox: Sandbox, place: str) -> None:
    """Wherever a text of the user is told; `doctor` looks for the key in all it writes."""
    value = f"https://{KEY}.example" if place == "APIMART_BASE_URL" else f"/x/{KEY}/y"
    found = doctor("--timeout", "1", **{**connected(sandbox), place: value})
    assert KEY.lower() not in json.dumps(found).lower()


def test_a_key_that_looks_like_none_is_withheld_too(call: Call, sandbox: Sandbox) -> None:
    """One without the usual beginning, as the name of a shell or of a profile; with the latter nothing is asked."""
    key = "Zq7Wm3Xc9Vb1Nk5Lp8"
    env = {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY": key}
    places = {"SHELL": f"/bin/{key}", "APIMART_HISTORY": f"/x/{key}"}
    for more, code in ((places, 4), ({"APIMART_PROFILE": key}, 2)):
        ended = call("doctor", env={**env, **more})
        assert (ended.code, key in ended.stdout) == (code, False)
        assert ended.stdout.count("(withheld: it repeats the API key)") == 2
