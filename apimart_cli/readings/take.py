"""The use case of every command that asks: settings in, readings out as they arrive, and into the ledger at the end.

Warnings, failures and progress go to standard error on the way.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.precedence import exposures
from apimart_cli.config.settings import Settings
from apimart_cli.errors import AuthError, BadResponseError, NoAccountError, Trace
from apimart_cli.keys.key import NoKey
from apimart_cli.readings import Tells
from apimart_cli.readings.forecasts import Forecasts, may_lack_account, record, unrecorded
from apimart_cli.rules.balance import Reading
from apimart_cli.target import Target
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.config.doubts import Doubt
    from apimart_cli.gateway.question import Sharing
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.screen.progress import Progress

_KEY_ALONE = "--scope key"
_WITHOUT_ACCOUNT = f"try again later; where this gateway has no account endpoint, look at the key alone: {_KEY_ALONE}"


class Taken(NamedTuple):
    """The readings of one profile, in the order of its scopes."""

    settings: Settings
    readings: Sequence[Reading]
    history_error: Exception | None = None
    """Why the ledger gave no forecasts, if it cannot be read."""

    @property
    def lacks_account(self) -> bool:
        """Whether no scope was chosen and the gateway has no account endpoint, so that only the key was looked at."""
        is_asked = Scope.ACCOUNT in self.settings.scope.value.asked
        return is_asked and all(reading.scope is Scope.KEY for reading in self.readings)


@contextmanager
def take_readings(
    profiles: Sequence[Settings],
    *,
    source: str,
    tells: Tells = Tells.EVERYTHING,
    refuse_exposed: bool = False,
    keyless_too: bool = False,
    trace: Trace | None = None,
    forecast_patience: float | None = None,
    books: "BookForecasts | None" = None,
    sharing: "Sharing | None" = None,
    is_looked_at: bool = False,
) -> Iterator[Iterator[Taken]]:
    """Ask for all profiles at once, and give the readings of each profile, in order, as soon as they are there.

    What is written, and when, as far as `tells` allows it:

        before the block        files that others can read, doubts about settings, notes about keys
        while readings arrive   progress
        after the block         failures, notes about accounts; last, as the answer is out, the ledger

    After a block that raises, nothing more is written. `source` is the command that asks, as the ledger calls it;
    `trace` takes a line for each attempt.

    A key file that other users can read or change gets a warning; with `refuse_exposed` it is a ConfigError. A single
    profile without a usable key is an AuthError, as there is nothing to ask. Among several profiles, or with
    `keyless_too`, such a profile gets a failed reading instead.

    Without a `forecast_patience` readings get no forecasts. Otherwise the answer may wait for them until so many
    seconds after the start; with 0 it takes those that are there. `books` tell forecasts where the ledger has too
    little.

    If other questions need the same keys, give all of them one `sharing`: then each key is read once. `is_looked_at`
    says that `look_at` was called for the profiles.
    """
    if not is_looked_at:
        look_at(profiles, tells=tells, refuse_exposed=refuse_exposed, keyless_too=keyless_too)
    taken: list[Taken] = []
    with ask_with_forecasts(
        profiles,
        [target for each in profiles for target in _targets(each)],
        forecast_patience,
        books=books,
        sharing=sharing,
        trace=trace,
    ) as arriving:
        yield _grouped(profiles, arriving, taken, tells)
    _tell_of(taken, tells)
    _record(taken, source, tells)


def look_at(
    profiles: Sequence[Settings],
    *,
    tells: Tells = Tells.EVERYTHING,
    refuse_exposed: bool = False,
    keyless_too: bool = False,
) -> None:
    """Warn of what is wrong with profiles before anything is asked, or raise, as `take_readings` does."""
    exposed = exposures(profiles)
    if exposed and refuse_exposed:
        raise exposed[0]
    if exposed:
        from apimart_cli.readings.telling import warn_of_exposed

        warn_of_exposed(exposed)
    if len(profiles) == 1 and not keyless_too:
        _require_key(profiles[0])
    if doubts := _doubts(profiles, tells):
        from apimart_cli.readings.telling import write_doubts

        write_doubts(doubts)
    if tells is Tells.EVERYTHING:
        from apimart_cli.readings.telling import write_key_notes

        write_key_notes(profiles)


def ask_again(
    settings: Settings,
    *,
    trace: Trace | None = None,
    forecast_patience: float | None = None,
    books: "BookForecasts | None" = None,
) -> Sequence[Reading]:
    """Ask for one profile once more and return one reading for each scope, failures included.

    Writes and records nothing, and may run in any thread.
    """
    with ask_with_forecasts([settings], settings.targets(), forecast_patience, books=books, trace=trace) as arriving:
        return list(arriving.readings)


class Arriving(NamedTuple):
    """The readings of several targets while they arrive, and what adds their forecasts."""

    readings: Iterator[Reading]
    forecasts: Forecasts | None = None

    @property
    def history_error(self) -> Exception | None:
        """Why the ledger gave no forecasts so far, if it cannot be read."""
        return None if self.forecasts is None else self.forecasts.error


@contextmanager
def ask_with_forecasts(
    profiles: Sequence[Settings],
    targets: Sequence[Target],
    patience: float | None,
    *,
    books: "BookForecasts | None" = None,
    sharing: "Sharing | None" = None,
    trace: Trace | None = None,
) -> Iterator[Arriving]:
    """Ask for `targets` of these profiles, and read the ledger for their forecasts while the answers travel.

    `patience` is the `forecast_patience` of `take_readings`; the other arguments are as there.
    """
    # Imported here: making the connections possible costs most of the start, and what comes before needs none.
    from apimart_cli.gateway.client import ask

    with ask(targets, trace=trace, sharing=sharing) as readings:
        if patience is None:
            yield Arriving(readings)
            return
        forecasts = Forecasts(profiles, patience=patience, books=books)
        with forecasts.reading_ledger():
            yield Arriving(map(forecasts.added_to, readings), forecasts)


def count(profiles: Sequence[Settings]) -> int:
    """Return how many readings there will be."""
    return sum(1 if settings.scope.value is ScopeChoice.SPENDABLE else _questions(settings) for settings in profiles)


def _questions(settings: Settings) -> int:
    return len(settings.scope.value.asked)


def _targets(settings: Settings) -> list[Target]:
    """Return what to ask. An account may be missing if no scope was chosen: some gateways have keys only."""
    targets = settings.targets()
    if settings.is_scope_chosen:
        return targets
    return [
        target._replace(may_be_missing=partial(may_lack_account, settings.history.value, target.host))
        if target.scope is Scope.ACCOUNT
        else target
        for target in targets
    ]


def _require_key(settings: Settings) -> None:
    if isinstance(settings.api_key.value, NoKey):
        raise settings.api_key.value.error


def _doubts(profiles: Sequence[Settings], tells: Tells) -> "list[Doubt]":
    """Return the doubts about settings; one about the key always, as it explains why the key is rejected."""
    if tells is Tells.NOTHING:
        return []
    doubts = [doubt for settings in profiles if (doubt := settings.key_doubt())]
    if tells is Tells.EVERYTHING:
        doubts += [doubt for settings in profiles for doubt in settings.doubts()]
    return doubts


def _grouped(profiles: Sequence[Settings], arriving: Arriving, taken: list[Taken], tells: Tells) -> Iterator[Taken]:
    """Yield the readings of each profile as soon as all of them are there, and add them to `taken`."""
    with progress_for(profiles, sum(map(_questions, profiles)), tells) as counted:
        for number, settings in enumerate(profiles, start=1):
            group = []
            for reading in islice(arriving.readings, _questions(settings)):
                if counted is not None:
                    counted.step()
                group.append(reading._replace(low_below=settings.min.value, used_above=settings.max_used.value))
            if not settings.is_scope_chosen:
                group = _with_account_by_default(group)
            taken.append(Taken(settings, settings.grouped(_with_way_out(group)), arriving.history_error))
            if number < len(profiles):
                yield taken[-1]
    # The last one after the progress is wiped away: what the caller writes next has the line to itself.
    yield taken[-1]


def _with_account_by_default(group: list[Reading]) -> list[Reading]:
    """Return the readings of a key and an account that are asked because no scope was chosen.

    An account that does not exist is left out. If the answer about it proves nothing, but the key was answered, its
    hint says how to leave it out.
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
    """Return the readings of a profile; if only the account was refused, its hint says how to leave it out."""
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


