"""What the command of an alert is told: variables, and the same as one JSON object. Pure: no I/O.

The use case of alerts: readings in, a command run once for each balance that became low, or recovered.

Beside everything else: whoever gives the readings does not wait, and no exit code depends on it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.key import environment_without_keys
from apimart_cli.config.settings import Setting, Settings
from apimart_cli.config.values import shortest
from apimart_cli.errors import ApimartError, BadResponseError, PaymentRequiredError, Trace, bug
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.redactor import Redactor
from apimart_cli.ledger.alarms import Asked, Step, claim
from apimart_cli.output import plain
from apimart_cli.output.json import days_of, render_document
from apimart_cli.output.runway import document as forecast_document
from apimart_cli.processes.child import hint_for
from apimart_cli.processes.hook import run_hook
from apimart_cli.processes.signals import SLICE, held_back
from apimart_cli.readings.take import Taken
from apimart_cli.rules.alerts import (
    Alarm,
    Alert,
    Question,
    each_threshold,
    question_of,
    question_of_spend,
    standing_of,
    standing_of_spend,
    step,
)
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Thresholds
from apimart_cli.screen.writing import write_warning
from apimart_cli.text import visible
from apimart_cli.words import AlertEvent

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend

MOST_CHARACTERS = 200
"""Most characters of a text that are passed on."""


def variables(alert: Alert) -> Mapping[str, str]:
    """Return the variables of the command; what is not known, or not set, is empty."""
    balance = alert.reading.balance
    facts = {**_facts(alert), "threshold": _threshold_in_words(alert)}
    if balance is not None and balance.unlimited_quota:
        facts["remain"] = "unlimited"
    return {f"APIMART_{name.upper()}": _in_words(value) for name, value in facts.items()}


def document(alert: Alert) -> str:
    """Return the JSON object that the command reads, as one line."""
    reading = alert.reading
    balance = reading.balance
    name, threshold = _threshold(alert)
    facts = _facts(alert)
    return render_document(
        {
            "event": facts.pop("event"),
            "profile": facts.pop("profile"),
            "scope": facts.pop("scope"),
            "remain": facts.pop("remain"),
            "unlimited_quota": None if balance is None else balance.unlimited_quota,
            "threshold": threshold,
            "threshold_name": name,
            **facts,
            "key_id": reading.key_id,
            "host": reading.host,
        }
    )


def _facts(alert: Alert) -> dict[str, str | Decimal | None]:
    """Return what both of them tell alike."""
    reading = alert.reading
    forecast = forecast_document(reading.forecast) or {}
    return {
        "event": alert.event.value,
        "profile": _shown(reading.profile),
        "scope": reading.scope.value,
        "remain": None if reading.balance is None else reading.balance.remain_balance,
        "unit": _shown(reading.unit),
        "days_left": forecast.get("days_left"),
        "days_left_low": forecast.get("days_left_low"),
        "run_label": _shown(alert.label),
        "reason": None if alert.reason is None else alert.reason.value,
        "spent": alert.spent,
    }


def _threshold(alert: Alert) -> tuple[str | None, Decimal | None]:
    """Return the name and the amount of the threshold, a duration in days; None where none is the reason."""
    if alert.threshold.min is not None:
        return "min", alert.threshold.min
    if alert.threshold.min_runway is not None:
        return "min_runway_days", days_of(alert.threshold.min_runway)
    if alert.max_spent is not None:
        return "max_spent", alert.max_spent
    return ("max_spend", alert.max_spend) if alert.max_spend is not None else (None, None)


def _threshold_in_words(alert: Alert) -> str:
    name, amount = _threshold(alert)
    if amount is None:
        return ""
    return f"{plain(amount.normalize())}d" if name == "min_runway_days" else plain(amount)


def _in_words(value: str | Decimal | None) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else value


def _shown(text: str | None) -> str | None:
    """Return a text of the user fit to be passed on: one line, and no key that somebody put in the wrong place."""
    return None if text is None else visible(text)[:MOST_CHARACTERS]


LONGEST = 10.0
"""Seconds that a command may take."""

MOST_AT_ONCE = 16
"""Most commands that run side by side."""

LEDGER_SECONDS = 0.25
"""Most seconds for the ledger while nothing is low."""

PATIENT_SECONDS = 2.0
"""Most seconds for it when something is: the command takes longer, and a second alert is worse than a moment."""


class _Due(NamedTuple):
    """What is asked of the ledger, and the reading behind it."""

    asked: Asked
    settings: Settings
    reading: Reading
    threshold: Thresholds


class Alerts:
    """The alerts of one process. Give it readings with `take`, and at the end `finish`."""

    def __init__(
        self,
        profiles: Sequence[Settings],
        *,
        label: str | None = None,
        holds_warnings: bool = False,
        trace: Trace | None = None,
    ) -> None:
        """Alert about these profiles. With `holds_warnings` failures are told at the end only.

        `trace` takes a line for each reading and threshold: whether a command is run, and if not, why.
        """
        self._profiles = profiles
        self._trace = trace or (lambda _line: None)
        self._label = label
        self._holds_warnings = holds_warnings
        self._warnings: list[tuple[str, str]] = []
        self._known: dict[Question, Alarm] = {}
        self._waiting: SimpleQueue[Sequence[Taken] | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._running: list[threading.Thread] = []
        self._late: list[Callable[[], None]] = []
        self._turn = threading.Semaphore(MOST_AT_ONCE)

    def take(self, taken: Sequence[Taken]) -> None:
        """Look at readings, and run the commands that are due; in threads of its own, without waiting."""
        if self._worker is None:
            self._worker = _started(self._work)
        if self._worker is None:
            with self._bugs_told():
                self._look(taken)
        else:
            self._waiting.put(taken)

    def take_spends(self, spends: "Sequence[tuple[Settings, JudgedSpend]]") -> None:
        """Look at what was spent, held to budgets, as `take` looks at readings; the commands run in threads."""
        with self._bugs_told():
            for settings, judged in spends if any(each.wants_alerts() for each, _ in spends) else ():
                self._look_at_spend(settings, judged)

    def _look_at_spend(self, settings: Settings, judged: "JudgedSpend") -> None:
        standing = standing_of_spend(judged, settings.rearm.value)
        subject = f"alert: {judged.reading.name}, max_spent {judged.budget.most:f}"
        if standing is None:
            self._trace(f"{subject}: not run: what was spent is not known")
            return
        remind = None if settings.remind.value is None else settings.remind.value.total_seconds()
        asked = Asked(question_of_spend(judged), standing, remind)
        [(event, alarm)] = self._steps(_ledger_of(settings), [asked])
        if event is None:
            self._trace(f"{subject}: not run: {_why_not(asked, alarm)}")
            return
        name = "on_low" if event is AlertEvent.LOW else "on_recover"
        setting = settings.on_low if event is AlertEvent.LOW else settings.on_recover
        if setting.value is None:
            self._trace(f"{subject}: {event}: not run: {name} is not set")
            return
        self._trace(f"{subject}: {event}: {name} is run ({setting.source})")
        alert = Alert(
            event,
            _without_balance(judged),
            Thresholds(),
            self._label,
            spent=judged.spent,
            max_spent=judged.budget.most,
        )
        self._start(setting, alert, waits=True)

    def stopping(self, settings: Settings, alert: Alert) -> None:
        """Run `on_stop`, in a thread of its own: what is being stopped does not wait for it."""
        if settings.on_stop.value is not None:
            self._start(settings.on_stop, alert, waits=False)

    def finish(self) -> None:
        """Wait until the commands have ended, or are stopped, and write the warnings that were held."""
        if self._worker is not None:
            self._waiting.put(None)
            _join(self._worker)
        for thread in self._running:
            _join(thread)
        for run in self._late:
            run()
        for message, hint in self._warnings:
            write_warning(message, hint)

    def _work(self) -> None:
        while (taken := self._waiting.get()) is not None:
            with self._bugs_told():
                self._look(taken)

    @contextmanager
    def _bugs_told(self) -> Iterator[None]:
        """Tell of a bug as of any other failure: it must not end the alerts that are still to come."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the last resort of a thread, whose traceback would be shown
            told = bug(error)
            self._warn(f"an alert failed: {told.message}", told.hint or "")

    def _look(self, taken: Sequence[Taken]) -> None:
        due = list({each.asked.question: each for each in reversed(list(_due(taken, self._trace)))}.values())
        for path in {_ledger_of(each.settings) for each in due}:
            of_path = [each for each in due if _ledger_of(each.settings) == path]
            for each, (event, alarm) in zip(of_path, self._steps(path, [each.asked for each in of_path]), strict=True):
                if event is not None:
                    self._alert(each, event)
                else:
                    self._trace(f"{_subject(each.reading, each.threshold)}: not run: {_why_not(each.asked, alarm)}")

    def _steps(self, path: Path | None, asked: Sequence[Asked]) -> Sequence[Step]:
        """Claim what is due: in the ledger, or, where there is none or it fails, among what this process has told."""
        now, is_low = time.time(), any(each.standing.is_low for each in asked)
        steps: Sequence[Step] | None = None
        if path is not None and (is_low or os.path.lexists(path)):
            # Rather twice than never.
            with suppress(Exception):
                steps = claim(path, asked, now, seconds=PATIENT_SECONDS if is_low else LEDGER_SECONDS)
        if steps is None:
            steps = [step(self._known.get(each.question), each.standing, now, each.remind) for each in asked]
        for each, (_, alarm) in zip(asked, steps, strict=True):
            self._known.pop(each.question, None)
            if alarm is not None:
                self._known[each.question] = alarm
        return steps

    def _alert(self, due: _Due, event: AlertEvent) -> None:
        setting = due.settings.on_low if event is AlertEvent.LOW else due.settings.on_recover
        name, subject = "on_low" if event is AlertEvent.LOW else "on_recover", _subject(due.reading, due.threshold)
        if setting.value is None:
            self._trace(f"{subject}: {event}: not run: {name} is not set")
            return
        self._trace(f"{subject}: {event}: {name} is run ({setting.source})")
        self._start(setting, Alert(event, due.reading, due.threshold, self._label), waits=True)

    def _start(self, setting: Setting[Sequence[str] | None], alert: Alert, *, waits: bool) -> None:
        """Run a command in a thread; where the system starts none, now, or at the end unless that `waits`."""

        def run() -> None:
            with self._turn, self._bugs_told():
                self._run(Setting(setting.value or (), setting.source), alert)

        thread = _started(run)
        if thread is None and waits:
            run()
        elif thread is None:
            self._late.append(run)
        else:
            self._running = [*(each for each in self._running if each.is_alive()), thread]

    def _run(self, command: Setting[Sequence[str]], alert: Alert) -> None:
        redactor = Redactor(*self._keys())
        subject = f"{alert.reading.name}: {redactor.quote(command.value[0])} ({command.source})"
        again = "it is not run again for this; try it by hand"
        try:
            ended = run_hook(
                command.value, environment=self._environment(alert), told=document(alert).encode(), seconds=LONGEST
            )
        except ChildProcessError:
            # It was run; nobody knows how it ended.
            return
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its words cannot be passed on"
            self._warn(f"{subject} cannot be run: {reason}", hint_for(error, again))
            return
        if ended.status is None:
            what = "still runs, and cannot be stopped," if ended.goes_on else "was stopped"
            self._warn(f"{subject} {what} after {LONGEST:g} seconds", again)
        elif ended.status:
            ending = f"signal {ended.status - 128}" if ended.status > 128 else f"exit code {ended.status}"
            printed = redactor.quote(ended.printed.decode("utf-8", "replace"))
            self._warn(f"{subject} failed with {ending}{f': {printed}' if printed else ''}", again)
        else:
            self._trace(f"{subject} ended with exit code 0")

    def _warn(self, message: str, hint: str) -> None:
        if self._holds_warnings:
            self._warnings.append((message, hint))
        else:
            write_warning(message, hint)

    def _environment(self, alert: Alert) -> Mapping[str, str]:
        """Return our environment without any variable that has a key in it, and with what is to be told."""
        # A locale without the characters of a name is no reason to tell nothing.
        told = {name: os.fsdecode(value.encode("utf-8", "replace")) for name, value in variables(alert).items()}
        return {**environment_without_keys(os.environ), **told}

    def _keys(self) -> Iterator[ApiKey]:
        for settings in self._profiles:
            with suppress(ApimartError):
                # A key that was needed is known by now; nobody is asked for another one.
                yield settings.api_key.value.read(lambda: 0.0)


