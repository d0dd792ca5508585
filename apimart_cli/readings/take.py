"""The use case of every command that asks: settings in, readings out as they arrive, and into the ledger at the end.

Warnings, failures and progress go to standard error on the way.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from apimart_cli.config.precedence import exposures
from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, AuthError, BadResponseError, NoAccountError, Trace
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.readings.forecasts import Forecasts, may_lack_account, record, unrecorded
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.screen.writing import is_terminal_error, write_error, write_note, write_warning
from apimart_cli.target import Target
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.gateway.question import Sharing
    from apimart_cli.screen.progress import Waiting

_KEY_ALONE = "--scope key"
_WITHOUT_ACCOUNT = f"try again later; where this gateway has no account endpoint, look at the key alone: {_KEY_ALONE}"


class Taken(NamedTuple):
    """The readings of one profile, in the order of its scopes."""

    settings: Settings
    readings: Sequence[Reading]

    @property
    def lacks_account(self) -> bool:
        """Whether the gateway has no account endpoint, and the key alone was looked at, as no scope was chosen."""
        is_asked = Scope.ACCOUNT in self.settings.scope.value.asked
        return is_asked and all(reading.scope is Scope.KEY for reading in self.readings)


@contextmanager
def take_readings(
    profiles: Sequence[Settings],
    *,
    source: str,
    refuse_exposed: bool = False,
    quiet: bool = False,
    keyless_too: bool = False,
    is_silent: bool = False,
    trace: Trace | None = None,
    forecasts: Forecasts | None = None,
    sharing: "Sharing | None" = None,
    is_looked_at: bool = False,
) -> Iterator[Iterator[Taken]]:
    """Ask for all profiles at once, and give the readings of each, in order, as soon as they are there.

    When the block ends, the failures among the readings that were taken are written to standard error, and then, as
    the answer is out, the balances to the ledger, with the command that asked as their `source`. `quiet` shows no
    progress; `trace` takes a line for each attempt; `forecasts` gives each reading its forecast.

    A key file that other users can read or change gets a warning; with `refuse_exposed` it is a ConfigError.
    Raises AuthError when there is a single profile and it has no usable key: then there is nothing to ask. Among
    several, or with `keyless_too`, such a profile has a failed reading of its own. `is_silent` is for an answer that
    tells failures itself: they are not written to standard error, and no note is. `sharing` is had in common with
    others that ask for the same keys; `is_looked_at` is for profiles that `look_at` has seen.
    """
    quiet = quiet or is_silent
    if not is_looked_at:
        look_at(profiles, refuse_exposed=refuse_exposed, quiet=quiet, keyless_too=keyless_too, is_silent=is_silent)
    taken: list[Taken] = []
    # Last: making the connections possible costs most of the start, and nothing is asked before this line.
    from apimart_cli.gateway.client import ask

    with ask(
        [target for settings in profiles for target in _targets(settings)], trace=trace, sharing=sharing
    ) as readings:
        if forecasts is not None:
            forecasts.start()
        arriving = readings if forecasts is None else map(forecasts.added_to, readings)
        yield _grouped(profiles, arriving, taken, quiet=quiet)
    if not is_silent:
        write_failures([reading for each in taken for reading in each.readings])
    if not quiet:
        _write_account_notes(taken)
    if forecasts is not None:
        forecasts.stop()
    _record(taken, source, quiet=quiet, is_silent=is_silent)


def look_at(
    profiles: Sequence[Settings],
    *,
    refuse_exposed: bool = False,
    quiet: bool = False,
    keyless_too: bool = False,
    is_silent: bool = False,
) -> None:
    """Tell and refuse what has to be before anything is asked: see `take_readings`."""
    for exposure in exposures(profiles):
        if refuse_exposed:
            raise exposure
        write_warning(exposure.message, exposure.hint)
    if len(profiles) == 1 and not keyless_too and isinstance(profiles[0].api_key.value, NoKey):
        raise profiles[0].api_key.value.error
    if not is_silent:
        _write_doubts(profiles, quiet=quiet)
    if not quiet:
        _write_key_notes(profiles)


def ask_again(
    settings: Settings, *, trace: Trace | None = None, forecasts: Forecasts | None = None
) -> Sequence[Reading]:
    """Ask for one profile once more, without a word, in any thread: for what asks again and again.

    Give one reading for each scope that is asked; failures are among them. Nothing is recorded.
    """
    from apimart_cli.gateway.client import ask

    with ask(settings.targets(), trace=trace) as readings:
        if forecasts is None:
            return list(readings)
        forecasts.start()
        try:
            return list(map(forecasts.added_to, readings))
        finally:
            forecasts.stop()


def count(profiles: Sequence[Settings]) -> int:
    """Return how many readings there will be."""
    return sum(1 if settings.scope.value is ScopeChoice.SPENDABLE else _questions(settings) for settings in profiles)


def _questions(settings: Settings) -> int:
    return len(settings.scope.value.asked)


def _targets(settings: Settings) -> list[Target]:
    """Return what to ask. An account that is asked by default may be missing: some gateways have keys only."""
    targets = settings.targets()
    if settings.is_scope_chosen:
        return targets
    return [
        target._replace(may_be_missing=partial(may_lack_account, settings.history.value, target.host))
        if target.scope is Scope.ACCOUNT
        else target
        for target in targets
    ]


def _write_key_notes(profiles: Sequence[Settings]) -> None:
    """Tell a person that a row of the answer is not about the key of the profile that it names."""
    if "APIMART_SANDBOX" in os.environ:
        # There the sandbox has set the variable.
        return
    for settings in profiles:
        if settings.is_key_instead_of_profile and is_terminal_error():
            name = settings.profile.value
            write_note(
                f"the key is that of {settings.api_key.source}, not that of profile {name}",
                f"use the profile's own with: --profile {shlex.quote(name)}",
            )


def _write_doubts(profiles: Sequence[Settings], *, quiet: bool) -> None:
    """Tell, once each, what is probably not meant; with `quiet`, of a key only: its rejection would be a riddle."""
    doubts = [doubt for settings in profiles for doubt in (() if quiet else settings.doubts())]
    for doubt in dict.fromkeys((*filter(None, (settings.key_doubt() for settings in profiles)), *doubts)):
        (write_warning if doubt.is_warning else write_note)(doubt.message, doubt.hint)


def _grouped(
    profiles: Sequence[Settings], readings: Iterator[Reading], taken: list[Taken], *, quiet: bool
) -> Iterator[Taken]:
    from apimart_cli.screen.progress import progress

    with progress(waiting_for(profiles, sum(map(_questions, profiles))), quiet=quiet) as counted:
        for number, settings in enumerate(profiles, start=1):
            group = []
            for reading in islice(readings, _questions(settings)):
                counted.step()
                group.append(reading._replace(low_below=settings.min.value, used_above=settings.max_used.value))
            if not settings.is_scope_chosen:
                group = _with_account_by_default(group)
            group = _with_way_out(group)
            if len(group) > 1 and settings.scope.value is ScopeChoice.SPENDABLE:
                group = [spendable(*group)]
            taken.append(Taken(settings, group))
            if number < len(profiles):
                yield taken[-1]
    # Once the progress is wiped away: what is written next has the line to itself.
    yield taken[-1]


def _with_account_by_default(group: list[Reading]) -> list[Reading]:
    """Return what stands for a key and an account that nobody chose to ask: without an account that does not exist.

    One whose answer proves nothing tells how to leave it out, where that helps: where the key was answered.
    """
    key, *accounts = group
    if not accounts or not isinstance(accounts[0].error, BadResponseError):
        return group
    [account] = accounts
    if isinstance(account.error, NoAccountError):
        return [key]
    if key.balance is None:
        return group
    return [key, account._replace(result=BadResponseError(f"{account.error}", _WITHOUT_ACCOUNT))]


def _with_way_out(group: list[Reading]) -> list[Reading]:
    """Return the readings of a profile; an account alone that is refused tells how to leave it out."""
    *keys, account = group
    error = account.error
    is_refused = (isinstance(error, AuthError) and error.rejection is not None) or isinstance(error, BadResponseError)
    if error is None or not is_refused or account.scope is not Scope.ACCOUNT or any(key.error for key in keys):
        return group
    hint = error.hint or ""
    if _KEY_ALONE in hint:
        return group
    if not keys:
        hint = f"{hint}; or look at the key alone: {_KEY_ALONE}"
    elif isinstance(error, AuthError):
        hint = f"the key itself was answered, its account was not: look at the key alone: {_KEY_ALONE}"
    else:
        hint = f"{hint}; or, as the key itself was answered, look at that alone: {_KEY_ALONE}"
    refused = (
        AuthError(error.message, hint, rejection=error.rejection)
        if isinstance(error, AuthError)
        else BadResponseError(error.message, hint)
    )
    return [*keys, account._replace(result=refused)]


def waiting_for(profiles: Sequence[Settings], total: int) -> "Waiting":
    """Return what a person waits for: the host of a single profile, or so many answers."""
    from apimart_cli.screen.progress import Waiting

    first, *others = profiles
    return Waiting(
        total=total,
        host=None if others else first.targets()[0].host,
        seconds=first.timeout.value,
        may_prompt=not all(isinstance(settings.api_key.value, GivenKey | NoKey) for settings in profiles),
    )


class Asked(Protocol):
    """What came of a question, whatever it was about."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def error(self) -> ApimartError | None:
        """Why there is no answer."""


