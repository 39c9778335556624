"""From an origin to a connection: name look-up, TCP to the first address that accepts, proxy, TLS.

One deadline covers all of it. Every failure is a `ConnectFailed` that says what the reader can do, or a `TimedOut`.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Sequence

from turnout.errors import ConnectFailed, Phase, TimedOut, Timer
from turnout.http import HttpRequest
from turnout.http.http1 import Http1Exchange
from turnout.http.origin import Origin
from turnout.trace.text import duration
from turnout_io.transports._async.handshake import do_handshake, receive, send
from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream, PlainStream, TlsStream, write_chunk
from turnout_io.transports.connect_errors import connect_failed, proxy_refused
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.socket_options import set_options
from turnout_io.transports.socket_runtime import Address, DeadlinePassed
from turnout_io.transports.socks import SocksTunnel
from turnout_io.transports.tls import TlsSettings

__all__ = ["connect"]

# RFC 8305 section 5: seconds after which the next address is tried at the same time.
_NEXT_ADDRESS_AFTER = 0.25
_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", 10035)})
# These describe this machine rather than the server, so they are reported only if there is no other error.
_LOCAL_ERRORS = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def connect(
    runtime: AsyncSocketRuntime, origin: Origin, proxy: Proxy | None, tls: TlsSettings, timeout: float | None
) -> ByteStream:
    """Return a connection to `origin`.

    Args:
        runtime: Waits for the sockets.
        origin: The server.
        proxy: Opens a tunnel to the server. For plain http, an HTTP proxy itself is the peer.
        tls: Certificates.
        timeout: Seconds for everything. None means no bound.

    Raises:
        ConnectFailed: If there is no connection. Nothing of a request was sent.
        TimedOut: If it takes longer than `timeout`.
        LocalProtocolError: If a certificate file cannot be used.
    """
    deadline = None if timeout is None else runtime.now() + timeout
    first = origin if proxy is None else proxy.origin
    # The peer of the current step, and the proxy's name if the peer is the proxy: for error messages.
    step: tuple[Origin, str | None] = (first, None if proxy is None else str(proxy))
    stream: ByteStream | None = None
    try:
        stream = PlainStream(await _connect_tcp(runtime, first, deadline))
        if proxy is not None and first.scheme == "https":
            stream = TlsStream(stream, tls.context(), first.host)
            await do_handshake(stream, runtime, deadline)
        if proxy is not None and proxy.tunnels_to(origin):
            await (_open_socks if proxy.is_socks else _open_tunnel)(stream, runtime, origin, proxy, deadline)
        if origin.scheme == "https":
            step = (origin, None)
            stream = TlsStream(stream, tls.context(), origin.host)
            await do_handshake(stream, runtime, deadline)
    except BaseException as error:
        if stream is not None:
            stream.close()
        if isinstance(error, DeadlinePassed):
            where = step[0].authority if step[1] is None else f"the proxy {step[1]}"
            raise TimedOut(
                f"no connection to {where} within {duration(timeout or 0.0)}", timer=Timer.CONNECT, phase=Phase.NOT_SENT
            ) from None
        if isinstance(error, OSError):
            raise connect_failed(step[0], error, proxy=step[1]) from error
        raise
    return stream


async def _connect_tcp(runtime: AsyncSocketRuntime, origin: Origin, deadline: float | None) -> socket.socket:
    """Return a connected socket. Addresses of both families take turns, each starts a little later (RFC 8305)."""
    addresses = _alternate_families(await runtime.look_up(origin.host, origin.port, deadline))
    pending: list[socket.socket] = []
    errors: list[OSError] = []
    try:
        while True:
            next_start = deadline
            if addresses:
                connected = _start(addresses.pop(0), pending, errors)
                if connected is not None:
                    return connected
                if addresses:
                    if not pending:
                        continue
                    next_start = _earlier(deadline, runtime.now() + _NEXT_ADDRESS_AFTER)
            while pending:
                is_ready = await runtime.wait((), pending, next_start)
                connected = _take_connected(pending, errors)
                if connected is not None:
                    return connected
                if not is_ready:
                    if deadline is not None and runtime.now() >= deadline:
                        raise DeadlinePassed
                    break
            if not pending and not addresses:
                raise _most_informative(errors)
    finally:
        for loser in pending:
            loser.close()


def _start(address: Address, pending: list[socket.socket], errors: list[OSError]) -> socket.socket | None:
    """Start to connect. Returns the socket if it is connected at once; otherwise changes `pending` or `errors`."""
    family, kind, protocol, _, where = address
    try:
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        errors.append(error)
        return None
    try:
        opened.setblocking(False)
        set_options(opened)
        code = opened.connect_ex(where)
    except OSError as error:
        code = error.errno or errno.EIO
    if code == 0:
        return opened
    if code in _PENDING:
        pending.append(opened)
    else:
        opened.close()
        errors.append(OSError(code, os.strerror(code)))
    return None


def _take_connected(pending: list[socket.socket], errors: list[OSError]) -> socket.socket | None:
    """Remove and return the first connected socket of `pending`. Removes and closes those that failed."""
    for opened in tuple(pending):
        code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            pending.remove(opened)
            opened.close()
            errors.append(OSError(code, os.strerror(code)))
            continue
        try:
            opened.getpeername()
        except OSError:
            continue  # not connected yet
        pending.remove(opened)
        return opened
    return None


def _alternate_families(addresses: Sequence[Address]) -> list[Address]:
    """Return the families by turns, each in its order, starting with the family that the look-up prefers."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [a for pair in itertools.zip_longest(first, others) for a in pair if a is not None]


