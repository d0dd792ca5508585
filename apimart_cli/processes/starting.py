"""Starting a command as `timeout`, `env` and shells start it, which run a script without `#!`, too."""

import errno
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence

_SHELL = "/bin/sh"


def as_shells_do(
    start: Callable[[Sequence[str]], "subprocess.Popen[bytes]"],
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `command`; where the system does not know the format of its file, have the shell run that as a script.

    That is what execvp(3) does, with which `timeout` and `env` start a command, and which Python does without. The file
    is looked for in the PATH of `environment`, or of ours. Raises what `start` raises.
    """
    try:
        return start(command)
    except OSError as error:
        if error.errno != errno.ENOEXEC or not os.path.exists(_SHELL):
            raise
        import shutil

        path = (os.environ if environment is None else environment).get("PATH", os.defpath)
        script = shutil.which(command[0], path=path)
        if script is None:
            raise
        unknown_format = error
    try:
        return start([_SHELL, script, *command[1:]])
    except OSError:
        raise unknown_format from None
