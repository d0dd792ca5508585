"""The table of every file in docs/security.md: what the commands open, by Python's own audit, and nothing else."""

import json
import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import apimart_cli
from apimart_cli.sandbox.server import Sandbox
from support.pages import table
from support.programs import need
from support.running import KEY, run_program

PROBE = """
import json, os, sys
opened = []
watched = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate", "os.chmod", "os.chown", "sqlite3.connect"}
def note(event, arguments):
    if event in watched:
        paths = arguments[:2] if event == "os.rename" else arguments[:1]
        flags = arguments[2] if event == "open" else 0
        is_folder = event == "os.mkdir" or bool(flags & os.O_DIRECTORY)
        opened.extend((each, event, is_folder) for each in paths if isinstance(each, (str, bytes)))
sys.addaudithook(note)
from apimart_cli.cli import main
told = {}
for line in sys.argv[2:]:
    with open("typed") as sys.stdin:
        opened.clear()
        try:
            main(line.split())
        except SystemExit:
            pass
        seen = list(opened)
    told[line] = [os.fsdecode(path) for path, _, is_folder in seen if not is_folder]
    told[line] += ["chown" for _, event, _ in seen if event == "os.chown"]
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(told, file)
"""
"""Runs command lines in a fresh interpreter, and writes to a file what each opens but for folders."""

CONFIG = f'[profiles.default]\napi_key_file = "key"\n[profiles.written]\napi_key = "{KEY}"\n'

FILES = {
    "the config file": r"config\.toml",
    "the config file, when it is written; `.lock`, `.NAME.new` and `.NAME.old` beside it": (
        r"config\.toml\.lock|\.config\.toml\.(new|old)"
    ),
    "the file of `api_key_file`, `APIMART_API_KEY_FILE` or `--api-key-file`": r"key",
    "the files of `--token-file` and `--tls-key`": r"token|tls\.key",
    "the ledger, with `-journal`, `.import` and `.damaged-…` beside it": (
        r"history\.db(-journal|\.import|\.damaged-.*)?"
    ),
    "the file of `--textfile`, and `.apimart-textfile-…` beside it": r"a\.prom|\.apimart-textfile-.*",
    "the file of `--report`, or that `history export` writes, and `.NAME.….new` beside it": (
        r"\.?(report|export)\.json(\.\d+\.new)?"
    ),
    "`~/.bashrc`, `~/.bash_completions/apimart.sh`; `~/.zshrc`, `~/.zfunc/_apimart`; "
    "`~/.config/fish/completions/apimart.fish`": (
        r"\.bashrc|\.zshrc|\.bash_completions|\.zfunc|\.config|fish|completions|apimart\.sh|_apimart|apimart\.fish"
    ),
    "the file of `SSLKEYLOGFILE`, with `APIMART_KEYLOG=1`": r"secrets",
    "the file that `history import` reads": r"import\.json",
    "temporary files in `TMPDIR`, without a name or in a new folder of their own": r"",
    "the files of `GITHUB_OUTPUT` and `GITHUB_STEP_SUMMARY`": r"github-(output|summary)",
    "the files of `--tls-cert`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_FILE` and `SSL_CERT_DIR`": None,
    "the installation of Python and its packages, and what the system opens to find a host or a user": None,
    "`/dev/null`, the terminal, and `/proc`": r"/dev/(null|tty)|/proc/.*",
}
"""The rows of the table, and how the tests call such a file; None where OpenSSL or the system opens it."""

SHELLS = ("bash", "zsh", "fish")

COMMANDS = [
    "balance",
    "balance -p default --scope both",
    "balance --textfile a.prom",
    "check --min 1 -o github",
    "check --min 1 --min-runway 1h",
    "check --min 1 --api-key-file key",
    "nagios -c 1:",
    "run --min 1 --report report.json -- true",
    "statusline",
    "doctor",
    "alert test --on-low true",
    "history",
    "history export export.json",
    "history import import.json",
    "history clear --yes",
    "config set min 1",
    "config unset min",
    "config check",
    "config show",
    "profiles",
    "profiles rename written other",
    "login -p written",
    "logout -p written",
    "exporter --token-file token --listen 127.0.0.1:{taken}",
    "exporter --tls-cert tls.crt --tls-key tls.key --listen 127.0.0.1:{taken}",
]

