"""What large inputs cost: time that grows as the input does, and memory that is bounded."""

from __future__ import annotations

import gc
import json
import random
import tracemalloc
from collections.abc import Callable, Sequence

from benchmarks.clients.worker import least_of_rounds
from benchmarks.measure import least_cpu
from benchmarks.report import Context, Ratio, Report, Table
from benchmarks.routing import routed
from benchmarks.server.routes import CALL, CHUNK, route_named
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.messages import Message
from turnout.providers import create
from turnout.routing.router import RouterCore

__all__ = ["flat_memory", "large_inputs", "linear_time"]


def _request() -> ChatRequest:
    return ChatRequest(ModelConfig("openai", "m"), [Message.user("hello")])


def _stream(reads: Sequence[bytes]) -> None:
    exchange = create("openai", api_key="k").stream(_request())
    exchange.receive_head(200, [("content-type", "text/event-stream")])
    for data in reads:
        exchange.receive_data(data)
    exchange.receive_end()
    assert exchange.failure is None, exchange.failure


def _embedding(reads: Sequence[bytes]) -> None:
    exchange = create("openai", api_key="k").embed(EmbeddingRequest(ModelConfig("openai", "m"), ["x"]))
    exchange.receive_head(200, [("content-type", "application/json")])
    for data in reads:
        exchange.receive_data(data)
    exchange.receive_end()
    assert exchange.failure is None, exchange.failure


def _event(delta: dict[str, object], finish: str | None = None) -> bytes:
    chunk = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


_LAST = _event({}, "stop") + b"data: [DONE]\n\n"


def _in_reads(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def _one_event(size: int) -> list[bytes]:
    return _in_reads(_event({"content": "x" * size}) + _LAST, 1_460)


def _single_bytes(size: int) -> list[bytes]:
    return _in_reads(CHUNK * (size // len(CHUNK)) + _LAST, 1)


def _tiny_events(count: int) -> list[bytes]:
    return _in_reads(_event({"content": "x"}) * count + _LAST, 65_536)


def _tool_calls(count: int) -> list[bytes]:
    calls = (
        _event({"tool_calls": [{"index": n, "id": f"call_{n}", "function": {"name": "f", "arguments": "{}"}}]})
        for n in range(count)
    )
    return _in_reads(b"".join(calls) + _LAST, 16_384)


def _vectors(rows: int) -> list[bytes]:
    whole = route_named("vectors-text").head.partition(b"\r\n\r\n")[2]
    one = json.dumps(json.loads(whole)["data"][0]["embedding"])
    entries = (f'{{"object":"embedding","index":{index},"embedding":{one}}}' for index in range(rows))
    return _in_reads(f'{{"object":"list","data":[{",".join(entries)}]}}'.encode(), 65_536)


# Name, what makes the reads, for how many, what reads them, and whether they are one event whose memory is bounded.
_CASES: tuple[tuple[str, Callable[[int], list[bytes]], int, Callable[[Sequence[bytes]], None], bool], ...] = (
    ("one event of 5 MB", _one_event, 5_000_000, _stream, True),
    ("265 KB in reads of 1 byte", _single_bytes, 265_000, _stream, False),
    ("10,000 tiny events in reads of 64 KiB", _tiny_events, 10_000, _stream, False),
    ("10,000 tool calls", _tool_calls, 10_000, _stream, False),
    ("an embedding reply of 50 MB", _vectors, 2_900, _embedding, True),
)


def large_inputs(context: Context) -> Report:
    """Measure inputs of a size and of half of it: twice the input, twice the time.

    A tenth of some inputs fits into the caches of the processor and the whole does not, which alone doubles its time.
    """
    rows, ratios = [], []
    for name, make, full, run, bounded in _CASES:
        size = context.times(full, 100)
        small, large = make(size // 2), make(size)
        times = [least_cpu(lambda: run(reads), context.rounds) for reads in (small, large)]  # noqa: B023 - run at once
        peak = _peak(lambda: run(large))  # noqa: B023 - as above
        total = sum(map(len, large))
        rows.append((name, f"{total:,}", f"{times[1] * 1e3:.1f}", f"{times[1] / times[0]:.1f}", f"{peak / total:.2f}"))
        ratios.append(Ratio(f"{name}: time over that of half of it", times[1] / times[0], 2.5))
        if bounded:
            ratios.append(Ratio(f"{name}: peak memory over its size", peak / total, 3.0))
    columns = ("input", "bytes", "ms of CPU", "over half of it", "peak memory over bytes")
    return Report(
        "large inputs", (Table("Inputs as exchanges read them, no I/O", columns, tuple(rows)),), tuple(ratios)
    )


def _peak(run: Callable[[], None]) -> int:
    """Return the most bytes that are held at once while `run` runs, by tracemalloc."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def linear_time(context: Context) -> Report:
    """Measure streams of 10² to 10⁵ chunks, and 10² to 10⁵ calls one after the other, over sockets."""
    rows, costs = [], []
    for count in (100, 1_000, 10_000, 100_000):
        times = max(1, context.times(20_000) // count)
        url = [context.server.base_url(f"burst-{count}")]
        done = least_of_rounds(context.clients("socket"), context.rounds, "stream", url, times, warm_up=1)["socket"]
        costs.append(done.cpu / times / count * 1e6)
        rows.append((f"{count:,} chunks in a stream", f"{costs[-1]:.2f}"))
    ratios = [Ratio("a chunk among 100,000 over one among 1,000", costs[-1] / costs[1], 1.15)]
    calls = []
    for count in (100, 1_000, 10_000, 100_000):
        count = context.times(count, 20)
        url = [context.server.base_url(CALL)]
        done = least_of_rounds(context.clients("socket"), 2, "chat", url, count)["socket"]
        calls.append(done.cpu / count * 1e6)
        rows.append((f"{count:,} calls", f"{calls[-1]:.0f}"))
    ratios.append(Ratio("a call among 100,000 over one among 1,000", calls[-1] / calls[1], 1.15))
    return Report(
        "linear growth", (Table("µs of CPU for each, over sockets", ("work", "µs"), tuple(rows)),), tuple(ratios)
    )


def flat_memory(context: Context) -> Report:
    """Measure what a router holds after 10⁴ and after 10⁶ calls, without I/O."""
    core = RouterCore(rng=random.Random(0))
    core.register(create("openai", api_key="k"))
    request = _request()
    marks = [context.times(mark, 100 * (1 + place)) for place, mark in enumerate((10_000, 100_000, 1_000_000))]
    rows, held, done = [], [], 0
    for mark in marks:
        # Traced only for the last calls of each stretch: tracing makes every allocation several times as slow.
        while done < mark - 100:
            routed(core, request, 1, done / 50)
            done += 1
        gc.collect()
        tracemalloc.start()
        try:
            while done < mark:
                routed(core, request, 1, done / 50)
                done += 1
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0] / 1024)
        finally:
            tracemalloc.stop()
        rows.append((f"{mark:,}", f"{held[-1]:.1f}"))
    ratio = Ratio(f"KiB that the last 100 of {marks[-1]:,} calls leave behind", held[-1], 8.0, "KiB")
    return Report(
        "flat memory", (Table("KiB that 100 calls leave behind", ("calls before", "KiB"), tuple(rows)),), (ratio,)
    )
