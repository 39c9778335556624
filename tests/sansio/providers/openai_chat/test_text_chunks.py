"""The short way that chunks of text go: the same events and the same response as by the way of all other chunks."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, get_args, get_origin

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig
from turnout.events import Event
from turnout.providers import create
from turnout.providers.openai_chat.wire import Choice, Chunk, Message

OPENAI = create("openai", api_key="k")
REQUEST = ChatRequest(ModelConfig("openai", "m"), "hello")


def read(chunks: list[Any], prefix: bytes) -> tuple[list[Event], object, object]:
    """What an exchange makes of these chunks in one read; a prefix keeps an event from being plain."""
    exchange = OPENAI.stream(REQUEST)
    exchange.receive_head(200, ())
    events = list(
        exchange.receive_data(b"".join(prefix + b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks))
    )
    events += exchange.receive_data(prefix + b"data: [DONE]\n\n")
    failure = exchange.failure
    result = exchange.result
    told = (type(failure), str(failure)) if failure is not None else attrs.evolve(result, raw=None)
    return events, told, result.raw


def same(chunks: list[Any]) -> None:
    assert read(chunks, b"") == read(chunks, b"event: message\n")


def samples(kind: Any) -> st.SearchStrategy[Any]:
    """Values that fit an annotation of the wire shapes, those that mean nothing among them."""
    if kind is Any:
        return st.sampled_from([None, "", "x", {"message": "m", "code": "c"}, ["l"], {}])
    origin = get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([samples(each) for each in get_args(kind)])
    if origin is list:
        return st.lists(samples(get_args(kind)[0]), max_size=2)
    if origin is dict:
        return st.sampled_from([{}, {"type": "text", "text": "t"}])
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return st.fixed_dictionaries({}, optional={field.encode_name: samples(field.type) for field in fields})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.sampled_from(["", "a", "stop", "\n"]),
        int: st.integers(0, 2),
        float: st.sampled_from([0.0, 1.5]),
        bool: st.booleans(),
        types.NoneType: st.none(),
        msgspec.Raw: st.sampled_from([None, "a", {"b": 1}, {}]),
    }
    return simple[kind]


PLAIN = st.sampled_from(
    [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in ("a", "b", "", None)
    ]
    + [
        {"choices": [{"delta": {"reasoning_content": "r"}}]},
        {"choices": [{"delta": {"reasoning": "r", "content": "a"}}]},
    ]
)


@given(st.lists(PLAIN | samples(Chunk), min_size=1, max_size=5))
def test_any_chunks_read_the_same_by_both_ways(chunks: list[Any]) -> None:
    same(chunks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field.encode_name) for kind in (Chunk, Choice, Message) for field in msgspec.structs.fields(kind)],
)
@given(data=st.data())
def test_no_field_of_a_chunk_is_lost(kind: type, field: str, data: st.DataObject) -> None:
    """Each field in turn beside a text: whoever adds a field to the shapes must add it to the short way, too."""
    described = next(each for each in msgspec.structs.fields(kind) if each.encode_name == field)
    value = data.draw(samples(described.type))
    delta: dict[str, Any] = {"content": "a"}
    choice: dict[str, Any] = {"index": 0, "delta": delta}
    chunk: dict[str, Any] = {"id": "c", "choices": [choice]}
    {"Chunk": chunk, "Choice": choice, "Message": delta}[kind.__name__][field] = value
    same([{"choices": [{"delta": {"content": "before"}}]}, chunk, {"choices": [{"delta": {"content": "after"}}]}])


@pytest.mark.parametrize("delta", [{}, {"content": ""}])
def test_a_message_behind_the_deltas_is_read_the_same_by_both_ways(delta: dict[str, Any]) -> None:
    whole = {"delta": delta, "message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}}
    same([{"choices": [{"delta": {"content": "before"}}]}, {"choices": [whole]}])


def test_what_is_no_json_is_skipped_by_both_ways() -> None:
    exchange = OPENAI.stream(REQUEST)
    exchange.receive_head(200, ())
    events = exchange.receive_data(
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {oops\n\n'
        b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n'
        b'data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    assert [event.delta for event in events if event.type == "token"] == ["a", "b"]
    assert exchange.skipped == 1
