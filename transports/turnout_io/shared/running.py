"""Runs a link in a thread, in a task of asyncio, or in a nursery of trio. Each belongs to one router."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from turnout_io.shared.link import Link, SharedPort
from turnout_io.shared.valkey import Valkey

if TYPE_CHECKING:
    import trio

__all__ = ["AsyncioLink", "ThreadLink", "TrioLink"]


class ThreadLink:
    """A link in a separate thread, named `turnout-shared`."""

    def __init__(
        self, valkey: Valkey, port: SharedPort, clock: Callable[[], float], notify: Callable[[], None]
    ) -> None:
        from turnout_io.transports.blocking_coroutines import BlockingCoroutineRuntime

        self._link = Link(valkey, port, BlockingCoroutineRuntime(), clock, notify)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, and serve from now on.

        Raises:
            TurnoutError: See `turnout_io.shared.link.Link.open`.
        """
        from turnout_io.transports.blocking_coroutines import run_to_end

        try:
            run_to_end(self._link.open())
        except BaseException:
            self._link.close()
            raise
        self.serve()

    def serve(self) -> None:
        """Serve from now on, and connect meanwhile."""
        self._thread = threading.Thread(target=self._serve, name="turnout-shared", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        from turnout_io.transports.blocking_coroutines import run_to_end

        run_to_end(self._link.run())

    def stop(self) -> None:
        """Give back the leases, and end. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._link.stop()
            thread.join()
            self._link.close()

    def leave(self) -> None:
        """Do nothing: a thread belongs to no block."""

    def wake(self) -> None:
        """Make the link send the requests that are due."""
        self._link.wake()

    def discard(self) -> None:
        """Close the sockets in a forked process, and send nothing: the connection belongs to the parent."""
        self._link.close()


class AsyncioLink:
    """A link in a task of the running event loop."""

    def __init__(
        self, valkey: Valkey, port: SharedPort, clock: Callable[[], float], notify: Callable[[], None]
    ) -> None:
        from turnout_io.transports.asyncio import AsyncioSocketRuntime

        self._link = Link(valkey, port, AsyncioSocketRuntime(), clock, notify)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and serve from now on. Raises as `turnout_io.shared.link.Link.open`."""
        try:
            await self._link.open()
        except BaseException:
            self._link.close()
            raise
        self._task = asyncio.create_task(self._link.run(), name="turnout-shared")

    async def stop(self) -> None:
        """Give back the leases, and end. A second call does nothing."""
        task, self._task = self._task, None
        if task is not None:
            self._link.stop()
            await asyncio.wait([task])
            self._link.close()

    async def leave(self) -> None:
        """Do nothing: a task belongs to no block."""

    def wake(self) -> None:
        """Make the link send the requests that are due."""
        self._link.wake()

    def discard(self) -> None:
        """Close the sockets in a forked process, and send nothing: the connection belongs to the parent."""
        self._link.close()


class TrioLink:
    """A link in a nursery that the router's block opens and closes."""

    def __init__(
        self, valkey: Valkey, port: SharedPort, clock: Callable[[], float], notify: Callable[[], None]
    ) -> None:
        from turnout_io.transports.trio import TrioSocketRuntime

        self._link = Link(valkey, port, TrioSocketRuntime(), clock, notify)
        self._nursery: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._ended: trio.Event | None = None

    async def start(self) -> None:
        """Connect, and serve from now on. Raises as `turnout_io.shared.link.Link.open`."""
        import trio

        try:
            await self._link.open()
        except BaseException:
            self._link.close()
            raise
        manager = trio.open_nursery()
        nursery = await manager.__aenter__()
        self._nursery, self._ended = manager, trio.Event()
        nursery.start_soon(self._serve, self._ended, name="turnout-shared")

    async def _serve(self, ended: trio.Event) -> None:
        try:
            await self._link.run()
        finally:
            ended.set()

    async def stop(self) -> None:
        """Give back the leases, and end. A second call does nothing."""
        if self._ended is not None:
            self._link.stop()
            await self._ended.wait()

    async def leave(self) -> None:
        """Leave the nursery, which holds the link alone."""
        manager, self._nursery = self._nursery, None
        if manager is not None:
            try:
                await manager.__aexit__(None, None, None)
            finally:
                self._link.close()

    def wake(self) -> None:
        """Make the link send the requests that are due."""
        self._link.wake()

    def discard(self) -> None:
        """Close the sockets in a forked process, and send nothing: the connection belongs to the parent."""
        self._link.close()
