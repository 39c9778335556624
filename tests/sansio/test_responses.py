"""Answers, usage and events as plain values: JSON takes them, and a copy is equal."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from turnout import (
    AudioDelta,
    ChatResponse,
    EmbeddingResponse,
    End,
    FinishReason,
    Image,
    LogprobsDelta,
    Message,
    ModelConfig,
    PartReady,
    RankedDocument,
    Reasoning,
    RerankResponse,
    Restarted,
    Token,
    TokenCount,
    ToolCall,
    ToolCallDelta,
    ToolCallReady,
    Usage,
    Vectors,
)
from turnout.chat import RateLimit, RateWindow
from turnout.trace import Trace

MODEL = ModelConfig("openai", "gpt-4o-mini")
USAGE = Usage(prompt_tokens=3, completion_tokens=4, details={"a": 1})
ANSWER = ChatResponse(
    message=Message.assistant("hi", tool_calls=[ToolCall("c", "f")]),
    model=MODEL,
    finish_reason=FinishReason.STOP,
    usage=USAGE,
    rate_limit=RateLimit(requests=RateWindow(limit=5)),
    raw=b"{}",
    trace=Trace("chat"),
)
VALUES: list[Any] = [
    ANSWER,
    USAGE,
    EmbeddingResponse(vectors=Vectors.of([[1.0, 2.0]]), model=MODEL, trace=Trace("embed")),
    RerankResponse(documents=(RankedDocument(0, 0.5, "a"),), model=MODEL, trace=Trace("rerank")),
    TokenCount(prompt_tokens=5, model=MODEL, trace=Trace("count_tokens")),
    Token("a"),
    Reasoning("b"),
    AudioDelta(b"\0", "x"),
    ToolCallDelta(0, "{", "c", "f"),
    ToolCallReady(0, ToolCall("c", "f")),
    PartReady(Image("https://a.test/b.png")),
    LogprobsDelta([{"token": "a"}]),
    Restarted(2, ANSWER),
    End(finish_reason=FinishReason.LENGTH, usage=USAGE),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_plain_for_json_and_equal_after_pickle(value: Any) -> None:
    plain = value.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert dict(value) == plain
    assert pickle.loads(pickle.dumps(value)) == value


def test_an_answer_is_short_and_has_its_text() -> None:
    assert ANSWER.to_dict() == {
        "text": "hi",
        "message": ANSWER.message.to_dict(),
        "model": "openai/gpt-4o-mini",
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "source": "reported",
            "details": {"a": 1},
            "total_tokens": 7,
        },
        "rate_limit": {"requests": {"limit": 5}},
    }
    assert Token("a").to_dict() == {"type": "token", "delta": "a"}
    assert PartReady(Image("https://a.test/b.png")).to_dict()["part"] == {
        "type": "image",
        "url": "https://a.test/b.png",
    }
