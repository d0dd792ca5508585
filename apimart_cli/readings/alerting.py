"""The use case of alerts: readings in, a command run once for each balance that became low, or recovered.

What was spent is held to budgets in the same way: a budget that is exceeded is "low".

Commands run in background threads: callers never wait, and no exit code depends on them. A command is told what
happened by variables, and by one JSON object that says the same.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.choices import AlertEvent
from apimart_cli.config.settings import Setting, Settings
from apimart_cli.config.values import shortest
from apimart_cli.errors import ApimartError, BadResponseError, PaymentRequiredError, Trace, bug
from apimart_cli.keys.key import ApiKey, Redactor
from apimart_cli.ledger.alarms import AlertCheck, Step, claim
from apimart_cli.processes.child import hint_for
from apimart_cli.processes.signals import SLICE, start_thread
from apimart_cli.readings.alert_command import fault_of, run_alert_command, unstarted
from apimart_cli.readings.take import Taken
from apimart_cli.rules.alerts import (
    Alarm,
    AlarmQuestion,
    Alert,
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

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend

MOST_AT_ONCE = 16
"""Most commands that run side by side."""

LEDGER_SECONDS = 0.25
"""Most seconds for the ledger while nothing is low."""

PATIENT_SECONDS = 2.0
"""Most seconds for the ledger when something is low: waiting is better than a second alert."""


class _Due(NamedTuple):
    """A question for the ledger, and the reading that it is about."""

    asked: AlertCheck
    settings: Settings
    reading: Reading
    threshold: Thresholds
    spent: Decimal | None = None
    """What was spent in the time of a budget."""
    max_spent: Decimal | None = None
    """What the budget allows, if the question is about one."""

    @property
    def ledger(self) -> Path | None:
        """The ledger that remembers the alarm; None if nothing is recorded."""
        return self.settings.history.value if self.settings.record.value else None

    @property
    def subject(self) -> str:
        """The beginning of a line of `--debug`."""
        if self.max_spent is not None:
            return _subject(self.reading, _budget_word(self.max_spent))
        return _subject(self.reading, _threshold_word(self.threshold))


class Alerts:
    """The alerts of one process. Give it readings with `take`, spends with `take_spends`, and at the end `finish`."""

    def __init__(
        self,
        profiles: Sequence[Settings],
        *,
        label: str | None = None,
        holds_warnings: bool = False,
        trace: Trace | None = None,
    ) -> None:
        """Alert about these profiles. With `holds_warnings`, `finish` writes the warnings.

        `trace` takes a line for each reading and threshold: whether a command is run, and if not, why.
        """
        self._profiles = profiles
        self._trace = trace or (lambda _line: None)
        self._label = label
        self._holds_warnings = holds_warnings
        self._warnings: list[tuple[str, str]] = []
        self._known: dict[AlarmQuestion, Alarm] = {}
        self._waiting: SimpleQueue[Callable[[], Iterator[_Due]] | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._running: list[threading.Thread] = []
        self._late: list[Callable[[], None]] = []
        self._turn = threading.Semaphore(MOST_AT_ONCE)

    def take(self, taken: Sequence[Taken]) -> None:
        """Start the commands that are due after these readings. Runs in the background, without waiting."""
        self._take(lambda: _due(taken, self._trace))

    def take_spends(self, spends: "Sequence[tuple[Settings, JudgedSpend]]") -> None:
        """Start the commands that are due after what was spent was held to budgets, in the background as `take`."""
        self._take(lambda: _due_of_spends(spends, self._trace))

    def stopping(self, settings: Settings, alert: Alert) -> None:
        """Start `on_stop` in the background: stopping the guarded command does not wait for it."""
        if settings.on_stop.value is not None:
            self._start(settings.on_stop, alert, waits=False)

    def finish(self) -> None:
        """Wait until the commands have ended or were stopped, then write the warnings that were held."""
        if self._worker is not None:
            self._waiting.put(None)
            _join(self._worker)
        for thread in self._running:
            _join(thread)
        for run in self._late:
            run()
        for warning in self._warnings:
            write_warning(*warning)

    def _take(self, due: Callable[[], Iterator[_Due]]) -> None:
        if self._worker is None:
            self._worker = start_thread(self._work, "alerts")
        if self._worker is None:
            self._look(due)
        else:
            self._waiting.put(due)

    def _work(self) -> None:
        while (due := self._waiting.get()) is not None:
            self._look(due)

    @contextmanager
    def _bugs_told(self) -> Iterator[None]:
        """Turn a bug into a warning: it must not end the alerts that are still to come."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the last resort of a thread, whose traceback would be shown
            failure = bug(error)
            self._warn(f"an alert failed: {failure.message}", failure.hint or "")

    def _look(self, found: Callable[[], Iterator[_Due]]) -> None:
        """Find which of these alerts are due, asking each ledger once, and start their commands."""
        with self._bugs_told():
            # Profiles with the same key and threshold share one alarm: the first of them alerts.
            first = {each.asked.question: each for each in reversed([*found()])}
            by_ledger: dict[Path | None, list[_Due]] = {}
            for each in first.values():
                by_ledger.setdefault(each.ledger, []).append(each)
            for path, due in by_ledger.items():
                for each, (event, alarm) in zip(due, self._steps(path, [each.asked for each in due]), strict=True):
                    self._act(each, event, alarm)

    def _steps(self, path: Path | None, asked: Sequence[AlertCheck]) -> Sequence[Step]:
        """Claim what is due in the ledger; without one, or if it fails, in the memory of this process."""
        now, is_low = time.time(), any(each.standing.is_low for each in asked)
        steps: Sequence[Step] | None = None
        if path is not None and (is_low or os.path.lexists(path)):
            # If it fails, an alert may be given twice. That is better than never.
            with suppress(Exception):
                steps = claim(path, asked, now, seconds=PATIENT_SECONDS if is_low else LEDGER_SECONDS)
        if steps is None:
            steps = [step(self._known.get(each.question), each.standing, now, each.remind) for each in asked]
        for each, (_, alarm) in zip(asked, steps, strict=True):
            self._known.pop(each.question, None)
            if alarm is not None:
                self._known[each.question] = alarm
        return steps

    def _act(self, due: _Due, event: AlertEvent | None, alarm: Alarm | None) -> None:
        """Start the command of an event, if there is one; trace what is done, and why."""
        subject = due.subject
        if event is None:
            self._trace(f"{subject}: not run: {_why_not(due.asked, alarm)}")
            return
        name = "on_low" if event is AlertEvent.LOW else "on_recover"
        setting = due.settings.commands()[name]
        if setting.value is None:
            self._trace(f"{subject}: {event}: not run: {name} is not set")
            return
        self._trace(f"{subject}: {event}: {name} is run ({setting.source})")
        alert = Alert(event, due.reading, due.threshold, self._label, spent=due.spent, max_spent=due.max_spent)
        self._start(setting, alert, waits=True)

    def _start(self, setting: Setting[Sequence[str] | None], alert: Alert, *, waits: bool) -> None:
        """Run a command in a thread. If the system starts none, run it here if the caller `waits`, else in `finish`."""

        def run() -> None:
            with self._turn, self._bugs_told():
                self._run(Setting(setting.value or (), setting.source), alert)

        thread = start_thread(run, "alerts")
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
            ended = run_alert_command(command.value, alert)
        except ChildProcessError:
            # It was run, but how it ended is lost.
            return
        except (OSError, ValueError) as error:
            self._warn(f"{subject} cannot be run: {unstarted(error)}", hint_for(error, again))
            return
        fault = fault_of(ended)
        if fault is None:
            self._trace(f"{subject} ended with exit code 0")
        else:
            printed = "" if ended.status is None else redactor.quote(ended.printed.decode("utf-8", "replace"))
            self._warn(f"{subject} {fault}{f': {printed}' if printed else ''}", again)

    def _warn(self, message: str, hint: str) -> None:
        if self._holds_warnings:
            self._warnings.append((message, hint))
        else:
            write_warning(message, hint)

    def _keys(self) -> Iterator[ApiKey]:
        for settings in self._profiles:
            with suppress(ApimartError):
                # No time left: a key that was needed is known by now, and no other one is to be asked for.
                yield settings.api_key.value.read(lambda: 0.0)


