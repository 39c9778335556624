"""The seam: what a transport is. Anyone may write one; `turnout_io.conformance` checks it.

A transport moves one HTTP request and its response. It decides nothing: no retries, no redirects, no decoding, no
header of its own making beyond what HTTP needs (Host, Content-Length, Connection), no cookies, no `.netrc`.

Rules:

1. A status is never an exception.
2. Errors are Turnout's: `ConnectFailed` (nothing was sent), `TimedOut`, `Disconnected`, else `TransportError`; a peer
   that breaks HTTP is a `RemoteProtocolError`, or where that cannot be told apart, `Disconnected`; a request that
   cannot be sent is a `LocalProtocolError`, whose message does not quote it.
3. A body that ends early is an error, not an end.
4. `read` returns as soon as there is anything, never b"" but at the end, and b"" again after it.
5. `read(timeout)` waits at most `timeout` seconds and then raises `TimedOut`. What cannot be kept exactly is stated.
6. `close` may come at any time and any number of times. After the end it gives the connection back for reuse; before
   the end it drops the connection. (A connection may be given back already when the end is seen.)
7. Async: cancellation may come at any `await`; `aclose` must then still free the connection.

What the errors of `open` say decides whether a request may be sent again. `ConnectFailed`, and `TimedOut` with
`timer=Timer.CONNECT, phase=Phase.NOT_SENT`, promise that no byte of it left; `Disconnected(reused=True)` says that a
connection kept from an earlier request died before a byte of the answer. A transport that cannot know says less: their
defaults. `ConnectFailed` may say why in a word (`reason`): with "certificate", "tls" or "proxy-refused" it is not tried
again. The errors of `read` need say nothing of this: whoever reads knows what came.

What HTTP asks for besides: `Host`; `Content-Length`, also where it is 0 and the method is POST; names and values as
they were given, in order, and a request with a line break in one of them refused; interim answers passed over; a
head that grows without end refused. `timeouts` and `timeout` are in seconds, and None is no bound. Messages name the
host or the proxy, and show no password; a proxy that refuses, breaks or is not there is `ConnectFailed`. `close` from
another thread or task ends a `read` that waits. A host with several addresses is tried at each.

A transport need not keep connections for reuse. One that does must drop a connection over which more came than the
answer, or the next answer is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from turnout.http import HttpRequest, TransportTimeouts

__all__ = ["AsyncHttpResponse", "AsyncTransport", "HttpResponse", "Transport"]


class HttpResponse(Protocol):
    """One response of a blocking transport: its head, and its body as it comes."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Iterable[tuple[str, str]]:
        """As received, repeated names kept."""
        ...

    def read(self, timeout: float | None) -> bytes:
        """Some bytes of the body, undecoded; b"" at its end and again after it.

        Raises TimedOut, Disconnected, TransportError or RemoteProtocolError.
        """
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    """A blocking transport."""

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> HttpResponse:
        """Send the request and return once the head of the final response is there.

        Raises ConnectFailed, TimedOut, Disconnected, TransportError or RemoteProtocolError.
        """
        ...

    def close(self) -> None:
        """Close what is kept open for reuse."""
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
