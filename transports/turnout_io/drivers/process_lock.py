"""Locks that a forked process finds free, whoever held them in its parent.

A fork copies a lock as it is, but not the thread that would release it: held by another thread at that moment, it would
be held in the child for ever.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["process_lock"]

_LOCKS: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def process_lock() -> threading.Lock:
    """A lock, for `with` statements.

    It is the interpreter's own, with no class of ours around it: a signal's handler may raise at the first step of an
    `__exit__` that is written in Python, and the lock would be held for ever.
    """
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


def _free() -> None:
    for lock in tuple(_LOCKS):
        if lock.locked():
            lock.release()


if hasattr(os, "register_at_fork"):  # where processes can fork
    os.register_at_fork(after_in_child=_free)
