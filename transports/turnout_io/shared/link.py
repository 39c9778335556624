"""The link of one router to the store: the one task, or thread, that owns the connection.

Calls never touch the socket, and never wait for it: they use the leases of `SharedState`. The link sends the
requests of the leases as one pipeline, and passes the replies back. If the store is out of reach, it connects again.

It is written once over `AsyncSocketRuntime`. Over blocking sockets no `await` ever suspends, so a thread can run it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import attrs

from turnout.errors import ConnectFailed, RemoteProtocolError, TransportError, TurnoutError
from turnout.http.origin import Origin
from turnout.shared.bell import Bell
from turnout.shared.store.session import (
    EvictsBudgets,
    LoginRefused,
    Moved,
    Ready,
    ScriptCall,
    Session,
    SessionEvent,
    StoreFailed,
)
from turnout_io.shared.sentinel import ask_sentinel
from turnout_io.shared.valkey import Valkey, script_texts
from turnout_io.transports._async.connect import connect
from turnout_io.transports._async.handshake import send
from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.byte_streams import ByteStream
from turnout_io.transports.socket_runtime import DeadlinePassed, Interrupted

__all__ = ["Link", "SharedPort"]

NO_REPLY: Final = 1.5
"""Seconds without a reply after which the store counts as out of reach: less than a grant may be spent."""

PING_AFTER: Final = 15.0  # seconds of silence, so that nobody on the way takes the connection for dead
FAREWELL: Final = 0.5  # seconds for the last words
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between two attempts to connect
MOST_NODES: Final = 64

_logger = logging.getLogger("turnout")


class SharedPort(Protocol):
    """The shared half of a router, as its link sees it. Every method takes the router's lock."""

    @property
    def bell(self) -> Bell: ...

    @property
    def channel(self) -> str: ...

    def due(self, now: float) -> float: ...

    def calls(self, now: float, *, leaving: bool = False) -> list[ScriptCall]: ...

    def receive(self, events: Iterable[SessionEvent], now: float) -> None: ...

    @property
    def stale(self) -> bool:
        """True if the notices must be fetched as a whole."""
        ...

    @property
    def counts_money(self) -> bool:
        """True if budgets are shared, so that the store may evict nothing."""
        ...

    def lost(self, reason: str, now: float) -> None: ...

    def found(self, now: float) -> None: ...


@attrs.define(eq=False)
class _Node:
    """One connection: of a cluster there may be several."""

    address: tuple[str, int]
    stream: ByteStream
    session: Session
    unsent: bool = False
    waits_since: float | None = None  # the runtime's clock; of the oldest command without a reply
    heard: float = 0.0
    eviction: str = ""

    def write(self, now: float) -> None:
        data = self.session.data_to_send()
        if data:
            self.stream.write(data)
            if self.waits_since is None:
                self.waits_since = now
        self.unsent = not self.stream.flush()


