"""Signed reasoning comes back through clients of chat completions, in the id of a call."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.serving.answers import resolve_as
from turnout.messages import Message, Opaque, Part, Role, Text, Thinking, ToolCall
from turnout.serving import ChatCompletions, Messages, ReadOptions, Responses
from turnout.serving.chat_completions.carried_reasoning import read_call_id, reasoning_call_id
from turnout.serving.continuity import pack

FIRST, SECOND = ToolCall("toolu_1", "f", "{}"), ToolCall("toolu_2", "g", "{}")
REDACTED = Opaque(b'{"type":"redacted_thinking","data":"abc"}')


def position(call: ToolCall) -> Opaque:
    return Opaque(b'{"type":"tool_use","id":"%b"}' % call.id.encode())


def back(message: Message, **fields: Any) -> Message:
    """The message as the gateway reads it of a client that returns the calls and `fields`."""
    calls = [
        {"id": reasoning_call_id(call, message), "type": "function", "function": {"name": call.name, "arguments": "{}"}}
        for call in message.tool_calls
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in calls]
    turn = {"role": "assistant", "content": None, "tool_calls": calls, **fields}
    document = {"model": "m", "messages": [{"role": "user", "content": "x"}, turn, *results]}
    read = ChatCompletions().read_request(json.dumps(document).encode(), resolve_as("p"), ReadOptions()).request
    assert [one.tool_call_id for one in read.messages[2:]] == [call.id for call in message.tool_calls]
    return read.messages[1]


def of_claude(*parts: Part, calls: tuple[ToolCall, ...] = (FIRST,)) -> Message:
    return Message(Role.ASSISTANT, parts, tool_calls=calls, origin="anthropic")


@given(st.text(max_size=200), st.text(min_size=1, max_size=200), st.booleans())
def test_thinking_comes_back_with_its_signature(text: str, signature: str, echoed: bool) -> None:
    text, signature = (value.encode("utf-8", "replace").decode() for value in (text, signature))
    message = of_claude(Thinking(text, signature=signature))
    # A client that also returns the reasoning gives it once to the model, not twice.
    assert back(message, **({"reasoning_content": text} if echoed else {})) == message


def test_thinking_between_calls_comes_back_between_them() -> None:
    thinking = [Thinking("one", signature="s1"), Thinking("two", signature="s2")]
    message = of_claude(thinking[0], REDACTED, position(FIRST), thinking[1], calls=(FIRST, SECOND))
    assert back(message) == message


def test_calls_side_by_side_carry_the_thinking_once() -> None:
    message = of_claude(Thinking("hm", signature="s"), calls=(FIRST, SECOND))
    assert reasoning_call_id(SECOND, message) == SECOND.id
    assert back(message) == message


def test_the_words_stay_behind_the_thinking() -> None:
    message = of_claude(Thinking("hm", signature="s"), Text("I look."))
    assert back(message, content="I look.") == message


@pytest.mark.parametrize(
    ("origin", "part"),
    [
        ("openai-responses", {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}),
        ("openrouter", {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
    ],
)
def test_reasoning_that_only_its_provider_reads(origin: str, part: dict[str, Any]) -> None:
    opaque = Opaque(json.dumps(part).encode())
    message = Message(Role.ASSISTANT, (opaque,), tool_calls=(FIRST,), origin=origin)
    assert back(message) == message


def test_long_thinking_needs_its_text_from_the_client() -> None:
    random = base64.b64encode(bytes((number * number * 7919) % 251 for number in range(30_000))).decode()
    text = "".join(random[place] + str(place * place) for place in range(9_000))
    message = of_claude(Thinking(text, signature="s" * 900))
    assert len(reasoning_call_id(FIRST, message)) < 1_000
    assert back(message, reasoning_content=text) == message
    # A signature does not fit another text, so the provider would reject the turn.
    assert back(message).content == ()
    two = of_claude(Thinking(text, signature="s"), Thinking(text, signature="t"))
    assert back(two, reasoning_content=text + text).content == (Thinking(text + text),)


@given(st.integers(0, 6_000), st.sampled_from(["ab", "the model thinks, ", "é"]))
def test_thinking_that_repeats_itself_comes_back_whole_or_not_at_all(count: int, words: str) -> None:
    """A small id may not unfold to a large text. Such a text is left out when the id is made, not when it is read."""
    message = of_claude(Thinking(words * count, signature="signature"))
    assert back(message).content in (message.content, ())
    assert back(message, reasoning_content=words * count) == message


def test_a_signature_that_is_too_long_is_left_out() -> None:
    signature = "".join(str(number * number * 7919) for number in range(4_000))
    assert reasoning_call_id(FIRST, of_claude(Thinking("hm", signature=signature))) == FIRST.id


def carrying(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return "call_1__z_" + base64.urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")


@pytest.mark.parametrize(
    "id",
    [
        "__z_",
        "call_1__z_",
        "call_1__z_!!",
        "call_1__z_é",
        carrying(b"not JSON"),
        carrying(["p", None]),
        carrying(["p", None, [""]]),
        carrying(["p", None, ['{"a":1},"model":"other"']]),
        carrying(["p", None, ["[1]"]]),
        carrying(b" " * 9_000 + b'["p",null,[]]'),
    ],
)
def test_an_id_of_another_program_is_an_id(id: str) -> None:
    carried = read_call_id(id)
    assert (carried.id, carried.origin, carried.parts) == (id, None, ())


FORGED = pack("gemini", '{"text":"a"}],"model":"other","x":[{"a":"b"}')


def test_a_client_cannot_write_into_the_request_of_a_provider() -> None:
    """Opaque parts are copied into a request as they are, so they must be JSON and nothing behind it."""
    block = {"type": "redacted_thinking", "data": FORGED}
    document: dict[str, Any] = {"model": "m", "max_tokens": 5}
    document["messages"] = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [block]}]
    read = Messages().read_request(json.dumps(document).encode(), resolve_as("p"), ReadOptions()).request
    assert [json.loads(part.json) for part in read.messages[1].content if isinstance(part, Opaque)] == [block]
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": FORGED}
    document = {"model": "m", "input": [{"role": "user", "content": "x"}, item]}
    read = Responses().read_request(json.dumps(document).encode(), resolve_as("p"), ReadOptions()).request
    assert not any(isinstance(part, Opaque) for part in read.messages[1].content)
