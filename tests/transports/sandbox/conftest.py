"""A sandbox, and a client of the standard library: these tests do not use the transports of Turnout."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from turnout_io.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def _headers(sandbox: Sandbox, provider: str) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    match provider:
        case "gemini":
            headers["x-goog-api-key"] = sandbox.key(provider)
        case "anthropic":
            headers |= {"x-api-key": sandbox.key(provider), "anthropic-version": "2023-06-01"}
        case _:
            headers["authorization"] = f"Bearer {sandbox.key(provider)}"
    return headers


@pytest.fixture
def ask(sandbox: Sandbox) -> Callable[..., tuple[int, dict[str, str], bytes]]:
    """Send one request on a new connection: `ask(provider, path, body)` returns status, headers and body."""

    def call(
        provider: str, path: str, body: Any = None, *, method: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        base = sandbox.url(provider).partition(str(sandbox.port))[2]
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
        try:
            verb = method or ("GET" if body is None else "POST")
            connection.request(verb, base + path, data, _headers(sandbox, provider) if headers is None else headers)
            response = connection.getresponse()
            return response.status, {name.lower(): text for name, text in response.getheaders()}, response.read()
        finally:
            connection.close()

    return call


@pytest.fixture
def wire(sandbox: Sandbox) -> Callable[..., tuple[bytes, str]]:
    """Return the raw bytes of one response, and the end of the connection: "closed", "reset" or "open"."""
    import socket

    def call(provider: str, path: str, body: Any, *, until: bytes = b"", version: str = "1.1") -> tuple[bytes, str]:
        base = sandbox.url(provider).partition(str(sandbox.port))[2]
        data = json.dumps(body).encode()
        lines = [f"POST {base}{path} HTTP/{version}", "host: sandbox", f"content-length: {len(data)}"]
        lines += [f"{name}: {text}" for name, text in _headers(sandbox, provider).items()]
        received = bytearray()
        with socket.create_connection(("127.0.0.1", sandbox.port), timeout=20) as raw:
            raw.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
            while not until or until not in received:
                try:
                    piece = raw.recv(65536)
                except ConnectionResetError:
                    return bytes(received), "reset"
                if not piece:
                    return bytes(received), "closed"
                received += piece
        return bytes(received), "open"

    return call
