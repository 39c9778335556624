"""Every reader of a server's text does work in proportion to its length, whatever openings the text repeats.

The work is the number of lines of Python that run, so no clock decides. The time of regular expressions is not in it:
the tests beside each reader measure that as time of the processor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from turnout import ChatRequest, ModelConfig
from turnout.http import Headers
from turnout.providers import create
from turnout.providers.decoding.error_bodies import read_error_body
from turnout.providers.decoding.error_mapping import to_error
from turnout.providers.decoding.response_headers import rate_limit, requested_wait
from turnout.redaction import escape_controls

Reader = Callable[[bytes], object]
OPENINGS = (
    *("<", "<!--", "<title>", "<script>", "&", "&#1", "{", "[", '{"a":', '{"error":', '"', "\\", '"\\u00', "data:"),
    *("data: {", "data: x\n\n", "event: a\n", ": a\n", "\n", "\r\n", "[1,", "{}\n", "limit 1 ", "retry in 1 "),
    *("model ", "1m ", "1,", 'a;b="', "\x1b[", "\u2028", "é", "sk-"),
)
IN_SENTENCES = (
    *("try again in ", "wait ", "resets at 2026-01-01T", "1 second and ", "tokens ", "limit: ", "maximum context "),
    *("&lt;", "<p>", "</", "<a href=", " ", ".", "-", "://a:", "bearer ", "Basic aaaaaaaa", "error: ", "}", "]", "```"),
    *("1;w=60,", "gmt ", "01 Jan 2026 ", "00:00:", "PT1H", "0.", "\\n", "a.a.", "<think>", "\ufeff"),
)
BEFORE = ("", '{"error":{"message":"', "data: ", '{"choices":[', "<html>")
SMALL, FACTOR = 512, 4


def body_of(name: str, *, stream: bool, status: int = 200, **settings: Any) -> Reader:
    def read(body: bytes) -> object:
        provider = create(name, api_key="k", **settings)
        request = ChatRequest(ModelConfig(name, "m"), "x")
        exchange = provider.stream(request) if stream else provider.chat(request)
        exchange.receive_head(status, [("content-type", "application/json")])
        exchange.receive_data(body)
        return exchange.receive_end()

    return read


def field(name: str) -> Reader:
    def read(body: bytes) -> object:
        value = body.decode("latin-1").replace("\r", " ").replace("\n", " ")
        headers = Headers([(name, value)])
        return requested_wait(headers, status=429), rate_limit(headers)

    return read


READERS: dict[str, Reader] = {
    **{
        f"{name}, {'stream' if stream else 'document'}": body_of(name, stream=stream)
        for name in ("openai", "anthropic", "gemini", "ollama", "cohere")
        for stream in (True, False)
    },
    "responses, stream": body_of("openai", stream=True, api="responses"),
    "bedrock, stream": body_of("bedrock", stream=True, region="us-east-1"),
    "an error": body_of("openai", stream=False, status=400),
    "a rate limit": lambda body: to_error(
        read_error_body(body), status=429, headers=Headers([]), provider="p", body=body
    ),
    "control characters": lambda body: escape_controls(body.decode("utf-8", "replace")),
    **{name: field(name) for name in ("retry-after", "ratelimit", "ratelimit-limit", "x-ratelimit-reset-tokens")},
}


def work(read: Reader, body: bytes) -> int:
    """Return how many lines of Python run while a body is read."""
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        read(body)
    finally:
        sys.settrace(before)
    return lines


def repeated(before: str, opening: str, size: int) -> bytes:
    return (before + opening * (size // len(opening) + 1)).encode()[:size]


@pytest.mark.parametrize("name", READERS)
def test_work_grows_with_the_length_and_not_faster(name: str) -> None:
    read = READERS[name]
    for before in BEFORE:
        read(repeated(before, "x", 64))  # what is made once is no work of a body
        for opening in OPENINGS:
            small, large = (work(read, repeated(before, opening, size)) for size in (SMALL, FACTOR * SMALL))
            assert large <= 1.5 * FACTOR * small + 500, (before, opening, small, large)


@pytest.mark.full
@pytest.mark.parametrize("name", READERS)
def test_64_kib_take_little_time(name: str) -> None:
    """A regular expression is one line of Python, so its steps show in the CPU time alone: quadratic ones take seconds.

    Every reader takes less than a hundredth of a second on a fast machine.
    """
    read = READERS[name]
    for before in BEFORE:
        for opening in (*OPENINGS, *IN_SENTENCES):
            body = repeated(before, opening, 65_536)
            begun = time.process_time()
            read(body)
            assert time.process_time() - begun < 2.0, (before, opening)


def test_a_reader_that_takes_quadratic_time_is_found() -> None:
    def quadratic(body: bytes) -> int:
        total = 0
        for end in range(0, len(body), 8):
            for _ in range(0, end, 8):
                total += 1
        return total

    small, large = (work(quadratic, repeated("", "x", size)) for size in (SMALL, FACTOR * SMALL))
    assert large > 1.5 * FACTOR * small + 500
