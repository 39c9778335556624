"""Responses: what a client writes by hand, and the exact form of answers."""

from __future__ import annotations

import itertools
import json
from typing import Any

import attrs
import pytest

from tests.sansio.serving.answers import ANSWERER, Answer, Block, frames, inbound_of, resolve_as, write_stream, written
from turnout.chat import ChatRequest, FinishReason, ResponseFormat, Usage
from turnout.events import AudioDelta, CommentaryDelta, End, PartReady, RefusalDelta, Token
from turnout.messages import (
    Audio,
    Commentary,
    File,
    Image,
    Message,
    Opaque,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from turnout.serving import InboundChat, ReadOptions, RequestRejected, Responses
from turnout.serving.continuity import pack

RESPONSES = Responses()
TOOL = {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}}


def read(*, strict: bool = False, **fields: Any) -> InboundChat:
    options = ReadOptions(ignore_unknown=not strict)
    return RESPONSES.read_request(
        json.dumps({"model": "m", "input": "hello", **fields}).encode(), resolve_as("p"), options
    )


def request(**fields: Any) -> ChatRequest:
    return read(**fields).request


def test_settings() -> None:
    read = request(
        max_output_tokens=9, temperature=0, top_p=1, reasoning={"effort": "low", "summary": "auto"}, top_logprobs=2,
        instructions="Be brief.", metadata={"a": "b"}, safety_identifier="ann",
        text={"format": {"type": "json_schema", "name": "x", "schema": {}, "strict": True}},
    )  # fmt: skip
    model = read.model
    assert (model.max_tokens, model.temperature, model.top_p, model.reasoning_effort) == (9, 0, 1, "low")
    assert model.logprobs == 2
    assert read.messages == (Message.system("Be brief."), Message.user("hello"))
    assert read.metadata == {"a": "b", "user": "ann"}
    assert read.response_format == ResponseFormat({}, name="x", strict=True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"store": True}, "store"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tools": [{"type": "custom", "name": "patch"}], "tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"strict": True, "service_tier": "auto"}, "service_tier"),
    ],
)
def test_what_is_rejected(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        read(**fields)
    assert caught.value.error.param == param


def test_items_become_a_conversation() -> None:
    read = request(
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"role": "user", "content": "hello"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "id": "msg_1", "content": [
                {"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
            {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "text"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
            {"type": "item_reference", "id": "rs_2"},
            {"role": "user", "content": ""},
        ]
    )  # fmt: skip
    calls = [ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "patch", '{"input":"text"}')]
    assert read.messages == (
        Message(Role.DEVELOPER, "Be brief."),
        Message.user("hello"),
        Message(Role.ASSISTANT, (Thinking("hm"), Text("a"), Refusal("no")), tool_calls=calls),
        Message.tool("c1", "42"),
        Message.tool("c2", "ok"),
        Message.user(""),
    )


def test_reasoning_without_a_mark_is_openai_s() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    (_, message, _) = request(
        input=[{"role": "user", "content": "x"}, reasoning, call, search, {"role": "user", "content": "y"}]
    ).messages
    assert message.origin == "openai-responses"
    assert [json.loads(part.json) for part in message.content if isinstance(part, Opaque)] == [
        reasoning,
        {"type": "function_call", "call_id": "c1"},
        search,
    ]


def test_reasoning_with_our_mark_goes_to_its_family() -> None:
    reasoning = {"type": "reasoning", "summary": [{"text": "hm"}], "encrypted_content": pack("gemini", "sig")}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    user = {"role": "user", "content": "x"}
    (_, message, _) = request(input=[user, call, reasoning, user]).messages
    assert message.origin == "gemini"
    assert message.content == (Thinking("hm", signature="sig"),)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_image", "image_url": "http://a.test", "detail": "low"}, Image("http://a.test", detail="low")),
        ({"type": "input_image", "image_url": "data:image/png;base64,AA=="}, Image("data:image/png;base64,AA==")),
        ({"type": "input_image", "file_id": "file-1"}, File(file_id="file-1", media_type="image/*")),
        ({"type": "input_file", "file_id": "file-1"}, File(file_id="file-1")),
        ({"type": "input_file", "file_url": "https://a.test/x"}, File(url="https://a.test/x")),
        (
            {"type": "input_file", "filename": "a", "file_data": "data:text/plain;base64,YQ=="},
            File(data=b"a", media_type="text/plain", filename="a"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
            Audio(data=b"RIFF", media_type="audio/mpeg"),
        ),
    ],
)  # fmt: skip
def test_media(part: dict[str, Any], expected: Image | File | Audio) -> None:
    assert request(input=[{"role": "user", "content": [part]}]).messages[0].content == (expected,)


def test_tools_and_their_choice() -> None:
    other = {"type": "function", "name": "other", "strict": False}
    inbound = read(
        tools=[TOOL, other, {"type": "web_search"}, {"type": "namespace", "name": "n", "tools": []}],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "search"}]},
    )
    assert [tool.name for tool in inbound.request.tools] == ["search"]
    assert inbound.request.tool_choice == ToolChoice("auto")
    assert inbound.ignored == ("tools.namespace",)
    hosted = {"type": "web_search", "filters": {}}
    inbound = read(tools=[hosted, TOOL], service_tier="flex", text={"verbosity": "low"}, reasoning={"summary": "auto"})
    assert inbound.request.tools[0] == Tool("web_search", extra={"openai-responses": hosted})
    assert inbound.request.model.extra == {
        "openai-responses": {
            "service_tier": "flex", "text": {"verbosity": "low"}, "reasoning": {"summary": "auto"},
        }
    }  # fmt: skip
    assert inbound.not_received(("openai-chat", "openai")) == (
        "service_tier", "text.verbosity", "reasoning.summary", "tools.web_search",
    )  # fmt: skip
    assert request(tools=[TOOL], tool_choice={"type": "function", "name": "search"}).tool_choice == (
        ToolChoice.named("search")
    )
    assert request(tools=[TOOL], tool_choice="required").tool_choice == ToolChoice("required")


