"""Hints for misspelt names are made for people who see them: a call that succeeds makes none."""

from __future__ import annotations

import copy
import pickle
import sys
import traceback
from array import array
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from turnout import ChatRequest, EmbeddingRequest, RerankRequest
from turnout.chat import Usage
from turnout.embeddings import Vectors
from turnout.events import Token
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout.trace import Trace
from turnout_io.sync import Router
from turnout_io.testing import Reply, ScriptedTransport

CHAT = ChatRequest("groq/llama-3.3-70b-versatile", "Hello", fallbacks=("openai/gpt-4o-mini",))
REFUSED = Reply(500, {"error": {"message": "Internal error"}})
ANSWER = Reply(200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
STREAM = Reply(
    200,
    'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    headers={"Content-Type": "text/event-stream"},
)
VECTOR = Reply(200, {"data": [{"embedding": "AACAPw==", "index": 0}]})
RANKED = Reply(200, {"results": [{"index": 0, "relevance_score": 0.9}]})
COUNT = Reply(200, {"input_tokens": 9})


def chat(router: Router) -> None:
    assert router.chat(CHAT).text == "Hi"


def stream(router: Router) -> None:
    with router.stream(CHAT) as events:
        assert "".join(event.delta for event in events if event.type == "token") == "Hi"


def embed(router: Router) -> None:
    assert len(router.embed(EmbeddingRequest("openai/text-embedding-3-small", "a text")).vectors) == 1


def rerank(router: Router) -> None:
    assert router.rerank(RerankRequest("cohere/rerank-v4.0-pro", "a query", ["a text"])).documents


def count(router: Router) -> None:
    assert router.count_tokens(ChatRequest("anthropic/claude-opus-5", "Hello")).prompt_tokens == 9


@pytest.mark.parametrize(
    ("call", "replies"),
    [(chat, [ANSWER]), (chat, [REFUSED, ANSWER]), (stream, [STREAM]), (embed, [VECTOR]), (rerank, [RANKED]),
     (count, [COUNT])],
)  # fmt: skip
def test_a_call_that_succeeds_makes_no_hint(call: Any, replies: list[Reply]) -> None:
    transport = ScriptedTransport()
    transport.add(*replies)
    providers = [create(name, api_key="k") for name in ("groq", "openai", "cohere", "anthropic")]
    # What `on_trace` receives has fields of all kinds of results.
    with Router(providers, policy=Policy(max_retries=0), transport=transport, on_trace=lambda trace: None) as router:
        assert not searches_in(lambda: call(router))


@pytest.mark.parametrize("value", [Token("x"), Usage(), Vectors(array("f"), 0), Trace()], ids=type)
def test_a_hint_is_made_when_it_is_read(value: object) -> None:
    assert not searches_in(lambda: getattr(value, "no_such_name", None))
    with pytest.raises(AttributeError) as caught:
        _ = value.no_such_name  # type: ignore[attr-defined]  # on purpose
    told = f"{type(value).__name__!r} object has no attribute 'no_such_name'; it has "
    assert str(caught.value).startswith(told)
    assert repr(caught.value).startswith(f"AttributeError({told!r}"[:-1])
    assert traceback.format_exception_only(caught.value)[0].startswith(f"AttributeError: {told}")
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert (type(again), str(again)) == (AttributeError, str(caught.value))


def searches_in(run: Callable[[], object]) -> set[str]:
    """Return the functions that `run` calls to find a name that was probably meant."""
    made: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name in ("nearest", "get_close_matches", "_nearest_or_all"):
            made.add(code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return made
