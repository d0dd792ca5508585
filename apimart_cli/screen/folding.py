"""How much room text takes on a screen, in cells, and lines that are folded to fit."""


def width(text: str) -> int:
    """Return the number of cells that `text` takes on a screen."""
    if text.isascii():
        return len(text)
    # As the table measures; it costs 2 ms to load, and nothing else of Rich comes with it.
    from rich.cells import cell_len

    return cell_len(text)


def folded(line: str, cells: int) -> str:
    """Fold a line at its spaces: a narrow terminal would break it anywhere, in a number or a word too.

    What has no space in it, a path or an address, stays whole.
    """
    first, *words = line.split(" ")
    rows = [first]
    for word in words:
        # Not by `textwrap`: it counts characters.
        if width(f"{rows[-1]} {word}") <= cells:
            rows[-1] += f" {word}"
        else:
            rows.append(f"  {word}")
    return "\n".join(rows)
