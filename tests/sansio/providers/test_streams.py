"""Answers made up in each dialect, with its quirks, and read back: what was meant comes out, however it is cut.

Also: any bytes at all give events or a typed failure, whole or cut, and never another exception.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.errors import (
    LocalProtocolError,
    Overloaded,
    ProviderError,
    RemoteProtocolError,
    StreamTruncated,
    TurnoutError,
)
from turnout.events import End, Event, Reasoning, Token
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.exchange import HttpExchange

NAMES = st.sampled_from(["openai", "gemini", "ollama", "anthropic"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@attrs.frozen
class Meant:
    """What a server wants to say."""

    reasoning: tuple[str, ...]
    text: tuple[str, ...]
    calls: tuple[tuple[str, dict[str, Any]], ...]
    finish: str
    usage: tuple[int, int] | None


MEANT = st.builds(
    Meant,
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(TEXT, max_size=5).map(tuple),
    st.lists(
        st.tuples(st.sampled_from(["f", "g"]), st.dictionaries(TEXT, st.none() | TEXT | st.integers(), max_size=3)),
        max_size=3,
    ).map(tuple),
    st.sampled_from(["stop", "length"]),
    st.none() | st.tuples(st.integers(0, 999), st.integers(0, 999)),
)


@st.composite
def openai_bytes(draw: st.DrawFn, meant: Meant) -> bytes:
    chunks: list[Any] = []

    def delta(**fields: Any) -> None:
        if draw(st.booleans()):
            fields["role"] = "assistant"
        chunks.append({"id": "c1", "model": "served", "choices": [{"index": 0, "delta": fields}]})

    reasoning = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    for piece in meant.reasoning:
        delta(**{reasoning: piece, "content": draw(st.sampled_from([None, ""]))})
    for piece in meant.text:
        delta(content=piece)
    for place, (name, arguments) in enumerate(meant.calls):
        text = json.dumps(arguments)
        cut = draw(st.integers(0, len(text)))
        by_id = draw(st.booleans())
        index = 0 if by_id else place  # some gateways give every call the index 0
        first = {"id": f"id{place}", "index": index, "function": {"name": name, "arguments": text[:cut]}}
        rest: dict[str, Any] = {"index": index, "function": {"arguments": text[cut:]}}
        if by_id:
            rest["id"] = f"id{place}"
        delta(tool_calls=[first])
        delta(tool_calls=[rest])
    finish = "tool_calls" if meant.calls and meant.finish == "stop" else meant.finish
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if meant.usage is not None:
        usage = {"prompt_tokens": meant.usage[0], "completion_tokens": meant.usage[1]}
        chunks.append({"choices": [], "usage": usage} if draw(st.booleans()) else {"choices": None, "usage": usage})
    body = sse(*chunks, ascii=draw(st.booleans()), newline=draw(st.sampled_from(["\n", "\r\n", "\r"])))
    if draw(st.booleans()):
        body = b": OPENROUTER PROCESSING\n\n" + body
    return body + draw(st.sampled_from([b"data: [DONE]\n\n", b"data: [DONE]", b""]))


@st.composite
def gemini_bytes(draw: st.DrawFn, meant: Meant) -> bytes:
    parts = [{"text": piece, "thought": True} for piece in meant.reasoning]
    parts += [{"text": piece} for piece in meant.text]
    parts += [{"functionCall": {"name": name, "args": arguments}} for name, arguments in meant.calls]
    documents: list[Any] = [{"candidates": [{"content": {"parts": [part], "role": "model"}}]} for part in parts]
    finish = {"stop": draw(st.sampled_from(["STOP", 1])), "length": "MAX_TOKENS"}[meant.finish]
    last: dict[str, Any] = {"candidates": [{"content": {}, "finishReason": finish}], "modelVersion": "served"}
    if meant.usage is not None:
        last["usageMetadata"] = {"promptTokenCount": meant.usage[0], "candidatesTokenCount": meant.usage[1]}
    documents.append(last)
    if draw(st.booleans()):
        return sse(*documents, newline="\r\n", ascii=draw(st.booleans()))
    return ("[" + "\n,\r\n".join(json.dumps(document, indent=2) for document in documents) + "]\n").encode()


@st.composite
def ollama_bytes(draw: st.DrawFn, meant: Meant) -> bytes:
    messages: list[Any] = [{"role": "assistant", "content": "", "thinking": piece} for piece in meant.reasoning]
    messages += [{"role": "assistant", "content": piece} for piece in meant.text]
    for place, (name, arguments) in enumerate(meant.calls):
        function = {"name": name, "arguments": draw(st.sampled_from([arguments, json.dumps(arguments)]))}
        messages.append(
            {"role": "assistant", "content": "", "tool_calls": [{"id": f"id{place}", "function": function}]}
        )
    lines: list[Any] = [{"model": "served", "message": message, "done": False} for message in messages]
    last = {"model": "served", "message": {"content": ""}, "done": True, "done_reason": meant.finish}
    if meant.usage is not None:
        last |= {"prompt_eval_count": meant.usage[0], "eval_count": meant.usage[1]}
    lines.append(last)
    newline = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    return "".join(json.dumps(line) + newline for line in lines).encode()


@st.composite
def anthropic_bytes(draw: st.DrawFn, meant: Meant) -> bytes:
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if meant.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in meant.reasoning]
        signed = {"type": "signature_delta", "signature": "s"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]))
    if meant.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in meant.text]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for place, (name, arguments) in enumerate(meant.calls):
        text = json.dumps(arguments)
        cut = draw(st.integers(0, len(text)))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in (text[:cut], text[cut:])]
        blocks.append(({"type": "tool_use", "id": f"id{place}", "name": name, "input": {}}, deltas))
    events: list[Any] = [{"type": "message_start", "message": {"id": "m", "model": "served", "content": []}}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    finish = "tool_use" if meant.calls else "end_turn"
    last: dict[str, Any] = {"stop_reason": finish if meant.finish == "stop" else "max_tokens"}
    end: dict[str, Any] = {"type": "message_delta", "delta": last}
    if meant.usage is not None:
        end["usage"] = {"input_tokens": meant.usage[0], "output_tokens": meant.usage[1]}
    events += [end, {"type": "message_stop"}]
    ping = draw(st.integers(0, len(events)))
    events.insert(ping, {"type": "ping"})
    ascii = draw(st.booleans())
    return b"".join(f"event: {event['type']}\n".encode() + sse(event, ascii=ascii) for event in events)


BYTES: dict[str, Callable[[Meant], st.SearchStrategy[bytes]]] = {
    "openai": openai_bytes,
    "gemini": gemini_bytes,
    "ollama": ollama_bytes,
    "anthropic": anthropic_bytes,
}
ANSWERS = st.tuples(NAMES, MEANT).flatmap(
    lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), BYTES[pair[0]](pair[1]))
)


def stream_of(name: str) -> HttpExchange[ChatResponse]:
    exchange = create(name, api_key="k").stream(ChatRequest(ModelConfig(name, "m"), [Message.user("x")]))
    assert isinstance(exchange, HttpExchange)
    return exchange


def feed(
    name: str, body: bytes, cuts: tuple[int, ...] = (), headers: tuple[tuple[str, str], ...] = ()
) -> tuple[list[Event], ChatResponse, TurnoutError | None]:
    exchange = stream_of(name)
    exchange.receive_head(200, headers)
    events: list[Event] = []
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        events += exchange.receive_data(body[start:end])
    events += exchange.receive_end()
    return events, exchange.result, exchange.failure


def agreed(seen: tuple[list[Event], ChatResponse, TurnoutError | None]) -> Any:
    events, result, failure = seen
    told = (type(failure).__name__, str(failure)) if failure is not None else None
    return events, attrs.evolve(result, raw=None), told


@given(ANSWERS, st.lists(st.integers(0, 2000), max_size=6).map(tuple))
@settings(deadline=None, max_examples=300)
def test_what_was_meant_comes_out(answer: tuple[str, Meant, bytes], cuts: tuple[int, ...]) -> None:
    name, meant, body = answer
    events, result, failure = seen = feed(name, body)
    assert failure is None
    assert result.text == "".join(meant.text)
    assert result.reasoning == "".join(meant.reasoning)
    assert [(call.name, call.parsed()) for call in result.tool_calls] == list(meant.calls)
    assert len({call.id for call in result.tool_calls}) == len(meant.calls)
    wanted = FinishReason.TOOL_CALLS if meant.calls and meant.finish == "stop" else FinishReason(meant.finish)
    assert result.finish_reason is wanted
    if meant.usage is not None:
        assert (result.usage.prompt_tokens, result.usage.completion_tokens) == meant.usage
    assert "".join(e.delta for e in events if isinstance(e, Token)) == result.text
    assert "".join(e.delta for e in events if isinstance(e, Reasoning)) == result.reasoning
    assert [e.call for e in events if e.type == "tool_call"] == list(result.tool_calls)
    assert isinstance(events[-1], End)
    assert events[-1].usage == result.usage
    assert agreed(feed(name, body, cuts)) == agreed(seen)


@given(ANSWERS, st.integers(0, 2000), st.lists(st.integers(0, 2000), max_size=4).map(tuple))
@settings(deadline=None, max_examples=200)
def test_a_body_that_breaks_off_is_never_taken_for_more_than_came(
    answer: tuple[str, Meant, bytes], at: int, cuts: tuple[int, ...]
) -> None:
    name, meant, body = answer
    body = body[:at]
    events, result, failure = seen = feed(name, body)
    assert "".join(meant.text).startswith(result.text)
    assert "".join(meant.reasoning).startswith(result.reasoning)
    assert (failure is None) == any(event.done for event in events)
    if failure is None:
        assert result.text == "".join(meant.text)
    assert agreed(feed(name, body, cuts)) == agreed(seen)


JUNK = st.lists(
    st.sampled_from(
        [b"data: ", b"\n", b"\n\n", b"\r", b"{", b"}", b"[", b"]", b'"', b'{"choices":[{"delta":{"content":"a"}}]}',
         b'{"error":{"code":503}}', b'{"error":"x"}', b"[DONE]", b"event: error\n", b'{"message":{"content":"a"}}',
         b'{"done":true}', b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}', b"\xff",
         b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","input":[1]}}',
         b'{"type":"content_block_start","index":0,"content_block":{"type":"odd"}}',
         b'{"type":"content_block_delta","index":0,"delta":{"type":"odd","x":"y"}}', b'{"type":"message_stop"}',
         b'{"type":"message_start","message":{"content":[{"type":"text","text":"a"},1]}}',
         b"\xef\xbb\xbf", b"\\ud800", b"NaN", b"1.0", b",",
         b'{"choices":[{"delta":{"content":1.5,"tool_calls":[{}]}}]}']
    )
    | st.binary(max_size=6),
    max_size=10,
).map(b"".join)  # fmt: skip


@given(NAMES, JUNK, st.lists(st.integers(0, 200), max_size=4).map(tuple))
@settings(deadline=None, max_examples=500)
@example("gemini", b'data: "overloaded"\n\n', ())
@example("openai", b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', ())
@example("openai", b"\n\xef\xbb\xbf", (1,))
@example("openai", b' data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}', (1,))
def test_any_bytes_give_events_or_a_typed_failure(name: str, body: bytes, cuts: tuple[int, ...]) -> None:
    seen = feed(name, body)
    failure = seen[2]
    assert failure is None or isinstance(failure, ProviderError | RemoteProtocolError | StreamTruncated)
    assert agreed(feed(name, body, cuts)) == agreed(seen)


@given(ANSWERS, st.sampled_from(["gzip", "deflate", "raw"]), st.lists(st.integers(0, 2000), max_size=6).map(tuple))
@settings(deadline=None, max_examples=100)
def test_compressed_answers_are_read_as_they_come(
    answer: tuple[str, Meant, bytes], how: str, cuts: tuple[int, ...]
) -> None:
    name, _, body = answer
    wbits = {"gzip": 31, "deflate": 15, "raw": -15}[how]
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(body) + packer.flush()
    headers = (("content-encoding", "gzip" if how == "gzip" else "deflate"),)
    assert agreed(feed(name, packed, cuts, headers)) == agreed(feed(name, body))


def test_a_broken_compressed_body_keeps_what_stood_before_the_break() -> None:
    body = sse({"choices": [{"delta": {"content": "kept"}}]})
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff\xff\xff"
    events, _, failure = feed("openai", packed, (), (("content-encoding", "gzip"),))
    assert events == [Token("kept")]
    assert isinstance(failure, RemoteProtocolError)
    cut = feed("openai", packed[:-4], (), (("content-encoding", "gzip"),))
    assert cut[0] == [Token("kept")]
    assert cut[2] is not None


def test_an_encoding_that_was_not_asked_for_is_a_clear_error() -> None:
    exchange = stream_of("openai")
    exchange.receive_head(200, [("content-encoding", "br")])
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert "'br'" in str(exchange.failure)
    assert exchange.receive_data(b"x") == exchange.receive_end() == ()


def test_calls_out_of_order_change_nothing() -> None:
    exchange = stream_of("openai")
    for wrong in (lambda: exchange.receive_data(b"x"), exchange.receive_end, lambda: exchange.result):
        with pytest.raises(LocalProtocolError):
            wrong()
    exchange.receive_head(200, [])
    with pytest.raises(LocalProtocolError):
        exchange.receive_head(200, [])
    with pytest.raises(LocalProtocolError):
        exchange.receive_data(b"")
    body = sse({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}, "[DONE]")
    assert [event.type for event in exchange.receive_data(body)] == ["token", "end"]
    assert exchange.complete
    assert exchange.receive_data(b"data: more\n\n") == ()
    assert exchange.receive_end() == ()
    with pytest.raises(LocalProtocolError):
        exchange.receive_end()


@pytest.mark.parametrize("name", ["openai", "gemini", "ollama"])
def test_an_error_inside_a_stream_keeps_what_came(name: str) -> None:
    bodies = {
        "openai": sse({"choices": [{"delta": {"content": "a"}}]}, {"error": {"code": 503, "message": "busy"}}),
        "gemini": sse(
            {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, {"error": {"code": 503, "message": "busy"}}
        ),
        "ollama": b'{"message":{"content":"a"}}\n{"error":"busy"}\n',
    }
    events, result, failure = feed(name, bodies[name])
    assert events == [Token("a")]
    assert result.text == "a"
    assert isinstance(failure, ProviderError)
    assert failure.message == "busy"
    assert name == "ollama" or isinstance(failure, Overloaded)
    assert result.finish_reason is FinishReason.ERROR


@pytest.mark.parametrize(
    "tail",
    [
        b'{\n  "error": {\n    "code": 503,\n    "message": "busy"\n  }\n}\n',
        b'data: [{"error": {"code": 503, "message": "busy"}}]\r\n\r\n',
        b'data: "busy"\r\n\r\n',
    ],
)
def test_gemini_s_odd_errors(tail: bytes) -> None:
    first = sse({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, newline="\r\n")
    events, _, failure = feed("gemini", first + tail)
    assert events == [Token("a")]
    assert isinstance(failure, ProviderError)
    assert failure.message == "busy"


def test_json_in_answer_to_a_stream_is_the_answer() -> None:
    whole = {"choices": [{"message": {"content": "all of it"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    events, result, failure = feed("openai", json.dumps(whole, indent=1).encode())
    assert failure is None
    assert [event.type for event in events] == ["token", "end"]
    assert (result.text, result.usage.prompt_tokens) == ("all of it", 1)
    _, _, failure = feed("openai", b"<html>sorry</html>")
    assert isinstance(failure, RemoteProtocolError)
    assert "<html>" in str(failure)


def test_arguments_that_come_by_their_paths() -> None:
    def call(**fields: Any) -> Any:
        return {"candidates": [{"content": {"parts": [{"functionCall": fields}]}}]}

    body = sse(
        call(name="f", id="1", willContinue=True),
        call(partialArgs=[{"jsonPath": "$.a[0].b", "stringValue": "x"}], willContinue=True),
        call(partialArgs=[{"jsonPath": "$.a[0].b", "stringValue": "y"}, {"jsonPath": "$.n", "numberValue": 2}],
             willContinue=True),
        call(partialArgs=[{"jsonPath": "$['k']", "nullValue": "NULL_VALUE"}, {"jsonPath": "$.a.z", "boolValue": True},
                          {"jsonPath": "$.a[99999]", "numberValue": 1}], willContinue=True),
        call(),
        call(name="g", willContinue=True),
        {"candidates": [{"finishReason": "STOP"}]},
    )  # fmt: skip
    _, result, failure = feed("gemini", body)
    assert failure is None
    assert [(call.name, call.parsed()) for call in result.tool_calls] == [
        ("f", {"a": [{"b": "xy"}], "n": 2, "k": None}),
        ("g", {}),
    ]


def test_gemini_s_signatures_stay_on_their_parts() -> None:
    body = sse(
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "b", "thoughtSignature": "s"}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "c"}, {"inlineData": {"data": "eA=="}}, "odd"]}}]},
        {"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "t"}]}, "finishReason": "STOP"}]},
    )
    _, result, _ = feed("gemini", body)
    assert [(getattr(part, "text", None), getattr(part, "signature", None)) for part in result.message.content] == [
        ("a", None),
        ("b", "s"),
        ("c", None),
        (None, None),
        ("", "t"),
    ]
    assert result.message.origin == "gemini"


def test_a_blocked_prompt_is_a_content_filter() -> None:
    _, result, failure = feed("gemini", sse({"promptFeedback": {"blockReason": "OTHER"}}))
    assert failure is None
    assert (result.finish_reason, result.finish_raw) == (FinishReason.CONTENT_FILTER, "OTHER")
