"""What the Responses dialect sends: items, tools, formats, reasoning; held to the types of OpenAI's own SDK."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from turnout.chat import Capability, ChatRequest, ChatResponse, ModelConfig, ResponseFormat
from turnout.errors import CapabilityUnsupported
from turnout.messages import Audio, File, Image, Message, Opaque, Role, Text, Thinking, Tool, ToolCall, ToolChoice
from turnout.providers import create

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", description="The weather.", parameters=SCHEMA)
SEARCH = Tool("search", extra={"type": "web_search"})
CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}')
PNG = Image(data=b"png", media_type="image/png", detail="low")
PDF = File(data=b"%PDF", media_type="application/pdf", filename="a.pdf")
SDK = pydantic.TypeAdapter(ResponseCreateParamsNonStreaming)


def sent(*messages: Message, model: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    config = ModelConfig("openai", **{"model_id": "gpt-5.1", **(model or {})})
    request = ChatRequest(config, messages or [Message.user("hi")], **fields)
    exchange = create("openai", api_key="k", api="responses").chat(request)
    assert exchange.request.url == "https://api.openai.com/v1/responses"
    body: dict[str, Any] = json.loads(exchange.request.body)
    return body


def of_the_sdk(body: dict[str, Any]) -> dict[str, Any]:
    """The body as the SDK's types have it. What they do not know is refused, deep inside the items, too."""
    taken = SDK.validate_python(body)
    plain: dict[str, Any] = json.loads(SDK.dump_json(taken, warnings=False))
    assert plain == body
    return plain


def test_a_conversation_with_everything() -> None:
    turn = Message(
        Role.ASSISTANT,
        (Thinking("hm"), Text("Let me see.")),
        tool_calls=[CALL],
        origin="somebody-else",
    )
    body = sent(
        Message.system("Be brief."),
        Message.user("Look:", PNG, PDF, Image(url="https://x.test/a.png")),
        turn,
        Message.tool(CALL, (Text("12 °C"), PNG)),
        Message(Role.DEVELOPER, "In Norwegian."),
        Message.user("Go on."),
        model={"max_tokens": 900, "reasoning_effort": "low"},
        tools=[WEATHER],
        tool_choice=ToolChoice("named", "weather"),
        parallel_tool_calls=False,
        response_format=ResponseFormat(SCHEMA, name="place"),
    )
    png = "data:image/png;base64,cG5n"
    assert body == {
        "model": "gpt-5.1",
        "store": False,
        "instructions": "Be brief.",
        "max_output_tokens": 900,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "name": "weather"},
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "The weather.",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
        "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}},
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look:"},
                    {"type": "input_image", "image_url": png, "detail": "low"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,JVBERg==",
                    },
                    {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto"},
                ],
            },
            {"type": "message", "role": "assistant", "content": "Let me see."},
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "weather",
                "arguments": '{"city": "Oslo"}',
            },
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [
                    {"type": "input_text", "text": "12 °C"},
                    {"type": "input_image", "image_url": png, "detail": "low"},
                ],
            },
            {"role": "developer", "content": "In Norwegian."},
            {"role": "user", "content": "Go on."},
        ],
    }
    assert of_the_sdk(body) == body


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_the_choice_of_tools(mode: Any) -> None:
    body = sent(tools=[WEATHER, SEARCH], tool_choice=ToolChoice(mode))
    assert body["tool_choice"] == mode
    assert body["tools"][1] == {"type": "web_search"}
    of_the_sdk(body)
    assert sent(tools=[SEARCH], tool_choice=ToolChoice("named", "search"))["tool_choice"] == {"type": "web_search"}


def test_formats_of_the_answer() -> None:
    assert sent(response_format=ResponseFormat.json())["text"] == {"format": {"type": "json_object"}}
    body = sent(response_format=ResponseFormat.json(), model={"extra": {"text": {"verbosity": "low"}}})
    assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
    of_the_sdk(body)


def test_a_model_that_cannot_reason_is_not_asked_for_its_reasoning() -> None:
    body = sent(model={"model_id": "gpt-4o", "temperature": 0.5, "top_p": 0.9, "logprobs": 3})
    assert body["include"] == ["message.output_text.logprobs"]  # it has no reasoning, and refuses to be asked for it
    assert (body["temperature"], body["top_p"], body["top_logprobs"]) == (0.5, 0.9, 3)
    of_the_sdk(body)


@pytest.mark.parametrize(
    "setting", [{"top_k": 3}, {"seed": 1}, {"stop": "x"}, {"presence_penalty": 0.5}, {"frequency_penalty": 0.5}]
)
def test_what_this_api_has_not_is_refused_before_it_is_sent(setting: dict[str, Any]) -> None:
    with pytest.raises(CapabilityUnsupported, match=next(iter(setting))):
        sent(model={"model_id": "gpt-4o", **setting})
    provider = create("openai", api_key="k", api="responses", unsupported="drop")
    exchange = provider.chat(ChatRequest(ModelConfig("openai", "gpt-4o", **setting), "hi"))
    assert exchange.dropped == tuple(setting)
    assert not set(setting) & set(json.loads(exchange.request.body))


