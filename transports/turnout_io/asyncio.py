"""The router for asyncio apps.

    async with Router.from_env() as router:
        reply = await router.chat(ChatRequest(...))
        async with router.stream(ChatRequest(...)) as stream:
            async for event in stream: ...

It owns no task. Every `await` may be cancelled. One router may be used in several event loops, also at the same time in
several threads: each loop has its own connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnout.routing.policy.settings import Policy
from turnout_io.base import AsyncTransport
from turnout_io.drivers._async.stream import AsyncChatStream, AsyncEventBatches
from turnout_io.drivers.asyncio_runtime import AsyncioRuntime
from turnout_io.drivers.hedging import HedgingRouter

__all__ = ["ChatStream", "EventBatches", "Router"]

ChatStream = AsyncChatStream
EventBatches = AsyncEventBatches


class Router(HedgingRouter):
    """Routes requests over its providers, on asyncio. The default transport is asyncio with h11."""

    _runtime = AsyncioRuntime()

    @staticmethod
    def _make_transport(policy: Policy) -> AsyncTransport:
        from turnout_io.transports.asyncio import AsyncioTransport

        return AsyncioTransport()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
