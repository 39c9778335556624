"""A fault is checked when it is made, so that a script with an error fails at once and names it."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.errors import LocalProtocolError
from turnout_io.sandbox import Abort, Corruption, ErrorKind, Fault


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": 99}, "status"),
        ({"status": 600}, "status"),
        ({"status": "503"}, "status"),
        ({"delay": -1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"first_token_delay": "1"}, "first_token_delay"),
        ({"token_interval": True}, "token_interval"),
        ({"abort": "gently"}, "reset"),
        ({"corruption": "xml"}, "json"),
        ({"error": "bad luck"}, "rate-limit"),
        ({"after_tokens": 3}, "abort"),
        ({"abort": "close", "after_tokens": -1}, "after_tokens"),
        ({"stall": 1}, "after_tokens"),
        ({"stall": -1, "after_tokens": 1}, "stall"),
        ({"stall": 1, "after_tokens": 1, "abort": "close"}, "abort"),
        ({"fragment": 0}, "fragment"),
        ({"abort": "reset", "corruption": "json"}, "exclude"),
        ({"abort": "error", "status": 500}, "status"),
        ({"abort": "close", "partial": True}, "after_tokens"),
        ({"abort": "error", "after_tokens": 1, "partial": True}, "partial"),
        ({"headers": {"x": "a\r\nb: c"}}, "header"),
        ({"headers": {"": "a"}}, "header"),
        ({"body": {"a": object()}}, "body"),
        ({"usage": 0}, "usage"),
    ],
)
def test_a_value_that_cannot_be_played_is_refused_by_name(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(LocalProtocolError, match=word):
        Fault(**fields)


def test_an_unknown_field_of_a_script_is_refused_by_name() -> None:
    with pytest.raises(LocalProtocolError, match="'stauts'"):
        Fault.from_mapping({"stauts": 503})


def test_words_become_members() -> None:
    fault = Fault(abort="close", after_tokens=2, error="quota")
    assert (fault.abort, fault.error) == (Abort.CLOSE, ErrorKind.QUOTA)
    assert Fault(corruption="chunk").corruption is Corruption.CHUNK
    assert Fault.from_mapping({"abort": "close", "after_tokens": 2, "error": "quota"}) == fault


def test_header_fields_are_kept_in_order_and_as_text() -> None:
    assert Fault(headers={"retry-after": 2, "x": "y"}).headers == (("retry-after", "2"), ("x", "y"))


@pytest.mark.parametrize(
    ("body", "data", "kind"),
    [
        ({"error": "no"}, b'{"error": "no"}', "application/json"),
        ([1], b"[1]", "application/json"),
        ("<p>", b"<p>", "text/html; charset=utf-8"),
        ("no", b"no", "text/plain; charset=utf-8"),
        (b"\x00", b"\x00", "application/octet-stream"),
    ],
)
def test_a_body_is_sent_with_the_type_that_it_has(body: Any, data: bytes, kind: str) -> None:
    assert Fault(body=body).encoded_body() == (data, kind)


def test_which_faults_replace_the_answer() -> None:
    assert Fault(status=503).is_error
    assert Fault(error="auth").is_error
    assert not Fault().is_error
    assert not Fault(status=201).is_error
    assert not Fault(abort="error", error="overloaded").is_error
    assert not Fault(status=500, body="x").is_error
