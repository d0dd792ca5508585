"""Where the process starts and ends: `apimart` and `python -m apimart_cli`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python looks for modules in the current folder first, which may be a checkout with a `requests.py` in it. This
    # comes before any other import. Only `python -P` protects the import of this package itself.
    del sys.path[0]

# The interpreter has loaded these two modules already. To load `signal`, and all that it imports, takes time, in which
# Ctrl-C would show a traceback.
import _signal  # type: ignore[import-not-found]  # not among the type stubs
import os

TYPE_CHECKING = False  # see `__init__`
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, repeated here so that Ctrl-C works before the package is loaded."""

PLUGIN_UNKNOWN = 3
"""`errors.PLUGIN_UNKNOWN`, repeated here for the same reason."""

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""More than a command makes while it loads: those objects stay, and looking for garbage among them takes time."""


def _numbers(*names: str) -> set[int]:
    """Return the signals of these names that this platform has."""
    return {getattr(_signal, f"SIG{name}") for name in names if hasattr(_signal, f"SIG{name}")}


_ENDING = _numbers("INT", "QUIT", "TERM", "HUP")
"""`processes.signals.ENDING`."""

_NOT_ENDING = _numbers("KILL", "STOP", "TSTP", "TTIN", "TTOU", "CHLD", "CONT", "URG", "WINCH", "INFO")
"""Signals that cannot be caught, or that end no process by default."""

_FAULTS = _numbers("SEGV", "BUS", "FPE", "ILL")
"""Sent by the system for a fault in machine code, which happens again when a handler of Python's returns to it."""

_fault = 0
"""The number of the signal in `_FAULTS` that another process has sent."""


def _leave(number: int, _frame: object) -> "NoReturn":
    if _is_plugin():
        _leave_unknown(f"ended by {_name(_fault or number)}")
    os._exit(128 + number)


def _handle_signals() -> None:
    """End the process at once when a signal asks for that, at every stage.

    A KeyboardInterrupt inside an import or a callback of the interpreter would print a traceback or be lost. Commands
    that have something to put back (the echo of a terminal, a child process) handle the signal themselves. A signal
    that is ignored, as in a background job of a script, stays ignored.

    A plugin has to write a line and end with its own status after every other signal that would end it, too. And
    process 1 of a container has to handle a signal to be ended by it.
    """
    if _is_plugin():
        numbers = _signal.valid_signals() - _NOT_ENDING - _FAULTS
    else:
        numbers = _ENDING if os.getpid() == 1 else _numbers("INT")
    for number in numbers:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _leave)


def _is_plugin() -> bool:
    """Tell whether a monitoring system has started us: it may get the status 0, 1 or 2 only for a balance."""
    return sys.argv[1:2] == ["nagios"]


if __name__ == "__main__" or os.path.basename(sys.argv[0]).startswith("apimart"):
    # We are the program, not a module in another program.
    _handle_signals()


def run() -> "NoReturn":
    """Run the command line and end the process with its exit code."""
    _handle_signals()
    _undo_what_was_inherited()
    if _is_plugin():
        _handle_faults()
    import gc

    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _fill_closed_streams()
    if _has_printed_version():
        os._exit(0)
    try:
        from apimart_cli.cli import main
        from apimart_cli.processes import claim_process

        claim_process()
        code = main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001  # no other code of ours is left to report it
        _fail_to_start(error)

    # All output is flushed. A normal exit of the interpreter would take as long as its start, and Ctrl-C meanwhile
    # would change the status.
    os._exit(code)


def _has_printed_version() -> bool:
    """Print the version where nothing else is asked for: loading Typer takes longer than Python itself.

    What goes wrong here is told by the command line, which tries again.
    """
    if sys.argv[1:] not in (["--version"], ["-V"]):
        return False
    from apimart_cli.version import __version__

    line = f"apimart {__version__}\n".encode()
    try:
        return os.write(1, line) == len(line)
    except OSError:
        return False


def _handle_faults() -> None:
    """Take the signals in `_FAULTS` that other processes send, in a thread that only waits for them.

    They are blocked in all threads: a real fault of this process then ends it at once, without any handler.
    """
    if not hasattr(_signal, "sigwait"):
        return
    import _thread

    def wait() -> None:
        global _fault  # noqa: PLW0603  # read by the main thread, which alone runs handlers
        _fault = int(_signal.sigwait(_FAULTS))
        os.kill(os.getpid(), _signal.SIGTERM)

    # All signals are blocked while the thread starts, which inherits that: the others come to the main thread.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        _thread.start_new_thread(wait, ())
    except RuntimeError:
        # The system starts no thread. Code that needs one reports it.
        pass
    else:
        before = {*before, *_FAULTS}
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def _fail_to_start(error: Exception) -> "NoReturn":
    """Say that the installation is damaged, or that its files cannot be read now, and end with `ExitCode.INTERNAL`."""
    what = getattr(error, "name", None) or getattr(error, "filename", None) or type(error).__name__
    told, hint = f"apimart cannot be loaded: {what}", "install it again, or try once more"
    if _is_plugin():
        _leave_unknown(f"{told} ({hint})")
    from contextlib import suppress

    with suppress(OSError):
        os.write(2, f"apimart: error: {told}\nhint: {hint}\n".encode("ascii", "backslashreplace"))
    os._exit(1)


def _undo_what_was_inherited() -> None:
    """Reset what a caller may have changed for itself, and what every program that it starts inherits.

    With SIGCHLD ignored (`trap "" CHLD`) the system keeps no exit status of our commands, and Python assumes 0. A
    signal that is blocked does not end us.
    """
    if hasattr(_signal, "SIGCHLD") and _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    if hasattr(_signal, "pthread_sigmask"):
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _unblocked())


def _unblocked() -> set[int]:
    """Return the signals that must reach us."""
    if _is_plugin():
        return set(_signal.valid_signals() - _NOT_ENDING)
    return _ENDING | _numbers("TSTP", "CHLD")


def _name(number: int) -> str:
    """Return the name of a signal. The modules that know it may not be loaded yet."""
    names = (name for name in dir(_signal) if name.startswith("SIG") and "_" not in name)
    return next((name for name in names if getattr(_signal, name) == number), f"signal {number}")


def _leave_unknown(message: str) -> "NoReturn":
    # The name of a file may have any character in it.
    shown = "".join(character if character.isprintable() and character != "|" else "?" for character in message)
    try:
        import select

        # Only if no reader has to be waited for: the sender of the signal waits for our end.
        if select.select([], [1], [], 0)[1]:
            os.write(1, f"APIMART UNKNOWN - {shown}\n".encode("ascii", "backslashreplace"))
    except Exception:  # noqa: BLE001, S110  # the status says it even without the line
        pass
    os._exit(PLUGIN_UNKNOWN)


def _fill_closed_streams() -> None:
    """Where a standard stream is closed, open one that is empty and cannot be written to.

    Otherwise a connection would get its number, and stray output of a library would go to the gateway. And Typer writes
    to a missing stream without an error; a write to this one fails.
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
