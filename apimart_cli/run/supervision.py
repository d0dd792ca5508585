"""The use case of `run`: look before, watch while the command runs, look after it."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.choices import AlertEvent
from apimart_cli.config.settings import Settings
from apimart_cli.errors import (
    NOT_STARTED,
    ApimartError,
    CommandStatus,
    ExitCode,
    PaymentRequiredError,
    Trace,
    UsageError,
)
from apimart_cli.output.columns import breach_in_words, doubt_in_words, duration
from apimart_cli.processes.child import Child, hint_for
from apimart_cli.processes.signals import INTERRUPTED, asked_to_end
from apimart_cli.processes.watchdog import Watchdog
from apimart_cli.records import STOPPED, Run
from apimart_cli.rules.alerts import Alert
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Thresholds
from apimart_cli.rules.guard import Guard, Limits
from apimart_cli.run.accounting import FinishedRun, close
from apimart_cli.run.looking import Looking, Sight, settle
from apimart_cli.run.watching import Register, Watch
from apimart_cli.screen.writing import only_told, write_error, write_warning
from apimart_cli.text import without_keys
from apimart_cli.words import Scope, StoppedBy

if TYPE_CHECKING:
    from apimart_cli.processes.relay import TerminalSettings

CANNOT_INVOKE, NOT_FOUND = 126, 127
"""The codes of GNU timeout."""

_HARD_LIMIT_HINT = "for a hard limit, give the key a quota of its own"


class RunOptions(NamedTuple):
    """What is to be run, and how it is guarded. Times are in seconds."""

    command: Sequence[str]
    settings: Settings
    limits: Limits
    interval: float | None = None
    kill_after: float = 10.0
    max_blind: float | None = None
    """None never stops the command for it."""
    fail_open: bool = False
    no_forecast_passes: bool = False
    settle: bool | None = None
    """Whether to wait until everything is booked; None waits unless the command was stopped."""
    label: str | None = None
    report: Path | None = None
    trace: Trace | None = None
    on_readings: Callable[[Sequence[Reading]], None] | None = None
    """Takes the readings of each look that are held to the limits."""
    on_stopping: Callable[[Alert], None] | None = None
    """Called when a limit is reached, before the stop begins. It must not wait."""


class _End(NamedTuple):
    """How a command ended: its status, what apimart itself says of it, and what stopped it."""

    status: int
    code: ExitCode
    stopped_by: StoppedBy | None = None
    could_not_stop: int = 0
    """How many of its processes could not be stopped."""


class _Ended(NamedTuple):
    """A command that has ended, and what is known of it."""

    looking: Looking
    guard: Guard
    watch: Watch
    end: _End
    seconds: float
    """How long it ran."""


def run_guarded(options: RunOptions) -> CommandStatus:
    """Run a command under a guard, and return the status to end with.

    Raises the ApimartError of the first look; then the command was not started.
    """
    # Before everything else, as it forks: a process with threads cannot be copied safely.
    watchdog = _start_watchdog(options)
    try:
        looking = Looking(options.settings, options.limits, trace=options.trace, on_readings=options.on_readings)
        guard = Guard(options.limits, interval=options.interval, max_blind=options.max_blind)
        began = datetime.now(UTC)
        first = looking.first()
        guard.take(first.look)
        run = _run_of(options, first, began)
        refused = _refusal(options, guard, first)
        if refused is None:
            return _run(options, looking, guard, first, run, watchdog)
        run = run._replace(ended=datetime.now(UTC), exit_code=refused.status, stopped_by=refused.stopped_by)
        close(FinishedRun(run, 0.0, refused.code, options.limits, first.readings, (), None), options.report)
        return CommandStatus(refused.status)
    finally:
        if watchdog is not None:
            watchdog.release()


def _start_watchdog(options: RunOptions) -> Watchdog | None:
    try:
        return Watchdog.start(options.kill_after)
    except OSError as error:
        message = f"the command cannot be guarded: {error.strerror}"
        raise UsageError(message, hint_for(error, "try again later")) from None


def _run_of(options: RunOptions, first: Sight, began: datetime) -> Run:
    settings, key = options.settings, first.readings[0]
    label = None if options.label is None else without_keys(options.label)
    name = without_keys(settings.profile.value)
    return Run(key.key_id or "", key.host, name, label, settings.unit.value, began)


def _refusal(options: RunOptions, guard: Guard, first: Sight) -> _End | None:
    """Say why the command is not started, and return its end; None if it may be started."""
    stopped_by = guard.stop(first.look.at)
    if stopped_by is not None and stopped_by is not StoppedBy.BLIND:
        reason = _limit_in_words(options, stopped_by, first.look.left, guard.spent, first.readings)
        write_error(f"the command was not started: {reason}", "top up, or ask for less")
        return _End(NOT_STARTED, ExitCode.BELOW, stopped_by)
    if first.failure is not None and not (options.fail_open and _is_silence(first)):
        hint = "start it all the same with --fail-open" if _is_silence(first) else None
        write_error("the command was not started: the balance is not known", hint)
        return _End(NOT_STARTED, first.failure.exit_code, StoppedBy.BLIND)
    if first.has_no_forecast and not (options.no_forecast_passes and not first.is_history_unread):
        write_error(
            "the command was not started: it is not known how long the balance lasts",
            "the history cannot be read: try again, or name another file: APIMART_HISTORY"
            if first.is_history_unread
            else "start it all the same with --on-no-forecast pass",
        )
        return _End(NOT_STARTED, ExitCode.NO_FORECAST, StoppedBy.MIN_RUNWAY)
    if first.failure is not None:
        write_warning(
            "the balance is not known; the command is started because of --fail-open",
            "what it spends is counted from the first reading on; leave --fail-open out to stop here",
        )
    return None


def _is_silence(sight: Sight) -> bool:
    """Tell whether the gateway did not answer at all: not even that it does not know the balance."""
    errors = [reading.error for reading in sight.readings if reading.error is not None]
    return all(error.is_silence for error in errors)


def _run(
    options: RunOptions, looking: Looking, guard: Guard, first: Sight, run: Run, watchdog: Watchdog | None
) -> CommandStatus:
    """Run the command, and say what it has cost."""
    is_recorded = options.settings.record.value and run.key_id
    register = Register(options.settings.history.value if is_recorded else None, run, patience=looking.patience)
    started = time.monotonic()
    with Watch(guard, looking, first, advice=_advice(options), register=register) as watch:
        end = _supervised(options, watch, register, watchdog)
    if watchdog is not None:
        # From here on it would stop what the command has left running on purpose.
        watchdog.release()
    with asked_to_end(), only_told():
        _tell_the_end(options, _Ended(looking, guard, watch, end, time.monotonic() - started), first, run, register)
    return CommandStatus(end.status)


def _tell_the_end(options: RunOptions, ended: _Ended, first: Sight, run: Run, register: Register) -> None:
    """Say why it was stopped and what it has cost. A failure in one part leaves the other parts alone."""
    looking, guard, watch, end, seconds = ended
    after, is_settled, others = watch.latest, False, None
    if end.stopped_by is not None:
        what = "could not be stopped, and ended by itself" if end.could_not_stop else "was stopped"
        with only_told():
            write_error(f"the command {what}: {_breach(options, watch, end.stopped_by)}", _HARD_LIMIT_HINT)
    if end.code is not ExitCode.USAGE and (end.stopped_by is not StoppedBy.BLIND or options.settle):
        with only_told():
            after, is_settled = settle(looking, guard, after, waits=_settles(options, end))
            # If the command was short, the doubt may have shown only after its end.
            if (doubt := guard.new_doubt()) is not None:
                write_warning(*doubt_in_words(doubt))
    run = run._replace(
        ended=datetime.now(UTC),
        spent=guard.spent,
        is_settled=is_settled,
        stopped_by=end.stopped_by,
        exit_code=end.status,
        could_not_stop=end.could_not_stop,
    )
    with only_told():
        others = register.finish(run)
    counted = Scope.ACCOUNT if guard.counts_account else Scope.KEY
    finished = FinishedRun(run, seconds, end.code, options.limits, first.readings, after.readings, others, counted)
    close(
        finished,
        options.report,
        left=after.look.left if options.limits.need_what_is_left else looking.left_of_key(after),
    )


def _settles(options: RunOptions, end: _End) -> bool:
    """Tell whether to wait until everything is booked. By default, not after a stop or a Ctrl-C."""
    if options.settle is not None:
        return options.settle
    return end.stopped_by is None and end.status != INTERRUPTED


class _Supervision:
    """One command under its guard: how it is started, when it is stopped, and why."""

    def __init__(self, options: RunOptions, watch: Watch, register: Register, watchdog: Watchdog | None) -> None:
        self.child: Child | None = None
        """The command, once it was started."""
        self._options = options
        self._watch = watch
        self._register = register
        self._watchdog = watchdog

    def start(self) -> Child:
        """Start the command. Raises OSError or ValueError when it cannot be started."""
        self.child = Child.start(self._options.command)
        self._register.command = self.child.pid
        if self._watchdog is not None:
            self._watchdog.tell(self.child.pid, has_own_group=not self.child.shares_our_group)
        return self.child

    def stop_within(self, _child: Child) -> float | None:
        """Return the seconds that the command has to end, if it must end; None if it may go on."""
        if not self._watch.must_stop():
            return None
        if self._options.on_stopping is not None and self._watch.stopped_by is not None:
            self._options.on_stopping(_alert_of(self._options, self._watch, self._watch.stopped_by))
        return self._options.kill_after

    def is_suspended(self) -> bool:
        """Tell whether the command is suspended because we are."""
        return self._watchdog is not None and self._watchdog.suspends

    def why(self) -> str | None:
        """Say why the command must end; None if it may go on."""
        stopped_by = self._watch.stopped_by
        return None if stopped_by is None else _breach(self._options, self._watch, stopped_by)


def _supervised(options: RunOptions, watch: Watch, register: Register, watchdog: Watchdog | None) -> _End:
    """Run the command until it has ended, and stop it if a limit is reached."""
    from apimart_cli.processes.relay import TerminalSettings, supervise
    from apimart_cli.screen.pieces import Unreached

    terminal = TerminalSettings()
    supervision = _Supervision(options, watch, register, watchdog)
    try:
        status = supervise(
            supervision.start,
            stop_within=supervision.stop_within,
            is_suspended=supervision.is_suspended,
            told=Unreached(supervision.why),
        )
    except Exception as error:  # noqa: BLE001  # raised again by `_after_failure`, unless the command has ended by itself
        if supervision.child is None and isinstance(error, OSError | ValueError):
            return _not_invoked(options, error)
        return _after_failure(options, supervision.child, error, terminal)
    child = supervision.child
    if watch.stopped_by is not None or (child is not None and child.was_killed):
        with only_told():
            terminal.restore()
    if watch.stopped_by is None:
        return _End(status, ExitCode.OK)
    code = watch.failure.exit_code if watch.stopped_by is StoppedBy.BLIND and watch.failure else ExitCode.BELOW
    return _End(STOPPED, code, watch.stopped_by, 0 if child is None else child.could_not_stop)


def _alert_of(options: RunOptions, watch: Watch, stopped_by: StoppedBy) -> Alert:
    """Return the alert for the command of `on_stop`."""
    limits = options.limits
    by_min, by_runway = stopped_by is StoppedBy.MIN, stopped_by is StoppedBy.MIN_RUNWAY
    return Alert(
        AlertEvent.STOPPED,
        watch.held(),
        Thresholds(min=limits.min if by_min else None, min_runway=limits.min_runway if by_runway else None),
        None if options.label is None else without_keys(options.label),
        reason=stopped_by,
        max_spend=limits.max_spend if stopped_by is StoppedBy.MAX_SPEND else None,
        spent=watch.spent,
    )


def _after_failure(options: RunOptions, child: Child | None, error: Exception, terminal: "TerminalSettings") -> _End:
    """Return the end of a command that had ended before something of ours failed; else stop it, and raise `error`."""
    is_lost = isinstance(error, ChildProcessError)
    if child is not None:
        with suppress(ChildProcessError):
            if not is_lost and (status := child.wait(0)) is not None:
                with only_told():
                    raise error
                return _End(status, ExitCode.OK)
            # Without its guard it must not run on.
            child.stop(options.kill_after)
        with only_told():
            terminal.restore()
    if is_lost:
        raise ApimartError(f"the exit code of {options.command[0]} is lost", "do not ignore SIGCHLD") from None
    raise error


def _not_invoked(options: RunOptions, error: Exception) -> _End:
    reason = getattr(error, "strerror", None) or "its arguments cannot be passed on"
    write_error(f"cannot run {options.command[0]}: {reason}", hint_for(error, "check the command after --"))
    return _End(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_INVOKE, ExitCode.USAGE)


def _breach(options: RunOptions, watch: Watch, stopped_by: StoppedBy) -> str:
    """Say why the command was stopped: which limit was reached, or what is not known."""
    if stopped_by is StoppedBy.BLIND and watch.failure is not None:
        return f"the balance is not known: {watch.failure.message}"
    return _limit_in_words(options, stopped_by, watch.latest.look.left, watch.spent, watch.last_readings)


def _limit_in_words(
    options: RunOptions,
    stopped_by: StoppedBy,
    left: Decimal | None,
    spent: Decimal | None,
    readings: Sequence[Reading],
) -> str:
    """Say which limit was reached; if the gateway said that there is no money, in its words."""
    no_money = (reading.error.in_short for reading in readings if isinstance(reading.error, PaymentRequiredError))
    unit, shortage = options.settings.unit.value, next(no_money, None)
    return breach_in_words(stopped_by, options.limits, left=left, spent=spent, unit=unit, shortage=shortage)


def _advice(options: RunOptions) -> str:
    """Say what happens to the command while the balance is not known."""
    if options.max_blind is None:
        return "the command goes on, because of --on-blind continue"
    limit = duration(options.max_blind)
    return f"the command goes on; it is stopped after {limit}, or when a limit would be reached at the last rate"