def progress_for(profiles: Sequence[Settings], total: int, tells: Tells) -> "AbstractContextManager[Progress | None]":
    """Return what shows a person how many of `total` answers have arrived, if `tells` allows it."""
    if tells is not Tells.EVERYTHING:
        return nullcontext()
    from apimart_cli.readings.telling import shown_progress

    return shown_progress(profiles, total)


def _tell_of(taken: Sequence[Taken], tells: Tells) -> None:
    """Write the failures and the notes about accounts, as far as `tells` allows it."""
    readings = [reading for each in taken for reading in each.readings]
    if tells is Tells.NOTHING or (tells is Tells.FAILURES and not any(reading.error for reading in readings)):
        return
    from apimart_cli.readings.telling import write_account_notes, write_failures

    write_failures(readings)
    if tells is Tells.EVERYTHING:
        write_account_notes(taken)


def _record(taken: Sequence[Taken], source: str, tells: Tells) -> None:
    """Write the balances to the ledger. A failure is silent; if recording was asked for, it is one warning."""
    recorded = [each for each in taken if each.settings.record.value]
    if not recorded:
        return
    asked_by = next((each.settings.record_asked_by for each in recorded if each.settings.record_asked_by), None)
    path = recorded[0].settings.history.value
    was_there = path is not None and os.path.lexists(path)
    try:
        record(path, [reading for each in recorded for reading in each.readings], source)
    except Exception as error:  # noqa: BLE001  # the ledger never changes what a command does
        if asked_by is not None and tells is not Tells.NOTHING:
            from apimart_cli.screen.writing import write_warning

            write_warning(*unrecorded(asked_by, error))
    else:
        is_first = path is not None and not was_there and os.path.lexists(path)
        if is_first and path is not None and asked_by is None and tells is Tells.EVERYTHING:
            from apimart_cli.readings.telling import write_first_note

            write_first_note(path)