OURS = tuple(
    os.path.realpath(path)
    for path in {
        sys.prefix, sys.base_prefix, str(Path(apimart_cli.__file__).parent.parent), *sysconfig.get_paths().values(),
    }
)  # fmt: skip
"""Where Python, the packages and the code under test are installed."""


@pytest.fixture(scope="module")
def rows() -> list[str]:
    """The files of the table."""
    return [row[0] for row in table("file").rows]


def is_installed(path: str) -> bool:
    return path.startswith((*OURS, "/etc/", "/usr/", "/lib")) or path.endswith((".py", ".pyc"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with each kind of file in it."""
    files = {"config.toml": CONFIG, "key": f"{KEY}\n", "token": "t" * 32, "tls.key": "no key", "tls.crt": "none"}
    files |= {"import.json": "", "github-output": "", "github-summary": "", "typed": KEY}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def opened_by(
    lines: Sequence[str], folder: Path, environment: Mapping[str, str], sandbox: Sandbox, shell: str | None = None
) -> dict[str, list[str]]:
    """Return what each command line opens, all of them in one process, which a shell may start."""
    told = folder / "opened.txt"
    command = [sys.executable, "-c", PROBE, str(told), *lines]
    if shell is not None:
        # Completion is installed for the shell that starts it, which is not to give its place to the command.
        command = [need(shell), "-c", f"{shlex.join(command)} || exit 1"]
    run_program(
        command,
        env={
            **environment, "APIMART_BASE_URL": sandbox.url, "APIMART_CONFIG": "config.toml",
            "APIMART_HISTORY": "history.db", "APIMART_RECORD": "1", "GITHUB_OUTPUT": "github-output",
            "GITHUB_STEP_SUMMARY": "github-summary",
        },
        cwd=folder,
    )  # fmt: skip
    opened = json.loads(told.read_text(encoding="utf-8"))
    return {line: [path for path in paths if not is_installed(path)] for line, paths in opened.items()}


def test_every_file_that_is_opened_stands_in_the_table(
    rows: list[str], folder: Path, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """Each file that a command opens, makes, renames or removes is one of a row, and each row is of such a file."""
    assert rows == list(FILES)
    assert all(row[2] for row in table("file").rows)
    taken = sandbox.url.rpartition(":")[2]
    met: set[str] = set()
    opened = opened_by([line.format(taken=taken) for line in COMMANDS], folder, environment, sandbox)
    assert len(opened) == len(COMMANDS)
    for shell in SHELLS:
        installed = opened_by(["--install-completion"], folder, environment, sandbox, shell)
        opened[shell] = installed["--install-completion"]
    for line, paths in opened.items():
        for path in paths:
            assert path != "chown", line
            # The folder of the test may lie in memory, in /dev/shm.
            is_device = path.startswith(("/dev/", "/proc/")) and not path.startswith(str(folder))
            name = path if is_device else path.rpartition("/")[2]
            fitting = [row for row, names in FILES.items() if names is not None and re.fullmatch(names, name)]
            assert len(fitting) == 1, (line, path, fitting)
            met.update(fitting)
    # Only a connection over TLS has secrets to log.
    assert set(FILES) - met == {row for row, names in FILES.items() if names is None or names == "secrets"}


def test_a_log_of_secrets_is_where_nobody_else_can_change_it(
    folder: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened as the other files are, and refused as they are."""
    from apimart_cli.errors import UsageError
    from apimart_cli.gateway.connections import TLS_CONTEXTS, authorities

    monkeypatch.setenv("APIMART_KEYLOG", "1")
    monkeypatch.setenv("SSLKEYLOGFILE", str(folder / "secrets"))
    assert TLS_CONTEXTS.get(authorities({})).keylog_filename == str(folder / "secrets")
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o600
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    monkeypatch.setenv("SSLKEYLOGFILE", str(folder / "open" / "secrets"))
    with pytest.raises(UsageError, match="every user can change the folder"):
        TLS_CONTEXTS.get(authorities({}))
    assert os.listdir(folder / "open") == []
