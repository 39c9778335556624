"""Lays a fault over an answer: a response becomes the steps of a connection, in bytes, waits and one ending.

This is where every byte is decided, and it does no I/O. A stream is sent as one HTTP chunk an event, as the
providers' servers do; to an HTTP/1.0 client it is sent until close. A unary body has a Content-Length.
"""

from __future__ import annotations

import email.utils
import enum
import gzip
import http
import itertools
import zlib
from collections.abc import Iterator
from typing import TypeAlias

import attrs

from turnout_sandbox.faults import Abort, Corruption, Fault
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse

__all__ = ["ConnectionEnd", "Step", "build_steps"]


class ConnectionEnd(enum.Enum):
    """How the steps of one answer end."""

    DONE = "done"  # sent to its end; the connection may be used again
    CLOSE = "close"  # sent to its end, and the connection closes (HTTP/1.0, or `Connection: close`)
    CUT_CLOSE = "cut-close"
    CUT_RESET = "cut-reset"
    HANG = "hang"


Step: TypeAlias = bytes | float | ConnectionEnd
"""Bytes to send, seconds to wait (0.0: let others run first), or the end."""

_ENDINGS = {Abort.CLOSE: ConnectionEnd.CUT_CLOSE, Abort.RESET: ConnectionEnd.CUT_RESET, Abort.HANG: ConnectionEnd.HANG}
_BAD_CHUNK = b"5g\r\nwrong\r\n"  # a size line that is no hexadecimal number


def build_steps(
    response: Response,
    fault: Fault,
    *,
    interval: float,
    now: float,
    http11: bool = True,
    keep_alive: bool = True,
    head_only: bool = False,
) -> Iterator[Step]:
    """Return the steps that answer one request. The last of them is a `ConnectionEnd`, and no other is.

    Args:
        response: The response of the dialect.
        fault: The fault to play.
        interval: Seconds between the tokens of a stream.
        now: Seconds since 1970, for the Date field.
        http11: False for a client of HTTP/1.0, which knows no chunks.
        keep_alive: Whether the connection may serve another request.
        head_only: Whether the request was HEAD: the fields are those of GET, and there is no body.
    """
    steps = _steps(response, fault, interval, now, http11, keep_alive, head_only)
    return steps if fault.fragment is None else _in_fragments(steps, fault.fragment)


def _steps(
    response: Response, fault: Fault, interval: float, now: float, http11: bool, keep_alive: bool, head_only: bool
) -> Iterator[Step]:
    if fault.delay:
        yield float(fault.delay)
    ending = _ENDINGS.get(fault.abort) if fault.abort is not None else None
    if ending is not None and fault.after_tokens is None:
        yield ending
        return
    bad_chunk = http11 and fault.corruption is Corruption.CHUNK
    if isinstance(response, StreamedResponse):
        pace = interval if fault.token_interval is None else float(fault.token_interval)
        framing = _Framing(chunked=http11, compressor=zlib.compressobj(wbits=31) if fault.gzip else None)
        whole, length = framing.stream(response, fault, pace), None
        status = 200 if fault.status is None else fault.status
    else:
        framing = _Framing(chunked=bad_chunk)
        whole, length = framing.unary(response, fault)
        status = response.status if fault.status is None else fault.status
    if status in (204, 304):  # they have no body, and nothing that frames one (RFC 9110, 15.3.5 and 15.4.5)
        yield _head(status, response.headers, fault, now, keep_alive=keep_alive, chunked=False, length=None)
        yield ConnectionEnd.DONE if keep_alive else ConnectionEnd.CLOSE
        return
    keep_alive = keep_alive and (framing.chunked or length is not None)
    yield _head(status, response.headers, fault, now, keep_alive=keep_alive, chunked=framing.chunked, length=length)
    if head_only:
        yield ConnectionEnd.DONE if keep_alive else ConnectionEnd.CLOSE
        return
    if fault.first_token_delay:
        yield float(fault.first_token_delay)
    yield from whole
    if bad_chunk:
        yield ConnectionEnd.CUT_CLOSE
    elif ending is not None:
        yield ending
    else:
        yield from framing.end()
        yield ConnectionEnd.DONE if keep_alive else ConnectionEnd.CLOSE


