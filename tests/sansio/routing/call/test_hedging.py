"""A second candidate beside a slow one, on a virtual clock."""

from __future__ import annotations

import pytest

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import GOOD, World
from turnout.errors import AllAttemptsFailed, ContextLengthExceeded, ProviderError
from turnout.http import Headers
from turnout.routing.call.operations import Chat
from turnout.routing.commands import Finish
from turnout.routing.policy.settings import Hedge, Policy
from turnout.routing.replay import replay
from turnout.simulation import Script

ALWAYS = Hedge(delay=1.0, budget=1.0)


def test_a_hedge_may_learn_when_it_is_worth_it() -> None:
    quick = Script(head=0.1, body=GOOD.body)
    slow = Script(head=9.0, body=GOOD.body)
    world = World([quick] * 20 + [slow], [quick], hedge=Hedge(quantile=0.9, budget=0.5), concurrent=True)
    for _ in range(20):
        world.run()
    began = world.simulation.now
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert outcome.ended - began < 1.0


def test_calls_that_may_hedge_save_up_for_it_whoever_says_that_they_may() -> None:
    slow, quick = Script(head=9.0, body=GOOD.body), Script(head=0.1, body=GOOD.body)
    world = World([slow], [quick], breaker=None, concurrent=True)
    hedging = Policy(hedge=Hedge(delay=0.5, budget=0.5))
    by_hedge = [world.run(policy=hedging).result.model.provider == "p1" for _ in range(20)]
    assert 10 <= sum(by_hedge) <= 12  # one in two, and what was saved up before


def test_answers_of_a_cache_save_up_for_no_hedge() -> None:
    slow, quick = Script(head=9.0, body=GOOD.body), Script(head=0.1, body=GOOD.body)
    hedged = []
    for cached_calls in (0, 5):
        world = World([slow], [quick], breaker=None, hedge=Hedge(delay=0.5, budget=0.2), concurrent=True)
        count = 0
        for _ in range(20):
            answer = world.run().result
            count += answer.model.provider == "p1"
            for _ in range(cached_calls):
                call = world.core.start(Chat(world.request()), world.simulation.now, cached=answer)
                assert isinstance(call.next_command(world.simulation.now), Finish)
        hedged.append(count)
    assert hedged[0] == hedged[1] < 10


def test_what_may_not_be_repeated_is_not_hedged() -> None:
    slow = Script(head=5.0, body=GOOD.body)
    world = World([slow], [GOOD], hedge=ALWAYS, retry_mode="only_if_unsent", concurrent=True)
    assert world.run().error is None
    assert world.who == ["p0"]


def test_a_retry_after_holds_whatever_fails_beside_it() -> None:
    """p0 asks for 3 s at 1.5; p1, begun at 1.0, fails at 2.0: p0 is not asked before 4.5 for all that."""
    limited = Script(head=1.5, status=429, headers=(("retry-after", "3"),))
    world = World([limited, GOOD], [Script(head=1.0, status=401)], hedge=ALWAYS, concurrent=True)
    outcome = world.run()
    assert outcome.error is None
    assert world.who == ["p0", "p1", "p0"]
    assert world.asked[2][1] >= 4.5, outcome.call.trace.explain()


def test_each_of_two_that_fail_has_its_own_wait() -> None:
    first = Script(head=1.5, status=503, headers=(("retry-after", "5"),))
    second = Script(head=1.0, status=503, headers=(("retry-after", "2"),))
    world = World([first, GOOD], [second, GOOD], hedge=ALWAYS, concurrent=True)
    outcome = world.run()
    assert outcome.error is None
    asked = world.asked[2:]
    assert asked
    assert all(at >= (6.5 if name == "p0" else 4.0) for name, at in asked), outcome.call.trace.explain()


def test_a_retry_beside_an_attempt_is_announced_on_its_condition() -> None:
    limited = Script(head=1.5, status=503, headers=(("retry-after", "2"),))
    world = World([limited], [Script(head=1.0, body=GOOD.body)], hedge=ALWAYS, concurrent=True)
    trace = world.run().call.trace
    assert world.who == ["p0", "p1"]
    assert "retrying p0/m in 2.2 s unless the other attempt answers first: overloaded" in trace.explain()
    recorded = trace.to_dict()
    assert replay(recorded) == ()
    for entry in recorded["entries"]:
        entry.pop("beside", None)
    assert replay(recorded) == (), "a record from before says nothing of it"


def test_those_that_were_overtaken_count_as_slow() -> None:
    """Were only the answers counted that came first, the quantile would fall with each hedge."""
    quick, slow = Script(head=0.1, body=GOOD.body), Script(head=9.0, body=GOOD.body)
    world = World([quick] * 20 + [slow] * 20, [quick], hedge=Hedge(quantile=0.9, budget=1.0), concurrent=True)
    for _ in range(40):
        world.run()
    latency = world.core.scheduler.states()["p0/m"].latency
    quantile = latency.quantile(0.9)
    assert quantile is not None
    assert quantile > 0.15, "each hedge shows that it takes longer than was thought"


def test_one_of_two_attempts_may_fail_at_the_moment_at_which_the_other_reports_its_head() -> None:
    waiting = Script(body=((9.0, GOOD.body[0][1]),))
    world = World([waiting], [Script(refused=True), GOOD], hedge=Hedge(delay=0.0), concurrent=True)
    outcome = world.run()
    assert world.who == ["p0", "p1", "p1"], "the failed one is replaced beside the one that runs"
    assert outcome.result.model.provider == "p1"


class Overflowing(LineProvider):
    """A provider whose status 413 is about the length of the prompt."""

    def _read_error(self, status: int, headers: Headers, body: bytes) -> ProviderError:
        if status == 413:
            return ContextLengthExceeded("too long", status=status, provider=self.name)
        return super()._read_error(status, headers, body)


def excluded_while_running(second: Script) -> World:
    """p0 finds the prompt too long, which excludes p1 with its smaller window, while p1 runs beside it."""
    windows = {"p0/m": 1000, "p1/m": 500}
    world = World(
        [Script(head=2.0, status=413)], [second], hedge=ALWAYS, context_windows=windows, max_retries=0, concurrent=True
    )
    for name in ("p0", "p1"):
        world.core.register(Overflowing(name), replace=True)
    return world


@pytest.mark.parametrize("status", [413, 503])
def test_an_attempt_may_fail_after_a_failure_beside_it_excluded_its_candidate(status: int) -> None:
    world = excluded_while_running(Script(head=3.0, status=status))
    outcome = world.run()
    assert isinstance(outcome.error, AllAttemptsFailed)
    assert world.who == ["p0", "p1"], outcome.call.trace.explain()
    assert replay(outcome.call.trace.to_dict()) == ()


def test_an_attempt_may_answer_after_a_failure_beside_it_excluded_its_candidate() -> None:
    assert excluded_while_running(Script(head=3.0, body=GOOD.body)).run().error is None
