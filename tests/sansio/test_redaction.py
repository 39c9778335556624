"""Secrets are removed from every text that a server may echo, and such a text is safe to print."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proportion import assert_linear
from turnout.redaction import (
    Redactor,
    Secret,
    clear_locals,
    escape_controls,
    secrets_of_header,
    secrets_of_url,
    without_locals,
)

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=12, max_size=60)
AROUND = st.text('ab:=/+ "%', max_size=6)


@given(SECRETS, AROUND, AROUND)
def test_a_secret_is_found_in_every_form(secret: str, before: str, after: str) -> None:
    redact = Redactor([secret])
    for form in (secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)):
        assert form not in redact(f"{before}{form}{after}")
        assert redact.finds(f"{before}{form}{after}")


@given(SECRETS, st.binary(max_size=9), st.binary(max_size=9))
def test_a_secret_is_found_in_base64_behind_anything(secret: str, before: bytes, after: bytes) -> None:
    redact = Redactor([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + after).decode()
        shown = redact(f"token {encoded} was refused")
        assert "***" in shown
        # No more than the bits that the ends share with the neighbours stays.
        assert len(shown) <= len("token  was refused***") + len(encode(before)) + len(encode(after)) + 8


def test_short_words_are_no_secrets() -> None:
    assert Redactor(["key", ""])("the key is wrong") == "the key is wrong"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("proxy-authorization: basic dXNlcjpwYXNzd29yZA==", "proxy-authorization: basic ***"),
        ("http://user:p4ss@proxy.test:3128 refused", "http://***@proxy.test:3128 refused"),
        ("basic information about bearer tokens", "basic *** about bearer tokens"),
        ("https://api.test/v1", "https://api.test/v1"),
    ],
)
def test_credentials_are_found_by_their_form(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


def test_secrets_of_headers_and_urls() -> None:
    assert secrets_of_header("Authorization", "Bearer abc") == ("abc", "Bearer abc")
    assert secrets_of_header("X-Mine", "value") == ("value",)
    assert secrets_of_header("User-Agent", "me") == ()
    assert secrets_of_url("https://me:pass@h.test/x?key=k1&a=b&sig=s1") == ("pass", "k1", "s1")
    assert secrets_of_url("https://[") == ()


def test_a_secret_has_no_repr_and_is_a_text() -> None:
    secret = Secret("sk-hidden")
    assert "hidden" not in repr(secret) + repr([secret]) + repr({"a": secret})
    assert f"Bearer {secret}" == "Bearer sk-hidden"
    assert pickle.loads(pickle.dumps(secret)) == secret == "sk-hidden"
    assert secret not in repr(Redactor([secret]))


@given(st.text())
def test_controls_are_spelled_out(text: str) -> None:
    shown = escape_controls(text)
    for character in "\n\r\t\x00\x1b\x7f\x9b\u2028\u202e\u2066":
        assert character not in shown
    if text.isprintable():
        assert shown == text


def test_an_escape_sequence_is_readable_afterwards() -> None:
    assert escape_controls("a\nb\x1b[31mred\u202e") == "a\\nb\\x1b[31mred\\u202e"


@pytest.mark.parametrize("piece", ["bearer ", "basic a", "://a:", "://", "://a:b", "sk-12345"])
def test_the_time_is_linear(piece: str) -> None:
    redact = Redactor(["sk-1234567890"])

    def read(size: int) -> Callable[[], object]:
        text = (piece * (size // len(piece) + 1))[:size]
        return lambda: redact(text)

    assert_linear(read, 64 * 1024)


@pytest.mark.parametrize("cut", [slice(80), slice(3, None), slice(None, None, 2), 0])
def test_a_part_of_a_secret_is_a_secret(cut: slice | int) -> None:
    part = Secret("sk-0123456789" * 10)[cut]
    assert part == ("sk-0123456789" * 10)[cut]
    assert repr(part) == "'***'"


def test_local_variables_of_an_error_and_its_causes_are_cleared() -> None:
    def parse(text: str) -> None:
        raise ValueError(len(text))

    def call(text: str) -> None:
        try:
            parse(text)
        except ValueError as error:
            raise RuntimeError from error

    with pytest.raises(RuntimeError) as caught:
        call("sk-0123456789")
    clear_locals(caught.value)
    frames = list(_frames(caught.value)) + list(_frames(caught.value.__cause__))
    assert [frame.f_code.co_name for frame in frames if "redaction" in frame.f_code.co_filename][-3:] == [
        "call", "call", "parse"
    ]  # fmt: skip
    assert not any("text" in frame.f_locals for frame in frames)


def test_local_variables_of_the_errors_in_a_group_are_cleared() -> None:
    def fail(text: str) -> None:
        raise ValueError(len(text))

    with pytest.raises(ValueError, match="13") as one:
        fail("sk-0123456789")
    clear_locals(ExceptionGroup("two", [one.value, ValueError()]))
    assert not any("text" in frame.f_locals for frame in _frames(one.value))


def test_the_error_that_a_program_handles_while_it_calls_keeps_its_variables() -> None:
    """It is the context of each error that is raised meanwhile, and a debugger or a report may show it later."""

    def of_program(text: str) -> None:
        raise KeyError(len(text))

    def of_library(text: str) -> None:
        raise ValueError(len(text))

    def call() -> ValueError:
        try:
            of_library("sk-0123456789")
        except ValueError as error:
            return error
        raise AssertionError

    try:
        of_program("its own")
    except KeyError as handled:
        caught = call()
        assert caught.__context__ is handled
        clear_locals(caught)
        assert [frame.f_locals["text"] for frame in _frames(handled) if "text" in frame.f_locals] == ["its own"]
        assert not any("text" in frame.f_locals for frame in _frames(caught))


def test_a_coroutine_that_caught_the_error_goes_on() -> None:
    def generator() -> Iterator[object]:
        try:
            raise ValueError
        except ValueError as error:
            yield error
        yield "goes on"

    running = generator()
    clear_locals(next(running))  # type: ignore[arg-type]  # it is the error
    assert next(running) == "goes on"


def test_a_decorated_function_clears_its_arguments_and_keeps_its_name() -> None:
    @without_locals
    def connect(password: str, port: int = 1) -> str:
        """Connect."""
        if port < 0:
            raise ValueError(port)
        return password[:port]

    assert (connect("abc", port=2), connect.__doc__) == ("ab", "Connect.")
    with pytest.raises(ValueError, match="-1") as caught:
        connect("sk-0123456789", port=-1)
    assert not any("sk-" in str(frame.f_locals) for frame in list(_frames(caught.value))[1:])


def _frames(error: BaseException | None) -> Iterator[Any]:
    step = error.__traceback__ if error is not None else None
    while step is not None:
        yield step.tb_frame
        step = step.tb_next
