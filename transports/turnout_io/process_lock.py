"""Locks that are free in a forked process.

A fork copies a lock in its state, but not the thread that would release it. A lock that another thread held at that
moment would be held in the child for ever.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["process_lock"]

_LOCKS: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def process_lock() -> threading.Lock:
    """Return a lock for `with` statements. No finaliser may acquire it.

    It is the interpreter's lock without a class around it. A signal handler may raise at the first step of an
    `__exit__` that is written in Python, and the lock would be held for ever.
    """
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


def _release_all() -> None:
    for lock in tuple(_LOCKS):
        if lock.locked():
            lock.release()


if hasattr(os, "register_at_fork"):  # systems with fork
    os.register_at_fork(after_in_child=_release_all)
