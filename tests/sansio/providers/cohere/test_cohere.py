"""Cohere's second version: what was meant comes out of a stream however cut, and what is sent is what its SDK takes."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pydantic
import pytest
from cohere.types import ChatMessageV2, ResponseFormatV2, ToolV2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers import playing
from tests.sansio.providers.playing import ARGUMENTS, CUTS, TEXT, Heard, agreed, pieces
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    CapabilityUnsupported,
    NotFound,
    ProviderError,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    StreamTruncated,
    TurnoutError,
)
from turnout.events import End, Token
from turnout.messages import Image, Message, Role, Text, Tool, ToolCall, ToolChoice
from turnout.providers import create

MODEL = ModelConfig("cohere", "command-a-reasoning-08-2025")
CITATION = {"start": 0, "end": 3, "text": "abc", "sources": [{"type": "document", "id": "d"}]}
PARTS = st.lists(
    TEXT.map(lambda text: {"type": "text", "text": text})
    | TEXT.map(lambda text: {"type": "thinking", "thinking": text}),
    max_size=3,
)
CALLS = st.lists(
    st.tuples(st.uuids(), st.sampled_from(["f", "g"]), ARGUMENTS).map(
        lambda made: {
            "id": f"{made[1]}_{made[0].hex}",
            "type": "function",
            "function": {"name": made[1], "arguments": json.dumps(made[2])},
        }
    ),
    max_size=2,
)
STOPS = {
    "COMPLETE": FinishReason.STOP,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "MAX_TOKENS": FinishReason.LENGTH,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
    "SOMETHING_NEW": FinishReason.UNKNOWN,
}
USAGE = {"billed_units": {"input_tokens": 2, "output_tokens": 3}, "tokens": {"input_tokens": 11, "output_tokens": 17}}


def event(kind: str, *, newline: str = "\n", **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}{newline}data: {data}{newline * 2}".encode()


@attrs.frozen
class Meant:
    """What an answer holds. A plan comes only before calls."""

    parts: list[dict[str, Any]]
    plan: str
    calls: list[dict[str, Any]]
    citations: int
    stop: str

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        if self.parts:
            message["content"] = self.parts
        if self.plan:
            message["tool_plan"] = self.plan
        if self.calls:
            message["tool_calls"] = self.calls
        if self.citations:
            message["citations"] = [CITATION] * self.citations
        return message


MEANT = st.builds(Meant, PARTS, st.just("") | TEXT, CALLS, st.integers(0, 2), st.sampled_from(sorted(STOPS))).map(
    lambda meant: meant if meant.calls else attrs.evolve(meant, plan="")
)


@st.composite
def streamed(draw: st.DrawFn, meant: Meant) -> list[bytes]:
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    events: list[bytes] = []

    def say(kind: str, index: int | None = None, **message: Any) -> None:
        place = {} if index is None else {"index": index}
        events.append(event(kind, newline=newline, **place, **({"delta": {"message": message}} if message else {})))
        if draw(st.booleans()) and draw(st.booleans()):
            events.append(event("something-new", newline=newline, x=1))

    events.append(event("message-start", newline=newline, id="m1", delta={"message": {"role": "assistant"}}))
    for index, part in enumerate(meant.parts):
        field = "text" if part["type"] == "text" else "thinking"
        say("content-start", index, content={**part, field: ""})
        for piece in draw(pieces(part[field])):
            say("content-delta", index, content={field: piece})
        say("content-end", index)
    if meant.plan:
        for piece in draw(pieces(meant.plan)):
            say("tool-plan-delta", tool_plan=piece)
    for index, call in enumerate(meant.calls):
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        say("tool-call-start", index, tool_calls=begun)
        for piece in draw(pieces(call["function"]["arguments"])):
            say("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})
        say("tool-call-end", index)
    for index in range(meant.citations):
        say("citation-start", index, citations=CITATION)
        say("citation-end", index)
    events.append(event("message-end", newline=newline, delta={"finish_reason": meant.stop, "usage": USAGE}))
    if draw(st.booleans()):
        events.append(b"data: [DONE]\n\n")
    return events


ANSWERS = MEANT.flatmap(lambda meant: st.tuples(st.just(meant), streamed(meant)))


def feed(body: bytes, cuts: tuple[int, ...] = ()) -> Heard:
    return playing.feed("cohere", body, cuts, model=MODEL.model_id)


def read(document: Any, status: int = 200) -> ChatResponse:
    return playing.read("cohere", document, status, model=MODEL.model_id)


def sent(*messages: Message, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(fields.pop("model", MODEL), messages or [Message.user("x")], **fields)
    body: dict[str, Any] = json.loads(create("cohere", api_key="k").chat(request).request.body)
    return body


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=150)
def test_what_was_meant_comes_out_and_goes_back(answer: tuple[Meant, list[bytes]], cuts: tuple[int, ...]) -> None:
    meant, told = answer
    events, result, failure = seen = feed(b"".join(told), cuts)
    assert failure is None
    assert result.text == "".join(part.get("text", "") for part in meant.parts)
    assert result.reasoning == "".join(part.get("thinking", "") for part in meant.parts) + meant.plan
    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in meant.calls
    ]
    reason = STOPS[meant.stop]
    assert result.raw_finish_reason == meant.stop
    assert result.finish_reason is (FinishReason.TOOL_CALLS if meant.calls and reason is FinishReason.STOP else reason)
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (11, 17)
    assert (result.response_id, len(result.citations)) == ("m1", meant.citations)
    assert "".join(each.delta for each in events if isinstance(each, Token)) == result.text
    assert isinstance(events[-1], End)
    turn = attrs.evolve(meant, citations=0).message
    sent_back = sent(Message.user("x"), result.message)["messages"][1:]
    assert sent_back == ([turn] if len(turn) > 1 else [])
    assert agreed(feed(b"".join(told))) == agreed(seen)


@given(ANSWERS)
@settings(deadline=None, max_examples=75)
def test_streamed_and_whole_answers_are_equal(answer: tuple[Meant, list[bytes]]) -> None:
    meant, told = answer
    _, result, _ = feed(b"".join(told))
    unary = read({"id": "m1", "message": meant.message, "finish_reason": meant.stop, "usage": USAGE})
    for field in ("text", "reasoning", "tool_calls", "usage", "finish_reason", "raw_finish_reason", "citations"):
        assert getattr(unary, field) == getattr(result, field), field


@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=75)
def test_a_stream_that_breaks_off_is_truncated(answer: tuple[Meant, list[bytes]], data: st.DataObject) -> None:
    _, told = answer
    last = next(place for place, one in enumerate(told) if b"message-end" in one)
    at = data.draw(st.integers(0, last))
    _, result, failure = feed(b"".join(told[:at]))
    assert isinstance(failure, StreamTruncated)
    sent(Message.user("x"), result.message)


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=75)
def test_an_error_at_the_end_keeps_what_came(
    answer: tuple[Meant, list[bytes]], data: st.DataObject, cuts: tuple[int, ...]
) -> None:
    _, told = answer
    at = data.draw(st.integers(0, next(place for place, one in enumerate(told) if b"message-end" in one)))
    before = b"".join(told[:at])
    body = before + event("message-end", delta={"finish_reason": "ERROR", "error": "the model broke"})
    _, result, failure = seen = feed(body, cuts)
    assert isinstance(failure, ProviderError)
    assert failure.message == "the model broke"
    assert result.text == feed(before)[1].text
    assert agreed(feed(body)) == agreed(seen)


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_give_events_or_an_error(body: bytes, cuts: tuple[int, ...]) -> None:
    assert agreed(feed(body, cuts)) == agreed(feed(body))


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (429, RateLimited), (500, ServerError), (503, ProviderError)]
)
def test_errors_have_an_id_and_a_message(status: int, error: type[ProviderError]) -> None:
    with pytest.raises(error) as caught:
        read({"id": "e1", "message": "something is wrong"}, status)
    assert caught.value.status == status
    assert caught.value.message.startswith("something is wrong")


@pytest.mark.parametrize("document", [{}, [], 7, {"message": 3}, {"id": "x"}])
def test_what_is_no_answer_is_an_error(document: Any) -> None:
    with pytest.raises(TurnoutError):
        read(document)


def test_null_is_no_argument() -> None:
    call = {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "null"}}
    reply = read({"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "TOOL_CALL"})
    again = sent(Message.user("x"), reply.message)["messages"][1]["tool_calls"][0]
    assert json.loads(again["function"]["arguments"]) == {}


# -- requests, held to the types of Cohere's SDK ----------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = ToolCall(id="weather_1", name="weather", arguments='{"city": "Oslo"}')


def of_the_sdk(kind: Any, value: Any) -> None:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    taken = adapter.validate_python(value)
    assert json.loads(adapter.dump_json(taken, exclude_unset=True, by_alias=True, warnings=False)) == value


@pytest.mark.parametrize("choice", [None, ToolChoice("required"), ToolChoice("none")])
def test_a_conversation_with_everything_is_what_the_sdk_takes(choice: ToolChoice | None) -> None:
    body = sent(
        Message.system("Be brief."),
        Message.user("Look:", Image(data=b"png", media_type="image/png")),
        Message(Role.ASSISTANT, (Text("Let me see."),), tool_calls=[CALL]),
        Message.tool(CALL, "12 °C"),
        Message.user("Go on."),
        model=attrs.evolve(MODEL, max_tokens=900, top_p=0.5, top_k=7, stop=("END",), seed=3, reasoning_effort="low"),
        tools=[Tool("weather", description="The weather.", parameters=SCHEMA)],
        tool_choice=choice,
    )
    for message in body.pop("messages"):
        of_the_sdk(ChatMessageV2, message)
    for tool in body.pop("tools"):
        of_the_sdk(ToolV2, tool)
    assert body == {
        "model": MODEL.model_id,
        "stream": False,
        "max_tokens": 900,
        "p": 0.5,
        "k": 7,
        "seed": 3,
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "token_budget": 2048},
        **({} if choice is None else {"tool_choice": choice.mode.upper()}),
    }


def test_formats_of_the_answer() -> None:
    for wanted in (ResponseFormat.json(), ResponseFormat(SCHEMA)):
        of_the_sdk(ResponseFormatV2, sent(response_format=wanted)["response_format"])
    with pytest.raises(CapabilityUnsupported, match="no response format together with tools"):
        sent(response_format=ResponseFormat.json(), tools=[Tool("f")])
    with pytest.raises(CapabilityUnsupported, match="cannot be made to call 'f'"):
        sent(tools=[Tool("f")], tool_choice=ToolChoice("named", "f"))


@pytest.mark.parametrize(
    ("purpose", "said"), [(None, "search_document"), ("query", "search_query"), ("clustering", "clustering")]
)
def test_a_purpose_is_said_with_every_embedding(purpose: Any, said: str) -> None:
    request = EmbeddingRequest(ModelConfig("cohere", "embed-v4.0"), ["x"], purpose=purpose, dimensions=256)
    assert json.loads(create("cohere", api_key="k").embed(request).request.body) == {
        "model": "embed-v4.0",
        "texts": ["x"],
        "input_type": said,
        "embedding_types": ["float"],
        "output_dimension": 256,
    }


def test_vectors_come_as_floats_or_as_their_bytes() -> None:
    for told in ({"float": [[0.5, -2.0]]}, {"base64": ["AAAAPwAAAMA="]}):
        exchange = create("cohere", api_key="k").embed(EmbeddingRequest(ModelConfig("cohere", "e"), ["x"]))
        exchange.receive_head(200, [])
        exchange.receive_data(json.dumps({"embeddings": told, "meta": {"billed_units": {"input_tokens": 1}}}).encode())
        exchange.receive_end()
        assert exchange.failure is None
        assert exchange.result.vectors.tolist() == [[0.5, -2.0]]
        assert exchange.result.usage.prompt_tokens == 1
    broken = create("cohere", api_key="k").embed(EmbeddingRequest(ModelConfig("cohere", "e"), ["x"]))
    broken.receive_head(200, [])
    broken.receive_data(b'{"embeddings": {"base64": ["AAA"]}}')
    broken.receive_end()
    assert isinstance(broken.failure, RemoteProtocolError)
