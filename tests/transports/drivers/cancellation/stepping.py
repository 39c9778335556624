"""Cancels an operation at its n-th step. A step is an `await` that waits."""

from __future__ import annotations

import asyncio
import contextvars
import enum
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal

import trio

from benchmarks.soak.resources import trio_tasks

__all__ = ["Moment", "Result", "cancelled_at", "tasks_now"]


class Moment(enum.StrEnum):
    WAITING = "waiting"  # the task waits in the `await` when it is cancelled
    WOKEN = "woken"  # the wait has ended when the task is cancelled, but the task has not continued yet


Result = Literal["cancelled", "over", "not reached"]
"""The result: cancelled; ended in spite of the cancellation; ended before its n-th step."""

Deed = Callable[[], Awaitable[object]]


async def cancelled_at(runtime: str, step: int, moment: Moment, deed: Deed) -> Result:
    """Run `deed`, and cancel it at this step. The steps of all its tasks are counted together, from 1.

    Raises:
        Exception: The error that `deed` raises.
    """
    if runtime == "trio":
        return await _on_trio(step, moment, deed)
    return await _on_asyncio(step, moment, deed)


def tasks_now(runtime: str) -> int:
    """Return the number of tasks that exist now, including those of the library itself."""
    return trio_tasks() if runtime == "trio" else len(asyncio.all_tasks())


# Child tasks inherit it, so the steps in a task group of `deed` are counted too.
_counted: contextvars.ContextVar[object] = contextvars.ContextVar("counted", default=None)


class _Instrument(trio.abc.Instrument):
    def __init__(self, mark: object, step: int, moment: Moment) -> None:
        self.scope: trio.CancelScope | None = None
        self.left = step
        self._mark = mark
        self._moment = moment

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._moment is Moment.WOKEN:
            self._count(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._moment is Moment.WAITING:
            self._count(task)

    def _count(self, task: trio.lowlevel.Task) -> None:
        if self.scope is None or task.context.get(_counted) is not self._mark:
            return
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def _on_trio(step: int, moment: Moment, deed: Deed) -> Result:
    mark = object()
    instrument = _Instrument(mark, step, moment)

    async def counted() -> None:
        with trio.CancelScope() as instrument.scope:
            await deed()

    trio.lowlevel.add_instrument(instrument)
    before = _counted.set(mark)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counted)
            _counted.reset(before)
    finally:
        trio.lowlevel.remove_instrument(instrument)
    assert instrument.scope is not None
    if instrument.scope.cancelled_caught:
        return "cancelled"
    return "over" if instrument.left <= 0 else "not reached"


class _Steps:
    """Runs a coroutine and counts its waits."""

    def __init__(self, steps: Coroutine[Any, Any, Any], wait: Callable[[asyncio.Future[Any] | None], None]) -> None:
        self._steps = steps
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, Any]:
        # `yield from` would hide the futures. The code that waits for a future reads its result.
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = self._steps.send(None) if thrown is None else self._steps.throw(thrown)
            except StopIteration as end:
                return end.value
            thrown = None
            self._wait(waited_for)
            try:
                yield waited_for
            except BaseException as error:
                thrown = error


async def _on_asyncio(step: int, moment: Moment, deed: Deed) -> Result:
    loop = asyncio.get_running_loop()
    left = step
    task: asyncio.Task[Any] | None = None

    def cancel(_: object = None) -> None:
        assert task is not None
        task.cancel()

    def wait(waited_for: asyncio.Future[Any] | None) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if moment is Moment.WAITING or waited_for is None:
                cancel()
            else:
                # Called before the task's own callback, which is added only when this future has been yielded.
                waited_for.add_done_callback(cancel)

    def make_task(_: asyncio.AbstractEventLoop, steps: Any, **options: Any) -> asyncio.Task[Any]:
        async def counted() -> Any:
            return await _Steps(steps, wait)

        return asyncio.Task(counted(), loop=loop, **options)

    async def run() -> None:
        await deed()

    factory = loop.get_task_factory()
    loop.set_task_factory(make_task)
    try:
        task = loop.create_task(run())
        await asyncio.wait({task})
    finally:
        loop.set_task_factory(factory)
    if task.cancelled():
        return "cancelled"
    task.result()
    return "over" if left <= 0 else "not reached"
