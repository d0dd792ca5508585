"""A key that a command of the user prints: `pass`, `op`, `security`, `secret-tool` and their like."""

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence

from apimart_cli.errors import AuthError
from apimart_cli.keys.key import MAX_LENGTH, ApiKey
from apimart_cli.keys.source import SecondsLeft, drop_newline
from apimart_cli.processes.child import Child, hint_for


class KeyCommand:
    """A key that a command prints. It is run once, without a shell; its key is kept, its failure is not."""

    key_id = None

    def __init__(
        self, command: Sequence[str], *, profile: str, environment: Callable[[str], Mapping[str, str]]
    ) -> None:
        """`environment` returns all variables that the command gets, called with the name that its key will have."""
        self.command = tuple(command)
        """The program and its arguments. Not to be shown."""
        self._name = f"api_key_command of profile {profile} ({self.command[0]})"
        self._environment = environment
        self._key: ApiKey | None = None

    @property
    def state(self) -> str:
        """Which program prints the key. Not its arguments: one might be a secret, however unwise that is."""
        return f"from the command {self.command[0]}, which is not run here"

    @property
    def fault(self) -> str | None:
        """Whether there is such a program."""
        return None if shutil.which(self.command[0]) else f"there is no command {self.command[0]}"

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return what the command prints, one trailing newline dropped.

        Raises AuthError when it cannot be run, fails, prints no key, or takes too long; then it is stopped.
        """
        if self._key is None:
            self._key = self._run(seconds_left)
        return self._key

    def _run(self, seconds_left: SecondsLeft) -> ApiKey:
        if seconds_left() <= 0:
            raise self._overdue
        child = self._start()
        try:
            # A little more than a key may have: a command that prints without end is stopped, not read to its end.
            printed = child.read(MAX_LENGTH + 3, seconds_left)
            is_endless = len(printed) > MAX_LENGTH + 2
            status = 0 if is_endless else child.wait_within(seconds_left)
        except TimeoutError:
            status = None
        except ChildProcessError:
            raise AuthError(f"{self._name} was run, but its exit code is lost", "do not ignore SIGCHLD") from None
        finally:
            child.stop(grace=0)
        if status is None:
            raise self._overdue
        if status != 0:
            ending = f"signal {status - 128}" if status > 128 else f"exit code {status}"
            raise AuthError(f"{self._name} failed with {ending}", self._hint)
        return ApiKey(drop_newline(printed.decode("utf-8", "replace")), source=self._name)

    def _start(self) -> Child:
        try:
            return Child.start(self.command, environment=self._environment(self._name), captured=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be started"
            hint = hint_for(error, "check the command in the config file")
            raise AuthError(f"{self._name} cannot be run: {reason}", hint) from None

    @property
    def _overdue(self) -> AuthError:
        return AuthError(f"{self._name} gave no key within the time limit", self._hint)

    @property
    def _hint(self) -> str:
        return f"run {shlex.quote(self.command[0])} with its arguments by hand; it must print the key and nothing else"
