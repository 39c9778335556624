"""The sandbox in a process of its own, so that its work is not counted as a client's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import attrs

from benchmarks.own_process import own_process, wait_for_the_end
from turnout_io.sandbox import Received, Sandbox

__all__ = ["Server", "served", "words"]


@attrs.frozen
class Server:
    """Base URLs of two sandboxes: one sends its tokens as fast as it can, the other one by one."""

    bursts: str
    alone: str
    key: str


def words(count: int) -> str:
    """The answer to a prompt that says how many words it wants; a word is a token."""
    return " ".join(f"word{number % 1000:03d}" for number in range(count))


def _answer(received: Received) -> str:
    return words(int(received.body["messages"][-1]["content"]))


def _serve(pipe: Connection, interval: float) -> None:
    with Sandbox() as bursts, Sandbox(token_interval=interval) as alone:
        for sandbox in (bursts, alone):
            sandbox.answer("openai", _answer)
        pipe.send(Server(bursts.url("openai"), alone.url("openai"), bursts.key("openai")))
        wait_for_the_end(pipe)


@contextmanager
def served(interval: float) -> Iterator[Server]:
    """`interval` is in seconds, between tokens that come one by one."""
    with own_process(_serve, interval) as server:
        yield server