def test_sound_cannot_be_sent() -> None:
    with pytest.raises(CapabilityUnsupported, match="Audio"):
        sent(Message.user(Audio(data=b"x", media_type="audio/wav")))
    assert Capability.AUDIO not in create("openai", api_key="k", api="responses").capabilities


# -- what goes back ----------------------------------------------------------------------------------------------------

ANSWER = {
    "id": "resp_1",
    "status": "completed",
    "model": "gpt-5.1",
    "output": [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAAA",
        },
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"city": "Oslo"}',
        },
    ],
}


def answer(document: dict[str, Any] = ANSWER) -> ChatResponse:
    exchange = create("openai", api_key="k", api="responses").chat(ChatRequest("openai/gpt-5.1", "hi"))
    exchange.receive_head(200, [])
    exchange.receive_data(json.dumps(document).encode())
    exchange.receive_end()
    assert exchange.failure is None
    return exchange.result


def test_the_items_of_an_answer_go_back_as_they_came() -> None:
    reply = answer()
    body = sent(Message.user("hi"), reply.message, Message.tool(reply.tool_calls[0], "12"), tools=[WEATHER])
    assert body["input"][1:4] == ANSWER["output"]
    of_the_sdk(body)


def test_a_tool_that_takes_free_text_is_called_and_answered() -> None:
    code = Tool("code", "Runs Python.", extra={"type": "custom", "format": {"type": "text"}})
    called = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "code", "input": "print(7)"}
    reply = answer({**ANSWER, "output": [*list(ANSWER["output"]), called]})
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("call_1", "weather", '{"city": "Oslo"}'),
        ("call_2", "code", "print(7)"),
    ]
    results = [Message.tool(call, "12") for call in reply.tool_calls]
    choice = ToolChoice.named("code")
    body = sent(Message.user("hi"), reply.message, *results, tools=[WEATHER, code], tool_choice=choice)
    assert body["input"][4] == called
    assert [item["type"] for item in body["input"][5:]] == ["function_call_output", "custom_tool_call_output"]
    assert body["tools"][1] == {"name": "code", "description": "Runs Python.", **code.extra}
    assert body["tool_choice"] == {"type": "custom", "name": "code"}
    of_the_sdk(body)


def test_nothing_foreign_is_sent_either_way() -> None:
    reply = answer()
    request = ChatRequest("groq/m", [Message.user("hi"), reply.message, Message.tool(reply.tool_calls[0], "12")])
    for name in ("groq", "openai"):
        turn = json.loads(create(name, api_key="k").chat(request).request.body)["messages"][1]
        assert set(turn) == {"role", "content", "tool_calls"}
        assert "gAAAA" not in json.dumps(turn)
    foreign = Message(
        Role.ASSISTANT, (Thinking("hm", signature="s"), Opaque(b'{"x": 1}'), Text("Hi.")), origin="anthropic"
    )
    item = sent(Message.user("a"), foreign, Message.user("b"))["input"][1]
    assert item == {"type": "message", "role": "assistant", "content": "Hi."}


def test_reasoning_that_cannot_be_read_again_is_left_out() -> None:
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": []}
    reply = answer({**ANSWER, "output": [reasoning, *list(ANSWER["output"])[1:]]})
    items = sent(Message.user("hi"), reply.message)["input"]
    assert [item.get("type") for item in items] == [None, "message", "function_call"]
    stored = sent(Message.user("hi"), reply.message, model={"extra": {"store": True}})
    assert stored["store"] is True
    assert [item.get("type") for item in stored["input"]] == [None, "reasoning", "message", "function_call"]
    assert "include" not in stored


def test_a_turn_that_was_edited_holds_what_it_holds_now() -> None:
    reply = answer()
    edited = Message(
        Role.ASSISTANT,
        tuple(Text("Else.") if isinstance(part, Text) else part for part in reply.message.content),
        origin=reply.message.origin,
    )
    items = sent(Message.user("hi"), edited)["input"]
    assert [item.get("type") for item in items] == [None, "reasoning", "message"]
    assert items[2]["content"][0]["text"] == "Else."
    assert items[2]["id"] == "msg_1"


def test_only_those_who_have_the_api_are_asked_by_it() -> None:
    with pytest.raises(ValueError, match="cerebras has no api 'responses'; it has chat"):
        create("cerebras", api_key="k", api="responses")
    with pytest.raises(ValueError, match="anthropic has no api 'responses'"):
        create("anthropic", api_key="k", api="responses")
