"""Calls with two attempts at once: each operation runs in a task, and the call continues with the first result.

Only calls that may hedge are driven this way, and only until content was received or one attempt is left. From then on
they run like any other call. Most of them never need a second attempt. So the first one runs in the caller's own task,
until the time at which another may start beside it; its operation then continues in a task. That takes an operation
that can be waited for in parts, as those of Turnout's own transports are.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, assert_never

from turnout.errors import Phase, TimedOut
from turnout.events import Event
from turnout.routing.call.machine import Call
from turnout.routing.commands import Close, Finish, Open, Read, Sleep, WaitForAny
from turnout_io.base import AsyncHttpResponse
from turnout_io.drivers._async.router import AsyncRouter
from turnout_io.drivers._async.run import AsyncRun
from turnout_io.drivers._async.runtime import AsyncEvent, AsyncRuntime
from turnout_io.drivers.async_only import AsyncOnly
from turnout_io.drivers.router_base import MIN_WAIT
from turnout_io.drivers.running_library import refuse_other_library
from turnout_io.drivers.signing import async_sign_request
from turnout_io.drivers.transport_contract import attempt_failure, check_head, check_response, refuse_data

__all__ = ["HedgedRun", "HedgingRouter", "TaskGroup", "TaskRuntime"]


class TaskGroup(Protocol):
    """Tasks that end before their group ends."""

    def start(self, operation: Callable[[], Awaitable[object]]) -> Callable[[], None]:
        """Run `operation` in a task. Returns a function that cancels it."""
        ...


class TaskRuntime(AsyncRuntime, Protocol):
    """A runtime that can run tasks."""

    def task_group(self) -> AbstractAsyncContextManager[TaskGroup]:
        """Return a block that waits for its tasks before it ends."""
        ...


class Opening(Protocol):
    """A request over a connection, until the head of its response (`turnout_io.transports._async.opening`)."""

    async def receive_head(self, seconds: float | None = None) -> AsyncHttpResponse | None: ...

    def close_nowait(self) -> None: ...

    def abort(self) -> None: ...


class HedgingRouter(AsyncOnly, AsyncRouter):
    """A router of a library with tasks, so that a call may have two attempts at once."""

    _hedges = True
    _runtime: TaskRuntime  # pyright: ignore[reportIncompatibleVariableOverride]  # set once, by a subclass

    def _check_loop(self) -> None:
        if self._runtime.token() is None:
            refuse_other_library(self)

    def _new_run(self, call: Call) -> AsyncRun:
        return HedgedRun(self, call) if call.may_hedge else AsyncRun(self, call)


class HedgedRun(AsyncRun):
    """Drives one call that may have two attempts at once."""

    def __init__(self, router: HedgingRouter, call: Call) -> None:
        super().__init__(router, call)
        self._runtime = router._runtime
        self._pending: dict[int, Callable[[], None]] = {}  # the operations that run, with the function that cancels
        self._events: tuple[Event, ...] = ()
        self._error: Exception | None = None
        self._event: AsyncEvent | None = None
        self._started = False
        self._alone: Open | Read | None = None  # the operation that runs in the caller's own task
        self._beside: Open | Read | None = None  # one that was due before that one had ended
        self._openings: dict[int, Opening] = {}  # of the attempts that can be waited for in parts

    async def step(self) -> tuple[Event, ...]:
        """Perform commands until there are events or the call has ended. See `AsyncRun.step`."""
        if self.is_interrupted or (self._started and not self.call.hedging):
            return await super().step()
        self._started = True
        is_complete = await self._step_in(None)
        if is_complete is None:
            async with self._runtime.task_group() as group:
                is_complete = await self._step_in(group)
        # Not raised inside the block, because a task group wraps errors.
        if self._error is not None:
            raise self._error
        events, self._events = self._events, ()
        return events if is_complete else await super().step()

    async def interrupt(self) -> None:
        """Make a `step` that is running in another task return soon. See `AsyncRun.interrupt`."""
        await super().interrupt()
        self._close_openings()
        self._wake()

    async def close(self) -> None:
        """End the call in whatever state it is. See `AsyncRun.close`."""
        self._close_openings()
        await super().close()

    def abandon(self) -> None:
        """End the call from a finaliser. See `AsyncRun.abandon`."""
        if not self._closed:
            for opening in tuple(self._openings.values()):
                opening.abort()
        super().abandon()

    async def _step_in(self, group: TaskGroup | None) -> bool | None:
        """Perform commands: with tasks, or without a group in the caller's own task as long as that is possible.

        Returns:
            True if there are events or the call has ended. False if one attempt is left and there are no events yet.
            None if a group is needed.
        """
        call, clock = self.call, self._router._now
        if group is not None and self._alone is not None:
            alone, self._alone = self._alone, None
            self._start_operation(group, alone)
            if self._beside is not None:
                self._start_operation(group, self._beside)
                self._beside = None
            if alone.attempt in self._pending and not call.hedging:
                await self._wait(math.inf)  # no candidate is left for a second attempt, so nothing else can happen
        while self._error is None and not self.is_interrupted:
            if not self._pending:
                if self._events:
                    return True
                if call.no_more_hedges:
                    return False
            command = call.next_command(clock())
            self._router._notify_waiters()
            match command:
                case Open(attempt) | Read(attempt):
                    if group is not None:
                        self._start_operation(group, command)
                    elif self._alone is not None:
                        self._pending[attempt], self._beside = _nothing, command
                        return None
                    elif not self._start_alone(command):
                        return None
                    if attempt in self._pending and not call.hedging:
                        if group is not None:
                            await self._wait(math.inf)
                        elif not await self._run_alone(math.inf):
                            return None
                case WaitForAny(until):
                    if group is not None:
                        await self._wait(max(0.0, until - clock()))
                    elif not await self._run_alone(until):
                        return None
                case Sleep(until):
                    await self._router._sleep(self, until)
                case Close(attempt):
                    self._cancel(attempt)
                    await self._close_attempt(attempt)
                case Finish():
                    self.finish, self._ended_at = command, clock()
                    return True
                case _:
                    assert_never(command)
        for cancel in self._pending.values():
            cancel()
        self._pending.clear()
        return True

    def _cancel(self, attempt: int) -> None:
        """End the operation of an attempt, if one runs."""
        cancel = self._pending.pop(attempt, None)
        if cancel is not None:
            cancel()
        if self._alone is not None and self._alone.attempt == attempt:
            self._alone = None
        opening = self._openings.pop(attempt, None)
        if opening is not None:
            opening.close_nowait()  # a task that is cancelled before its first step does not close it

    def _close_openings(self) -> None:
        for opening in tuple(self._openings.values()):
            opening.close_nowait()

    def _start_operation(self, group: TaskGroup, command: Open | Read) -> None:
        # Pending before the task starts: an eager task may have ended when `start` returns.
        self._pending[command.attempt] = _nothing
        cancel = group.start(partial(self._run_operation, command))
        if command.attempt in self._pending:
            self._pending[command.attempt] = cancel

    def _start_alone(self, command: Open | Read) -> bool:
        """Take an operation for the caller's own task. Returns False if it cannot be waited for in parts."""
        self._pending[command.attempt] = _nothing
        self._alone = command
        transport: Any = self._router._get_transport()
        if not getattr(transport, "waits_in_parts", False):
            return False
        if isinstance(command, Read):
            return True  # responses of such a transport can be read again after a read that timed out
        if command.request.auth is not None:
            return False
        try:
            opening: Opening | None = transport.open_reused(command.request, command.timeouts)
        except Exception:
            return False  # `open` raises it again, where it is a failure of the attempt
        if opening is None:
            return False
        self._openings[command.attempt] = opening
        return True

    async def _run_alone(self, until: float) -> bool:
        """Run the operation of the caller's own task until this time. Returns False if it has not ended."""
        command = self._alone
        assert command is not None
        if not await self._run_operation(command, until):
            return False
        self._alone = None
        return True

    async def _wait(self, seconds: float) -> None:
        """Wait for the result of any operation."""
        self._event = self._runtime.make_event()
        await self._event.wait(seconds)
        self._event = None

    async def _run_operation(self, command: Open | Read, until: float = math.inf) -> bool:
        """Run one operation and report its result, unless the attempt was closed meanwhile.

        Returns:
            False if it has not ended at the time `until`. It can be continued.
        """
        attempt = command.attempt
        if attempt not in self._pending:
            return True  # closed before the first step of this task; trio runs a cancelled task to its first checkpoint
        transport, clock = self._router._transport, self._router._now
        try:
            match command:
                case Open(_, request, timeouts):
                    transport = self._router._get_transport()
                    response: AsyncHttpResponse | None
                    opening = self._openings.get(attempt)
                    if opening is not None:
                        # The two clocks may differ, so the length of the wait counts and not its end.
                        response = await opening.receive_head(None if until == math.inf else until - clock())
                        if response is None:
                            return False
                    else:
                        signed = await async_sign_request(request)
                        response = await transport.open(signed, timeouts)
                    self._responses[attempt] = response  # first, as in `AsyncRun.step`
                    self._openings.pop(attempt, None)
                    check_response(transport, self._responses, attempt, "aclose")
                    if attempt not in self._pending:
                        await self._close_attempt(attempt)
                        return True
                    report = partial(self.call.receive_head, attempt, *check_head(transport, response))
                case Read(_, bound, idle):
                    now = clock()
                    seconds, at_most = max(MIN_WAIT, min(idle, bound - now)), max(MIN_WAIT, until - now)
                    try:
                        data = await self._responses[attempt].read(min(seconds, at_most))
                    except TimedOut:
                        if at_most < seconds:
                            return False
                        raise
                    if not isinstance(data, bytes):
                        refuse_data(transport, data)
                    report = (
                        partial(self.call.receive_data, attempt, data)
                        if data
                        else partial(self.call.receive_end, attempt)
                    )
        except Exception as error:
            failure = attempt_failure(transport, error, Phase.BODY if isinstance(command, Read) else Phase.SENT)
            if failure is None:
                self._error = error
            self._openings.pop(attempt, None)
            if failure is None or self.is_interrupted:
                self._wake()
                return True
            report = partial(self.call.receive_failure, attempt, failure)
        # Between the result and the Close of one attempt, the other may have won.
        if self._pending.pop(attempt, None) is not None and self.call.is_running(attempt):
            self._events += report(clock())
            self._wake()
        return True

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()


def _nothing() -> None:
    """Cancel an operation that has not started."""
