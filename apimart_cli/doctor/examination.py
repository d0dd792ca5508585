"""The whole examination: settings in, findings out, in the order in which one thing depends on the other.

The gateway is asked while a second connection is looked at, and both end with the time limit. Nothing is recorded.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from apimart_cli.config.key import LEAST_PIECE, keys_at_hand
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.doctor.machine import Machine
from apimart_cli.doctor.network import Look, clock, endpoints, looked_at, meaning
from apimart_cli.errors import ApimartError, ExitCode
from apimart_cli.gateway.client import ask
from apimart_cli.gateway.transport import Head, Looking
from apimart_cli.keys.key import WITHHELD, ApiKey, NoKey
from apimart_cli.processes.signals import SLICE, start_thread
from apimart_cli.readings.forecasts import may_lack_account
from apimart_cli.records import Finding
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import code_of_readings
from apimart_cli.words import Scope


class Examined(NamedTuple):
    """What was found, and the exit code that `balance` would have."""

    findings: list[Finding]
    exit_code: ExitCode


def examine(options: Options, environ: Mapping[str, str] = os.environ) -> Examined:
    """Look at everything, and raise nothing: what is wrong is a finding."""
    machine = Machine(environ)
    try:
        [settings] = resolve(options, environ)
    except ApimartError as error:
        findings = [*machine.program(), *machine.config_file(), Finding.wrong("settings", error)]
        later = [*machine.installed(), *machine.surroundings()]
        return Examined([_without_home(each, environ) for each in _once([*findings, *later])], error.exit_code)
    look, asked = _ask(settings)
    findings = [
        *machine.program(),
        *machine.config_file(),
        *machine.key(settings, asked.readings),
        *looked_at(settings, look),
        *clock(asked.heads),
        *endpoints(settings, asked.readings, asked.heads),
        # The books, `GET /v1/usage`, come here: asked once, like the two endpoints before them.
        *meaning(settings, asked.readings),
        *machine.ledger(settings, asked.readings),
        *machine.alerts(settings),
        *machine.installed(),
        *machine.surroundings(),
    ]
    keys = [key for key in keys_at_hand(settings, environ) if len(key) >= LEAST_PIECE]
    return Examined([_without_home(_without_keys(each, keys), environ) for each in findings], asked.exit_code)


class _Asked(NamedTuple):
    """What the gateway answered: of the key, and of its account."""

    readings: list[Reading]
    heads: list[Head]
    exit_code: ExitCode


def _ask(settings: Settings) -> tuple[Look, _Asked]:
    """Look at the connection and ask both endpoints once, side by side, within the time limit."""
    look, heads = Look(), list[Head]()
    ends_at = time.monotonic() + settings.timeout.value
    target = settings.targets()[0]
    work = partial(look.work, target, lambda: max(0.0, ends_at - time.monotonic()))
    thread = start_thread(work, "doctor")
    source = settings.api_key.value
    if isinstance(source, NoKey):
        readings, code = list[Reading](), source.error.exit_code
    else:
        targets = [target._replace(scope=scope) for scope in (Scope.KEY, Scope.ACCOUNT)]
        wanted = settings.scope.value.asked
        if Scope.ACCOUNT not in wanted:
            targets[1] = targets[1]._replace(
                may_be_missing=partial(may_lack_account, settings.history.value, target.host)
            )
        with ask(targets, looking=Looking(heads.append)) as arriving:
            readings = list(arriving)
        code = code_of_readings(settings.grouped([each for each in readings if each.scope in wanted]))
    if thread is not None:
        _join(thread, ends_at)
    return look, _Asked(readings, heads, code)


def _join(thread: threading.Thread, ends_at: float) -> None:
    """Wait for a thread until the time is over, in short waits, so that a signal is handled between two of them."""
    while thread.is_alive() and (left := ends_at - time.monotonic()) > 0:
        thread.join(min(SLICE, left))


def _once(findings: list[Finding]) -> list[Finding]:
    """Leave out what was found before: a mistake in the file is also why the settings are wrong."""
    seen: set[str] = set()
    kept = []
    for each in findings:
        if each.message not in seen:
            kept.append(each)
        seen.add(each.message)
    return kept


def _without_keys(finding: Finding, keys: Sequence[ApiKey]) -> Finding:
    """Withhold a text that repeats a key, which may have been put where a name belongs.

    Only whole keys are looked for: the texts are ours, and what the gateway said in them went through a redactor.
    """

    def is_safe(text: str) -> bool:
        # The name of a host is in small letters.
        return not any(key.reveal().lower() in text.lower() for key in keys)

    message, hint = finding.message, finding.hint
    return finding._replace(
        message=message if is_safe(message) else WITHHELD,
        hint=hint if hint is None or is_safe(hint) else WITHHELD,
    )


def _without_home(finding: Finding, environ: Mapping[str, str]) -> Finding:
    """Write the home folder as `~`: the name of the user need not stand in a report."""
    home = environ.get("HOME", "").rstrip(os.sep)
    return finding if not home else finding._replace(message=finding.message.replace(f"{home}{os.sep}", f"~{os.sep}"))
