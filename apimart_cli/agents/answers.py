"""A call of a tool into its answer: the settings, the question, the verdict, and the fields of `--json`.

Every call reads the settings anew, and asks as the commands do; its readings are recorded as theirs are. What is
decided is decided by `rules.gate`. A proof is a result, and so is a balance below a threshold. Everything else is an
error, with its code and a hint, in which no verdict of a single reading stands.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from threading import BoundedSemaphore
from typing import Any

from apimart_cli.agents.kept import MOST_QUESTIONS, WINDOW, Allowance, Answer, Kept
from apimart_cli.agents.tools import Tool, read_arguments, tool_of
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import ApimartError, ExitCode, Trace, UnavailableError, bug, traced_error
from apimart_cli.output import plain
from apimart_cli.output.json import SCHEMA, reading_document, verdict_document
from apimart_cli.output.runway import in_words, lasts
from apimart_cli.readings.forecasts import Forecasts, patience_for
from apimart_cli.readings.take import Taken, take_readings
from apimart_cli.rules.balance import Reading, with_spendable
from apimart_cli.rules.gate import Judged, Verdict, code_of_readings, judge, unlimited_key
from apimart_cli.rules.pace import Moment
from apimart_cli.text import without_keys
from apimart_cli.words import Outcome, ScopeChoice

SOURCE = "mcp"
"""What the ledger calls these readings."""

MOST_AT_ONCE = MOST_QUESTIONS
"""Most calls that ask the gateway at once."""

_LEFT_OUT = "[...]"
"""Stands in a message for words of the gateway."""

_A_VERDICT = Outcome.PASS.value
"""No error repeats this word: a model that reads quickly might take it for the verdict."""


class Desk:
    """Answers calls, in any thread."""

    def __init__(self, *, trace: Trace | None = None) -> None:
        self._trace = trace
        self._allowance = Allowance()
        self._kept = Kept()
        self._free = BoundedSemaphore(MOST_AT_ONCE)

    def answer(self, name: str, arguments: Mapping[str, Any] | None) -> Answer:
        """Return what came of calling a tool. Nothing is raised."""
        try:
            tool = tool_of(name)
            return self._answer(tool, read_arguments(tool, arguments))
        except ApimartError as error:
            return _failure(error, is_check=name == "check_budget")
        except Exception as error:  # noqa: BLE001  # a bug fails its own call
            for line in traced_error(error) if self._trace is not None else ():
                self._trace(line)  # type: ignore[misc]  # as just asked
            return _failure(bug(error), is_check=name == "check_budget")

    def _answer(self, tool: Tool, arguments: Mapping[str, str]) -> Answer:
        match tool.name:
            case "list_profiles":
                return _profiles()
            case "check_budget":
                return self._check(arguments)
            case "forecast":
                return self._readings(tool, arguments, default_scope=ScopeChoice.SPENDABLE)
            case _:
                return self._readings(tool, arguments, default_scope=ScopeChoice.KEY)

    def _readings(self, tool: Tool, arguments: Mapping[str, str], *, default_scope: ScopeChoice) -> Answer:
        settings = _settings(arguments, default_scope)
        key = settings.api_key.value.key_id, settings.api_key.source
        question = (tool.name, settings.profile.value, key, settings.base_url.value, settings.scope.value)
        asked = _now()
        seconds = self._seconds_to_wait(settings)
        if seconds:
            kept = self._kept.last(question, asked)
            if kept is None:
                raise _too_often(seconds)
            return kept
        is_forecast = tool.name == "forecast"
        taken = self._take(settings, Forecasts([settings], patience=patience_for([settings]) if is_forecast else 0.0))
        answer = _shown(taken.readings, with_words=is_forecast)
        self._kept.keep(question, answer, asked)
        return answer

    def _check(self, arguments: Mapping[str, str]) -> Answer:
        settings = _settings(arguments, ScopeChoice.SPENDABLE)
        thresholds = settings.thresholds()
        if seconds := self._seconds_to_wait(settings):
            # Never from an answer that was kept.
            raise _too_often(seconds)
        needs_forecast = settings.min_runway.value is not None
        forecasts = Forecasts([settings], patience=patience_for([settings])) if needs_forecast else None
        taken = self._take(settings, forecasts, refuse_exposed=True)
        verdict = judge([(reading, thresholds) for reading in taken.readings])
        return _judged(verdict)

    def _seconds_to_wait(self, settings: Settings) -> float:
        """Count the questions about a profile; return in how many seconds they may be asked, where that is not now."""
        return self._allowance.take(len(settings.scope.value.asked), time.monotonic())

    def _take(self, settings: Settings, forecasts: Forecasts | None, *, refuse_exposed: bool = False) -> Taken:
        if not self._free.acquire(blocking=False):
            raise UnavailableError(
                f"{MOST_AT_ONCE} calls are waiting for the gateway already", "try again when they have ended"
            )
        try:
            with take_readings(
                [settings],
                source=SOURCE,
                refuse_exposed=refuse_exposed,
                quiet=True,
                trace=self._trace,
                forecasts=forecasts,
            ) as taken:
                [found] = taken
            return found
        finally:
            self._free.release()


def _now() -> Moment:
    return Moment(time.monotonic(), time.time())


def _settings(arguments: Mapping[str, str], default_scope: ScopeChoice) -> Settings:
    """Return the settings of the one profile that a call is about."""
    options = Options(
        profiles=(arguments["profile"],) if "profile" in arguments else (),
        scope=arguments.get("scope"),
        min=arguments.get("min"),
        min_runway=arguments.get("min_runway"),
    )
    [settings] = resolve(options, default_scope=default_scope)
    return settings


def _too_often(seconds: float) -> ApimartError:
    return UnavailableError(
        f"the gateway is asked at most {MOST_QUESTIONS} questions in {WINDOW:.0f} seconds",
        f"ask again in {max(1, round(seconds))} seconds; the balance is not known until then",
    )


def _profiles() -> Answer:
    from apimart_cli.config.lookup import list_profiles

    _, rows = list_profiles(os.environ)
    found = [{"profile": without_keys(row.profile), "key_id": row.key_id, "host": row.host} for row in rows]
    return Answer({"schema": SCHEMA, "exit_code": 0, "profiles": found})


def _shown(readings: Sequence[Reading], *, with_words: bool) -> Answer:
    code = code_of_readings(readings)
    every = list(with_spendable(readings))
    document = {
        "schema": SCHEMA,
        "exit_code": int(code),
        "age_seconds": 0,
        "readings": [{**_document(each), **(_in_words(each) if with_words else {})} for each in every],
    }
    failed = next((each for each in readings if each.error is not None and each.error.exit_code is code), None)
    if failed is None or failed.error is None:
        return Answer(document)
    return Answer({**document, "error": error_document(failed.error, _quoted(failed))}, is_error=True)


def _in_words(reading: Reading) -> Mapping[str, str]:
    if reading.balance is None:
        return {}
    return {"lasts": lasts(reading.forecast, unlimited=reading.balance.unlimited_quota)}


def _judged(verdict: Verdict) -> Answer:
    """Return a verdict; one that proves nothing as an error."""
    found = verdict_document(verdict)
    rows = [{**row, **_document(each.reading)} for row, each in zip(found["readings"], verdict.judged, strict=True)]
    document = _in_text({**found, "readings": rows})
    if verdict.outcome in {Outcome.PASS, Outcome.BELOW}:
        return Answer(document)
    for row in document["readings"]:
        del row["verdict"]
    return Answer({**document, "error": _why(verdict)}, is_error=True)


def _why(verdict: Verdict) -> Mapping[str, Any]:
    """Return why a verdict proves nothing."""
    first: Judged = next(each for each in verdict.judged if each.outcome is verdict.outcome)
    if first.reading.error is not None:
        return error_document(first.reading.error, _quoted(first.reading))
    if verdict.outcome is Outcome.NO_FORECAST:
        reason = in_words(first.reading.forecast)
        message = f"{first.reading.name}: it is not known how long the balance lasts: {reason}"
        return _error("no_forecast", verdict.exit_code, message, "check `min` alone, or try again in some days", [])
    limitless = unlimited_key(first.reading) or first.reading
    return _error("unlimited", verdict.exit_code, f"{limitless.name}: the quota is unlimited", None, [])


def _document(reading: Reading) -> dict[str, Any]:
    """Return a reading as the fields of its JSON, amounts as text, and words of the gateway in a field of their own."""
    document: dict[str, Any] = _in_text(reading_document(reading))
    if reading.error is not None:
        document["error"] = error_document(reading.error, _quoted(reading))
    return document


def _in_text(value: Any) -> Any:
    """Return a JSON value with every decimal number in it as text, with all its digits."""
    match value:
        case Decimal():
            return plain(value)
        case Mapping():
            return {name: _in_text(item) for name, item in value.items()}
        case list() | tuple():
            return [_in_text(item) for item in value]
        case _:
            return value


def _quoted(reading: Reading) -> list[str]:
    """Return the words of the gateway in the error of a reading, the longest first."""
    return sorted({text for each in (reading, *reading.parts) for text in each.quoted}, key=len, reverse=True)


def error_document(error: ApimartError, quoted: Sequence[str]) -> Mapping[str, Any]:
    """Return an error as the fields of its JSON, with what it quotes of the gateway apart."""
    return _error(error.code, error.exit_code, error.message, error.hint, quoted)


def _error(code: str, exit_code: ExitCode, message: str, hint: str | None, quoted: Sequence[str]) -> Mapping[str, Any]:
    said: list[str] = []
    for text in quoted:
        before, found, after = message.rpartition(text)
        if found:
            message = f"{before}{_LEFT_OUT}{after}"
            said.append(text)
    told = "; ".join(said)
    return {
        "code": code,
        "exit_code": int(exit_code),
        "message": _for_agents(message),
        "hint": hint and _for_agents(hint),
        "gateway_said": None if not told or _A_VERDICT in told.casefold() else told,
    }


_OPTIONS = re.compile(r"--(min-runway|min|scope|profile)\b")


def _for_agents(text: str) -> str:
    """Return a message with the names of arguments in place of those of options."""
    return _OPTIONS.sub(lambda found: found[1].replace("-", "_"), text)


def _failure(error: ApimartError, *, is_check: bool) -> Answer:
    """Return the answer of a call that ended before there was a reading."""
    document: dict[str, Any] = {"schema": SCHEMA, "exit_code": int(error.exit_code)}
    if is_check:
        document |= {"verdict": Outcome.ERROR.value, "readings": []}
    return Answer({**document, "error": error_document(error, [])}, is_error=True)
