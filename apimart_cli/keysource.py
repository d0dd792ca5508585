"""Where a key comes from: known already, missing, printed by a command, or kept by the system's keyring.

A key is read from its source when its question is asked, inside that question's time limit, because commands and
keyrings may wait for a person or a network. Everything that goes wrong on the way is an AuthError that names the
source, and never what the source said.

`apikey.KeySource` says what they all have in common.
"""

import os
import shlex
import shutil
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec

from apimart_cli.apikey import MAX_LENGTH, ApiKey
from apimart_cli.child import is_in_foreground
from apimart_cli.errors import AuthError, UsageError

START_SECONDS = 0.2
"""How long to wait for a command that is just being started, to end it."""

KEYRING_SERVICE = "apimart"
"""The name under which the system's keyring keeps keys; the user name there is the profile's."""


class _QuickKey:
    """A key that takes no time to get, or cannot be had at all."""

    overdue = None

    def give_up(self) -> None:
        return


class GivenKey(_QuickKey):
    """A key that is known already: from an option, a variable, a file or the profile itself."""

    fault = None

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    @property
    def state(self) -> str:
        return f"set, {len(self._key)} character{'s' if len(self._key) > 1 else ''}"

    def read(self) -> ApiKey:
        return self._key


class NoKey(_QuickKey):
    """No usable key, and why. The error is kept until somebody asks: other profiles may be fine."""

    def __init__(self, error: AuthError) -> None:
        self.error = error

    @property
    def fault(self) -> str:
        return self.error.message

    @property
    def state(self) -> str:
        return f"not usable: {self.error.message}"

    def read(self) -> ApiKey:
        raise self.error


class _SlowKey(ABC):
    """A key that takes time to get: it is got once, however many questions need it, side by side or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: ApiKey | AuthError | None = None

    def read(self) -> ApiKey:
        """Return the key; the first caller gets it, the others wait for that."""
        with self._lock:
            if self._found is None:
                try:
                    self._found = self._get()
                except AuthError as error:
                    self._found = error
        if isinstance(self._found, AuthError):
            raise self._found
        return self._found

    def give_up(self) -> None:
        return

    @abstractmethod
    def _get(self) -> ApiKey:
        """Get the key. Raises AuthError."""


class KeyCommand(_SlowKey):
    """A key that a command of the user prints: `pass`, `op`, `security`, `secret-tool` and their like."""

    def __init__(self, command: Sequence[str], *, profile: str) -> None:
        super().__init__()
        self._command = tuple(command)
        self._name = f"api_key_command of profile {profile} ({self._command[0]})"
        self._process: subprocess.Popen[bytes] | None = None
        """The command while it runs; it is not waited for yet, so its number is still its own."""
        self._has_own_group = False
        self._is_given_up = False
        # Reentrant: the handler of a signal, which gives up too, may interrupt the one who holds it.
        self._guard = threading.RLock()

    @property
    def state(self) -> str:
        # Only the program: an argument might be a secret, however unwise that is.
        return f"from the command {self._command[0]}, which is not run here"

    @property
    def fault(self) -> str | None:
        return None if shutil.which(self._command[0]) else f"there is no command {self._command[0]}"

    @property
    def overdue(self) -> AuthError:
        return AuthError(f"{self._name} gave no key within the time limit", self._hint)

    @property
    def _hint(self) -> str:
        return f"run {shlex.quote(self._command[0])} with its arguments by hand; it must print the key and nothing else"

    def give_up(self) -> None:
        self._is_given_up = True
        # Where starting a process takes for ever (a program on a dead network drive), the clock is worth more.
        if self._guard.acquire(timeout=START_SECONDS):
            try:
                self._kill()
            finally:
                self._guard.release()

    def _get(self) -> ApiKey:
        """Run the command without a shell and return what it prints, one trailing newline dropped."""
        with self._start() as process:
            assert process.stdout is not None, "it was asked for"
            # A little more than a key may have: a command that prints without end is stopped, not read to its end.
            printed = process.stdout.read(MAX_LENGTH + 3)
            is_endless = len(printed) > MAX_LENGTH + 2
            if is_endless:
                with self._guard:
                    self._kill()
            # It may have closed its output and go on. Until it has ended it can be killed, and until it is waited for
            # its number is its own.
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            with self._guard:
                self._process = None
            status = process.wait()
        if self._is_given_up:
            raise self.overdue
        if status != 0 and not is_endless:
            ending = f"signal {-status}" if status < 0 else f"exit code {status}"
            raise AuthError(f"{self._name} failed with {ending}", self._hint)
        return ApiKey(drop_newline(printed.decode("utf-8", "replace")), source=self._name)

    def _start(self) -> "subprocess.Popen[bytes]":
        # Where a person sits at the terminal, the command stays in the foreground, so that it can ask for a password.
        # Elsewhere it gets a process group of its own, which ends as a whole: what the command has started itself
        # would outlive it otherwise, and keep the pipe of a CI log open.
        self._has_own_group = not is_in_foreground()
        with self._guard:
            if self._is_given_up:
                raise self.overdue
            try:
                self._process = subprocess.Popen(  # noqa: S603  # the user's own command, from the user's own config file
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    process_group=0 if self._has_own_group else None,
                )
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it cannot be started"
                hint = "check the command in the config file"
                raise AuthError(f"{self._name} cannot be run: {reason}", hint) from None
            if self._is_given_up:
                self._kill()
            return self._process

    def _kill(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            if self._has_own_group:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


class KeyringKey(_SlowKey):
    """A key that the operating system's keyring keeps."""

    def __init__(self, profile: str) -> None:
        super().__init__()
        self._profile = profile
        self._name = f"the keyring (profile {profile})"

    @property
    def state(self) -> str:
        return "in the keyring, which is not read here"

    @property
    def fault(self) -> str | None:
        return None if find_spec("keyring") else "the keyring package is not installed"

    @property
    def overdue(self) -> AuthError:
        return AuthError(f"{self._name} gave no key within the time limit", "unlock the keyring and try again")

    def _get(self) -> ApiKey:
        """Return the key that the keyring keeps for the profile."""
        characters = self._ask("get_password", KEYRING_SERVICE, self._profile)
        if characters is None:
            raise AuthError(
                f"{self._name} keeps no key",
                f"store one: apimart login --keyring --profile {shlex.quote(self._profile)}",
            )
        return ApiKey(str(characters), source=self._name)

    def require_package(self) -> None:
        """Raise UsageError where there is no keyring package."""
        if self.fault:
            raise UsageError(self.fault, "install it beside apimart: pip install 'keyring>=25'")

    def store(self, key: ApiKey) -> None:
        """Keep `key`, in place of any other. Raises AuthError, or UsageError where there is no keyring package."""
        self._ask("set_password", KEYRING_SERVICE, self._profile, key.reveal())

    def delete(self) -> None:
        """Forget the key; a keyring that has none is left as it is."""
        if self._ask("get_password", KEYRING_SERVICE, self._profile) is not None:
            self._ask("delete_password", KEYRING_SERVICE, self._profile)

    def _ask(self, action: str, *arguments: str) -> object:
        self.require_package()
        try:
            import keyring

            return getattr(keyring, action)(*arguments)
        except Exception as error:  # noqa: BLE001  # backends raise what they like, and may quote what they were given
            raise AuthError(
                f"{self._name} refused: {type(error).__name__}",
                "unlock it, or choose a backend: keyring --list-backends",
            ) from None


def drop_newline(text: str) -> str:
    """Return `text` without the one line end that files and commands put behind a key."""
    return text.removesuffix("\n").removesuffix("\r")
