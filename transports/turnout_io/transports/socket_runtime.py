"""What the socket transports need of the world that they run in: a clock, name look-up, and waiting for sockets.

The transports over blocking sockets, trio and asyncio are one client (`http1_client`) over this interface. Sockets are
non-blocking in all three; only the waiting differs. Under blocking code no `await` ever suspends.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

__all__ = ["Address", "DeadlinePassed", "Interrupted", "SocketRuntime", "numeric_addresses"]

# (family, type, protocol, canonical name, socket address), as `socket.getaddrinfo` gives it.
Address: TypeAlias = tuple[int, int, int, str, Any]


class DeadlinePassed(Exception):
    """The time to wait is over. (Not TimeoutError, which the kernel's ETIMEDOUT is too.)"""


class Interrupted(Exception):
    """The socket was closed by another thread or task while this one waited for it."""


class SocketRuntime(Protocol):
    """Waiting and name look-up. Every deadline is an absolute time of `now`; None is no bound."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def token(self) -> object:
        """What connections belong to: they are not used again where it has changed (another run, a forked process)."""
        ...

    async def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        """The addresses of a host. Raises socket.gaierror or DeadlinePassed."""
        ...

    async def wait(
        self, reads: Sequence[socket.socket], writes: Sequence[socket.socket], deadline: float | None
    ) -> bool:
        """Wait until one of the sockets may be ready; False where the deadline came first. Raises Interrupted."""
        ...

    async def checkpoint(self) -> None:
        """Let others run: called where data comes so fast that nothing is ever waited for."""
        ...

    def interrupt(self, waited_for: socket.socket) -> None:
        """Wake who waits for this socket, from another thread or task. The socket cannot be used afterwards."""
        ...


def numeric_addresses(host: str, port: int) -> Sequence[Address] | None:
    """The address that `host` is, without a look-up; None where it is a name."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None
