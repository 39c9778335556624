"""Requests of a broken connection that reach the store late, after those of the next connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.shared.balance_model import BalanceModel
from tests.sansio.shared.balance_world import BalanceWorld
from tests.sansio.shared.fleet_world import World, even
from turnout.shared.leases.balance import IDLE_AFTER, BalanceLease
from turnout.shared.messages import BalanceKind

START = 1_800_000_000.0
BOUND = 10


class Pair:
    """Two processes over one store, with one clock."""

    def __init__(self, kind: BalanceKind) -> None:
        self.store, self.now, self.in_use, self.spent = BalanceModel(), START, 0, 0
        period = "2026-11" if kind == "money" else ""
        self.one, self.other = (BalanceLease("b", kind, BOUND, name, period=period, fail="closed") for name in "ab")
        for lease in (self.one, self.other):
            lease.found(self.now)

    def pass_time(self, seconds: float) -> None:
        """Let both send what is due in the meantime."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.1
            for lease in (self.one, self.other):
                if lease.due(self.now) <= self.now:
                    self.exchange(lease)

    def exchange(self, lease: BalanceLease) -> None:
        request = lease.request(self.now)
        if request is not None:
            lease.receive(self.store.apply(request, round(self.now * 1000)), self.now)

    def use(self, lease: BalanceLease, amount: int) -> bool:
        """Take an amount for a call that does not end; False if that is not possible."""
        for _ in range(40):
            if lease.check(amount, self.now)[0] == "fits":
                lease.take(amount, self.now)
                self.in_use += amount
                return True
            self.pass_time(0.5)
        return False


@pytest.mark.parametrize("kind", ["slots", "money"])
def test_a_late_good_bye_ends_nothing(kind: BalanceKind) -> None:
    """The process was idle, took leave, lost the connection before the reply, and has held something new since."""
    pair = Pair(kind)
    assert pair.use(pair.one, 1)
    reservation = pair.one.take(0, pair.now)
    pair.one.used -= 1
    pair.in_use -= 1
    pair.one.settle(reservation, 0, pair.now)
    pair.now += IDLE_AFTER + 1.0
    farewell = pair.one.request(pair.now)
    assert farewell is not None
    assert farewell.leaving
    pair.one.lost(pair.now)
    pair.one.found(pair.now)
    assert pair.use(pair.one, 8)
    pair.store.apply(farewell, round(pair.now * 1000))
    pair.use(pair.other, 8)
    assert pair.in_use <= BOUND


@pytest.mark.full
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), late=st.sampled_from([0.5, 3.0]), rate=st.sampled_from([0.1, 0.3, 8.0]))
def test_balances_hold_whatever_is_late(seed: int, late: float, rate: float) -> None:
    bounds: dict[BalanceKind, int] = {"slots": 3, "money": 3000}
    for kind, bound in bounds.items():
        world = BalanceWorld(
            seed, kind, bound, rate=rate, ceiling=1 if kind == "slots" else 30, seconds=2.0, fail="closed",
            lose=0.3, late=late,
        )  # fmt: skip
        world.run(120.0)
        assert max(world.most_in_use if kind == "slots" else 0, world.spent + world.in_use) <= bound


@pytest.mark.full
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), late=st.sampled_from([0.5, 3.0]), rate=st.sampled_from([0.2, 20.0]))
def test_windows_hold_whatever_is_late(seed: int, late: float, rate: float) -> None:
    world = World(seed, 20, even(3, rate), seconds=20.0, fail="closed", lose=0.3, late=late)
    world.run(80.0)
    assert world.most() <= 20
