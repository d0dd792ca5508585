"""Changing the config file: one writer at a time, and the old file stays until the new one is whole on the disk.

Only a file of our own, in folders of our own, is changed: another user could redirect what root writes into a folder of
theirs, and a file that root replaces becomes root's. Only commands that write import this, as it loads filelock.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from apimart_cli.config.file import Value, check_document, config_path_to_write, parse_toml, read_config
from apimart_cli.config.lookup import takes_key_elsewhere
from apimart_cli.config.names import DEFAULT_PROFILE, KEY_NAMES, STORED_NAMES, Kind, require_name
from apimart_cli.config.precedence import Sources, find, profile_of_file
from apimart_cli.config.rewriting import TableChange, renamed, rewritten
from apimart_cli.config.settings import Options, Setting, Settings, find_history, find_record
from apimart_cli.config.values import (
    BASE_URL,
    RECORD,
    RULES,
    TIMEOUT,
    UNIT,
    Number,
    empty,
    nonempty,
    parse_command,
    parse_new_profile,
    shown,
)
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.files import Place, found
from apimart_cli.keys.key import ApiKey, GivenKey, NoKey
from apimart_cli.owners import UnsafeError, has_owners, own_files
from apimart_cli.records import Problem
from apimart_cli.replacing import PrivateFile, Warn, read_at, replace_file
from apimart_cli.words import ScopeChoice

_FOLDER_HINT = "check the folder and its permissions"


LOCK_SECONDS = 10
"""Most seconds to wait for another apimart that writes the same file."""


Rewrite = Callable[[str], str]
"""Takes the old text of the file and returns the new one. Called while the file is locked."""


def _say_nothing(_message: str, _hint: str) -> None:
    """Take a warning and do nothing: for callers that show none."""


class LoginSettings(NamedTuple):
    """What `login` needs to know of a profile, which may not exist yet."""

    settings: Settings
    """What is in force for the profile, without the key."""
    config_path: Path
    stored_in: str | None
    """The name in the profile under which `login` stored a key before; None if it did not."""
    old_key_id: str | None
    """The id of the key that the new one replaces, if that is in the file and can be a key."""

    @property
    def host(self) -> str:
        """The host that is asked whether the key works."""
        return self.settings.targets()[0].host

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self.settings.profile.value

    def with_key(self, key: ApiKey) -> Settings:
        """Return the settings that ask with `key`."""
        return self.settings._replace(api_key=Setting(GivenKey(key), "standard input"))


def require_writable(path: Path) -> None:
    """Raise ConfigError if the file at `path` can certainly not be written: better before a key is typed than after."""
    with _told(path):
        # A missing folder is no error: it is made later.
        with suppress(FileNotFoundError), _own_place(path):
            pass
        folder = Path(os.path.realpath(path)).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {path}: nothing can be written in {folder}", _FOLDER_HINT)


def set_values(
    path: Path,
    profile: str | None,
    values: Mapping[str, Value],
    *,
    warn: Warn = _say_nothing,
    instead_of: Collection[str] = (),
) -> None:
    """Set names of `profile`, or of the top level, in the file at `path`; file, folder and profile are made as needed.

    Names in `instead_of` are removed in the same step. If the file cannot be replaced in one step, `warn` is called
    before anything is changed.

    Raises ConfigError, and leaves the file as it was, if it cannot be read or written, or would be wrong afterwards.
    """
    change = TableChange(_table(profile), sets=values, removes=instead_of)
    _edit(path, lambda text: rewritten(text, change, path), warn)


def store_key(
    path: Path, profile: str, values: Mapping[str, Value], *, instead_of: Collection[str], warn: Warn = _say_nothing
) -> bool:
    """Set the names of a profile that give its key, and return whether that made it the default profile.

    The first profile of a file becomes the default one, in the same step. Raises as `set_values`.
    """
    is_first = False

    def rewrite(text: str) -> str:
        nonlocal is_first
        text = rewritten(text, TableChange(_table(profile), sets=values, removes=instead_of), path)
        document = parse_toml(text, path)
        # The profile `default` is used even without being named.
        is_first = "default_profile" not in document and len(document["profiles"]) == 1 and profile != DEFAULT_PROFILE
        return rewritten(text, TableChange((), sets={"default_profile": profile}), path) if is_first else text

    _edit(path, rewrite, warn)
    return is_first


def unset_names(path: Path, profile: str | None, names: Collection[str], *, warn: Warn = _say_nothing) -> bool:
    """Remove names of `profile`, or of the top level; return whether one of them was there. Raises as `set_values`."""
    change = TableChange(_table(profile), removes=names)
    return _edit(path, lambda text: rewritten(text, change, path), warn)


def rename_profile(path: Path, old: str, new: str, *, warn: Warn = _say_nothing) -> None:
    """Rename profile `old` of the file to `new`, in `default_profile` as well. Raises as `set_values`.

    Raises UsageError if there is no such profile, or one with the new name.
    """
    _edit(path, lambda text: renamed(text, old, new, path), warn)


def resolve_for_login(options: Options, profile: str | None, environ: Mapping[str, str] | None = None) -> LoginSettings:
    """Return what is in force for a profile that is to get a key.

    Raises UsageError if the profile takes its key from elsewhere, as a stored key would never be used, and ConfigError
    if there is no place for a config file, or a mistake in it.
    """
    environ = os.environ if environ is None else environ
    path = config_path_to_write(environ)
    sources = Sources(options, environ, read_config(environ, may_be_absent=True))
    name = _find_profile(profile, sources)
    stored_in = next((source for source in KEY_NAMES if source in sources.config.profiles.get(name.value, {})), None)
    if stored_in is not None and stored_in not in STORED_NAMES:
        raise takes_key_elsewhere(name.value, stored_in)
    settings = Settings(
        profile=name,
        api_key=Setting(NoKey(AuthError("there is no API key yet")), "none"),
        base_url=find(BASE_URL, name.value, sources),
        timeout=find(TIMEOUT, name.value, sources),
        scope=Setting(ScopeChoice.KEY, "default"),
        unit=find(UNIT, name.value, sources),
        min=Setting(None, "default"),
        max_used=Setting(None, "default"),
        min_runway=Setting(None, "default"),
        record=find_record(environ, find(RECORD, name.value, sources)),
        history=find_history(environ),
    )
    return LoginSettings(settings, path, stored_in, _key_id(sources.config.profiles.get(name.value, {})))


def read_value(name: str, text: str, *, in_profile: bool) -> str | list[str] | bool | Number:
    """Return a value for the config file from the text of a command line, checked as a value in the file is.

    Raises UsageError for an unknown name, a malformed value, and a key, as other users can see arguments.
    """
    kind = require_name(name, in_profile=in_profile)
    if name == "api_key":
        raise UsageError("a key on the command line is visible to others", "store it with: apimart login")
    if not text:
        raise empty(name, f"remove it with: apimart config unset {name}")
    if name in RULES:
        RULES[name].parse(text, name)
    if kind is Kind.NUMBER or (kind is Kind.SECONDS and not text[-1:].isalpha()):
        # TOML has no leading zeros; every other digit stays.
        return Number(f"{Decimal(text):f}")
    if kind is Kind.SWITCH:
        return text == "true"
    if kind is Kind.FLAG:
        if text != "true":
            raise UsageError(f"{name}: {shown(text)} is not true", f"remove it with: apimart config unset {name}")
        return True
    if kind is Kind.WORDS:
        return list(parse_command(text, name))
    return text


def _table(profile: str | None) -> tuple[str, ...]:
    return () if profile is None else ("profiles", profile)


def _edit(path: Path, rewrite: Rewrite, warn: Warn) -> bool:
    """Read, change, check and replace the file, one process at a time; return whether it has changed."""
    # The file behind a link is changed, and the link stays: people keep the real file among their dotfiles.
    with _told(path), _private_umask(), _own_place(path, make=True) as place, _locked(place):
        return _edit_locked(place, rewrite, warn)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn errors of the file, or of the folders on the way to it, into ConfigError."""
    try:
        yield
    except UnsafeError as error:
        raise ConfigError(f"cannot write {path}: {error.reason(path)}", error.hint(is_read=False)) from None
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", _FOLDER_HINT) from None


