"""The queue of a limit: whose turn it is, other quotas than the default one, and limits that are only reported."""

from __future__ import annotations

import random

import attrs
import pytest

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import GOOD, World
from turnout.chat import ChatRequest, ModelConfig, RateLimit, RateWindow
from turnout.http import HttpRequest
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.operations import Chat
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.router import RouterCore
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.limits import Booking, ProviderRateLimit, QuotaUnit
from turnout.simulation import Script, Simulation


def asking(tokens: int) -> Chat:
    return Chat(ChatRequest(ModelConfig("p0", "m", max_tokens=tokens), "x"))


def test_a_large_request_does_not_starve_behind_small_ones() -> None:
    world = World([GOOD], limits={"p0": Limit(tokens_per_minute=1000)}, timeout=600.0)
    for number in range(40):
        world.simulation.call(asking(100), at=2.0 * number)
    world.simulation.call(asking(900), at=5.0)
    world.simulation.run()
    assert all(outcome.error is None for outcome in world.simulation.outcomes)
    large = next(one for one in world.simulation.outcomes if one.began == 5.0)
    assert large.ended <= 5.0 + 61.0, "it waits until the window has room, and keeps its place meanwhile"


def test_a_call_that_can_no_longer_use_a_provider_holds_nobody_up_there() -> None:
    busy = Script(head=100.0, body=GOOD.body)
    refused = Script(status=429, head=5.0, headers=(("retry-after", "60"),))
    limits = {"p0": Limit(max_concurrency=1), "p1": Limit(max_concurrency=1)}
    world = World([refused, GOOD], [busy], limits=limits, timeout=600.0, max_retries=0)
    call = world.simulation.call
    for number in (0, 1):  # each provider is at its limit
        call(Chat(world.request(number)), at=0.0)
    call(Chat(world.request(0, 1)), at=1.0)  # it waits for both
    call(Chat(ChatRequest(ModelConfig("p0", "other"), "x")), at=2.0)  # it waits for p0 behind it
    world.simulation.run()
    # At 5 s p0 has a place again, but its model of the first waiting call rests.
    other = next(one for one in world.simulation.outcomes if one.began == 2.0)
    assert other.error is None
    assert other.ended == 5.0


@attrs.define(eq=False)
class Tap:
    """A quota that is shut until somebody opens it."""

    open: bool = False
    taken: float = 0.0

    def wait(self, amount: float, now: float) -> float:
        return 0.0 if self.open else float("inf")

    def take(self, amount: float, now: float) -> Booking:
        self.taken += amount
        return Booking(now, now, amount)

    def correct(self, booking: Booking, by: float) -> None:
        self.taken += by


def test_a_limit_can_have_another_quota_than_a_sliding_window() -> None:
    made: list[tuple[str, QuotaUnit, float]] = []
    tap = Tap()

    def make(name: str, unit: QuotaUnit, per_minute: float) -> Tap:
        made.append((name, unit, per_minute))
        return tap

    core = RouterCore(Policy(limits={"p": Limit(requests_per_minute=7)}), random.Random(1), make_quota=make)
    core.register(LineProvider("p"))
    asked: list[float] = []

    def network(request: HttpRequest, now: float) -> Script:
        asked.append(now)
        return GOOD

    def turn_on() -> None:
        tap.open = True
        core.scheduler.recheck("p", simulation.now)

    simulation = Simulation(core, network)
    for at in (0.0, 1.0):
        simulation.call(Chat(ChatRequest("p/m", "x")), at=at)
    simulation.at(20.0, turn_on)
    simulation.run()
    assert made == [("p", "requests", 7)]
    assert asked == [20.0, 20.0]
    assert tap.taken == 2


# -- limits that are only reported -------------------------------------------------------------------------------------


def state_with(world: World, **window: float) -> CandidateState:
    state = world.core.scheduler.state_of("p0", "p0/m", ModelProfile())
    state.record_reported(RateLimit(requests=RateWindow(**window)), 0.0)
    return state


def test_a_reported_limit_makes_a_call_use_another_candidate() -> None:
    world = World([GOOD], [GOOD])
    state_with(world, limit=60.0, remaining=0.0, reset=40.0)
    assert world.run(at=1.0).result.model.provider == "p1"


def test_if_no_other_candidate_is_left_one_call_asks_although_the_reported_limit_is_used_up() -> None:
    world = World([GOOD], timeout=20.0)
    state_with(world, limit=60.0, remaining=0.0, reset=40.0)
    first = world.run(at=1.0)
    assert first.error is None
    assert first.call.trace.explain().count("because no other is left") == 1


@pytest.mark.parametrize(("longest", "until"), [(60.0, 60.0), (5.0, 5.0)])
def test_a_reported_reset_is_believed_for_at_most_what_the_policy_says(longest: float, until: float) -> None:
    world = World([GOOD], max_learned_wait=longest)
    state = state_with(world, limit=60.0, remaining=0.0, reset=1e6)
    assert state.reported_until == until


def test_a_window_that_reports_when_it_is_full_again_refills_evenly() -> None:
    # 60 a minute, of which 30 are used: full again in 30 s, as a bucket that refills one a second.
    limit = ProviderRateLimit()
    limit.update(RateWindow(limit=60, remaining=30, reset=30.0), 0.0, 30)
    assert limit.wait(1, 0.0) == pytest.approx(1.0)
    assert limit.wait(5, 0.0) == pytest.approx(5.0)
    # One that does not is empty until it resets.
    limit.update(RateWindow(limit=60, remaining=30, reset=10.0), 1.0, 30)
    assert limit.wait(1, 1.0) == pytest.approx(10.0)
