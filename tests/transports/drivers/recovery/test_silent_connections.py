"""A kept-alive connection that is silent is replaced by a new one, over every transport that knows it was reused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import requests
import trio

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import TurnoutError
from turnout.http import Headers, HttpRequest
from turnout.providers import create
from turnout.routing.policy.settings import Policy, Timeouts
from turnout.trace.entries import Failed
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import Hold, Request, ScriptedServer, Send, Step
from turnout_io.drivers.signing import async_sign_request, sign_request
from turnout_io.transports.requests import Http1Adapter, RequestsTransport
from turnout_io.transports.socket import SocketTransport

CHUNK = {"choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}]}
ANSWER = reply(
    b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n",
    "Content-Type: text/event-stream",
)
SHORT = Policy(timeouts=Timeouts(response_headers=1.0))
REQUEST = ChatRequest(ModelConfig("mine", "m"), "Hi")


def twice(router: Any) -> tuple[Any, Any]:
    with router:
        return router.chat(REQUEST, collect=True), router.chat(REQUEST, collect=True, policy=SHORT)


async def twice_async(router: Any) -> tuple[Any, Any]:
    async with router:
        first = await router.chat(REQUEST, collect=True)
        return first, await router.chat(REQUEST, collect=True, policy=SHORT)


def over_our_adapter(providers: list[Any]) -> tuple[Any, Any]:
    with requests.Session() as session:
        session.mount("http://", Http1Adapter())
        return twice(turnout_io.sync.Router(providers, transport=RequestsTransport(session)))


def blocking(make: Callable[[], Any]) -> Callable[[list[Any]], tuple[Any, Any]]:
    return lambda providers: twice(turnout_io.sync.Router(providers, transport=make()))


def concurrent(module: Any, run: Callable[..., Any]) -> Callable[[list[Any]], tuple[Any, Any]]:
    def play(providers: list[Any]) -> tuple[Any, Any]:
        answers: tuple[Any, Any] = run(lambda: twice_async(module.Router(providers)))
        return answers

    return play


def on_asyncio(function: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await function()

    return asyncio.run(main())


RUNS = {
    "requests": blocking(RequestsTransport),
    "requests with our adapter": over_our_adapter,
    "socket": blocking(SocketTransport),
    "trio": concurrent(turnout_io.trio, trio.run),
    "asyncio": concurrent(turnout_io.asyncio, on_asyncio),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_request_is_sent_again_over_a_new_connection(run: Callable[[list[Any]], tuple[Any, Any]]) -> None:
    first: list[Step] = [Request(), Send(ANSWER), Request(), Hold()]
    with ScriptedServer(first, [Request(), Send(ANSWER), Hold()]) as server:
        provider = create("openai-compatible", name="mine", base_url=f"{server.url}/v1", api_key="k")
        _, answer = run([provider])
        assert answer.text == "hello"
        assert [request.connection for request in server.requests] == [0, 0, 1]
    [failed] = [entry for entry in answer.trace.entries if isinstance(entry, Failed)]
    assert (failed.reused, failed.seconds) == (True, 1.0)


def test_a_session_of_urllib3_does_not_know_and_the_silence_is_final() -> None:
    first: list[Step] = [Request(), Send(ANSWER), Request(), Hold()]
    with ScriptedServer(first, [Request(), Send(ANSWER), Hold()]) as server:
        provider = create("openai-compatible", name="mine", base_url=f"{server.url}/v1", api_key="k")
        with requests.Session() as session, pytest.raises(TurnoutError):
            twice(turnout_io.sync.Router([provider], transport=RequestsTransport(session)))
        assert len(server.requests) == 2


def test_a_signature_keeps_the_wish_for_a_new_connection() -> None:
    """An `auth` of the user makes a request of its own, and need not know of connections."""

    def sign(request: HttpRequest) -> HttpRequest:
        return HttpRequest(request.method, request.url, Headers([("x-signed", "yes")]), request.body)

    wanted = HttpRequest("POST", "http://a.test/", auth=sign, new_connection=True)
    assert sign_request(wanted).new_connection
    assert trio.run(async_sign_request, wanted).new_connection
    assert not sign_request(HttpRequest("POST", "http://a.test/", auth=sign)).new_connection
