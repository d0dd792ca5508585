"""The lines for cron, run by the real one: which of them it mails, and what the others leave.

It sees the machine through file systems of its own, so that it runs no other crontab and mails nobody.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.pages import blocks_of
from support.places import GUARD
from support.processes import wait_until
from support.programs import need
from support.running import Write, connected

pytestmark = pytest.mark.servers

MINUTE = 60
"""cron looks at its crontabs once a minute."""

ITS_OWN_MACHINE = """
set -e
mount -t tmpfs none /etc/cron.d
mount --bind "$WORK/empty" /etc/crontab
mount -t tmpfs -o mode=1730 none /var/spool/cron
mkdir -m 700 /var/spool/cron/crontabs
cp "$WORK/crontab" /var/spool/cron/crontabs/root
chmod 600 /var/spool/cron/crontabs/root
cp -a /usr/sbin "$WORK/sbin"
rm -f "$WORK/sbin/sendmail"
cp "$WORK/sendmail" "$WORK/sbin/sendmail"
mount --bind "$WORK/sbin" /usr/sbin
exec "$CRON" -f
"""
"""Runs inside a mount namespace: nothing of it can be seen outside."""


def test_cron_mails_what_is_wrong_and_nothing_else(
    environment: Mapping[str, str], sandbox: Sandbox, write_config: Write, command: str, tmp_path: Path
) -> None:
    """A pass and a file that was written are silent; a balance that is too small is one mail with the reason."""
    if os.getuid() != 0:
        pytest.skip("needs to be root: cron changes to the user of each crontab")
    for name in ("unshare", "mount"):
        need(name)
    write_config(f'[profiles.work]\napi_key = "{connected(sandbox)["APIMART_API_KEY"]}"\nbase_url = "{sandbox.url}"\n')
    check = f"{_line('docs/scripting.md')} -p work"
    textfile = _line("docs/monitoring.md").replace("/var/lib/prometheus/node-exporter", str(tmp_path))
    lines = [
        f"PATH={Path(command).parent}:/usr/bin:/bin", f"HOME={environment['HOME']}", f"PYTHONPATH={GUARD}",
        "APIMART_RECORD=0", f"* * * * * {check} && touch {tmp_path}/passed",
        f"* * * * * {check.replace('--min 5', '--min 50')}", f"* * * * * {textfile}",
    ]  # fmt: skip
    (tmp_path / "crontab").write_text("\n".join([*lines, ""]))
    (tmp_path / "empty").touch(mode=0o644)
    mails = tmp_path / "mails"
    (tmp_path / "sendmail").write_text(f"#!/bin/sh\ncat >>{shlex.quote(str(mails))}\n")
    (tmp_path / "sendmail").chmod(0o755)
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "--fork", "--kill-child", "sh", "-c", ITS_OWN_MACHINE],
        env={**environment, "WORK": str(tmp_path), "CRON": need("cron")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as cron:
        try:
            left = [tmp_path / "passed", tmp_path / "apimart.prom", mails]
            wait_until(lambda: cron.poll() is not None or all(path.exists() for path in left), seconds=3 * MINUTE)
            assert cron.poll() is None, cron.stdout and cron.stdout.read()
            wait_until(lambda: mails.read_text().partition("\n\n")[2].endswith("\n"), seconds=MINUTE)
        finally:
            cron.kill()
    assert 'apimart_reading_success{profile="work",scope="key"} 1\n' in (tmp_path / "apimart.prom").read_text()
    _, *told = mails.read_text().split("\n\n")
    assert set(told) == {"BELOW work/spendable: 10.5 left (limited by key), at least 50 required\n"}


def _line(page: str) -> str:
    """Return the command of the line for cron on a page."""
    [line] = "".join(block.text for block in blocks_of("crontab") if block.page == page).splitlines()
    return line.split(maxsplit=5)[5]
