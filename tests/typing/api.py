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