def _subject(reading: Reading, threshold: str) -> str:
    """Return the beginning of a line of `--debug`."""
    return f"alert: {reading.name}, {threshold}"


def _threshold_word(threshold: Thresholds) -> str:
    return f"min {threshold.min:f}" if threshold.min is not None else "min_runway"


def _budget_word(most: Decimal) -> str:
    return f"max_spent {most:f}"


def _why_not(asked: AlertCheck, alarm: Alarm | None) -> str:
    """Return why nothing is run: what the reading says, and the alarm that is remembered after it."""
    if alarm is None:
        return "enough is left"
    told = f"already told at {datetime.fromtimestamp(alarm.at, UTC):%Y-%m-%d %H:%M:%SZ}"
    if not asked.standing.is_low:
        return f"{told}, and not yet enough to have recovered"
    if asked.remind is None:
        return f"{told}; remind is not set"
    return f"{told}; again after {shortest(timedelta(seconds=asked.remind))}"


def _due(taken: Sequence[Taken], trace: Trace) -> Iterator[_Due]:
    """Yield what the readings say about each threshold; trace those that say nothing about one."""
    for settings, readings, _ in taken:
        limits = Thresholds(min=settings.min.value, min_runway=settings.min_runway.value)
        for reading in readings if settings.has_alerts else ():
            for threshold in each_threshold(limits):
                standing = standing_of(reading, threshold, settings.rearm.value)
                if standing is not None:
                    asked = AlertCheck(question_of(reading, threshold), standing, _remind(settings))
                    yield _Due(asked, settings, reading, threshold)
                else:
                    reason = "the reading failed" if reading.error else "it is not known how long the balance lasts"
                    trace(f"{_subject(reading, _threshold_word(threshold))}: not run: {reason}")
                if isinstance(reading.error, PaymentRequiredError):
                    # "No money" is below every threshold: one alert is enough.
                    break


def _due_of_spends(spends: "Sequence[tuple[Settings, JudgedSpend]]", trace: Trace) -> Iterator[_Due]:
    """Yield what was spent says about each budget; trace the budgets about which it says nothing."""
    for settings, judged in spends:
        if not settings.has_alerts:
            continue
        reading, most = _without_balance(judged), judged.budget.most
        standing = standing_of_spend(judged, settings.rearm.value)
        if standing is not None:
            asked = AlertCheck(question_of_spend(judged), standing, _remind(settings))
            yield _Due(asked, settings, reading, Thresholds(), spent=judged.spent, max_spent=most)
        else:
            trace(f"{_subject(reading, _budget_word(most))}: not run: what was spent is not known")


def _without_balance(judged: "JudgedSpend") -> Reading:
    """Return a reading of the key or account of which the spend is known. It has no balance, as none was asked for."""
    reading = judged.reading
    error = BadResponseError("the balance was not looked at")
    return Reading(reading.profile, reading.scope, "USD", error, reading.key_id, reading.host)


def _remind(settings: Settings) -> float | None:
    return None if settings.remind.value is None else settings.remind.value.total_seconds()


def _join(thread: threading.Thread) -> None:
    """Wait for a thread in short waits: a signal that another thread took is handled between two of them."""
    while thread.is_alive():
        thread.join(SLICE)
