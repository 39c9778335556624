"""Items whose contents are told in unusual events or forms: nothing of them is lost, and nothing comes twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.openai_responses.answers import event, feed, read, sent_back
from turnout.chat import ChatResponse


def streamed(*events: tuple[str, dict[str, Any]], output: Any = ()) -> ChatResponse:
    response = {"id": "r", "status": "completed", "output": list(output)}
    body = b"".join(event(name, **fields) for name, fields in events) + event("response.completed", response=response)
    heard = feed(body, ())
    assert heard.failure is None
    return heard.result


def calls(response: ChatResponse) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in response.tool_calls]


def call(name: str = "f", arguments: str = "{}", call_id: str | None = "call_1", id: str = "fc_1") -> dict[str, Any]:
    return {"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments}


DONE = "response.output_item.done"


@pytest.mark.parametrize("first", [None, "", "null"])
def test_a_call_gets_its_id_with_its_end(first: str | None) -> None:
    begun = {**call(arguments="", call_id=first), "status": "in_progress"}
    response = streamed(
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.function_call_arguments.delta", {"output_index": 0, "item_id": "fc_1", "delta": "{}"}),
        (DONE, {"output_index": 0, "item": call()}),
    )
    assert calls(response) == [("call_1", "f", "{}")]


def test_a_call_without_an_id_has_that_of_its_item() -> None:
    item = call(call_id=None)
    assert calls(streamed((DONE, {"output_index": 0, "item": item}))) == [("fc_1", "f", "{}")]


@pytest.mark.parametrize("output", ["all", "nothing"])
@pytest.mark.parametrize("second", [call("g"), call(arguments='{"n":2}'), call("g", id="fc_2")])
def test_calls_of_one_id_without_a_place(second: dict[str, Any], output: str) -> None:
    """The protocol tells them apart: each has an end of its own."""
    both = [call(arguments='{"n":1}'), second]
    response = streamed(*((DONE, {"item": item}) for item in both), output=both if output == "all" else ())
    assert [made[1:] for made in calls(response)] == [(item["name"], item["arguments"]) for item in both]


def test_the_end_of_a_call_that_is_sent_twice_is_one_call() -> None:
    written_again = call(arguments='{ "n": 1 }')
    response = streamed((DONE, {"item": call(arguments='{"n":1}')}), (DONE, {"item": written_again}))
    assert calls(response) == [("call_1", "f", '{"n":1}')]


PART = {"output_index": 0, "item_id": "m", "content_index": 0}
SUMMARY = {"output_index": 0, "item_id": "rs", "summary_index": 0}


def test_a_text_that_only_the_end_of_its_part_has() -> None:
    part = {"type": "output_text", "text": "Hello."}
    empty = {"type": "message", "id": "m", "role": "assistant", "content": []}
    events = [
        ("response.output_item.added", {"output_index": 0, "item": empty}),
        ("response.content_part.added", {**PART, "part": {**part, "text": ""}}),
        ("response.content_part.done", {**PART, "part": part}),
        (DONE, {"output_index": 0, "item": empty}),
    ]
    assert streamed(*events).text == "Hello."
    delta = ("response.output_text.delta", {**PART, "delta": "Hello."})
    assert streamed(*events[:2], delta, *events[2:], output=[{**empty, "content": [part]}]).text == "Hello."


def test_a_summary_that_only_the_end_of_its_part_has() -> None:
    part = {"type": "summary_text", "text": "hm"}
    events = [
        ("response.reasoning_summary_part.added", {**SUMMARY, "part": {**part, "text": ""}}),
        ("response.reasoning_summary_part.done", {**SUMMARY, "part": part}),
    ]
    assert streamed(*events).reasoning == "hm"
    delta = ("response.reasoning_summary_text.delta", {**SUMMARY, "delta": "hm"})
    assert streamed(events[0], delta, events[1]).reasoning == "hm"


def test_what_only_the_final_output_has_of_an_item_that_ended() -> None:
    bare = {"type": "message", "id": "m", "role": "assistant", "content": []}
    whole = {**bare, "content": [{"type": "output_text", "text": "Hello."}]}
    assert streamed((DONE, {"output_index": 0, "item": bare}), output=[whole]).text == "Hello."
    assert streamed((DONE, {"output_index": 0, "item": whole}), output=[whole]).text == "Hello."


def test_a_proof_that_only_the_final_output_has_goes_back() -> None:
    bare = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]}
    sealed = {**bare, "encrypted_content": "proof"}
    message = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    ends = [(DONE, {"output_index": 0, "item": bare}), (DONE, {"output_index": 1, "item": message})]
    response = streamed(*ends, output=[sealed, message])
    assert (response.reasoning, response.text) == ("hm", "x")
    assert [item for item in sent_back(response.message) if item.get("type") == "reasoning"] == [sealed]


@pytest.mark.parametrize("content", ["Hello.", [{"type": "text", "text": "Hello."}]])
def test_the_text_of_a_message_in_other_forms(content: Any) -> None:
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    for response in (
        read({"id": "r", "status": "completed", "output": [item]}),
        streamed((DONE, {"output_index": 0, "item": item}), output=[item]),
    ):
        assert response.text == "Hello."
        assert json.dumps(sent_back(response.message)).count("Hello.") == 1