class Link:
    """Sends the requests of a router's shared state to the store, and passes the replies back.

    `open` makes the first connection, and `run` is to run beside the calls until `stop` is called.
    """

    def __init__(
        self,
        valkey: Valkey,
        port: SharedPort,
        runtime: AsyncSocketRuntime,
        clock: Callable[[], float],
        notify: Callable[[], None],
    ) -> None:
        """Prepare a link; nothing is connected yet.

        Args:
            valkey: Where the store is.
            port: The shared half of the router.
            runtime: How to wait for sockets.
            clock: The router's monotonic clock.
            notify: Wakes the calls that may go on.
        """
        self._valkey = valkey
        self._port = port
        self._runtime = runtime
        self._clock = clock
        self._notify = notify
        self._scripts = script_texts()
        self._nodes: dict[tuple[str, int], _Node] = {}
        self._places: dict[str, tuple[str, int]] = {}  # key -> node, from redirections of the cluster
        self._main: _Node | None = None
        self._turn = 0  # which of the hosts is tried next
        self._stopping = False
        self._told = ""
        # A call wakes the link through a pair of sockets, which every runtime can wait for.
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    # -- life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make the first connection.

        Raises:
            LoginRefused: If the store refuses the credentials.
            EvictsBudgets: If budgets are shared, and the store may evict them.
            TransportError: If it cannot be reached, and the number of processes is not in the settings.
        """
        try:
            await self._connect()
        except (TransportError, StoreFailed, RemoteProtocolError, OSError) as error:
            # An OSError: the server reset the connection, as some do if a client has no certificate.
            self._close_all()
            sharing = self._valkey.sharing
            if isinstance(error, LoginRefused | EvictsBudgets):
                raise
            if sharing.fail == "closed" or sharing.processes is None:
                hint = "give processes=N to begin without it" if sharing.fail == "local-share" else "fail is 'closed'"
                raise ConnectFailed(
                    f"the shared store {self._valkey.address} cannot be used: {error} ({hint})"
                ) from error
            self._lose(error)

    async def run(self) -> None:
        """Serve until `stop` is called."""
        pause = FIRST_PAUSE
        try:
            while not self._stopping:
                try:
                    if self._main is None:
                        await self._connect()
                    pause = FIRST_PAUSE
                    await self._serve()
                except Exception as error:
                    if not isinstance(error, TurnoutError | OSError | Interrupted):
                        # A mistake here must not end the calls, which go on as if the store were out of reach.
                        _logger.exception("the link to the shared store failed")
                    self._close_all()
                    self._lose(error)
                    # Jitter, so that the processes do not connect at the same time.
                    await self._sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(LONGEST_PAUSE, 2 * pause)
            await self._farewell()
        finally:
            self._close_all()
            self._port.lost("the router is closed", self._clock())

    def stop(self) -> None:
        """Make `run` give back its leases and return. May be called from any thread, any number of times."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Make the link send the requests that are due. May be called from any thread."""
        with contextlib.suppress(OSError):  # full is as good: it will wake
            self._wake_out.send(b"\0")

    def close(self) -> None:
        """Free the sockets, after `run` has returned or if it was never called."""
        self._close_all()
        self._wake_in.close()
        self._wake_out.close()

    # -- connections --------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        hosts = self._valkey.address.hosts
        self._turn += 1
        address = hosts[(self._turn - 1) % len(hosts)]
        if self._valkey.address.primary:
            address = await self._ask_sentinel(address)
        self._main = await self._connect_node(address, self._port.channel)
        self._check_eviction()
        self._port.found(self._clock())
        if self._told:
            _logger.info("the shared store %s is in reach again", self._valkey.address)
            self._told = ""
        self._notify()

    async def _connect_node(self, address: tuple[str, int], channel: str = "") -> _Node:
        valkey, runtime = self._valkey, self._runtime
        password = await valkey.current_password()
        stream = await self._dial(address)
        node = _Node(
            address,
            stream,
            Session(
                self._scripts,
                channel,
                valkey.address.username,
                password,
                valkey.address.database,
            ),
        )
        self._nodes[address] = node
        node.session.begin()
        deadline = runtime.now() + valkey.connect_timeout
        while not node.session.ready:
            node.write(runtime.now())
            events = self._read(node)
            if events is None:
                writes = (stream.socket,) if node.unsent else ()
                if not await runtime.wait((stream.socket,), writes, deadline):
                    raise StoreFailed(
                        f"the store at {_text(address)} did not answer within {valkey.connect_timeout:g} s"
                    )
                continue
            self._look_at_eviction(node, events)
            self._port.receive(events, self._clock())
        return node

    async def _dial(self, address: tuple[str, int]) -> ByteStream:
        host, port = address
        # The scheme decides about TLS; the connection is the same as for HTTP.
        origin = Origin("https" if self._valkey.address.tls else "http", host, port)
        return await connect(self._runtime, origin, None, self._valkey.tls, self._valkey.connect_timeout)

    async def _ask_sentinel(self, sentinel: tuple[str, int]) -> tuple[str, int]:
        """Return the address of the primary."""
        deadline = self._runtime.now() + self._valkey.connect_timeout
        stream = await self._dial(sentinel)
        try:
            return await ask_sentinel(stream, self._runtime, deadline, self._valkey.address.primary, _text(sentinel))
        finally:
            stream.close()

    def _look_at_eviction(self, node: _Node, events: Iterable[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, Ready):
                node.eviction = event.eviction
                if event.eviction.startswith("allkeys"):
                    _logger.warning(
                        "the shared store %s may evict limits (maxmemory-policy %s): use noeviction",
                        self._valkey.address,
                        event.eviction,
                    )

    def _check_eviction(self) -> None:
        """Refuse to count money on a server that may forget it. Keys of budgets expire, so any eviction finds them.

        Raises:
            EvictsBudgets: If so.
        """
        if self._port.counts_money:
            for node in self._nodes.values():
                if node.eviction not in ("", "noeviction"):
                    raise EvictsBudgets(
                        f"the store at {_text(node.address)} may evict budgets (maxmemory-policy {node.eviction}), and "
                        "forget what was spent: set maxmemory-policy noeviction"
                    )

    # -- serving ------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        runtime, port = self._runtime, self._port
        while not self._stopping:
            port.bell.rung = False
            self._check_eviction()
            now = self._clock()
            await self._send(port.calls(now))
            self._look_after(runtime.now())
            changed = False
            for node in tuple(self._nodes.values()):
                while (events := self._read(node)) is not None:
                    changed = True
                    await self._take(events)
            if changed:
                self._notify()
                continue
            reads = [self._wake_in, *(node.stream.socket for node in self._nodes.values())]
            writes = [node.stream.socket for node in self._nodes.values() if node.unsent]
            if port.bell.rung:
                continue
            await runtime.wait(reads, writes, self._deadline())
            self._drain_wakes()

    async def _send(self, calls: list[ScriptCall]) -> None:
        main = self._main
        assert main is not None
        for call in calls:
            place = self._places.get(call.key)
            node = main if place is None else self._nodes.get(place)
            if node is None:
                node = await self._connect_node(place or main.address)
            node.session.run(call)
        if self._port.stale and not main.session.pending:
            main.session.fetch_notices()
        now = self._runtime.now()
        for node in self._nodes.values():
            node.write(now)

    async def _take(self, events: list[SessionEvent]) -> None:
        moved = [event for event in events if isinstance(event, Moved)]
        self._port.receive([event for event in events if not isinstance(event, Moved)], self._clock())
        for event in moved:
            place = (event.host or (self._main.address[0] if self._main is not None else ""), event.port)
            if place not in self._nodes and len(self._nodes) >= MOST_NODES:
                raise StoreFailed("the cluster has too many nodes")
            if self._places.get(event.call.key) == place:
                raise StoreFailed(f"the cluster moves {event.call.key} without end")
            self._places[event.call.key] = place
            await self._send([event.call])

    def _read(self, node: _Node) -> list[SessionEvent] | None:
        """Return the events of the bytes that arrived; None if none did."""
        data = node.stream.read()
        if data is None:
            return None
        node.heard = self._runtime.now()
        if not data:
            node.session.receive_end()
        events = node.session.receive_data(data) if data else []
        if node.session.failure is not None:
            if events:
                self._port.receive([event for event in events if not isinstance(event, Moved)], self._clock())
            raise node.session.failure
        node.waits_since = node.heard if node.session.pending else None
        return events

    def _look_after(self, now: float) -> None:
        for node in self._nodes.values():
            if node.waits_since is not None and now - node.waits_since > NO_REPLY:
                raise StoreFailed(f"the store at {_text(node.address)} did not answer for {NO_REPLY:g} s")
            if node.waits_since is None and now - node.heard > PING_AFTER:
                node.session.ping()
                node.write(now)

    def _deadline(self) -> float | None:
        """Return when to look again, by the runtime's clock."""
        now = self._runtime.now()
        due = self._port.due(self._clock())
        deadline = now + PING_AFTER if due == float("inf") else now + max(0.0, due - self._clock())
        for node in self._nodes.values():
            last = node.heard + PING_AFTER if node.waits_since is None else node.waits_since + NO_REPLY
            deadline = min(deadline, max(now, last) + 0.001)
        return deadline

    async def _farewell(self) -> None:
        """Give back the leases, and report the end of this process."""
        if self._main is None:
            return
        with contextlib.suppress(TurnoutError, OSError, DeadlinePassed, Interrupted):
            deadline = self._runtime.now() + FAREWELL
            # A lease takes leave only after the reply to its last request, which may be on its way.
            if await self._replies(deadline):
                await self._send(self._port.calls(self._clock(), leaving=True))
                await self._replies(deadline)

    async def _replies(self, deadline: float) -> bool:
        """Wait for the replies to all requests. Returns False if the deadline passes before."""
        for node in tuple(self._nodes.values()):
            await send(node.stream, self._runtime, deadline)
            while node.session.pending:
                events = self._read(node)
                if events is not None:
                    await self._take(events)
                elif not await self._runtime.wait((node.stream.socket,), (), deadline):
                    return False
        return True

    # -- small things -------------------------------------------------------------------------------------------

    async def _sleep(self, seconds: float) -> None:
        deadline = self._runtime.now() + seconds
        while not self._stopping and self._runtime.now() < deadline:
            await self._runtime.wait((self._wake_in,), (), deadline)
            self._drain_wakes()

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while self._wake_in.recv(4096):
                pass

    def _lose(self, error: BaseException) -> None:
        reason = str(error)
        self._port.lost(reason, self._clock())
        if not self._told:
            _logger.warning("the shared store %s is out of reach: %s", self._valkey.address, reason)
            self._told = reason
        self._notify()

    def _close_all(self) -> None:
        self._main = None
        self._places.clear()
        for node in self._nodes.values():
            node.stream.close()
        self._nodes.clear()


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
