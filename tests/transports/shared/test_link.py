"""The link and a real server, on every runtime."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from benchmarks.fleet.servers import Client, Server, running
from tests.transports.shared.ports import RUNTIMES, Port, run_on, threaded
from turnout.errors import ConnectFailed
from turnout.shared.notices import Notice
from turnout.shared.store.session import LoginRefused
from turnout_io.shared.link import Link
from turnout_io.shared.valkey import Valkey

NUMBERS = itertools.count()

Until = Callable[[Callable[[], bool]], Awaitable[None]]
Clock = Callable[[], float]

on_every_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def fresh_namespace() -> str:
    return f"test-{os.getpid()}-{next(NUMBERS)}"


@on_every_runtime
def test_a_lease_is_filled_and_spent(server: Server, runtime: str) -> None:
    namespace = fresh_namespace()
    port = Port.make("p1", namespace=namespace)
    lease = port.state.window("openai|requests", 600)

    async def body(link: Link, clock: Clock, until: Until) -> None:
        def fits() -> bool:
            with port.lock:
                wait = lease.wait(1, clock())
            if port.bell.rung:
                link.wake()
            return wait == 0

        await until(fits)
        with port.lock:
            lease.take(1, clock())
            sent = port.sent
            assert lease.wait(0, clock()) == 0
        assert port.sent == sent, "a call whose lease has room sends nothing"
        await until(lambda: lease.processes == 1)

    run_on(runtime, Valkey(server.url, namespace=namespace), port, body)
    assert not port.state.connected
    with Client(server.port) as client:
        keys = client.call("KEYS", f"turnout:1:{{{namespace}|*")
        assert keys == (f"turnout:1:{{{namespace}|w|openai%7Crequests|60000}}".encode(),)


@on_every_runtime
def test_a_notice_reaches_the_others(server: Server, runtime: str) -> None:
    namespace = fresh_namespace()
    valkey = Valkey(server.url, namespace=namespace)
    ours, theirs = Port.make("p1", namespace=namespace), Port.make("p2", namespace=namespace)
    with threaded(valkey, theirs):

        async def body(link: Link, clock: Clock, until: Until) -> None:
            with ours.lock:
                ours.state.publish(Notice("openai/gpt", "cooldown", 30.0), clock())
            link.wake()
            await until(lambda: bool(theirs.heard))
            with theirs.lock:
                assert theirs.heard[0].candidate == "openai/gpt"
                assert 29.0 < theirs.heard[0].remaining <= 30.0

        run_on(runtime, valkey, ours, body)
    late = Port.make("p3", namespace=namespace)

    async def reads_what_is_stored(link: Link, clock: Clock, until: Until) -> None:
        await until(lambda: bool(late.heard))

    run_on(runtime, valkey, late, reads_what_is_stored)
    assert [notice.candidate for notice in late.heard] == ["openai/gpt"]


@on_every_runtime
def test_it_comes_back_after_the_server_was_killed(valkey_binary: str, runtime: str) -> None:
    with running(valkey_binary) as server:
        port = Port.make("p1")
        lease = port.state.window("limit", 600)

        async def body(link: Link, clock: Clock, until: Until) -> None:
            await until(lambda: lease.processes == 1)
            server.kill()
            await until(lambda: not port.state.connected)
            status = port.state.status(clock())
            assert status.state == "out of reach"
            assert status.reason
            server.start()
            await until(lambda: port.state.connected)
            await until(lambda: lease.resyncs == 1 or lease.processes == 1)

        run_on(runtime, Valkey(server.url), port, body)


@on_every_runtime
def test_a_server_that_hangs_is_out_of_reach(valkey_binary: str, runtime: str) -> None:
    with running(valkey_binary) as server:
        port = Port.make("p1")
        lease = port.state.window("limit", 600)

        async def body(link: Link, clock: Clock, until: Until) -> None:
            await until(lambda: lease.processes == 1)
            server.freeze()
            with port.lock:
                while lease.wait(1, clock()) == 0:
                    lease.take(1, clock())
            link.wake()
            await until(lambda: not port.state.connected)
            assert "did not answer" in port.state.status(clock()).reason
            server.thaw()
            await until(lambda: port.state.connected)

        run_on(runtime, Valkey(server.url), port, body)


def test_scripts_that_were_flushed_are_sent_again(server: Server) -> None:
    namespace = fresh_namespace()
    port = Port.make("p1", namespace=namespace)

    async def body(link: Link, clock: Clock, until: Until) -> None:
        with Client(server.port) as client:
            client.call("SCRIPT", "FLUSH")
        with port.lock:
            lease = port.state.window("limit", 600)
        link.wake()
        await until(lambda: lease.processes == 1)
        assert port.state.connected

    run_on("threads", Valkey(server.url, namespace=namespace), port, body)


def test_a_full_store_says_what_to_do(valkey_binary: str) -> None:
    with running(valkey_binary) as server, Client(server.port) as client:
        port = Port.make("p1")

        async def body(link: Link, clock: Clock, until: Until) -> None:
            client.call("CONFIG", "SET", "maxmemory", "1")
            with port.lock:
                port.state.window("limit", 600)
            link.wake()
            await until(lambda: "full" in port.state.status(clock()).reason)
            client.call("CONFIG", "SET", "maxmemory", "0")
            await until(lambda: port.state.connected)

        run_on("threads", Valkey(server.url), port, body)


def test_a_replica_is_left(valkey_binary: str) -> None:
    with running(valkey_binary) as server, Client(server.port) as client:
        port = Port.make("p1")

        async def body(link: Link, clock: Clock, until: Until) -> None:
            client.call("REPLICAOF", "127.0.0.1", "1")
            with port.lock:
                port.state.window("limit", 600)
            link.wake()
            await until(lambda: "replica" in port.state.status(clock()).reason)
            client.call("REPLICAOF", "NO", "ONE")
            await until(lambda: port.state.connected)

        run_on("threads", Valkey(server.url), port, body)


ACL = (
    "on >secret ~turnout:* &turnout:* -@all +eval +evalsha +script|load +hello +auth +ping +time +hmget +hset +hget "
    "+hdel +hincrby +hgetall +pexpire +pexpireat +publish +subscribe +get +set +del +pttl"
)


def test_a_user_with_least_rights_is_enough(valkey_binary: str) -> None:
    with running(valkey_binary) as server, Client(server.port) as client:
        client.call("ACL", "SETUSER", "turnout", *ACL.split())
        port = Port.make("p1")
        lease = port.state.window("limit", 600)
        money = port.state.money("team", 100, "2026-11", lasts=60.0)
        claims = port.state.probe("openai/gpt")

        async def body(link: Link, clock: Clock, until: Until) -> None:
            with port.lock:
                port.state.publish(Notice("openai/gpt", "cooldown", 30.0), clock())
                port.state.publish(Notice("openai/gpt", "opened", 30.0, 1), clock())
                money.check(1, clock())
                claims.check(5.0, clock())
            link.wake()
            await until(lambda: lease.processes == 1 and money.processes == 1 and claims.state == "ours")
            with port.lock:
                port.state.publish(Notice("openai/gpt", "closed", count=1), clock())
                claims.give_back()
            link.wake()
            await until(lambda: client.call("EXISTS", "turnout:1:{turnout|p|openai/gpt}") == 0)
            assert port.state.connected

        run_on("threads", Valkey(f"valkey://turnout:secret@127.0.0.1:{server.port}"), port, body)


@pytest.mark.parametrize("url", ["valkey://turnout:wrong@127.0.0.1:{}", "valkey://127.0.0.1:{}"])
def test_a_wrong_password_is_an_error_at_once(valkey_binary: str, url: str) -> None:
    with running(valkey_binary, "--requirepass", "secret") as server:
        with (
            pytest.raises(LoginRefused, match="refuses") as caught,
            threaded(Valkey(url.format(server.port)), Port.make("p1")),
        ):
            pass
        assert "wrong" not in str(caught.value).replace("with this password", "")


def test_a_password_may_be_a_function(valkey_binary: str) -> None:
    with running(valkey_binary, "--requirepass", "secret") as server:
        port = Port.make("p1")
        with threaded(Valkey(server.url, password=lambda: "secret"), port):
            assert port.state.connected

        def broken() -> str:
            raise KeyError("token=abc")

        port = Port.make("p1")
        with (
            pytest.raises(ConnectFailed, match="function for the store's password") as caught,
            threaded(Valkey(server.url, password=broken), port),
        ):
            pass
        assert "abc" not in str(caught.value)


def test_an_unreachable_store_is_an_error_unless_processes_are_reckoned_with() -> None:
    with pytest.raises(ConnectFailed, match="processes=N"), threaded(Valkey("valkey://127.0.0.1:1"), Port.make("p1")):
        pass
    port = Port.make("p1", processes=4)
    lease = port.state.window("limit", 600)
    with threaded(Valkey("valkey://127.0.0.1:1", processes=4), port):
        assert lease.share(time.monotonic()) == 150
        assert port.state.status(0.0).state == "out of reach"


def test_a_connection_that_is_reset_is_an_unreachable_store() -> None:
    """As by a server that wants a certificate of its clients: the reset arrives at a read or at a write."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        valkey = Valkey(f"valkey://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(ConnectFailed, match="cannot be used"), threaded(valkey, Port.make("a")):
            pass
        thread.join()


