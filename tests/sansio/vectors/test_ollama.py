"""Vectors 61 to 67: Ollama's own dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import ndjson
from tests.sansio.vectors.exchanges import KEY, asking, chat, failed, refused, sent, stream
from turnout.chat import FinishReason, Usage
from turnout.errors import (
    ContextLengthExceeded,
    NotFound,
    NotSupported,
    Overloaded,
    ProviderError,
    RemoteProtocolError,
    StreamTruncated,
)
from turnout.events import Reasoning, Token
from turnout.messages import Image, Message, ToolCall
from turnout.providers import create


def line(content: str = "", **message: Any) -> dict[str, Any]:
    return {
        "model": "served",
        "created_at": "2026-02-18T22:00:00.123456789Z",
        "message": {"role": "assistant", "content": content, **message},
        "done": False,
    }


def last(**fields: Any) -> dict[str, Any]:
    counted = {"total_duration": 1234567890, "prompt_eval_count": 12, "eval_count": 34, "eval_duration": 987654321}
    return line() | {"done": True, "done_reason": "stop"} | counted | fields


HELLO = [line("Hel"), line('lo "{1.5}"'), last()]


def test_vector_61_lines_however_they_end() -> None:
    plain = ndjson(*HELLO)
    seen = stream("ollama", plain)  # cut inside each number and each string
    assert seen.failure is None
    assert seen.events[:-1] == (Token("Hel"), Token('lo "{1.5}"'))
    assert seen.result.usage == Usage(prompt_tokens=12, completion_tokens=34)
    for body in (
        plain.removesuffix(b"\n"),
        ndjson(*HELLO, newline="\r\n"),
        ndjson(*HELLO, newline="\n\n"),
        b"\r\n" + plain,
    ):
        assert stream("ollama", body).agreed() == seen.agreed()


def called(*calls: tuple[str, Any], **ids: str) -> dict[str, Any]:
    return line(tool_calls=[{**ids, "function": {"name": name, "arguments": given}} for name, given in calls])


def test_vector_62_calls_before_a_plain_stop() -> None:
    seen = stream("ollama", ndjson(called(("f", {"x": 1}), id="call_i9r62nxq"), called(("g", {}), ("g", {})), last()))
    assert seen.failure is None
    assert [(call.name, call.parsed()) for call in seen.result.tool_calls] == [("f", {"x": 1}), ("g", {}), ("g", {})]
    assert seen.result.tool_calls[0].id == "call_i9r62nxq"
    assert len({call.id for call in seen.result.tool_calls}) == 3
    assert (seen.result.finish_reason, seen.result.raw_finish_reason) == (FinishReason.TOOL_CALLS, "stop")


def test_vector_62_arguments_as_a_string() -> None:
    for arguments in ('{"x": 1}', {"x": 1}):
        seen = stream("ollama", ndjson(called(("f", arguments)), last()))
        assert seen.result.tool_calls[0].parsed() == {"x": 1}
        # Ollama must get them back as an object, however they came.
        again = sent(asking("ollama", Message.user("x"), seen.result.message))
        assert again["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"x": 1}


def test_vector_63_an_error_line_in_the_stream() -> None:
    seen = stream("ollama", ndjson(line("Hel"), {"error": "unexpected EOF from the runner"}))
    assert seen.events == (Token("Hel"),)
    assert failed(seen).message == "unexpected EOF from the runner"
    assert seen.result.text == "Hel"
    assert isinstance(stream("ollama", ndjson({"error": "no such thing"})).failure, ProviderError)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, 'model "nope" not found, try pulling it first', NotFound),
        (400, '"llama3" does not support tools', NotSupported),
        (400, "the input length exceeds the context length", ContextLengthExceeded),
        (503, "server busy, please try again.  maximum pending requests exceeded", Overloaded),
    ],
)
def test_vector_63_an_error_as_the_only_body(status: int, text: str, kind: type[ProviderError]) -> None:
    error = refused("ollama", status, {"error": text})
    assert type(error) is kind
    assert (error.status, error.message) == (status, text)


def test_vector_64_a_count_that_is_left_out_is_not_known() -> None:
    final = last()
    del final["prompt_eval_count"]
    seen = stream("ollama", ndjson(line("Hi"), final))
    assert seen.result.usage == Usage(completion_tokens=34)


@pytest.mark.parametrize("reason", [None, ""])
def test_vector_64_an_end_without_its_reason(reason: str | None) -> None:
    final = last(done_reason=reason)
    if reason is None:
        del final["done_reason"]
    seen = stream("ollama", ndjson(line("Hi"), final))
    assert seen.failure is None
    assert seen.types == ["token", "end"]
    assert (seen.result.finish_reason, seen.result.raw_finish_reason) == (FinishReason.UNKNOWN, None)


def test_vector_64_a_model_that_was_only_loaded() -> None:
    loaded = line() | {"done": True, "done_reason": "load"}
    for seen in (chat("ollama", loaded), stream("ollama", ndjson(loaded))):
        assert isinstance(seen.failure, RemoteProtocolError | StreamTruncated)
        assert "(finish reason: load)" in str(seen.failure)


def test_vector_65_thinking_and_then_content() -> None:
    pieces = [line(thinking="Well, "), line(thinking="so.", images=None), line("Hi", images=None)]
    seen = stream("ollama", ndjson(*pieces, last()))
    assert seen.events[:-1] == (Reasoning("Well, "), Reasoning("so."), Token("Hi"))
    whole = line("Hi", thinking="Well, so.", images=None) | {"done": True, "done_reason": "stop"}
    assert (chat("ollama", whole).result.reasoning, seen.result.reasoning) == ("Well, so.", "Well, so.")


def test_vector_66_the_end_without_the_last_line() -> None:
    seen = stream("ollama", ndjson(line("Hel")))
    assert seen.events == (Token("Hel"),)
    assert isinstance(seen.failure, StreamTruncated)
    half = ndjson(line("Hel"), line("lo"))[:-20]
    assert isinstance(stream("ollama", half).failure, StreamTruncated)


def test_vector_67_images_arguments_and_stream_as_ollama_wants_them() -> None:
    turns = (
        Message.user("Look:", Image("data:image/png;base64,cG5n"), Image(data=b"jpg", media_type="image/jpeg")),
        Message.assistant(tool_calls=[ToolCall("a", "f", '{"x": {"y": 1}}'), ToolCall("b", "g", "")]),
    )
    body = sent(asking("ollama", *turns))
    assert body["messages"][0]["images"] == ["cG5n", "anBn"]
    functions = [call["function"] for call in body["messages"][1]["tool_calls"]]
    assert functions == [{"name": "f", "arguments": {"x": {"y": 1}}}, {"name": "g", "arguments": {}}]
    assert body["stream"] is False
    assert json.loads(create("ollama", api_key=KEY).stream(asking("ollama")).request.body)["stream"] is True