# -- answers ----------------------------------------------------------------------------------------------------------

USAGE = Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=3, reasoning_tokens=1)
ANSWER = Answer(
    (
        Block("reasoning", ("h", "m"), "sig"),
        Block("text", ("Hel", "lo")),
        Block("call", ('{"a":', "1}"), "s2", "c1", "f"),
    ),
    (0, 0, 1, 1, 2, 2),
    "gemini",
    FinishReason.TOOL_CALLS,
    USAGE,
)


def test_a_whole_answer() -> None:
    echo = {"instructions": "Be brief.", "temperature": 0.5}
    document = json.loads(RESPONSES.build_response(inbound_of(echo=echo), ANSWER.response, ANSWERER))
    assert document["status"] == "completed"
    assert document["model"] == "vendor/model-1"
    assert document["store"] is False
    assert (document["instructions"], document["temperature"]) == ("Be brief.", 0.5)
    assert document["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 12,
    }
    reasoning, message, call = document["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert reasoning["encrypted_content"] == pack("gemini", "sig")
    assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    assert (call["name"], call["arguments"], call["status"]) == ("f", '{"a":1}', "completed")
    assert len({item["id"] for item in document["output"]}) == 3


def test_a_stream() -> None:
    events = frames(write_stream(RESPONSES, ANSWER))
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert all(name == data["type"] for name, data in events)
    assert [name.removeprefix("response.") for name, _ in events] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    last = events[-1][1]["response"]
    assert last["status"] == "completed"
    assert last["output"] == [data["item"] for name, data in events if name == "response.output_item.done"]
    places = [data["output_index"] for _, data in events if "output_index" in data]
    assert places == sorted(places)
    for _, group in itertools.groupby(
        (data for _, data in events if "item_id" in data), key=lambda data: data["output_index"]
    ):
        assert len({data["item_id"] for data in group}) == 1


@pytest.mark.parametrize(
    ("reason", "raw", "status", "details"),
    [
        (FinishReason.STOP, "stop", "completed", None),
        (FinishReason.LENGTH, "length", "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.CONTENT_FILTER, None, "incomplete", {"reason": "content_filter"}),
        (FinishReason.UNKNOWN, None, "completed", None),
        (FinishReason.UNKNOWN, "weird", "incomplete", {"reason": "weird"}),
        (FinishReason.ERROR, None, "failed", None),
    ],
)
def test_statuses(reason: FinishReason, raw: str | None, status: str, details: Any) -> None:
    answer = Answer((Block("text", ("x",)),), (0,), None, reason, USAGE, raw=raw)
    events = frames(write_stream(RESPONSES, answer))
    name, data = events[-2] if status == "failed" else events[-1]
    assert name == f"response.{status}"
    for document in (written(RESPONSES, answer), data["response"]):
        assert document["status"] == status
        assert document["incomplete_details"] == details
    assert (events[-1][0] == "error") is (status == "failed")


def test_an_item_of_the_family_is_written_as_it_came() -> None:
    search = Block("opaque", ('{"type":"web_search_call","id":"ws_1"}',))
    answer = Answer((search, Block("text", ("x",))), (0, 1), "openai-responses", FinishReason.STOP, USAGE)
    for output in (
        written(RESPONSES, answer)["output"],
        frames(write_stream(RESPONSES, answer))[-1][1]["response"]["output"],
    ):
        assert output[0] == {"type": "web_search_call", "id": "ws_1"}
        assert output[1]["type"] == "message"


def test_commentary_images_and_refusals_are_items() -> None:
    writer = RESPONSES.make_writer(inbound_of(), ANSWERER)
    image = Image(data=b"\x89PNG", media_type="image/png")
    content = (Commentary("I look."), image, Text("It"), Refusal("No."))
    response = attrs.evolve(
        ANSWER.response,
        message=Message(Role.ASSISTANT, content, origin="openai-responses"),
        finish_reason=FinishReason.STOP,
    )
    events = (
        CommentaryDelta("I look."),
        PartReady(image),
        Token("It"),
        RefusalDelta("No."),
        AudioDelta(b"x"),
        PartReady(Audio(data=b"x", media_type="audio/wav")),
        End(finish_reason=FinishReason.STOP),
    )
    streamed = frames(writer.events(events, lambda: response))[-1][1]["response"]["output"]
    whole = json.loads(RESPONSES.build_response(inbound_of(), response, ANSWERER))["output"]
    assert [item["type"] for item in streamed] == ["message", "image_generation_call", "message", "message"]
    assert [item["type"] for item in whole] == ["message", "image_generation_call", "message"]
    for output in (streamed, whole):
        assert output[0]["phase"] == "commentary"
        assert output[1]["result"] == "iVBORw=="
        parts = [part for item in output[2:] for part in item["content"]]
        assert [part.get("text") or part.get("refusal") for part in parts] == ["It", "No."]
    user = {"role": "user", "content": "x"}
    (_, message, _) = request(input=[user, streamed[0], streamed[2], user]).messages
    assert message.content == (Commentary("I look."), Text("It"))
