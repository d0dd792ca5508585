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
    # echo of a terminal, a child process) take the signal over while they do.
    signal.signal(signal.SIGINT, _leave)
    from apimart_cli.cli import main

    sys.exit(main(sys.argv[1:]))


def _leave(_signal: int, _frame: object) -> NoReturn:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
