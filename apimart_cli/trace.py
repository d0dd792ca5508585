"""What `--debug` tells: a recorder that is handed down, one line a call. Pure: no I/O, nothing heavy imported."""

from collections.abc import Callable, Iterator

Trace = Callable[[str], None]
"""Takes one line. It may hold foreign text: whoever writes it makes it visible."""


def traced_error(error: BaseException) -> Iterator[str]:
    """Yield where `error` comes from, line by line, and of each error that led to it.

    Of the errors only the types are told: their words might hold a key.
    """
    from traceback import extract_tb

    current: BaseException | None = error
    seen: list[BaseException] = []
    while current is not None and current not in seen:
        seen.append(current)
        yield f"{type(current).__name__}, its words withheld"
        for frame in extract_tb(current.__traceback__):
            yield f"  {frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}"
        current = current.__cause__ or current.__context__
