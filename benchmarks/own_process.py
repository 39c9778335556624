"""A server in a process of its own, so that its work and its sockets are not counted as a client's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["own_process", "wait_for_the_end"]


@contextmanager
def own_process(serve: Callable[..., None], *given: Any) -> Iterator[Any]:
    """Run `serve(pipe, *given)` there; what it sends through the pipe first is what the block is given.

    `serve` ends with the pipe, see `wait_for_the_end`.
    """
    # A fresh interpreter: a fork would share what this one has loaded and opened.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *given), daemon=True)
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


def wait_for_the_end(pipe: Connection) -> None:
    """Return once the other process is done with this one."""
    with suppress(EOFError, ConnectionResetError):
        pipe.recv()
