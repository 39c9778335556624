"""A call with two attempts at once, in async code: each operation runs in a task of its own until one attempt wins.

Before the first content and only where the policy hedges; after it everything is done in the caller's task again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import assert_never

from turnout.errors import AuthenticationFailed, RemoteProtocolError, TransportError
from turnout.events import Event
from turnout.routing.call.machine import Call
from turnout.routing.commands import Close, Finish, Open, Read, Sleep, WaitForAny
from turnout_io.drivers.async_driver import AsyncRouter, Group, Run, Waker, sign_request
from turnout_io.drivers.router_base import LEAST_WAIT

__all__ = ["HedgedRun"]


class HedgedRun(Run):
    """One call being driven whose operations may overlap."""

    def __init__(self, router: AsyncRouter, call: Call) -> None:
        super().__init__(router, call)
        self._under_way: dict[int, Callable[[], None]] = {}
        self._events: tuple[Event, ...] = ()
        self._raised: Exception | None = None
        self._waker: Waker | None = None
        self._begun = False

    async def step(self) -> tuple[Event, ...]:
        """Do what the call says until there are events or it is over."""
        if self._begun and not self.call.in_flight.overlapping:
            return await super().step()
        self._begun = True
        async with self._router._runtime.group() as group:
            over = await self._step_in(group)
        # Raised out here: a group would wrap it.
        if self._raised is not None:
            raise self._raised
        events, self._events = self._events, ()
        return events if over else await super().step()

    async def _step_in(self, group: Group) -> bool:
        """The same, with tasks; False where nothing overlaps any more and there is nothing to tell yet."""
        call, clock = self.call, self._router._now
        while self._raised is None:
            if not self._under_way:
                if self._events:
                    return True
                if call.settled:
                    return False
            command = call.next_command(clock())
            self._router._wake()
            match command:
                case Open(attempt) | Read(attempt):
                    self._begin(group, command)
                    if attempt in self._under_way and not call.in_flight.overlapping:
                        await self._wait(math.inf)
                case WaitForAny(until):
                    await self._wait(max(0.0, until - clock()))
                case Sleep(until):
                    await self._router._sleep(call, until)
                case Close(attempt):
                    cancel = self._under_way.pop(attempt, None)
                    if cancel is not None:
                        cancel()
                    await self._drop(attempt)
                case Finish():
                    self.finish = command
                    return True
                case _:
                    assert_never(command)
        for cancel in self._under_way.values():
            cancel()
        self._under_way.clear()
        return True

    def _begin(self, group: Group, command: Open | Read) -> None:
        # Under way before it is begun: an eager task may be over when `start` returns.
        self._under_way[command.attempt] = _nothing
        cancel = group.start(partial(self._perform, command))
        if command.attempt in self._under_way:
            self._under_way[command.attempt] = cancel

    async def _wait(self, seconds: float) -> None:
        """Until an operation has its outcome."""
        self._waker = self._router._runtime.make_waker()
        await self._waker.wait(seconds)
        self._waker = None

    async def _perform(self, command: Open | Read) -> None:
        """One operation to its outcome, which is told unless the attempt was dropped meanwhile."""
        attempt = command.attempt
        if attempt not in self._under_way:
            return  # dropped before this task, which trio runs to its first checkpoint all the same, had its first turn
        try:
            match command:
                case Open(_, request, timeouts):
                    response = await self._router._network().open(await sign_request(request), timeouts)
                    if attempt not in self._under_way:
                        await self._router._close(response)
                        return
                    self._responses[attempt] = response
                    told = partial(self.call.receive_head, attempt, response.status, response.headers)
                case Read(_, until, idle):
                    data = await self._responses[attempt].read(max(LEAST_WAIT, min(idle, until - self._router._now())))
                    told = (
                        partial(self.call.receive_data, attempt, data)
                        if data
                        else partial(self.call.receive_end, attempt)
                    )
        except (TransportError, RemoteProtocolError, AuthenticationFailed) as error:
            told = partial(self.call.receive_failure, attempt, error)
        except Exception as error:  # a user's own code, in a key that is made or a transport: the caller's to see
            self._raised = error
            self._wake()
            return
        # Between the outcome and the Drop of one attempt, the other may have won.
        if self._under_way.pop(attempt, None) is not None and self.call.in_flight.is_on(attempt):
            self._events += told(self._router._now())
            self._wake()

    def _wake(self) -> None:
        if self._waker is not None:
            self._waker.set()


def _nothing() -> None:
    """Cancels what has not begun."""
