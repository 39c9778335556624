"""The router: opens and closes, runs calls, and makes them wait for a free slot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from turnout.chat import ChatRequest
from turnout.errors import LocalProtocolError
from turnout.providers.protocol import Provider
from turnout.routing.caching import CachedAnswer
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Operation
from turnout.routing.call.options import CallOptions
from turnout.routing.policy.settings import Policy
from turnout.trace import Trace
from turnout_io.base import AsyncHttpResponse, AsyncTransport
from turnout_io.drivers._async.cached import cache_entry
from turnout_io.drivers._async.operations import AsyncOperations
from turnout_io.drivers._async.run import AsyncRun
from turnout_io.drivers._async.runtime import AsyncEvent, AsyncLink, AsyncRuntime
from turnout_io.drivers._async.stream import AsyncChatStream
from turnout_io.drivers.transport_contract import async_close, report_close_failure
from turnout_io.process_lock import process_lock

if TYPE_CHECKING:
    from turnout_io.caching import AnyCache
    from turnout_io.shared.valkey import Valkey

__all__ = ["AsyncRouter"]


class AsyncRouter(AsyncOperations):
    """Routes requests over its providers. The subclass of each library adds the runtime and the default transport."""

    _is_async = True
    _runtime: AsyncRuntime
    _make_transport: Callable[[Policy], AsyncTransport]

    def __init__(
        self,
        providers: Iterable[Provider] = (),
        *,
        policy: Policy | None = None,
        transport: AsyncTransport | None = None,
        seed: int | None = None,
        on_trace: Callable[[Trace], None] | None = None,
        cache: AnyCache | None = None,
        shared: Valkey | None = None,
    ) -> None:
        super().__init__(
            providers, policy=policy, transport=transport, seed=seed, on_trace=on_trace, cache=cache, shared=shared
        )
        self._link: AsyncLink | None = None
        self._now = self._runtime.now
        self._closed = False
        self._transport_lock = process_lock()
        self._made_transport = False
        self._events: dict[Call, AsyncEvent] = {}
        self._responses: dict[int, dict[int, AsyncHttpResponse]] = {}  # of each call that is running
        self._loop: object = ...  # of the last call; at first no token at all, so that the first call checks its loop
        self._streams: dict[object, WeakSet[AsyncRun]] = {}  # the open streams of each event loop

    # -- opening and closing ------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close the idle connections and refuse new calls. Open streams continue to their end."""
        self._closed = True
        await self._close_abandoned()
        await self._close_link()
        if self._transport is not None:
            await async_close(self._transport, "aclose", self._transport.aclose)

    async def __aenter__(self) -> Self:
        """Enter the router. A closed router opens again, with the state of its candidates."""
        self._check_loop()
        if self._closed:
            self._closed = False
            if self._made_transport:
                self._transport = None
        if self._valkey is not None:
            await self._open_link(self._valkey)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runtime.shield(self.aclose)
        link, self._link = self._link, None
        if link is not None:
            await link.leave()

    async def _open_link(self, valkey: Valkey) -> None:
        shared = self._core.shared
        assert shared is not None
        if self._link is None:
            link = self._runtime.make_link(valkey, shared, self._notify_waiters)
            await link.start()
            self._link = link
            shared.entered = True

    async def _close_link(self) -> None:
        if self._link is not None:
            if self._core.shared is not None:
                self._core.shared.entered = False
            await self._link.stop()

    def _discard_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.discard()

    # -- how a call runs ----------------------------------------------------------------------------------------

    async def _run(
        self, operation: Operation, options: CallOptions, started: Callable[[Call], object] | None = None
    ) -> Any:
        """Run a call to its end.

        Args:
            operation: What the call is for.
            options: The settings of the call.
            started: Receives the call when it starts.

        Returns:
            The result; None if `stop_waiting` ended the call.
        """
        if self._needs_attention():
            await self._prepare()
        entry = cache_entry(self._cache, operation, options)
        cached = await entry.get() if entry is not None else None
        run = self._new_run(self._start(operation, options, cached))
        if started is not None:
            started(run.call)
        try:
            while run.finish is None:
                await run.step()
        except GeneratorExit:  # the garbage collector closes this coroutine
            run.abandon()
            raise
        finally:
            try:
                await run.close()
            except BaseException:
                await run.close()  # KeyboardInterrupt was raised during the first close
                raise
        result = run.result()
        if entry is not None and cached is None and result is not None:
            await entry.put(result)
        return result

    def _make_stream(self, request: ChatRequest, options: CallOptions) -> AsyncChatStream:
        return AsyncChatStream(self, request, options)

    def _needs_attention(self) -> bool:
        return bool(self._abandoned or self._unclosed or self._closed) or self._runtime.token() is not self._loop

    async def _prepare(self) -> None:
        """Check that the router is open, and end the calls that finalisers and ended event loops abandoned.

        Raises:
            LocalProtocolError: If the router is closed, or another library runs here than the one it is for.
        """
        self._check_loop()
        if self._closed:
            raise LocalProtocolError("this router is closed; enter it again to open it")
        self._loop = self._runtime.token()
        for token, runs in list(self._streams.items()):
            if self._runtime.has_ended(token):
                for run in list(runs):
                    run.abandon()
                self._streams.pop(token, None)
        await self._close_abandoned()

    def _streams_of_loop(self) -> WeakSet[AsyncRun]:
        """Return the open streams of the caller's event loop. If the loop ends, their slots become free."""
        return self._streams.setdefault(self._runtime.token(), WeakSet())

    def _new_run(self, call: Call) -> AsyncRun:
        return AsyncRun(self, call)

    def _start(self, operation: Operation, options: CallOptions, cached: CachedAnswer | None = None) -> Call:
        self._check_fork()
        return self._core.start(operation, self._now(), time.time(), options, concurrent=self._hedges, cached=cached)

    def _get_transport(self) -> AsyncTransport:
        if self._transport is None:
            with self._transport_lock:
                if self._transport is None:
                    self._transport = self._make_transport(self._core.policy)
                    self._made_transport = True
        return self._transport

    async def _close_response(self, response: AsyncHttpResponse) -> None:
        close_nowait = getattr(response, "close_nowait", None)
        if close_nowait is not None:
            close_nowait()  # as `aclose` does, without a shield around it
        else:
            try:
                await self._runtime.shield(partial(async_close, self._transport, "response.aclose", response.aclose))
            except Exception as error:
                report_close_failure(self._transport, error)

    async def _sleep(self, run: AsyncRun, until: float) -> None:
        """Wait until `until`, or until the scheduler admits or rejects the call, or until the run is interrupted."""
        call = run.call
        try:
            event = self._events[call] = self._runtime.make_event()
            # Check only now, because an admission or an interruption before this point could not set the event.
            if not (call.is_runnable or self._abandoned or run.is_interrupted):
                await event.wait(max(0.0, until - self._now()))
        finally:  # also after KeyboardInterrupt
            self._events.pop(call, None)
        if self._abandoned:
            self._release_abandoned()

    async def _close_abandoned(self) -> None:
        """Finish the calls that finalisers ended."""
        self._release_abandoned()
        while self._unclosed:
            try:
                run = self._unclosed.popleft()
            except IndexError:
                return  # another thread was faster
            await run.close_abandoned()

    def _stop_waiting(self, call: Call) -> None:
        """Let the running attempt of a call end, and start no other. Call it again if the call has not ended soon."""
        call.stop_waiting()
        self._wake(call)

    def _wake(self, call: Call) -> None:
        """Wake a call from `_sleep`."""
        event = self._events.get(call)
        if event is not None:
            event.set()

    def _wake_one_waiter(self) -> None:
        """Wake any call that waits for a slot, so that it calls `_release_abandoned`. Finalisers call this."""
        for event in list(self._events.values()):
            if event.set_from_finaliser():
                return

    def _notify_waiters(self) -> None:
        """Wake the calls that the scheduler admitted or rejected since the last time."""
        for call in self._core.take_ready():
            event = self._events.get(call)
            if event is not None:
                event.set()
        if self._bell is not None and self._bell.rung and self._link is not None:
            self._link.wake()
