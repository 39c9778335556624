"""The Lua scripts, run by real servers, against their models: equal replies for any sequence of requests."""

from __future__ import annotations

import itertools
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.shared.fleet_world import Traffic, World, even
from tests.sansio.shared.test_window_worlds import FAULTS, TRAFFIC, Fault, inflict
from tests.transports.shared.servers import Client, Server
from turnout.shared.messages import WindowReply, WindowRequest
from turnout.shared.window_script import window_arguments, window_reply

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
        for exchange in world.exchanges:
            if exchange is None:
                client.call("DEL", key)
                continue
            now, request, expected = exchange
            value = client.call("EVAL", text, 1, key, *window_arguments(request), now)
            assert window_reply(request, value) == expected
        state = world.store.states.get("limit")
        if state is not None:
            stored = client.call("HGET", key, "c")
            assert isinstance(stored, bytes)
            assert float(stored) == state.credit


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
