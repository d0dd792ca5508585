"""How much room text takes on a screen: in cells, of which a character of Chinese, Japanese or Korean takes two."""


def width(text: str) -> int:
    """Return the number of cells that `text` takes."""
    if text.isascii():
        return len(text)
    # As the table measures; it costs 2 ms to load, and nothing else of Rich comes with it.
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, cells: int) -> str:
    """Return `text` with as many spaces after it as fill so many cells."""
    return text + " " * (cells - width(text))


def shortened(text: str, cells: int, *, mark: str) -> str:
    """Return `text` with `mark` in place of its middle where it takes more than so many cells."""
    if width(text) <= cells:
        return text
    room = max(0, cells - width(mark))
    head = _beginning(text, room - room // 2)
    return f"{head}{mark}{_beginning(text[::-1], room // 2)[::-1]}"


def _beginning(text: str, cells: int) -> str:
    taken = ""
    for character in text:
        if width(taken + character) > cells:
            break
        taken += character
    return taken
