"""Transports that return the responses of a recording, without a network."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.testing.cassette import RecordedExchange, RecordedResponse, read_cassette
from turnout_io.testing.differences import differences
from turnout_io.testing.playback import AsyncPlayedResponse, PlayedResponse, ScriptError, checkpoint, copy_error
from turnout_io.testing.redaction import Redaction
from turnout_io.testing.replies import BodyStep

__all__ = ["AsyncReplayTransport", "ReplayTransport"]


class _CassetteReplay:
    """The exchanges of a file, each for one request."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        secret_headers: Iterable[str] = (),
    ) -> None:
        self._path = Path(path)
        self._redaction = Redaction(secrets, secret_headers)
        self._exchanges = read_cassette(self._path)
        self._left = dict(enumerate(self._exchanges, 1))
        self._asked = 0
        self._lock = threading.Lock()

    def assert_all_called(self) -> None:
        """Raise ScriptError if the recording has exchanges that were not used."""
        with self._lock:
            left = [f"  {number}. {_told(exchange.request)}" for number, exchange in self._left.items()]
        if left:
            raise ScriptError("\n".join([f"no request used these exchanges of {self._path}:", *left]))

    def _open(self, request: HttpRequest) -> PlayedResponse:
        outcome = self._take(request).outcome
        if isinstance(outcome, RecordedResponse):
            return PlayedResponse(outcome.status, outcome.headers, self._steps(outcome))
        raise copy_error(outcome)

    def _take(self, request: HttpRequest) -> RecordedExchange:
        asked = self._redaction.request(request)
        # The body may contain the key of this run in place of that of the recorded run, or by chance elsewhere.
        without_keys = self._redaction.with_credentials_of(request).request(request)
        with self._lock:
            self._asked += 1
            apart = {number: differences(exchange.request, asked) for number, exchange in self._left.items()}
            for number, found in apart.items():
                if not found or not differences(self._left[number].request, without_keys):
                    return self._left.pop(number)
            raise ScriptError(self._mismatch(asked, apart))

    def _steps(self, response: RecordedResponse) -> Iterator[BodyStep | ScriptError]:
        yield from response.steps
        if not response.complete:
            yield ScriptError(f"{self._path}: the response was not read further when it was recorded; record it again")

    def _mismatch(self, asked: HttpRequest, apart: dict[int, tuple[str, ...]]) -> str:
        lines = [f"request {self._asked} is not in the recording {self._path}: {_told(asked)}"]
        used = [
            number
            for number, exchange in enumerate(self._exchanges, 1)
            if number not in self._left and not differences(exchange.request, asked)
        ]
        if used:
            lines.append(f"  it is in the recording {len(used)} times, and all of them are used")
        elif apart:
            number = min(apart, key=lambda number: len(apart[number]))
            lines.append(f"  the most similar unused exchange is number {number}. Differences:")
            lines += [f"    {difference}" for difference in apart[number]]
        else:
            lines.append(f"  all {len(self._exchanges)} exchanges of the recording are used")
        return "\n".join(lines)


def _told(request: HttpRequest) -> str:
    return f"{request.method} {request.url}"


class ReplayTransport(_CassetteReplay):
    """A blocking transport that returns the responses in a file of `RecordingTransport`.

    A request takes the first unused exchange with its method, URL and body. Bodies of JSON are compared as JSON.
    Credentials are not compared. A request without such an exchange raises ScriptError, which describes the difference.

    Args:
        path: The file.
        secrets: The secrets of this run. They match the ones that were removed from the recording.
        secret_headers: Names of further header fields with secret values.
    """

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> PlayedResponse:
        """See `turnout_io.base.Transport.open`. Recorded timeouts are raised again, and no time passes."""
        return self._open(request)

    def close(self) -> None:
        """Nothing is kept open."""


class AsyncReplayTransport(_CassetteReplay):
    """The same for async code, on trio and on asyncio."""

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncPlayedResponse:
        """See `ReplayTransport.open`."""
        await checkpoint()
        return AsyncPlayedResponse(self._open(request))

    async def aclose(self) -> None:
        """Nothing is kept open."""
