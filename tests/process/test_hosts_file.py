"""A hosts file that points `localhost` elsewhere, the real one, seen by one process alone."""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.programs import need
from support.running import KEY, run_program


@pytest.fixture
def outside() -> str:
    """An address of this machine that is not loopback."""
    told = run_program([need("hostname"), "-I"], check=True).stdout
    addresses = [address for address in told.split() if "." in address]
    if not addresses:
        pytest.skip("this machine has no address but loopback")
    return addresses[0]


def test_localhost_in_the_hosts_file_does_not_get_the_key(
    command: str, environment: Mapping[str, str], tmp_path: Path, outside: str
) -> None:
    """Exit 2 before anything is connected: the key would have left the machine in clear text."""
    unshare = need("unshare")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{outside} localhost\n")
    in_its_own_mounts = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    wrapped = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", in_its_own_mounts, "sh"]
    if subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode != 0:
        wrapped.remove("--user")
        wrapped.remove("--map-root-user")
        if subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("unshare may not mount here")
    with socket.create_server((outside, 0)) as listener:
        listener.settimeout(0.2)
        url = f"http://localhost:{listener.getsockname()[1]}"
        # Without the guard of the tests, which would refuse the connection by itself.
        env = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        ended = run_program(
            [*wrapped, command, "check", "--min", "5"], env={**env, "APIMART_BASE_URL": url, "APIMART_API_KEY": KEY}
        )
        with pytest.raises(TimeoutError):
            listener.accept()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "http://localhost is not this machine: its name leads elsewhere" in ended.stderr
