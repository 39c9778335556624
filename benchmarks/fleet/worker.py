"""One process of a fleet: it shares a limit over a real store, and writes down each amount that it spends.

It is started by `benchmarks.fleet.stage`, with its orders as JSON in the first argument. It prints `ready`, reads the
time at which to begin, and prints its report as JSON in the end.
Times are those of the kernel's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import struct
import sys
import time
from collections import deque
from collections.abc import Iterable

import attrs
import trio

from turnout.shared.bell import Bell
from turnout.shared.state import SharedState, Sharing
from turnout.shared.store.session import ScriptCall, SessionEvent
from turnout_io.shared.link import Link
from turnout_io.shared.valkey import Valkey
from turnout_io.transports.trio import TrioSocketRuntime

__all__ = ["Orders", "Port", "main"]


@attrs.frozen(kw_only=True)
class Orders:
    """What one process does.

    Attributes:
        url: The store; "" for none, to see what a call costs without sharing.
        name: This process.
        limit: At most so much in any `window` seconds.
        rate: Requests a second that it would like to send.
        amount: What one request counts for.
        queue: Requests that wait at most.
        seconds: How long it works; waits count from `judged_from` on.
        log: The file for what it spends: two doubles for each, the time and the amount.
    """

    url: str
    namespace: str
    name: str
    limit: int
    window: float
    burst: int | None = None
    fail: str = "local-share"
    rate: float
    amount: int = 1
    queue: int = 200
    seconds: float
    judged_from: float
    seed: int
    log: str


@attrs.define(eq=False)
class Port:
    """The state as its link sees it; one thread, so no lock."""

    state: SharedState
    sent: int = 0
    counts_money: bool = False

    @property
    def bell(self) -> Bell:
        return self.state.bell

    @property
    def channel(self) -> str:
        return self.state.channel

    @property
    def stale(self) -> bool:
        return self.state.notices.stale

    def due(self, now: float) -> float:
        return self.state.due(now)

    def calls(self, now: float, *, leaving: bool = False) -> list[ScriptCall]:
        calls = self.state.calls(now, leaving=leaving)
        self.sent += len(calls)
        return calls

    def receive(self, events: Iterable[SessionEvent], now: float) -> None:
        self.state.receive(events, now)

    def lost(self, reason: str, now: float) -> None:
        self.state.lost(reason, now)

    def found(self, now: float) -> None:
        self.state.found(now)


class _Spender:
    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        sharing = Sharing(namespace=orders.namespace, fail=orders.fail)  # type: ignore[arg-type]  # checked by attrs
        self.port = Port(SharedState(sharing, orders.name))
        self.lease = self.port.state.window("limit", orders.limit, seconds=orders.window, burst=orders.burst)
        self.link: Link | None = None
        self.waiting: deque[float] = deque()
        self.waits: list[float] = []
        self.served = 0
        self.start = math.inf
        self.log = os.open(orders.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._timer = math.inf

    def serve(self) -> None:
        """Let in those who wait, first come, first served."""
        amount, lease = self.orders.amount, self.lease
        while self.waiting:
            now = time.monotonic()
            if self.link is not None:
                wait = lease.wait(amount, now)
                if wait > 0:
                    for _ in range(min(20, len(self.waiting) - 1)):
                        lease.wait(amount, now)
                    self._timer = now + wait
                    break
                lease.take(amount, now)
            since = self.waiting.popleft()
            # Written at once, so that what a killed process spent is known.
            os.write(self.log, struct.pack("dd", now, float(amount)))
            if since >= self.start + self.orders.judged_from:
                self.waits.append(time.monotonic() - since)
            self.served += 1
        if self.link is not None and self.port.bell.rung:
            self.link.wake()

    async def arrivals(self) -> None:
        orders, rng = self.orders, random.Random(self.orders.seed)
        self.start = float(await trio.to_thread.run_sync(_ready))
        await trio.sleep(max(0.0, self.start - time.monotonic()))
        end = self.start + orders.seconds
        at = time.monotonic()
        while at < end:
            at += rng.expovariate(orders.rate)
            while time.monotonic() < at:
                self.serve()
                # A process that was stopped, and a wait that ends without an answer of the store, go on here.
                await trio.sleep(max(0.0, min(at - time.monotonic(), 0.05)))
            if len(self.waiting) < orders.queue:
                self.waiting.append(time.monotonic())
                self.serve()

    async def main(self) -> None:
        if not self.orders.url:
            await self.arrivals()
            return
        valkey = Valkey(self.orders.url, namespace=self.orders.namespace)
        self.link = Link(valkey, self.port, TrioSocketRuntime(), time.monotonic, self.serve)
        try:
            await self.link.open()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.link.run)
                await self.arrivals()
                self.link.stop()
        finally:
            self.link.close()

    def report(self) -> dict[str, object]:
        waits = sorted(self.waits)

        def quantile(share: float) -> float | None:
            return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else None

        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "name": self.orders.name,
            "requests": self.served,
            "sent": self.port.sent,
            "p50": quantile(0.5),
            "p99": quantile(0.99),
            "max": waits[-1] if waits else None,
            "cpu": used.ru_utime + used.ru_stime,
            "resyncs": self.lease.resyncs,
            "overspent": self.lease.overspent,
        }


def _ready() -> str:
    print("ready", flush=True)
    return sys.stdin.readline()


def main() -> None:
    """Follow the orders."""
    orders = Orders(**json.loads(sys.argv[1]))
    spender = _Spender(orders)
    trio.run(spender.main)
    os.close(spender.log)
    print(json.dumps(spender.report()))


if __name__ == "__main__":
    main()
