"""Runs a batch on any router: as many calls at once as allowed, each outcome given to a sink as soon as it is there.

summary = run(router, rows, sink, concurrency=64)          # a blocking router: threads
summary = await run(router, rows, sink, concurrency=64)    # an async router: tasks
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any, overload

import attrs

from turnout.batch.plan import BatchPlan, Begin, Stop, Wait
from turnout.batch.progress import BatchSummary
from turnout.batch.rows import BatchRow
from turnout.chat import ModelConfig
from turnout.errors import TurnoutError
from turnout.routing.call.machine import Call
from turnout_io.batch.worker import Sink, Worker, batch_options
from turnout_io.drivers._async.runtime import AsyncEvent
from turnout_io.drivers._sync.router import SyncRouter
from turnout_io.drivers.hedging import HedgingRouter

__all__ = ["Control", "run"]

DRAIN = 30.0
"""Seconds that calls in flight may take after a run was asked to stop."""

SETUP_DRAIN = 2.0  # seconds; the same after rows failed because of a wrong key

LOOK_EVERY = 0.2
"""Seconds between two looks at whether the run was asked to stop. A signal handler can do no more than set a flag."""


@attrs.define(eq=False)
class Control:
    """Stops a run from a signal handler, another thread or another task, and shows its numbers.

    Attributes:
        drain: Seconds that calls in flight may take after `stop`.
        plan: The plan of the run, for its numbers; None before it began.
    """

    drain: float = DRAIN
    plan: BatchPlan | None = attrs.field(default=None, init=False)
    _stopped_at: float | None = attrs.field(default=None, init=False)
    _cut: bool = attrs.field(default=False, init=False)

    def stop(self) -> None:
        """Begin no further row, and let those in flight end. A second call cuts them off."""
        if self._stopped_at is not None:
            self.cut()
            return
        self._stopped_at = time.monotonic()
        if self.plan is not None:
            self.plan.stop()

    def cut(self) -> None:
        """Begin no further row, and let no call in flight count."""
        self._cut = True
        if self.plan is not None:
            self.plan.stop()

    def note_end(self, plan: BatchPlan) -> None:
        """Note that the plan begins no further row. If all fail, those that wait for a key to be mended are cut off."""
        if self._stopped_at is None and plan.stopped == "setup":
            self._stopped_at = time.monotonic()
            self.drain = min(self.drain, SETUP_DRAIN)

    @property
    def stopped(self) -> bool:
        """True if `stop` was called."""
        return self._stopped_at is not None

    @property
    def over(self) -> bool:
        """True if calls in flight must end now."""
        return self._cut or (self._stopped_at is not None and time.monotonic() >= self._stopped_at + self.drain)


@overload
def run(
    router: SyncRouter,
    rows: Iterable[BatchRow],
    sink: Sink,
    *,
    concurrency: int = ...,
    models: Iterable[ModelConfig] = ...,
    timeout: float | None = ...,
    max_cost: float | None = ...,
    patience: float = ...,
    control: Control | None = ...,
) -> BatchSummary: ...


@overload
def run(
    router: HedgingRouter,
    rows: Iterable[BatchRow],
    sink: Sink,
    *,
    concurrency: int = ...,
    models: Iterable[ModelConfig] = ...,
    timeout: float | None = ...,
    max_cost: float | None = ...,
    patience: float = ...,
    control: Control | None = ...,
) -> Awaitable[BatchSummary]: ...


def run(
    router: SyncRouter | HedgingRouter,
    rows: Iterable[BatchRow],
    sink: Sink,
    *,
    concurrency: int = 64,
    models: Iterable[ModelConfig] = (),
    timeout: float | None = None,
    max_cost: float | None = None,
    patience: float = 3600.0,
    control: Control | None = None,
) -> BatchSummary | Awaitable[BatchSummary]:
    """Answer every row.

    A row that only meets limits waits, for up to `patience` seconds; the router's limits, cooldowns and retries hold as
    for any call. An exception of `sink` ends the run and is raised. One of `rows` is raised after the calls in flight.

    Args:
        router: A router of any driver.
        rows: The rows to answer (`turnout.batch.rows.RowReader` makes them of lines). They are drawn as needed; see
            `BatchPlan.rows` for rows that come slowly.
        sink: Called with each row and its outcome, in the order of completion, by one worker at a time.
        concurrency: Calls at once at most.
        models: What answers every row: a model or a route, and its fallbacks. () uses the rows' own models.
        timeout: Seconds for one attempt.
        max_cost: The highest cost of the run. A row begins only if its highest possible cost is left.
        patience: Seconds for which a row may meet nothing but limits.
        control: To stop the run from elsewhere.

    Returns:
        The summary; for an async router, an awaitable of it.

    Raises:
        ValueError: If `concurrency` is less than 1, or `max_cost` is given and the price of a model is not known.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1, not {concurrency}")
    keep_connections = getattr(router._get_transport(), "keep_connections", None)
    if keep_connections is not None:
        keep_connections(concurrency)  # else most rows would open a connection
    options = batch_options(router._core.policy, timeout=timeout, patience=patience)
    plan = BatchPlan(iter(rows), max_cost=max_cost, patience=patience, rng=random.Random())
    worker = Worker(plan, sink, tuple(models), options, router._core.model_without)
    if max_cost is not None:
        plan.worst_cost = worker.worst_cost
    if isinstance(router, SyncRouter):
        return _ThreadRun(router, worker, concurrency, control or Control()).whole()
    return _run_tasks(router, worker, concurrency, control or Control())


