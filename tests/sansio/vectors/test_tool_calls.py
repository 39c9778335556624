"""Vectors 38 to 48: tool calls of those who speak like OpenAI, and their ids on the way to others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import DONE, delta, finish, whole
from tests.sansio.vectors.exchanges import Seen, asking, chat, sent, stream
from turnout.chat import ChatResponse, FinishReason
from turnout.events import Token, ToolCallDelta, ToolCallReady
from turnout.messages import Message, Tool, ToolCall

MADE = re.compile(r"call_\d+_\d+\Z")


def piece(arguments: Any = None, *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A delta with one fragment of a call; what is not given is not there."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return delta(tool_calls=[{**fields, "function": function}])


def streamed(*chunks: Any, reason: str = "tool_calls", provider: str = "openai-compatible") -> Seen[ChatResponse]:
    seen = stream(provider, sse(*chunks, finish(reason), DONE))
    assert seen.failure is None
    calls = seen.result.tool_calls
    assert [event.call for event in seen.events if isinstance(event, ToolCallReady)] == list(calls)
    assert len({call.id for call in calls}) == len(calls)
    return seen


def told(seen: Seen[ChatResponse]) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in seen.result.tool_calls]


def test_vector_38_fragments_by_index() -> None:
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}
    seen = streamed(delta(content=None, tool_calls=[first]), piece('{"x"', index=0), piece(": 1}", index=0))
    assert seen.events[:-2] == (
        ToolCallDelta(0, "", "call_a", "f"),
        ToolCallDelta(0, '{"x"'),
        ToolCallDelta(0, ": 1}"),
    )
    assert told(seen) == [("call_a", "f", '{"x": 1}')]
    assert seen.result.finish_reason is FinishReason.TOOL_CALLS


def test_vector_38_two_calls_interleaved() -> None:
    seen = streamed(
        piece("", name="f", index=0, id="a"),
        piece("", name="g", index=1, id="b"),
        piece('{"x":', index=0),
        piece('{"y":', index=1),
        piece("1}", index=0),
        piece("2}", index=1),
    )
    assert told(seen) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]


def test_vector_39_a_whole_call_in_one_delta() -> None:
    assert told(streamed(piece('{"x": 1}', name="f", index=0, id="a", type="function"))) == [("a", "f", '{"x": 1}')]


def test_vector_40_a_new_id_on_a_used_index_is_a_new_call() -> None:
    seen = streamed(piece('{"x":1}', name="f", index=0, id="a"), piece('{"y":2}', name="f", index=0, id="b"))
    assert told(seen) == [("a", "f", '{"x":1}'), ("b", "f", '{"y":2}')]


def test_vector_40_ids_without_an_index() -> None:
    seen = streamed(piece('{"x":', name="f", id="a"), piece('{"y":2}', name="g", id="b"), piece("1}", id="a"))
    assert told(seen) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]


def test_vector_40_neither_index_nor_id_goes_on_with_the_newest() -> None:
    assert told(streamed(piece('{"x":', name="f", id="a"), piece("1}"))) == [("a", "f", '{"x":1}')]


def test_vector_41_the_id_repeated_or_empty_on_what_follows() -> None:
    for again in ("a", ""):
        seen = streamed(piece('{"x":', name="f", index=0, id="a"), piece("1}", index=0, id=again))
        assert told(seen) == [("a", "f", '{"x":1}')]


def test_vector_41_no_id_at_all_is_made_up() -> None:
    seen = streamed(piece("{}", name="f", index=0, id=""), piece("{}", name="f", index=1, id=""))
    assert [call.name for call in seen.result.tool_calls] == ["f", "f"]
    assert all(MADE.match(call.id) for call in seen.result.tool_calls)


def test_vector_42_a_repeated_name_does_not_double() -> None:
    seen = streamed(piece('{"x":', name="get_weather", index=0, id="a"), piece("1}", name="get_weather", index=0))
    assert told(seen) == [("a", "get_weather", '{"x":1}')]


def test_vector_42_a_name_is_never_joined() -> None:
    # Nobody was seen to cut a name. Servers that give several calls one index were: another name is another call.
    calls = told(streamed(piece(name="get_", index=0, id="a"), piece("{}", name="weather", index=0)))
    assert [(name, arguments) for _, name, arguments in calls] == [("get_", "{}"), ("weather", "{}")]


@pytest.mark.parametrize("arguments", ["", None, "null", {}])
def test_vector_43_no_arguments_are_an_empty_object(arguments: Any) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    missing = {"id": "a", "type": "function", "function": {"name": "f"}}
    for each in (call, missing):
        assert told(streamed(delta(tool_calls=[each | {"index": 0}]))) == [("a", "f", "{}")]
        assert told(chat("openai-compatible", whole("tool_calls", tool_calls=[each]))) == [("a", "f", "{}")]


def test_vector_43_arguments_as_an_object() -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": {"city": "Tromsø", "days": [1, 2]}}}
    for seen in (
        streamed(delta(tool_calls=[call | {"index": 0}])),
        chat("openai-compatible", whole("tool_calls", tool_calls=[call])),
    ):
        assert seen.result.tool_calls[0].parsed() == {"city": "Tromsø", "days": [1, 2]}


def test_vector_43_a_raw_line_break_inside_a_string() -> None:
    # The model wrote a line break where JSON wants an escape; the text is kept, and is understood.
    seen = streamed(piece('{"x": "a\nb"}', name="f", index=0, id="a"))
    (call,) = seen.result.tool_calls
    assert call.arguments == '{"x": "a\nb"}'
    assert call.parsed() == {"x": "a\nb"}
    turns = sent(asking("gemini", Message.user("x"), seen.result.message))["contents"]
    assert turns[1]["parts"][0]["functionCall"]["args"] == {"x": "a\nb"}


def test_vector_43_a_line_break_that_breaks_the_event_s_json() -> None:
    body = sse(piece('{"x": "ab"}', name="f", index=0, id="a"), finish("tool_calls"), DONE).replace(b"ab", b"a\tb")
    seen = stream("openai-compatible", body)
    assert seen.failure is None
    assert seen.result.tool_calls[0].parsed() == {"x": "a\tb"}


def test_vector_43_arguments_cut_by_the_answer_s_length() -> None:
    seen = streamed(piece('{"city": "Os', name="f", index=0, id="a"), reason="length")
    (call,) = seen.result.tool_calls
    assert (call.arguments, seen.result.finish_reason) == ('{"city": "Os', FinishReason.LENGTH)
    with pytest.raises(ValueError, match="are not JSON"):
        call.parsed()


@pytest.mark.parametrize(("pieces", "all_of_it"), [(("1", "2"), "12"), (("{}",), "{}"), (("{}", " "), "{} ")])
def test_vector_44_a_prefix_that_is_json_already(pieces: tuple[str, ...], all_of_it: str) -> None:
    seen = streamed(piece(name="f", index=0, id="a"), *(piece(each, index=0) for each in pieces))
    assert [event.type for event in seen.events].index("tool_call") == len(pieces) + 1
    assert told(seen) == [("a", "f", all_of_it)]


def test_vector_45_a_call_without_its_type() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}, "id": "a", "index": 0}
    assert told(streamed(delta(tool_calls=[call]))) == [("a", "f", "{}")]
    assert told(chat("openai-compatible", whole("tool_calls", tool_calls=[call]))) == [("a", "f", "{}")]


def test_vector_45_a_custom_tool_s_call_keeps_its_free_text() -> None:
    call = {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    unary = chat("openai", whole("tool_calls", tool_calls=[call]))
    begun = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
    rest = {"index": 0, "custom": {"input": " 1"}}
    seen = streamed(delta(tool_calls=[begun]), delta(tool_calls=[rest]), provider="openai")
    for each in (unary, seen):
        assert told(each) == [("a", "sql", "SELECT 1")]
        again = sent(asking("openai", Message.user("x"), each.result.message, Message.tool("a", "1")))
        assert again["messages"][1]["tool_calls"] == [call]


def test_vector_46_content_and_a_call_together() -> None:
    seen = streamed(delta(content="Let me see."), piece("{}", name="f", index=0, id="a"))
    assert seen.events[0] == Token("Let me see.")
    assert told(seen) == [("a", "f", "{}")]
    # Cerebras has been seen to say the call in the content, too. That is what the model said: it stays.
    twice = '{"name": "f", "arguments": {}}'
    seen = streamed(delta(content=twice, tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}]))
    assert (seen.result.text, told(seen)) == (twice, [("a", "f", "{}")])


@pytest.mark.parametrize(
    "id",
    ["Zx9kQ2mN1", "call_" + "a" * 19, "call_" + "b" * 24, "fc_" + "0" * 36, "c" * 64, "functions.f:0", "weiß 1"],
)
def test_vector_47_an_id_works_with_every_provider(id: str) -> None:
    seen = streamed(piece("{}", name="f", index=0, id=id), provider="openai-compatible")
    assert seen.result.tool_calls[0].id == id
    turns = (Message.user("x"), seen.result.message, Message.tool(seen.result.tool_calls[0], "done"))
    abroad = sent(asking("anthropic", *turns, tools=(Tool("f"),), model_id="claude-haiku-4-5"))["messages"]
    use, result = abroad[1]["content"][0], abroad[2]["content"][0]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", use["id"])
    assert result["tool_use_id"] == use["id"]
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id):
        assert use["id"] == id
    for name in ("openai", "groq", "ollama"):
        messages = sent(asking(name, *turns))["messages"]
        assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]
    own = sent(asking("gemini", *turns))["contents"]
    assert "id" not in own[1]["parts"][0]["functionCall"]  # not one of Gemini's
    assert "id" not in own[2]["parts"][0]["functionResponse"]


def test_vector_47_two_ids_that_differ_only_in_what_is_refused_stay_two() -> None:
    calls = (ToolCall("f:0", "f"), ToolCall("f.0", "f"), ToolCall("f_0", "f"))
    turns = (Message.user("x"), Message.assistant(tool_calls=calls), *(Message.tool(call, "y") for call in calls))
    abroad = sent(asking("anthropic", *turns, model_id="claude-haiku-4-5"))["messages"]
    ids = [block["id"] for block in abroad[1]["content"]]
    assert len(set(ids)) == 3
    assert [block["tool_use_id"] for block in abroad[2]["content"]] == ids


def test_vector_48_stop_with_a_call_means_the_call() -> None:
    openai = streamed(piece("{}", name="f", index=0, id="a"), reason="stop", provider="openai")
    gemini = stream(
        "gemini",
        sse({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]}),
    )
    called = {"message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, "done": False}
    ollama = stream(
        "ollama",
        b"".join(json.dumps(line).encode() + b"\n" for line in (called, {"done": True, "done_reason": "stop"})),
    )
    for seen in (openai, gemini, ollama):
        assert seen.failure is None
        assert seen.result.finish_reason is FinishReason.TOOL_CALLS
        assert (seen.result.raw_finish_reason or "").lower() == "stop"
