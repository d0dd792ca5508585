"""What is on this machine: the program, its settings, its key, its ledger, its alerts, and what surrounds it."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from apimart_cli.config.file import config_path
from apimart_cli.config.key import unread_variables
from apimart_cli.config.lookup import inspect_settings
from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError
from apimart_cli.files import is_absent
from apimart_cli.installing import INSTALLED, completion_script, manual_page
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.output import runway
from apimart_cli.owners import has_owners
from apimart_cli.readings.forecasts import WAITED_SECONDS, Forecasts
from apimart_cli.records import Condition, DoctorFinding
from apimart_cli.replacing import read_private_file
from apimart_cli.rules.balance import Reading
from apimart_cli.text import listed, quote, shell_word, visible
from apimart_cli.version import __version__

MOST_MISTAKES = 5
"""Most mistakes of the config file that are listed."""

READ = frozenset({
    "APIMART_API_KEY", "APIMART_API_KEY_FILE", "APIMART_BASE_URL", "APIMART_TIMEOUT", "APIMART_PROFILE",
    "APIMART_CONFIG", "APIMART_CONFIG_OWNER", "APIMART_RECORD", "APIMART_HISTORY", "APIMART_DEBUG", "APIMART_KEYLOG",
    "APIMART_SANDBOX", "APIMART_UNIT", "APIMART_BOOKS",
})  # fmt: skip
"""Variables with our name that are read."""

_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
"""Files that Docker and Podman put into every container."""


class Machine:
    """The machine, as a process with these variables sees it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def program(self) -> Iterator[DoctorFinding]:
        """Yield which program this is, and what runs it."""
        import platform

        yield DoctorFinding.ok("version", f"apimart {__version__}, in {sys.prefix}")
        yield DoctorFinding.ok("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")

    def config_file(self) -> Iterator[DoctorFinding]:
        """Yield whether the config file is there and valid, and who can read it."""
        try:
            path = config_path(self._environ)
            report = inspect_settings(self._environ)
        except ApimartError as error:
            yield DoctorFinding.wrong("config", error)
            return
        if path is None:
            hint = "set HOME or XDG_CONFIG_HOME to an absolute path, or APIMART_CONFIG to the path of a file"
            yield DoctorFinding.note("config", "there is no file, and no default place for one", hint)
            return
        if is_absent(path):
            yield DoctorFinding.note("config", f"there is no {path}", "none is needed; apimart login makes one")
            return
        for problem in report.problems[:MOST_MISTAKES]:
            yield DoctorFinding.wrong("config", problem.as_error(report.path))
        if len(report.problems) > MOST_MISTAKES:
            more = f"{len(report.problems) - MOST_MISTAKES} more mistakes"
            yield DoctorFinding("config", Condition.WRONG, more, "list all of them with: apimart config check")
        for doubt in report.warnings[:MOST_MISTAKES]:
            told = doubt.as_error(report.path)
            yield DoctorFinding.note("config", told.message, told.hint)
        if not report.problems:
            count = len(report.profiles)
            profiles = f"{count} profile{'' if count == 1 else 's'}"
            yield DoctorFinding.ok("config", f"{path}: valid, {profiles}, {self._readers(path)}")

    def _readers(self, path: Path) -> str:
        if not has_owners():
            return "its readers are not checked on this system"
        permissions = read_private_file(path, self._environ).permissions
        if permissions & stat.S_IROTH:
            return "every user can read it"
        return "its group can read it" if permissions & stat.S_IRGRP else "only its owner can read it"

    def key(self, settings: Settings, readings: Sequence[Reading]) -> Iterator[DoctorFinding]:
        """Yield where the key comes from, its id, and whether it is usable; and variables that are not read."""
        source = settings.api_key.value
        profile = settings.profile
        yield DoctorFinding.ok("profile", f"{visible(profile.value)}, by {profile.source}")
        failure = readings[0].error if readings else None
        if isinstance(source, NoKey):
            yield DoctorFinding.wrong("key", source.error)
        elif source.key_id is None and failure is not None:
            # It comes from a command or a keyring that gave none.
            yield DoctorFinding.wrong("key", failure)
        else:
            length = f", {len(source.key)} characters" if isinstance(source, GivenKey) else ""
            yield DoctorFinding.ok("key", f"from {settings.api_key.source}{length}, id {source.key_id or 'not known'}")
        if (doubt := settings.key_doubt()) is not None:
            yield DoctorFinding.note("key", doubt.message, doubt.hint)
        for exposure in settings.exposures:
            # That of the config file was told with its other mistakes.
            if not exposure.message.startswith(f"{config_path(self._environ)} "):
                yield DoctorFinding.wrong("key", exposure)
        if settings.is_key_instead_of_profile:
            name = visible(profile.value)
            hint = f"use the profile's own with: --profile {shell_word(profile.value)}"
            yield DoctorFinding.note("key", f"it is not that of profile {name}, which has one of its own", hint)
        unread = unread_variables(self._environ)
        ours = sorted(name for name in self._environ if re.match("APIMART_", name) and name not in READ)
        if names := list(dict.fromkeys([*unread, *ours])):
            message = f"{listed(names)} {'is' if len(names) == 1 else 'are'} set, and not read"
            yield DoctorFinding.note("variables", message, "see which are: docs/configuration.md")

    def ledger(self, settings: Settings, readings: Sequence[Reading]) -> Iterator[DoctorFinding]:
        """Yield where the ledger is, whether it can be read, what is in it, and how long the balance lasts."""
        path = settings.history.value
        if path is None:
            yield DoctorFinding.note(
                "ledger", "there is no home folder for it", "set APIMART_HISTORY to the path of a file"
            )
            return
        if not settings.record.value:
            yield DoctorFinding.note("recording", f"off, by {settings.record.source}", "turn it on: APIMART_RECORD=1")
        if is_absent(path):
            yield DoctorFinding.note("ledger", f"there is no {path}", "balance and check make it when they record")
            return
        from apimart_cli.ledger.file import opened
        from apimart_cli.ledger.place import LedgerError, NoLedgerError
        from apimart_cli.ledger.queries import all_series

        try:
            with opened(path, seconds=WAITED_SECONDS, create=False) as connection:
                count, size = len(all_series(connection)), connection.size()
        except NoLedgerError:
            yield DoctorFinding.note("ledger", f"{path} is empty", "balance and check fill it when they record")
            return
        except LedgerError as error:
            hint = "name another file in APIMART_HISTORY, or mend this one as the message says"
            yield DoctorFinding("ledger", Condition.WRONG, f"{error}", hint)
            return
        yield DoctorFinding.ok("ledger", f"{path}, {_size(size)}, {count} series")
        if readings and readings[0].balance is not None:
            forecasts = Forecasts([settings], patience=WAITED_SECONDS)
            with forecasts.reading_ledger():
                known = forecasts.added_to(readings[0])
            yield DoctorFinding.ok("lasts", runway.in_words(known.forecast, settings.unit.value))

    def alerts(self, settings: Settings) -> Iterator[DoctorFinding]:
        """Yield whether the programs of the alert commands are there. None is run."""
        commands = {**settings.commands(), "on_stop": settings.on_stop}
        named = {name: setting.value for name, setting in commands.items() if setting.value is not None}
        for name, command in named.items():
            program = quote(command[0])
            if shutil.which(command[0], path=self._environ.get("PATH")) is None:
                hint = f"install it, or correct {name} in {commands[name].source}"
                yield DoctorFinding("alerts", Condition.WRONG, f"{name}: there is no command {program}", hint)
            else:
                event = {"on_low": "low", "on_recover": "recovered", "on_stop": "stopped"}[name]
                yield DoctorFinding.ok(
                    "alerts", f"{name}: {program} is there; try it: apimart alert test --event {event}"
                )
        if settings.names_alert_command and not settings.has_alerts:
            hint = "set one: apimart config set min 5"
            yield DoctorFinding.note("alerts", "none is run: there is neither min nor min_runway", hint)
        if not named:
            yield DoctorFinding.ok("alerts", "no command is set")

    def installed(self) -> Iterator[DoctorFinding]:
        """Yield whether the shell completes, and whether man has a page."""
        page = manual_page(self._environ)
        if page is None:
            yield DoctorFinding.note("manual", "man finds no page", "see apimart help, or docs/ of the project")
        else:
            yield DoctorFinding.ok("manual", f"{page}")
        shell = Path(self._environ.get("SHELL", "")).name
        if shell not in INSTALLED:
            told = f"not known for {quote(shell)}" if shell else "not known: no shell is set"
            yield DoctorFinding.note("completion", told, "see docs/completion.md of the project")
        elif (script := completion_script(shell, self._environ)) is not None:
            yield DoctorFinding.ok("completion", f"{script}, for {shell}")
        else:
            hint = "install it with: apimart --install-completion"
            yield DoctorFinding.note("completion", f"none is installed for {shell}", hint)

    def surroundings(self) -> Iterator[DoctorFinding]:
        """Yield what is different in CI, in a container and in the sandbox."""
        is_usual = True
        if self._environ.get("CI"):
            is_usual = False
            message = "in CI nothing is recorded by default, so there is no forecast"
            yield DoctorFinding.note("ci", message, "to keep a history: docs/scripting.md, History in CI")
        if any(map(os.path.exists, _CONTAINERS)) or "KUBERNETES_SERVICE_HOST" in self._environ:
            is_usual = False
            message = "in a container the ledger ends with it, and mounted files may belong to another user"
            hint = "put APIMART_HISTORY on a volume; name the owner in APIMART_CONFIG_OWNER"
            yield DoctorFinding.note("container", message, hint)
        if "APIMART_SANDBOX" in self._environ:
            is_usual = False
            yield DoctorFinding.note("sandbox", "the gateway is the sandbox: its amounts are made up")
        if is_usual:
            yield DoctorFinding.ok("surroundings", "no CI, no container")


def _size(count: int) -> str:
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"
