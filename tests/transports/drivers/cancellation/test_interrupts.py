"""Ctrl-C, or any exception of a signal handler, at every instant of a call: the call releases all its slots.

Python checks for signals at the start of a function, after a call and at the end of each round of a loop. The tests
raise KeyboardInterrupt at each of these places, with `sys.settrace`, as a handler would. asyncio is not tested: it
turns the signal into a cancellation.
"""

from __future__ import annotations

import dis
import functools
import gc
import inspect
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import trio

import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import ConnectFailed
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.routing import BreakerPolicy, Policy
from turnout_io.base import Transport
from turnout_io.drivers import AsyncRouter
from turnout_io.sandbox import Sandbox
from turnout_io.sync import Router
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

ANSWER = b"".join(
    b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":%s}]}\n\n' % each
    for each in ((b"some ", b"null"), (b"words", b'"stop"'))
)
ROUTING = ("turnout.routing", "turnout_io.drivers")
NETWORK = (
    "turnout.http.http1",
    "turnout.http.pool",
    "turnout_io.transports.byte_streams",
    "turnout_io.transports._sync",
    "turnout_io.transports.requests_adapter",
    "turnout_io.transports.requests",
    "turnout_io.transports.socket",
)


@functools.cache
def instants(code: types.CodeType) -> frozenset[int]:
    """Offsets of the instructions at which a signal's handler may be run.

    Not before the call with which a `with` block ends, of three constants: it is looked for signals after that.
    """
    steps = [step for step in dis.get_instructions(code) if step.opname != "PRECALL"]
    names = [f"{step.opname} {step.argval}" for step in steps]
    ends = {place for place in range(3, len(steps)) if names[place - 3 : place] == ["LOAD_CONST None"] * 3}
    looks = [place for place, name in enumerate(names) if name.startswith(("RESUME", "CALL", "JUMP_BACKWARD"))]
    return frozenset(steps[place].offset for place in looks if place not in ends)


class Interrupter:
    """Raises KeyboardInterrupt at the instant `at`, counted from 1, in modules of these names; takes it at its end."""

    def __init__(self, at: int, modules: tuple[str, ...]) -> None:
        self.at = at
        self.modules = modules
        self.passed = 0
        self.place = ""

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._called)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(self._before)
        return kind is KeyboardInterrupt

    def _called(self, frame: types.FrameType, event: str, arg: object) -> Any:
        if not frame.f_globals.get("__name__", "").startswith(self.modules):
            return None
        if frame.f_code.co_flags & inspect.CO_GENERATOR:
            return None  # Python ignores errors while it closes an unfinished generator
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: types.FrameType, event: str, arg: object) -> Any:
        code = frame.f_code
        # The return of one of our functions is the end of its call. Tracing has no event for other calls. The return of
        # a coroutine can be an await.
        returns = event == "return" and not code.co_flags & inspect.CO_COROUTINE
        if returns or (event == "opcode" and frame.f_lasti in instants(code)):
            self.passed += 1
            if self.passed == self.at:
                self.place = f"{code.co_qualname}, line {frame.f_lineno} of {code.co_filename}"
                raise KeyboardInterrupt
        return self._step


UNTOUCHED = Interrupter(0, ())


class Response:
    status = 200
    headers = (("content-type", "text/event-stream"),)

    def __init__(self, opened: set[Response], url: str) -> None:
        if "first.test" in url:
            raise ConnectFailed("refused")
        self.opened, self.pieces = opened, [ANSWER[:90], ANSWER[90:], b""]
        opened.add(self)

    def read(self, timeout: float | None) -> bytes:
        return self.pieces.pop(0)

    def close(self) -> None:
        self.opened.discard(self)


class Network:
    """Refuses every connection to the first candidate, and answers all else."""

    def __init__(self) -> None:
        self.opened: set[Response] = set()

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> Response:
        return Response(self.opened, request.url)

    def close(self) -> None: ...


