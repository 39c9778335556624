"""Several messages in one choice, as Mistral sends them: calls that the provider ran, their results, the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import CUTS, feed, read
from turnout.chat import FinishReason
from turnout.events import Token, ToolCallDelta, ToolCallReady
from turnout.providers.limits import ResponseLimits

SEARCH = {"id": "abcdefghi", "type": "function", "function": {"name": "search", "arguments": "{}"}}
OWN = {"id": "own000000", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
RESULT = {"role": "tool", "content": "42", "tool_call_id": "abcdefghi"}
ANSWER = {"role": "assistant", "content": "It is 42."}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls)}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def deltas(messages: list[dict[str, Any]], pieces: int = 1, *, role_once: bool = True) -> list[dict[str, Any]]:
    """The messages as deltas: content and arguments in pieces, each with the index of its message."""
    found: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        found.append({"index": index, **{k: v for k, v in message.items() if k != "tool_calls"}, "content": ""})
        text = message["content"]
        size = -(-len(text) // pieces) or 1
        found += [{"index": index, "content": text[at : at + size]} for at in range(0, len(text), size)]
        for place, call in enumerate(message.get("tool_calls", ())):
            whole = call["function"]["arguments"]
            cut = len(whole) // 2
            first = {"name": call["function"]["name"], "arguments": whole[:cut]}
            found.append({"index": index, "tool_calls": [{**call, "index": place, "function": first}]})
            rest = {"index": place, "function": {"arguments": whole[cut:]}}
            found.append({"index": index, "tool_calls": [rest]})
        if not role_once:
            found = [{"role": messages[one["index"]]["role"], **one} for one in found]
    return found


def stream(messages: list[dict[str, Any]], finish: str = "stop", **how: Any) -> bytes:
    return sse(*map(chunk, deltas(messages, **how)), chunk({}, finish), "[DONE]")


def document(messages: list[dict[str, Any]], finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"index": 0, "messages": messages, "finish_reason": finish}]}


@pytest.mark.parametrize("name", ["mistral", "openai-compatible", "groq"])
@pytest.mark.parametrize("role_once", [True, False])
def test_the_result_of_an_executed_call_is_no_text_and_the_call_is_not_the_caller_s(name: str, role_once: bool) -> None:
    messages = [calling(SEARCH), RESULT, ANSWER]
    whole = document(messages)
    streamed = feed(name, stream(messages, pieces=3, role_once=role_once))
    for result in (read(name, whole), feed(name, sse(whole)).result, streamed.result):
        assert (result.text, result.tool_calls, result.finish_reason) == ("It is 42.", (), FinishReason.STOP)
        assert result.extra["messages"] == messages
    assert "".join(event.delta for event in streamed.events if isinstance(event, Token)) == "It is 42."
    assert not any(isinstance(event, ToolCallDelta | ToolCallReady) for event in streamed.events)


@pytest.mark.parametrize("messages", [[calling(SEARCH, OWN), RESULT], [calling(SEARCH), RESULT, calling(OWN)]])
def test_a_call_without_a_result_is_the_caller_s(messages: list[dict[str, Any]]) -> None:
    streamed = feed("mistral", stream(messages, "tool_calls"))
    for result in (read("mistral", document(messages, "tool_calls")), streamed.result):
        assert [(call.id, call.name, call.parsed()) for call in result.tool_calls] == [
            ("own000000", "weather", {"city": "Oslo"})
        ]
        assert result.finish_reason is FinishReason.TOOL_CALLS
    ready = [event.call for event in streamed.events if isinstance(event, ToolCallReady)]
    assert tuple(ready) == streamed.result.tool_calls


def test_a_result_without_an_id_is_that_of_all_calls_before_it() -> None:
    messages = [calling(SEARCH, OWN), {"role": "tool", "content": "42"}, ANSWER]
    for result in (read("mistral", document(messages)), feed("mistral", stream(messages)).result):
        assert (result.text, result.tool_calls) == ("It is 42.", ())


def test_a_result_is_known_by_the_id_of_its_call_without_an_index() -> None:
    body = sse(
        chunk({"role": "assistant", "content": "Hm. "}),
        chunk({"role": "tool", "content": "4", "tool_call_id": "abcdefghi"}),
        chunk({"content": "2"}),
        chunk({"role": "assistant", "content": "It is 42."}),
        chunk({}, "stop"),
        "[DONE]",
    )
    heard = feed("mistral", body)
    assert heard.result.text == "Hm. It is 42."
    assert heard.result.extra["messages"][0]["content"] == "42"


def test_one_message_with_an_index_is_an_ordinary_answer() -> None:
    heard = feed("mistral", stream([{**calling(OWN), "content": "Wait."}], "tool_calls"))
    assert (heard.result.text, [call.name for call in heard.result.tool_calls]) == ("Wait.", ["weather"])
    assert heard.result.extra == {}


def test_thinking_in_one_of_several_messages_is_reasoning() -> None:
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    first, *rest = deltas([calling(SEARCH), RESULT, ANSWER])
    heard = feed("mistral", sse(*map(chunk, [{**first, "content": thought}, *rest]), chunk({}, "stop"), "[DONE]"))
    assert (heard.result.reasoning, heard.result.text) == ("Hm.", "It is 42.")


CALLS = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, max_size=3)


@given(st.lists(st.tuples(CALLS, st.text("xyz", max_size=4), CALLS), min_size=1, max_size=4), st.integers(1, 4), CUTS)
@settings(deadline=None)
def test_a_stream_has_the_calls_of_the_whole_response(rounds: Any, pieces: int, cuts: tuple[int, ...]) -> None:
    messages: list[dict[str, Any]] = []
    for number, (calls, text, results) in enumerate(rounds):
        made = [
            {
                "id": f"{id}{number}",
                "type": "function",
                "function": {"name": id, "arguments": json.dumps({"n": number})},
            }
            for id in calls
        ]
        messages.append({"role": "assistant", "content": text, **({"tool_calls": made} if made else {})})
        messages += [{"role": "tool", "content": "r", "tool_call_id": f"{id}{number}"} for id in results]
    whole = read("mistral", document(messages))
    heard = feed("mistral", stream(messages, pieces=pieces))
    assert heard.result.tool_calls == whole.tool_calls
    executed = {message["tool_call_id"] for message in messages if message["role"] == "tool"}
    assert executed.isdisjoint(call.id for call in whole.tool_calls)
    assert heard.result.text == "".join(one["content"] for one in messages if one["role"] == "assistant")
    assert feed("mistral", stream(messages, pieces=pieces), cuts).agreed() == heard.agreed()


def test_two_choices_with_one_index_are_each_read_once() -> None:
    both = [{"index": 0, "delta": {"index": 0, "role": "assistant", "content": text}} for text in ("It ", "is 42.")]
    heard = feed("mistral", sse({"choices": both}, chunk({}, "stop"), "[DONE]"))
    assert heard.result.text == "It is 42."


def test_the_content_of_a_message_is_joined_once() -> None:
    """Its pieces are texts or lists; one of another kind replaces those before it."""
    pieces: list[Any] = ["a", "b", [1], [2], "c", "d"]
    deltas_of_tool = [{"role": "tool", "tool_call_id": "abcdefghi", "index": 1, "content": piece} for piece in pieces]
    for count, wanted in ((2, "ab"), (4, [1, 2]), (6, "cd")):
        given = [{"index": 0, "role": "assistant", "content": "Hm."}, *deltas_of_tool[:count]]
        heard = feed("mistral", sse(*map(chunk, given), chunk({}, "stop"), "[DONE]"))
        assert heard.result.extra["messages"][1]["content"] == wanted


@pytest.mark.parametrize(
    "delta",
    [
        {"index": 1, "role": "tool", "content": "x" * 100},
        {"index": 0, "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "x" * 100}}]},
        {"index": 0, "content": [{"type": "reference", "reference_ids": ["x" * 100]}]},
    ],
)
def test_what_is_kept_beside_the_answer_is_limited(delta: dict[str, Any]) -> None:
    begun = chunk({"index": 0, "role": "assistant", "content": "Hm."})
    heard = feed("mistral", sse(begun, *[chunk(delta)] * 200), limits=ResponseLimits(output=10_000))
    assert heard.failure is not None
    assert "memory" in str(heard.failure)
