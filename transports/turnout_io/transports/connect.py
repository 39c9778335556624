"""From an origin to a usable connection: name look-up, TCP to the first address that answers, proxy, TLS.

One deadline covers all of it. Every failure is a `ConnectFailed` that says what to do, or a `TimedOut`.
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
from turnout_io.transports.byte_streams import ByteStream, PlainChannel, TlsChannel, flush, shake_hands
from turnout_io.transports.connect_errors import connect_failed, proxy_refused
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.socket_runtime import Address, DeadlinePassed, SocketRuntime
from turnout_io.transports.tls import TlsSettings

__all__ = ["connect"]

# RFC 8305 section 5: how long an address may take before the next is tried beside it.
_NEXT_ADDRESS_AFTER = 0.25
_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", 10035)})
# What says more about this machine than about the server, and so is told only where nothing better is known.
_LOCAL_FAULTS = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def connect(
    runtime: SocketRuntime, origin: Origin, proxy: Proxy | None, tls: TlsSettings, seconds: float | None
) -> ByteStream:
    """A channel to `origin`, within `seconds`. Raises ConnectFailed, TimedOut or LocalProtocolError."""
    deadline = None if seconds is None else runtime.now() + seconds
    first = origin if proxy is None else proxy.origin
    # `stage` is where a fault would belong: the peer that is being talked to, and the proxy where it is that.
    stage: tuple[Origin, str | None] = (first, None if proxy is None else str(proxy))
    channel: ByteStream | None = None
    try:
        channel = PlainChannel(await _dial_tcp(runtime, first, deadline))
        if proxy is not None and first.scheme == "https":
            channel = TlsChannel(channel, tls.context(), first.host)
            await shake_hands(channel, runtime, deadline)
        if origin.scheme == "https":
            if proxy is not None:
                await _tunnel(channel, runtime, origin, proxy, deadline)
            stage = (origin, None)
            channel = TlsChannel(channel, tls.context(), origin.host)
            await shake_hands(channel, runtime, deadline)
    except BaseException as fault:
        if channel is not None:
            channel.close()
        if isinstance(fault, DeadlinePassed):
            where = stage[0].authority if stage[1] is None else f"the proxy {stage[1]}"
            raise TimedOut(
                f"no connection to {where} within {seconds:g} s", timer=Timer.CONNECT, phase=Phase.NOT_SENT
            ) from None
        if isinstance(fault, OSError):
            raise connect_failed(stage[0], fault, proxy=stage[1]) from fault
        raise
    return channel


async def _dial_tcp(runtime: SocketRuntime, origin: Origin, deadline: float | None) -> socket.socket:
    """A connected socket: addresses of both families in turn, each a little after the one before (RFC 8305)."""
    waiting = _by_turns(await runtime.look_up(origin.host, origin.port, deadline))
    pending: list[socket.socket] = []
    faults: list[OSError] = []
    try:
        while True:
            next_start = deadline
            if waiting:
                connected = _start(waiting.pop(0), pending, faults)
                if connected is not None:
                    return connected
                if waiting:
                    if not pending:
                        continue
                    next_start = _earlier(deadline, runtime.now() + _NEXT_ADDRESS_AFTER)
            while pending:
                ready = await runtime.wait((), pending, next_start)
                connected = _first_connected(pending, faults)
                if connected is not None:
                    return connected
                if not ready:
                    if deadline is not None and runtime.now() >= deadline:
                        raise DeadlinePassed
                    break
            if not pending and not waiting:
                raise _most_telling(faults)
    finally:
        for loser in pending:
            loser.close()


def _start(address: Address, pending: list[socket.socket], faults: list[OSError]) -> socket.socket | None:
    """Begin to connect: the socket where that succeeds at once, else it goes to `pending` or its fault to `faults`."""
    family, kind, protocol, _, where = address
    try:
        opened = socket.socket(family, kind, protocol)
    except OSError as fault:
        faults.append(fault)
        return None
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A stream may be silent for minutes: a peer that is gone is noticed sooner.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        code = opened.connect_ex(where)
    except OSError as fault:
        code = fault.errno or errno.EIO
    if code == 0:
        return opened
    if code in _PENDING:
        pending.append(opened)
    else:
        opened.close()
        faults.append(OSError(code, os.strerror(code)))
    return None


def _first_connected(pending: list[socket.socket], faults: list[OSError]) -> socket.socket | None:
    """The first of `pending` that is connected, taken out of it; those that failed are closed and taken out too."""
    for opened in tuple(pending):
        code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            pending.remove(opened)
            opened.close()
            faults.append(OSError(code, os.strerror(code)))
            continue
        try:
            opened.getpeername()
        except OSError:
            continue  # still under way
        pending.remove(opened)
        return opened
    return None


def _by_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families by turns, each in the order of the look-up, beginning with the family that it prefers."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [a for pair in itertools.zip_longest(first, others) for a in pair if a is not None]


def _most_telling(faults: list[OSError]) -> OSError:
    return next((fault for fault in faults if fault.errno not in _LOCAL_FAULTS), faults[0])


def _earlier(deadline: float | None, moment: float) -> float:
    return moment if deadline is None else min(deadline, moment)


async def _tunnel(
    channel: ByteStream, runtime: SocketRuntime, origin: Origin, proxy: Proxy, deadline: float | None
) -> None:
    """Ask the proxy for a tunnel to `origin` (RFC 9110 section 9.3.6)."""
    fields = [("Host", origin.authority)]
    if proxy.authorization is not None:
        fields.append(("Proxy-Authorization", proxy.authorization))
    exchange = Http1Exchange(HttpRequest("CONNECT", str(origin), fields), origin, origin.authority)
    while (piece := exchange.next_piece()) is not None:
        channel.put(piece)
        await flush(channel, runtime, deadline)
    while not exchange.head_received and exchange.failure is None:
        data = channel.take()
        if data:
            exchange.receive_data(data)
        elif data is not None:
            exchange.receive_eof()
        elif not await runtime.wait((channel.socket,), (), deadline):
            raise DeadlinePassed
    if exchange.failure is not None:
        raise ConnectFailed(
            f"the proxy {proxy} made no connection to {origin.authority}: {exchange.failure}", reason="proxy"
        )
    if exchange.status is None or not 200 <= exchange.status < 300:
        raise proxy_refused(
            str(proxy), exchange.status or 0, origin.authority, authorized=proxy.authorization is not None
        )
    if exchange.surplus:
        raise ConnectFailed(
            f"the proxy {proxy} sent bytes of its own into the connection to {origin.authority}", reason="proxy"
        )
