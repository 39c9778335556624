"""The router for trio apps.

    async with Router.from_env() as router:
        reply = await router.chat(ChatRequest(...))
        async with router.stream(ChatRequest(...)) as stream:
            async for event in stream: ...

It owns no task and no nursery. Every `await` may be cancelled. One router may be used in one `trio.run` after another:
the second run opens new connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    import trio as _  # noqa: F401 - only to name the extra in the error
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("turnout_io.trio needs trio: pip install 'turnout[trio]'", name=error.name) from None

from turnout.routing.policy.settings import Policy
from turnout_io.base import AsyncTransport
from turnout_io.drivers._async.stream import AsyncChatStream, AsyncEventBatches
from turnout_io.drivers.hedging import HedgingRouter
from turnout_io.drivers.trio_runtime import TrioRuntime

__all__ = ["ChatStream", "EventBatches", "Router"]

ChatStream = AsyncChatStream
EventBatches = AsyncEventBatches


class Router(HedgingRouter):
    """Routes requests over its providers, on trio. The default transport is trio with h11."""

    _runtime = TrioRuntime()

    @staticmethod
    def _make_transport(policy: Policy) -> AsyncTransport:
        from turnout_io.transports.trio import TrioTransport

        return TrioTransport()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
