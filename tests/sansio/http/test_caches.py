"""What a server can fill: no cache keeps long texts that a server sent."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Mapping

import pytest

from turnout.http import Headers
from turnout.http.http1_body import ChunkedBody
from turnout.providers.decoding.response_headers import rate_limit, requested_wait
from turnout.providers.decoding.waits import duration_of

LONG = 20_000


def _values(number: int) -> None:
    text = f"{number}".rjust(LONG, "9")
    rate_limit(Headers((("x-ratelimit-remaining-requests", text), ("x-ratelimit-limit-requests", text))))


def _names(number: int) -> None:
    rate_limit(Headers(((f"x-ratelimit-limit-{number}".ljust(LONG, "a"), "1"),)))


def _structured(number: int) -> None:
    rate_limit(Headers((("ratelimit", f"{number}".ljust(LONG, "a") + "=1"), ("ratelimit-policy", f'"{number}";r=1'))))


def _waits(number: int) -> None:
    requested_wait(Headers((("retry-after", f"{number}".ljust(LONG, "x")),)), status=429)
    duration_of(f"{number}s" * (LONG // 4))


def _chunks(number: int) -> None:
    part = b"%d" % number + b"x" * LONG
    ChunkedBody().receive_data(b"9\r\n" + part + b"\r\n" + part + b"\r\n" + part + b"\r\n")


FILLING: Mapping[str, Callable[[int], None]] = {
    "values of limits": _values,
    "names of limits": _names,
    "structured limits": _structured,
    "waits": _waits,
    "sizes of chunks": _chunks,
}


@pytest.mark.parametrize("fill", FILLING.values(), ids=FILLING)
def test_no_cache_keeps_long_texts(fill: Callable[[int], None]) -> None:
    fill(0)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, 40):
            fill(number)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10 * LONG
