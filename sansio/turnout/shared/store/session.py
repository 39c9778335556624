"""One connection to a Valkey or Redis server, without I/O: it builds requests and reads replies.

The session logs in with RESP3, loads the scripts, subscribes to the notices and fetches the stored ones. After `Ready`
it runs scripts, many at once in one pipeline. The server replies in order, with messages of the channel in between.

Anything that makes the connection useless for sharing is a `failure`: a replica that became read-only, a store that is
full, missing rights, bytes that are not RESP. The driver then closes the connection, and dials again.
"""

from __future__ import annotations

import enum
import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs

from turnout.errors import LocalProtocolError, RemoteProtocolError, TurnoutError
from turnout.shared.store.resp import RespError, RespParser, RespPush, RespValue, encode_command

__all__ = ["Answer", "EvictsBudgets", "LoginRefused", "Message", "Moved", "Ready", "ScriptCall", "Session",
           "SessionEvent", "Snapshot", "StoreFailed"]  # fmt: skip


class StoreFailed(TurnoutError):
    """The store cannot keep shared state: this connection is of no use any more."""


class LoginRefused(StoreFailed):
    """The store refuses these credentials, or is none that can be used. To dial again does not help."""


class EvictsBudgets(StoreFailed):
    """The store may forget what was spent of a budget when its memory is full: its settings have to be changed."""


@attrs.frozen
class ScriptCall:
    """One run of a script on one key.

    Attributes:
        script: The script's name.
        key: The key.
        arguments: Its arguments.
        source: Any value of the driver; the answer carries it.
    """

    script: str
    key: str
    arguments: tuple[str, ...]
    source: object = attrs.field(default=None, repr=False)


@attrs.frozen
class Ready:
    """The session can run scripts.

    Attributes:
        cluster: True if the server is a node of a cluster.
        eviction: The server's `maxmemory-policy`; "" if it is not known.
    """

    cluster: bool
    eviction: str


@attrs.frozen
class Answer:
    """A script returned `value`."""

    call: ScriptCall
    value: RespValue


@attrs.frozen
class Moved:
    """The key of this call lies on another node of the cluster."""

    call: ScriptCall
    host: str
    port: int


@attrs.frozen
class Message:
    """A message of the channel."""

    text: bytes


@attrs.frozen
class Snapshot:
    """The stored notices, and the server's time in milliseconds when they were read."""

    fields: tuple[tuple[RespValue, RespValue], ...]
    now: int


SessionEvent: TypeAlias = Ready | Answer | Moved | Message | Snapshot


class _State(enum.Enum):
    NEW = "not begun"
    LOGGING_IN = "logging in"
    READY = "ready"
    FAILED = "failed"


class _Step(enum.Enum):
    """The command of a reply, if it is not a script."""

    HELLO = "HELLO"
    SELECT = "SELECT"
    LOAD = "SCRIPT LOAD"
    EVICTION = "CONFIG GET"
    TIME = "TIME"
    STORED = "HGETALL"
    PING = "PING"
    UNCHECKED = "unchecked"


# Advice for the errors of a server, by their code.
_HINTS: Final[Mapping[str, str]] = {
    "OOM": "the store is full: give it more memory (maxmemory), or remove what others keep there",
    "NOPERM": "the user lacks a right: see the list of commands, keys and channels in the documentation",
    "WRONGTYPE": "another program has written one of the keys",
    "READONLY": "this node is a replica",
    "MISCONF": "the store cannot write its snapshot to disk, and refuses writes",
    "NOREPLICAS": "the store has too few replicas, and refuses writes",
}
_REFUSED_LOGIN: Final = frozenset({"WRONGPASS", "NOAUTH", "NOPERM", "NOPROTO"})


