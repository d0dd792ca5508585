"""What is taken and probably not meant: a warning or a note, which never changes what is done."""

from datetime import timedelta

import pytest

from apimart_cli.config.doubts import doubt_of
from apimart_cli.config.values import parse_command


@pytest.mark.parametrize(
    ("command", "sign"),
    [
        ("mail -s 'left: $APIMART_REMAIN' you@example.com", "$"),
        ("echo ${APIMART_REMAIN}", "$"),
        ("echo $(date)", "$"),
        ("sh notify.sh $APIMART_REMAIN", "$"),
        ("echo low; date", ";"),
        ("echo low|mail", "|"),
        ("'echo low | mail x'", "|"),
        ("echo low && date", "&&"),
        ("echo low > file", ">"),
    ],
)
@pytest.mark.parametrize("name", ["on_low", "on_recover"])
def test_a_command_with_what_a_shell_reads_is_doubted(name: str, command: str, sign: str) -> None:
    """No shell reads it: the sign is named, and the form that works."""
    doubt = doubt_of(name, parse_command(command, "--on-low"))
    assert doubt is not None
    assert doubt.message == f"no shell reads the command: {sign} is handed on as it is"
    assert "sh -c" in doubt.hint


@pytest.mark.parametrize("command", [
    "sh -c 'echo $APIMART_REMAIN | mail x; date'", "/bin/bash -lc 'echo $APIMART_REMAIN'",
    "bash -e -c 'echo $APIMART_REMAIN'", "timeout 5 sh -c 'echo $APIMART_REMAIN'",
    "powershell -Command 'echo $env:APIMART_REMAIN'", "mail -s 'APIMart: low; top up' you@example.com",
    "notify-send 'it costs $5'", "tee low", "curl https://example.com/a?b=c",
])  # fmt: skip
def test_a_command_that_is_right_as_it_is_is_not_doubted(command: str) -> None:
    """A shell with -c reads what is meant for it, and quoted text may have a semicolon in it."""
    assert doubt_of("on_low", parse_command(command, "--on-low")) is None


@pytest.mark.parametrize(("minutes", "is_doubted"), [(3, True), (59, True), (60, False), (4320, False)])
def test_a_runway_of_minutes_gets_a_note(minutes: int, is_doubted: bool) -> None:
    """It is taken: only what is shorter than an hour is told."""
    doubt = doubt_of("min_runway", timedelta(minutes=minutes))
    assert (doubt is not None) == is_doubted
    assert doubt is None or (doubt.message, doubt.is_warning) == (f"{minutes}m is less than an hour", False)


@pytest.mark.parametrize(("key", "is_doubted"), [
    ("$APIMART_KEY", True), ("${KEY}", True), ("$key_1", True), ("sk-$KEY", False), ("$5abc", False), ("sk-abc", False),
])  # fmt: skip
def test_a_key_that_is_the_name_of_a_variable_is_doubted(key: str, is_doubted: bool) -> None:
    """No shell has put the value in; the hint names the setting that does."""
    doubt = doubt_of("api_key", key)
    assert (doubt is not None) == is_doubted
    assert doubt is None or "api_key_env" in doubt.hint
