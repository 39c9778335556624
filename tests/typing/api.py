"""Checked by mypy and pyright, never run: the public API has the types that users lean on."""

from __future__ import annotations

from typing import assert_never, assert_type

from turnout import (
    AudioDelta,
    ChatRequest,
    ChatResponse,
    CommentaryDelta,
    EmbeddingRequest,
    EmbeddingResponse,
    End,
    Event,
    FinishReason,
    LogprobsDelta,
    Message,
    ModelConfig,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Restarted,
    Token,
    ToolCall,
    ToolCallDelta,
    ToolCallReady,
    Usage,
)
from turnout.errors import ConnectFailed, Disconnected
from turnout.http import HttpRequest
from turnout.routing.tool_loop import ToolRun
from turnout_io import sync, trio
from turnout_io.testing import (
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncScriptedTransport,
    RecordingTransport,
    ReplayTransport,
    Reply,
    ScriptedTransport,
)

request = ChatRequest(
    ModelConfig("openai", "gpt-4o-mini", temperature=0.2, stop="END"),
    [Message.user("hello")],
    fallbacks=[ModelConfig.parse("gemini/gemini-2.5-flash")],
)


def blocking(router: sync.Router) -> None:
    reply = router.chat(request, timeout=10, collect=True)
    assert_type(reply, ChatResponse)
    assert_type(reply.text, str)
    assert_type(reply.usage, Usage)
    assert_type(reply.tool_calls, tuple[ToolCall, ...])
    assert_type(router.embed(EmbeddingRequest(request.model, "text")), EmbeddingResponse)
    with router.stream(request) as stream:
        assert_type(stream.model, ModelConfig)
        for event in stream:
            assert_type(told(event), str)


async def concurrent(router: trio.Router) -> None:
    assert_type(await router.chat(request), ChatResponse)
    async with router.stream(request) as stream:
        async for event in stream:
            if event.type == "token":
                assert_type(event.delta, str)
            if event.type == "end":
                assert_type(event.finish_reason, FinishReason)


def told(event: Event) -> str:
    match event:
        case Token(delta) | Reasoning(delta) | CommentaryDelta(delta) | RefusalDelta(delta):
            return delta
        case AudioDelta(transcript=transcript):
            return transcript
        case PartSigned(kind=kind):
            return kind
        case PartReady(part=part):
            return type(part).__name__
        case LogprobsDelta(logprobs=logprobs):
            return str(logprobs)
        case ToolCallDelta(index=index):
            return str(index)
        case ToolCallReady(call=call):
            return call.name
        case Restarted(attempt=attempt):
            return str(attempt)
        case End(finish_reason=reason):
            return reason.value
        case _:
            assert_never(event)


def transports_for_tests(script: ScriptedTransport, concurrent_script: AsyncScriptedTransport) -> None:
    for transport in (script, RecordingTransport(script, "x.json"), ReplayTransport("x.json")):
        sync.Router(transport=transport)
    recorded = AsyncRecordingTransport(concurrent_script, "x.json")
    for concurrent in (concurrent_script, recorded, AsyncReplayTransport("x.json")):
        trio.Router(transport=concurrent)
    script.add(Reply(200, [b"a", 0.5, Disconnected("cut")], {"a": "b"}), ConnectFailed("no"), lambda request: Reply())
    assert_type(script.requests, tuple[HttpRequest, ...])


def keywords(router: sync.Router) -> None:
    reply = router.chat("openai/gpt-4o-mini", "Why?", temperature=0.2, timeout=10, tools=[told], tool_choice="told")
    assert_type(reply, ChatResponse)
    assert_type(router.chat(request, collect=True, max_tokens=5), ChatResponse)
    assert_type(reply.parsed(Track), Track)
    assert_type(router.embed("openai/text-embedding-3-small", ["a"], dimensions=8), EmbeddingResponse)
    with router.stream("openai/gpt-4o-mini", [{"role": "user", "content": "Why?"}], seed=1) as stream:
        for text in stream.text:
            assert_type(text, str)
        assert_type(stream.collect(), ChatResponse)
    assert_type(router.run("openai/gpt-4o-mini", "Why?", tools=[told]), ToolRun)
    router.chat("openai/gpt-4o-mini", "Why?", temperature="hot")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    router.chat("openai/gpt-4o-mini", "Why?", temprature=1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]


async def concurrent_keywords(router: trio.Router) -> None:
    assert_type(await router.chat("openai/gpt-4o-mini", "Why?", response_format=Track), ChatResponse)
    async with router.stream("openai/gpt-4o-mini", "Why?") as stream:
        async for text in stream.text:
            assert_type(text, str)
        assert_type(await stream.collect(), ChatResponse)


class Track:
    name: str
