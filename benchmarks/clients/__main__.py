"""A client in a process of its own: `python -m benchmarks.clients NAME`, driven by `benchmarks.clients.worker`.

It reads one order a line from standard input, as JSON, and answers each with a line of JSON: the CPU and wall seconds
that the work needed, and what it brought. An order opens a session, warms it up, and does its work that many times.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.clients.interface import AsyncClient, AsyncSession, Client, Session, Streamed

OWN = ("socket", "trio", "asyncio", "requests", "requests-session")


def _client(name: str) -> Client | AsyncClient:
    module = "own" if name in OWN else "by_hand" if name.startswith("hand-") else "peers"
    client: Client | AsyncClient = importlib.import_module(f"benchmarks.clients.{module}").CLIENTS[name]
    return client


def _peak_kib() -> int:
    """Return the largest resident size of this process; 0 where Linux's `/proc` is not there.

    `getrusage` does not do: its maximum is that of the parent if the parent was larger.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except FileNotFoundError:
        return 0


class _Meter:
    """CPU and wall seconds of this process between its making and `report`."""

    def __init__(self) -> None:
        gc.collect()
        self._wall = time.perf_counter()
        self._cpu = self._spent()

    def _spent(self) -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def report(self, **more: Any) -> dict[str, Any]:
        cpu, wall = self._spent() - self._cpu, time.perf_counter() - self._wall
        return {"cpu": cpu, "wall": wall, "peak_kib": _peak_kib(), **more}


def _blocking(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    with client.open(order["base_urls"]) as session:
        prepared = session.prepare(order.get("history", ()))
        for _ in range(order.get("warm_up", 2)):
            _one(session, order["work"], prepared)
        meter, total = _Meter(), 0
        for _ in range(order["times"]):
            total += _one(session, order["work"], prepared)
        return meter.report(total=total)


def _one(session: Session, work: str, prepared: Any) -> int:
    if work == "chat":
        return session.chat(prepared)
    return session.embed() if work == "embed" else session.stream().characters


async def _concurrent(client: AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    async with client.open(order["base_urls"]) as session:
        if order["work"] == "together":
            return await _together(session, order)
        prepared = session.prepare(order.get("history", ()))
        for _ in range(order.get("warm_up", 2)):
            await _one_async(session, order["work"], prepared)
        meter, total = _Meter(), 0
        for _ in range(order["times"]):
            total += await _one_async(session, order["work"], prepared)
        return meter.report(total=total)


async def _one_async(session: AsyncSession, work: str, prepared: Any) -> int:
    if work == "chat":
        return await session.chat(prepared)
    return await session.embed() if work == "embed" else (await session.stream()).characters


async def _together(session: AsyncSession, order: dict[str, Any]) -> dict[str, Any]:
    """Many streams at once, each in a task. Their starts are spread over `spread` seconds."""
    await session.stream()
    meter, begun = _Meter(), time.perf_counter()
    results: list[Streamed] = []
    waits: list[float] = []
    lengths: list[float] = []
    count, spread = order["times"], order.get("spread", 0.0)

    async def one(place: int) -> None:
        if spread:
            await _sleep(begun + spread * place / count - time.perf_counter())
        asked = time.perf_counter()
        result = await session.stream()
        results.append(result)
        waits.append(result.first_at - asked)
        lengths.append(time.perf_counter() - asked)

    await _gather(one, count)
    return meter.report(
        total=sum(result.characters for result in results), first=_quantiles(waits), length=_quantiles(lengths)
    )


def _threads(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Many streams at once, each in a thread of its own."""
    from concurrent.futures import ThreadPoolExecutor

    count = order["times"]
    with client.open(order["base_urls"]) as session, ThreadPoolExecutor(count) as pool:
        session.stream()
        meter = _Meter()

        def one(_: int) -> tuple[int, float, float]:
            asked = time.perf_counter()
            result = session.stream()
            return result.characters, result.first_at - asked, time.perf_counter() - asked

        done = list(pool.map(one, range(count)))
        return meter.report(
            total=sum(characters for characters, _, _ in done),
            first=_quantiles([first for _, first, _ in done]),
            length=_quantiles([length for _, _, length in done]),
        )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return {name: ordered[round(last * share)] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def _on_trio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


async def _sleep(seconds: float) -> None:
    if _on_trio():
        import trio

        await trio.sleep(max(0.0, seconds))
    else:
        await asyncio.sleep(max(0.0, seconds))


async def _gather(one: Any, count: int) -> None:
    if _on_trio():
        import trio

        async with trio.open_nursery() as nursery:
            for place in range(count):
                nursery.start_soon(one, place)
    else:
        await asyncio.gather(*map(one, range(count)))


def _do(client: Client | AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    if isinstance(client, Client):
        return _threads(client, order) if order["work"] == "together" else _blocking(client, order)
    done: dict[str, Any] = client.run(lambda: _concurrent(client, order))
    return done


def main(name: str) -> None:
    """Do the orders of standard input."""
    client = _client(name)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin:
        print(json.dumps(_do(client, json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
