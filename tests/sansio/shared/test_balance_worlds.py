"""Slots and money of a fleet: never more than the bound, whatever is lost, repeated or late."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.shared.balance_world import BalanceWorld

KINDS = ["kill", "stop", "flush", "down", "down and flush", "join"]
FAULTS = st.lists(
    st.tuples(
        st.floats(5, 60), st.sampled_from(KINDS), st.integers(0, 3), st.sampled_from([0.05, 0.5, 3.0, 15.0])
    ),
    max_size=5,
)  # fmt: skip
Fault = tuple[float, str, int, float]


def inflict(world: BalanceWorld, fault: Fault) -> None:
    when, kind, index, seconds = fault
    spender = world.spenders[index % len(world.spenders)]
    actions = {
        "kill": lambda: world.kill(spender),
        "stop": lambda: world.stop(spender, seconds),
        "flush": world.flush,
        "down": lambda: world.server_down(seconds, flush=False),
        "down and flush": lambda: world.server_down(seconds, flush=True),
        "join": lambda: world.join(f"late{len(world.spenders)}", spender.rate),
    }
    world.at(when, actions[kind])


def of_kinds(*kinds: str) -> st.SearchStrategy[list[Fault]]:
    return FAULTS.map(lambda faults: [fault for fault in faults if fault[1] in kinds])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    bound=st.sampled_from([50, 3000, 20_000]),
    ceiling=st.sampled_from([1, 30, 400]),
    rate=st.sampled_from([0.3, 8.0]),
    lose=st.sampled_from([0.0, 0.1]),
    faults=of_kinds("kill", "stop", "down", "join"),
)
def test_money_is_never_overspent_while_the_store_keeps_its_state(
    seed: int, bound: int, ceiling: int, rate: float, lose: float, faults: list[Fault]
) -> None:
    world = BalanceWorld(seed, "money", bound, rate=rate, ceiling=ceiling, lose=lose)
    for fault in faults:
        inflict(world, fault)
    world.run(100.0)
    assert world.spent + world.in_use <= bound


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    bound=st.sampled_from([50, 3000, 20_000]),
    ceiling=st.sampled_from([1, 30, 400]),
    faults=of_kinds("flush", "down", "down and flush", "join"),
)
def test_money_is_not_overspent_when_the_store_loses_its_state(
    seed: int, bound: int, ceiling: int, faults: list[Fault]
) -> None:
    """All processes live, and say what they have spent."""
    world = BalanceWorld(seed, "money", bound, rate=8.0, ceiling=ceiling)
    for fault in faults:
        inflict(world, fault)
    world.run(100.0)
    assert world.spent + world.in_use <= bound


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    share=st.sampled_from([1.5, 3.0]),
    faults=of_kinds("kill", "stop", "flush", "down"),
)
def test_what_true_costs_exceed_their_ceilings_by_is_all_that_is_overspent(
    seed: int, share: float, faults: list[Fault]
) -> None:
    faults = [fault for fault in faults if fault[1] != "flush" or not any(f[1] in ("kill", "stop") for f in faults)]
    world = BalanceWorld(seed, "money", 3000, rate=8.0, ceiling=30, share=share)
    for fault in faults:
        inflict(world, fault)
    world.run(100.0)
    assert world.spent <= 3000 + (share - 1) * 3000


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", ["none", "flush", "down and flush", "join"])
def test_all_the_money_can_be_spent(seed: int, fault: str) -> None:
    world = BalanceWorld(seed, "money", 20_000, rate=8.0, ceiling=30)
    if fault != "none":
        inflict(world, (20.0, fault, 0, 2.0))
    world.run(200.0)
    assert 19_900 <= world.spent <= 20_000
    assert all(spender.exceeded for spender in world.spenders)
    for spender in world.spenders:  # whoever finds nothing left learns so
        assert all(world.now - since < 3 for since, _ in spender.waiting)


def test_money_of_the_killed_counts_as_spent() -> None:
    world = BalanceWorld(1, "money", 20_000, rate=8.0, ceiling=30)
    for index in range(2):
        inflict(world, (20.0, "kill", index, 0.0))
    inflict(world, (25.0, "join", 0, 0.0))
    world.run(300.0)
    assert 19_000 <= world.spent <= 20_000


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    bound=st.sampled_from([1, 3, 12, 40]),
    rate=st.sampled_from([0.5, 10.0]),
    lose=st.sampled_from([0.0, 0.1]),
    faults=of_kinds("flush", "down", "join", "down and flush"),
)
def test_slots_are_never_exceeded_by_the_living(
    seed: int, bound: int, rate: float, lose: float, faults: list[Fault]
) -> None:
    world = BalanceWorld(seed, "slots", bound, rate=rate, seconds=0.4, fail="closed", lose=lose)
    for fault in faults:
        inflict(world, fault)
    world.run(80.0)
    assert world.most_in_use <= bound


@pytest.mark.parametrize("seed", range(3))
def test_slots_of_a_killed_process_return(seed: int) -> None:
    world = BalanceWorld(seed, "slots", 6, rate=20.0, seconds=0.5)
    inflict(world, (20.0, "kill", 0, 0.0))
    world.run(40.0)
    before = sum(spender.begun for spender in world.spenders)
    world.run(80.0)
    begun = sum(spender.begun for spender in world.spenders) - before
    assert begun >= 0.8 * 40 / 0.5 * 6  # calls that six slots take in 40 seconds


@pytest.mark.parametrize("bound", [3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_slots_are_shared_fairly(seed: int, bound: int) -> None:
    world = BalanceWorld(seed, "slots", bound, count=6, rate=20.0, seconds=0.5)
    world.run(60.0)
    begun = [spender.begun for spender in world.spenders]
    assert min(begun) >= 0.5 * sum(begun) / len(begun)
    assert sum(begun) >= 0.7 * 60 / 0.5 * bound


@pytest.mark.parametrize("seed", range(3))
def test_slots_far_from_the_bound_cost_no_wait(seed: int) -> None:
    world = BalanceWorld(seed, "slots", 400, count=4, rate=20.0, seconds=0.5)
    world.run(60.0)
    waits = sorted(wait for spender in world.spenders for wait in spender.waits[100:])
    assert waits[len(waits) * 95 // 100] == 0.0
    assert sum(spender.requests for spender in world.spenders) <= 0.2 * sum(s.begun for s in world.spenders)