class AsyncResponse:
    def __init__(self, response: Response) -> None:
        self.response, self.status, self.headers = response, response.status, response.headers

    async def read(self, timeout: float | None) -> bytes:
        return self.response.read(timeout)

    async def aclose(self) -> None:
        self.response.close()


class AsyncNetwork:
    def __init__(self) -> None:
        self.opened: set[Response] = set()

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncResponse:
        return AsyncResponse(Response(self.opened, request.url))

    async def aclose(self) -> None: ...


# Each function makes one call inside `around`, and returns its text, or "" if the call was interrupted.


def chat(router: Router, request: ChatRequest, around: Interrupter) -> str:
    with around:
        return router.chat(request, collect=True).text
    return ""


def stream(router: Router, request: ChatRequest, around: Interrupter) -> str:
    with around, router.stream(request) as events:
        return "".join(event.delta for event in events if event.type == "token")
    return ""


async def async_chat(router: AsyncRouter, request: ChatRequest, around: Interrupter) -> str:
    with around:
        return (await router.chat(request, collect=True)).text
    return ""


def on_trio(*call: Any) -> str:
    return trio.run(async_chat, *call)


@pytest.mark.full
@pytest.mark.parametrize(
    ("ask", "kind", "network"),
    [
        (chat, Router, Network()),
        (stream, Router, Network()),
        (on_trio, turnout_io.trio.Router, AsyncNetwork()),
    ],
    ids=["chat", "stream", "trio"],
)
def test_a_call_that_is_interrupted_at_any_instant_releases_everything(
    ask: Callable[..., str], kind: Any, network: Network | AsyncNetwork
) -> None:
    """Use two candidates and one slot. One candidate fails, so that its breaker opens and then allows a probe."""
    policy = Policy(
        max_retries=0,
        max_concurrency=1,
        when_at_capacity="reject",
        breaker=BreakerPolicy(consecutive_failures=2, break_duration=1e-9, break_multiplier=1.0),
    )
    providers = [
        create("openai-compatible", name=name, base_url=f"http://{name}.test/v1") for name in ("first", "second")
    ]
    router = kind(providers, policy=policy, transport=network)
    request = ChatRequest(ModelConfig("first", "m"), "x", fallbacks=[ModelConfig("second", "m")])
    scheduler = router._core.scheduler
    survived = 0
    for at in range(1, 100_000):
        interrupter = Interrupter(at, ROUTING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about streams and coroutines that were never entered
            ask(router, request, interrupter)
            gc.collect(0)
        if interrupter.passed < at:
            break  # the call ended before that instant
        where = f"instant {at}: {interrupter.place}"
        router.health()  # like every operation, it gives back the slots of calls that finalisers ended
        assert (scheduler.in_flight, scheduler.waiting) == (0, 0), where
        assert not router._events, where
        assert not any(state.breaker.has_probe for state in scheduler.states().values()), where
        assert ask(router, request, UNTOUCHED) == "some words", where
        assert not network.opened, where
        survived += 1
    assert survived > 300


@pytest.mark.full
@pytest.mark.parametrize("make", [SocketTransport, RequestsTransport])
def test_a_transport_that_is_interrupted_at_any_instant_still_works(make: Callable[..., Transport]) -> None:
    with Sandbox() as sandbox:
        sandbox.answer("openai", "some words")
        provider = create("openai", api_key=sandbox.key("openai"), base_url=sandbox.url("openai"))
        policy = Policy(max_retries=0, breaker=None)
        with warnings.catch_warnings(), Router([provider], policy=policy, transport=make(trust_env=False)) as router:
            warnings.simplefilter("ignore")  # about new sockets and coroutines that were never entered
            request = ChatRequest(ModelConfig("openai", "m"), "x")
            survived = 0
            for at in range(1, 100_000):
                interrupter = Interrupter(at, NETWORK)
                chat(router, request, interrupter)
                if interrupter.passed < at:
                    break
                gc.collect(0)
                assert chat(router, request, UNTOUCHED) == "some words", f"instant {at}: {interrupter.place}"
                survived += 1
            assert survived > 100
            assert sandbox.wait(lambda seen: seen.open_connections <= 16)
