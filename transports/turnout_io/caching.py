"""A cache of answers that a router asks before it calls a provider: `Router.from_env(cache=MemoryCache())`.

    class RedisCache:
        def get(self, key): return redis.get(f"turnout:{key}")
        def put(self, key, answer): redis.set(f"turnout:{key}", answer, ex=3600)

The router makes the key from the request, and the answer is bytes. Only whole answers are stored.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from turnout._utils.signatures import written_as
from turnout_io.process_lock import process_lock

__all__ = ["AnyCache", "AsyncResponseCache", "MemoryCache", "ResponseCache"]


class ResponseCache(Protocol):
    """Stores answers by key, for every router. Several threads may call it at once.

    An async router calls it in its event loop, so a cache that waits for a network should be an `AsyncResponseCache`
    there. If a method raises an error, it is logged, and the call continues without the cache. The deadline of a call
    does not bound these methods: a cache on a network needs a timeout of its own.
    """

    def get(self, key: str) -> bytes | None:
        """Return the answer that was stored under this key; None if there is none, or if it is too old."""
        ...

    def put(self, key: str, answer: bytes) -> object:
        """Store an answer under this key, in place of an earlier one."""
        ...


class AsyncResponseCache(Protocol):
    """Stores answers by key, for async routers. See `ResponseCache`."""

    def get(self, key: str) -> Awaitable[bytes | None]:
        """Return the answer that was stored under this key; None if there is none, or if it is too old."""
        ...

    def put(self, key: str, answer: bytes) -> Awaitable[object]:
        """Store an answer under this key, in place of an earlier one."""
        ...


AnyCache: TypeAlias = ResponseCache | AsyncResponseCache


class MemoryCache:
    """A `ResponseCache` in the memory of this process. Several routers and threads may share it.

    Args:
        max_entries: The most answers. When there are more, the one that was not asked for the longest time is dropped.
        max_bytes: The most bytes of all answers together. A single answer with more bytes is not stored.
        max_age: Seconds for which an answer is used; None for ever.
        clock: Returns seconds that never go back.

    Raises:
        ValueError: If a bound is not above 0.
    """

    @written_as("MemoryCache(max_entries=1_000, max_age=3600), where max_age is the time to live in seconds")
    def __init__(
        self,
        max_entries: int = 1_000,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_age: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1:
            raise ValueError(f"max_entries must be at least 1, not {max_entries}")
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        if max_age is not None and not max_age > 0:
            raise ValueError(f"max_age must be more than 0 seconds, or None, not {max_age}")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._held = 0  # bytes of all answers
        self._lock = process_lock()

    def get(self, key: str) -> bytes | None:
        """Return the answer under this key; None if there is none, or if it is too old."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            stored_at, answer = found
            if self._max_age is not None and self._clock() - stored_at > self._max_age:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return answer

    def put(self, key: str, answer: bytes) -> None:
        """Store an answer under this key."""
        with self._lock:
            self._drop(key)
            if len(answer) > self._max_bytes:
                return
            self._entries[key] = self._clock(), answer
            self._held += len(answer)
            while len(self._entries) > self._max_entries or self._held > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._entries.clear()
            self._held = 0

    def _drop(self, key: str) -> None:
        _, answer = self._entries.pop(key, (0.0, b""))
        self._held -= len(answer)

    def __len__(self) -> int:
        return len(self._entries)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
