"""Bedrock's Converse: what was meant comes out of its binary stream however cut, goes back as it came, and what is sent
is what the service's own model takes."""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import botocore.validate
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.framing.test_eventstream import encode, string_header
from tests.sansio.providers import playing
from tests.sansio.providers.playing import ARGUMENTS, CUTS, TEXT, Heard, agreed, pieces
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig, ResponseFormat
from turnout.errors import (
    InvalidRequest,
    Overloaded,
    ProviderError,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    StreamTruncated,
)
from turnout.events import End, Token
from turnout.messages import File, Image, Message, Role, Text, Tool, ToolCall, ToolChoice
from turnout.providers import create

MODEL = ModelConfig("bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0")
WORDS = TEXT.filter(lambda text: bool(text.strip()))  # blank text is left out of a turn
IDS = st.uuids().map(lambda made: f"tooluse_{made.hex}")
BLOCKS = st.lists(
    WORDS.map(lambda text: {"text": text})
    | st.fixed_dictionaries({"toolUseId": IDS, "name": st.sampled_from(["f", "g"]), "input": ARGUMENTS}).map(
        lambda call: {"toolUse": call}
    )
    | st.fixed_dictionaries({"text": WORDS, "signature": WORDS}).map(
        lambda told: {"reasoningContent": {"reasoningText": told}}
    )
    | st.binary(min_size=1, max_size=9).map(
        lambda data: {"reasoningContent": {"redactedContent": base64.b64encode(data).decode()}}
    ),
    max_size=5,
).map(lambda blocks: sorted(blocks, key=lambda block: "toolUse" in block))  # nothing comes behind the calls of a turn
STOPS = {
    "end_turn": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "something_new": FinishReason.UNKNOWN,
}
USAGE = {
    "inputTokens": 11,
    "outputTokens": 17,
    "totalTokens": 36,
    "cacheReadInputTokens": 5,
    "cacheWriteInputTokens": 3,
}


def frame(kind: str, payload: Any, *, message: str = "event") -> bytes:
    name = ":exception-type" if message == "exception" else ":event-type"
    headers = string_header(name, kind) + string_header(":content-type", "application/json")
    return encode(headers + string_header(":message-type", message), json.dumps(payload).encode())


@st.composite
def streamed(draw: st.DrawFn, blocks: list[dict[str, Any]], stop: str) -> list[bytes]:
    frames = [frame("messageStart", {"role": "assistant", "p": "abc"})]

    def delta(index: int, **fields: Any) -> None:
        frames.append(frame("contentBlockDelta", {"contentBlockIndex": index, "delta": fields, "p": "abcdefgh"}))

    for index, block in enumerate(blocks):
        if "text" in block:
            if draw(st.booleans()):
                delta(index, text="")
            for piece in draw(pieces(block["text"])):
                delta(index, text=piece)
        elif "toolUse" in block:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            frames.append(frame("contentBlockStart", {"contentBlockIndex": index, "start": start}))
            text = json.dumps(call["input"]) if call["input"] or draw(st.booleans()) else ""
            for piece in draw(pieces(text)):
                delta(index, toolUse={"input": piece})
        elif "reasoningText" in block["reasoningContent"]:
            told = block["reasoningContent"]["reasoningText"]
            for piece in draw(pieces(told["text"])):
                delta(index, reasoningContent={"text": piece})
            delta(index, reasoningContent={"signature": told["signature"]})
        else:
            delta(index, reasoningContent=block["reasoningContent"])
        frames.append(frame("contentBlockStop", {"contentBlockIndex": index}))
        if draw(st.booleans()):
            frames.append(frame("somethingNew", {"x": 1}))
    frames.append(frame("messageStop", {"stopReason": stop}))
    frames.append(frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 7}}))
    return frames


@attrs.frozen
class Answer:
    blocks: list[dict[str, Any]]
    stop: str
    frames: list[bytes]

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [block["toolUse"] for block in self.blocks if "toolUse" in block]


ANSWERS = st.tuples(BLOCKS, st.sampled_from(sorted(STOPS))).flatmap(
    lambda pair: st.builds(Answer, st.just(pair[0]), st.just(pair[1]), streamed(*pair))
)
PLACE: dict[str, Any] = {"model": MODEL.model_id, "region": "eu-central-1"}


def feed(body: bytes, cuts: tuple[int, ...] = ()) -> Heard:
    return playing.feed("bedrock", body, cuts, **PLACE)


