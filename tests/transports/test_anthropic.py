"""Anthropic through the blocking router and real sockets: conversations that hold only if what goes back is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.errors import InvalidRequest
from turnout.messages import Image, Message, Thinking, Tool
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (Tool("get_weather", "The weather", SCHEMA), Tool("get_time", "The time", SCHEMA))
QUESTION = Message.user("The weather and the time in Oslo", Image(data=b"\x89PNG", media_type="image/png"))
HAIKU = ModelConfig("anthropic", "claude-haiku-4-5", reasoning_effort="low")
OPUS = ModelConfig("anthropic", "claude-opus-4-6", reasoning_effort="low")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


@pytest.fixture
def router(sandbox: Sandbox) -> Iterator[Router]:
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0, timeout=20) as made:
        yield made


def streamed(router: Router, request: ChatRequest) -> ChatResponse:
    with router.stream(request) as stream:
        for _ in stream:
            pass
    return stream.response


def body(sandbox: Sandbox, place: int) -> Any:
    return sandbox.requests_to("anthropic")[place].body


@pytest.mark.parametrize("model", [HAIKU, OPUS], ids=str)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
def test_a_tool_loop_that_thinks(sandbox: Sandbox, router: Router, model: ModelConfig, whole: bool) -> None:
    request = ChatRequest(model, (Message.system("Be brief."), QUESTION), tools=TOOLS)
    reply = router.chat(request) if whole else streamed(router, request)
    assert [call.name for call in reply.tool_calls] == ["get_weather", "get_time"]
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    thought = reply.message.content[0]
    assert isinstance(thought, Thinking)
    assert thought.signature
    results = [Message.tool(call, f"{call.name} says 12") for call in reply.tool_calls]
    again = ChatRequest(model, (*request.messages, reply.message, *results), tools=TOOLS)
    assert "get_weather says 12" in (router.chat(again) if whole else streamed(router, again)).text
    turns = body(sandbox, 1)["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"][0] == {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result"]


def test_a_conversation_begun_elsewhere_goes_on_here(sandbox: Sandbox, router: Router) -> None:
    begun = ModelConfig("gemini", "gemini-2.5-flash", reasoning_effort="low")
    reply = streamed(router, ChatRequest(begun, (QUESTION,), tools=TOOLS))
    assert reply.reasoning
    results = [Message.tool(call, f"{call.name} says 12") for call in reply.tool_calls]
    sandbox.script("gemini", Fault(status=503), forever=True)
    request = ChatRequest(begun, (QUESTION, reply.message, *results), fallbacks=(OPUS,), tools=TOOLS)
    answer = router.chat(request)
    assert answer.model == OPUS
    assert "get_weather says 12" in answer.text
    assert [block["type"] for block in body(sandbox, 0)["messages"][1]["content"]] == ["tool_use", "tool_use"]


def test_the_sandbox_would_have_refused_a_changed_turn(router: Router) -> None:
    """What the tests above rest on: a result without its call is an error there, as it is at Anthropic's."""
    stray = (QUESTION, Message.tool("toolu_none", "12"))
    with pytest.raises(InvalidRequest, match="tool_use_id"):
        router.chat(ChatRequest(ModelConfig("anthropic", "claude-haiku-4-5"), stray, tools=TOOLS))
