"""The driver's runtime for blocking code."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnout_io.shared.link import SharedPort
    from turnout_io.shared.running import ThreadLink
    from turnout_io.shared.valkey import Valkey

__all__ = ["BlockingRuntime"]


class BlockingRuntime:
    """See `turnout_io.drivers._sync.runtime.Runtime`."""

    now = staticmethod(time.monotonic)

    def token(self) -> object:
        """Return None: blocking code has no event loop."""
        return None

    def has_ended(self, token: object) -> bool:
        """Return False: threads have no loop that could end before them."""
        return False

    def make_event(self) -> _Event:
        """Return a new event for the current call."""
        return _Event()

    def make_link(self, valkey: Valkey, port: SharedPort, notify: Callable[[], None]) -> ThreadLink:
        """Return a link that runs in a thread."""
        from turnout_io.shared.running import ThreadLink

        return ThreadLink(valkey, port, self.now, notify)

    def shield(self, close: Callable[[], None]) -> None:
        """Run `close`: blocking code is never cancelled."""
        close()

    def run_tool(self, function: Callable[[], object], seconds: float | None) -> object:
        """Call a function of the user, and return its result. With a time limit, it runs in a new thread.

        Raises:
            TimeoutError: After `seconds`. The thread continues, because it cannot be stopped.
        """
        if seconds is None:
            return _checked(function())
        outcome: queue.SimpleQueue[tuple[object, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put((_checked(function()), None))
            except BaseException as error:
                outcome.put((None, error))

        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()
        try:
            value, error = outcome.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"the tool did not return within {seconds:g} s") from None
        if error is not None:
            raise error
        return value


def _checked(value: object) -> object:
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("this tool is an async function: use the router of trio or asyncio")
    return value


class _Event:
    """Wakes one waiting thread.

    It is a lock that `wait` acquires and `set` releases. `threading.Event` has a lock around its flag, and a finaliser
    could run in the thread that holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is set already
            self._lock.release()

    def set_from_finaliser(self) -> bool:
        self.set()
        return True

    def wait(self, seconds: float) -> None:
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
