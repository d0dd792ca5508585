"""The API key: checked before any library sees it, and masked wherever it might be printed."""

import traceback
from traceback import walk_tb

import pytest

from apimart_cli.errors import AuthError
from apimart_cli.keys.key import MAX_LENGTH, ApiKey, drop_newline, known_keys, looks_like_variable
from support.running import KEY

WITHOUT_QUOTES = "give the key without them"
WITHOUT_BEARER = "give the key alone: apimart adds that word"
COPY_AGAIN = "copy the key again from the gateway's key page; it is one word that starts with sk-"


@pytest.fixture
def key() -> ApiKey:
    return ApiKey(KEY, source="a test")


UNUSUAL = "has a character in it that is not printable ASCII"


def test_a_malformed_key_is_refused_by_source_and_fault() -> None:
    """The error says where the key came from, what is wrong with it and what to do next, and shows nothing of it."""
    for keys, fault, hint in (
        ([""], "is empty", COPY_AGAIN),
        (["sk-" + "x" * (MAX_LENGTH - 2)], "is longer than 4096 characters", COPY_AGAIN),
        (["sk-Zq7Wm3Xc\n", "sk-Zq7Wm3Xc\rX-Other: 1"], "has a line break in it", COPY_AGAIN),
        (["sk-Zq7W m3Xc", " sk-Zq7Wm3Xc", "sk-Zq7Wm3Xc\xa0"], "has white space in it", COPY_AGAIN),
        (["sk-Zq7Wm3Xcé", "sk-Zq7Wm3Xc\x00", "sk-Zq7Wm3Xc\x7f", "\ufeffsk-Zq7Wm3Xc"], UNUSUAL, COPY_AGAIN),
        (["'sk-Zq7Wm3Xc'", '"sk-Zq7Wm3Xc"\n', "`sk-Zq7Wm3Xc`", "“sk-Zq7Wm3Xc”"], "is in quotes", WITHOUT_QUOTES),
        (["Bearer sk-Zq7Wm3Xc", "bearer\tsk-Zq7Wm3Xc"], "has Bearer before it", WITHOUT_BEARER),
        (["Authorization: Bearer sk-Zq7Wm3Xc"], "has Bearer before it", WITHOUT_BEARER),
    ):
        for characters in keys:
            with pytest.raises(AuthError) as caught:
                ApiKey(characters, source="MY_VARIABLE")
            assert (caught.value.message, caught.value.hint) == (f"the API key from MY_VARIABLE {fault}", hint)
            assert "Zq7W" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("characters", ["sk-abc", "!", "~", "a" * MAX_LENGTH, "sk-[red]%2F'\"\\"])
def test_one_word_of_printable_ascii_is_a_key(characters: str) -> None:
    """Every printable ASCII character may stand in a key; what it must look like is the gateway's business."""
    assert ApiKey(characters, source="a test").reveal() == characters


def test_one_newline_at_the_end_is_dropped() -> None:
    """Of either form, as editors and commands write it; every other one is a fault of the key."""
    for text, rest in (("sk\n", "sk"), ("sk\r\n", "sk"), ("\r\nsk\n\n", "\r\nsk\n"), ("\rsk\r", "\rsk")):
        assert drop_newline(text) == rest


def test_the_name_of_a_variable_is_no_key() -> None:
    """As a shell would replace it, in braces or not."""
    for text in ("$A", "$_x9", "${API_KEY}", "${Api_Key_2}"):
        assert looks_like_variable(text)
    for text in ("API_KEY", "$1A", "$", "${}", "$A-B", "sk-$A"):
        assert not looks_like_variable(text)


def test_a_key_shows_only_its_length(key: ApiKey) -> None:
    """However a key is printed, its characters are not: it has no `__dict__` that a traceback would print."""
    for shown in (str(key), repr(key), f"{key}", f"{[key]}", "%s" % key):  # noqa: UP031  # one more way to print
        assert "26 characters" in shown
        assert "Zq7" not in shown
    assert len(key) == len(KEY) == 26
    assert key.source == "a test"
    assert not hasattr(key, "__dict__")


def test_a_malformed_key_is_in_no_frame_of_its_refusal() -> None:
    """Reporters of exceptions show what every frame holds: of a key that was refused there is nothing to show."""
    with pytest.raises(AuthError) as refusal:
        ApiKey("two words", source="the test")
    held = [value for frame, _ in walk_tb(refusal.tb) for value in frame.f_locals.values()]
    assert [value.reveal() for value in held if isinstance(value, ApiKey)] == [""]


def test_keys_in_use_are_known_and_others_are_not() -> None:
    """What is started must not get them; one that was refused, or is gone, is no key in use."""
    first, second = ApiKey("sk-first-Jh5Tr8Wq2Zx6", source="a"), ApiKey("sk-second-Bn4Mk9Lp3Qs7", source="b")
    with pytest.raises(AuthError):
        ApiKey("sk-refused Pd6Gf2Hs8", source="c")
    assert {"sk-first-Jh5Tr8Wq2Zx6", "sk-second-Bn4Mk9Lp3Qs7"} <= known_keys()
    assert not {each for each in known_keys() if "refused" in each or not each}
    assert "sk-first-Jh5Tr8Wq2Zx6" not in known_keys(except_from="a")
    assert "sk-second-Bn4Mk9Lp3Qs7" in known_keys(except_from="a")
    del first, second
    assert not {"sk-first-Jh5Tr8Wq2Zx6", "sk-second-Bn4Mk9Lp3Qs7"} & known_keys()
