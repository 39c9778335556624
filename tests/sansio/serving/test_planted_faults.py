"""The properties find faults: each is planted once, and a check of the other tests must fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from tests.sansio.serving.answers import Answer, Block, resolve_as, write_stream
from tests.sansio.serving.test_answers_read_back import CHAT, MESSAGES, RESPONSES, Pair, expected_usage
from tests.sansio.serving.test_continuity import essence, next_turn, received
from turnout.chat import ChatRequest, FinishReason, ModelConfig, Usage
from turnout.events import Event, ToolCallDelta
from turnout.messages import Message, Tool
from turnout.providers import create
from turnout.serving import ReadOptions, continuity
from turnout.serving.blocks import BlockSequencer
from turnout.serving.chat_completions import carried_reasoning
from turnout.serving.chat_completions import request as chat_completions_request
from turnout.serving.chat_completions import stream as chat_completions_stream
from turnout.serving.held_arguments import HeldArguments
from turnout.serving.messages import request as messages_request
from turnout.serving.messages import response as messages_response
from turnout.serving.messages import stream as messages_stream
from turnout.serving.responses import request as responses_request
from turnout.serving.responses import response as responses_response

ANSWER = Answer(
    (
        Block("reasoning", ("h", "m"), "sig"),
        Block("text", ("Hel", "lo")),
        Block("call", ('{"a":', "1}"), "s2", "c1", "f"),
        Block("call", ('{"b":', "2}"), None, "c2", "g"),
    ),
    (0, 0, 1, 1, 2, 3, 2, 3),
    "gemini",
    FinishReason.TOOL_CALLS,
    Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=3, cache_write_tokens=1, reasoning_tokens=1),
)


def check_answer(pair: Pair) -> None:
    for response in (pair.stream(write_stream(pair.dialect, ANSWER), ()).result, pair.whole(ANSWER)):
        assert response.text == "Hello"
        assert response.reasoning == "hm"
        assert [call.arguments.replace(" ", "") for call in response.tool_calls] == ['{"a":1}', '{"b":2}']
        assert response.usage == expected_usage(ANSWER, pair)
        assert response.finish_reason is FinishReason.TOOL_CALLS


def check_continuity(pair: Pair) -> None:
    for stream in (True, False):
        back = next_turn(pair, received(pair, ANSWER, stream=stream))
        assert essence(back, signatures=pair is not RESPONSES) == essence(
            ANSWER.response.message, signatures=pair is not RESPONSES
        )
        assert back.origin == "gemini"


def check_request(pair: Pair) -> None:
    model = ModelConfig(pair.provider, "m", max_tokens=9, temperature=0.5)
    request = ChatRequest(model, [Message.user("x")], tools=[Tool("f", "Do.", {"type": "object"})])
    provider = create(pair.provider, api_key="k", **pair.settings)
    sent = provider.chat(request).request.body
    read = pair.dialect.read_request(sent, resolve_as(pair.provider), ReadOptions(ignore_unknown=False)).request
    assert provider.chat(read).request.body == sent


@contextlib.contextmanager
def replaced(target: Any, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(target, name)
    setattr(target, name, change(original))
    try:
        yield
    finally:
        setattr(target, name, original)


def dropped_setting(original: Callable[..., ChatRequest]) -> Callable[..., ChatRequest]:
    def build(fields: Any, resolve: Any, settings: dict[str, Any], *rest: Any, **others: Any) -> ChatRequest:
        return original(fields, resolve, {**settings, "temperature": None}, *rest, **others)

    return build


def dropped_limit(original: Callable[..., ChatRequest]) -> Callable[..., ChatRequest]:
    def build(fields: Any, resolve: Any, settings: dict[str, Any], *rest: Any, **others: Any) -> ChatRequest:
        return original(fields, resolve, {**settings, "max_tokens": None}, *rest, **others)

    return build


def cut_arguments(original: Callable[[HeldArguments, str], str]) -> Callable[[HeldArguments, str], str]:
    return lambda held, delta: original(held, delta)[:-1]


def unsigned(original: Callable[..., str]) -> Callable[..., str]:
    return lambda id, origin, signature: original(id, origin, None)


def unsigned_call(original: Callable[..., str]) -> Callable[..., str]:
    return lambda call, message: original(attrs.evolve(call, signature=None), message)


def nothing_before(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda call, message: iter(())


def no_origin(original: Callable[..., str]) -> Callable[..., str]:
    return lambda origin, value: value


def nothing_held(original: Callable[..., Any]) -> Callable[..., Any]:
    def receive(blocks: BlockSequencer, event: Event) -> Any:
        if isinstance(event, ToolCallDelta) and blocks._waiting:
            return []
        return original(blocks, event)

    return receive


def cached_twice(original: Callable[[Usage], dict[str, Any]]) -> Callable[[Usage], dict[str, Any]]:
    def report(of: Usage) -> dict[str, Any]:
        return original(attrs.evolve(of, prompt_tokens=(of.prompt_tokens or 0) + (of.cached_tokens or 0)))

    return report


def wrong_call_id(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return lambda id, *rest, **others: {**original(id, *rest, **others), "call_id": id}


PAIRS = (CHAT, MESSAGES, RESPONSES)
FAULTS: list[tuple[str, Pair, Any, str, Callable[[Any], Any], Callable[[Pair], None]]] = [
    ("a setting is dropped", CHAT, chat_completions_request, "build_request", dropped_setting, check_request),
    ("a setting is dropped", MESSAGES, messages_request, "build_request", dropped_setting, check_request),
    ("a limit is dropped", RESPONSES, responses_request, "build_request", dropped_limit, check_request),
    ("cached tokens count twice", CHAT, chat_completions_stream, "chat_usage", cached_twice, check_answer),
    ("cached tokens count twice", MESSAGES, messages_stream, "messages_usage", cached_twice, check_answer),
    ("cached tokens count twice", MESSAGES, messages_response, "messages_usage", cached_twice, check_answer),
    ("cached tokens count twice", RESPONSES, responses_response, "responses_usage", cached_twice, check_answer),
    *(("arguments are cut", pair, HeldArguments, "receive", cut_arguments, check_answer) for pair in PAIRS),
    *(
        ("a call loses its signature", pair, continuity, "pack_call_id", unsigned, check_continuity)
        for pair in PAIRS[1:]
    ),
    ("a call loses its signature", CHAT, chat_completions_stream, "reasoning_call_id", unsigned_call, check_continuity),
    ("a call loses its reasoning", CHAT, carried_reasoning, "_before", nothing_before, check_continuity),
    ("thinking loses its origin", MESSAGES, messages_response, "pack", no_origin, check_continuity),
    ("interleaved calls lose a piece", MESSAGES, BlockSequencer, "receive", nothing_held, check_answer),
    ("interleaved calls lose a piece", RESPONSES, BlockSequencer, "receive", nothing_held, check_answer),
    ("a call has the id of its item", RESPONSES, responses_response, "call_item", wrong_call_id, check_continuity),
]


@pytest.mark.parametrize("check", [check_answer, check_continuity, check_request])
@pytest.mark.parametrize("pair", PAIRS, ids=["chat", "messages", "responses"])
def test_without_a_fault_every_check_passes(pair: Pair, check: Callable[[Pair], None]) -> None:
    check(pair)


@pytest.mark.parametrize(
    ("pair", "target", "name", "change", "check"),
    [fault[1:] for fault in FAULTS],
    ids=[f"{fault[0]}-{fault[1].dialect.name}-{index}" for index, fault in enumerate(FAULTS)],
)
def test_a_planted_fault_is_found(
    pair: Pair, target: Any, name: str, change: Callable[[Any], Any], check: Callable[[Pair], None]
) -> None:
    with replaced(target, name, change), pytest.raises((AssertionError, ValueError, KeyError)):
        check(pair)
