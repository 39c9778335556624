"""The sandbox in a process of its own, so that its work is not counted as a client's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import attrs

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
        with suppress(EOFError):  # the other end closes it when it is done
            pipe.recv()


@contextmanager
def served(interval: float) -> Iterator[Server]:
    """`interval` is in seconds, between tokens that come one by one."""
    # A fresh interpreter: a fork would share what this one has loaded and opened.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, interval), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(10.0)
        process.kill()  # no-op where it has ended
        process.join()
        process.close()