def read(document: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> ChatResponse:
    return playing.read("bedrock", document, status, headers, **PLACE)


def sent(*messages: Message, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(fields.pop("model", MODEL), messages or [Message.user("x")], **fields)
    body: dict[str, Any] = json.loads(create("bedrock", api_key="k", region="eu-central-1").chat(request).request.body)
    return body


def sent_back(message: Message) -> list[dict[str, Any]]:
    if message.tool_calls:
        turns = _with_results(message)
    else:  # with a message behind it: blanks at the end of the last one are refused, and left out
        turns = sent(Message.user("x"), message, Message.user("y"))["messages"]
    return list(turns[1]["content"]) if len(turns) > 1 else []


def _with_results(message: Message) -> list[dict[str, Any]]:
    tools = [Tool(name) for name in {call.name for call in message.tool_calls}]
    turns: list[dict[str, Any]] = sent(Message.user("x"), message, tools=tools)["messages"]
    return turns


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=150)
def test_what_was_meant_comes_out_and_goes_back(answer: Answer, cuts: tuple[int, ...]) -> None:
    events, result, failure = seen = feed(b"".join(answer.frames), cuts)
    assert failure is None
    assert result.text == "".join(block.get("text", "") for block in answer.blocks)
    told = [
        block["reasoningContent"].get("reasoningText", {}) for block in answer.blocks if "reasoningContent" in block
    ]
    assert result.reasoning == "".join(one.get("text", "") for one in told)
    assert [(call.id, call.name) for call in result.tool_calls] == [(c["toolUseId"], c["name"]) for c in answer.calls]
    reason = STOPS[answer.stop]
    if reason is not FinishReason.LENGTH:  # there, no arguments may be arguments that never came
        assert [call.parsed() for call in result.tool_calls] == [call["input"] for call in answer.calls]
        assert sent_back(result.message) == answer.blocks
    assert result.raw_finish_reason == answer.stop
    assert result.finish_reason is (FinishReason.TOOL_CALLS if answer.calls and reason is FinishReason.STOP else reason)
    usage = result.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (19, 17)
    assert (usage.cached_tokens, usage.cache_write_tokens) == (5, 3)
    assert "".join(each.delta for each in events if isinstance(each, Token)) == result.text
    assert isinstance(events[-1], End)
    assert agreed(feed(b"".join(answer.frames))) == agreed(seen)


@given(ANSWERS)
@settings(deadline=None, max_examples=75)
def test_streamed_and_whole_answers_are_equal(answer: Answer) -> None:
    _, result, _ = feed(b"".join(answer.frames))
    message = {"role": "assistant", "content": answer.blocks}
    unary = read({"output": {"message": message}, "stopReason": answer.stop, "usage": USAGE})
    for field in ("text", "reasoning", "usage", "finish_reason", "raw_finish_reason"):
        assert getattr(unary, field) == getattr(result, field), field
    assert [(call.id, call.name) for call in unary.tool_calls] == [(call.id, call.name) for call in result.tool_calls]


EXCEPTIONS = {
    "throttlingException": RateLimited,
    "serviceUnavailableException": Overloaded,
    "internalServerException": ServerError,
    "modelStreamErrorException": ServerError,
    "validationException": InvalidRequest,
}


@pytest.mark.full
@given(ANSWERS, st.data(), st.sampled_from(sorted(EXCEPTIONS)), CUTS)
@settings(deadline=None, max_examples=100)
def test_an_exception_in_the_stream_keeps_what_came(
    answer: Answer, data: st.DataObject, kind: str, cuts: tuple[int, ...]
) -> None:
    at = data.draw(st.integers(0, len(answer.frames) - 1))
    before = b"".join(answer.frames[:at])
    body = before + frame(kind, {"message": "busy"}, message="exception")
    _, result, failure = seen = feed(body, cuts)
    assert isinstance(failure, ProviderError)
    assert (type(failure), failure.message) == (EXCEPTIONS[kind], "busy")
    _, cut, _ = feed(before)
    assert (result.text, result.reasoning) == (cut.text, cut.reasoning)
    assert agreed(feed(body)) == agreed(seen)


@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=75)
def test_a_stream_that_breaks_off_is_truncated(answer: Answer, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer.frames) - 3))
    _, result, failure = feed(b"".join(answer.frames[:at]))
    assert isinstance(failure, StreamTruncated)
    sent_back(result.message)


@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=75)
def test_a_flipped_bit_is_never_taken_for_an_answer(answer: Answer, data: st.DataObject) -> None:
    body = bytearray(b"".join(answer.frames))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    _, _, failure = feed(bytes(body))
    assert isinstance(failure, RemoteProtocolError | StreamTruncated)


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_give_events_or_an_error(body: bytes, cuts: tuple[int, ...]) -> None:
    assert agreed(feed(body, cuts)) == agreed(feed(body))


# -- requests, held to the service's own model ------------------------------------------------------------------------

