"""Fleets in virtual time: no window ever holds more than the limit, nobody starves, and little is wasted."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sansio.shared.fleet_world import Traffic, World, even, spread

SECONDS = 20.0
# The quick tests play one world of each kind, the slow ones three.
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in (1, 2))]

TRAFFIC = st.builds(
    Traffic,
    rate=st.sampled_from([0.0, 0.2, 2.0, 20.0]),
    amount=st.sampled_from([1, 1, 1, 5, 40]),
    queue=st.sampled_from([1, 30]),
)

# When, what, which process, for how long.
FAULTS = st.lists(
    st.tuples(
        st.floats(0, 55),
        st.sampled_from(["kill", "stop", "flush", "down", "down and flush", "cut", "join", "clock back"]),
        st.integers(0, 4),
        st.sampled_from([0.05, 0.5, 1.5, 6.0, 25.0]),
    ),
    max_size=5,
).map(lambda faults: honest(faults))
Fault = tuple[float, str, int, float]


def honest(faults: list[Fault]) -> list[Fault]:
    """Without a loss of the store's state while a process cannot report: nobody else knows what that one spent."""

    def unheard(when: float) -> bool:
        return any(
            kind in ("kill", "stop", "cut") and start - 2.0 <= when <= start + seconds + SECONDS
            for start, kind, _, seconds in faults
        )

    return [fault for fault in faults if "flush" not in fault[1] or not unheard(fault[0])]


def inflict(world: World, fault: Fault) -> None:
    when, kind, index, seconds = fault
    process = world.processes[index % len(world.processes)]

    def step_back() -> None:
        world.clock_step -= seconds

    actions = {
        "kill": lambda: world.kill(process),
        "stop": lambda: world.stop(process, seconds),
        "flush": world.flush,
        "down": lambda: world.server_down(seconds, flush=False),
        "down and flush": lambda: world.server_down(seconds, flush=True),
        "cut": lambda: world.cut_off(process, seconds),
        "join": lambda: world.join(f"late{len(world.processes)}", process.traffic),
        "clock back": step_back,
    }
    world.at(when, actions[kind])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.sampled_from([1, 3, 10, 50, 200]),
    traffic=st.lists(TRAFFIC, min_size=1, max_size=5),
    burst=st.none() | st.sampled_from([1, 10, 200]),
    latency=st.sampled_from([0.0005, 0.002, 0.05]),
    lose=st.sampled_from([0.0, 0.0, 0.05, 0.3]),
    correction=st.sampled_from([0.0, 0.0, 0.5]),
    faults=FAULTS,
)
@example(7, 200, even(5, 20.0), None, 0.002, 0.0, 0.0, [(10.0, "clock back", 0, 25.0), (30.0, "flush", 0, 0.0)])
def test_a_closed_limit_is_never_exceeded(
    seed: int,
    limit: int,
    traffic: list[Traffic],
    burst: int | None,
    latency: float,
    lose: float,
    correction: float,
    faults: list[Fault],
) -> None:
    world = World(
        seed, limit, traffic, seconds=SECONDS, burst=burst, fail="closed",
        latency=latency, lose=lose, correction=correction,
    )  # fmt: skip
    for fault in faults:
        # Who cannot report in time because its connection breaks has spent what nobody else knows of.
        if not lose or "flush" not in fault[1]:
            inflict(world, fault)
    world.run(80.0)
    largest = max(process.traffic.amount for process in world.processes)
    # A request that is larger than the limit goes through an empty window, alone.
    assert world.most() <= max(limit, largest)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.sampled_from([3, 50, 200]),
    traffic=st.lists(TRAFFIC, min_size=1, max_size=5),
    faults=FAULTS.map(lambda faults: [fault for fault in faults if fault[1] not in ("cut", "stop", "clock back")]),
)
@example(
    285,
    200,
    [Traffic(0.2, 5, 1), Traffic(0.2, 40, 1), Traffic(20.0, 1, 1), Traffic(0.2, 1, 30), Traffic(2.0, 1, 30)],
    [*[(24.579720918687737, "join", 1, 0.05)] * 2, (46.61700580378534, "down", 0, 0.5)],
)
def test_local_shares_never_exceed_the_limit_while_the_store_is_down_for_all(
    seed: int, limit: int, traffic: list[Traffic], faults: list[Fault]
) -> None:
    world = World(seed, limit, traffic, seconds=SECONDS)
    for fault in faults:
        inflict(world, fault)
    world.run(80.0)
    assert world.most() <= max(limit, *(process.traffic.amount for process in world.processes))


