"""The transport over blocking sockets: no dependency but h11, and every timer exact.

The client is the one of the async transports; here it never suspends, because waiting is `poll`. Name look-up is the
one thing that cannot be given a deadline: where there is one, and the host is a name, it runs in a thread of its own
that ends with the look-up.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.transports.http1 import Http1Client, Http1Response
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, Interrupted, numeric_addresses

__all__ = ["SocketResponse", "SocketTransport"]

_T = TypeVar("_T")


class _BlockingRuntime:
    """`SocketRuntime` over blocking calls: no coroutine of it ever suspends."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._token = object()

    def now(self) -> float:
        return time.monotonic()

    def token(self) -> object:
        # A forked process must not speak over its parent's connections.
        if self._process != os.getpid():
            self._process = os.getpid()
            self._token = object()
        return self._token

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        if deadline is None:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found: list[Sequence[Address] | Exception] = []

        def search() -> None:
            try:
                found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as fault:
                found.append(fault)

        searcher = threading.Thread(target=search, name=f"look up {host}", daemon=True)
        searcher.start()
        searcher.join(max(0.0, deadline - time.monotonic()))
        if not found:
            raise DeadlinePassed
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        if any(waited_for.fileno() < 0 for waited_for in (*reads, *writes)):
            raise Interrupted
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not hasattr(select, "poll"):  # Windows, whose select has no limit on the numbers of its sockets
            return any(select.select(reads, writes, writes, left))
        poll = select.poll()
        for waited_for in writes:
            poll.register(waited_for, select.POLLOUT)
        for waited_for in reads:
            poll.register(waited_for, select.POLLIN | (select.POLLOUT if waited_for in writes else 0))
        return bool(poll.poll(None if left is None else left * 1000))

    async def checkpoint(self) -> None:
        """Nothing: threads take turns by themselves."""

    def interrupt(self, waited_for: socket.socket) -> None:
        try:
            # `close` alone would not wake a thread in `poll`, and would give the descriptor's number to others.
            waited_for.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the peer has closed it, which wakes as well


def _run(steps: Coroutine[Any, Any, _T]) -> _T:
    """Run what never suspends."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    steps.close()
    raise AssertionError("a blocking transport was asked to suspend")


class SocketResponse:
    """One response; see `turnout_io.base.HttpResponse`. `close` may come from another thread, and ends its read."""

    def __init__(self, response: Http1Response) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.HttpResponse.read`."""
        return _run(self._response.read(timeout))

    def close(self) -> None:
        self._response.close()

    def abort(self) -> None:
        """Close the connection at once. Acquires no lock, so that finalisers may call it."""
        self._response.abort()


class SocketTransport:
    """Blocking HTTP/1.1. May be used from several threads, and again after a fork.

    ca_file, client_cert, ssl_context   see `turnout_io.transports.tls.TlsSettings`
    proxy        the URL of an HTTP proxy for every request; "" for none
    trust_env    whether the environment may name a proxy and trusted certificates
    max_keepalive_connections     connections kept for reuse
    keepalive_expiry  seconds after which an idle connection is not used again
    """

    def __init__(
        self,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        max_keepalive_connections: int = 16,
        keepalive_expiry: float = 60.0,
    ) -> None:
        self._client = Http1Client(
            _BlockingRuntime(),
            ca_file=ca_file,
            client_cert=client_cert,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            max_keepalive_connections=max_keepalive_connections,
            keepalive_expiry=keepalive_expiry,
        )

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> SocketResponse:
        """See `turnout_io.base.Transport.open`."""
        return SocketResponse(_run(self._client.open(request, timeouts)))

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()
