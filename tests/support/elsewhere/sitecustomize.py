"""Loaded in place of `guard/sitecustomize.py`, whose guard it keeps: hides what Python has on POSIX systems only.

The list is typeshed's: what stands there below `sys.platform != "win32"`. `os.name` and the separators of paths stay,
as the standard library would not work otherwise; `sys.platform` is a name that no system has, so that nothing is taken
for Linux. WITHOUT names modules to hide, too, with spaces.
"""

import errno
import functools
import os
import runpy
import select
import shutil
import signal
import stat
import subprocess  # with `selectors`, which keep what they need
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MODULES = "fcntl termios tty pty pwd grp resource syslog posix"

OS = """
chown chroot confstr copy_file_range ctermid environb eventfd fchdir fchmod fchown fdatasync fork forkpty fpathconf
fstatvfs fwalk get_blocking getegid getenvb geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority
getrandom getresgid getresuid getsid getuid getxattr initgroups killpg lchown listxattr lockf major makedev memfd_create
minor mkfifo mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread
preadv pwrite pwritev readv register_at_fork removexattr sched_getaffinity sched_setaffinity sched_yield sendfile
set_blocking setegid seteuid setgid setgroups setpgid setpgrp setpriority setregid setresgid setresuid setreuid setsid
setuid setxattr splice statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname uname wait wait3 wait4 waitid writev
WCONTINUED WCOREDUMP WEXITED WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WNOHANG WNOWAIT WSTOPPED
WSTOPSIG WTERMSIG WUNTRACED P_ALL P_PGID P_PID P_PIDFD O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC
O_LARGEFILE O_NDELAY O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE
"""

SIGNAL = """
ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGHUP SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL
SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSTKFLT SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2
SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK alarm getitimer pause pidfd_send_signal
pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
"""

SELECT = "epoll poll PIPE_BUF POLLERR POLLHUP POLLIN POLLMSG POLLNVAL POLLOUT POLLPRI POLLRDHUP"


def hide_names() -> None:
    """Take the names away from their modules, and from those in which they are written."""
    for module, names in ((os, OS), (signal, SIGNAL), (sys.modules["_signal"], SIGNAL), (select, SELECT)):
        for name in names.split():
            with suppress(AttributeError):
                delattr(module, name)
    os.supports_dir_fd.clear()
    os.supports_fd.intersection_update({os.stat, os.truncate})
    valid = {signal.SIGINT, signal.SIGTERM, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
    signal.valid_signals = lambda: set(valid)
    sys.modules["_signal"].valid_signals = signal.valid_signals  # type: ignore[attr-defined]  # as above


def hide_modules() -> None:
    """Have every later import of these modules fail."""
    for name in f"{MODULES} {os.environ.get('WITHOUT', '')}".split():
        for loaded in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[loaded]
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way


def without_descriptors_of_folders(name: str) -> None:
    """Have a function of `os` refuse descriptors of folders, as it does on Windows."""
    function: Callable[..., Any] = getattr(os, name)

    @functools.wraps(function)
    def refusing(*arguments: Any, **options: Any) -> Any:
        if any(options.pop(each, None) is not None for each in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            raise NotImplementedError("dir_fd unavailable on this platform")
        if name in {"scandir", "listdir"} and arguments and isinstance(arguments[0], int):
            raise TypeError(f"{name}: path should be string, bytes, os.PathLike or None, not int")
        if name == "open" and os.path.isdir(arguments[0]):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(arguments[0]))
        return function(*arguments, **options)

    setattr(os, name, refusing)


def select_sockets_only() -> None:
    """Have `select.select` refuse what is no socket."""
    function = select.select

    def refusing(*arguments: Any) -> Any:
        for each in (one for some in arguments[:3] for one in some):
            if not stat.S_ISSOCK(os.fstat(each if isinstance(each, int) else each.fileno()).st_mode):
                raise OSError(10038, "An operation was attempted on something that is not a socket")
        return function(*arguments)

    select.select = refusing


def ignore_groups() -> None:
    """Have `Popen` ignore that a command is to have a process group or a session of its own."""
    function = subprocess.Popen.__init__

    def ignoring(self: Any, *arguments: Any, **options: Any) -> None:
        options.update(process_group=None, start_new_session=False)
        function(self, *arguments, **options)

    subprocess.Popen.__init__ = ignoring  # type: ignore[method-assign]  # what this is for


runpy.run_path(str(Path(__file__).parent.parent / "guard" / "sitecustomize.py"))
# Libraries of others that decide by `sys.platform` what to import. On another system they import something else there.
for library in ("platformdirs.unix", "psutil", "uuid", "filelock", "getpass", "zoneinfo"):
    with suppress(ImportError):
        __import__(library)
# What has another implementation on another system keeps what it needs: to wait for a process, and to lock a file.
for module in (subprocess, *(sys.modules[name] for name in sys.modules if name.startswith("filelock"))):
    module.os = types.SimpleNamespace(**vars(os))  # type: ignore[assignment]
hide_names()
hide_modules()
for each in ("chmod", "link", "listdir", "mkdir", "open", "readlink", "rename", "replace", "rmdir", "scandir", "stat",
             "symlink", "unlink", "utime"):  # fmt: skip
    without_descriptors_of_folders(each)
select_sockets_only()
ignore_groups()
# It has looked at `os.supports_dir_fd` when it was imported.
shutil._use_fd_functions = False  # type: ignore[attr-defined]  # private
sys.platform = "elsewhere"
