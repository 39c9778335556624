"""Which idle connection to use again, and which to close: a decision over connections, not a socket among them.

A connection is in the pool only while it is idle. The one given back last is used first, as the peer is least likely
to have closed it; those at the other end grow old and are closed. `now` is monotonic seconds and never runs back.
How many connections are in use is bounded elsewhere, by the leases of the router.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import attrs

from turnout.errors import LocalProtocolError

__all__ = ["Pool"]

Connection = TypeVar("Connection")


@attrs.frozen(eq=False)
class _Idle(Generic[Connection]):
    key: Hashable
    connection: Connection
    since: float


@attrs.define(eq=False)
class Pool(Generic[Connection]):
    """Idle connections by key: one key for all that may serve the same requests (origin, proxy, TLS settings).

    max_keepalive_connections          connections kept in all
    max_idle_per_key  connections kept for one key
    keepalive_expiry       seconds after which an idle connection is not used again
    """

    max_keepalive_connections: int = 32
    max_keepalive_per_key: int = 16
    keepalive_expiry: float = 60.0
    # In the order in which they were given back, which is the order of their age. One list and no index beside it: each
    # change is one step, which Ctrl-C cannot break off midway.
    _idle: list[_Idle[Connection]] = attrs.field(factory=list, init=False)

    def __len__(self) -> int:
        return len(self._idle)

    def acquire(self, key: Hashable) -> Connection | None:
        """A connection to use again, now the caller's; None where a new one is needed. Call `expire` before."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place].key == key:
                return self._idle.pop(place).connection
        return None

    def release(self, key: Hashable, connection: Connection, now: float) -> tuple[Connection, ...]:
        """Take back an idle connection; returns those to close, this one among them where nothing may be kept.

        Raises LocalProtocolError where the pool holds this connection already.
        """
        if any(idle.connection is connection for idle in self._idle):
            raise LocalProtocolError("the connection is idle in the pool already")
        self._idle.append(_Idle(key, connection, now))
        closing = []
        alike = [idle for idle in self._idle if idle.key == key]
        for idle in alike[: max(0, len(alike) - self.max_keepalive_per_key)]:
            self._idle.remove(idle)
            closing.append(idle.connection)
        while len(self._idle) > self.max_keepalive_connections:
            closing.append(self._idle.pop(0).connection)
        return (*closing, *self.evict_expired(now))

    def evict_expired(self, now: float) -> tuple[Connection, ...]:
        """Give up the connections that have been idle for too long; returns them, to close."""
        closing = []
        while self._idle and now - self._idle[0].since >= self.keepalive_expiry:
            closing.append(self._idle.pop(0).connection)
        return tuple(closing)

    def discard(self, should_close: Callable[[Any], bool]) -> tuple[Connection, ...]:
        """Remove the connections with a key for which `should_close` is true. Returns them; close them."""
        discarded = [idle for idle in self._idle if should_close(idle.key)]
        for idle in discarded:
            self._idle.remove(idle)
        return tuple(idle.connection for idle in discarded)

    def clear(self) -> tuple[Connection, ...]:
        """Give up all connections; returns them, to close."""
        closing = []
        while self._idle:
            closing.append(self._idle.pop().connection)
        return tuple(closing)
