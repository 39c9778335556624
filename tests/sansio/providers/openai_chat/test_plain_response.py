"""The short way of plain responses: the same response as by the way of all others."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.openai_chat.test_text_chunks import samples
from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.messages import Message as ChatMessage
from turnout.messages import Tool, ToolChoice
from turnout.providers import create
from turnout.providers.openai_chat.plain_response import read_plain_response
from turnout.providers.openai_chat.wire import Choice, Chunk, Message

OPENAI = create("openai", api_key="k")
MODEL = ModelConfig("openai", "m")
TOOL = Tool("f")
HEADERS = [("x-request-id", "r"), ("x-ratelimit-remaining-requests", "5"), ("x-ratelimit-reset-requests", "1s")]
REQUESTS = [
    ChatRequest(MODEL, "hello"),
    ChatRequest(MODEL, "hello", response_format=ResponseFormat.json()),
    ChatRequest(MODEL, "hello", tools=[TOOL], tool_choice=ToolChoice("required")),
    ChatRequest(MODEL, "hello", tools=[TOOL]),
    ChatRequest(MODEL, [ChatMessage.user("hello"), attrs.evolve(ChatMessage.assistant("a"), extra={"prefix": True})]),
]


def read(request: ChatRequest, body: bytes) -> tuple[object, ...]:
    exchange = OPENAI.chat(request)
    exchange.receive_head(200, HEADERS)
    exchange.receive_data(body)
    exchange.receive_end()
    failure = exchange.failure
    if failure is not None:
        return type(failure), str(failure)[:120]  # the rest may show the body
    return attrs.evolve(exchange.result, raw=None), (exchange.result.raw or b"").strip()


def same(request: ChatRequest, document: dict[str, Any]) -> None:
    body = msgspec.json.encode(document)
    assert read(request, body) == read(request, b"\n" + body)  # white space keeps a body from the short way


def response(text: object = "an answer", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    usage = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage, **more}


@given(st.sampled_from(REQUESTS), samples(Chunk) | st.sampled_from([response(), response(""), response(None)]))
def test_any_document_reads_the_same_by_both_ways(request: ChatRequest, document: dict[str, Any]) -> None:
    same(request, document)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field.encode_name) for kind in (Chunk, Choice, Message) for field in msgspec.structs.fields(kind)],
)
@given(request=st.sampled_from(REQUESTS), data=st.data())
def test_no_field_of_a_response_is_lost(kind: type, field: str, request: ChatRequest, data: st.DataObject) -> None:
    described = next(each for each in msgspec.structs.fields(kind) if each.encode_name == field)
    document = response()
    choice = document["choices"][0]
    target = {"Chunk": document, "Choice": choice, "Message": choice["message"]}[kind.__name__]
    target[field] = data.draw(samples(described.type))
    same(request, document)


def test_the_response_of_a_large_provider_is_plain() -> None:
    document = response(service_tier="default", system_fingerprint="fp_1", created=1)
    plain = read_plain_response(msgspec.json.decode(msgspec.json.encode(document), type=Chunk))
    assert plain is not None
    assert (plain.text, plain.raw_finish_reason) == ("an answer", "stop")


def test_an_answer_above_the_limit_is_left_to_the_other_way() -> None:
    limits = attrs.evolve(OPENAI.account.limits, output=5)  # type: ignore[attr-defined]  # of every dialect here
    small = attrs.evolve(OPENAI, account=attrs.evolve(OPENAI.account, limits=limits))  # type: ignore[attr-defined, misc]
    exchange = small.chat(REQUESTS[0])
    exchange.receive_head(200, ())
    exchange.receive_data(msgspec.json.encode(response("longer than that")))
    exchange.receive_end()
    assert "larger than 5 characters" in str(exchange.failure)
