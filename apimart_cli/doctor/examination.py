"""The whole examination: settings in, findings out, in the order in which one thing depends on the other.

The gateway is asked while a second connection is looked at, and both end with the time limit. Nothing is recorded.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from apimart_cli.config.held_keys import LEAST_PIECE, keys_at_hand
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.doctor.machine import Machine
from apimart_cli.doctor.network import NetworkLook, books, clock, endpoints, looked_at, meaning
from apimart_cli.errors import ApimartError, ExitCode, bug
from apimart_cli.gateway.books import Query, ask_books
from apimart_cli.gateway.client import ask
from apimart_cli.gateway.failures import SEE_DOCTOR
from apimart_cli.gateway.question import Sharing
from apimart_cli.gateway.transport import Head, Inspection
from apimart_cli.keys.key import WITHHELD, GivenKey, NoKey, known_keys
from apimart_cli.processes.signals import SLICE, start_thread
from apimart_cli.readings.books import scope_of
from apimart_cli.readings.forecasts import may_lack_account
from apimart_cli.records import DoctorFinding
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.books import BooksReading, Period
from apimart_cli.rules.gate import code_of_readings
from apimart_cli.screen.writing import is_terminal_error
from apimart_cli.words import Scope


class DoctorReport(NamedTuple):
    """What was found, and the exit code that `balance` would have."""

    findings: list[DoctorFinding]
    exit_code: ExitCode


def examine(options: Options, environ: Mapping[str, str] = os.environ) -> DoctorReport:
    """Look at everything, and raise nothing: what is wrong is a finding."""
    machine = Machine(environ)
    here = [
        ("version", machine.program),
        ("config", machine.config_file),
    ]
    around = [("installed", machine.installed), ("surroundings", machine.surroundings)]
    try:
        [settings] = resolve(options, environ)
    except ApimartError as error:
        wrong = DoctorFinding.wrong("settings", error)
        found = _once(_found([*here, ("settings", lambda: [wrong]), *around]))
        return DoctorReport(_safe(found, None, environ), error.exit_code)
    look, asked = _ask(settings)
    found = _found(
        [
            *here,
            ("key", lambda: machine.key(settings, asked.readings)),
            ("connection", lambda: looked_at(settings, look)),
            ("clock", lambda: clock(asked.heads)),
            ("endpoint", lambda: endpoints(settings, asked.readings, asked.heads)),
            ("books", lambda: books(settings, asked.books, asked.heads_of_books)),
            ("balance", lambda: meaning(settings, asked.readings)),
            ("ledger", lambda: machine.ledger(settings, asked.readings)),
            ("alerts", lambda: machine.alerts(settings)),
            *around,
        ]
    )
    return DoctorReport(_safe(found, settings, environ), asked.exit_code)


def _found(sections: Sequence[tuple[str, Callable[[], Iterable[DoctorFinding]]]]) -> list[DoctorFinding]:
    """Return the findings of all sections. A bug in one is a finding, too: the others are needed all the more."""
    findings = []
    for subject, look in sections:
        try:
            findings += list(look())
        except Exception as error:  # noqa: BLE001  # as above
            findings.append(DoctorFinding.wrong(subject, bug(error)))
    return findings


class _Asked(NamedTuple):
    """What the gateway answered: of the key, of its account, and of its books."""

    readings: list[Reading]
    heads: list[Head]
    exit_code: ExitCode
    """That of the readings: `balance` does not ask the books."""
    books: BooksReading | None = None
    """None where there is no key."""
    heads_of_books: Sequence[Head] = ()


def _ask(settings: Settings) -> tuple[NetworkLook, _Asked]:
    """Look at the connection, and ask both endpoints and the books once, side by side, within the time limit."""
    look, heads, heads_of_books = NetworkLook(), list[Head](), list[Head]()
    ends_at = time.monotonic() + settings.timeout.value
    target = settings.targets()[0]
    work = partial(look.work, target, lambda: max(0.0, ends_at - time.monotonic()))
    thread = start_thread(work, "doctor")
    source = settings.api_key.value
    if isinstance(source, NoKey):
        asked = _Asked([], [], source.error.exit_code)
    else:
        targets = [target._replace(scope=scope) for scope in (Scope.KEY, Scope.ACCOUNT)]
        wanted = settings.scope.value.asked
        if Scope.ACCOUNT not in wanted:
            targets[1] = targets[1]._replace(
                may_be_missing=partial(may_lack_account, settings.history.value, target.host)
            )
        sharing = Sharing()
        with (
            _progress(settings),
            ask(targets, sharing=sharing, looking=Inspection(heads.append)) as arriving,
            ask_books(
                [(target, _last_day(settings))], sharing=sharing, looking=Inspection(heads_of_books.append)
            ) as arriving_books,
        ):
            readings, [told] = list(arriving), arriving_books
        code = code_of_readings(settings.grouped([each for each in readings if each.scope in wanted]))
        asked = _Asked(readings, heads, code, told, heads_of_books)
    if thread is not None:
        _join(thread, ends_at)
    return look, asked


def _last_day(settings: Settings) -> Query:
    """Return a question for the books: the last 24 hours, of the key or the account, as `usage` chooses it."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Query(Period(now - timedelta(days=1), now), "UTC", UTC, scope=scope_of(settings))