def _most_informative(errors: list[OSError]) -> OSError:
    return next((error for error in errors if error.errno not in _LOCAL_ERRORS), errors[0])


def _earlier(deadline: float | None, moment: float) -> float:
    return moment if deadline is None else min(deadline, moment)


async def _open_tunnel(
    stream: ByteStream, runtime: AsyncSocketRuntime, origin: Origin, proxy: Proxy, deadline: float | None
) -> None:
    """Open a tunnel to `origin` with CONNECT (RFC 9110 section 9.3.6)."""
    fields = [("Host", origin.authority)]
    if proxy.authorization is not None:
        fields.append(("Proxy-Authorization", proxy.authorization))
    exchange = Http1Exchange(HttpRequest("CONNECT", str(origin), fields), origin, origin.authority)
    while write_chunk(exchange, stream):
        await send(stream, runtime, deadline)
    while not exchange.head_received and exchange.failure is None:
        data = await receive(stream, runtime, deadline)
        if data:
            exchange.receive_data(data)
        else:
            exchange.receive_eof()
    if exchange.failure is not None:
        raise ConnectFailed(
            f"the proxy {proxy} made no connection to {origin.authority}: {exchange.failure}", reason="proxy"
        )
    if exchange.status is None or not 200 <= exchange.status < 300:
        raise proxy_refused(
            str(proxy), exchange.status or 0, origin.authority, authorized=proxy.authorization is not None
        )
    if exchange.has_trailing_bytes:
        raise ConnectFailed(
            f"the proxy {proxy} sent its own bytes into the connection to {origin.authority}", reason="proxy"
        )


async def _open_socks(
    stream: ByteStream, runtime: AsyncSocketRuntime, origin: Origin, proxy: Proxy, deadline: float | None
) -> None:
    """Open a connection to `origin` through a SOCKS5 proxy."""
    host = origin.host
    if not proxy.resolves_names:
        host = (await runtime.look_up(host, origin.port, deadline))[0][4][0]
    tunnel = SocksTunnel(proxy, host, origin.port)
    while not tunnel.is_open:
        stream.write(tunnel.data_to_send())
        await send(stream, runtime, deadline)
        tunnel.receive_data(await receive(stream, runtime, deadline))
