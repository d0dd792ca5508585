"""Where the process starts and ends: `apimart` and `python -m apimart_cli`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python looks for modules in the current folder first, which may be anybody's checkout with a `requests.py` in it.
    # Before any other import. What is loaded by now (this package itself) only `python -P` can protect.
    del sys.path[0]

import contextlib
import gc
import os
import select
import signal
from typing import NoReturn

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, written out so that Ctrl-C works before the package is loaded."""

PLUGIN_UNKNOWN = 3
"""`errors.PLUGIN_UNKNOWN`, written out for the same reason."""

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""More than loading a command makes: what it makes stays, and looking for garbage in it again and again takes time."""


def run() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    # Ctrl-C ends the process on the spot, at every stage: a KeyboardInterrupt that is raised inside an import or a
    # callback of the interpreter would print a traceback or be lost. Commands that have something to put back (the
    # echo of a terminal, a child process) take the signal over while they do. Where it is ignored, as in a background
    # job of a script, it stays so. A plugin owes a line and its own status to the other signals that end it as well.
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if _is_plugin() else ("SIGINT",)
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    _undo_what_was_inherited()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _fill_closed_streams()
    try:
        from apimart_cli.cli import main
        from apimart_cli.processes.descendants import claim_process

        claim_process()
        code = main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001  # nothing of ours is left that could tell it
        _fail_to_start(error)

    # Everything written is flushed. Taking the interpreter apart would take as long as starting it, and Ctrl-C
    # meanwhile would change the status.
    os._exit(code)


def _is_plugin() -> bool:
    """Tell whether a monitoring system has started us: nothing but a proof may give it the status 0, 1 or 2."""
    return sys.argv[1:2] == ["nagios"]


def _fail_to_start(error: Exception) -> NoReturn:
    """Say that the installation is damaged, or that its files cannot be read now, and end with `ExitCode.INTERNAL`."""
    what = getattr(error, "name", None) or getattr(error, "filename", None) or type(error).__name__
    told, hint = f"apimart cannot be loaded: {what}", "install it again, or try once more"
    if _is_plugin():
        _leave_unknown(f"{told} ({hint})")
    with contextlib.suppress(OSError):
        os.write(2, f"apimart: error: {told}\nhint: {hint}\n".encode("ascii", "backslashreplace"))
    os._exit(1)


def _undo_what_was_inherited() -> None:
    """Put back what a caller may have changed for itself and hands on to every program that it starts.

    With SIGCHLD ignored (`trap "" CHLD`) the system keeps no exit status of our commands, and Python takes 0 for it.
    A signal that is blocked does not end us.
    """
    if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        ours = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCHLD)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ours)


def _leave(number: int, _frame: object) -> NoReturn:
    if _is_plugin():
        _leave_unknown(f"ended by {signal.Signals(number).name}")
    os._exit(INTERRUPTED)


def _leave_unknown(message: str) -> NoReturn:
    # The name of a file may have anything in it.
    shown = "".join(character if character.isprintable() and character != "|" else "?" for character in message)
    with contextlib.suppress(OSError, ValueError):
        # Not where it would have to wait for a reader: whoever sends a signal waits for the end.
        if select.select([], [1], [], 0)[1]:
            os.write(1, f"APIMART UNKNOWN - {shown}\n".encode("ascii", "backslashreplace"))
    os._exit(PLUGIN_UNKNOWN)


def _fill_closed_streams() -> None:
    """Put something that is empty and not writable where a standard stream is closed.

    A connection would be given its number otherwise, and the stray output of a library would travel to the gateway.
    And Typer writes to a stream that is not there without a word; to this one, it fails as to any other.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # A pipe without a writer. Unlike the null device, it can be made in every container.
            _reader, writer = os.pipe()
            os.close(writer)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # open as long as the process


if __name__ == "__main__":
    run()
