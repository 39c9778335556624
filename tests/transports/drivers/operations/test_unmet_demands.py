"""An answer that does not meet a demand of the request is returned, and the answer, its `End` and the trace show it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout import ChatRequest, End, Message, ResponseFormat, Tool, ToolChoice
from turnout.trace import Trace
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport

TOOL = Tool("f", "x", {"type": "object", "properties": {}})
SCHEMA = ResponseFormat({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
FORMAT: dict[str, Any] = {"response_format": SCHEMA}
CALL: dict[str, Any] = {"tools": [TOOL], "tool_choice": ToolChoice("required")}


@pytest.mark.parametrize("mode", ["chat", "collect", "stream"])
@pytest.mark.parametrize(
    ("fields", "text", "unmet"),
    [
        (FORMAT, "no JSON", ("response_format",)),
        (FORMAT, '{"a": 1}', ()),
        (CALL, "no call", ("tool_choice",)),
        ({}, "no JSON", ()),
    ],
)
def test_an_unmet_demand_is_in_the_answer_and_in_the_trace(
    mode: str, fields: dict[str, Any], text: str, unmet: tuple[str, ...]
) -> None:
    transport = ScriptedTransport()
    transport.answer("openai", text)
    request = ChatRequest("openai/gpt-4o-mini", [Message.user("x")], **fields)
    with Router.from_env(environ={"OPENAI_API_KEY": "k"}, dotenv=None, transport=transport) as router:
        if mode == "stream":
            with router.stream(request) as stream:
                *_, end = stream
            assert isinstance(end, End)
            assert end.unmet == unmet
            reply = stream.response
        else:
            reply = router.chat(request, collect=mode == "collect")
    assert (reply.text, reply.unmet) == (text, unmet)
    (answered,) = [entry for entry in reply.trace.to_dict()["entries"] if entry["kind"] == "answered"]
    assert tuple(answered["unmet"]) == unmet
    assert ("does not meet" in reply.trace.explain()) == bool(unmet)
    stored = json.dumps(reply.trace.to_dict())
    assert json.dumps(Trace.from_dict(json.loads(stored)).to_dict()) == stored
