"""Bytes over a non-blocking socket, plain or through TLS. Nothing here waits.

`write` takes bytes to send, `flush` sends them and returns True if all have left. `read` returns the bytes that have
arrived: None if there are none, b"" at the end of the connection. Each of them may raise OSError. TLS works over
memory, so it is the same under every runtime, and may run inside another TLS (an https proxy).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TypeAlias

import attrs

from turnout.http.http1 import Http1Exchange

__all__ = ["ByteStream", "PlainStream", "TlsStream", "write_chunk"]

_READ_SIZE = 65536
# The size of a read after one that was full: a large response arrives faster than it is read.
_LARGE_READ_SIZE = 262144


def write_chunk(exchange: Http1Exchange, stream: ByteStream) -> bool:
    """Write the next chunk of a request. Return False if there is none: the whole request was sent.

    The chunk is in no local variable of a function that waits, because a report about an error would show it.
    """
    chunk = exchange.next_chunk()
    if chunk is not None:
        stream.write(chunk)
    return chunk is not None


@attrs.define(eq=False)
class PlainStream:
    """The bytes of one socket as they are.

    Attributes:
        socket: The non-blocking socket.
        is_drained: True if the last read took all bytes that had arrived, so that it is better to wait than to read.
    """

    socket: socket.socket
    is_drained: bool = attrs.field(default=True, init=False)
    _outgoing: memoryview = attrs.field(default=memoryview(b""), init=False, repr=False)
    _received: bytes | OSError | None = attrs.field(default=None, init=False, repr=False)
    _read_size: int = attrs.field(default=_READ_SIZE, init=False, repr=False)

    @property
    def plain(self) -> PlainStream:
        """Return the stream over the socket itself."""
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes to send."""
        self._outgoing = memoryview(data) if not self._outgoing else memoryview(bytes(self._outgoing) + bytes(data))

    def flush(self) -> bool:
        """Send. Returns True if all bytes have left."""
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self.socket.send(self._outgoing) :]
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def fill(self) -> None:
        """Receive now, for the next `read`. Raises nothing."""
        if self._received is None:
            try:
                self._received = self.read()
            except OSError as error:
                self._received = error

    def read(self) -> bytes | None:
        """Return the bytes that have arrived."""
        if self._received is not None:
            received, self._received = self._received, None
            if isinstance(received, OSError):
                raise received
            return received
        most = self._read_size
        try:
            data = self.socket.recv(most)
        except (BlockingIOError, InterruptedError):
            self.is_drained = True
            return None
        size = len(data)
        # The end is no bytes, and can be read again at once.
        self.is_drained = 0 < size < most
        if size >= _READ_SIZE:
            self._read_size = _LARGE_READ_SIZE
        elif most != _READ_SIZE:
            self._read_size = _READ_SIZE
        return data

    def close(self) -> None:
        """Close the socket at once. May be called again."""
        self._outgoing = memoryview(b"")
        self.socket.close()

    def close_gracefully(self) -> None:
        """Close a connection without a running exchange."""
        self.close()


@attrs.define(eq=False, init=False)
class TlsStream:
    """TLS over another stream. `advance_handshake` comes first."""

    inner: ByteStream
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _tls: ssl.SSLObject

    def __init__(self, inner: ByteStream, context: ssl.SSLContext, host: str) -> None:
        self.inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host.rstrip("."))

    @property
    def socket(self) -> socket.socket:
        """Return the non-blocking socket."""
        return self.inner.socket

    @property
    def plain(self) -> PlainStream:
        """Return the stream over the socket itself."""
        return self.inner.plain

    @property
    def is_drained(self) -> bool:
        """True if all bytes that had arrived were read."""
        return self.inner.is_drained and not (self._tls.pending() or self._incoming.pending)

    def advance_handshake(self) -> bool:
        """Perform one step. Returns True if the handshake is complete, False if bytes must be sent or received."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
            return False
        finally:
            # If the handshake failed, the alert with the reason is sent too, as far as possible.
            self._pass_on()
        return True

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes to send."""
        self._tls.write(data)
        self._pass_on()

    def flush(self) -> bool:
        """Send. Returns True if all bytes have left."""
        self._pass_on()
        return self.inner.flush()

    def read(self) -> bytes | None:
        """Return the bytes that have arrived."""
        while True:
            try:
                # b"" is the peer's close_notify, a proper end. An end without it raises SSLEOFError below, because
                # anyone on the way can cut a connection.
                return self._tls.read(_READ_SIZE)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                if not self.feed():
                    return None

    def feed(self) -> bool:
        """Take the bytes that have arrived below. Returns False if there are none."""
        # TLS may have to send something too, for a key update. If that fails, the peer's reason can still be read.
        with contextlib.suppress(OSError):
            self.flush()
        data = self.inner.read()
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def close(self) -> None:
        """Close the socket at once. May be called again."""
        self.inner.close()

    def close_gracefully(self) -> None:
        """Send the close_notify of TLS and close, without waiting for the peer's close_notify."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self.flush()
        self.inner.close_gracefully()

    def _pass_on(self) -> None:
        if self._outgoing.pending:
            self.inner.write(self._outgoing.read())


ByteStream: TypeAlias = PlainStream | TlsStream
