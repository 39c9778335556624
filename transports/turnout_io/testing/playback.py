"""A response that is played from steps, for the scripted and the replaying transports.

It does no I/O and waits for nothing, so one machine serves blocking and async transports.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from turnout.errors import Phase, RemoteProtocolError, TimedOut, Timer, TransportError
from turnout.http import Headers
from turnout_io.testing.replies import BodyStep, TransportFault, checked_step

__all__ = ["AsyncPlayedResponse", "PlayedResponse", "ScriptError", "checkpoint", "copy_error"]

_NO_TIMEOUT: Final = "the script stalls here for ever, and the caller set no timeout: a real transport would hang"


class ScriptError(AssertionError):
    """The program under test sent a request that the script or the recording does not have. No router catches it."""


class PlayedResponse:
    """One response; see `turnout_io.base.HttpResponse`. A ScriptError among the steps is raised unchanged."""

    def __init__(self, status: int, headers: Headers, steps: Iterable[BodyStep | ScriptError]) -> None:
        self.status = status
        self.headers = headers
        self._steps: Iterator[BodyStep | ScriptError] = iter(steps)
        self._silence = 0.0
        self._phase = Phase.HEAD
        self._ended = False
        self._closed = False
        self._failure: TransportFault | None = None

    def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.HttpResponse.read`."""
        if self._ended:
            return b""
        if self._failure is not None:
            raise copy_error(self._failure)
        if self._closed:
            raise TransportError("the response was closed before its end", phase=self._phase)
        remaining = math.inf if timeout is None else timeout
        while True:
            if self._silence > remaining:
                self._silence -= remaining
                raise TimedOut(
                    f"the script sends nothing for {timeout:g} s", timer=Timer.READ, seconds=timeout, phase=self._phase
                )
            if self._silence == math.inf:
                raise ScriptError(_NO_TIMEOUT)
            remaining -= self._silence
            self._silence = 0.0
            came = next(self._steps, None)
            if came is None:
                self._ended = True
                return b""
            if isinstance(came, ScriptError):
                raise came
            match checked_step(came):
                case bytes(data):
                    if data:
                        self._phase = Phase.BODY
                        return data
                case TransportError() | RemoteProtocolError() as fault:
                    if not isinstance(fault, TimedOut):  # a reader may continue after a timeout
                        self._failure = fault
                    raise copy_error(fault)
                case seconds:
                    self._silence = seconds

    def close(self) -> None:
        """Close the response. It can be called at any time and any number of times."""
        if not self._closed:
            self._closed = True
            close = getattr(self._steps, "close", None)
            if close is not None:
                close()


class AsyncPlayedResponse:
    """One response; see `turnout_io.base.AsyncHttpResponse`. Every read is a checkpoint, on trio and on asyncio."""

    def __init__(self, response: PlayedResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.AsyncHttpResponse.read`."""
        await checkpoint()
        return self._response.read(timeout)

    async def aclose(self) -> None:
        """Close the response. It waits for nothing, so it also works if the scope is cancelled."""
        self._response.close()


async def checkpoint() -> None:
    """Let other tasks run, and let a cancellation take effect, under trio or asyncio."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass  # not under trio
        else:
            await trio.lowlevel.checkpoint()
            return
    import asyncio

    await asyncio.sleep(0)


def copy_error(fault: TransportFault) -> TransportFault:
    """Return a copy of an error to raise, so that the error of a script keeps no traceback and can be used again."""
    return copy.copy(fault)
