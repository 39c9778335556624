"""Which of the waiting calls is served first, and that none waits for ever."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.routing.small_worlds import World
from turnout.routing.call.operations import Chat
from turnout.routing.call.options import CallOptions
from turnout.routing.policy.priority import YIELD_SECONDS, seconds_behind
from turnout.routing.policy.settings import Limit
from turnout.routing.state.candidate_state import CandidateState
from turnout.simulation import Script
from turnout.trace import Trace

SLOW = Script(head=5.0, body=((0.0, b"ta\nf\n"),))
PRIORITIES = st.sampled_from([0.0, 0.5, 1.0, 6.0, 100.0])
# What makes calls wait, and how many are served at the same moment.
QUEUES: dict[str, dict[str, Any]] = {
    "the router": {"max_concurrency": 1},
    "a provider": {"limits": {"p0": Limit(max_concurrency=1)}},
    "a candidate": {"limits": {"p0/m": Limit(max_concurrency=1)}},
    "requests a minute": {"limits": {"p0": Limit(requests_per_minute=1)}},
    "tokens a minute": {"limits": {"p0": Limit(tokens_per_minute=1100)}},
}


def order_of(world: World, calls: list[tuple[float, float]], timeout: float = 3600.0) -> list[int]:
    """Start calls at these times with these priorities, and return them in the order in which they were served."""
    for number, (at, priority) in enumerate(calls):
        request = world.request(metadata={"number": number})
        world.simulation.call(Chat(request), at=at, timeout=timeout, priority=priority)
    world.simulation.run()
    assert all(outcome.error is None for outcome in world.simulation.outcomes)
    served = sorted(world.simulation.outcomes, key=lambda outcome: outcome.ended)
    return [outcome.call.trace.metadata["number"] for outcome in served]


@pytest.mark.parametrize("queue", QUEUES)
@given(later=st.lists(st.tuples(st.integers(1, 4), PRIORITIES), max_size=8))
@settings(max_examples=20)
def test_waiting_calls_are_served_by_their_arrival_and_what_their_priority_puts_them_behind(
    queue: str, later: list[tuple[int, float]]
) -> None:
    # The first call is served at once; the others arrive while it is, and so all of them wait.
    calls = [(0.0, 100.0), *((float(at), priority) for at, priority in later)]
    waiting = sorted(range(1, len(calls)), key=lambda n: (calls[n][0] + YIELD_SECONDS * calls[n][1], calls[n][0]))
    served = order_of(World([SLOW], **QUEUES[queue]), calls)
    assert served[0] == 0
    assert [calls[number] for number in served[1:]] == [calls[number] for number in waiting]


def test_calls_that_wait_for_a_provider_to_accept_requests_again_are_served_by_priority() -> None:
    world = World([Script(status=429, headers=(("retry-after", "20"),)), SLOW])
    served = order_of(world, [(0.0, 100.0), (1.0, 6.0), (2.0, 0.0), (3.0, 0.0)])
    # The candidate accepts one at first, then two.
    assert served.index(2) < served.index(3) < served.index(1)


@given(priority=st.floats(0, 1e9), time=st.floats(0.1, 1e6) | st.just(math.inf))
def test_a_call_has_the_same_right_as_newer_ones_in_the_second_half_of_its_time(priority: float, time: float) -> None:
    behind = seconds_behind(priority, time)
    assert 0 <= behind <= time / 2
    assert behind <= priority * YIELD_SECONDS


@given(priority=st.sampled_from([1.0, 6.0, 1e9]), timeout=st.sampled_from([30.0, 60.0, 600.0]))
def test_a_low_priority_does_not_starve_however_many_newer_calls_come(priority: float, timeout: float) -> None:
    # The provider serves one call in 5 s, and a newer call arrives each time.
    world = World([SLOW], max_concurrency=1)
    world.simulation.call(Chat(world.request()), at=0.0, timeout=timeout)
    world.simulation.call(Chat(world.request(metadata={"low": True})), at=0.0, timeout=timeout, priority=priority)
    for number in range(int(timeout // 5)):
        world.simulation.call(Chat(world.request()), at=0.1 + 5.0 * number, timeout=timeout)
    world.simulation.run()
    (low,) = [outcome for outcome in world.simulation.outcomes if outcome.call.trace.metadata.get("low")]
    assert low.error is None
    assert low.ended - low.began <= seconds_behind(priority, timeout) + 15.0


@pytest.mark.parametrize("waiting", [20, 200])
def test_a_call_costs_the_same_however_many_wait(waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    real = CandidateState.blocked_by

    def blocked_by(self: CandidateState, *given: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return real(self, *given)

    monkeypatch.setattr(CandidateState, "blocked_by", blocked_by)
    world = World([SLOW], max_concurrency=1)
    order_of(world, [(0.0, float(number % 7)) for number in range(waiting)], timeout=1e6)
    assert looked_at <= 4 * waiting


# -- what a caller may give ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "number"), [("interactive", 0.0), ("batch", 6.0), (0, 0.0), (2, 2.0), (0.5, 0.5)])
def test_a_priority_is_a_word_or_a_number(given: Any, number: float) -> None:
    assert CallOptions(priority=given).priority == number


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("urgent", ValueError, "'interactive' or 'batch', or a number of 0 or more, not 'urgent'"),
        (-1, ValueError, "a number of 0 or more"),
        (math.nan, ValueError, "a number of 0 or more"),
        (math.inf, ValueError, "a number of 0 or more"),
        (True, TypeError, "a word or a number, not bool"),
        (None, TypeError, "a word or a number, not NoneType"),
    ],
)
def test_another_priority_is_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        CallOptions(priority=given)


def test_the_priority_is_in_the_trace() -> None:
    world = World([SLOW])
    trace = world.run(priority="batch").call.trace
    assert trace.priority == 6.0
    assert trace.explain().startswith("stream over p0/m, with priority 6\n")
    assert Trace.from_dict(trace.to_dict()).priority == 6.0
    assert "priority" not in world.run().call.trace.explain()
