"""The costs in the traces are what the simulated providers bill, in worlds drawn at random."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.sansio.routing.worlds.bills import Bills, priced
from tests.sansio.routing.worlds.generated import World, worlds
from tests.sansio.routing.worlds.observer import drive
from turnout.routing.call.cost import CostTracker


def check(world: World) -> None:
    bills = Bills()
    simulation, _ = drive(priced(world), watch=bills.watch)
    for outcome in simulation.outcomes:
        bills.check(outcome.call)


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=500, deadline=None)
def test_the_costs_in_the_traces_are_what_was_billed(world: World) -> None:
    check(world)


@given(worlds())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_same_in_a_few_worlds(world: World) -> None:
    check(world)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_forgotten_attempt_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CostTracker, "ended_early", lambda self, attempt, *, broke_unanswered=False: None)

    @given(worlds())
    @settings(max_examples=500, deadline=None, database=None)
    def test(world: World) -> None:
        check(world)

    with pytest.raises(AssertionError, match="the bill of attempt"):
        test()
