"""Pages: those who ask at the same time share one, and nobody gets an old one."""

import gzip

import pytest

from apimart_cli.exporter.page import FRESH, Pages


class Clock:
    """A clock that goes on when the test says so, and a page that counts how often it was made."""

    def __init__(self) -> None:
        self.now, self.made = 100.0, 0

    def render(self) -> bytes:
        """Return the next page."""
        self.made += 1
        return b"page %d\n" % self.made


def test_a_fresh_page_is_handed_out_again() -> None:
    """The same bytes, compressed as well."""
    clock = Clock()
    pages = Pages(clock.render, clock=lambda: clock.now)
    first = pages.get(compressed=False)
    clock.now += FRESH / 2
    assert pages.get(compressed=False) is first
    assert gzip.decompress(pages.get(compressed=True)) == first
    assert pages.get(compressed=True) is pages.get(compressed=True)
    assert clock.made == 1


@pytest.mark.parametrize("step", [FRESH, -1.0])
def test_an_old_page_is_made_anew(step: float) -> None:
    """Also after the clock was set back."""
    clock = Clock()
    pages = Pages(clock.render, clock=lambda: clock.now)
    pages.get(compressed=True)
    clock.now += step
    assert pages.get(compressed=False) == b"page 2\n"
    assert gzip.decompress(pages.get(compressed=True)) == b"page 2\n"


def test_a_page_is_forgotten_when_that_is_asked_for() -> None:
    """However fresh it is."""
    clock = Clock()
    pages = Pages(clock.render, clock=lambda: clock.now)
    pages.get(compressed=False)
    pages.forget()
    assert pages.get(compressed=False) == b"page 2\n"


def test_what_goes_wrong_is_raised_and_not_kept() -> None:
    """The next one who asks may have more luck."""
    answers = iter([ValueError("bad"), b"good"])

    def render() -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pages = Pages(render, clock=lambda: 0.0)
    with pytest.raises(ValueError, match="bad"):
        pages.get(compressed=False)
    assert pages.get(compressed=False) == b"good"
