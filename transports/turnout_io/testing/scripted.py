"""Transports that return the responses of a script, in memory, for the tests of programs that use a router."""

from __future__ import annotations

import math

from turnout.errors import Phase, TimedOut, Timer
from turnout.http import HttpRequest, TransportTimeouts
from turnout.http.http1 import Http1Exchange
from turnout_io.testing.playback import AsyncPlayedResponse, PlayedResponse, ScriptError, checkpoint, copy_error
from turnout_io.testing.replies import Reply
from turnout_io.testing.script import ReplyScript

__all__ = ["AsyncScriptedTransport", "ScriptedTransport"]


class _Scripted(ReplyScript):
    def _open(self, request: HttpRequest, timeouts: TransportTimeouts) -> PlayedResponse:
        Http1Exchange.to_url(request)  # refuses requests that no transport can send
        outcome = self.take(request)
        if not isinstance(outcome, Reply):
            raise copy_error(outcome)
        if timeouts.response_headers is not None and outcome.delay > timeouts.response_headers:
            raise TimedOut(
                "the script sends no response headers in time",
                timer=Timer.RESPONSE_HEADERS,
                seconds=timeouts.response_headers,
                phase=Phase.SENT,
            )
        if outcome.delay == math.inf:
            raise ScriptError(
                "the script sends no response headers, and the caller set no timeout: a real transport would hang"
            )
        return PlayedResponse(outcome.status, outcome.headers, outcome.body)


class ScriptedTransport(_Scripted):
    """A blocking transport that returns the responses of a script.

        transport = ScriptedTransport()
        transport.answer("openai", fault=Fault(status=503))
        transport.answer("gemini", "Hello")
        router = Router.from_env(environ={"OPENAI_API_KEY": "…", "GEMINI_API_KEY": "…"}, transport=transport)
        …
        transport.assert_all_called()

    See `ReplyScript` for its methods. It may be used from several threads.
    """

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> PlayedResponse:
        """See `turnout_io.base.Transport.open`. Raises ScriptError for a request that the script does not have."""
        return self._open(request, timeouts)

    def close(self) -> None:
        """Nothing is kept open."""


class AsyncScriptedTransport(_Scripted):
    """The same for async code, on trio and on asyncio."""

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncPlayedResponse:
        """See `turnout_io.base.AsyncTransport.open`. Raises ScriptError like the blocking one."""
        await checkpoint()
        return AsyncPlayedResponse(self._open(request, timeouts))

    async def aclose(self) -> None:
        """Nothing is kept open."""
