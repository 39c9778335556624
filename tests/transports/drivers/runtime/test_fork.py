"""Calls that began before `os.fork` continue only in the parent; the child starts without them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from turnout import ChatRequest, Message, ModelConfig
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io import sync
from turnout_io.base import HttpResponse, Transport
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import Gate, Hold, Request, ScriptedServer, Send, StartTls, Step
from turnout_io.process_lock import process_lock
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

PATIENT = TransportTimeouts(connect=5.0, response_headers=5.0)
OPENAI = ModelConfig("openai", "gpt-4o-mini")
REQUEST = ChatRequest(OPENAI, [Message.user("Say a few things about trains.")])
ANSWER: tuple[Step, ...] = (Request(), Send(reply(b"ok")))
MANY: list[Step] = [*ANSWER * 3, Hold()]
HALF = reply(b"whole")[:-2]


def own_session(**settings: Any) -> Transport:
    return RequestsTransport(**settings)


def given_session(*, ca_file: str | None = None) -> Transport:
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file or True
    return RequestsTransport(session)


TRANSPORTS = pytest.mark.parametrize("make", [SocketTransport, own_session, given_session])
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


def in_child(deed: Callable[[], object]) -> None:
    """Run `deed` in a forked process. If it raises an error there, the test fails."""
    with warnings.catch_warnings():
        # Python 3.12 warns about a fork in a process with threads, which this test needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # Run only `deed`, and never return into the test.
        try:
            deed()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "what the child raised is on standard error"


@pytest.fixture(scope="module")
def certificates() -> Iterator[Certificates]:
    with Certificates() as made:
        yield made


class Place:
    """A server that speaks http or https, and a transport that trusts it."""

    def __init__(self, make: Callable[..., Transport], scheme: str, certificates: Certificates) -> None:
        tls = scheme == "https"
        self.transport = make(ca_file=certificates.ca_file) if tls else make()
        self.start: list[Step] = [StartTls(certificates.good())] if tls else []
        self.scheme = scheme

    def open(self, server: ScriptedServer) -> HttpResponse:
        return self.transport.open(HttpRequest("GET", f"{self.scheme}://{server.authority}"), PATIENT)

    def get(self, server: ScriptedServer) -> bytes:
        response = self.open(server)
        body = response.read(5.0)
        assert response.read(5.0) == b""
        response.close()
        return body


@TRANSPORTS
@SCHEMES
@pytest.mark.parametrize("first", ["use", "close", "close, use"])
def test_the_child_does_not_use_the_idle_connections_of_its_parent(
    make: Callable[..., Transport], scheme: str, first: str, certificates: Certificates
) -> None:
    place = Place(make, scheme, certificates)
    with ScriptedServer([*place.start, *MANY], [*place.start, *MANY]) as server:
        assert place.get(server) == b"ok"

        def child() -> None:
            if "close" in first:
                place.transport.close()
            if "use" in first:
                assert place.get(server) == b"ok"
                place.transport.close()

        in_child(child)
        assert len(server.connections) == (2 if "use" in first else 1)
        # The parent uses the old connection: a TLS close by the child would have ended it.
        assert place.get(server) == b"ok"
        assert len(server.connections) == (2 if "use" in first else 1)
        place.transport.close()
        _close_session(place.transport)


@TRANSPORTS
@SCHEMES
@pytest.mark.parametrize("first", ["close", "use, close", "close, use"])
def test_the_child_may_close_a_response_that_its_parent_reads(
    make: Callable[..., Transport], scheme: str, first: str, certificates: Certificates
) -> None:
    """A child does this if it exits the `with` block in which it was forked."""
    place = Place(make, scheme, certificates)
    script: list[Step] = [*place.start, Request(), Send(HALF), Gate("go"), Send(b"le"), *ANSWER, Hold()]
    with ScriptedServer(script, [*place.start, *MANY]) as server:
        response = place.open(server)
        assert response.read(5.0) == b"who"

        def child() -> None:
            for word in first.split(", "):
                if word == "close":
                    response.close()
                else:
                    assert place.get(server) == b"ok"

        in_child(child)
        server.open_gate("go")
        assert response.read(5.0) == b"le"
        assert response.read(5.0) == b""
        response.close()
        assert place.get(server) == b"ok"
        assert [request.connection for request in server.requests if request.connection == 0] == [0, 0]
        place.transport.close()
        _close_session(place.transport)


def _close_session(transport: Transport) -> None:
    if isinstance(transport, RequestsTransport) and transport._session is not None:
        transport._session.close()


@contextlib.contextmanager
def held(*locks: Any) -> Iterator[None]:
    """Another thread holds the locks."""
    holds, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            holds.set()
            assert enough.wait(20.0)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(5.0)
    try:
        yield
    finally:
        enough.set()
        thread.join(20.0)


def test_a_lock_is_free_in_the_child_and_held_in_the_parent() -> None:
    lock = process_lock()
    entered = threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    waiting = threading.Thread(target=enter)
    with held(lock):
        in_child(enter)
        waiting.start()
        assert not entered.wait(0.05)
    assert entered.wait(5.0)
    waiting.join(5.0)


@pytest.mark.parametrize("make", [lambda: SocketTransport(trust_env=False), lambda: RequestsTransport(trust_env=False)])
def test_a_router_in_use_is_free_in_the_child(make: Callable[[], Any]) -> None:
    with Sandbox() as sandbox:
        sandbox.answer("openai", "one two three four")
        provider = create("openai", api_key=sandbox.key("openai"), base_url=sandbox.url("openai"))
        transport = make()
        policy = Policy(max_concurrency=1, timeout=20.0)
        lock = transport._client._lock if isinstance(transport, SocketTransport) else transport._lock
        with sync.Router([provider], policy=policy, transport=transport) as router:
            assert router.chat(REQUEST).text
            sandbox.script("openai", Fault(stall=0.5, after_tokens=1))
            answers: list[str] = []
            with router.stream(REQUEST) as stream:
                next(stream)
                # The one place is taken by this thread, and another waits for it.
                waiter = threading.Thread(target=lambda: answers.append(router.chat(REQUEST).text))
                waiter.start()
                while not router._core.scheduler.waiting:
                    os.sched_yield()

                def child() -> None:
                    assert router.chat(REQUEST, timeout=10.0).text == "one two three four"
                    assert (router._core.scheduler.in_flight, router._core.scheduler.waiting) == (0, 0)
                    stream.close()
                    assert router._core.scheduler.in_flight == 0
                    assert router.chat(REQUEST, timeout=10.0).text == "one two three four"

                with held(router._core._lock, router._transport_lock, lock):
                    in_child(child)
                text = "".join(event.delta for event in stream if event.type == "token")
                assert text
                assert stream.response.text == "one two three four"
            waiter.join(10.0)
            assert answers == ["one two three four"]
            assert router._core.scheduler.in_flight == 0


def test_children_have_different_back_offs() -> None:
    with sync.Router([create("ollama", base_url="http://127.0.0.1:9")]) as router:
        reader, writer = os.pipe()
        for _ in range(2):

            def child() -> None:
                router._check_fork()
                os.write(writer, b"%d\n" % router._core.rng.getrandbits(48))

            in_child(child)
        os.close(writer)
        with open(reader, "rb") as drawn:
            assert len(set(drawn.read().split())) == 2