@contextmanager
def _own_place(path: Path, *, make: bool = False) -> Iterator[Place]:
    """Give the place of our file, which need not exist. Raises UnsafeError if another user, or root, owns it."""
    with found(path, own_files(), make=make) as place:
        status = place.now()
        # The null device, for example, is read as an empty file, but must not be replaced by a real one.
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{place.path} is not a regular file", "name another one in APIMART_CONFIG")
        if status is not None and has_owners() and status.st_uid != os.geteuid():
            raise UnsafeError(str(place.path), "file", status, owner=status.st_uid)
        yield place


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Hold the lock of the file. The file for the lock is made here, so that it is ours."""
    lock = f"{place.path.name}.lock"
    # The empty file stays. filelock keeps it on purpose: if it were removed and made anew, two processes that wait for
    # it could hold two locks (source of `UnixFileLock`, 4.2.12).
    os.close(place.open_safe(os.O_RDWR | os.O_CREAT, name=lock))
    # By its path, which no other user can change: the file and every folder on the way to it are ours or root's.
    with FileLock(place.path.with_name(lock), timeout=LOCK_SECONDS, mode=0o600):
        yield


def _edit_locked(place: Place, rewrite: Rewrite, warn: Warn) -> bool:
    path = place.path
    before = _read(place)
    after = rewrite(before.text)
    _refuse_new_problems(path, before.text, after)
    if after == before.text:
        return False
    replace_file(place, _encoded(after, before.encoding), warn)
    return True


@contextmanager
def _private_umask() -> Iterator[None]:
    """Make files that are created in the block private to their owner, whatever the umask was."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _read(place: Place) -> PrivateFile:
    """Read the file; one that does not exist counts as empty."""
    return PrivateFile(place.path, "") if place.now() is None else read_at(place, place.path)


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        # Arguments may have bytes that are no text in the locale of the terminal.
        raise ConfigError("a name or value is not text, and a config file is", "write it as UTF-8") from None


def _refuse_new_problems(path: Path, before: str, after: str) -> None:
    known = {problem.message for problem in _problems(path, before)}
    for problem in _problems(path, after):
        if problem.message not in known:
            raise ConfigError(f"{path} was left as it was: {problem.message}", problem.hint)


def _problems(path: Path, text: str) -> list[Problem]:
    _, problems = check_document(PrivateFile(path, text), parse_toml(text, path))
    return problems


def _key_id(profile: Mapping[str, Value]) -> str | None:
    characters = profile.get("api_key")
    try:
        return ApiKey(characters, source="the config file").key_id if isinstance(characters, str) else None
    except AuthError:
        return None


def _find_profile(profile: str | None, sources: Sources) -> Setting[str]:
    _, environ, config, _ = sources
    if profile is not None:
        return Setting(parse_new_profile(profile, "--profile"), "--profile")
    if "APIMART_PROFILE" in environ:
        source = "APIMART_PROFILE"
        return Setting(parse_new_profile(nonempty(environ, source), source), source)
    return profile_of_file(config)
