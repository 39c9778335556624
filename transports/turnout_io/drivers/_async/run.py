"""The loop that performs the commands of one call."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol, assert_never

from turnout.errors import LocalProtocolError, Phase
from turnout.events import Event
from turnout.routing.call.machine import Call
from turnout.routing.commands import Close, Finish, Open, Read, Sleep, WaitForAny
from turnout.routing.router import RouterCore
from turnout_io.base import AsyncHttpResponse, AsyncTransport
from turnout_io.drivers.router_base import MIN_WAIT
from turnout_io.drivers.signing import async_sign_request
from turnout_io.drivers.transport_contract import attempt_failure, check_head, check_response, refuse_data

__all__ = ["AsyncRun", "RunOwner"]


class RunOwner(Protocol):
    """The members of a router that a run uses."""

    _core: RouterCore
    _transport: AsyncTransport | None
    _responses: dict[int, dict[int, AsyncHttpResponse]]
    _abandoned: deque[AsyncRun]

    def _now(self) -> float: ...
    def _get_transport(self) -> AsyncTransport: ...
    async def _sleep(self, run: AsyncRun, until: float) -> None: ...
    async def _close_response(self, response: AsyncHttpResponse) -> None: ...
    def _wake(self, call: Call) -> None: ...
    def _wake_one_waiter(self) -> None: ...
    def _notify_waiters(self) -> None: ...
    def _report(self, call: Call) -> None: ...


class AsyncRun:
    """Drives one call.

    A call that a finaliser ends is abandoned: see `abandon`.

    Attributes:
        call: The state machine of the call.
        finish: The last command of the call, or None while it is running.
        is_abandoned: True after `abandon`.
        is_interrupted: True after `interrupt`.
    """

    _closed = True  # until `__init__` has ended, so that the finaliser of half an object does nothing

    def __init__(self, router: RunOwner, call: Call) -> None:
        self.call = call
        self.finish: Finish | None = None
        self.is_abandoned = False
        self.is_interrupted = False
        self._router = router
        self._trace_reported = False
        self._ended_at = 0.0  # when the call finished by itself
        # The router refers to them too. Otherwise the finaliser of a socket could run before the finaliser of this
        # object, which closes the socket.
        self._responses: dict[int, AsyncHttpResponse] = {}
        router._responses[id(self)] = self._responses
        self._closed = False

    async def step(self) -> tuple[Event, ...]:
        """Perform commands until there are events or the call has ended.

        Returns:
            The events of one read. Empty if the call has ended; then `finish` is set. Also empty if the call was
            interrupted.
        """
        call, router = self.call, self._router
        clock, ready = router._now, router._core.scheduler.ready
        now = clock()
        while not self.is_interrupted:
            command = call.next_command(now)
            if ready:
                router._notify_waiters()
            match command:
                case Read(attempt, until, idle):
                    try:
                        data = await self._responses[attempt].read(max(MIN_WAIT, min(idle, until - now)))
                    except Exception as error:
                        failure = attempt_failure(router._transport, error, Phase.BODY)
                        if failure is None:
                            raise
                        if self._was_interrupted():
                            break  # the caller closed the response, so this is no failure of the provider
                        now = clock()
                        events = call.receive_failure(attempt, failure, now)
                    else:
                        if not isinstance(data, bytes):
                            refuse_data(router._transport, data)
                        now = clock()
                        events = call.receive_data(attempt, data, now) if data else call.receive_end(attempt, now)
                case Open(attempt, request, timeouts):
                    transport = router._get_transport()
                    try:
                        if request.auth is not None:
                            request = await async_sign_request(request)
                        # Kept before any other call, because Ctrl-C may interrupt each of them.
                        response = self._responses[attempt] = await transport.open(request, timeouts)
                    except Exception as error:
                        failure = attempt_failure(transport, error, Phase.SENT)
                        if failure is None:
                            raise
                        now = clock()
                        events = call.receive_failure(attempt, failure, now)
                    else:
                        check_response(transport, self._responses, attempt, "aclose")
                        status, headers = check_head(transport, response)
                        now = clock()
                        events = call.receive_head(attempt, status, headers, now)
                case Sleep(until):
                    await router._sleep(self, until)
                    now = clock()
                    continue
                case WaitForAny():
                    raise LocalProtocolError("the call hedges, but this driver performs one operation at a time")
                case Close(attempt):
                    await self._close_attempt(attempt)
                    if not call.finished:
                        now = clock()
                    continue
                case Finish():
                    self.finish, self._ended_at = command, now
                    return ()
                case _:
                    assert_never(command)
            if events:
                if ready:
                    router._notify_waiters()
                return events
        return ()

    def _was_interrupted(self) -> bool:
        """Return `is_interrupted`, which another thread or task may have changed since the last check."""
        return self.is_interrupted

    async def interrupt(self) -> None:
        """Make a `step` that is running in another thread or task return soon. It does not end the call.

        A read and a wait for a slot end at once. A connection that is being opened is not interrupted: `step` returns
        when it is open.
        """
        self.is_interrupted = True
        for response in tuple(self._responses.values()):
            await self._router._close_response(response)
        self._router._wake(self.call)

    async def close(self) -> None:
        """End the call in whatever state it is, and close its responses. May be called again."""
        if self.is_abandoned:
            return
        clock = self._router._now
        now = self._ended_at
        try:
            if self.finish is None:
                now = clock()
                self.call.cancel(now)
                while not isinstance(command := self.call.next_command(clock()), Finish):
                    if isinstance(command, Close):
                        await self._close_attempt(command.attempt)
        finally:
            for attempt in tuple(self._responses):
                await self._close_attempt(attempt)
            self.call.release(now)
            self._closed = True
            self._router._responses.pop(id(self), None)
            self._router._notify_waiters()
            self._report_trace()

    def abandon(self) -> None:
        """End the call from a finaliser. Acquires no lock, awaits nothing and reads no clock.

        The garbage collector may run a finaliser at any allocation, also while this thread holds a lock. So this only
        aborts the connections and appends the call to a queue of the router. The next operation of the router empties
        the queue: it calls `release` and `close_abandoned`. A call that waits for a slot is woken to do so.
        """
        if self._closed or self.is_abandoned:
            return
        self.is_abandoned = True
        for response in tuple(self._responses.values()):
            abort = getattr(response, "abort", None)
            if abort is not None:
                abort()
        self._router._abandoned.append(self)
        self._router._wake_one_waiter()

    def release(self) -> None:
        """Give back the slots of an abandoned call. May be called again."""
        now = self._router._now()
        self.call.cancel(now)
        while not isinstance(self.call.next_command(now), Finish):
            pass  # `close_abandoned` closes every response
        self.call.release(now)

    async def close_abandoned(self) -> None:
        """Close the responses of an abandoned call. Logs errors, because the current caller did not cause them."""
        for attempt in tuple(self._responses):
            try:
                await self._close_attempt(attempt)
            except Exception:
                import logging

                logging.getLogger("turnout").exception("a response that was never closed cannot be closed")
        self._router._responses.pop(id(self), None)
        self._report_trace()

    def __del__(self) -> None:
        self.abandon()

    def result(self) -> Any:
        """Return the result of the call, or raise its error. The call must have ended."""
        assert self.finish is not None
        if self.finish.error is not None:
            raise self.finish.error
        return self.finish.result

    def _report_trace(self) -> None:
        if not self._trace_reported:
            self._trace_reported = True
            self._router._report(self.call)

    async def _close_attempt(self, attempt: int) -> None:
        response = self._responses.get(attempt)
        if response is not None:
            try:
                await self._router._close_response(response)
            except Exception:
                self._responses.pop(attempt, None)  # else the end of the call would try again, and keep its slot
                raise
            self._responses.pop(attempt, None)
        self._router._notify_waiters()
