"""Bytes over a non-blocking socket, plain or through TLS. Nothing here waits.

`put` takes bytes to send, `flush` tells whether all have left, and `take` gives what has come: None where nothing has
come yet, b"" at the end. Each may raise OSError. TLS works over memory, so that it is the same under every runtime, and
may run inside another TLS (an https proxy).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TypeAlias

import attrs

from turnout_io.transports.socket_runtime import DeadlinePassed, SocketRuntime

__all__ = ["ByteStream", "PlainChannel", "TlsChannel", "flush", "shake_hands"]

_READ_SIZE = 65536


@attrs.define(eq=False)
class PlainChannel:
    """The bytes of one socket as they are."""

    socket: socket.socket
    _outgoing: memoryview = attrs.field(default=memoryview(b""), init=False, repr=False)

    def put(self, data: bytes | memoryview) -> None:
        self._outgoing = memoryview(data) if not self._outgoing else memoryview(bytes(self._outgoing) + bytes(data))

    def flush(self) -> bool:
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self.socket.send(self._outgoing) :]
        except (BlockingIOError, InterruptedError):
            return False
        return True

    def take(self) -> bytes | None:
        try:
            return self.socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None

    def close(self) -> None:
        """Close the socket at once. May be called again."""
        self._outgoing = memoryview(b"")
        self.socket.close()

    def end(self) -> None:
        """Close a connection that nothing is under way on."""
        self.close()


@attrs.define(eq=False, init=False)
class TlsChannel:
    """TLS over another channel. `shake_hands` comes first."""

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
        return self.inner.socket

    def advance_handshake(self) -> bool:
        """One step: True when it is done, False where bytes must be sent or have to come first."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._pass_on()
            return False
        finally:
            # An alert that says why the handshake failed leaves too, as far as it can.
            self._pass_on()
        return True

    def put(self, data: bytes | memoryview) -> None:
        self._tls.write(data)
        self._pass_on()

    def flush(self) -> bool:
        self._pass_on()
        return self.inner.flush()

    def take(self) -> bytes | None:
        while True:
            try:
                # b"" is the peer's close_notify: a proper end. An end without it raises SSLEOFError below, as
                # anyone on the way can cut a connection.
                return self._tls.read(_READ_SIZE)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                if not self.feed():
                    return None

    def feed(self) -> bool:
        """Take what has come from below; False where nothing has."""
        self.flush()  # an answer of TLS itself, to a key update
        data = self.inner.take()
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def close(self) -> None:
        self.inner.close()

    def end(self) -> None:
        """Say goodbye as TLS wants it, without waiting for the peer's, and close."""
        with contextlib.suppress(OSError):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self.flush()
        self.inner.end()

    def _pass_on(self) -> None:
        if self._outgoing.pending:
            self.inner.put(self._outgoing.read())


ByteStream: TypeAlias = PlainChannel | TlsChannel


async def flush(channel: ByteStream, runtime: SocketRuntime, deadline: float | None) -> None:
    """Send all that was put. Raises OSError, DeadlinePassed or Interrupted."""
    while not channel.flush():
        if not await runtime.wait((), (channel.socket,), deadline):
            raise DeadlinePassed


async def shake_hands(channel: TlsChannel, runtime: SocketRuntime, deadline: float | None) -> None:
    """Run the TLS handshake. Raises OSError (ssl.SSLError among them), DeadlinePassed or Interrupted."""
    try:
        while not channel.advance_handshake():
            await flush(channel, runtime, deadline)
            while not channel.feed():
                if not await runtime.wait((channel.socket,), (), deadline):
                    raise DeadlinePassed
    except ssl.SSLError:
        with contextlib.suppress(OSError):
            channel.flush()
        raise
    await flush(channel, runtime, deadline)
