"""Vectors 18 to 37: streams and completions of those who speak like OpenAI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import DONE, choice, delta, finish, whole
from tests.sansio.vectors.exchanges import chat, stream
from turnout.chat import FinishReason, Usage
from turnout.errors import StreamTruncated
from turnout.events import End, Reasoning, Token

HELLO = delta(content="Hello")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = Usage(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("roles", [(True, False, False), (True, True, True), (False, False, False)])
def test_vector_18_the_role_first_always_or_never(roles: tuple[bool, ...]) -> None:
    texts = ("", "Hel", "lo")
    deltas = [
        {"content": text} | ({"role": "assistant"} if told else {}) for text, told in zip(texts, roles, strict=True)
    ]
    seen = stream("openai", sse(*(delta(**each) for each in deltas), finish(), DONE))
    assert seen.events[:-1] == (Token("Hel"), Token("lo"))


def test_vector_19_usage_in_a_chunk_of_its_own_after_the_finish() -> None:
    seen = stream("openai", sse(HELLO, finish(), {"choices": [], "usage": USAGE}, DONE))
    assert seen.failure is None
    assert seen.events[-1] == End(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=COUNTED)


def test_vector_20_usage_in_the_finish_chunk() -> None:
    assert stream("openai", sse(HELLO, finish(usage=USAGE), DONE)).result.usage == COUNTED


def test_vector_21_the_finish_repeated_with_usage() -> None:
    seen = stream("openrouter", sse(HELLO, finish("length"), finish("length", usage=USAGE), DONE))
    assert seen.failure is None
    assert (seen.result.finish_reason, seen.result.usage) == (FinishReason.LENGTH, COUNTED)
    assert seen.types == ["token", "end"]


def test_vector_22_the_finish_taken_back_with_usage() -> None:
    after = choice(delta={"role": "assistant", "content": ""}, finish_reason=None) | {"usage": USAGE}
    seen = stream("openrouter", sse(HELLO, finish(), after, DONE))
    assert seen.failure is None
    assert (seen.result.raw_finish_reason, seen.result.usage) == ("stop", COUNTED)


def test_vector_23_usage_that_grows_is_not_added_up() -> None:
    growing = [
        delta(content=text) | {"usage": {"prompt_tokens": 3, "completion_tokens": n}} for n, text in enumerate("abc")
    ]
    seen = stream("siliconflow", sse(*growing, finish(usage=USAGE), DONE))
    assert (seen.result.text, seen.result.usage) == ("abc", COUNTED)


def test_vector_24_usage_that_is_null_or_never_comes() -> None:
    nulls = [each | {"usage": None} for each in (HELLO, finish())]
    counted = stream("openai", sse(*nulls, {"choices": [], "usage": USAGE}, DONE))
    assert counted.result.usage == COUNTED
    for chunks in (nulls, [HELLO, finish()]):
        seen = stream("openai", sse(*chunks, DONE))
        assert seen.failure is None
        assert seen.result.usage == Usage(source="absent")


def test_vector_25_an_empty_chunk_after_the_usage() -> None:
    seen = stream("xai", sse(HELLO, finish(), {"choices": [], "usage": USAGE}, {"choices": []}, DONE))
    assert seen.failure is None
    assert seen.result.usage == COUNTED


def test_vector_26_what_a_side_chunk_leaves_empty_overwrites_nothing() -> None:
    side = {"id": "", "model": "", "object": "", "created": 0, "choices": [], "prompt_filter_results": [{}]}
    seen = stream("azure", sse(side, HELLO, side, finish(), side, DONE))
    assert seen.failure is None
    assert (seen.result.response_id, seen.result.served_model) == ("chatcmpl-1", "served")
    assert seen.result.text == "Hello"


def test_vector_27_a_choice_without_a_delta_after_the_finish() -> None:
    checked = {
        "id": "",
        "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 9}}],
    }
    seen = stream("azure", sse(HELLO, finish(), checked, DONE))
    assert seen.failure is None
    assert (seen.result.text, seen.result.raw_finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"id": "chatcmpl-1"},
        choice(delta=None),
        choice(finish_reason=None),
        delta(content=None),
        delta(content=[]),
        delta(),
    ],
)
def test_vector_28_chunks_that_say_nothing(odd: Any) -> None:
    seen = stream("openai", sse(odd, HELLO, odd, finish(), odd, DONE))
    assert seen.failure is None
    assert seen.types == ["token", "end"]


def test_vector_28_content_as_a_list() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}
    seen = stream("mistral", sse(delta(content=[thought]), delta(content=[{"type": "text", "text": "Hi"}]), finish()))
    assert seen.events[:-1] == (Reasoning("hm"), Token("Hi"))
    unary = chat("mistral", whole(content=[thought, {"type": "text", "text": "Hi"}]))
    assert (unary.result.reasoning, unary.result.text) == ("hm", "Hi")


@pytest.mark.parametrize("early", ["", "stop"])
def test_vector_29_a_finish_reason_on_every_chunk(early: str) -> None:
    chunks = [choice(delta={"content": text}, finish_reason=early) for text in ("a", "b", "c")]
    seen = stream("openai-compatible", sse(*chunks, finish(), DONE))
    assert seen.types == ["token", "token", "token", "end"]
    assert (seen.result.text, seen.result.raw_finish_reason) == ("abc", "stop")


def test_vector_30_text_without_an_end_is_truncated() -> None:
    for empty in (None, ""):
        seen = stream("openai", sse(choice(delta={"content": "Hello"}, finish_reason=empty)))
        assert seen.events == (Token("Hello"),)
        assert isinstance(seen.failure, StreamTruncated)
        assert seen.failure.partial is not None
        assert seen.failure.partial.text == "Hello"


@pytest.mark.parametrize(
    ("raw", "meaning"),
    [
        ("eos", FinishReason.STOP),
        ("sensitive", FinishReason.CONTENT_FILTER),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("network_error", FinishReason.ERROR),
        ("insufficient_system_resource", FinishReason.ERROR),
        ("model_length", FinishReason.LENGTH),
        ("something_new", FinishReason.UNKNOWN),
    ],
)
def test_vector_31_finish_reasons_of_single_vendors(raw: str, meaning: FinishReason) -> None:
    for seen in (stream("openai-compatible", sse(HELLO, finish(raw), DONE)), chat("glm4", whole(raw, content="Hello"))):
        assert seen.failure is None
        assert (seen.result.finish_reason, seen.result.raw_finish_reason) == (meaning, raw)
        assert seen.result.text == "Hello"


def test_vector_32_a_refusal_is_no_token_and_no_error() -> None:
    pieces = [delta(role="assistant", content=None, refusal=None), delta(refusal="I'm "), delta(refusal="sorry.")]
    for seen in (
        stream("openai", sse(*pieces, finish(), DONE)),
        chat("openai", whole(content=None, refusal="I'm sorry.")),
    ):
        assert seen.failure is None
        assert (seen.result.text, seen.result.refusal) == ("", "I'm sorry.")
        assert seen.result.finish_reason is FinishReason.STOP
        assert "token" not in seen.types


def test_vector_33_of_several_choices_the_first_is_the_answer() -> None:
    def piece(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}

    chunks = [piece(0, "a"), piece(1, "x"), piece(1, "y", "length"), piece(0, "b", "stop")]
    seen = stream("openai", sse(*chunks, DONE))
    assert (seen.result.text, seen.result.raw_finish_reason) == ("ab", "stop")
    # The other choice going on after the first one's end neither ends nor fails the stream.
    seen = stream("openai", sse(chunks[0], chunks[3], chunks[1], chunks[2], DONE))
    assert (seen.result.text, seen.result.raw_finish_reason) == ("ab", "stop")


def test_vector_34_groq_s_own_place_for_usage() -> None:
    own = {"x_groq": {"id": "req_1", "usage": USAGE}}
    assert stream("groq", sse(HELLO, finish(**own), DONE)).result.usage == COUNTED
    both = own | {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 1}}}
    usage = stream("groq", sse(HELLO, finish(**both), DONE)).result.usage
    assert (usage.prompt_tokens, usage.cached_tokens) == (3, 1)


def test_vector_34_ids_that_change_and_end_in_a_stub() -> None:
    chunks = [HELLO | {"id": "chatcmpl-1"}, delta(content="!") | {"id": "chatcmpl-2"}, finish() | {"id": "stub"}]
    seen = stream("groq", sse(*chunks, DONE))
    assert (seen.result.text, seen.result.response_id) == ("Hello!", "chatcmpl-1")


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_vector_35_reasoning_under_either_name(field: str) -> None:
    pieces = [delta(**{field: "\nWell"}, content=None), delta(**{field: ", so."}, content=""), delta(content="Hi")]
    seen = stream("openai-compatible", sse(*pieces, finish(), DONE))
    assert seen.events[:-1] == (Reasoning("\nWell"), Reasoning(", so."), Token("Hi"))
    unary = chat("openai-compatible", whole(**{field: "\nWell"}, content="Hi"))
    assert (unary.result.reasoning, unary.result.text) == ("\nWell", "Hi")


def test_vector_35_reasoning_told_twice_is_one() -> None:
    def piece(text: str) -> dict[str, Any]:
        detail = {"type": "reasoning.text", "text": text, "index": 0, "format": "unknown"}
        return delta(content="", reasoning=text, reasoning_details=[detail])

    seen = stream("openrouter", sse(piece("\nWell"), piece(", so."), HELLO, finish(), DONE))
    assert seen.result.reasoning == "\nWell, so."
    both = stream("openai-compatible", sse(delta(reasoning="Well", reasoning_content="Well"), HELLO, finish(), DONE))
    assert both.result.reasoning == "Well"


def test_vector_36_think_tags_are_text_and_stay_verbatim() -> None:
    pieces = ("<th", "ink>hm</thi", "nk>Hello")
    seen = stream("openai-compatible", sse(*(delta(content=piece) for piece in pieces), finish(), DONE))
    assert (seen.result.text, seen.result.reasoning) == ("<think>hm</think>Hello", "")


def test_vector_37_text_beside_the_delta_is_not_told_twice() -> None:
    seen = stream("together", sse(choice(delta={"content": "Hello", "token_id": 9}, text="Hello"), finish(), DONE))
    assert seen.events[:-1] == (Token("Hello"),)
