"""Which users may own the files that we use, and whether other users can change a file or folder.

Windows has other permissions, which are not checked.
"""

import errno
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

from apimart_cli.errors import UsageError
from apimart_cli.text import shell_word

OWNERS_VARIABLE = "APIMART_CONFIG_OWNER"
"""Names user ids that are trusted as we and root are: for containers, in which mounted files have other owners."""


def has_owners() -> bool:
    """Tell whether files have owners and permissions here that Python knows, as on every POSIX system."""
    return hasattr(os, "geteuid")


def trusted_owners(environ: Mapping[str, str] = os.environ) -> frozenset[int]:
    """Return the ids of the users that may own files that we read: ours, root's, and those in APIMART_CONFIG_OWNER.

    Raises UsageError where that variable is malformed.
    """
    if not has_owners():
        return frozenset()
    named = environ.get(OWNERS_VARIABLE)
    if named is None:
        return own_files()
    parts = [part.strip() for part in named.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) <= 10 for part in parts):
        raise UsageError(
            f"{OWNERS_VARIABLE} is no list of user ids",
            f"set it to one number, or several with commas, like {OWNERS_VARIABLE}=1000; or unset it",
        )
    return own_files() | {int(part) for part in parts}


def own_files() -> frozenset[int]:
    """Return the ids of the users that may own folders that we write to: ours and root's."""
    return frozenset({0, os.geteuid()}) if has_owners() else frozenset()


class UnsafeError(Exception):
    """Another user can change or swap a file. The `hint` tells what to do about it."""

    def __init__(
        self,
        place: str,
        kind: str,
        status: os.stat_result,
        *,
        owner: int | None = None,
        group: str | None = None,
        is_left: bool = False,
    ) -> None:
        """Take the file, folder or link that is the reason: `owner` owns it, else `group` or every user may change it.

        With `is_left` it is a folder that could be another user's if the path did not leave it again by `..`.
        """
        super().__init__(place)
        self.place = place
        self.kind = kind
        self.status = status
        self.owner = owner
        self.group = group
        self.is_left = is_left

    def leaving(self) -> "UnsafeError":
        """Return the same for a path that leaves the folder by `..`."""
        return UnsafeError(self.place, self.kind, self.status, owner=self.owner, group=self.group, is_left=True)

    def reason(self, path: Path) -> str:
        """Return what lets another user decide what `path` is, to follow a colon."""
        thing = "it" if self.kind == "file" and Path(self.place).name == path.name else f"the {self.kind} {self.place}"
        after = ", and '..' comes after it" if self.is_left else ""
        if self.owner is not None:
            return f"{thing} belongs to another user, {_user(self.owner)}{after}"
        who = f"the group {self.group}" if self.group is not None else "every user"
        return f"{who} can change {thing}{after}"

    def hint(self, *, is_read: bool) -> str:
        """Return what to do about it. Of a file that `is_read`, we can also become the owner, or trust its owner."""
        if self.is_left:
            return "write the path without '..'"
        if self.owner is None:
            mode = self.status.st_mode
            if self.kind == "folder" and mode & stat.S_ISVTX:
                return "use a folder of your own"
            who = ("g" if mode & stat.S_IWGRP else "") + ("o" if mode & stat.S_IWOTH else "")
            command = "chmod" if os.geteuid() in {0, self.status.st_uid} else "sudo chmod"
            return f"run: {command} {who}-w {shell_word(self.place)}"
        as_them = f"sudo -u {shell_word(_name(self.owner))} apimart …"
        if not is_read:
            return f"run it as that user: {as_them}"
        known = os.environ.get(OWNERS_VARIABLE)
        trusted = f"{known},{self.owner}" if known else f"{self.owner}"
        ways = [f"run it as that user: {as_them}", f"trust that user: {OWNERS_VARIABLE}={trusted}"]
        if self.kind == "file":
            ways.insert(0, f"run: sudo chown {os.geteuid()} {shell_word(self.place)}")
        return "; or ".join(ways)


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"


