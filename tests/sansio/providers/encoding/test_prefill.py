"""The white space at the end of a prefill: it is not sent, and its repetition is not given out."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from turnout.chat import ChatRequest, ModelConfig
from turnout.events import Token
from turnout.http import Headers
from turnout.messages import Message, Role, Text, ToolCall
from turnout.providers import create
from turnout.providers.encoding.prefill import trailing_blanks, without_trailing_blanks

MODELS = {
    "anthropic": "claude-haiku-4-5",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-v4-flash",
    "moonshot": "kimi-k2.5",
}


def prefilled(name: str, *texts: str) -> ChatRequest:
    model = ModelConfig(name, MODELS[name])
    extra = dict(create(name, api_key="k").facts(model.model_id).prefill or {})
    parts = [Text(text) for text in texts]
    return ChatRequest(model, [Message.user("Count."), Message(Role.ASSISTANT, parts, extra=extra)])


def sent(name: str, request: ChatRequest) -> list[dict[str, Any]]:
    body = json.loads(create(name, api_key="k").stream(request).request.body)
    return list(body["messages"])


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def streamed(name: str, pieces: list[str]) -> bytes:
    if name != "anthropic":
        chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        return sse(*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, "[DONE]")
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "m", "content": []}}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces
    ]
    events.append({"type": "content_block_stop", "index": 0})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    events.append({"type": "message_stop"})
    return b"".join(sse(event, event=event["type"]) for event in events)


def whole(name: str, text: str) -> bytes:
    if name == "anthropic":
        blocks = [{"type": "text", "text": text}]
        return json.dumps({"type": "message", "id": "m", "content": blocks, "stop_reason": "end_turn"}).encode()
    return json.dumps({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}).encode()


def play(exchange: Any, body: bytes, kind: str) -> tuple[str, str]:
    exchange.receive_head(200, Headers([("content-type", kind)]))
    events = list(exchange.receive_data(body))
    events += exchange.receive_end()
    assert exchange.failure is None
    return "".join(event.delta for event in events if isinstance(event, Token)), exchange.result.text


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("texts", [("One, two, ",), ("One, two,", " \n"), ("One, two,\n\n",)])
def test_blanks_at_the_end_are_not_sent(name: str, texts: tuple[str, ...]) -> None:
    assert text_of(sent(name, prefilled(name, *texts))[-1]) == "One, two,"


@pytest.mark.parametrize("name", MODELS)
def test_a_prefill_of_blanks_alone_is_not_sent(name: str) -> None:
    assert [message["role"] for message in sent(name, prefilled(name, " \n"))] == ["user"]


BLANKS = st.text(" \n\t", max_size=3)


@pytest.mark.parametrize("name", MODELS)
@given(BLANKS, BLANKS, st.sampled_from(["three", "", "x y "]), st.lists(st.integers(0, 8), max_size=3))
@settings(deadline=None, max_examples=40)
def test_each_blank_is_in_the_text_once(name: str, delivered: str, begun: str, rest: str, cuts: list[int]) -> None:
    answer = begun + rest
    places = [0, *sorted(cut for cut in cuts if cut <= len(answer)), len(answer)]
    pieces = [answer[at:to] for at, to in itertools.pairwise(places)]
    same = 0
    while same < min(len(delivered), len(answer)) and delivered[same] == answer[same]:
        same += 1
    request = prefilled(name, f"One,{delivered}")
    provider = create(name, api_key="k")
    tokens, text = play(provider.stream(request), streamed(name, pieces), "text/event-stream")
    assert tokens == text == answer[same:]
    assert (f"One,{delivered}{text}").startswith(f"One,{delivered}")
    if answer:
        assert play(provider.chat(request), whole(name, answer), "application/json")[1] == answer[same:]


@pytest.mark.parametrize("name", ["mistral", "deepseek"])
def test_a_server_that_repeats_the_prefill_repeats_no_blank(name: str) -> None:
    request = prefilled(name, "One, two, ")
    body = streamed(name, ["One, ", "two,", " three"])
    assert play(create(name, api_key="k").stream(request), body, "text/event-stream") == ("three", "three")


def test_an_assistant_s_turn_that_nothing_continues_is_sent_as_it_is() -> None:
    request = ChatRequest(ModelConfig("openai", "gpt-4o-mini"), [Message.user("x"), Message.assistant("Well. ")])
    body = json.loads(create("openai", api_key="k").chat(request).request.body)
    assert body["messages"][-1]["content"] == "Well. "
    assert play(create("openai", api_key="k").chat(request), whole("openai", " so"), "application/json")[1] == " so"


def test_only_text_at_the_end_of_an_assistant_s_turn_has_such_blanks() -> None:
    assert trailing_blanks(Message.user("x ")) == ""
    assert trailing_blanks(Message.assistant("x ", tool_calls=[ToolCall("1", "f")])) == ""
    assert trailing_blanks(Message.assistant([Text("x \n"), Text(""), Text("\t")])) == " \n\t"
    stripped = without_trailing_blanks(Message.assistant([Text("x \n"), Text(""), Text("\t")]))
    assert stripped is not None
    assert stripped.content == (Text("x"),)
    same = Message.assistant("x")
    assert without_trailing_blanks(same) is same


@pytest.mark.parametrize("mark", ["prefix", "partial"])
def test_a_prefill_of_blanks_alone_is_sent_if_nothing_else_is_there(mark: str) -> None:
    """A request without any message is none, and the server says what it thinks of this one."""
    alone = ChatRequest(ModelConfig("mistral", "m"), [Message(Role.ASSISTANT, " \n", extra={mark: True})])
    assert [message["content"] for message in sent("mistral", alone)] == [" \n"]
    behind = ChatRequest(alone.model, [Message.user("Count."), *alone.messages])
    assert [message["content"] for message in sent("mistral", behind)] == ["Count."]
