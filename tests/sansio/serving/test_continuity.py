"""Signatures, origins and opaque parts survive a turn through a client that keeps standard fields only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.serving.answers import Answer, answers, resolve_as, write_in_batches, write_stream
from tests.sansio.serving.test_answers_read_back import CHAT, MESSAGES, RESPONSES, Pair
from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message, Opaque, Role, Thinking
from turnout.providers import create
from turnout.serving import ReadOptions
from turnout.serving.continuity import pack, pack_call_id, unpack, unpack_call_id

TEXT = st.text(min_size=1, max_size=30)
ORIGINS = st.sampled_from(["gemini", "deepseek", "openai-responses", "anthropic", "my provider"])


@given(TEXT, TEXT.filter(lambda text: "\n" not in text), st.none() | TEXT)
def test_an_id_carries_its_signature(id: str, origin: str, signature: str | None) -> None:
    carried = unpack_call_id(pack_call_id(id, origin, signature))
    assert (carried.value, carried.origin, carried.signature) == (id, origin, signature)


@given(TEXT.filter(lambda text: "\n" not in text), st.text(max_size=30))
def test_a_signature_carries_its_origin(origin: str, value: str) -> None:
    carried = unpack(pack(origin, value))
    assert (carried.value, carried.origin) == (value, origin)


@given(st.text())
def test_other_values_pass_unchanged(text: str) -> None:
    assert unpack_call_id(text).value == text or "__t_" in text
    assert unpack(text).value == text or text.startswith("turnout.")


@pytest.mark.parametrize("id", ["call_1__t_", "call_1__t_!!", "__t_abc", "call__t_YWJj", "x__t_é"])
def test_an_id_with_a_broken_mark_is_an_id(id: str) -> None:
    assert unpack_call_id(id).value == id


def test_a_long_signature_is_left_out_of_an_id() -> None:
    assert pack_call_id("call_1", "gemini", "x" * 9000) == "call_1"


def test_an_id_has_only_letters_that_every_provider_takes() -> None:
    assert pack_call_id("call_1", "gemini", "a+/=\n\u00e9" * 9).replace("_", "").replace("-", "").isalnum()


def next_turn(pair: Pair, received: Message) -> Message:
    """The assistant's message of the next request, as the gateway reads it."""
    provider = create(pair.provider, api_key="k", **pair.settings)
    results = [Message.tool(call, "ok") for call in received.tool_calls]
    messages = [Message.user("x"), received, *results, Message.user("y")]
    sent = provider.chat(ChatRequest(ModelConfig(pair.provider, "m", max_tokens=9), messages)).request.body
    read = pair.dialect.read_request(sent, resolve_as("vendor"), ReadOptions()).request.messages
    found = [message for message in read if message.role is Role.ASSISTANT]
    results = [message for message in read if message.role is Role.TOOL]
    assert [message.tool_call_id for message in results] == [call.id for one in found for call in one.tool_calls]
    return found[0] if found else Message.assistant(None)


def received(pair: Pair, answer: Answer, *, stream: bool) -> Message:
    return pair.stream(write_stream(pair.dialect, answer), ()).result.message if stream else pair.whole(answer).message


def essence(message: Message, *, signatures: bool = True) -> Any:
    calls = [(call.id, call.name, json.loads(call.arguments), call.signature) for call in message.tool_calls]
    thinking = [(part.text, part.signature) for part in message.content if isinstance(part, Thinking)]
    return calls, thinking if signatures else None


@pytest.mark.slow
@pytest.mark.parametrize("pair", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])
@given(st.data(), st.booleans())
def test_signed_calls_come_back(pair: Pair, data: st.DataObject, stream: bool) -> None:
    answer = data.draw(answers(origin="gemini", calls_signed=True))
    back = next_turn(pair, received(pair, answer, stream=stream))
    assert essence(back, signatures=False) == essence(answer.response.message, signatures=False)
    if any(call.signature for call in answer.response.tool_calls):
        assert back.origin == "gemini"


@pytest.mark.parametrize("pair", [MESSAGES, RESPONSES], ids=["messages", "responses"])
@given(st.data(), st.booleans(), st.sampled_from(["gemini", "deepseek", "anthropic"]))
def test_signed_reasoning_comes_back(pair: Pair, data: st.DataObject, stream: bool, origin: str) -> None:
    answer = data.draw(answers(origin=origin, reasoning_signed=True))
    back = next_turn(pair, received(pair, answer, stream=stream))
    sent = [part for part in answer.response.message.content if isinstance(part, Thinking)]
    found = [part for part in back.content if isinstance(part, Thinking)]
    if pair is RESPONSES and sent and not (answer.response.text or answer.response.tool_calls):
        return  # a client of Responses leaves out reasoning that nothing follows
    if pair is MESSAGES and origin == "anthropic":
        sent = [part for part in sent if part.signature is not None]  # Anthropic takes no others back
    if pair is RESPONSES:
        assert [part.signature for part in found] == [part.signature for part in sent][: len(found)]
    else:
        assert [(part.text, part.signature) for part in found] == [(part.text, part.signature) for part in sent]
    if found:
        assert back.origin == origin


OPAQUE = {
    "anthropic": (
        '{"type":"redacted_thinking","data":"abc"}',
        '{"type":"server_tool_use","id":"s","name":"w","input":{}}',
    ),
    "openrouter": ('{"reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]}',),
    "openai-responses": ('{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}',),
}


@pytest.mark.slow
@pytest.mark.parametrize("origin", list(OPAQUE))
@pytest.mark.parametrize("pair", [MESSAGES, RESPONSES], ids=["messages", "responses"])
@given(st.data(), st.booleans())
def test_opaque_parts_come_back(pair: Pair, origin: str, data: st.DataObject, stream: bool) -> None:
    answer = data.draw(answers(origin=origin, opaque=OPAQUE[origin]))
    message = received(pair, answer, stream=stream)
    back = next_turn(pair, message)
    sent = [json.loads(part.json) for part in answer.response.message.content if isinstance(part, Opaque)]
    found = [json.loads(part.json) for part in back.content if isinstance(part, Opaque)]
    found = [value for value in found if value.get("type") not in ("tool_use", "function_call", "message")]
    if pair is RESPONSES:
        # A client of Responses leaves out reasoning that nothing follows. Details that grow come last in a stream.
        assert found == sent[: len(found)]
        grows = stream and origin == "openrouter"
        assert len(found) == len(sent) or grows or answer.blocks[-1].kind != "call"
    else:
        assert found == sent
    if found:
        assert back.origin == origin


@pytest.mark.slow
@pytest.mark.parametrize("pair", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])
@given(st.data(), st.lists(st.integers(1, 9), max_size=6))
def test_events_that_arrive_together_are_written_as_one_by_one(
    pair: Pair, data: st.DataObject, sizes: list[int]
) -> None:
    origin = data.draw(st.sampled_from(sorted(OPAQUE)))
    answer = data.draw(answers(origin=origin, opaque=OPAQUE[origin], reasoning_signed=True))
    assert write_in_batches(pair.dialect, answer, sizes) == write_stream(pair.dialect, answer)