def _user(user: int) -> str:
    name = _name(user)
    return f"user id {user}" if name.startswith("#") else f"{name} (user id {user})"


def look(
    status: os.stat_result,
    descriptor: int,
    place: str,
    kind: str,
    owners: frozenset[int],
    *,
    may_be_sticky: bool = True,
) -> None:
    """Raise UnsafeError where another user can change the file or folder with this status, or make files in it.

    A sticky folder, like /tmp, is good enough for a file of ours, unless `may_be_sticky` is False.
    """
    if not has_owners():
        return
    if status.st_uid not in owners:
        raise UnsafeError(place, kind, status, owner=status.st_uid)
    if kind == "link" or not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    # In a sticky folder only the owner of a file can rename or remove it.
    if kind == "folder" and may_be_sticky and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & stat.S_IWOTH:
        raise UnsafeError(place, kind, status)
    if not _is_private(status.st_gid, owners) or _has_access_list(descriptor):
        raise UnsafeError(place, kind, status, group=_group(status.st_gid))


def _has_access_list(descriptor: int) -> bool:
    """Tell whether other users or groups are named that may write: the bit of the group then stands for all of them."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        # By this path, as a descriptor made with O_PATH gives no attributes.
        os.getxattr(f"/proc/self/fd/{descriptor}", _ACCESS_LIST)
    except OSError as error:
        return error.errno not in {errno.ENODATA, errno.ENOTSUP}
    return True


_ACCESS_LIST = "system.posix_acl_access"
_ACCESS_LIST_VERSION = 2
_NAMED_USER, _OWN_GROUP, _NAMED_GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
"""The form of the attribute: linux/posix_acl_xattr.h, a version and entries of tag, permissions and id."""


def permissions_for_others(status: os.stat_result, descriptor: int, owners: frozenset[int]) -> int:
    """Return the permission bits of an open file; in those of the group is what groups and other users really have.

    With an access control list, the bits of the group are a mask: the most that anyone but the owner may have. The
    group itself may have nothing. With systemd's `LoadCredential=`, a file of root's has an entry for the user of the
    service: root has let that user in, so it does not count. A user in the list of a file of ours does.
    """
    bits = stat.S_IMODE(status.st_mode)
    entries = _access_list(descriptor)
    if entries is None or not bits & stat.S_IRWXG:
        return bits
    granted = 0
    for tag, permissions, number in entries:
        is_of_user = tag == _NAMED_USER and status.st_uid != 0 and number not in owners
        if is_of_user or tag in {_OWN_GROUP, _NAMED_GROUP}:
            granted |= permissions
    mask = next((permissions for tag, permissions, _ in entries if tag == _MASK), 0o7)
    return bits & ~stat.S_IRWXG | (granted & mask) << 3


def _access_list(descriptor: int) -> list[tuple[int, int, int]] | None:
    """Return the entries of the access control list of an open file; None where there is none, or it is unreadable."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        packed = os.getxattr(descriptor, _ACCESS_LIST)
        (version,) = struct.unpack_from("<I", packed)
        entries = list(struct.iter_unpack("<HHI", packed[4:]))
    except (OSError, struct.error):
        return None
    return entries if version == _ACCESS_LIST_VERSION else None


def _is_private(group: int, owners: frozenset[int]) -> bool:
    """Tell whether a group has one of `owners` in it and no other user.

    Such is a user's own group, which has the user's name on distributions that make one for each user. A primary group
    with another name counts as shared, as many directory services do not list all their users. A group without a name
    is private if it has the number of an owner, as in containers. Any other group is shared, even one of ours:
    Kubernetes puts processes of other users into `fsGroup` by its number alone.
    """
    import grp
    import pwd

    try:
        known = grp.getgrgid(group)
    except KeyError:
        return group in owners
    for owner in owners:
        try:
            user = pwd.getpwuid(owner)
        except KeyError:
            continue
        if user.pw_gid == group and user.pw_name == known.gr_name and set(known.gr_mem) <= {user.pw_name}:
            return not any(each.pw_gid == group and each.pw_uid != owner for each in pwd.getpwall())
    return False


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"{number}"