def _progress(settings: Settings) -> AbstractContextManager[object]:
    """Return what shows a person, after a second, how long this may still take."""
    if not is_terminal_error():
        return nullcontext()
    from apimart_cli.screen.progress import Waiting, progress

    may_prompt = not isinstance(settings.api_key.value, GivenKey)
    return progress(Waiting(3, settings.targets()[0].host, settings.timeout.value, may_prompt))


def _join(thread: threading.Thread, ends_at: float) -> None:
    """Wait for a thread until the time is over, in short waits, so that a signal is handled between two of them."""
    while thread.is_alive() and (left := ends_at - time.monotonic()) > 0:
        thread.join(min(SLICE, left))


def _once(findings: list[DoctorFinding]) -> list[DoctorFinding]:
    """Leave out what was found before: a mistake in the file is also why the settings are wrong."""
    seen: set[str] = set()
    kept = []
    for each in findings:
        if each.message not in seen:
            kept.append(each)
        seen.add(each.message)
    return kept


def _safe(
    findings: Sequence[DoctorFinding], settings: Settings | None, environ: Mapping[str, str]
) -> list[DoctorFinding]:
    """Return the findings fit to be shown: without keys, and without the path of the home folder.

    Only whole keys are looked for: the texts are ours, and what the gateway said in them went through a redactor.
    """
    known = {*(key.reveal() for key in keys_at_hand(settings, environ)), *known_keys()}
    keys = [key.lower() for key in known if len(key) >= LEAST_PIECE]
    return [_without_home(_without_keys(_without_doctor(each), keys), environ) for each in findings]


def _without_doctor(finding: DoctorFinding) -> DoctorFinding:
    """Leave out of a hint that this command is the next thing to run."""
    return finding._replace(hint=finding.hint and finding.hint.replace(SEE_DOCTOR, ""))


def _without_keys(finding: DoctorFinding, keys: Sequence[str]) -> DoctorFinding:
    """Withhold a text that repeats a key, which may have been put where a name belongs; hosts have small letters."""

    def is_safe(text: str) -> bool:
        return not any(key in text.lower() for key in keys)

    message, hint = finding.message, finding.hint
    return finding._replace(
        message=message if is_safe(message) else WITHHELD,
        hint=hint if hint is None or is_safe(hint) else WITHHELD,
    )


def _without_home(finding: DoctorFinding, environ: Mapping[str, str]) -> DoctorFinding:
    """Write the home folder as `~`: the name of the user need not stand in a report."""
    home = (environ.get("HOME") or os.path.expanduser("~")).rstrip(os.sep)
    return finding if not home else finding._replace(message=finding.message.replace(f"{home}{os.sep}", f"~{os.sep}"))
