"""The interface of transports. Users can write their own; `turnout_io.conformance` checks them.

A transport sends one HTTP request and receives its response. It decides nothing: no retries, no redirects, no
decoding, no cookies, no `.netrc`. It adds only the header fields that HTTP requires: Host, Content-Length, Connection.

Rules:

1. A status is never an exception.
2. It raises Turnout's errors: `ConnectFailed` (nothing was sent), `TimedOut`, `Disconnected`, else `TransportError`. If
   a peer breaks the rules of HTTP, it raises `RemoteProtocolError`, or `Disconnected` if it cannot distinguish the two.
   If a request cannot be sent, it raises `LocalProtocolError` with a message that does not quote the request.
   Any other exception ends the attempt as a `TransportError` that names the transport; a fallback may still respond.
3. A body that ends early is an error, not an end.
4. `read` returns as soon as it has bytes. It returns b"" only at the end, and again on each call after the end.
5. `read(timeout)` waits at most `timeout` seconds and then raises `TimedOut`. A transport that is less exact documents
   it.
6. The caller may call `close` at any time and any number of times. After the end of the body, `close` returns the
   connection for reuse, unless `read` did so when it saw the end. Before the end, it closes the connection.
7. Async: any `await` may be cancelled. `aclose` must then still free the connection.

The errors of `open` decide whether a request may be sent again:

* `ConnectFailed`, and `TimedOut` with `timer=Timer.CONNECT, phase=Phase.NOT_SENT`, promise that no byte was sent.
* `Disconnected(reused=True)` means that a connection from an earlier request ended before the first response byte.
* `TimedOut(reused=True)` means that such a connection was silent. The router may then send the request once more, with
  `new_connection` set: a transport that reports `reused` must not send that request over a reused connection.
* A transport that cannot know these facts uses the defaults of the errors.
* `ConnectFailed` may have a `reason`. It is not retried if that is "certificate", "tls" or "proxy-refused".

The errors of `read` do not need these facts, because the reader knows the bytes that have arrived.

HTTP requires more:

* Send `Host`. Send `Content-Length`, also if it is 0 and the method is POST.
* Send names and values unchanged and in order. Refuse a request with a line break in one of them.
* Ignore interim responses. Refuse a head that grows without end.
* `timeouts` and `timeout` are in seconds; None means no limit.
* Messages contain the host or the proxy, but no password. If a proxy refuses, fails or is missing, raise
  `ConnectFailed`.
* `close` from another thread or task ends a waiting `read`.
* Try every address of a host that has several.

A transport need not keep connections for reuse. If it does, it must close a connection that received bytes after the
end of a response. Otherwise the next caller could receive a wrong response.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from turnout.http import HttpRequest, TransportTimeouts

__all__ = ["AsyncHttpResponse", "AsyncTransport", "HttpResponse", "Transport"]


class HttpResponse(Protocol):
    """One response of a blocking transport: its head, and its body while it arrives."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        """The header fields as received, with repeated names."""
        ...

    def read(self, timeout: float | None) -> bytes:
        """Return some bytes of the body, not decoded; b"" at its end and after it.

        Raises TimedOut, Disconnected, TransportError or RemoteProtocolError.
        """
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    """A blocking transport."""

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> HttpResponse:
        """Send the request, and return when the head of the final response has arrived.

        Raises ConnectFailed, TimedOut, Disconnected, TransportError or RemoteProtocolError.
        """
        ...

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        ...


class AsyncHttpResponse(Protocol):
    """One response of an async transport."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...

    async def read(self, timeout: float | None) -> bytes: ...

    async def aclose(self) -> None: ...


class AsyncTransport(Protocol):
    """An async transport."""

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncHttpResponse: ...

    async def aclose(self) -> None: ...
