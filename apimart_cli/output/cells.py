"""How much room text takes on a screen: in cells, of which a character of Chinese, Japanese or Korean takes two."""

from apimart_cli.screen.folding import width


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