@attrs.define
class _Framing:
    """Puts events into HTTP chunks, compressed if the fault has gzip."""

    chunked: bool
    compressor: zlib._Compress | None = None

    def frame(self, event: bytes) -> bytes:
        if self.compressor is not None:
            event = self.compressor.compress(event) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return b"%x\r\n%b\r\n" % (len(event), event) if self.chunked and event else event

    def end(self) -> Iterator[Step]:
        if self.compressor is not None:
            rest = self.compressor.flush()
            self.compressor = None
            yield self.frame(rest)
        if self.chunked:
            yield b"0\r\n\r\n"

    def stream(self, stream: StreamedResponse, fault: Fault, pace: float) -> Iterator[Step]:
        cut, after = fault.abort, fault.after_tokens
        if cut is Abort.END and after is None:
            return
        if stream.prelude:
            yield self.frame(stream.prelude)
        if cut is Abort.ERROR and after is None:
            yield from map(self.frame, stream.error)
            return
        yield from map(self.frame, stream.opening)
        tokens = iter(stream.tokens)
        if cut is not None or fault.corruption is not None or fault.stall:
            yield from self._paced(itertools.islice(tokens, after or 0), pace)
        if cut is Abort.ERROR:
            yield from map(self.frame, stream.error)
        elif cut is not None:
            if fault.partial:
                yield self._half(next(itertools.chain(tokens, stream.closing, (stream.done,))), cut)
        elif fault.corruption is Corruption.CHUNK:
            yield _BAD_CHUNK
        else:
            if fault.corruption is Corruption.JSON:
                yield self.frame(stream.broken)
            if fault.stall:
                yield float(fault.stall)
            yield from self._paced(tokens, pace)
            yield from map(self.frame, stream.closing)
            if fault.done and stream.done:
                yield self.frame(stream.done)

    def _paced(self, tokens: Iterator[bytes], pace: float) -> Iterator[Step]:
        for index, token in enumerate(tokens):
            if pace and index:
                yield pace
            yield self.frame(token)

    def _half(self, event: bytes, cut: Abort) -> bytes:
        """Return the first half of an event: a complete chunk if the body ends correctly, else the half of a chunk."""
        if cut is Abort.END:
            return self.frame(event[: len(event) // 2])
        framed = self.frame(event)
        return framed[: max(1, len(framed) // 2)]

    def unary(self, unary: UnaryResponse, fault: Fault) -> tuple[Iterator[Step], int | None]:
        """The steps of a whole body, and the length to declare for it."""
        body = unary.body
        if fault.abort is Abort.END or fault.corruption is Corruption.JSON:
            body = b"" if fault.corruption is None and fault.after_tokens is None else body[: len(body) // 2]
        if fault.gzip:
            body = gzip.compress(body)
        if self.chunked:
            return iter((self.frame(body[: len(body) // 2]), _BAD_CHUNK)), None
        half = len(body) // 2
        if fault.stall:
            return iter((body[:half], float(fault.stall), body[half:])), len(body)
        sent = body[:half] if fault.abort in _ENDINGS else body
        return iter((sent,) if sent else ()), len(body)


def _in_fragments(steps: Iterator[Step], size: int) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, bytes):
            for start in range(0, len(step), size):
                yield step[start : start + size]
                yield 0.0
        else:
            yield step


def _head(
    status: int, fields: Fields, fault: Fault, now: float, *, keep_alive: bool, chunked: bool, length: int | None
) -> bytes:
    framing: Fields = (("connection", "keep-alive" if keep_alive else "close"),)
    if chunked:
        framing += (("transfer-encoding", "chunked"),)
    elif length is not None:
        framing += (("content-length", str(length)),)
    if fault.gzip:
        framing += (("content-encoding", "gzip"),)
    date: Fields = (("date", email.utils.formatdate(now, usegmt=True)),)
    merged = _merged(_merged(date + fields, fault.headers), framing)
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:  # 498, 529
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in merged)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


# The fields with the time before a retry.
_RETRY_HINTS = frozenset({"retry-after", "retry-after-ms"})


def _merged(fields: Fields, over: Fields) -> Fields:
    """`fields`, those named in `over` replaced; repeated names in either are kept."""
    names = {name.lower() for name, _ in over}
    if names & _RETRY_HINTS:
        names |= _RETRY_HINTS  # one of them alone would be overruled by a vendor's own other
    return tuple(pair for pair in fields if pair[0].lower() not in names) + over