def test_neither_keys_nor_passwords_are_shown(valkey_binary: str) -> None:
    valkey = Valkey("valkeys://turnout:hunter2@example.org/3", password=lambda: "hunter2")
    assert "hunter2" not in repr(valkey)
    assert "hunter2" not in str(valkey.address)
    assert str(valkey.address) == "valkeys://turnout@example.org:6379/3"


@on_every_runtime
def test_a_router_that_closes_during_a_request_still_takes_leave(
    valkey_binary: str, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script closes right after its last call, whose money the link has just begun to report."""
    monkeypatch.setattr("turnout_io.shared.link.FAREWELL", 20.0)
    with running(valkey_binary) as server:
        port = Port.make("p1")
        lease = port.state.money("team", 1000, "2026-11", lasts=3600.0)

        async def body(link: Link, clock: Clock, until: Until) -> None:
            def fits() -> bool:
                with port.lock:
                    fits = lease.check(100, clock())[0] == "fits"
                link.wake()
                return fits

            await until(fits)
            with port.lock:
                reservation = lease.take(100, clock())
                lease.settle(reservation, 30, clock())
                # As if the store were slow: the request of the last beat has no reply when the router closes.
                with Client(server.port) as client:
                    client.call("CLIENT", "PAUSE", "300")
                sent, lease._last_sent = port.sent, -1e9
            link.wake()
            await until(lambda: port.sent > sent)

        run_on(runtime, Valkey(server.url), port, body)
        with Client(server.port) as client:
            keys = client.call("KEYS", "*|b|*")
            assert isinstance(keys, tuple)
            assert isinstance(keys[0], bytes)
            base_and_holders = client.call("HMGET", keys[0], "b", "p")
        assert base_and_holders == (b"30", b"\x90"), "what was held and not spent is free, and nobody is left"


def test_an_outage_is_said_once(valkey_binary: str, caplog: pytest.LogCaptureFixture) -> None:
    with running(valkey_binary) as server, caplog.at_level("INFO", "turnout"):
        port = Port.make("p1")

        async def body(link: Link, clock: Clock, until: Until) -> None:
            server.kill()
            await until(lambda: not port.state.connected)
            changes = port.state.changes
            # It was tried again, and failed again.
            await until(lambda: port.state.changes >= changes + 2)
            server.start()
            await until(lambda: port.state.connected)

        run_on("threads", Valkey(server.url), port, body)
    said = [record.getMessage() for record in caplog.records if "the shared store" in record.getMessage()]
    assert len(said) == 2
    assert "is out of reach" in said[0]
    assert said[1].endswith("is in reach again")
