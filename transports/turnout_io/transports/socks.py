"""The client's side of SOCKS5 (RFC 1928, RFC 1929), without I/O. The messages are those of `socksio`."""

from __future__ import annotations

import socket
from typing import Any

from turnout.errors import ConnectFailed
from turnout_io.transports.proxies import Proxy

__all__ = ["SocksTunnel"]

_REASONS = {
    1: "general failure",
    2: "its rules do not allow the connection",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the server refused the connection",
    6: "the time to live expired",
    7: "it does not support CONNECT",
    8: "it does not support this kind of address",
}
_REFUSED_BY_RULES = 2


class SocksTunnel:
    """Opens a connection to a host through a SOCKS5 proxy.

    Send `data_to_send()`, pass what arrives to `receive_data`, and repeat both until `is_open`.

    Attributes:
        is_open: True if the proxy connected to the host.

    Raises:
        ConnectFailed: If `socksio` is not installed, or the user name or the password is too long.
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        try:
            from socksio import socks5
        except ImportError:
            raise ConnectFailed(
                f'the proxy {proxy} speaks SOCKS5: to use it, pip install "turnout[socks]"', reason="proxy-refused"
            ) from None
        self.is_open = False
        self._messages: Any = socks5
        self._proxy = proxy
        self._target = f"{host}:{port}"
        self._received = b""
        self._connection: Any = socks5.SOCKS5Connection()  # its annotations hide the methods from type checkers
        self._command = socks5.SOCKS5CommandRequest(socks5.SOCKS5Command.CONNECT, *_address(socks5, host), port)
        methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if proxy.username is not None:
            methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
            if max(len(proxy.username.encode()), len((proxy.password or "").encode())) > 255:
                raise self._refused("its user name and password have at most 255 bytes each")
        self._connection.send(socks5.SOCKS5AuthMethodsRequest(methods))

    def data_to_send(self) -> bytes:
        """Return the next bytes for the proxy, b"" if more must be received first."""
        data: bytes = self._connection.data_to_send()
        return data

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the proxy; b"" means that it closed the connection.

        Raises:
            ConnectFailed: If the proxy refuses, or does not follow the protocol.
        """
        if not data:
            raise self._failed("it closed the connection")
        self._received += data
        while not self.is_open:
            size = self._message_size()
            if size is None or len(self._received) < size:
                return
            message, self._received = self._received[:size], self._received[size:]
            self._receive_message(message)
        if self._received:
            raise self._failed("it sent its own bytes into the connection")

    def _message_size(self) -> int | None:
        """Return the size of the message that arrives. None if more bytes are needed to know."""
        if self._connection.state is not self._messages.SOCKS5State.CLIENT_AUTHENTICATED:
            return 2
        head = self._received[:5]
        if len(head) < 5:
            return None
        match head[3]:
            case 1:
                return 10
            case 3:
                return 7 + head[4]
            case 4:
                return 22
            case _:
                raise self._failed("its reply is not SOCKS5")

    def _receive_message(self, message: bytes) -> None:
        from socksio import ProtocolError, SOCKSError

        socks5 = self._messages
        if message[0] not in (1, 5):
            raise self._failed("its reply is not SOCKS5")
        if self._connection.state is socks5.SOCKS5State.CLIENT_AUTHENTICATED and message[1]:
            reason = _REASONS.get(message[1], f"reply code {message[1]}")
            raise self._refused(reason) if message[1] == _REFUSED_BY_RULES else self._failed(reason)
        try:
            reply = self._connection.receive_data(message)
        except (ProtocolError, SOCKSError, ValueError) as error:
            raise self._failed("its reply is not SOCKS5") from error
        match self._connection.state:
            case socks5.SOCKS5State.CLIENT_WAITING_FOR_USERNAME_PASSWORD if self._proxy.username is not None:
                name, password = self._proxy.username.encode(), (self._proxy.password or "").encode()
                self._connection.send(socks5.SOCKS5UsernamePasswordRequest(name, password))
            case socks5.SOCKS5State.CLIENT_AUTHENTICATED:
                self._connection.send(self._command)
            case socks5.SOCKS5State.TUNNEL_READY:
                self.is_open = True
            case _ if isinstance(reply, socks5.SOCKS5UsernamePasswordReply):
                raise self._refused("it does not accept its user name and password")
            case _:
                raise self._refused(
                    "it wants a user name and password: give them in its URL, socks5://user:password@host:port"
                    if self._proxy.username is None
                    else "it accepts no user name and password"
                )

    def _refused(self, reason: str) -> ConnectFailed:
        message = f"the proxy {self._proxy} does not allow the connection to {self._target}: {reason}"
        return ConnectFailed(message, reason="proxy-refused")

    def _failed(self, reason: str) -> ConnectFailed:
        return ConnectFailed(f"the proxy {self._proxy} made no connection to {self._target}: {reason}", reason="proxy")


def _address(socks5: Any, host: str) -> tuple[Any, bytes]:
    """Return the type of an address and its bytes."""
    kinds = ((socket.AF_INET, socks5.SOCKS5AType.IPV4_ADDRESS), (socket.AF_INET6, socks5.SOCKS5AType.IPV6_ADDRESS))
    for family, kind in kinds:
        try:
            return kind, socket.inet_pton(family, host)
        except OSError:
            continue
    return socks5.SOCKS5AType.DOMAIN_NAME, host.encode("ascii")
