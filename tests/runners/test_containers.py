"""The examples for Kubernetes and docker compose: valid by their schemas, and what they start does what they say.

There is no cluster and no container engine here: the command of each container is run with its own arguments and
variables, and asked what the probes ask.
"""

import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.places import ROOT
from support.processes import wait_until
from support.programs import need
from support.running import KEY, Run, Serve, run_program, started_processes
from support.secure import authority
from support.servers import free_ports

EXAMPLES = ROOT / "examples"
COMPOSE = EXAMPLES / "compose" / "compose.yaml"
CONTAINERFILE = EXAMPLES / "container" / "Containerfile"
CRONJOB = EXAMPLES / "kubernetes" / "cronjob.yaml"
EXPORTER = EXAMPLES / "kubernetes" / "exporter.yaml"
SCRAPE = EXAMPLES / "kubernetes" / "scrape.yaml"

TOKEN = "0123456789abcdef0123456789abcdef"


def accepts(arguments: Sequence[str | Path], environment: Mapping[str, str], path: Path) -> bool:
    """Tell whether the program of the arguments accepts a file."""
    program, *options = map(str, arguments)
    return run_program([need(program), *options, path], env=environment, timeout=120).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "example", "right", "wrong"),
    [
        ("check-jsonschema --builtin-schema vendor.compose-spec", COMPOSE, "healthcheck:", "healthceck:"),
        ("kubernetes-validate --strict", CRONJOB, "schedule:", "shedule:"),
        ("kubernetes-validate --strict", EXPORTER, "readinessProbe:", "readynessProbe:"),
        ("kubernetes-validate --strict -k 1.27", EXPORTER, "fsGroup: 10001", "fsGroup: staff"),
        ("promtool check config --syntax-only", SCRAPE, "ca_file:", "ca:"),
    ],
)
def test_every_example_is_valid(
    arguments: str, example: Path, right: str, wrong: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """The checker of each accepts it, and not one with a slip."""
    text, slipped = example.read_text(encoding="utf-8"), tmp_path / example.name
    assert right in text
    slipped.write_text(text.replace(right, wrong), encoding="utf-8")
    assert accepts(arguments.split(), environment, example)
    assert not accepts(arguments.split(), environment, slipped)


def _documents(path: Path) -> dict[str, Any]:
    """Return the objects of a manifest by their kind."""
    return {document["kind"]: document for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))}