SERVICE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
CONVERSE: Any = SERVICE.operation_model("Converse").input_shape
BLOBS = {"bytes", "redactedContent"}


def taken(body: dict[str, Any]) -> None:
    """Raises where botocore would not send this: a field that is unknown or missing, or of another type."""

    def unpacked(value: Any, key: str = "") -> Any:
        if key in BLOBS:
            return base64.b64decode(value, validate=True)
        if isinstance(value, dict):
            return {name: unpacked(item, name) for name, item in value.items()}
        return [unpacked(item) for item in value] if isinstance(value, list) else value

    report = botocore.validate.ParamValidator().validate({**unpacked(body), "modelId": "m"}, CONVERSE)
    assert not report.has_errors(), report.generate_report()
    assert not _unknown(body, CONVERSE)


def _unknown(value: Any, shape: Any) -> list[str]:
    """Fields that the model has no name for."""
    if getattr(shape, "is_document_type", False):
        return []
    if shape.type_name == "structure":
        known = [name for name in value if name in shape.members]
        below = [found for name in known for found in _unknown(value[name], shape.members[name])]
        return [name for name in value if name not in shape.members] + below
    return [below for item in value for below in _unknown(item, shape.member)] if shape.type_name == "list" else []


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = ToolCall(id="tooluse_1", name="weather", arguments='{"city": "Oslo"}')
PNG = Image(data=b"png", media_type="image/png")


@pytest.mark.parametrize("choice", [None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", "weather")])
def test_a_conversation_with_everything_is_what_the_service_takes(choice: ToolChoice | None) -> None:
    body = sent(
        Message.system("Be brief."),
        Message.user("Look:", PNG, File(data=b"%PDF", media_type="application/pdf", filename="a.pdf")),
        Message(Role.ASSISTANT, (Text("Let me see."),), tool_calls=[CALL]),
        Message.tool(CALL, (Text("12 °C"), PNG)),
        Message.user("Go on.", Text("Now.", extra={"cachePoint": {"type": "default"}})),
        model=attrs.evolve(MODEL, max_tokens=900, temperature=0.5, stop=("END",)),
        tools=[Tool("weather", description="The weather.", parameters=SCHEMA)],
        tool_choice=choice,
    )
    taken(body)
    assert body["inferenceConfig"] == {"maxTokens": 900, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["system"] == [{"text": "Be brief."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    results = [block for block in body["messages"][2]["content"] if "toolResult" in block]
    assert results[0]["toolResult"]["toolUseId"] == "tooluse_1"


def test_a_schema_for_the_answer_and_reasoning() -> None:
    taken(sent(response_format=ResponseFormat(SCHEMA, name="place")))
    body = sent(model=attrs.evolve(MODEL, reasoning_effort="low"))
    taken(body)
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"


@given(ANSWERS)
@settings(deadline=None, max_examples=50)
def test_what_came_is_taken_when_it_goes_back(answer: Answer) -> None:
    _, result, _ = feed(b"".join(answer.frames))
    if result.message.tool_calls:
        taken({"messages": _with_results(result.message)})
    else:
        taken(sent(Message.user("x"), result.message))


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (429, "ThrottlingException:http://internal.amazon.com/", "Too many requests", RateLimited),
        (503, "ServiceUnavailableException", "busy", Overloaded),
        (500, "InternalServerException", "broke", ServerError),
        (424, "ModelErrorException", "the model broke", ServerError),
        (400, "ValidationException", "the messages are odd", InvalidRequest),
    ],
)
def test_errors_are_told_by_their_header(status: int, kind: str, message: str, error: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as caught:
        read({"message": message}, status, (("x-amzn-errortype", kind),))
    assert type(caught.value) is error
    assert caught.value.message == message


def test_a_call_s_beginning_may_hold_the_half_of_a_pair() -> None:
    # Which the strict decoder refuses, so that the event is read again.
    start = {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "f\ud83d"}}}
    heard = feed(frame("contentBlockStart", start) + frame("messageStop", {"stopReason": "tool_use"}))
    assert [(call.id, call.name) for call in heard.result.tool_calls] == [("t", "f\ufffd")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "region",
    "eu-west-1 us-gov-west-1 cn-north-1 eusc-de-east-1 us-iso-east-1 us-isob-east-1 eu-isoe-west-1".split(),
)
def test_the_host_of_a_region_is_the_one_of_amazon_s_own_sdk(region: str) -> None:
    client = get_session().create_client(
        "bedrock-runtime", region_name=region, aws_access_key_id="a", aws_secret_access_key="b"
    )
    request = create("bedrock", api_key="k", region=region).chat(ChatRequest(MODEL, [Message.user("x")])).request
    assert request.url.startswith(f"{client.meta.endpoint_url}/model/")
