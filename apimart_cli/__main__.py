"""Where the process starts and ends: `apimart` and `python -m apimart_cli`."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python looks for modules in the current folder first, which may be anybody's checkout with a `requests.py` in it.
    # Before any other import. What is loaded by now (this package itself) only `python -P` can protect.
    del sys.path[0]

# Two modules that the interpreter has loaded before it comes to us. `signal` would have to be read, and so would all
# that it imports: for that long Ctrl-C would show a traceback.
import _signal  # type: ignore[import-not-found]  # not among the type stubs
import os

TYPE_CHECKING = False  # see `__init__`
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, written out so that Ctrl-C works before the package is loaded."""

PLUGIN_UNKNOWN = 3
"""`errors.PLUGIN_UNKNOWN`, written out for the same reason."""

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""More than loading a command makes: what it makes stays, and looking for garbage in it again and again takes time."""


def _numbers(*names: str) -> set[int]:
    """Return the signals of these names that this platform has."""
    return {getattr(_signal, f"SIG{name}") for name in names if hasattr(_signal, f"SIG{name}")}


_ENDING = _numbers("INT", "QUIT", "TERM", "HUP")
"""`processes.signals.ENDING`."""

_NOT_ENDING = _numbers("KILL", "STOP", "TSTP", "TTIN", "TTOU", "CHLD", "CONT", "URG", "WINCH", "INFO")
"""Signals that cannot be caught, or that end no process by default."""

_FAULTS = _numbers("SEGV", "BUS", "FPE", "ILL")
"""What the system sends for a mistake in machine code. A handler of Python's returns there, and it fails again."""

_fault = 0
"""The number of the signal in `_FAULTS` that another process has sent."""


def _leave(number: int, _frame: object) -> "NoReturn":
    if _is_plugin():
        _leave_unknown(f"ended by {_name(_fault or number)}")
    os._exit(128 + number)


def _handle_signals() -> None:
    """End the process on the spot when a signal asks for that, at every stage.

    A KeyboardInterrupt that is raised inside an import or a callback of the interpreter would print a traceback or be
    lost. Commands that have something to put back (the echo of a terminal, a child process) take the signal over while
    they do. Where it is ignored, as in a background job of a script, it stays so.

    A plugin owes a line and its own status to every other signal that would end it, too. And process 1 of a container
    is not ended by a signal that it does not handle: the system drops it.
    """
    if _is_plugin():
        numbers = _signal.valid_signals() - _NOT_ENDING - _FAULTS
    else:
        numbers = _ENDING if os.getpid() == 1 else _numbers("INT")
    for number in numbers:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _leave)


def _is_plugin() -> bool:
    """Tell whether a monitoring system has started us: nothing but a proof may give it the status 0, 1 or 2."""
    return sys.argv[1:2] == ["nagios"]


if __name__ == "__main__" or os.path.basename(sys.argv[0]).startswith("apimart"):
    # We are the program, and not a module that a program has imported.
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
        from apimart_cli.processes.descendants import claim_process

        claim_process()
        code = main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001  # nothing of ours is left that could tell it
        _fail_to_start(error)

    # Everything written is flushed. Taking the interpreter apart would take as long as starting it, and Ctrl-C
    # meanwhile would change the status.
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
    """Take the signals in `_FAULTS` where another process sends them, in a thread that waits for nothing else.

    They are blocked everywhere: a real fault of this process then ends it at once, whatever handles the signal.
    """
    if not hasattr(_signal, "sigwait"):
        return
    import _thread

    def wait() -> None:
        global _fault  # noqa: PLW0603  # told by the main thread, which alone has handlers
        _fault = int(_signal.sigwait(_FAULTS))
        os.kill(os.getpid(), _signal.SIGTERM)

    # The thread inherits what is blocked while it starts: every other signal comes to the main thread.
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        _thread.start_new_thread(wait, ())
    except RuntimeError:
        # The system starts no thread. What needs one tells that.
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
    """Put back what a caller may have changed for itself and hands on to every program that it starts.

    With SIGCHLD ignored (`trap "" CHLD`) the system keeps no exit status of our commands, and Python takes 0 for it.
    A signal that is blocked does not end us.
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
    """Return what a signal is called. The modules that know it may not be loaded yet."""
    names = (name for name in dir(_signal) if name.startswith("SIG") and "_" not in name)
    return next((name for name in names if getattr(_signal, name) == number), f"signal {number}")


def _leave_unknown(message: str) -> "NoReturn":
    # The name of a file may have anything in it.
    shown = "".join(character if character.isprintable() and character != "|" else "?" for character in message)
    try:
        import select

        # Not where it would have to wait for a reader: whoever sends a signal waits for the end.
        if select.select([], [1], [], 0)[1]:
            os.write(1, f"APIMART UNKNOWN - {shown}\n".encode("ascii", "backslashreplace"))
    except Exception:  # noqa: BLE001, S110  # the status says it, whatever becomes of the line
        pass
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
