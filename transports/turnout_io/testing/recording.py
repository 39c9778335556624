"""Transports that pass everything to another one, and record it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import attrs

from turnout.errors import RemoteProtocolError, TimedOut, TransportError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout_io.base import AsyncHttpResponse, AsyncTransport, HttpResponse, Transport
from turnout_io.process_lock import process_lock
from turnout_io.testing.cassette import RecordedExchange, RecordedResponse, write_cassette
from turnout_io.testing.redaction import Redaction
from turnout_io.testing.replies import BodyStep, TransportFault

__all__ = ["AsyncRecordingResponse", "AsyncRecordingTransport", "RecordingResponse", "RecordingTransport"]


@attrs.define(eq=False)
class _Take:
    """One exchange while it is recorded."""

    request: HttpRequest
    status: int = 0
    headers: Headers = attrs.field(factory=Headers)
    steps: list[BodyStep] = attrs.field(factory=list)
    complete: bool = False
    failure: TransportFault | None = None
    is_cancelled: bool = False  # the caller received neither a response nor an error

    def read(self, data: bytes) -> None:
        if data:
            self.steps.append(data)
        else:
            self.complete = True

    def broke(self, fault: TransportFault) -> None:
        """Record a failed read. Every further read raises the same error, which is written once."""
        last = self.steps[-1] if self.steps else None
        if isinstance(fault, TimedOut) or type(last) is not type(fault) or str(last) != str(fault):
            self.steps.append(fault)


class _Tape:
    """The exchanges of one transport, in the order of their start, and the file for them."""

    def __init__(
        self, path: str | os.PathLike[str], secrets: Iterable[str] = (), secret_headers: Iterable[str] = ()
    ) -> None:
        self._path = Path(path)
        self._redaction = Redaction(secrets, secret_headers)
        self._takes: list[_Take] = []
        self._written = False
        self._lock = process_lock()

    def begin(self, request: HttpRequest) -> _Take:
        take = _Take(request)
        with self._lock:
            self._takes.append(take)
        return take

    def write(self) -> None:
        with self._lock:
            takes = tuple(take for take in self._takes if not take.is_cancelled)
        # Only now, because an earlier response of another provider may contain the key of this one.
        redaction = self._redaction.with_credentials_of(*(take.request for take in takes))
        write_cassette(self._path, [_clear(take, redaction) for take in takes])
        self._written = True

    def __del__(self) -> None:
        if getattr(self, "_takes", None) and not self._written:
            told = f"the recording for {self._path} was not closed, so it was not written"
            warnings.warn(told, ResourceWarning, stacklevel=2, source=self)


def _clear(take: _Take, redaction: Redaction) -> RecordedExchange:
    request = redaction.request(take.request)
    if take.failure is not None:
        return RecordedExchange(request, redaction.fault(take.failure))
    headers, steps = redaction.response(take.headers, take.steps)
    return RecordedExchange(request, RecordedResponse(take.status, headers, steps, take.complete))


class RecordingResponse:
    """The response of the transport under it, written down as it is read."""

    def __init__(self, response: HttpResponse, take: _Take) -> None:
        self._response = response
        self._take = take
        self.status = take.status = response.status
        self.headers = take.headers = Headers(response.headers)
        self.close = response.close
        self.abort = getattr(response, "abort", None)

    def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.HttpResponse.read`."""
        try:
            data = self._response.read(timeout)
        except (TransportError, RemoteProtocolError) as fault:
            self._take.broke(fault)
            raise
        self._take.read(data)
        return data


class RecordingTransport:
    """A blocking transport that writes its requests and responses into a file when it is closed.

        with Router.from_env(transport=RecordingTransport(RequestsTransport(), "tests/greeting.json")) as router: …

    Args:
        transport: The transport that sends the requests. It is closed together with this one.
        path: The file, for `ReplayTransport`. An older one is replaced. See `turnout_io.testing.cassette`.
        secrets: Values to remove from requests and responses. Credentials in header fields and query parameters are
            always removed, also if the peer quotes them elsewhere.
        secret_headers: Names of further header fields with secret values.
    """

    def __init__(
        self,
        transport: Transport,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        secret_headers: Iterable[str] = (),
    ) -> None:
        self._transport = transport
        self._tape = _Tape(path, secrets, secret_headers)

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> RecordingResponse:
        """See `turnout_io.base.Transport.open`."""
        take = self._tape.begin(request)
        try:
            return RecordingResponse(self._transport.open(request, timeouts), take)
        except (TransportError, RemoteProtocolError) as fault:
            take.failure = fault
            raise
        except BaseException:
            take.is_cancelled = True
            raise

    def close(self) -> None:
        """Close the transport under it, and write the file."""
        try:
            self._transport.close()
        finally:
            self._tape.write()


class AsyncRecordingResponse:
    """The response of the transport under it, written down as it is read."""

    def __init__(self, response: AsyncHttpResponse, take: _Take) -> None:
        self._response = response
        self._take = take
        self.status = take.status = response.status
        self.headers = take.headers = Headers(response.headers)
        self.aclose = response.aclose
        self.abort = getattr(response, "abort", None)

    async def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.AsyncHttpResponse.read`."""
        try:
            data = await self._response.read(timeout)
        except (TransportError, RemoteProtocolError) as fault:
            self._take.broke(fault)
            raise
        self._take.read(data)
        return data


class AsyncRecordingTransport:
    """`RecordingTransport` for async code, on the runtime of the transport under it."""

    def __init__(
        self,
        transport: AsyncTransport,
        path: str | os.PathLike[str],
        *,
        secrets: Iterable[str] = (),
        secret_headers: Iterable[str] = (),
    ) -> None:
        self._transport = transport
        self._tape = _Tape(path, secrets, secret_headers)

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncRecordingResponse:
        """See `turnout_io.base.AsyncTransport.open`."""
        take = self._tape.begin(request)
        try:
            return AsyncRecordingResponse(await self._transport.open(request, timeouts), take)
        except (TransportError, RemoteProtocolError) as fault:
            take.failure = fault
            raise
        except BaseException:
            take.is_cancelled = True
            raise

    async def aclose(self) -> None:
        """Close the transport under it, and write the file."""
        try:
            await self._transport.aclose()
        finally:
            self._tape.write()
