"""The load on a gateway takes no answer for good that is not whole, and no CPU is lost."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gateway.load import BrokenAnswer, check_stream, check_whole
from benchmarks.gateway.processes import cpu_between, cpu_seconds
from benchmarks.server.routes import CALL, route_named

TEXT = b"x" * 30
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices": [{"delta": {"content": "%b"}, "finish_reason": null}]}\n\n' % TEXT
LAST = (
    b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    b'data: {"choices": [], "usage": {"completion_tokens": 12}}\n\n',
    b"data: [DONE]\n\n",
    b"0\r\n\r\n",
)


def test_a_whole_stream_is_good() -> None:
    check_stream(HEAD + EVENT * 10 + b"".join(LAST), 10, TEXT)


@given(st.integers(0, 20), st.sets(st.sampled_from(LAST)))
def test_a_stream_without_one_of_its_parts_is_broken(count: int, missing: set[bytes]) -> None:
    if count == 10 and not missing:
        return
    received = HEAD + EVENT * count + b"".join(part for part in LAST if part not in missing)
    with pytest.raises(BrokenAnswer):
        check_stream(received, 10, TEXT)


@pytest.mark.parametrize(
    "received",
    [
        HEAD + b'data: {"error": {"message": "no"}}\n\n' + LAST[2] + LAST[3],
        HEAD + EVENT * 10 + b'data: {"error": {"message": "no"}}\n\n' + b"".join(LAST),
        b"HTTP/1.1 429 Too Many Requests\r\n\r\n" + EVENT * 10 + b"".join(LAST),
        b"",
    ],
)
def test_a_stream_with_an_error_is_broken(received: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        check_stream(received, 10, TEXT)


def test_an_answer_in_one_piece_is_checked() -> None:
    whole = route_named(CALL).head
    check_whole(whole, TEXT)
    for broken in (whole.replace(b"200 OK", b"500 No"), whole.replace(TEXT, b""), whole.replace(b'"stop"', b"null")):
        with pytest.raises(BrokenAnswer):
            check_whole(broken, TEXT)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_cpu_of_a_thread_that_has_ended_counts() -> None:
    def work() -> None:
        begun = time.thread_time()
        while time.thread_time() < begun + 0.02:
            pass

    before = cpu_seconds(os.getpid())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert cpu_between(before, cpu_seconds(os.getpid())) >= 0.02


def test_the_cpu_of_other_processes_is_not_compared() -> None:
    with pytest.raises(RuntimeError, match="processes changed"):
        cpu_between({1: 1.0}, {1: 2.0, 2: 1.0})
