"""Ledgers in which pages lead to each other: small files that seem to hold the same rows a billion times."""

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

PAGE = 65_536
LEVELS, WIDTH = 4, 1000
"""A leaf is repeated 1,000 times by each page above it, and there are four such pages above each other."""

_INDEX_LEAF, _TABLE_LEAF = 10, 13


def with_large_pages(path: Path) -> None:
    """Rewrite the ledger with the largest pages, so that each table has its rows on one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {PAGE}")
        database.execute("VACUUM")


def tangle(path: Path, table: str) -> None:
    """Have the only page of a table repeated over and over, by a few pages that lead to it.

    The ledger has to have large pages, and the table at least one row.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        [(root,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchall()
    pages = [bytearray(page) for page in _pages_of(path.read_bytes())]
    leaf = pages[root - 1]
    kind = leaf[0]
    assert kind in {_INDEX_LEAF, _TABLE_LEAF}, "its rows are on one page"
    pages.append(leaf)
    for _ in range(LEVELS):
        pages.append(_above(kind, len(pages), leaf))
    pages[root - 1] = pages.pop()
    struct.pack_into(">I", pages[0], 28, len(pages))
    path.write_bytes(b"".join(pages))


def make_sparse(path: Path, size: int) -> None:
    """Have a file claim so many bytes, of which few are on the disk."""
    os.truncate(path, size)


def _pages_of(content: bytes) -> list[bytes]:
    return [content[place : place + PAGE] for place in range(0, len(content), PAGE)]


def _above(kind: int, child: int, leaf: bytearray) -> bytearray:
    """Return a page that leads to `child` again and again (sqlite.org/fileformat2.html#b_tree_pages)."""
    if kind == _TABLE_LEAF:
        cell = struct.pack(">I", child) + b"\x05"
    else:
        # With a row of its own, as such pages have: the first one of the leaf.
        (place,) = struct.unpack_from(">H", leaf, 8)
        size = leaf[place]
        assert size < 128, "a short row"
        cell = struct.pack(">I", child) + bytes(leaf[place : place + 1 + size])
    page = bytearray(PAGE)
    start = PAGE - WIDTH * len(cell)
    page[start:] = cell * WIDTH
    page[0] = kind - 8
    struct.pack_into(">HHB", page, 3, WIDTH, start, 0)
    struct.pack_into(">I", page, 8, child)
    struct.pack_into(f">{WIDTH}H", page, 12, *range(start, PAGE, len(cell)))
    return page
