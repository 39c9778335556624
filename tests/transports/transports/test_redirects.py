"""A redirect is given to the caller. Its body is never read or decoded, also in a session of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from turnout.errors import InvalidRequest, ProviderError
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.conformance.server import Hold, Request, ScriptedServer, Send
from turnout_io.sync import Router
from turnout_io.transports.requests import Http1Adapter, RequestsTransport
from turnout_io.transports.socket import SocketTransport

TIMEOUTS = TransportTimeouts(connect=10.0, response_headers=10.0)
HEAD = "HTTP/1.1 {} Moved\r\nLocation: {}\r\nContent-Encoding: {}\r\nContent-Length: 100000\r\n\r\n"


def with_adapter() -> RequestsTransport:
    session = requests.Session()
    session.mount("http://", Http1Adapter())
    return RequestsTransport(session)


def with_hooks() -> RequestsTransport:
    """A session whose hook returns another response object, as hooks of sessions may."""
    session = requests.Session()
    session.hooks["response"] = [lambda response, **_: response]
    session.max_redirects = 0
    return RequestsTransport(session)


TRANSPORTS: dict[str, Callable[[], Any]] = {
    "socket": SocketTransport,
    "requests": RequestsTransport,
    "a user's session": lambda: RequestsTransport(requests.Session()),
    "a user's session with hooks": with_hooks,
    "a user's session with our adapter": with_adapter,
}


@pytest.mark.parametrize("status", [301, 303, 308])
@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_body_of_a_redirect_is_not_read(name: str, status: int) -> None:
    """It does not even arrive as a whole, and it is not gzip."""
    head = HEAD.format(status, "/elsewhere", "gzip").encode()
    with ScriptedServer([Request(), Send(head + b"no gzip"), Hold()]) as server:
        transport = TRANSPORTS[name]()
        response = transport.open(HttpRequest("POST", server.url, (), b"{}"), TIMEOUTS)
        assert response.status == status
        assert dict(response.headers)["Location"] == "/elsewhere"
        response.close()
        transport.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "br"])
@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_call_names_the_target_of_a_redirect(name: str, coding: str) -> None:
    head = HEAD.format(308, "https://api.example.test/v1", coding).encode()
    with ScriptedServer([Request(), Send(head + b"\xff" * 100), Hold()]) as server:
        transport = TRANSPORTS[name]()
        provider = create("openai", api_key="k-12345678", base_url=server.url)
        with (
            Router([provider], policy=Policy(max_retries=0, timeout=30.0), transport=transport) as router,
            pytest.raises((InvalidRequest, ProviderError)) as caught,
        ):
            router.chat("openai/m", "x")
        transport.close()
    assert "the base URL redirects to https://api.example.test/v1" in str(caught.value)
