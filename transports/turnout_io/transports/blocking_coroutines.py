"""Async code over blocking sockets: coroutines that never suspend, so that a thread can run them to their end.

For code that is written once over `AsyncSocketRuntime` and is not generated a second time.
"""

from __future__ import annotations

import socket
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from turnout_io.transports._async.runtime import AsyncReader
from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket import BlockingSocketRuntime
from turnout_io.transports.socket_runtime import Address

__all__ = ["BlockingCoroutineRuntime", "run_to_end"]

_T = TypeVar("_T")


class BlockingCoroutineRuntime:
    """`AsyncSocketRuntime` over blocking calls: no `await` ever suspends."""

    def __init__(self) -> None:
        self._runtime = BlockingSocketRuntime()
        self.now = self._runtime.now
        self.token = self._runtime.token
        self.has_ended = self._runtime.has_ended

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """Return the addresses of a host."""
        return self._runtime.look_up(host, port, deadline)

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        """Wait until one of the sockets may be ready. Returns False if the deadline passed first."""
        return self._runtime.wait(reads, writes, deadline)

    async def checkpoint(self) -> None:
        """Do nothing: threads take turns without it."""

    def reader(self, stream: PlainStream) -> AsyncReader:
        """Raise NotImplementedError: responses are read by the blocking client."""
        raise NotImplementedError


def run_to_end(steps: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    steps.close()
    raise AssertionError("a coroutine over blocking sockets suspended")
