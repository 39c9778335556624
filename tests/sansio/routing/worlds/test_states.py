"""The tables of states: each transition that happens is in them, and each one in them happens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.worlds.generated import PlannedCall, World, worlds
from tests.sansio.routing.worlds.observer import drive
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.machine import Call
from turnout.routing.call.states import ATTEMPT_TRANSITIONS, CALL_TRANSITIONS, AttemptState, CallState
from turnout.routing.policy.settings import Hedge, Policy
from turnout.simulation import Script

PAGE = Path(__file__).resolve().parents[4] / "docs" / "states.md"

# Two attempts report at the same moment: one a head, the other a failure. Few worlds that are drawn have this.
REPORTS_AT_ONCE = World(
    candidates=2,
    scripts=((Script(body=((3.0, lines("ta", "f")),)),), (Script(refused=True),)),
    calls=(PlannedCall("stream", 0.0, None, None, (0, 1)),),
    policy=Policy(hedge=Hedge(delay=0.0)),
    concurrent=True,
)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_worlds_take_every_transition_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[Any, Any]] = set()
    move_call, move_attempt = Call._move, Attempt.move

    def record_call(self: Call, to: CallState) -> None:
        before = self.state
        move_call(self, to)
        if self.state is not before:
            seen.add((before, self.state))

    def record_attempt(self: Attempt, to: AttemptState) -> None:
        before = self.state
        move_attempt(self, to)
        seen.add((before, to))

    monkeypatch.setattr(Call, "_move", record_call)
    monkeypatch.setattr(Attempt, "move", record_attempt)

    @example(REPORTS_AT_ONCE)
    @given(worlds())
    @settings(
        max_examples=400,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    def search(world: World) -> None:
        drive(world)

    search()
    # A response without a body: in these worlds none is complete.
    empty = {(AttemptState.RESPONSE_STARTED, AttemptState.DRAINING)}
    assert seen | empty == pairs(CALL_TRANSITIONS) | pairs(ATTEMPT_TRANSITIONS)


def pairs(table: Mapping[Any, frozenset[Any]]) -> set[tuple[Any, Any]]:
    return {(state, to) for state, following in table.items() for to in following}


def test_an_illegal_transition_is_refused() -> None:
    attempt: Any = object.__new__(Attempt)
    attempt.number, attempt.state = 1, AttemptState.CLOSED
    with pytest.raises(AssertionError, match="attempt 1 cannot go from CLOSED to STREAMING"):
        attempt.move(AttemptState.STREAMING)
    assert attempt.state is AttemptState.CLOSED


def test_the_page_of_diagrams_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for state, to in pairs(CALL_TRANSITIONS) | pairs(ATTEMPT_TRANSITIONS):
        assert f"    {state.name} --> {to.name}\n" in text, "run python tools/state_diagrams.py"
