"""An event loop in a background thread that listens on loopback, with a start and an end that leave nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import attrs

from turnout_sandbox.server.connection import ClientConnection

__all__ = ["LoopThread"]

_BACKLOG = 4096


@attrs.define(eq=False)
class LoopThread:
    """Serves connections that `make` builds, until `stop`. One use: start once, stop once.

    `connections` is touched by the loop's thread only.
    """

    make: Callable[[], ClientConnection]
    connections: set[ClientConnection]
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _stopping: asyncio.Event | None = attrs.field(default=None, init=False)
    _failure: BaseException | None = attrs.field(default=None, init=False)

    def start(self, port: int) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one.

        Raises:
            OSError: The port is in use.
        """
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, listening), name="turnout-sandbox", daemon=True)
        self._thread.start()
        listening.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Abort every connection, close the listener, and wait for the thread to end."""
        if self._loop is None or self._thread is None or self._stopping is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self, port: int, listening: threading.Event) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve(port, listening))
        except BaseException as error:
            self._failure = error  # for the thread that waits in `start`
        finally:
            loop.close()
            listening.set()

    async def _serve(self, port: int, listening: threading.Event) -> None:
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self.make, "127.0.0.1", port, backlog=_BACKLOG)
        try:
            self.port = int(server.sockets[0].getsockname()[1])
            listening.set()
            await self._stopping.wait()
        finally:
            # Each connection is accepted in a task. If the listener closes meanwhile, asyncio never closes the socket.
            while accepting := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(accepting)
            server.close()
            for connection in tuple(self.connections):
                connection.abort()
            # An aborted transport closes its socket in a later turn of the loop.
            for _ in range(100):
                await asyncio.sleep(0)
                if not self.connections:
                    break
