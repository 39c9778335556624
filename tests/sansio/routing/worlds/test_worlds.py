"""Worlds drawn at random, driven through the real core: what must hold holds at every command."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from tests.sansio.routing.worlds.generated import PlannedCall, World, worlds
from tests.sansio.routing.worlds.observer import drive
from tests.sansio.routing.worlds.outcomes import check_world
from turnout.routing.policy.settings import Policy
from turnout.routing.replay import replay
from turnout.simulation import Script
from turnout.trace import Trace


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=500)
def test_what_must_hold_holds_in_every_world(world: World) -> None:
    check_world(world)


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=50)
def test_the_same_world_goes_the_same_way_twice(world: World) -> None:
    def story() -> list[dict[str, Any]]:
        return [outcome.call.trace.to_dict() for outcome in drive(world)[0].outcomes]

    assert story() == story()


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=200)
def test_the_facts_of_a_trace_lead_to_its_decisions(world: World) -> None:
    for outcome in drive(world)[0].outcomes:
        assert replay(json.loads(json.dumps(outcome.call.trace.to_dict()))) == ()


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=50)
def test_a_trace_comes_back_from_its_json(world: World) -> None:
    for outcome in drive(world)[0].outcomes:
        recorded = outcome.call.trace.to_dict()
        again = Trace.from_dict(json.loads(json.dumps(recorded)))
        assert again.entries == outcome.call.trace.entries
        assert again.to_dict() == recorded
        assert again.explain() == outcome.call.trace.explain()


@pytest.mark.full
@pytest.mark.timeout(600)
@given(worlds())
@settings(max_examples=50)
def test_every_trace_can_be_told(world: World) -> None:
    for outcome in drive(world)[0].outcomes:
        told = outcome.call.trace.explain()
        assert len(told.splitlines()) == 1 + len(outcome.call.trace.entries)
        assert "None" not in told


@pytest.mark.parametrize("kind", ["stream", "collect", "chat"])
def test_a_healthy_world_answers(kind: str) -> None:
    healthy = Script(body=((0.0, b"ta\nr?\ntb\nf\n"),))
    world = World(1, ((healthy,),), (PlannedCall(kind, 0.0, None, None, (0,)),), Policy())
    (outcome,) = drive(world)[0].outcomes
    assert outcome.error is None
    assert outcome.result.text == "ab"
    assert outcome.result.reasoning == "?"