def _without_balance(judged: "JudgedSpend") -> Reading:
    """Return a reading in whose place a spend stands: its balance was not asked for."""
    reading = judged.reading
    unknown = BadResponseError("the balance was not looked at")
    return Reading(reading.profile, reading.scope, "USD", unknown, reading.key_id, reading.host)


def _subject(reading: Reading, threshold: Thresholds) -> str:
    """Return how a line of `--debug` begins."""
    text = f"min {threshold.min:f}" if threshold.min is not None else "min_runway"
    return f"alert: {reading.name}, {text}"


def _why_not(asked: Asked, alarm: Alarm | None) -> str:
    """Return why nothing is run, by what a reading says and what is remembered after it."""
    if alarm is None:
        return "enough is left"
    told = f"already told at {datetime.fromtimestamp(alarm.at, UTC):%Y-%m-%d %H:%M:%SZ}"
    if not asked.standing.is_low:
        return f"{told}, and not yet enough to have recovered"
    if asked.remind is None:
        return f"{told}; remind is not set"
    return f"{told}; again after {shortest(timedelta(seconds=asked.remind))}"


def _due(taken: Sequence[Taken], trace: Trace) -> Iterator[_Due]:
    """Yield what the readings say about each threshold, as far as they say anything; tell which say nothing."""
    for settings, readings in taken:
        limits = Thresholds(min=settings.min.value, min_runway=settings.min_runway.value)
        remind = None if settings.remind.value is None else settings.remind.value.total_seconds()
        for reading in readings if settings.wants_alerts() else ():
            for threshold in each_threshold(limits):
                standing = standing_of(reading, threshold, settings.rearm.value)
                if standing is not None:
                    asked = Asked(question_of(reading, threshold), standing, remind)
                    yield _Due(asked, settings, reading, threshold)
                else:
                    reason = "the reading failed" if reading.error else "it is not known how long the balance lasts"
                    trace(f"{_subject(reading, threshold)}: not run: {reason}")
                if isinstance(reading.error, PaymentRequiredError):
                    # One alert says it all.
                    break


def _ledger_of(settings: Settings) -> Path | None:
    return settings.history.value if settings.record.value else None


def _join(thread: threading.Thread) -> None:
    """Wait for a thread, a little at a time: a signal that another thread took is handled between two waits."""
    while thread.is_alive():
        thread.join(SLICE)


def _started(target: Callable[[], None]) -> threading.Thread | None:
    """Start a thread that takes no signal from the main one; return None where the system starts none."""
    thread = threading.Thread(target=target, name="apimart-alerts", daemon=True)
    try:
        with held_back():
            thread.start()
    except RuntimeError:
        return None
    return thread
