"""The Lua scripts, run by real servers, against their models: equal replies for what a fleet sends."""

from __future__ import annotations

import itertools
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fleet.servers import Client, Server
from tests.sansio.shared.balance_world import BalanceWorld
from tests.sansio.shared.fleet_world import Traffic, World, even
from tests.sansio.shared.test_balance_worlds import FAULTS as BALANCE_FAULTS
from tests.sansio.shared.test_balance_worlds import Fault as BalanceFault
from tests.sansio.shared.test_balance_worlds import inflict as inflict_on_balances
from tests.sansio.shared.test_window_worlds import FAULTS, TRAFFIC, Fault, inflict
from turnout.shared.messages import WindowReply, WindowRequest
from turnout.shared.store.balance_script import balance_arguments, balance_reply
from turnout.shared.store.resp import RespValue
from turnout.shared.store.window_script import window_arguments, window_reply

START = 1_800_000_000_000

# The tests turn the server's clock: the last argument stands in for TIME.
CLOCK = """
local real = redis
local redis = {call = function(name, ...)
  if name ~= 'TIME' then return real.call(name, ...) end
  local ms = tonumber(ARGV[#ARGV])
  return {math.floor(ms / 1000), (ms % 1000) * 1000}
end}
"""


def script(name: str) -> str:
    return CLOCK + (resources.files("turnout_io.shared") / "scripts" / f"{name}.lua").read_text("utf-8")


KEYS = itertools.count()


def replay(server: Server, world: World) -> None:
    """Send a real server what the fleet sent to the model."""
    text, key = script("window"), f"turnout:test:{next(KEYS)}"
    with Client(server.port) as client:
        values = client.call_all(
            [
                ("EVAL", text, 1, key, *window_arguments(exchange[1]), exchange[0]) if exchange else ("DEL", key)
                for exchange in world.exchanges
            ]
        )
        for exchange, value in zip(world.exchanges, values, strict=True):
            if exchange is not None:
                _, request, expected = exchange
                assert window_reply(request, value) == expected
        state = world.store.states.get("limit")
        if state is not None:
            stored = client.call("HGET", key, "c")
            assert isinstance(stored, bytes)
            assert float(stored) == state.credit


@pytest.mark.full
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.sampled_from([3, 50, 200]),
    traffic=st.lists(TRAFFIC, min_size=2, max_size=5),
    burst=st.none() | st.sampled_from([1, 10, 200]),
    lose=st.sampled_from([0.0, 0.1]),
    correction=st.sampled_from([0.0, 0.5]),
    faults=FAULTS,
)
def test_the_window_script_equals_its_model(
    server: Server,
    seed: int,
    limit: int,
    traffic: list[Traffic],
    burst: int | None,
    lose: float,
    correction: float,
    faults: list[Fault],
) -> None:
    world = World(seed, limit, traffic, seconds=20.0, burst=burst, lose=lose, correction=correction)
    for fault in faults:
        inflict(world, fault)
    world.run(40.0)
    replay(server, world)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "traffic",
    [even(6, 30.0), [Traffic(5.0, 60), *even(4, 20.0, 3)], [Traffic(40.0), *even(5, 0.5)]],
    ids=["even", "amounts", "skewed"],
)
def test_the_window_script_equals_its_model_under_contention(server: Server, seed: int, traffic: list[Traffic]) -> None:
    world = World(seed, 200, traffic, seconds=20.0, correction=0.3)
    world.at(9.0, lambda: world.join("late", Traffic(10.0)).lease.__setattr__("limit", 150))
    world.at(15.0, lambda: world.server_down(3.0, flush=False))
    world.at(20.0, lambda: world.kill(world.processes[1]))
    world.at(25.0, lambda: world.processes[0].lease.__setattr__("burst", 10))
    inflict(world, (30.0, "clock back", 0, 6.0))
    world.run(45.0)
    replay(server, world)


def test_the_script_knows_nothing_after_a_flush(server: Server) -> None:
    request = WindowRequest(
        name="limit", window=20_000, limit=100, burst=10, process="a", sequence=1, need=1, want=1, epoch="gone"
    )
    with Client(server.port) as client:
        value = client.call(
            "EVAL", script("window"), 1, f"turnout:test:{next(KEYS)}", *window_arguments(request), START
        )
    reply = window_reply(request, value)
    assert (reply.resync, reply.granted) == (True, 0)
    assert reply == WindowReply(
        name="limit", granted=0, now=START, free=0, credit=0, processes=1, again=0,
        epoch=f"a.{START}", limit=100, resync=True,
    )  # fmt: skip


