"""A loopback server that plays scripts: it reads requests, and sends, waits or closes as the script demands.

    with ScriptedServer([Request(), Send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi"), Hold()]) as server:
        ...                                  # server.url, server.requests, server.connections

Each new connection plays the next script. A connection after the last script is counted and closed at once.
Every step is bounded in time, and leaving the `with` ends all threads.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeAlias, assert_never

import attrs

__all__ = [
    "ConnectionRecord",
    "EndConnection",
    "Gate",
    "Hold",
    "Pause",
    "Receive",
    "ReceivedRequest",
    "Request",
    "Reset",
    "ScriptedServer",
    "Send",
    "StartTls",
    "Step",
]

_PATIENCE = 20.0  # seconds that any one step may wait for the client


@attrs.frozen
class Request:
    """Read a request and note it. `body=False` leaves the body unread."""

    body: bool = True


@attrs.frozen
class Receive:
    """Wait for the first bytes, whatever they are, and pass over them."""


@attrs.frozen
class Send:
    """Send bytes: at once, or in pieces of `each` bytes with `every` seconds between them."""

    data: bytes
    each: int = 0
    every: float = 0.0


@attrs.frozen
class Pause:
    """Do nothing for a while."""

    seconds: float


@attrs.frozen
class Gate:
    """Go on when the check opens the gate of this name with `ScriptedServer.open_gate`."""

    name: str


@attrs.frozen
class Hold:
    """Keep the connection open, reading nothing but its end, until the client closes it."""


@attrs.frozen
class EndConnection:
    """Close the connection in order. Over TLS, `notify=False` leaves out the close_notify, as a cut line does."""

    notify: bool = True


@attrs.frozen
class Reset:
    """Reset the connection."""


@attrs.frozen
class StartTls:
    """Speak TLS from here on."""

    context: ssl.SSLContext


Step: TypeAlias = Request | Receive | Send | Pause | Gate | Hold | EndConnection | Reset | StartTls


@attrs.frozen
class ReceivedRequest:
    """A request. `connection` counts from 0; `fields` are in order, with their names as they were sent."""

    connection: int
    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


@attrs.define(eq=False)
class ConnectionRecord:
    """What became of one connection."""

    number: int
    closed_by_client: threading.Event = attrs.field(factory=threading.Event)
    over: threading.Event = attrs.field(factory=threading.Event)


class _ClientGone(Exception):
    """The client closed, or the server is being stopped."""


class ScriptedServer:
    """Plays one script for each connection, in order of arrival."""

    def __init__(self, *scripts: Sequence[Step], backlog: int = 64) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[ReceivedRequest] = []
        self.connections: list[ConnectionRecord] = []
        self._sockets: list[socket.socket] = []
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def open_gate(self, name: str) -> None:
        self._gate(name).set()

    def wait_for_connection(self, number: int = 0, seconds: float = 5.0) -> ConnectionRecord:
        """Wait for the connection of this number and return it.

        Raises:
            AssertionError: There was no such connection.
        """
        for _ in range(int(seconds / 0.01)):
            with self._lock:
                if len(self.connections) > number:
                    return self.connections[number]
            self._stopping.wait(0.01)
        raise AssertionError(f"no connection {number} came within {seconds} s")

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with self._lock:
            for gate in self._gates.values():
                gate.set()
            # A thread in `accept` or `recv` wakes when its socket is shut down, not when it is closed.
            for opened in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    # Not the method of an SSLSocket, which takes its TLS away from the thread that reads.
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)
        for thread in tuple(self._threads):
            thread.join(_PATIENCE)
        self._listener.close()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # a method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number = len(self.connections)
                self.connections.append(ConnectionRecord(number))
                self._sockets.append(accepted)
            self._start(self._play, number, accepted)

    def _play(self, number: int, accepted: socket.socket) -> None:
        connection = self.connections[number]
        script = self._scripts[number] if number < len(self._scripts) else (EndConnection(),)
        accepted.settimeout(_PATIENCE)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = _Wire(accepted, self._stopping)
        try:
            for step in script:
                self._do(step, wire, connection)
        except (_ClientGone, ConnectionError):
            connection.closed_by_client.set()
        except OSError:
            pass  # a step without its event, or a failed handshake: the check sees the error of the client
        finally:
            wire.close()
            connection.over.set()

    def _do(self, step: Step, wire: _Wire, connection: ConnectionRecord) -> None:
        match step:
            case Request():
                request = wire.read_request(connection.number, body=step.body)
                with self._lock:
                    self.requests.append(request)
            case Receive():
                if not wire.socket.recv(65536):
                    raise _ClientGone
            case Send():
                size = step.each or max(1, len(step.data))
                for at in range(0, len(step.data), size):
                    wire.socket.sendall(step.data[at : at + size])
                    if step.every and self._stopping.wait(step.every):
                        raise _ClientGone
            case Pause():
                self._stopping.wait(step.seconds)
            case Gate():
                self._gate(step.name).wait(_PATIENCE)
            case Hold():
                while wire.socket.recv(65536):
                    pass
                raise _ClientGone
            case EndConnection():
                if step.notify and isinstance(wire.socket, ssl.SSLSocket):
                    # Sends close_notify, and would then wait for the client's.
                    wire.socket.settimeout(0.1)
                    with contextlib.suppress(OSError, ValueError):
                        wire.socket = wire.socket.unwrap()
                wire.close()
            case Reset():
                wire.reset()
            case StartTls():
                wire.start_tls(step.context)
                with self._lock:
                    self._sockets.append(wire.socket)
            case never:
                assert_never(never)


class _Wire:
    """One accepted connection and the bytes read from it."""

    def __init__(self, accepted: socket.socket, stopping: threading.Event) -> None:
        self.socket = accepted
        self._stopping = stopping
        self._buffer = b""

    def read_request(self, number: int, *, body: bool) -> ReceivedRequest:
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        fields = tuple((name, value.strip()) for name, _, value in pairs)
        length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
        if not body:
            return ReceivedRequest(number, method, target, fields, b"")
        pieces = [self._buffer]
        read = len(self._buffer)
        while read < length:
            self._buffer = b""
            self._receive()
            pieces.append(self._buffer)
            read += len(self._buffer)
        whole = b"".join(pieces)
        self._buffer = whole[length:]
        return ReceivedRequest(number, method, target, fields, whole[:length])

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise _ClientGone
        self._buffer += data

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def reset(self) -> None:
        # RFC 9293: to close with a linger time of zero sends RST.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """End our side first: `close` with unread bytes would reset the connection, and sent bytes would be lost."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(1.0)
            while not self._stopping.is_set() and self.socket.recv(65536):
                pass
        self.socket.close()
