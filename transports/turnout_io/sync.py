"""The router for blocking code: scripts, threads, Celery, gevent. It needs no event loop.

    with Router.from_env() as router:
        reply = router.chat(ChatRequest(...))
        with router.stream(ChatRequest(...)) as stream:
            for event in stream: ...

Any number of threads may share one router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnout.routing.policy.settings import Policy
from turnout_io.base import Transport
from turnout_io.drivers._sync.router import SyncRouter
from turnout_io.drivers._sync.stream import ChatStream, EventBatches
from turnout_io.drivers.async_only import BlockingOnly
from turnout_io.drivers.blocking_runtime import BlockingRuntime

if TYPE_CHECKING:
    from turnout_io.shared.valkey import Valkey

__all__ = ["ChatStream", "EventBatches", "Router"]


class Router(BlockingOnly, SyncRouter):
    """Routes requests over its providers, for blocking code. The default transport is `requests`."""

    _runtime = BlockingRuntime()

    def _reopen_link(self, valkey: Valkey) -> None:
        from turnout_io.shared.running import ThreadLink

        shared = self._core.shared
        assert shared is not None
        link = ThreadLink(valkey, shared, self._now, self._notify_waiters)
        link.serve()
        self._link = link
        shared.entered = True

    @staticmethod
    def _make_transport(policy: Policy) -> Transport:
        from turnout_io.transports.requests import RequestsTransport

        return RequestsTransport(pool_size=policy.max_concurrency or 16)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