def write_failures(readings: Sequence[Asked]) -> None:
    """Write each failure once, after the names that it has where there are several; one hint for a row of them."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for reading in readings:
        if reading.error is not None:
            names.setdefault((reading.error.message, reading.error.hint), []).append(reading.name)
    failures = list(names)
    for number, (message, hint) in enumerate(failures, start=1):
        subject = f"{_listed(names[message, hint])}: " if len(readings) > 1 else ""
        is_repeated = number < len(failures) and failures[number][1] == hint
        write_error(f"{subject}{message}", None if is_repeated else hint)


def _write_account_notes(taken: Sequence[Taken]) -> None:
    """Tell a person, once for each gateway, that only keys were looked at, as it has no account endpoint."""
    hosts = dict.fromkeys(each.readings[0].host for each in taken if each.lacks_account)
    for host in hosts if is_terminal_error() else ():
        write_note(
            f"{host} has no account endpoint: only the key was looked at",
            "its account may have less left, and nothing here can tell",
        )


def _listed(names: Sequence[str]) -> str:
    """Return all of up to three names, and of more the first two and how many more there are."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _record(taken: Sequence[Taken], source: str, *, quiet: bool, is_silent: bool) -> None:
    """Write the balances to the ledger. That fails silently, with one warning where recording was asked for."""
    recorded = [each for each in taken if each.settings.record.value]
    if not recorded:
        return
    asked_by = next((each.settings.record_asked_by for each in recorded if each.settings.record_asked_by), None)
    path = recorded[0].settings.history.value
    was_there = path is not None and os.path.lexists(path)
    try:
        record(path, [reading for each in recorded for reading in each.readings], source)
    except Exception as error:  # noqa: BLE001  # the ledger never changes what a command does
        if asked_by is not None and not is_silent:
            write_warning(*unrecorded(asked_by, error))
    else:
        if asked_by is None and path is not None and not was_there and os.path.lexists(path) and not quiet:
            _write_first_note(path)


def _write_first_note(path: Path) -> None:
    """Tell a person, once, that readings are kept from now on, and where."""
    if "APIMART_SANDBOX" not in os.environ and is_terminal_error():
        write_note(
            f"readings are recorded in {path}, to tell how long the balance lasts",
            "turn that off with: apimart config set record false",
        )
