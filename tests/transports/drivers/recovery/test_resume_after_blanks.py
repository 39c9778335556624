"""A stream that broke behind white space is resumed, and the whole text has each blank once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import Disconnected, Phase
from turnout_io.sync import Router
from turnout_io.testing import Reply, ScriptedTransport

EVENT_STREAM = {"content-type": "text/event-stream"}
ENVIRON = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "MISTRAL_API_KEY": "k"}
MODELS = {"anthropic": "claude-haiku-4-5", "mistral": "mistral-small-latest"}


def chunks(*pieces: str) -> list[bytes]:
    documents = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return [f"data: {json.dumps(document)}\n\n".encode() for document in documents]


def rest_of(provider: str, *pieces: str) -> list[bytes]:
    if provider == "mistral":
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        return [*chunks(*pieces), f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode()]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}} for one in pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize(
    ("begun", "rest", "text"),
    [
        (["One,", " "], [" two."], "One, two."),
        (["One.\n"], ["\n\nTwo."], "One.\n\nTwo."),
        (["One.\n\n"], ["\n", "\nTwo."], "One.\n\nTwo."),
        (["One, "], ["two."], "One, two."),
        (["One,"], [" two."], "One, two."),
        (["\n\n"], ["\n\nOne, two."], "\n\nOne, two."),
    ],
    ids=["same blank", "more blanks", "in two pieces", "no blank", "nothing to strip", "blanks alone"],
)
def test_each_blank_is_in_the_text_once(provider: str, begun: list[str], rest: list[str], text: str) -> None:
    transport = ScriptedTransport()
    transport.add(Reply(200, [*chunks(*begun), Disconnected("cut", phase=Phase.BODY)], EVENT_STREAM))
    transport.add(Reply(200, rest_of(provider, *rest), EVENT_STREAM))
    request = ChatRequest("openai/gpt-4o-mini", "Count.", fallbacks=[ModelConfig(provider, MODELS[provider])])
    router = Router.from_env(
        environ=ENVIRON, dotenv=None, transport=transport, on_interrupt="resume", max_retries=0, backoff_initial=0
    )
    with router, router.stream(request) as stream:
        tokens = "".join(event.delta for event in stream if event.type == "token")
    assert tokens == text
    assert stream.response.text == text
    *_, last = json.loads(transport.requests[1].body)["messages"]
    sent = last["content"] if isinstance(last["content"], str) else last["content"][-1]["text"]
    assert sent == ("".join(begun).rstrip() or "Count.")
