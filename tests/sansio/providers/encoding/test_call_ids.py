"""Repeated ids of tool calls: every provider gets different ones, each result with its own call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.encoding.test_adapt import everyone, made, request_for, scopes_of
from turnout.messages import Message, Role, ToolCall
from turnout.providers.encoding.call_ids import CallIds, with_unique_ids

IDS = st.sampled_from(["call_0", "call_1", "call_0_2", "a.b", "x" * 80])
NAMES = st.sampled_from(["read", "write", "list"])
TURNS = st.lists(st.lists(st.tuples(IDS, NAMES), min_size=1, max_size=4), max_size=4)


def conversation(turns: list[list[tuple[str, str]]]) -> list[Message]:
    """Return turns of calls, each with its results in the order of the calls. A result's text tells its call."""
    messages = [Message.user("Hi")]
    for at, turn in enumerate(turns):
        calls = [ToolCall(id, name, json.dumps({"n": f"{at}.{n}"})) for n, (id, name) in enumerate(turn)]
        messages.append(Message.assistant(tool_calls=calls))
        messages += [Message.tool(call, call.parsed()["n"]) for call in calls]
        messages.append(Message.user("Go on."))
    return messages


def pairs(name: str, api: str, body: Any) -> list[tuple[str, str, str]]:
    """Return the id, the name and the number of each call, checked against the texts of the results."""
    dialect = scopes_of(name, api)[0]
    calls: dict[str, tuple[str, str]] = {}
    results: dict[str, str] = {}

    def call(id: str, name: str, arguments: Any) -> None:
        assert id not in calls
        calls[id] = name, (json.loads(arguments) if isinstance(arguments, str) else arguments)["n"]

    def result(id: str, content: Any) -> None:
        assert id not in results
        results[id] = content if isinstance(content, str) else content[0]["text"]

    if dialect == "openai-responses":
        for item in body["input"]:
            if item.get("type") == "function_call":
                call(item["call_id"], item["name"], item["arguments"])
            elif item.get("type") == "function_call_output":
                result(item["call_id"], item["output"])
    for message in body.get("messages", ()):
        for one in message.get("tool_calls", ()):
            call(one["id"], one["function"]["name"], one["function"]["arguments"])
        if message["role"] == "tool":
            result(message["tool_call_id"], message["content"])
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            if block.get("type") == "tool_use":
                call(block["id"], block["name"], block["input"])
            elif block.get("type") == "tool_result":
                result(block["tool_use_id"], block["content"])
            elif use := block.get("toolUse"):
                call(use["toolUseId"], use["name"], use["input"])
            elif done := block.get("toolResult"):
                result(done["toolUseId"], done["content"])
    assert {id: number for id, (_, number) in calls.items()} == results
    return [(id, name, number) for id, (name, number) in calls.items()]


@pytest.mark.slow
@everyone
@given(turns=TURNS)
def test_each_call_has_an_id_of_its_own_and_its_own_result(
    name: str, api: str, turns: list[list[tuple[str, str]]]
) -> None:
    from turnout import Tool

    messages = conversation(turns)
    tools = [Tool(name) for name in ("read", "write", "list")]
    body = json.loads(made(name, api).chat(request_for(name, messages, tools=tools)).request.body)
    if scopes_of(name, api)[0] == "gemini":
        parts = [part for content in body["contents"] for part in content["parts"]]
        called = [
            (part["functionCall"]["name"], part["functionCall"]["args"]["n"])
            for part in parts
            if "functionCall" in part
        ]
        done = [
            (part["functionResponse"]["name"], part["functionResponse"]["response"]["output"])
            for part in parts
            if "functionResponse" in part
        ]
        assert (
            called == done == [(name, f"{at}.{n}") for at, turn in enumerate(turns) for n, (_, name) in enumerate(turn)]
        )
        return
    sent = [(name, number) for _, name, number in pairs(name, api, body)]
    assert sent == [(name, f"{at}.{n}") for at, turn in enumerate(turns) for n, (_, name) in enumerate(turn)]


@given(TURNS)
def test_different_ids_stay_as_they_are(turns: list[list[tuple[str, str]]]) -> None:
    messages = tuple(conversation(turns))
    given_ids = [call.id for message in messages for call in message.tool_calls]
    made_unique = with_unique_ids(messages)
    if len(set(given_ids)) == len(given_ids):
        assert made_unique is messages
    ids = [call.id for message in made_unique for call in message.tool_calls]
    assert len(set(ids)) == len(ids)


def test_results_out_of_order_find_their_call_by_name() -> None:
    calls = [ToolCall("c", "read"), ToolCall("c", "write")]
    messages = (Message.assistant(tool_calls=calls), Message.tool(calls[1], "w"), Message.tool(calls[0], "r"))
    _, write, read = with_unique_ids(messages)
    assert (write.tool_call_id, read.tool_call_id) == ("c_2", "c")


def test_a_result_whose_call_is_not_there_keeps_its_id() -> None:
    ids = CallIds(restricted=True)
    assert ids.of_result(Message(Role.TOOL, "x", tool_call_id="call.9")) == "call_9"


@pytest.mark.parametrize("longest", [8, None])
def test_ids_keep_to_the_characters_and_the_length_that_are_allowed(longest: int | None) -> None:
    ids = CallIds(longest, restricted=True)
    calls = [ToolCall("functions.read:0", "read") for _ in range(12)]
    ids.begin(calls)
    sent = [ids.new(call) for call in calls]
    assert len(set(sent)) == 12
    assert all(set(id) <= set("functions_read_0123456789") for id in sent)
    assert longest is None or all(len(id) <= longest for id in sent)