@attrs.define(eq=False)
class Session:
    """The protocol of one connection.

    Attributes:
        scripts: The text of each script, by name.
        channel: The key of the notices, which is their channel; "" for a session that only runs scripts.
        username: The user; "" for the default one.
        password: The password; "" for none.
        database: The number of the database.
        failure: None, or the error that ended the session.
    """

    scripts: Mapping[str, str]
    channel: str = ""
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    database: int = 0
    failure: TurnoutError | None = attrs.field(default=None, init=False)
    _state: _State = attrs.field(default=_State.NEW, init=False)
    _parser: RespParser = attrs.field(factory=RespParser, init=False)
    _outgoing: list[bytes] = attrs.field(factory=list, init=False, repr=False)
    _awaited: deque[_Step | ScriptCall] = attrs.field(factory=deque, init=False, repr=False)
    _digests: dict[str, str] = attrs.field(init=False)
    _cluster: bool = attrs.field(default=False, init=False)
    _eviction: str = attrs.field(default="", init=False)
    _time: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        # The server names a script by its SHA-1; nothing here depends on that being hard to forge.
        self._digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self.scripts.items()
        }

    @property
    def ready(self) -> bool:
        """True if scripts can be run."""
        return self._state is _State.READY

    @property
    def pending(self) -> int:
        """Commands without a reply."""
        return len(self._awaited)

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, once."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def begin(self) -> None:
        """Log in. Everything is sent at once; `Ready` follows when all has been answered.

        Raises:
            LocalProtocolError: If the session was begun before.
        """
        if self._state is not _State.NEW:
            raise LocalProtocolError(f"Session.begin was called on a session that is {self._state.value}")
        self._state = _State.LOGGING_IN
        hello = ["HELLO", "3"]
        if self.password:
            hello += ["AUTH", self.username or "default", self.password]
        self._send(_Step.HELLO, *hello)
        if self.database:
            self._send(_Step.SELECT, "SELECT", str(self.database))
        for text in self.scripts.values():
            self._send(_Step.LOAD, "SCRIPT", "LOAD", text)
        if self.channel:
            # Subscribed before the snapshot is read, so that nothing falls between the two. The reply is a push.
            self._outgoing.append(encode_command("SUBSCRIBE", self.channel))
            self.fetch_notices()
        # A user with least rights is refused this, which is no harm.
        self._send(_Step.EVICTION, "CONFIG", "GET", "maxmemory-policy")

    def run(self, call: ScriptCall) -> None:
        """Run a script.

        Raises:
            LocalProtocolError: If the session is not ready.
        """
        if self._state is not _State.READY:
            raise LocalProtocolError(f"Session.run was called on a session that is {self._state.value}")
        self._send(call, "EVALSHA", self._digests[call.script], "1", call.key, *call.arguments)

    def fetch_notices(self) -> None:
        """Ask for all stored notices; a `Snapshot` follows."""
        self._send(_Step.TIME, "TIME")
        self._send(_Step.STORED, "HGETALL", self.channel)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._send(_Step.PING, "PING")

    def receive_data(self, data: bytes) -> list[SessionEvent]:
        """Return the events in the bytes. After an error, `failure` is set, and the events before it are valid."""
        events: list[SessionEvent] = []
        if self.failure is not None:
            return events
        for value in self._parser.receive_data(data):
            try:
                event = self._take_push(value) if isinstance(value, RespPush) else self._take_reply(value)
            except TurnoutError as error:
                self._fail(error)
                return events
            if event is not None:
                events.append(event)
        if self._parser.failure is not None:
            self._fail(self._parser.failure)
        return events

    def receive_end(self) -> None:
        """Note that the server closed the connection."""
        if self.failure is None:
            self._fail(StoreFailed("the store closed the connection"))

    # -- inside -------------------------------------------------------------------------------------------------

    def _send(self, awaited: _Step | ScriptCall, *arguments: str) -> None:
        self._outgoing.append(encode_command(*arguments))
        self._awaited.append(awaited)

    def _fail(self, error: TurnoutError) -> None:
        self.failure = error
        self._state = _State.FAILED
        self._awaited.clear()
        self._outgoing.clear()

    def _take_push(self, push: RespPush) -> SessionEvent | None:
        match push.items:
            case (b"message" | "message", _, bytes(text)):
                return Message(text)
            case _:
                return None  # a confirmation of the subscription, or something newer than this code

    def _take_reply(self, value: RespValue) -> SessionEvent | None:
        if not self._awaited:
            raise RemoteProtocolError("the store sent a reply to no command")
        awaited = self._awaited.popleft()
        if isinstance(awaited, ScriptCall):
            return self._answer(awaited, value)
        event = self._take_step(awaited, value)
        if self._state is _State.LOGGING_IN and not self._awaited:
            self._state = _State.READY
            # The snapshot, if there is one, is older than this event: the driver takes both.
            return Ready(self._cluster, self._eviction) if event is None else event
        return event

    def _answer(self, call: ScriptCall, value: RespValue) -> SessionEvent | None:
        if not isinstance(value, RespError):
            return Answer(call, value)
        if value.code == "NOSCRIPT":  # the server was restarted, or its scripts were flushed
            self._send(call, "EVAL", self.scripts[call.script], "1", call.key, *call.arguments)
            return None
        if value.code == "MOVED":
            place = value.message.rsplit(" ", 1)[-1]
            host, _, port = place.rpartition(":")
            if len(port) <= 5 and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
                return Moved(call, host, int(port))
        raise _failed(value, f"the {call.script} script")

    def _take_step(self, step: _Step, value: RespValue) -> SessionEvent | None:
        if isinstance(value, RespError):
            if step is _Step.EVICTION:
                return None
            if step is _Step.HELLO:
                raise self._refused(value)
            raise _failed(value, step.value)
        match step:
            case _Step.HELLO:
                fields = value if isinstance(value, tuple) else ()
                if (b"role", b"replica") in fields or (b"role", b"slave") in fields:
                    raise StoreFailed("this node is a replica, which cannot be written")
                self._cluster = (b"mode", b"cluster") in fields
            case _Step.EVICTION:
                match value:
                    case ((_, bytes(policy)),):
                        self._eviction = policy.decode("utf-8", "replace")
            case _Step.TIME:
                match value:
                    case (bytes(seconds), bytes(micros)) if seconds.isdigit() and micros.isdigit():
                        self._time = int(seconds) * 1000 + int(micros) // 1000
                    case _:
                        raise RemoteProtocolError("the store returned no time")
            case _Step.STORED:
                pairs = value if isinstance(value, tuple) else ()
                return Snapshot(tuple(pair for pair in pairs if isinstance(pair, tuple) and len(pair) == 2), self._time)
            case _:
                pass
        return None

    def _refused(self, error: RespError) -> StoreFailed:
        """Return the error for a refused HELLO, without the parts of the command that the server repeats."""
        if error.code == "NOPROTO" or "unknown command" in error.message.lower():
            return LoginRefused("the store does not speak RESP3: Valkey, or Redis from 6.0, is needed")
        if error.code in _REFUSED_LOGIN:
            who = f"the user {self.username!r}" if self.username else "the default user"
            with_what = "this password" if self.password else "no password"
            return LoginRefused(f"the store refuses {who} with {with_what} ({error.code})")
        return _failed(error, "HELLO")


def _failed(error: RespError, what: str) -> StoreFailed:
    hint = _HINTS.get(error.code)
    return StoreFailed(f"the store refused {what} with {error.code}" + (f": {hint}" if hint else ""))
