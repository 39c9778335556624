"""The timers of reads on trio: every wait ends at its own deadline, whatever timers were set before. Virtual time."""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from turnout_io.transports.byte_streams import PlainStream
from turnout_io.transports.socket_runtime import Interrupted
from turnout_io.transports.trio import TrioSocketRuntime
from turnout_io.transports.trio_timers import COMPACT_ABOVE, ReadTimers, timers_of_run

T = TypeVar("T")


def in_virtual_time(steps: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    return trio.run(steps, *arguments, clock=trio.testing.MockClock(autojump_threshold=0))


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


@attrs.frozen
class Wait:
    """A wait of one reader: how many ms it may take, after how many the bytes arrive, and how long it is idle then."""

    timeout: int | None
    arrives: int | None
    idle: int

    @property
    def expected(self) -> tuple[bool, int]:
        """Whether there are bytes in time, and when the wait ends."""
        arrives = math.inf if self.arrives is None else self.arrives
        if self.timeout is not None and self.timeout < arrives:
            return False, self.timeout
        return True, int(arrives)


# Odd times for bytes and even ones for deadlines: they never meet, so that it is clear which is the first.
WAITS = st.builds(
    Wait,
    st.one_of(st.none(), st.integers(0, 40).map(lambda half: 2 * half)),
    st.integers(0, 60).map(lambda half: 2 * half + 1),
    st.integers(0, 20).map(lambda half: 2 * half),
) | st.builds(Wait, st.integers(0, 40).map(lambda half: 2 * half), st.none(), st.just(0))


async def read_all(waits: Sequence[Wait]) -> list[tuple[bool, int]]:
    ours, theirs = pair()
    with closing(ours), closing(theirs):
        reader, results = TrioSocketRuntime().reader(PlainStream(ours)), []

        async def write(after: int) -> None:
            await trio.sleep(after / 1e3)
            theirs.send(b"x")

        for wait in waits:
            async with trio.open_nursery() as nursery:
                began = trio.current_time()
                if wait.arrives is not None:
                    nursery.start_soon(write, wait.arrives)
                deadline = None if wait.timeout is None else began + wait.timeout / 1e3
                in_time = await reader.wait(deadline)
                results.append((in_time, round((trio.current_time() - began) * 1e3)))
            if wait.arrives is not None:
                assert ours.recv(1) == b"x"
            await trio.sleep(wait.idle / 1e3)
        reader.close()
        return results


@given(st.lists(st.lists(WAITS, min_size=1, max_size=5), min_size=1, max_size=4))
def test_every_wait_ends_with_its_bytes_or_at_its_deadline(readers: list[list[Wait]]) -> None:
    async def all_at_once() -> list[list[tuple[bool, int]]]:
        results: list[list[tuple[bool, int]]] = [[] for _ in readers]

        async def one(index: int) -> None:
            results[index] = await read_all(readers[index])

        async with trio.open_nursery() as nursery:
            for index in range(len(readers)):
                nursery.start_soon(one, index)
        return results

    assert in_virtual_time(all_at_once) == [[wait.expected for wait in waits] for waits in readers]


def test_later_deadlines_need_no_further_timer() -> None:
    async def many_reads() -> int:
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            reader = TrioSocketRuntime().reader(PlainStream(ours))
            theirs.send(b"x")
            for second in range(100):
                assert await reader.wait(60.0 + second)
            return len(timers_of_run()._heap)

    assert in_virtual_time(many_reads) == 1


def test_an_interrupted_wait_is_no_timeout_after_a_timer_that_was_too_late() -> None:
    async def steps() -> None:
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            reader = TrioSocketRuntime().reader(PlainStream(ours))
            theirs.send(b"x")
            assert await reader.wait(10.0)
            assert ours.recv(1) == b"x"
            reader.end_wait()  # a timer that came in the moment of the bytes

            async def interrupt() -> None:
                await trio.testing.wait_all_tasks_blocked()
                reader.interrupt()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(interrupt)
                with pytest.raises(Interrupted):
                    await reader.wait(10.0)

    in_virtual_time(steps)


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    async def steps() -> bool:
        ours, theirs = pair()
        with closing(ours), closing(theirs):
            reader = TrioSocketRuntime().reader(PlainStream(ours))
            with trio.move_on_after(1.0) as scope:
                await reader.wait(5.0)
            assert scope.cancelled_caught
            assert reader.deadline is None
            return await reader.wait(trio.current_time() + 8.0)

    assert not in_virtual_time(steps)


@attrs.define(eq=False)
class Recorded:
    deadline: float | None
    timer_at: float = math.inf
    ended_at: float | None = None

    def end_wait(self) -> None:
        self.ended_at = trio.current_time()


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=4 * COMPACT_ABOVE))
def test_timers_that_were_cancelled_take_no_room(timers: list[tuple[int, bool]]) -> None:
    async def steps() -> None:
        made = ReadTimers()
        reads = [Recorded(float(at)) for at, _ in timers]
        for read, (at, is_kept) in zip(reads, timers, strict=True):
            made.set(read, float(at) + 1.0)
            made.set(read, float(at))  # an earlier one in its place
            if not is_kept:
                read.deadline = None
                made.cancel(read)
        kept = sum(is_kept for _, is_kept in timers)
        assert len(made._heap) <= 2 * kept + COMPACT_ABOVE + 1
        await trio.sleep(60.0)
        assert [read.ended_at for read in reads] == [float(at) if is_kept else None for at, is_kept in timers]
        assert not made._heap

    in_virtual_time(steps)


def test_the_soonest_timer_is_the_first() -> None:
    async def steps() -> list[float | None]:
        made = ReadTimers()
        reads = [Recorded(at) for at in (9.0, 3.0, 6.0)]
        for read in reads:
            await trio.sleep(0.5)
            made.set(read, read.deadline or 0.0)
        await trio.sleep(20.0)
        return [read.ended_at for read in reads]

    assert in_virtual_time(steps) == [9.0, 3.0, 6.0]
