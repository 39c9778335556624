"""What a process holds, counted where it should hold nothing."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import trio

from turnout_io.drivers.router_base import RouterBase

__all__ = ["Rest", "at_rest", "trio_tasks", "wrong_in_growth", "wrong_in_rest"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
# What a lap may leave for good: interned strings, tables that grow by doubling, pages that the allocator keeps.
_KEPT_BYTES = 300_000
_KEPT_BYTES_A_CALL = 24.0
_KEPT_PAGES = 12_000_000
_KEPT_SHARE_OF_PAGES = 0.08


@attrs.frozen
class Rest:
    """What is held between two laps, when no call is under way.

    calls    that were begun so far
    sockets  of the process
    tasks    of the event loop, or threads
    leases   places that the router says are held
    traced   bytes of Python's objects, by tracemalloc
    rss      bytes of memory of the process
    """

    calls: int
    sockets: int
    tasks: int
    leases: int
    traced: int
    rss: int


def sockets() -> int:
    """The sockets that this process has open. Linux only."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def trio_tasks() -> int:
    """Count the tasks of this run of trio.

    The one that waits for the timers of reads is left out: it ends with the last of them.
    """
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return sum("ReadTimers" not in task.name for task in _with_children(root))


def _with_children(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _with_children(child)


def at_rest(router: RouterBase[Any, Any], calls: int, tasks: int) -> Rest:
    gc.collect()
    with open("/proc/self/statm", "rb") as statm:
        rss = int(statm.read().split()[1]) * _PAGE
    leases = sum(health.in_flight for health in router.health())
    return Rest(calls, sockets(), tasks, leases, tracemalloc.get_traced_memory()[0], rss)


def wrong_in_rest(rest: Rest, before: Rest, idle: int) -> Iterator[str]:
    """What is held that should have been given back. `idle` connections may be kept for reuse."""
    if rest.sockets > before.sockets + idle:
        yield f"{rest.sockets - before.sockets} sockets are open at rest, where {idle} may be kept"
    if rest.tasks > before.tasks:
        yield f"{rest.tasks - before.tasks} tasks or threads are left at rest"
    if rest.leases:
        yield f"{rest.leases} places are held at rest"


def wrong_in_growth(rests: Sequence[Rest]) -> Iterator[str]:
    """What grew from the first of these to the last, beyond what is usual."""
    if len(rests) < 2:
        return
    first, last = rests[0], rests[-1]
    calls = max(1, last.calls - first.calls)
    traced = last.traced - first.traced
    if traced > _KEPT_BYTES + _KEPT_BYTES_A_CALL * calls:
        yield f"memory grew by {traced / 1000:.0f} kB in {calls} calls, {traced / calls:.0f} bytes each"
    pages = last.rss - first.rss
    if pages > _KEPT_PAGES + first.rss * _KEPT_SHARE_OF_PAGES:
        yield f"the process grew by {pages / 1e6:.1f} MB in {calls} calls"
