"""Fields of every dialect with values of any type in them: they are read, or passed over, and nothing breaks.

What came can be sent back, too, whatever it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import ndjson, sse
from tests.sansio.providers.playing import CUTS, feed, read, sent_back
from turnout.errors import ProviderError, RemoteProtocolError, StreamTruncated
from turnout.providers.anthropic import wire as anthropic_wire
from turnout.providers.bedrock import wire as bedrock_wire
from turnout.providers.cohere import wire as cohere_wire
from turnout.providers.gemini import wire as gemini_wire
from turnout.providers.json_codec import LenientDecoder
from turnout.providers.openai_chat import wire as openai_wire
from turnout.providers.openai_responses import wire as openai_responses_wire

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([1.5, 2.0, 2**70, "", "x", "error", "{}", "[1]"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["text", "x", "type"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def mostly(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(value, value, value, value, JSON)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with any of these fields; any value may be something else, and so may the object."""
    return mostly(st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in fields.items()}))


def several(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=2)


TEXT = st.just("text")
COUNT = st.integers(0, 9) | st.just(3.0)
USAGE = some(
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    prompt_tokens_details=some(cached_tokens=COUNT),
    completion_tokens_details=some(reasoning_tokens=COUNT),
)
ERROR = some(message=TEXT, code=st.sampled_from([429, "503", "invalid_api_key"]), type=TEXT, metadata=some(raw=TEXT))
TOLD = several(some(text=TEXT))
CONTENT = some(type=TEXT | st.just("reasoning"), text=TEXT, thinking=TOLD, summary=TOLD, refusal=TEXT)
MESSAGE = some(
    role=TEXT,
    content=TEXT | CONTENT | several(CONTENT),
    reasoning=TEXT | TOLD,
    reasoning_content=TEXT | TOLD,
    reasoning_details=several(some(type=TEXT, text=TEXT, index=COUNT, summary=TEXT, data=TEXT)),
    refusal=TEXT,
    annotations=several(JSON),
    function_call=some(name=TEXT, arguments=TEXT),
    tool_calls=several(
        some(
            index=COUNT,
            id=TEXT,
            function=some(name=TEXT, arguments=TEXT),
            custom=some(name=TEXT, input=TEXT),
            extra_content=some(google=some(thought_signature=TEXT)),
        )
    ),
)
CHOICE = some(index=COUNT, delta=MESSAGE, message=MESSAGE, finish_reason=TEXT, logprobs=JSON, error=ERROR)
CHUNK = some(
    id=TEXT,
    model=TEXT,
    choices=several(CHOICE),
    usage=USAGE,
    x_groq=some(usage=USAGE, error=ERROR),
    citations=several(JSON),
    message=TEXT,
    base_resp=some(status_code=COUNT, status_msg=TEXT),
    error=st.none() | ERROR,
)
PIECE = some(
    jsonPath=st.sampled_from(["$.a", "$.a[0]", "$.a.b", "$", "$['x']", "a"]), stringValue=TEXT, numberValue=COUNT
)
PART = some(
    text=TEXT,
    thought=st.booleans(),
    thoughtSignature=TEXT,
    functionCall=some(id=TEXT, name=TEXT, args=some(x=JSON), partialArgs=several(PIECE), willContinue=st.booleans()),
    inlineData=JSON,
)
ANSWER = some(
    candidates=several(
        some(
            content=some(parts=several(PART), role=TEXT),
            finishReason=st.sampled_from(["STOP", 1]),
            index=COUNT,
            groundingMetadata=JSON,
            logprobsResult=JSON,
        )
    ),
    promptFeedback=some(blockReason=TEXT),
    usageMetadata=some(promptTokenCount=COUNT, candidatesTokenCount=COUNT, thoughtsTokenCount=COUNT),
    modelVersion=TEXT,
    error=st.none() | ERROR,
)
LINE = some(
    model=TEXT,
    message=some(
        content=TEXT,
        thinking=TEXT,
        tool_calls=several(some(id=TEXT, function=some(name=TEXT, arguments=some(x=JSON)))),
    ),
    response=TEXT,
    done=st.booleans(),
    done_reason=TEXT,
    prompt_eval_count=COUNT,
    eval_count=COUNT,
    logprobs=JSON,
    error=st.none() | TEXT,
)
BLOCK = some(
    type=st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "odd"]),
    text=TEXT,
    thinking=TEXT,
    signature=TEXT,
    id=TEXT,
    name=TEXT,
    input=some(x=JSON),
    citations=several(JSON),
)
END = {"stop_reason": st.sampled_from(["end_turn", "tool_use"]), "stop_details": some(explanation=TEXT)}
COUNTS = some(input_tokens=COUNT, output_tokens=COUNT, cache_read_input_tokens=COUNT)
BODY: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXT,
    "model": TEXT,
    "content": several(BLOCK),
    "usage": COUNTS,
    "error": st.none() | ERROR,
    **END,
}
MESSAGE_EVENT = some(
    type=st.sampled_from(
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "message",
            "error",
            "ping",
        ]
    ),
    index=COUNT,
    delta=some(
        type=st.sampled_from(["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "odd"]),
        text=TEXT,
        thinking=TEXT,
        signature=TEXT,
        partial_json=st.sampled_from(["{}", "{", "1"]),
        citation=JSON,
        **END,
    ),
    content_block=BLOCK,
    message=some(**BODY),
    **BODY,
)
CALL = some(id=TEXT, function=some(name=TEXT, arguments=TEXT))
COHERE_PART = some(type=st.sampled_from(["text", "thinking", "odd"]), text=TEXT, thinking=TEXT)
COHERE_MESSAGE = some(
    content=COHERE_PART | several(COHERE_PART),
    tool_plan=TEXT,
    tool_calls=CALL | several(CALL),
    citations=JSON | several(JSON),
)
COHERE_END: dict[str, st.SearchStrategy[Any]] = {
    "finish_reason": TEXT,
    "usage": some(billed_units=COUNTS, tokens=COUNTS, cached_tokens=COUNT),
    "error": st.none() | ERROR,
}
COHERE_EVENT = some(
    type=st.sampled_from(
        [
            "message-start",
            "content-start",
            "content-delta",
            "content-end",
            "tool-plan-delta",
            "tool-call-start",
            "tool-call-delta",
            "citation-start",
            "message-end",
            "error",
        ]
    ),
    id=TEXT,
    index=COUNT,
    delta=some(message=COHERE_MESSAGE, **COHERE_END),
    message=COHERE_MESSAGE,
    logprobs=JSON,
    **COHERE_END,
)
Body = Callable[[Sequence[Any]], bytes]
DIALECTS: dict[str, tuple[st.SearchStrategy[Any], Body]] = {
    "openai-compatible": (CHUNK, lambda documents: sse(*documents)),
    "openrouter": (CHUNK, lambda documents: sse(*documents, event="error")),
    "gemini": (ANSWER, lambda documents: sse(*documents, newline="\r\n")),
    "anthropic": (MESSAGE_EVENT, lambda documents: sse(*documents)),
    "cohere": (COHERE_EVENT, lambda documents: sse(*documents)),
    "ollama": (LINE, lambda documents: ndjson(*documents)),
}
# The shapes of every dialect, each for itself, without those that read only usual documents and refuse all others.
SHAPES = [
    (kind, fields)
    for module in (anthropic_wire, bedrock_wire, cohere_wire, gemini_wire, openai_responses_wire, openai_wire)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and (fields := msgspec.structs.fields(kind))
    if not any(field.required for field in fields)
]
REFUSED = (ProviderError, RemoteProtocolError, StreamTruncated)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(st.data(), CUTS)
@settings(deadline=None, max_examples=400)
def test_a_stream_with_anything_in_it(name: str, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    document, body = DIALECTS[name]
    sent = body(data.draw(st.lists(document, max_size=4)))
    heard = feed(name, sent)
    assert heard.failure is None or isinstance(heard.failure, REFUSED)
    assert feed(name, sent, cuts).agreed() == heard.agreed()
    sent_back(name, heard.result.message)


@pytest.mark.parametrize("kind", [[], {}, 5, None])
def test_a_part_of_no_known_kind_is_passed_over(kind: object) -> None:
    part = {"choices": [{"delta": {"content": {"type": kind, "text": "hi"}}}]}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    assert feed("openrouter", sse(part, end)).result.text == "hi"
    usage = {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": kind}]}
    parts = [{"type": "message_start", "message": {"usage": usage}}, {"type": "content_block_start", "index": 0}]
    assert feed("anthropic", sse(*parts)).result.usage.prompt_tokens == 1


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(st.data())
@settings(deadline=None, max_examples=400)
def test_a_document_with_anything_in_it(name: str, data: st.DataObject) -> None:
    try:
        result = read(name, data.draw(DIALECTS[name][0]))
    except REFUSED:
        return
    sent_back(name, result.message)
    json.dumps(result.citations)


@pytest.mark.full
@pytest.mark.parametrize(("kind", "fields"), SHAPES, ids=[f"{kind.__module__}.{kind.__name__}" for kind, _ in SHAPES])
@given(st.data())
@settings(deadline=None, max_examples=25)
def test_a_shape_takes_any_values(kind: Any, fields: Any, data: st.DataObject) -> None:
    document = data.draw(st.fixed_dictionaries({}, optional={field.encode_name: JSON for field in fields}))
    assert isinstance(LenientDecoder(kind).decode_leniently(json.dumps(document).encode()), kind)


@pytest.mark.parametrize(("kind", "fields"), SHAPES, ids=[f"{kind.__module__}.{kind.__name__}" for kind, _ in SHAPES])
def test_raw_json_is_taken_as_it_came(kind: Any, fields: Any) -> None:
    """And not by the lenient path, which is slow and writes it anew."""
    for field in fields:
        if field.type is msgspec.Raw or msgspec.Raw in get_args(field.type):
            document = b'{"%s": {"n": 1.50,  "m": []}}' % field.encode_name.encode()
            assert bytes(getattr(msgspec.json.decode(document, type=kind), field.name)) == b'{"n": 1.50,  "m": []}'
