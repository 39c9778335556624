"""The stored form of answers, and the key of requests."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ChatRequest, Message, ModelConfig, Tool
from turnout.chat import ChatResponse, FinishReason, Usage
from turnout.events import AudioDelta, CommentaryDelta, End, PartReady, Reasoning, RefusalDelta, Token, ToolCallReady
from turnout.messages import Audio, Commentary, Image, Opaque, Refusal, Role, Text, Thinking, ToolCall
from turnout.routing.caching import can_be_stored, decode_answer, encode_answer, events_of, request_key

MODEL = ModelConfig("openai", "gpt-4o-mini", temperature=0.5)
REQUEST = ChatRequest(MODEL, "Why do points freeze?")
WORDS = st.text(max_size=8)
VALUES = st.recursive(st.none() | st.integers() | WORDS, st.lists, max_leaves=3)
FIELDS = st.dictionaries(WORDS, VALUES, max_size=2)
COUNTS = st.none() | st.integers(0, 10**6)
PARTS = (
    st.builds(Text, WORDS, signature=st.none() | WORDS, extra=FIELDS)
    | st.builds(Thinking, WORDS, signature=st.none() | WORDS)
    | st.builds(Commentary, WORDS)
    | st.builds(Refusal, WORDS)
    | st.builds(Image, data=st.binary(max_size=4), media_type=st.just("image/png"))
    | st.builds(Audio, data=st.binary(max_size=4), media_type=st.just("audio/wav"), transcript=st.none() | WORDS)
    | st.builds(Opaque, st.binary(max_size=8))
)
CALLS = st.builds(ToolCall, st.just("call_1"), st.just("look"), st.just("{}") | WORDS, extra=FIELDS)
ANSWERS = st.builds(
    ChatResponse,
    message=st.builds(
        Message,
        st.just(Role.ASSISTANT),
        st.lists(PARTS, max_size=4),
        tool_calls=st.lists(CALLS, max_size=2),
        origin=st.none() | WORDS,
    ),
    model=st.just(MODEL),
    finish_reason=st.sampled_from(FinishReason),
    raw_finish_reason=st.none() | WORDS,
    usage=st.builds(Usage, prompt_tokens=COUNTS, cached_tokens=COUNTS, details=FIELDS),
    response_id=st.none() | WORDS,
    served_model=st.none() | WORDS,
    logprobs=st.none() | st.lists(VALUES, max_size=2),
    citations=st.lists(VALUES, max_size=2).map(tuple),
    extra=FIELDS,
)


@pytest.mark.full
@given(ANSWERS)
def test_a_stored_answer_comes_back_and_costs_nothing(answer: ChatResponse) -> None:
    again = decode_answer(encode_answer(answer), REQUEST)
    assert again == attrs.evolve(answer, usage=attrs.evolve(answer.usage, cost=0.0))


@pytest.mark.full
@given(st.binary(max_size=30) | st.recursive(st.none() | WORDS, st.lists).map(lambda value: json.dumps(value).encode()))
def test_any_other_bytes_are_no_answer(stored: bytes) -> None:
    assert decode_answer(stored, REQUEST) is None


@pytest.mark.full
@given(st.data())
def test_an_answer_with_another_value_is_none_or_an_answer(data: st.DataObject) -> None:
    plain = json.loads(encode_answer(data.draw(ANSWERS)))
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(VALUES)
    decode_answer(json.dumps(plain).encode(), REQUEST)


@pytest.mark.full
@given(ANSWERS)
def test_the_events_of_an_answer_have_its_whole_content(answer: ChatResponse) -> None:
    events = events_of(answer)
    assert "".join(event.delta for event in events if isinstance(event, Token)) == answer.text
    assert "".join(event.delta for event in events if isinstance(event, Reasoning)) == answer.reasoning
    assert "".join(event.delta for event in events if isinstance(event, CommentaryDelta)) == answer.commentary
    assert "".join(event.delta for event in events if isinstance(event, RefusalDelta)) == (answer.refusal or "")
    assert tuple(event.call for event in events if isinstance(event, ToolCallReady)) == answer.tool_calls
    whole = tuple(part for part in answer.message.content if isinstance(part, Image | Audio | Opaque))
    assert tuple(event.part for event in events if isinstance(event, PartReady)) == whole
    sound = b"".join(event.data for event in events if isinstance(event, AudioDelta))
    assert sound == b"".join(part.data for part in answer.audio)
    assert isinstance(events[-1], End)
    assert sum(event.done for event in events) == 1


SAME: tuple[Any, ...] = (
    ChatRequest("openai/gpt-4o-mini", "Why do points freeze?", temperature=0.5, metadata={"user": "ada"}),
    ChatRequest(attrs.evolve(MODEL, timeout=3), [Message.user("Why do points freeze?")]),
    ChatRequest(MODEL, [{"role": "user", "content": "Why do points freeze?"}]),
)
OTHERS: tuple[Any, ...] = (
    ChatRequest(MODEL, "Why do points freeze? "),
    ChatRequest("openai/gpt-4o-mini", "Why do points freeze?"),
    ChatRequest("azure/gpt-4o-mini", "Why do points freeze?", temperature=0.5),
    ChatRequest(MODEL, "Why do points freeze?", temperature=0.6),
    ChatRequest(MODEL, "Why do points freeze?", fallbacks=["groq/llama"]),
    ChatRequest(MODEL, "Why do points freeze?", tools=[Tool("look")]),
    ChatRequest(MODEL, "Why do points freeze?", tools=[Tool("look", "Look it up.")]),
    ChatRequest(MODEL, "Why do points freeze?", tools=[Tool("look")], tool_choice="required"),
    ChatRequest(MODEL, "Why do points freeze?", response_format={"type": "json_object"}),
    ChatRequest(MODEL, "Why do points freeze?", parallel_tool_calls=False),
    ChatRequest(MODEL, "Why do points freeze?", extra={"openai": {"service_tier": "flex"}}),
    ChatRequest(MODEL, [Message.system("Be short."), Message.user("Why do points freeze?")]),
    ChatRequest(MODEL, [Message.user(Text("Why do points freeze?", extra={"a": 1}))]),
)


@pytest.mark.parametrize("request_", SAME)
def test_labels_timeouts_and_spellings_do_not_change_the_key(request_: ChatRequest) -> None:
    assert request_key(request_) == request_key(REQUEST)


@pytest.mark.parametrize("seed", [2**53, -(2**60), 10**200])
def test_large_seeds_have_keys_of_their_own(seed: int) -> None:
    """Two of these are the same number as floats."""
    one, other = (request_key(ChatRequest(attrs.evolve(MODEL, seed=number), "Hi")) for number in (seed, seed + 1))
    assert one != other


def test_a_setting_has_one_key_as_an_integer_and_as_a_float() -> None:
    one, other = (request_key(ChatRequest(ModelConfig("a", "b", temperature=heat), "Hi")) for heat in (1, 1.0))
    assert one == other


def test_everything_that_changes_the_answer_changes_the_key() -> None:
    assert len({request_key(request) for request in (REQUEST, *OTHERS)}) == 1 + len(OTHERS)


def test_whole_numbers_are_the_same_setting_in_every_form() -> None:
    whole, real = (ChatRequest(MODEL, "Hi", temperature=value) for value in (1, 1.0))
    assert request_key(whole) == request_key(real)


@pytest.mark.parametrize("reason", FinishReason)
def test_only_whole_answers_can_be_stored(reason: FinishReason) -> None:
    answer = ChatResponse(message=Message.assistant("Because."), model=MODEL, finish_reason=reason)
    assert can_be_stored(answer) is (reason in (FinishReason.STOP, FinishReason.TOOL_CALLS))
    assert not can_be_stored(attrs.evolve(answer, unmet=("response_format",)))


def test_the_model_is_the_candidate_of_the_request() -> None:
    answer = ChatResponse(message=Message.assistant("Because."), model=ModelConfig("groq", "llama"))
    stored = encode_answer(answer)
    fallback = ModelConfig("groq", "llama", top_p=0.5)
    found = decode_answer(stored, ChatRequest(MODEL, "Hi", fallbacks=[fallback]))
    of_route = decode_answer(stored, ChatRequest(ModelConfig.route("fast"), "Hi"))
    assert found is not None
    assert found.model == fallback
    assert of_route is not None
    assert of_route.model == ModelConfig("groq", "llama")