def _pods() -> dict[str, Any]:
    return {
        "CronJob": _documents(CRONJOB)["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        "Deployment": _documents(EXPORTER)["Deployment"]["spec"]["template"]["spec"],
    }


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
def test_a_pod_may_do_no_more_than_it_must(kind: str) -> None:
    """No root, no writable image, no capability, no token of the cluster; and the user is that of the image."""
    pod = _pods()[kind]
    [container] = pod["containers"]
    user = int(re.search(r"^USER (\d+):\1$", CONTAINERFILE.read_text(encoding="utf-8"), re.MULTILINE)[1])  # type: ignore[index]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == user
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    # A key is never in a manifest.
    for variable in container["env"]:
        assert ("KEY" in variable["name"]) == ("valueFrom" in variable)


def _environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a container, with the test key for a secret."""
    return {each["name"]: each.get("value", KEY) for each in container["env"]}


@pytest.mark.parametrize(("remain", "code"), [("5", ExitCode.OK), ("4.9", ExitCode.BELOW)])
def test_the_job_fails_where_too_little_is_left(remain: str, code: ExitCode, run: Run, serve: Serve) -> None:
    """Its arguments and variables are all it needs: no home folder, and no config file."""
    [container] = _pods()["CronJob"]["containers"]
    gateway = serve(key=Funds(Decimal(remain), Decimal(0)))
    env = {**_environment_of(container), "HOME": "/dev/null", "APIMART_BASE_URL": gateway.url}
    ended = run(*container["args"], env=env)
    assert (ended.returncode, ended.stderr) == (code, "")


@pytest.fixture
def pod(environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, forks: Forks) -> Iterator[Mapping[str, Any]]:
    """The exporter as the Deployment starts it, with its volumes in a folder; the container, and where it listens."""
    [container] = _pods()["Deployment"]["containers"]
    [port] = free_ports(1)
    folder = tmp_path / "volumes"
    _write_volumes(folder)
    env = {**environment, **_environment_of(container), "HOME": "/dev/null", "APIMART_BASE_URL": sandbox.url}
    del env["APIMART_RECORD"]
    moved = {name: value.replace("/etc/apimart", str(folder)) for name, value in env.items()}
    moved["APIMART_HISTORY"] = str(folder / "history" / "history.db")
    arguments = [argument.replace("/etc/apimart", str(folder)) for argument in container["args"]]
    arguments[arguments.index("--listen=:9899")] = f"--listen=127.0.0.1:{port}"
    with started_processes(tmp_path, forks) as start:
        process = start(["apimart", *arguments], moved)
        yield {"container": container, "url": f"https://127.0.0.1:{port}", "process": process, "folder": folder}


def _write_volumes(folder: Path) -> None:
    for name in ("config", "tls", "token", "history"):
        (folder / name).mkdir(parents=True)
    config = _documents(EXPORTER)["ConfigMap"]["data"]["config.toml"]
    (folder / "config" / "config.toml").write_text(config, encoding="utf-8")
    issued = authority().issue_cert("apimart-exporter", "127.0.0.1")
    (folder / "tls" / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (folder / "tls" / "tls.key").write_bytes(issued.private_key_pem.bytes())
    (folder / "token" / "token").write_text(TOKEN, encoding="utf-8")
    modes = {
        each["name"]: each["secret"]["defaultMode"] for each in _pods()["Deployment"]["volumes"] if "secret" in each
    }
    for name, mode in modes.items():
        for path in (folder / name).iterdir():
            path.chmod(mode)


def _get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Ask once, without a look at the certificate, as a kubelet does. Nobody there is status 0."""
    context = ssl._create_unverified_context()
    try:
        request = urllib.request.Request(url, headers=dict(headers or {}))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_the_probes_find_what_they_ask_for(pod: Mapping[str, Any]) -> None:
    """Both are answered without the token, and the metrics with it only; then the volume has a ledger."""
    container, url = pod["container"], pod["url"]
    assert container["ports"] == [{"name": "metrics", "containerPort": 9899}]
    for probe in ("readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert (asked["scheme"], asked["port"]) == ("HTTPS", "metrics")
        wait_until(lambda path=asked["path"]: _get(url + path)[0] == 200)
    assert _get(f"{url}/metrics")[0] == 401
    status, page = _get(f"{url}/metrics", {"Authorization": f"Bearer {TOKEN}"})
    assert status == 200
    assert re.search(r'^apimart_remaining_balance\{[^}]*profile="work"[^}]*\} 10\.5$', page, re.MULTILINE)
    [[target]] = [each["targets"] for each in _scrape_configs()[0]["static_configs"]]
    for host, code in ((target, 200), ("evil.example", 421)):
        assert _get(f"{url}/metrics", {"Authorization": f"Bearer {TOKEN}", "Host": host})[0] == code
    assert re.search(r'^apimart_min_balance\{[^}]*profile="work"[^}]*\} 5\.0$', page, re.MULTILINE)
    pod["process"].terminate()
    assert pod["process"].wait(timeout=60) == 0
    assert (pod["folder"] / "history" / "history.db").is_file()


def _scrape_configs() -> Sequence[Mapping[str, Any]]:
    configs: Sequence[Mapping[str, Any]] = yaml.safe_load(SCRAPE.read_text(encoding="utf-8"))["scrape_configs"]
    return configs


def test_what_compose_mounts_is_there() -> None:
    """Every file of the checkout that a service is given exists, and is given for reading only."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    volumes = [each for service in services.values() for each in service.get("volumes", [])]
    mounts = [each for each in volumes if each.startswith(".")]
    assert len(mounts) == 4
    for mount in mounts:
        source, _, options = mount.split(":")
        assert ((COMPOSE.parent / source).is_file(), options) == (True, "ro"), mount


def test_compose_lets_nobody_in_from_outside() -> None:
    """Ports are those of this machine alone, and the exporter listens where only the other two can reach it."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert services["exporter"]["command"] == ["exporter", "--listen", "127.0.0.1:9899"]
    others = {name: service["network_mode"] for name, service in services.items() if name != "exporter"}
    assert others == {"prometheus": "service:exporter", "alertmanager": "service:exporter"}


def test_a_service_of_compose_may_do_no_more_than_it_must() -> None:
    """No capability, no way to more rights, nothing to write to but its volumes; the exporter as in a cluster."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    for service in services.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
    [container] = _pods()["Deployment"]["containers"]
    assert services["exporter"]["mem_limit"] == container["resources"]["limits"]["memory"].replace("Mi", "m")
    assert services["exporter"]["pids_limit"] == 512


def test_what_compose_configures_can_be_read(run: Run) -> None:
    """The config file has no mistake, and no key."""
    path = COMPOSE.parent / "config.toml"
    ended = run("config", "check", env={"APIMART_CONFIG": str(path), "APIMART_API_KEY": KEY})
    assert ended.returncode == 0, ended.stdout
    assert "key" not in path.read_text(encoding="utf-8")
