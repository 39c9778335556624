"""Which idle connection to use again, and which to close: a decision over connections, not a socket among them.

A connection is in the pool only while it is idle. The one given back last is used first, as the peer is least likely
to have closed it; those at the other end grow old and are closed. `now` is monotonic seconds and never runs back.
How many connections are in use is bounded elsewhere, by the leases of the router.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

from turnout.errors import LocalProtocolError

__all__ = ["Pool"]

Connection = TypeVar("Connection")


@attrs.frozen
class _Idle(Generic[Connection]):
    key: Hashable
    connection: Connection
    since: float


@attrs.define(eq=False)
class Pool(Generic[Connection]):
    """Idle connections by key: one key for all that may serve the same requests (origin, proxy, TLS settings).

    max_idle          connections kept in all
    max_idle_per_key  connections kept for one key
    idle_expiry       seconds after which an idle connection is not used again
    """

    max_idle: int = 32
    max_idle_per_key: int = 16
    idle_expiry: float = 60.0
    # Both in the order in which connections were given back, which is the order of their age.
    _all: dict[int, _Idle[Connection]] = attrs.field(factory=dict, init=False)
    _by_key: dict[Hashable, dict[int, None]] = attrs.field(factory=dict, init=False)
    _next: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._all)

    def take(self, key: Hashable) -> Connection | None:
        """A connection to use again, now the caller's; None where a new one is needed. Call `expire` before."""
        numbers = self._by_key.get(key)
        return self._remove(next(reversed(numbers))) if numbers else None

    def give(self, key: Hashable, connection: Connection, now: float) -> tuple[Connection, ...]:
        """Take back an idle connection; returns those to close, this one among them where nothing may be kept.

        Raises LocalProtocolError where the pool holds this connection already.
        """
        if any(idle.connection is connection for idle in self._all.values()):
            raise LocalProtocolError("the connection is idle in the pool already")
        number = self._next
        self._next += 1
        self._all[number] = _Idle(key, connection, now)
        numbers = self._by_key.setdefault(key, {})
        numbers[number] = None
        closing = []
        while len(numbers) > self.max_idle_per_key:
            closing.append(self._remove(next(iter(numbers))))
        while len(self._all) > self.max_idle:
            closing.append(self._remove(next(iter(self._all))))
        return (*closing, *self.expire(now))

    def expire(self, now: float) -> tuple[Connection, ...]:
        """Give up the connections that have been idle for too long; returns them, to close."""
        closing = []
        while self._all:
            number, idle = next(iter(self._all.items()))
            if now - idle.since < self.idle_expiry:
                break
            closing.append(self._remove(number))
        return tuple(closing)

    def drain(self) -> tuple[Connection, ...]:
        """Give up all connections; returns them, to close."""
        closing = tuple(idle.connection for idle in self._all.values())
        self._all.clear()
        self._by_key.clear()
        return closing

    def _remove(self, number: int) -> Connection:
        idle = self._all.pop(number)
        numbers = self._by_key[idle.key]
        del numbers[number]
        if not numbers:
            del self._by_key[idle.key]
        return idle.connection
