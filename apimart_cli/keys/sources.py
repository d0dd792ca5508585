"""The sources that take time to give a key: a command of the user, like `pass`, and the system's keyring.

This is the only importer of keyring.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec

from apimart_cli.errors import NO_THREAD_HINT, ApimartError, AuthError, UsageError
from apimart_cli.keys.key import MAX_LENGTH, ApiKey, SecondsLeft, drop_newline
from apimart_cli.processes.child import Child, hint_for
from apimart_cli.processes.signals import start_thread
from apimart_cli.text import shell_word


class _ReadOnce:
    """A key that is read once and used again and again, as reading it may ask a person. A failure is not kept."""

    _key: ApiKey | None = None

    @property
    def key_id(self) -> str | None:
        """The id of the key, once it was read."""
        return None if self._key is None else self._key.key_id

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key, the same each time. Raises what `_read` raises."""
        if self._key is None:
            self._key = self._read(seconds_left)
        return self._key

    def _read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key before `seconds_left` is 0."""
        raise NotImplementedError


class KeyCommand(_ReadOnce):
    """A key that a command of the user prints, like `pass` or `op`. It is run without a shell."""

    def __init__(
        self, command: Sequence[str], *, profile: str, environment: Callable[[str], Mapping[str, str]]
    ) -> None:
        """`environment` takes the name that the key will have, and returns all variables for the command."""
        self.command = tuple(command)
        """The program and its arguments. Not to be shown."""
        self._name = f"api_key_command of profile {profile} ({self.command[0]})"
        self._environment = environment

    @property
    def state(self) -> str:
        """The program that prints the key, without its arguments: one of them might be a secret."""
        return f"from the command {self.command[0]}, which is not run here"

    @property
    def fault(self) -> str | None:
        """That there is no such program; else None."""
        return None if shutil.which(self.command[0]) else f"there is no command {self.command[0]}"

    def _read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return what the command prints, one trailing newline dropped.

        Raises AuthError when it cannot be run, fails, prints no key, or takes too long; then it is stopped.
        """
        if seconds_left() <= 0:
            raise self._overdue
        child = self._start()
        try:
            # A little more than the longest key: a command that prints without end is stopped, not read to its end.
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
        return f"run {shell_word(self.command[0])} with its arguments by hand; it must print the key and nothing else"


KEYRING_SERVICE = "apimart"
"""The name under which the system's keyring keeps keys; the user name there is the profile's."""

_BACKEND_HINT = "choose a backend: keyring --list-backends"


class KeyringKey(_ReadOnce):
    """A key that the operating system's keyring keeps."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._name = f"the keyring (profile {profile})"

    @property
    def state(self) -> str:
        """That the key is in the keyring."""
        return "in the keyring, which is not read here"

    @property
    def fault(self) -> str | None:
        """That the keyring package is missing; else None."""
        return None if find_spec("keyring") else "the keyring package is not installed"

    def _read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key that the keyring keeps for the profile.

        Raises AuthError when it keeps none, refuses, or takes too long (it may wait for a person to unlock it), and
        UsageError where there is no keyring package.
        """
        found: list[ApiKey | ApimartError] = []

        def get() -> None:
            try:
                found.append(self._get())
            except ApimartError as error:
                found.append(error)

        # In a thread, as backends call libraries that cannot be interrupted.
        thread = start_thread(get, "keyring", takes_signals=True)
        if thread is None:
            raise AuthError(f"{self._name} cannot be read: no thread can be started", NO_THREAD_HINT)
        thread.join(seconds_left())
        if not found:
            raise AuthError(f"{self._name} gave no key within the time limit", "unlock the keyring and try again")
        if isinstance(found[0], ApimartError):
            raise found[0]
        return found[0]

    def _get(self) -> ApiKey:
        characters = self._ask("get_password", KEYRING_SERVICE, self._profile)
        if characters is None:
            raise AuthError(
                f"{self._name} keeps no key",
                f"store one: apimart login --keyring --profile {shell_word(self._profile)}",
            )
        if not isinstance(characters, str):
            # What is no text is never made into a key.
            raise AuthError(f"{self._name} gave no text", _BACKEND_HINT)
        return ApiKey(characters, source=self._name)

    def require_package(self) -> None:
        """Raise UsageError where there is no keyring package."""
        if self.fault:
            from apimart_cli.installing import command_to_add

            raise UsageError(self.fault, f"install it beside apimart: {command_to_add('keyring>=25')}")

    def store(self, key: ApiKey) -> None:
        """Keep `key`, in place of any other, and read it back: some backends keep nothing, without an error.

        Raises AuthError where it is not there afterwards, and UsageError where there is no keyring package.
        """
        self._ask("set_password", KEYRING_SERVICE, self._profile, key.reveal())
        if self._ask("get_password", KEYRING_SERVICE, self._profile) != key.reveal():
            raise AuthError(f"{self._name} did not keep the key: what it gives back is not the same", _BACKEND_HINT)

    def copy_to(self, profile: str) -> None:
        """Keep the key for another profile as well.

        Raises AuthError when there is none, when the keyring keeps another one for that profile, or refuses.
        """
        other = KeyringKey(profile)
        if other._ask("get_password", KEYRING_SERVICE, profile) is not None:
            raise AuthError(f"{other._name} keeps a key already", "choose another name, or remove that key first")
        key = self._get()
        try:
            other.store(key)
        except AuthError:
            # The keyring may keep something even so.
            with suppress(AuthError):
                other.delete()
            raise

    def delete(self) -> None:
        """Delete the key from the keyring, if it is there. Raises AuthError where it is still there afterwards."""
        if self._ask("get_password", KEYRING_SERVICE, self._profile) is None:
            return
        self._ask("delete_password", KEYRING_SERVICE, self._profile)
        if self._ask("get_password", KEYRING_SERVICE, self._profile) is not None:
            raise AuthError(f"{self._name} still gives a key after it was told to forget it", _BACKEND_HINT)

    def _ask(self, action: str, *arguments: str) -> object:
        self.require_package()
        try:
            import keyring

            return getattr(keyring, action)(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # backends raise what they like, and may quote the key
            raise AuthError(f"{self._name} refused: {type(error).__name__}", f"unlock it, or {_BACKEND_HINT}") from None
