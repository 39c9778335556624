"""An answer that does not meet a demand: the answer, its `End` and the trace show it. A strict demand fails it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.transports.drivers.runners import DRIVERS, OPENAI, Driver, ask
from turnout import ChatRequest, End, Message, ModelConfig, ResponseFormat, Tool, ToolChoice
from turnout.errors import DemandUnmet
from turnout.trace import Trace
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport
from turnout_sandbox import Sandbox

TOOL = Tool("f", "x", {"type": "object", "properties": {}})
SCHEMA = ResponseFormat({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, strict=False)
STRICT = ResponseFormat(SCHEMA.schema)
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


@DRIVERS
@pytest.mark.parametrize("collect", [False, True])
def test_an_answer_that_does_not_meet_a_strict_demand_is_a_failed_attempt(driver: Driver, collect: bool) -> None:
    claude = ModelConfig("anthropic", "claude-haiku-4-5")
    with Sandbox(token_interval=0.0) as sandbox:
        sandbox.answer("openai", "no JSON")
        sandbox.answer("anthropic", '{"a": 1}')
        user = driver(sandbox, max_retries=0)
        reply = user.chat(ask(OPENAI, claude, response_format=STRICT), collect=collect)
        assert (reply.text, reply.unmet, reply.model.provider, reply.trace.attempts) == ('{"a": 1}', (), "anthropic", 2)
        assert "unmet-demand" in reply.trace.explain()

        with pytest.raises(DemandUnmet, match=r"openai/gpt-4o-mini.*response_format") as caught:
            user.chat(ask(OPENAI, response_format=STRICT), collect=collect)
        assert caught.value.demands == ("response_format",)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "no JSON"

        events, stream = user.stream(ask(OPENAI, claude, response_format=STRICT))
        assert (events[-1].unmet, stream.response.text) == (("response_format",), "no JSON")