def _summary(plan: BatchPlan, started: float, now: float) -> BatchSummary:
    stopped = plan.stopped or "complete"
    return BatchSummary(
        rows=None,
        skipped=0,
        answered=plan.done,
        failed=plan.failures,
        left=0 if stopped == "complete" else None,
        cost=plan.cost,
        seconds=now - started,
        stopped=stopped,
    )


# -- tasks --------------------------------------------------------------------------------------------------------


async def _run_tasks(router: HedgingRouter, worker: Worker, concurrency: int, control: Control) -> BatchSummary:
    run = _TaskRun(router, worker, concurrency, control)
    return await run.whole()


@attrs.define(eq=False)
class _TaskRun:
    """A run on an async router."""

    router: HedgingRouter
    worker: Worker
    concurrency: int
    control: Control
    left: int = attrs.field(init=False)
    failure: BaseException | None = attrs.field(default=None, init=False)
    calls: dict[BatchRow, Call] = attrs.field(factory=dict, init=False)
    event: AsyncEvent = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.left = self.concurrency
        self.event = self.router._runtime.make_event()

    async def whole(self) -> BatchSummary:
        runtime, plan, control = self.router._runtime, self.worker.plan, self.control
        control.plan = plan
        started = runtime.now()
        async with runtime.task_group() as group:
            cancels = [group.start(self.work) for _ in range(self.concurrency)]
            while self.left and self.failure is None and not control.over:
                if control.stopped or plan.stopped:
                    plan.stop()
                    control.note_end(plan)
                    self.wake()
                if control.stopped:
                    for call in tuple(self.calls.values()):
                        self.router._stop_waiting(call)
                await self.event.wait(LOOK_EVERY)
            for cancel in cancels:
                cancel()
        failure = self.failure or plan.error
        if failure is not None:
            raise failure
        return _summary(plan, started, runtime.now())

    async def work(self) -> None:
        plan, now = self.worker.plan, self.router._runtime.now
        try:
            while True:
                match plan.next(now()):
                    case Begin(row):
                        await self.answer(row)
                        if plan.blocked:
                            self.wake()
                    case Wait(until):
                        await self.event.wait(max(0.0, until - now()))
                    case Stop():
                        return
        except Exception as error:
            self.failure = self.failure or error
        finally:
            self.left -= 1
            self.wake()

    async def answer(self, row: BatchRow) -> None:
        worker, router, now = self.worker, self.router, self.router._runtime.now
        call = worker.prepare(row, now())
        if call is None:
            return
        try:
            response = await router._run(call.operation, worker.options, partial(self.calls.__setitem__, row))
        except TurnoutError as error:
            worker.failed(call, error, now())
        except BaseException:
            worker.plan.abandoned(row)
            raise
        else:
            worker.ended(call, response, now())
        finally:
            self.calls.pop(row, None)

    def wake(self) -> None:
        woken, self.event = self.event, self.router._runtime.make_event()
        woken.set()


# -- threads ------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _ThreadRun:
    """A run on a blocking router."""

    router: SyncRouter
    worker: Worker
    concurrency: int
    control: Control
    failures: list[BaseException] = attrs.field(factory=list, init=False)
    calls: dict[BatchRow, Call] = attrs.field(factory=dict, init=False)
    # The lock of the plan, the sink and the worker's random numbers, notified after each change of the plan.
    changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)

    def whole(self) -> BatchSummary:
        plan, control = self.worker.plan, self.control
        control.plan = plan
        started = time.monotonic()
        threads = [
            threading.Thread(target=self.work, name=f"turnout-batch-{number}", daemon=True)
            for number in range(self.concurrency)
        ]
        try:
            for thread in threads:
                thread.start()
            # A blocking call cannot be cut off: its thread ends with it, or with the process.
            while any(thread.is_alive() for thread in threads) and not control.over and not self.failures:
                with self.changed:
                    if control.stopped or plan.stopped:
                        plan.stop()
                        control.note_end(plan)
                        self.changed.notify_all()
                    if control.stopped:
                        for call in tuple(self.calls.values()):
                            self.router._stop_waiting(call)
                    self.changed.wait(LOOK_EVERY)
        except BaseException:  # KeyboardInterrupt, or no thread can be started
            control.cut()
            raise
        failure = next(iter(self.failures), plan.error)
        if failure is not None:
            raise failure
        return _summary(plan, started, time.monotonic())

    def work(self) -> None:
        try:
            while not self.failures and not self.control.over:
                with self.changed:
                    step = self.worker.plan.next(time.monotonic())
                    if isinstance(step, Wait):
                        self.changed.wait(min(LOOK_EVERY, max(0.0, step.until - time.monotonic())))
                        continue
                if isinstance(step, Stop):
                    return
                self.answer(step.row)
        except BaseException as error:
            self.failures.append(error)
        finally:
            with self.changed:
                self.changed.notify_all()

    def answer(self, row: BatchRow) -> None:
        worker = self.worker
        with self.changed:
            call = worker.prepare(row, time.monotonic())
        if call is None:
            return
        response: Any = None
        failure: TurnoutError | None = None
        try:
            response = self.router._run(call.operation, worker.options, partial(self.calls.__setitem__, row))
        except TurnoutError as error:
            failure = error
        except BaseException:
            with self.changed:
                worker.plan.abandoned(row)
            raise
        finally:
            self.calls.pop(row, None)
        with self.changed:
            if self.control.over:
                worker.plan.abandoned(row)  # the sink may be closed
            elif failure is not None:
                worker.failed(call, failure, time.monotonic())
            else:
                worker.ended(call, response, time.monotonic())
            self.changed.notify_all()
