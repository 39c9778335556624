"""Runs one check in a thread with a limit, so that a transport that ignores its timeout does not stop the kit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

__all__ = ["CheckTimedOut", "run_within"]

T = TypeVar("T")


class CheckTimedOut(Exception):
    """A check did not end in its time."""


@attrs.define(eq=False)
class _Outcome(Generic[T]):
    value: T | None = None
    error: BaseException | None = None


def run_within(seconds: float, action: Callable[[], T]) -> T:
    """Run the action in a thread and return its result.

    If it does not end in time, its thread is left behind: nothing can end a blocked call from outside. It is a daemon
    thread, so the process can end.

    Args:
        seconds: The time for the action.
        action: The check with its transport and, for an async transport, its event loop.

    Raises:
        CheckTimedOut: The action did not end in time.
        BaseException: The exception of the action.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = action()
        except BaseException as error:
            outcome.error = error

    thread = threading.Thread(target=run, name="turnout-conformance", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise CheckTimedOut(
            f"the check did not end in {seconds:g} s, so a call of the transport does not return: "
            "look for a call that ignores its timeout"
        )
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # the action has ended without an error
