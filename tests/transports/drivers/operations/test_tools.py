"""`router.run` through each driver: rounds, errors for the model, timeouts, approval and the bound on rounds."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, Message, Tool, ToolCall
from turnout.providers import create
from turnout.routing.tool_loop import ToolLoop, ToolRoundsExceeded, ToolRun
from turnout.typed.function import function_tool
from turnout_io.sandbox import Sandbox
from turnout_io.testing import AsyncScriptedTransport, Reply, ScriptedTransport

MODEL = "openai/gpt-4o-mini"
MODULES = {"sync": turnout_io.sync, "trio": turnout_io.trio, "asyncio": turnout_io.asyncio}


def weather(city: str) -> dict[str, Any]:
    """Return the weather of a city."""
    if city == "Atlantis":
        raise LookupError("no such city")
    return {"city": city, "degrees": 12}


def calls(*arguments: str, name: str = "weather") -> Reply:
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": text}}
        for n, text in enumerate(arguments)
    ]
    return reply({"content": None, "tool_calls": made}, "tool_calls")


def says(text: str) -> Reply:
    return reply({"content": text}, "stop")


def reply(message: dict[str, Any], reason: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return Reply(200, {"id": "r", "object": "chat.completion", "choices": [choice], "usage": usage})


class Played:
    """Plays one run, and keeps the bodies of its requests."""

    def __init__(self, driver: str) -> None:
        self.driver = driver
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, *replies: Reply, **settings: Any) -> ToolRun:
        given = settings.pop("request", ChatRequest(MODEL, "What is the weather in Oslo?"))
        transport: Any = ScriptedTransport() if self.driver == "sync" else AsyncScriptedTransport()
        transport.add(*replies)
        router = MODULES[self.driver].Router([create("openai", api_key="k", api="chat")], transport=transport)

        async def concurrent() -> ToolRun:
            run: ToolRun = await router.run(given, **settings)
            return run

        try:
            if self.driver == "sync":
                run: ToolRun = router.run(given, **settings)
                return run
            return trio.run(concurrent) if self.driver == "trio" else asyncio.run(concurrent())
        finally:
            import json

            self.bodies = [json.loads(request.body) for request in transport.requests]


@pytest.fixture(params=list(MODULES))
def play(request: pytest.FixtureRequest) -> Played:
    return Played(request.param)


def test_the_model_calls_a_function_and_answers(play: Played) -> None:
    run = play(calls('{"city": "Oslo"}', '{"city": "Rome"}'), says("12 degrees"), tools=[weather])
    assert run.text == "12 degrees"
    assert [result.text for result in run.rounds[0].results] == [
        '{"city":"Oslo","degrees":12}',
        '{"city":"Rome","degrees":12}',
    ]
    assert [each.response.trace.attempts for each in run.rounds] == [1, 1]
    assert run.usage.total_tokens == 30
    assert [message["role"] for message in play.bodies[1]["messages"]] == ["user", "assistant", "tool", "tool"]
    assert run.messages[-1] == run.response.message
    assert "round 2" in run.explain()
    assert "Oslo" not in run.explain()
    assert pickle.loads(pickle.dumps(run)) == run


def test_errors_of_tools_are_results_for_the_model(play: Played) -> None:
    run = play(
        calls('{"city": "Atlantis"}', "{}", '{"ci'),
        calls("{}", name="sail"),
        says("I do not know."),
        tools=[weather],
    )
    first, second, _ = run.rounds
    assert [result.error for result in first.results] == ["LookupError", "wrong-arguments", "wrong-arguments"]
    assert first.results[0].text == "LookupError: no such city"
    assert "missing required field `city`" in first.results[1].text
    assert second.results[0].text == "there is no tool 'sail'; there is weather"
    assert run.text == "I do not know."


def test_a_tool_that_hangs_is_a_result_for_the_model(play: Played) -> None:
    released = threading.Event()

    def hang() -> str:
        released.wait(20)
        return "late"

    def release() -> str:
        released.set()  # while the loop still runs: at its end, asyncio waits for its threads
        return "released"

    tools = [function_tool(hang, timeout=0.05), release]
    try:
        run = play(calls("{}", name="hang"), calls("{}", name="release"), says("It hangs."), tools=tools)
    finally:
        released.set()
    assert run.rounds[0].results[0].text == "TimeoutError: the tool did not return within 0.05 s"


def test_an_async_tool_runs_in_the_loop(play: Played) -> None:
    async def later(city: str) -> str:
        await (trio.lowlevel.checkpoint() if play.driver == "trio" else asyncio.sleep(0))
        return f"rain in {city}"

    async def hang() -> str:
        await (trio.sleep_forever() if play.driver == "trio" else asyncio.Event().wait())
        return "never"

    if play.driver == "sync":
        with pytest.raises(TypeError, match="'later' is an async function, and this router is blocking"):
            play(tools=[later, hang])
        assert not play.bodies, "no request was sent"
        return
    run = play(
        calls('{"city": "Oslo"}', name="later"),
        calls("{}", name="hang"),
        says("Rain."),
        tools=[function_tool(later, timeout=100.0), hang],
        tool_timeout=0.05,
    )
    results = [each.results[0] for each in run.rounds[:2]]
    assert results[0].text == "rain in Oslo"
    assert results[1].error == "TimeoutError"


def test_a_blocking_router_refuses_an_async_approve(play: Played) -> None:
    async def approve(call: ToolCall) -> bool:
        return True

    if play.driver == "sync":
        with pytest.raises(TypeError, match="approve is an async function"):
            play(tools=[weather], approve=approve)
        assert not play.bodies, "no request was sent"
    else:
        assert play(calls('{"city": "Oslo"}'), says("12"), tools=[weather], approve=approve).text == "12"


@pytest.mark.parametrize("answer", [True, False, "Ask a person."])
def test_each_call_may_need_approval(play: Played, answer: object) -> None:
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> object:
        asked.append(call)
        return answer

    run = play(calls('{"city": "Oslo"}'), says("Done."), tools=[weather], approve=approve)
    result = run.rounds[0].results[0]
    assert [call.name for call in asked] == ["weather"]
    if answer is True:
        assert result.error is None
    else:
        assert result.error == "not-allowed"
        assert result.text == (answer or "the user did not allow this call")


def test_the_rounds_are_bounded(play: Played) -> None:
    replies = [calls('{"city": "Oslo"}') for _ in range(3)]
    with pytest.raises(ToolRoundsExceeded, match="still calls weather after 3 rounds") as caught:
        play(*replies, tools=[weather], max_rounds=3)
    assert len(caught.value.run.rounds) == 3
    assert len(play.bodies) == 3
    assert caught.value.partial is not None
    assert pickle.loads(pickle.dumps(caught.value)).run == caught.value.run


def test_a_forced_choice_holds_for_the_first_round(play: Played) -> None:
    search = Tool("search", "Searches.", {"type": "object", "properties": {}})
    request = ChatRequest(MODEL, "Hello", tools=[search], tool_choice="required")
    play(calls('{"city": "Oslo"}'), says("Done."), request=request, tools=[weather])
    assert play.bodies[0]["tool_choice"] == "required"
    assert "tool_choice" not in play.bodies[1]


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_a_choice_may_be_given_beside_the_functions(play: Played, choice: str) -> None:
    run = play(calls('{"city": "Oslo"}'), says("Done."), tools=[weather], tool_choice=choice)
    assert run.text == "Done."
    named = {"type": "function", "function": {"name": "weather"}}
    assert play.bodies[0]["tool_choice"] == (named if choice == "weather" else choice)
    assert "tool_choice" not in play.bodies[1]


@pytest.mark.parametrize("form", ["request", "dict"])
def test_a_tool_of_the_request_may_be_given_with_its_function(play: Played, form: str) -> None:
    fields: Any = {"model": MODEL, "messages": "Hello", "tools": [weather], "tool_choice": "required"}
    given = fields if form == "dict" else ChatRequest(**fields)
    run = play(calls('{"city": "Oslo"}'), says("Done."), request=given, tools=[weather])
    assert run.text == "Done."
    assert [tool["function"]["name"] for tool in play.bodies[0]["tools"]] == ["weather"]


def test_a_call_of_a_tool_without_a_function_ends_the_run(play: Played) -> None:
    search = Tool("search", "Searches.", {"type": "object", "properties": {}})
    run = play(calls("{}", name="search"), tools=[weather, search])
    assert [call.name for call in run.response.tool_calls] == ["search"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tools": [5]}, r"tools\[0\] must be a function"),
        ({"tools": [weather], "max_rounds": 0}, "max_rounds must be at least 1"),
        ({"tools": [weather, Tool("weather")]}, "different names, and two are named 'weather'"),
        ({"tools": [weather], "tool_choice": "wether"}, "'wether', which is not among the tools"),
        ({"tools": [weather], "temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_wrong_arguments_are_named(play: Played, settings: Any, problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        play(**settings)
    assert play.bodies == []


def test_a_run_with_the_sandbox() -> None:
    with Sandbox() as sandbox, turnout_io.sync.Router.from_env(environ=sandbox.environ(), dotenv=None) as router:
        run = router.run(MODEL, "What does the weather tool say about Oslo?", tools=[weather], temperature=0)
    assert len(run.rounds) > 1
    assert run.text


def test_a_loop_is_pure() -> None:
    loop = ToolLoop.start(ChatRequest(MODEL, [Message.user("Hello")]), [weather], 2)
    assert [tool.name for tool in loop.request.tools] == ["weather"]
    run: Callable[[], Any] | Any = loop.prepare(ToolCall("c", "weather", '{"city": "Oslo"}'))
    assert run() == {"city": "Oslo", "degrees": 12}
