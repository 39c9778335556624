"""The interface between the driver and the library that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from turnout_io.shared.link import SharedPort
    from turnout_io.shared.valkey import Valkey

__all__ = ["AsyncEvent", "AsyncLink", "AsyncRuntime"]


class AsyncEvent(Protocol):
    """Wakes one waiting call."""

    def set(self) -> None:
        """Wake the call. May be called from any thread and any event loop."""
        ...

    def set_from_finaliser(self) -> bool:
        """Wake the call without acquiring a lock. Returns False if its event loop has ended."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return once `set` was called, or after `seconds`."""
        ...


class AsyncLink(Protocol):
    """The connection to the store that a router shares limits through."""

    async def start(self) -> None:
        """Connect, and serve from now on."""
        ...

    async def stop(self) -> None:
        """Give back the leases, and disconnect. A second call does nothing."""
        ...

    async def leave(self) -> None:
        """Exit the task group that `start` entered. Call it after `stop`, in the block that called `start`."""
        ...

    def wake(self) -> None:
        """Make the link check its timers again. It may be called from any thread."""
        ...

    def discard(self) -> None:
        """Free the sockets in a forked process, without a message to the store."""
        ...


class AsyncRuntime(Protocol):
    """The functions that the driver needs from its library."""

    def now(self) -> float:
        """Return monotonic seconds. May be called from any thread, also while nothing runs."""
        ...

    def token(self) -> object:
        """Return the event loop of the caller. None if there is none."""
        ...

    def has_ended(self, token: object) -> bool:
        """Return True if nothing can run any more in the event loop with this token."""
        ...

    def make_event(self) -> AsyncEvent:
        """Return a new event for the current call."""
        ...

    def make_link(self, valkey: Valkey, port: SharedPort, notify: Callable[[], None]) -> AsyncLink:
        """Return a link to the store; nothing is connected yet."""
        ...

    async def shield(self, close: Callable[[], Awaitable[None]]) -> None:
        """Run `close` to its end, even if the caller is cancelled."""
        ...

    async def run_tool(self, function: Callable[[], object], seconds: float | None) -> object:
        """Call a function of the user, and return its result.

        Raises:
            TimeoutError: After `seconds`. A function in a thread continues, because a thread cannot be stopped.
        """
        ...
