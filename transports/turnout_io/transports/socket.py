"""The transport over blocking sockets: it needs only h11, and every timer is exact.

A name look-up cannot be given a deadline. If there is one, and the host is a name, the look-up runs in a thread that
ends with the look-up.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence

from turnout_io.transports._sync.http1 import Http1Response
from turnout_io.transports._sync.transport import SocketTransportBase
from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket_runtime import MAX_WAIT, Address, DeadlinePassed, Interrupted, numeric_addresses

__all__ = ["BlockingSocketRuntime", "SocketResponse", "SocketTransport"]

SocketResponse = Http1Response


class BlockingSocketRuntime:
    """See `turnout_io.transports._sync.runtime.SocketRuntime`."""

    now = staticmethod(time.monotonic)

    def token(self) -> object:
        """Return None: threads share connections."""
        return None

    def has_ended(self, token: object) -> bool:
        """Return False: there is no event loop."""
        return False

    def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """Return the addresses of a host."""
        numeric = numeric_addresses(host, port)
        if numeric is not None:
            return numeric
        if deadline is None:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        results: list[Sequence[Address] | Exception] = []

        def search() -> None:
            try:
                results.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as error:
                results.append(error)

        searcher = threading.Thread(target=search, name=f"look up {host}", daemon=True)
        searcher.start()
        searcher.join(_seconds_until(deadline))
        if not results:
            raise DeadlinePassed
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def wait(self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None) -> bool:
        """Wait until one of the sockets may be ready. Returns False if the deadline passed first."""
        if any(waiting.fileno() < 0 for waiting in (*reads, *writes)):
            raise Interrupted
        seconds = None if deadline is None else _seconds_until(deadline)
        if not hasattr(select, "poll"):  # Windows, whose select has no limit on the numbers of its sockets
            return any(select.select(reads, writes, writes, seconds))
        poll = select.poll()
        for waiting in writes:
            poll.register(waiting, select.POLLOUT)
        for waiting in reads:
            poll.register(waiting, select.POLLIN | (select.POLLOUT if waiting in writes else 0))
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def checkpoint(self) -> None:
        """Do nothing: threads take turns without it."""

    def reader(self, stream: PlainStream) -> _Reader:
        """Return an object that waits for the bytes of one connection."""
        return _Reader(stream.socket, self.wait)


def _seconds_until(deadline: float) -> float:
    return min(max(0.0, deadline - time.monotonic()), MAX_WAIT)


class _Reader:
    """Waits in `poll`. See `turnout_io.transports._sync.runtime.Reader`."""

    __slots__ = ("_poll", "_socket", "_wait")

    def __init__(self, waiting: socket.socket, wait: Callable[..., bool]) -> None:
        self._socket = waiting
        self._wait = wait
        self._poll = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(waiting, select.POLLIN)

    def wait(self, deadline: float | None) -> bool:
        if self._poll is None or self._socket.fileno() < 0:
            return self._wait((self._socket,), (), deadline)
        if deadline is None:
            return bool(self._poll.poll())
        return bool(self._poll.poll(_seconds_until(deadline) * 1000))

    def interrupt(self) -> None:
        # `close` would not wake a thread in `poll`, and the system could give the socket's number to a new one.
        with contextlib.suppress(OSError):  # the peer has closed the connection, which also wakes
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Do nothing: nothing is registered outside of this object."""

    def abort(self) -> None:
        self._socket.close()


class SocketTransport(SocketTransportBase):
    """Blocking HTTP/1.1. Threads may share it, and it works again after a fork."""

    _runtime_class = BlockingSocketRuntime
