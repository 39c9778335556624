"""Waits on a byte stream that the HTTP/1.1 client and its tunnels need: to send, to receive, to set up TLS."""

from __future__ import annotations

import contextlib
import ssl

from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream, TlsStream
from turnout_io.transports.socket_runtime import DeadlinePassed

__all__ = ["do_handshake", "receive", "send"]


async def send(stream: ByteStream, runtime: AsyncSocketRuntime, deadline: float | None) -> None:
    """Send all bytes that were written.

    Raises:
        OSError: If the connection breaks.
        DeadlinePassed: If the peer takes too long.
    """
    while not stream.flush():
        if not await runtime.wait((), (stream.socket,), deadline) and not stream.flush():
            raise DeadlinePassed


async def receive(stream: ByteStream, runtime: AsyncSocketRuntime, deadline: float | None) -> bytes:
    """Return the next bytes, b"" at the end of the connection.

    Raises:
        OSError: If the connection breaks.
        DeadlinePassed: If the peer takes too long.
    """
    while True:
        data = stream.read()
        if data is not None:
            return data
        if not await runtime.wait((stream.socket,), (), deadline):
            data = stream.read()  # it may have arrived while this process was stopped
            if data is None:
                raise DeadlinePassed
            return data


async def do_handshake(stream: TlsStream, runtime: AsyncSocketRuntime, deadline: float | None) -> None:
    """Run the TLS handshake.

    Raises:
        OSError: If the connection breaks or TLS fails (ssl.SSLError).
        DeadlinePassed: If the peer takes too long.
    """
    try:
        while not stream.advance_handshake():
            await send(stream, runtime, deadline)
            while not stream.feed():
                if not await runtime.wait((stream.socket,), (), deadline):
                    if stream.feed():
                        break  # it arrived while this process was stopped
                    raise DeadlinePassed
    except ssl.SSLError:
        with contextlib.suppress(OSError):
            stream.flush()
        raise
    await send(stream, runtime, deadline)
