"""The interface between the HTTP/1.1 client and the library that waits for its sockets."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket_runtime import Address

__all__ = ["AsyncReader", "AsyncSocketRuntime"]


class AsyncReader(Protocol):
    """Waits for the bytes of one connection while a response is read."""

    async def wait(self, deadline: float | None) -> bool:
        """Wait until the connection has bytes or its end. Returns False if the deadline passed first.

        Raises:
            Interrupted: If `interrupt` was called.
        """
        ...

    def interrupt(self) -> None:
        """End the wait of another thread or task. The connection cannot be used any more."""
        ...

    def close(self) -> None:
        """Stop watching the connection, before it is reused or closed."""
        ...

    def abort(self) -> None:
        """Stop watching the connection and close it. Acquires no lock, so that finalisers may call it."""
        ...


class AsyncSocketRuntime(Protocol):
    """A clock, name look-up, and waits for sockets. Deadlines are absolute times of `now`; None means no bound."""

    def now(self) -> float:
        """Return monotonic seconds. May be called from any thread."""
        ...

    def token(self) -> object:
        """Return the owner of new connections: the event loop. None outside of one."""
        ...

    def has_ended(self, token: object) -> bool:
        """Return True if nothing can run any more in the event loop with this token."""
        ...

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """Return the addresses of a host.

        Raises:
            socket.gaierror: If there are none.
            DeadlinePassed: If the look-up takes too long.
        """
        ...

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        """Wait until one of the sockets may be ready. Returns False if the deadline passed first.

        Raises:
            Interrupted: If one of the sockets was closed.
        """
        ...

    async def checkpoint(self) -> None:
        """Let other tasks run. Called if data arrives so fast that no read has to wait."""
        ...

    def reader(self, stream: PlainStream) -> AsyncReader:
        """Return an object that waits for the bytes of one connection."""
        ...
