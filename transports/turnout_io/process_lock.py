"""A lock that a forked process finds free, whoever held it in its parent."""

from __future__ import annotations

import os
import threading

__all__ = ["ProcessLock"]


class ProcessLock:
    """`threading.Lock` as a context manager, one for each process.

    A fork copies a lock as it is, but not the thread that would release it: held by another thread at that moment, it
    would be held in the child for ever.
    """

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.Lock()}

    def __enter__(self) -> None:
        process = os.getpid()
        # `setdefault` is one step: of two threads that come first, both get the same lock.
        lock = self._locks.get(process) or self._locks.setdefault(process, threading.Lock())
        lock.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self._locks[os.getpid()].release()
