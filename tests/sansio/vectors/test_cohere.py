"""Vector 71: Cohere's version 2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.exchanges import asking, chat, sent, stream
from turnout.chat import FinishReason, Usage
from turnout.events import Reasoning, Token
from turnout.messages import Message

USAGE = {"billed_units": {"input_tokens": 1, "output_tokens": 2}, "tokens": {"input_tokens": 11, "output_tokens": 7}}
COUNTED = Usage(prompt_tokens=11, completion_tokens=7, billed_prompt_tokens=1, billed_completion_tokens=2)


def said(type: str, message: Any = None, index: int | None = None, **delta: Any) -> bytes:
    fields: dict[str, Any] = {"type": type}
    if index is not None:
        fields["index"] = index
    if message is not None:
        delta["message"] = message
    if delta:
        fields["delta"] = delta
    return sse(fields, event=type)


BEGIN = sse({"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}}, event="message-start")


@pytest.mark.parametrize("arguments", [('{"city":', ' "Oslo"}'), ("null",), ()])
def test_vector_71_a_plan_and_its_call(arguments: tuple[str, ...]) -> None:
    call = {"id": "f_0", "type": "function", "function": {"name": "f", "arguments": ""}}
    body = BEGIN + said("tool-plan-delta", {"tool_plan": "I will "}) + said("tool-plan-delta", {"tool_plan": "look."})
    body += said("tool-call-start", {"tool_calls": call}, 0)
    for piece in arguments:
        body += said("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, 0)
    body += said("tool-call-end", index=0) + said("message-end", finish_reason="TOOL_CALL", usage=USAGE)
    for end in (b"", sse("[DONE]")):
        seen = stream("cohere", body + end)
        assert seen.failure is None
        assert seen.events[:2] == (Reasoning("I will "), Reasoning("look."))
        (made,) = seen.result.tool_calls
        assert (made.id, made.name) == ("f_0", "f")
        assert made.parsed() == ({"city": "Oslo"} if len(arguments) == 2 else {})
        assert (seen.result.finish_reason, seen.result.usage) == (FinishReason.TOOL_CALLS, COUNTED)
        assert seen.result.response_id == "c1"
    turn = sent(asking("cohere", Message.user("x"), seen.result.message, Message.tool(made, "1")))["messages"][1]
    assert turn["tool_plan"] == "I will look."
    assert turn["tool_calls"][0]["id"] == "f_0"


def test_vector_71_text_and_its_sources() -> None:
    source = {"start": 0, "end": 5, "text": "Hello", "sources": [{"type": "document", "id": "d1"}]}
    body = BEGIN + said("content-start", {"content": {"type": "text", "text": ""}}, 0)
    body += said("content-delta", {"content": {"text": "Hel"}}, 0) + said(
        "content-delta", {"content": {"text": "lo"}}, 0
    )
    body += said("content-end", index=0) + said("citation-start", {"citations": source}, 0)
    body += said("citation-end", index=0) + said("invented-event") + b"event: content-delta\ndata:\n\n"
    seen = stream("cohere", body + said("message-end", finish_reason="COMPLETE", usage=USAGE))
    assert seen.failure is None
    assert seen.events[:-1] == (Token("Hel"), Token("lo"))
    assert (seen.result.raw_finish_reason, seen.result.usage, seen.result.citations) == ("COMPLETE", COUNTED, (source,))
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hello"}], "citations": [source]}
    whole = chat("cohere", {"id": "c1", "message": message, "finish_reason": "COMPLETE", "usage": USAGE})
    for field in ("text", "finish_reason", "usage", "citations", "response_id"):
        assert getattr(whole.result, field) == getattr(seen.result, field), field