def replay_balances(server: Server, world: BalanceWorld) -> None:
    text, key, channel = script("balance"), f"turnout:test:{next(KEYS)}", f"turnout:test:channel:{next(KEYS)}"
    with Client(server.port) as client, Client(server.port) as subscriber:
        subscriber.call("HELLO", "3")
        subscriber.subscribe(channel)
        values = client.call_all(
            [
                ("EVAL", text, 1, key, *balance_arguments(exchange[1], channel), exchange[0])
                if exchange
                else ("DEL", key)
                for exchange in world.exchanges
            ]
        )
        for exchange, value in zip(world.exchanges, values, strict=True):
            if exchange is not None:
                _, request, expected = exchange
                assert balance_reply(request, value) == expected
        messages = [f"{message}|{key}".encode() for message in world.store.messages]
        assert subscriber.messages(len(messages)) == messages


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bound=st.sampled_from([50, 3000]),
    ceiling=st.sampled_from([1, 30, 400]),
    lose=st.sampled_from([0.0, 0.1]),
    faults=BALANCE_FAULTS,
)
def test_the_balance_script_equals_its_model_for_money(
    server: Server, seed: int, bound: int, ceiling: int, lose: float, faults: list[BalanceFault]
) -> None:
    world = BalanceWorld(seed, "money", bound, rate=6.0, ceiling=ceiling, lose=lose)
    for fault in faults:
        inflict_on_balances(world, fault)
    world.run(60.0)
    replay_balances(server, world)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), bound=st.sampled_from([1, 5, 40]), faults=BALANCE_FAULTS)
def test_the_balance_script_equals_its_model_for_slots(
    server: Server, seed: int, bound: int, faults: list[BalanceFault]
) -> None:
    world = BalanceWorld(seed, "slots", bound, rate=8.0)
    for fault in faults:
        inflict_on_balances(world, fault)
    world.run(40.0)
    replay_balances(server, world)


class Notices:
    """The notice script on a key of its own, with a clock in the hands of the test."""

    def __init__(self, client: Client) -> None:
        self.client, self.key, self.now = client, f"turnout:test:{next(KEYS)}", START

    def tell(self, candidate: str, kind: str, remaining: int, count: int = 1, process: str = "a") -> tuple[int, bool]:
        value = self.client.call(
            "EVAL", script("notice"), 1, self.key, candidate, kind, remaining, count, process, 60_000, self.now
        )
        assert isinstance(value, tuple)
        version, changed = value
        assert isinstance(version, int)
        return version, changed == 1

    def fields(self) -> dict[bytes, bytes]:
        value = self.client.call("HGETALL", self.key)
        assert isinstance(value, tuple)
        return dict(zip(value[::2], value[1::2], strict=True))  # type: ignore[arg-type]  # RESP2: names and values


def test_a_notice_only_extends_and_is_bounded(server: Server) -> None:
    with Client(server.port) as client:
        notices = Notices(client)
        assert notices.tell("x/y", "cooldown", 5_000) == (1, True)
        assert notices.tell("x/y", "cooldown", 4_000) == (1, False)
        assert notices.tell("x/y", "cooldown", 9_000, process="b") == (2, True)
        assert notices.fields()[b"x/y|cooldown"] == f"{START + 9_000}|1|b".encode()
        assert notices.tell("x/y", "cooldown", 10**9) == (3, True)
        assert notices.fields()[b"x/y|cooldown"] == f"{START + 60_000}|1|a".encode()
        assert notices.tell("x/y", "cooldown", 0) == (3, False)
        notices.now -= 3_600_000
        assert notices.tell("x/y", "cooldown", 5_000) == (4, True), "after the clock was set back"


def test_a_breaker_closes_only_its_own_opening(server: Server) -> None:
    with Client(server.port) as client:
        notices = Notices(client)
        assert notices.tell("x/y", "opened", 5_000, count=3) == (1, True)
        assert notices.tell("x/y", "closed", 0, count=2) == (1, False)
        assert notices.tell("x/y", "closed", 0, count=3) == (2, True)
        assert notices.tell("x/y", "closed", 0, count=3) == (2, False)
        assert notices.fields().keys() == {b"v"}


def test_one_process_has_the_probe_until_it_expires(server: Server) -> None:
    key = f"turnout:test:{next(KEYS)}"
    with Client(server.port) as client:

        def claim(process: str, milliseconds: int) -> RespValue:
            return client.call("EVAL", script("probe"), 1, key, process, milliseconds)

        assert claim("a", 60_000) == (1, 60_000)
        taken = claim("b", 60_000)
        assert isinstance(taken, tuple)
        assert taken[0] == 0
        assert isinstance(taken[1], int)
        assert 50_000 < taken[1] <= 60_000
        assert claim("a", 30_000) == (1, 30_000)
        assert claim("b", 0) == (0, 0)
        assert claim("b", 60_000) != (1, 60_000)
        assert claim("a", 0) == (0, 0)
        assert claim("b", 1) == (1, 1)
        assert client.call("PTTL", key) in (-2, 0, 1), "an owner that dies frees it in time"
