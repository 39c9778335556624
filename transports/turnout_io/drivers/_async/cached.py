"""Asks the cache of a router before a call, and stores the answer of the call in it."""

from __future__ import annotations

import inspect
from typing import Any

from turnout.chat import ChatResponse
from turnout.embeddings import EmbeddingResponse
from turnout.routing.caching import (
    CachedAnswer,
    CachedRequest,
    can_be_stored,
    decode_answer,
    encode_answer,
    request_key,
)
from turnout.routing.call.operations import Chat, Embed, Operation
from turnout.routing.call.options import CallOptions
from turnout_io.caching import AnyCache

__all__ = ["AsyncCacheEntry", "cache_entry"]


class AsyncCacheEntry:
    """The place of one request in the cache. An error of the cache is logged, because the call works without it."""

    def __init__(self, cache: AnyCache, request: CachedRequest) -> None:
        self._cache = cache
        self._request = request
        self._key = request_key(request)

    async def get(self) -> CachedAnswer | None:
        """Return the stored answer; None if there is none that can be read."""
        try:
            stored: Any = self._cache.get(self._key)
            if inspect.isawaitable(stored):
                stored = await stored
            if stored is not None and not isinstance(stored, bytes):
                raise TypeError(f"get() of a cache must return bytes or None, not {type(stored).__name__}")
        except Exception:
            _log("the cache has no answer because of an error; the call continues")
            return None
        return decode_answer(stored, self._request) if stored is not None else None

    async def put(self, answer: object) -> None:
        """Store the answer of the call, if it is whole."""
        if not isinstance(answer, ChatResponse | EmbeddingResponse) or not can_be_stored(answer):
            return
        try:
            stored: Any = self._cache.put(self._key, encode_answer(answer))
            if inspect.isawaitable(stored):
                stored = await stored
        except Exception:
            _log("the cache did not store an answer; the call itself is not affected")


def _log(message: str) -> None:
    import logging  # no program needs this import before something fails

    logging.getLogger("turnout").exception(message)


def cache_entry(cache: AnyCache | None, operation: Operation, options: CallOptions) -> AsyncCacheEntry | None:
    """Return the place of a call in the cache; None if the call does not use the cache."""
    if cache is None or not options.cache or not isinstance(operation, Chat | Embed):
        return None
    return AsyncCacheEntry(cache, operation.request)
