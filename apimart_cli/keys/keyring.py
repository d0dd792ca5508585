"""A key that the operating system's keyring keeps. The only importer of keyring."""

import shlex
import threading
from contextlib import suppress
from importlib.util import find_spec

from apimart_cli.errors import NO_THREAD_HINT, ApimartError, AuthError, UsageError
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.source import SecondsLeft

KEYRING_SERVICE = "apimart"
"""The name under which the system's keyring keeps keys; the user name there is the profile's."""

_BACKEND_HINT = "choose a backend: keyring --list-backends"


class KeyringKey:
    """A key that the operating system's keyring keeps."""

    key_id = None

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._name = f"the keyring (profile {profile})"
        self._key: ApiKey | None = None

    @property
    def state(self) -> str:
        """That it is in the keyring."""
        return "in the keyring, which is not read here"

    @property
    def fault(self) -> str | None:
        """Whether the keyring package is there."""
        return None if find_spec("keyring") else "the keyring package is not installed"

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key that the keyring keeps for the profile.

        Raises AuthError when it keeps none, refuses, or takes too long (it may wait for a person to unlock it), and
        UsageError where there is no keyring package.
        """
        if self._key is None:
            self._key = self._within(seconds_left)
        return self._key

    def _within(self, seconds_left: SecondsLeft) -> ApiKey:
        found: list[ApiKey | ApimartError] = []

        def get() -> None:
            try:
                found.append(self._get())
            except ApimartError as error:
                found.append(error)

        # Backends call into libraries that cannot be interrupted.
        thread = threading.Thread(target=get, name="apimart-keyring", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise AuthError(f"{self._name} cannot be read: no thread can be started", NO_THREAD_HINT) from None
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
                f"store one: apimart login --keyring --profile {shlex.quote(self._profile)}",
            )
        if not isinstance(characters, str):
            # Nothing is turned into a key that is none.
            raise AuthError(f"{self._name} gave no text", _BACKEND_HINT)
        return ApiKey(characters, source=self._name)

    def require_package(self) -> None:
        """Raise UsageError where there is no keyring package."""
        if self.fault:
            from apimart_cli.installing import command_to_add

            raise UsageError(self.fault, f"install it beside apimart: {command_to_add('keyring>=25')}")

    def store(self, key: ApiKey) -> None:
        """Keep `key`, in place of any other, and read it back: some backends keep nothing, and say nothing.

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
            # It may keep something all the same.
            with suppress(AuthError):
                other.delete()
            raise

    def delete(self) -> None:
        """Forget the key; a keyring that has none is left as it is. Raises AuthError where it is still there."""
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
