"""What the commands about recorded readings share: their words for what is there, and for what cannot be used."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from apimart_cli.errors import UsageError

if TYPE_CHECKING:
    from apimart_cli.ledger.records import Entry

MOST_NAMES = 10
"""Most names of profiles that one hint lists."""


def known(profiles: list[str]) -> str:
    """Return the hint that names the profiles that there are."""
    more = len(profiles) - MOST_NAMES
    names = ", ".join(profiles[:MOST_NAMES])
    return f"there are readings of: {names}" + (f" and {more} more" if more > 0 else "")


def tell_that_there_is_none(path: Path) -> None:
    """Say that nothing was read yet, and what to do."""
    from apimart_cli.screen.writing import write_note

    write_note(
        f"nothing was read yet: there is no history in {path}",
        "balance and check keep what they read, but where CI is set only with APIMART_RECORD=1; "
        "for an example, run: apimart sandbox --days 14 -- apimart history",
    )


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Raise what is wrong with the ledger as UsageError."""
    from apimart_cli.ledger.place import LedgerError

    try:
        yield
    except LedgerError as error:
        raise UsageError(
            f"the history cannot be used: {error}", "correct that, or name another file with APIMART_HISTORY"
        ) from None


def as_json(found: "Iterable[Entry]") -> Iterator[str]:
    """Yield entries as lines of JSON, which an import reads."""
    from apimart_cli.ledger.transfer import document_of
    from apimart_cli.output.json import render_document

    return (render_document(document_of(entry)) for entry in found)


def count_of(count: int) -> str:
    """Return so many readings, in words."""
    return f"{count} reading{'' if count == 1 else 's'}"