@pytest.mark.full
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.sampled_from([3, 20, 200, 2000]),
    amounts=st.lists(st.sampled_from([1, 3, 20]), min_size=2, max_size=6),
    faults=FAULTS.map(lambda faults: [f for f in faults if f[1] in ("flush", "kill", "stop", "clock back")]),
)
def test_every_process_that_waits_is_served(seed: int, limit: int, amounts: list[int], faults: list[Fault]) -> None:
    """Under saturation each process that runs gets something in every stretch of several windows."""
    world = World(seed, limit, [Traffic(40.0, min(amount, limit)) for amount in amounts], seconds=SECONDS)
    for fault in faults:
        inflict(world, fault)
    world.run(60.0 + 2 * SECONDS)
    before = {process.name: process.spent for process in world.processes}
    # Each turn of the largest request may take its part of the limit.
    turns = sum(process.traffic.amount for process in world.processes) / limit
    world.run(world.now + SECONDS * (2 + 2 * turns))
    for process in world.processes:
        if process.alive:
            assert process.spent > before[process.name], process.name


@pytest.mark.full
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    faults=FAULTS.map(lambda faults: [fault for fault in faults if fault[1] not in ("kill", "join")]),
)
def test_all_capacity_returns(seed: int, faults: list[Fault]) -> None:
    check_that_capacity_returns(seed, faults)


@pytest.mark.parametrize("kind", ["stop", "flush", "down and flush", "cut", "clock back"])
def test_all_capacity_returns_after_one_fault(kind: str) -> None:
    check_that_capacity_returns(1, [(20.0, kind, 0, 6.0)])


def check_that_capacity_returns(seed: int, faults: list[Fault]) -> None:
    """Check that the window after the faults is used as well as a window without faults."""
    world = World(seed, 200, even(5, 20.0), seconds=SECONDS)
    for fault in faults:
        inflict(world, fault)
    world.run(55.0 + 25.0 + 2 * SECONDS)
    start = world.now
    world.run(start + 3 * SECONDS)
    assert world.used(start, world.now) >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("limit", "seconds", "traffic", "least"),
    [
        (6000, 60.0, even(8, 25.0), 0.98),
        pytest.param(36000, 60.0, even(8, 120.0), 0.98, marks=pytest.mark.full),
        (6000, 60.0, [Traffic(100.0), *even(7, 1.2)], 0.98),
        (1200, 20.0, even(8, 15.0), 0.97),
        (600_000, 20.0, even(8, 20.0, 500), 0.95),
        (600_000, 20.0, [Traffic(5.0, 90_000), *even(7, 10.0, 2000)], 0.9),
    ],
    ids=["even", "many", "skewed", "short", "tokens", "mixed"],
)
def test_a_saturated_limit_is_used(seed: int, limit: int, seconds: float, traffic: list[Traffic], least: float) -> None:
    world = World(seed, limit, traffic, seconds=seconds)
    world.run(seconds / 2 + 2 * seconds)
    assert world.used(seconds / 2, world.now) >= least
    assert world.most() <= limit


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tiny_limit_is_shared_by_turns(seed: int) -> None:
    world = World(seed, 3, even(8, 2.0), seconds=SECONDS)
    world.run(8 * SECONDS)
    shares = spread(world.processes)
    assert max(shares) - min(shares) <= 1
    assert world.most() <= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_are_amounts_and_not_turns(seed: int) -> None:
    """One process whose requests are a tenth of the limit gets what seven with small requests get."""
    world = World(seed, 600_000, [Traffic(2.0, 60_000), *even(7, 40.0, 2_000)], seconds=SECONDS)
    world.run(6 * SECONDS)
    shares = spread(world.processes)
    for share in shares:
        assert share == pytest.approx(sum(shares) / 8, rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_small_users_get_what_they_want_beside_a_large_one(seed: int) -> None:
    world = World(seed, 6000, [Traffic(200.0), *even(7, 1.2)])
    world.run(120.0)
    small = [process for process in world.processes if process.traffic.rate < 10]
    waits = sorted(wait for process in small for wait in process.waits)
    assert waits[len(waits) * 9 // 10] < 2.5
    assert all(len(process.waiting) <= 3 for process in small)


@pytest.mark.parametrize("seed", SEEDS)
def test_calls_below_the_limit_hardly_wait_and_hardly_use_the_store(seed: int) -> None:
    world = World(seed, 60_000, even(8, 20.0))
    world.run(5.0)
    started = sum(len(process.waits) for process in world.processes)
    for process in world.processes:
        process.waits.clear()
        process.requests = 0
    world.run(65.0)
    waits = sorted(wait for process in world.processes for wait in process.waits)
    assert started > 0
    assert waits[len(waits) * 99 // 100] == 0.0
    assert sum(process.requests for process in world.processes) / len(waits) <= 0.13


def test_one_process_alone_waits_once_for_the_others_to_report() -> None:
    world = World(1, 60_000, [Traffic(50.0)])
    world.run(30.0)
    first, *others = world.processes[0].waits[:1] + world.processes[0].waits[120:]
    assert 1.0 < first < 1.7
    assert max(others) == 0.0


def test_a_cut_off_process_spends_at_most_its_share() -> None:
    """The one case that is not strict: some reach the store, others do not."""
    world = World(1, 1200, even(8, 15.0), seconds=SECONDS)
    for index in range(2):
        inflict(world, (27.0, "cut", index, 20.0))
    world.run(80.0)
    assert 1200 < world.most() <= 1200 * 1.25
