"""One connection to a store, without I/O: what is sent, and what follows each reply."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from turnout.errors import LocalProtocolError, RemoteProtocolError
from turnout.shared.store.resp import RespParser
from turnout.shared.store.session import (
    Answer,
    LoginRefused,
    Message,
    Moved,
    Ready,
    ScriptCall,
    Session,
    Snapshot,
    StoreFailed,
)

SCRIPTS = {"window": "return 1"}
DIGEST = hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest()
CALL = ScriptCall("window", "key", ("a", "b"))
HELLO = b"%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
NO_RIGHT = b"-NOPERM User turnout has no permissions to run the 'config|get' command\r\n"


def commands(session: Session) -> list[list[str]]:
    """What the session sends now."""
    sent = RespParser().receive_data(session.data_to_send())
    return [[part.decode() for part in command] for command in sent if isinstance(command, tuple)]  # type: ignore[union-attr]


def ready(**settings: Any) -> Session:
    """A session that has logged in, and sent nothing since."""
    session = Session(SCRIPTS, **settings)
    session.begin()
    session.data_to_send()
    session.receive_data(HELLO + b"$40\r\n" + DIGEST.encode() + b"\r\n" + NO_RIGHT)
    assert session.ready
    return session


def test_it_logs_in_at_once_and_loads_what_it_needs() -> None:
    session = Session(SCRIPTS, "turnout:1:{a|f}", "me", "secret", 2)
    session.begin()
    assert commands(session) == [
        ["HELLO", "3", "AUTH", "me", "secret"],
        ["SELECT", "2"],
        ["SCRIPT", "LOAD", "return 1"],
        ["SUBSCRIBE", "turnout:1:{a|f}"],
        ["TIME"],
        ["HGETALL", "turnout:1:{a|f}"],
        ["CONFIG", "GET", "maxmemory-policy"],
    ]
    assert "secret" not in repr(session)
    subscribed = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    stored = b"*2\r\n$2\r\n12\r\n$6\r\n345678\r\n%1\r\n$1\r\nv\r\n$1\r\n7\r\n"
    policy = b"%1\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n"
    events = session.receive_data(HELLO + b"+OK\r\n$1\r\nx\r\n" + subscribed + stored + policy)
    assert events == [Snapshot(((b"v", b"7"),), 12_345), Ready(cluster=False, eviction="allkeys-lru")]


def test_a_user_with_least_rights_cannot_read_the_policy_which_is_no_harm() -> None:
    session = Session(SCRIPTS)
    session.begin()
    events = session.receive_data(HELLO + b"$1\r\nx\r\n" + NO_RIGHT)
    assert events == [Ready(cluster=False, eviction="")]


def test_a_script_that_the_server_forgot_is_sent_whole() -> None:
    session = ready()
    session.run(CALL)
    assert commands(session) == [["EVALSHA", DIGEST, "1", "key", "a", "b"]]
    assert session.receive_data(b"-NOSCRIPT No matching script.\r\n") == []
    assert commands(session) == [["EVAL", "return 1", "1", "key", "a", "b"]]
    assert session.receive_data(b":5\r\n") == [Answer(CALL, 5)]
    assert session.pending == 0


@pytest.mark.parametrize(
    ("reply", "host", "port"),
    [(b"-MOVED 3999 127.0.0.1:6381\r\n", "127.0.0.1", 6381), (b"-MOVED 3999 :6381\r\n", "", 6381)],
)
def test_a_key_of_another_node(reply: bytes, host: str, port: int) -> None:
    session = ready()
    session.run(CALL)
    assert session.receive_data(reply) == [Moved(CALL, host, port)]
    assert session.failure is None


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "with OOM: the store is full"),
        ("NOPERM this user has no permissions", "with NOPERM: the user lacks a right"),
        ("WRONGTYPE Operation against a key", "with WRONGTYPE: another program has written one of the keys"),
        ("READONLY You can't write against a read only replica.", "with READONLY: this node is a replica"),
        ("MISCONF Valkey is configured to save RDB snapshots", "with MISCONF: the store cannot write"),
        ("NOREPLICAS Not enough good replicas to write.", "with NOREPLICAS: the store has too few replicas"),
        ("ERR something new", "the store refused the window script with ERR"),
        ("MOVED 3999 127.0.0.1:99999", "with MOVED"),
        ("MOVED 3999 127.0.0.1:" + 5_000 * "9", "with MOVED"),
        ("MOVED", "with MOVED"),
    ],
)
def test_an_error_ends_the_session_and_says_what_to_do(reply: str, says: str) -> None:
    session = ready()
    session.run(CALL)
    session.run(CALL)
    # What came before the error is valid, and what comes behind it is not read.
    assert session.receive_data(f":1\r\n-{reply}\r\n:3\r\n".encode()) == [Answer(CALL, 1)]
    assert isinstance(session.failure, StoreFailed)
    assert says in str(session.failure)
    assert "permissions" not in str(session.failure), "the server's own text may hold what was sent"
    assert (session.receive_data(b":4\r\n"), session.data_to_send(), session.pending) == ([], b"", 0)
    with pytest.raises(LocalProtocolError, match="failed"):
        session.run(CALL)


@pytest.mark.parametrize(
    ("settings", "reply", "says"),
    [
        ({"username": "me", "password": "pw"}, "WRONGPASS invalid pair pw", "refuses the user 'me' with this password"),
        ({}, "NOAUTH HELLO must be called with the client already authenticated", "the default user with no password"),
        ({"password": "pw"}, "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'pw'", "RESP3"),
        ({}, "NOPROTO unsupported protocol version", "RESP3"),
    ],
)
def test_a_refused_login_names_no_password(settings: dict[str, str], reply: str, says: str) -> None:
    session = Session(SCRIPTS, **settings)  # type: ignore[arg-type]
    session.begin()
    session.receive_data(f"-{reply}\r\n".encode())
    assert isinstance(session.failure, LoginRefused)
    assert says in str(session.failure)
    assert "pw" not in str(session.failure)


def test_a_replica_is_refused_at_the_login() -> None:
    session = Session(SCRIPTS)
    session.begin()
    session.receive_data(HELLO.replace(b"$6\r\nmaster", b"$7\r\nreplica"))
    assert "this node is a replica" in str(session.failure)


def test_messages_come_between_replies() -> None:
    session = ready()
    session.run(CALL)
    push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\ntext\r\n"
    assert session.receive_data(push + b":1\r\n" + push) == [Message(b"text"), Answer(CALL, 1), Message(b"text")]


def test_a_reply_to_no_command_and_the_end_are_failures() -> None:
    session = ready()
    assert session.receive_data(b":1\r\n") == []
    assert isinstance(session.failure, RemoteProtocolError)
    ended = ready()
    ended.receive_end()
    assert "closed the connection" in str(ended.failure)
    with pytest.raises(LocalProtocolError, match="not begun"):
        Session(SCRIPTS).run(CALL)
    with pytest.raises(LocalProtocolError, match="begin was called"):
        ended.begin()
