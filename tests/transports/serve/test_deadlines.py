"""The deadlines of clients, and calls that wait for a limit within them; in memory, and in virtual time."""

from __future__ import annotations

import pytest
import trio

from tests.transports.serve.world import HELLO, Answer, chunks, document, in_memory, world
from turnout.routing.policy.settings import Policy


@in_memory
async def test_a_client_sets_its_deadline() -> None:
    async with world() as w:
        w.upstream.add(Answer([], delay=50.0))
        started = trio.current_time()
        reply = await w.client().chat(headers={"x-turnout-timeout": "3"})
        assert reply.status == 504
        assert reply.json["error"]["code"] == "deadline_exceeded"
        assert trio.current_time() - started == pytest.approx(3, abs=0.1)
        w.upstream.add(Answer([chunks("a"), 20.0, chunks("b"), 20.0, chunks("c"), 20.0]))
        reply = await w.client().chat(stream=True, headers={"x-turnout-total": "30"})
        assert reply.frames[-1]["error"]["code"] == "deadline_exceeded"


@pytest.mark.parametrize("name", ["x-turnout-timeout", "x-turnout-total"])
@pytest.mark.parametrize("value", ["soon", "30s", "1_0", "1e1", "0", "-1", "inf", "nan", "", "1,5", "2, 3"])
@in_memory
async def test_a_deadline_that_is_no_number_of_seconds_is_named(name: str, value: str) -> None:
    async with world() as w:
        reply = await w.client().chat(headers={name: value})
        assert (reply.status, reply.json["error"]["param"]) == (400, name)
        assert reply.json["error"]["message"].endswith(f"a number of seconds, such as 30 or 2.5, not '{value}'")
        assert not w.upstream.requests


@pytest.mark.parametrize("value", ["30", "2.5", ".5", " 5 ", "99999999"])
@in_memory
async def test_a_deadline_is_a_number_of_seconds(value: str) -> None:
    async with world() as w:
        w.upstream.add(document())
        assert (await w.client().chat(headers={"x-turnout-timeout": value})).status == 200


@in_memory
async def test_a_call_that_waits_for_a_limit_shows_no_attempt_and_its_stream_begins_with_comments() -> None:
    policy = Policy(max_retries=0, max_concurrency=1, timeout=60)
    async with world({"headAfter": "5s"}, policy=policy) as w:
        w.upstream.add(Answer([document()], delay=30.0), chunks("Hello", finish="stop"))
        first, second = w.client(), w.client()
        body = {"model": "openai/gpt-4o-mini", "messages": HELLO}
        await first.send("POST", "/v1/chat/completions", body)
        await trio.testing.wait_all_tasks_blocked()
        await second.send("POST", "/v1/chat/completions", {**body, "stream": True})
        reply = await w.client().chat(headers={"x-turnout-timeout": "3"})
        assert (reply.status, reply.json["error"]["code"]) == (504, "deadline_exceeded")
        assert "x-turnout-attempts" not in reply.headers
        assert (await first.read()).status == 200
        reply = await second.read()
        assert (reply.frames[0], reply.text) == (": keep-alive", "Hello")
