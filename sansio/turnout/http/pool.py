"""Decides which idle connection to reuse, and which ones to close. It does no I/O.

A connection is in the pool only while it is idle. The one that was released last is used first, because the peer is
least likely to have closed it. The others expire and are closed. `now` is in monotonic seconds and never decreases.
The leases of the router limit the number of connections in use.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import attrs

from turnout.errors import LocalProtocolError

__all__ = ["Pool"]

Connection = TypeVar("Connection")


@attrs.define(eq=False)
class _Idle(Generic[Connection]):
    key: Hashable
    connection: Connection
    since: float


@attrs.define(eq=False)
class Pool(Generic[Connection]):
    """Idle connections by key. Connections with the same key may serve the same requests (origin, proxy, TLS settings).

    Attributes:
        max_keepalive_connections: The most idle connections in total.
        max_keepalive_per_key: The most idle connections with the same key.
        keepalive_expiry: Seconds after which an idle connection is not used again.
    """

    max_keepalive_connections: int = 32
    max_keepalive_per_key: int = 16
    keepalive_expiry: float = 60.0
    # In the order of their release, so the oldest is first. There is one list and no index: each change is a single
    # step, so Ctrl-C cannot interrupt it halfway.
    _idle: list[_Idle[Connection]] = attrs.field(factory=list, init=False)

    def __len__(self) -> int:
        return len(self._idle)

    def acquire(self, key: Hashable) -> Connection | None:
        """Remove and return a connection to reuse; None if a new one is needed. Call `evict_expired` first."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].key == key:
                return self._idle.pop(place).connection
        return None

    def release(self, key: Hashable, connection: Connection, now: float) -> tuple[Connection, ...]:
        """Take back an idle connection, and return the connections to close. It can be among them.

        Raises:
            LocalProtocolError: If the connection is already in the pool.
        """
        for idle in self._idle:
            if idle.connection is connection:
                raise LocalProtocolError("the connection is in the pool already")
        self._idle.append(_Idle(key, connection, now))
        closing = []
        if len(self._idle) > self.max_keepalive_per_key:
            alike = [idle for idle in self._idle if idle.key == key]
            for idle in alike[: max(0, len(alike) - self.max_keepalive_per_key)]:
                self._idle.remove(idle)
                closing.append(idle.connection)
        while len(self._idle) > self.max_keepalive_connections:
            closing.append(self._idle.pop(0).connection)
        return (*closing, *self.evict_expired(now))

    def evict_expired(self, now: float) -> tuple[Connection, ...]:
        """Remove the connections that have been idle for too long, and return them. The caller closes them."""
        closing = []
        while self._idle and now - self._idle[0].since >= self.keepalive_expiry:
            closing.append(self._idle.pop(0).connection)
        return tuple(closing)

    def discard(self, should_close: Callable[[Any], bool]) -> tuple[Connection, ...]:
        """Remove and return the connections with a key for which `should_close` is true. The caller closes them."""
        discarded = [idle for idle in self._idle if should_close(idle.key)]
        for idle in discarded:
            self._idle.remove(idle)
        return tuple(idle.connection for idle in discarded)

    def clear(self) -> tuple[Connection, ...]:
        """Remove all connections, and return them. The caller closes them."""
        closing = []
        while self._idle:
            closing.append(self._idle.pop().connection)
        return tuple(closing)
