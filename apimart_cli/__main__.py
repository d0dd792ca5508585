"""Where the process starts and ends: `apimart` and `python -m apimart_cli`. The only `sys.exit`."""

import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, written out so that Ctrl-C works before the package is loaded."""


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    # Ctrl-C ends the process on the spot, at every stage: a KeyboardInterrupt that is raised inside an import or a
    # callback of the interpreter would print a traceback or be lost. Commands that have something to put back (the
    # echo of a terminal, a child process) take the signal over while they do. Where it is ignored, as in a background
    # job of a script, it stays so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)
    _fill_closed_streams()
    from apimart_cli.cli import main

    status = main(sys.argv[1:])
    # The answer is given: Ctrl-C while the interpreter cleans up would kill it, and change the status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


def _leave(_signal: int, _frame: object) -> NoReturn:
    os._exit(INTERRUPTED)


def _fill_closed_streams() -> None:
    """Put the null device, not writable, where a standard stream is closed.

    A connection would be given its number otherwise, and the stray output of a library would travel to the gateway.
    And Typer writes its help to a stream that is not there without a word; to this one, it fails as to any other.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # open as long as the process


if __name__ == "__main__":
    run()
