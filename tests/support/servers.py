"""Real servers and proxies, each started on a free port of this machine with files of its own, and ended by its id."""

import getpass
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from support.processes import wait_until
from support.programs import need
from support.secure import ANSWER, authority

BODY = ANSWER.decode().partition("\r\n\r\n")[2]


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@contextmanager
def started(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Callable[[], str]]:
    """Run a program until the block is left. Give what returns all that it has printed, and fails once it has ended."""
    log = folder / "output"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )

    def printed() -> str:
        text = log.read_text("utf-8", "replace")
        assert process.poll() is None, f"it has ended: {text[-2000:]}"
        return text

    try:
        yield printed
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running(arguments: Sequence[str], *, port: int, folder: Path) -> Iterator[None]:
    """Run a server until the block is left; it has started when something can connect to `port`."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    with started(arguments, folder, environment) as printed:

        def is_up() -> bool:
            printed()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        wait_until(is_up)
        yield


def write_certificate(folder: Path) -> Path:
    """Write a certificate of our authority for this machine, with its key in the same file, and return its path."""
    path = folder / "localhost.pem"
    issued = authority().issue_cert("localhost", "127.0.0.1")
    path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    path.chmod(0o600)
    return path


@contextmanager
def nginx(folder: Path, servers: str, *, port: int) -> Iterator[None]:
    """Run nginx with these server blocks, one of which listens on `port`."""
    program = need("nginx")
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
          access_log off; default_type application/json;
          client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
          uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
          {servers}
        }}
        """
    )
    with running([program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], port=port, folder=folder):
        yield


@contextmanager
def haproxy(folder: Path, sections: str, *, port: int) -> Iterator[None]:
    """Run haproxy with these sections, one of which binds `port`."""
    program = need("haproxy")
    (folder / "haproxy.cfg").write_text(
        f"defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 1s\n retries 0\n{sections}\n"
    )
    with running([program, "-db", "-f", "haproxy.cfg"], port=port, folder=folder):
        yield


@contextmanager
def squid(lines: str, *, port: int, helper: str = "") -> Iterator[None]:
    """Run squid with these lines of configuration, one of which is an `http_port` of `port`.

    `@HELPER@` in them stands for the path of a program with the text `helper`.
    """
    program = need("squid")
    # It refuses to be root, and whoever it is instead must get into the folder.
    user = getpass.getuser() if os.getuid() else "nobody"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "helper").write_text(helper)
        (folder / "helper").chmod(0o755)
        lines = lines.replace("@HELPER@", f"{folder}/helper")
        (folder / "squid.conf").write_text(
            f"{lines}\ncache_effective_user {user}\npid_filename none\ncache_log /dev/null\naccess_log none\n"
            "cache_store_log none\nnetdb_filename none\npinger_enable off\nvia off\ncoredump_dir none\n"
            "shutdown_lifetime 0 seconds\nvisible_hostname localhost\n"
        )
        with running([program, "-N", "-n", f"tests{port}", "-f", f"{folder}/squid.conf"], port=port, folder=folder):
            yield


@contextmanager
def mitmproxy(folder: Path, *options: str, port: int) -> Iterator[Path]:
    """Run mitmproxy, which trusts our authority, and give the file with the authority that it signs with itself."""
    program = need("mitmdump")
    authority().cert_pem.write_to_path(str(folder / "ours.pem"))
    settings = ["--set", f"confdir={folder}", "--set", f"ssl_verify_upstream_trusted_ca={folder}/ours.pem"]
    arguments = [program, "-q", "--listen-host", "127.0.0.1", "-p", str(port), *settings, *options]
    with running(arguments, port=port, folder=folder):
        yield folder / "mitmproxy-ca-cert.pem"
