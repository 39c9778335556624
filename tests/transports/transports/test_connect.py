"""From a host to a connection: the addresses by turns, one deadline, and the fault that says most."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Iterator, Sequence

import pytest

from turnout.errors import ConnectFailed, TimedOut, Timer
from turnout.http.origin import Origin
from turnout_io.transports._sync.connect import connect as open_stream
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.connect_errors import connect_failed, proxy_refused
from turnout_io.transports.socket import BlockingSocketRuntime
from turnout_io.transports.socket_runtime import Address
from turnout_io.transports.tls import TlsSettings


class Runtime(BlockingSocketRuntime):
    """The blocking runtime, with a look-up that knows these addresses."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        super().__init__()
        self.addresses = addresses

    def look_up(self, host: str, port: int, deadline: float | None) -> Sequence[Address]:
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kinds[":" in ip], socket.SOCK_STREAM, 0, "", (ip, port)) for ip, port in self.addresses]


def connect(*addresses: tuple[str, int], seconds: float | None = 5.0) -> ByteStream:
    origin = Origin("http", "host.test", 80)
    return open_stream(Runtime(*addresses), origin, None, TlsSettings(), seconds)


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers no connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def refusing() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
    return address


def test_the_next_address_is_tried_where_one_refuses(refusing: tuple[str, int], listening: tuple[str, int]) -> None:
    channel = connect(refusing, refusing, listening)
    assert channel.socket.getpeername() == listening
    channel.close()


def test_tcp_probes_a_silent_connection_after_a_minute(listening: tuple[str, int]) -> None:
    stream = connect(listening)
    assert stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):  # Windows names neither in old versions of Python
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) == 60
    stream.close()


def test_an_address_that_is_silent_holds_nothing_up(silent: tuple[str, int], listening: tuple[str, int]) -> None:
    started = time.monotonic()
    channel = connect(silent, listening, seconds=60.0)
    assert 0.2 < time.monotonic() - started < 30.0
    assert channel.socket.getpeername() == listening
    channel.close()


def test_silence_everywhere_ends_with_the_deadline(silent: tuple[str, int]) -> None:
    started = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        connect(silent, silent, silent, seconds=0.4)
    assert time.monotonic() - started > 0.35
    assert caught.value.timer is Timer.CONNECT


def test_a_refusal_beside_silence_waits_for_the_silent_one(silent: tuple[str, int], refusing: tuple[str, int]) -> None:
    with pytest.raises(TimedOut):
        connect(silent, refusing, seconds=0.5)


def test_where_all_refuse_the_refusal_is_told(refusing: tuple[str, int]) -> None:
    # TCP has no route to the broadcast address, which says less than a refusal.
    for addresses in ((("255.255.255.255", 9), refusing), (refusing, ("255.255.255.255", 9))):
        with pytest.raises(ConnectFailed, match=r"host\.test:80 refused the connection"):
            connect(*addresses)
    with pytest.raises(ConnectFailed, match="no route"):
        connect(("255.255.255.255", 9))


ORIGIN = Origin("https", "api.example.test", 443)


def verify_fault(code: int) -> ssl.SSLCertVerificationError:
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_code = code
    fault.verify_message = "why"
    return fault


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "check the host name"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "check that the server runs"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "closed the connection while"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route"),
        (OSError(errno.ETIMEDOUT, "timed out"), "did not answer"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (verify_fault(10), "has expired"),
        (verify_fault(9), "not valid yet"),
        (verify_fault(62), "is not for api.example.test"),
        (verify_fault(18), "self-signed"),
        (verify_fault(20), "ca_file"),
        (verify_fault(99), "why"),
        (ssl.SSLEOFError(8, "EOF occurred"), "during the TLS handshake"),
    ],
)
def test_each_fault_says_what_to_do(fault: OSError, told: str) -> None:
    message = str(connect_failed(ORIGIN, fault))
    assert told in message
    assert "api.example.test:443" in message
    assert "\n" not in message
    assert "the proxy http://p.test:1" in str(connect_failed(ORIGIN, fault, proxy="http://p.test:1"))


@pytest.mark.parametrize(
    ("status", "authorized", "told"),
    [
        (407, False, "http://user:password@host:port"),
        (407, True, "does not accept its user name"),
        (403, False, "does not allow"),
        (502, False, "status 502"),
    ],
)
def test_each_refusal_of_a_proxy_says_what_to_do(status: int, authorized: bool, told: str) -> None:
    assert told in str(proxy_refused("http://p.test:1", status, "api.example.test:443", authorized=authorized))
