"""What holds for every framing parser alike: wrong calls, limits, and the end."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from turnout.errors import LocalProtocolError
from turnout.framing.eventstream import EventStreamParser
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.ndjson import NdjsonParser
from turnout.framing.parser import MAX_FRAME, FrameParser
from turnout.framing.sse import SseParser

PARSERS: list[type[FrameParser[Any]]] = [SseParser, NdjsonParser, JsonArrayParser, EventStreamParser]
every_parser = pytest.mark.parametrize("parser_class", PARSERS)


@every_parser
def test_data_after_the_end_is_the_callers_fault(parser_class: type[FrameParser[Any]]) -> None:
    parser = parser_class()
    assert parser.receive_end() == []
    with pytest.raises(LocalProtocolError, match=rf"{parser_class.__name__}.receive_data .* after receive_end"):
        parser.receive_data(b"[")
    with pytest.raises(LocalProtocolError, match=rf"{parser_class.__name__}.receive_end .* twice"):
        parser.receive_end()
    assert parser.failure is None


@every_parser
def test_no_bytes_change_nothing(parser_class: type[FrameParser[Any]]) -> None:
    parser = parser_class()
    before = parser.complete
    assert parser.receive_data(b"") == []
    assert (parser.complete, parser.failure) == (before, None)


@every_parser
@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one_byte(parser_class: type[FrameParser[Any]], limit: int) -> None:
    with pytest.raises(ValueError, match="max_frame"):
        parser_class(max_frame=limit)


@every_parser
def test_the_default_limit_leaves_room_for_an_image(parser_class: type[FrameParser[Any]]) -> None:
    assert parser_class().max_frame == MAX_FRAME >= 32 * 1024 * 1024


@every_parser
def test_nothing_is_held_after_a_failure(parser_class: type[FrameParser[Any]]) -> None:
    parser = parser_class(max_frame=1_000_000)
    tracemalloc.start()
    try:
        for piece in (b'["', *[b"x" * 10_000] * 101):
            parser.receive_data(piece)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.failure is not None
    assert held < 100_000


@every_parser
def test_setting_an_attribute_runs_no_python(parser_class: type[FrameParser[Any]]) -> None:
    # attrs adds a __setattr__ where a class has one validator or converter, and each read would pay for it.
    assert parser_class.__setattr__ is object.__setattr__


@every_parser
def test_what_is_held_is_not_in_the_repr(parser_class: type[FrameParser[Any]]) -> None:
    parser = parser_class()
    parser.receive_data(b'["secret')
    assert "secret" not in repr(parser)
