"""Processes: signals, threads, and the commands that apimart starts for the user."""

_is_ours = False


def claim_process() -> None:
    """Say that this process is apimart's own, so that every child of it comes from a command that we started."""
    global _is_ours  # noqa: PLW0603  # a fact about the process, said once at its start
    _is_ours = True


def is_claimed() -> bool:
    """Tell whether this process is apimart's own, and not a program that imports us."""
    return _is_ours
