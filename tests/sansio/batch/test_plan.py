"""The batch plan in virtual time: every row ends once, money is kept, limits make it slow and fail nothing."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.batch.failures import Problem, problem_of
from turnout.batch.output import Answered, RowFailure
from turnout.batch.plan import BatchPlan, Begin, Stop, Wait
from turnout.batch.rows import BatchRow
from turnout.errors import (
    AllAttemptsFailed,
    AllDemandsUnmet,
    AuthenticationFailed,
    ConcurrencyExceeded,
    ContentFiltered,
    DeadlineExceeded,
    DemandUnmet,
    Disconnected,
    InvalidRequest,
    MissingCredentials,
    Overloaded,
    Phase,
    RateLimited,
    ServerError,
    StreamFailed,
    TurnoutError,
)

LIMITED = Problem(failure=RowFailure(code="rate-limit", message="slow down", temporary=True), limited=True)
BROKEN = Problem(failure=RowFailure(code="server", message="no", temporary=True))
SETUP = Problem(failure=RowFailure(code="authentication", message="key", temporary=True), setup=True)


Outcome = Callable[[BatchRow, int, float], Answered | Problem]


def rows(count: int) -> list[BatchRow]:
    return [BatchRow(str(number), "chat/completions", {}, "", number) for number in range(count)]


class World:
    """Workers that ask the plan, calls that take time, and outcomes that a function decides."""

    def __init__(self, plan: BatchPlan, workers: int, outcome: Outcome, seconds: float) -> None:
        self.plan, self.workers, self.outcome, self.seconds = plan, workers, outcome, seconds
        self.now = 0.0
        self.turns: Counter[BatchRow] = Counter()
        self.written: list[tuple[BatchRow, Answered | RowFailure]] = []
        self.most_in_flight = 0
        self.most_at_stake = 0.0
        self.stopped: set[str] = set()

    def run(self) -> None:
        ends: list[tuple[float, int, BatchRow]] = []
        number = itertools.count()
        idle, rng = self.workers, random.Random(1)
        while True:
            wait = math.inf
            while idle:
                step = self.plan.next(self.now)
                if isinstance(step, Stop):
                    self.stopped.add(step.reason)
                    idle, self.workers = 0, self.workers - idle
                    break
                if isinstance(step, Wait):
                    wait = step.until
                    break
                idle -= 1
                self.turns[step.row] += 1
                heapq.heappush(ends, (self.now + rng.expovariate(1 / self.seconds), next(number), step.row))
            self.most_in_flight = max(self.most_in_flight, len(ends))
            assert self.plan.in_flight == len(ends)
            if not ends and wait == math.inf:
                return
            if ends and ends[0][0] <= wait:
                self.now, _, row = heapq.heappop(ends)
                idle += 1
                self.workers += not idle
                outcome = self.outcome(row, self.turns[row], self.now)
                if isinstance(outcome, Answered):
                    self.plan.answered(row, outcome, self.now)
                    self.written.append((row, outcome))
                else:
                    failure = self.plan.failed_row(row, outcome, self.now)
                    if failure is not None:
                        self.written.append((row, failure))
            else:
                self.now = wait


@given(
    count=st.integers(0, 40),
    workers=st.integers(1, 8),
    fates=st.lists(st.sampled_from(["answer", "limit", "limit", "broken"]), min_size=1, max_size=30),
)
def test_every_row_ends_once_and_limits_fail_none(count: int, workers: int, fates: list[str]) -> None:
    def outcome(row: BatchRow, turn: int, now: float) -> Answered | Problem:
        fate = fates[(row.print + 3 * turn) % len(fates)]
        if fate == "limit" and turn < 6:
            return LIMITED
        return BROKEN if fate == "broken" else Answered(body=b"{}")

    given_rows = rows(count)
    world = World(BatchPlan(iter(given_rows)), workers, outcome, 0.5)
    world.run()
    assert sorted(row.custom_id for row, _ in world.written) == sorted(row.custom_id for row in given_rows)
    assert all(not isinstance(done, RowFailure) or done.code == "server" for _, done in world.written)
    assert world.most_in_flight <= workers
    assert world.stopped == {"complete"}
    assert (world.plan.done, world.plan.failed) == (
        sum(isinstance(done, Answered) for _, done in world.written),
        sum(isinstance(done, RowFailure) for _, done in world.written),
    )


def test_ten_minutes_of_refusals_fail_no_row_and_hammer_nobody() -> None:
    world = World(
        BatchPlan(iter(rows(50))), 10, lambda row, turn, now: LIMITED if now < 600 else Answered(body=b"{}"), 0.1
    )
    world.run()
    assert all(isinstance(done, Answered) for _, done in world.written)
    assert len(world.written) == 50
    assert sum(world.turns.values()) < 50 * 25
    assert world.now < 700


def test_a_row_that_meets_nothing_but_limits_is_given_up_in_the_end() -> None:
    world = World(BatchPlan(iter(rows(3)), patience=120.0), 3, lambda row, turn, now: LIMITED, 0.1)
    world.run()
    assert [done.code for _, done in world.written if isinstance(done, RowFailure)] == ["rate-limit"] * 3
    assert 120 <= world.now < 260


def test_the_provider_s_wait_is_a_floor() -> None:
    problem = Problem(failure=LIMITED.failure, limited=True, retry_after=30.0)
    plan = BatchPlan(iter(rows(1)))
    begin = plan.next(0.0)
    assert isinstance(begin, Begin)
    assert plan.failed_row(begin.row, problem, 5.0) is None
    wait = plan.next(5.0)
    assert isinstance(wait, Wait)
    assert 35.0 <= wait.until <= 42.0
    assert plan.next(wait.until) == begin


@given(
    budget=st.sampled_from([0.0, 1.0, 3.0, 10.0, 1000.0]),
    workers=st.integers(1, 6),
    costs=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10),
    unknown=st.booleans(),
)
def test_the_highest_cost_is_never_exceeded(budget: float, workers: int, costs: list[float], unknown: bool) -> None:
    def outcome(row: BatchRow, turn: int, now: float) -> Answered | Problem:
        if unknown and row.print % 3 == 0:
            return Problem(failure=RowFailure(code="disconnected", message="", temporary=True))
        return Answered(body=b"{}", cost=costs[row.print % len(costs)])

    plan = BatchPlan(iter(rows(30)), max_cost=budget, worst_cost=lambda row: 1.0)
    world = World(plan, workers, outcome, 0.5)
    world.run()
    assert plan.spent <= budget
    known = sum(done.cost or 0.0 for _, done in world.written)
    assert known <= budget
    if world.stopped == {"max-cost"}:
        assert plan.spent + 1.0 > budget
    else:
        assert len(world.written) == 30


def test_wrong_keys_stop_a_run_early() -> None:
    world = World(BatchPlan(iter(rows(1000))), 4, lambda row, turn, now: SETUP, 0.1)
    world.run()
    assert world.stopped == {"setup"}
    assert len(world.written) < 20


def test_wrong_keys_for_some_rows_do_not() -> None:
    world = World(
        BatchPlan(iter(rows(100))), 4, lambda row, turn, now: Answered(body=b"{}") if row.print == 0 else SETUP, 0.1
    )
    world.run()
    assert len(world.written) == 100


def test_after_stop_nothing_begins_and_nothing_waits() -> None:
    plan = BatchPlan(iter(rows(10)))
    first, second = plan.next(0.0), plan.next(0.0)
    assert isinstance(first, Begin)
    assert isinstance(second, Begin)
    plan.stop()
    assert plan.next(0.0) == Stop("stopped")
    assert plan.failed_row(first.row, LIMITED, 1.0) is None, "it is left for the next run"
    assert not plan.failures
    plan.abandoned(second.row)
    assert plan.in_flight == 0


LATE = DeadlineExceeded("late", phase=Phase.NOT_SENT)


@pytest.mark.parametrize(
    ("error", "code", "limited", "temporary", "setup"),
    [
        (RateLimited("x", retry_after=3.0), "rate-limit", True, True, False),
        (Overloaded("x"), "overloaded", True, True, False),
        (ConcurrencyExceeded("x"), "unavailable", True, True, False),
        (LATE, "deadline", True, True, False),
        (DeadlineExceeded("x", phase=Phase.SENT), "deadline", False, True, False),
        (ServerError("x"), "server", False, True, False),
        (Disconnected("x"), "disconnected", False, True, False),
        (DemandUnmet("x"), "unmet-demand", False, True, False),
        (AllDemandsUnmet("x", errors=(DemandUnmet("a"),) * 2), "unmet-demand", False, True, False),
        (InvalidRequest("x"), "invalid-request", False, False, False),
        (ContentFiltered("x"), "content-filter", False, False, False),
        (AuthenticationFailed("x"), "authentication", False, True, True),
        (MissingCredentials("x"), "not-configured", False, True, True),
        (AllAttemptsFailed("x", errors=(RateLimited("a"), Overloaded("b"))), "overloaded", True, True, False),
        (AllAttemptsFailed("x", errors=(RateLimited("a"), ServerError("b"))), "server", False, True, False),
        (AllAttemptsFailed("x", errors=(AuthenticationFailed("a"), RateLimited("b"))), "rate-limit", False, True, True),
        (AllAttemptsFailed("x", errors=(InvalidRequest("a"),) * 2), "invalid-request", False, False, False),
    ],
)  # fmt: skip
def test_what_errors_mean(error: TurnoutError, code: str, limited: bool, temporary: bool, setup: bool) -> None:
    problem = problem_of(error, model="x/y")
    assert (problem.failure.code, problem.limited, problem.failure.temporary, problem.setup) == (
        code, limited, temporary, setup
    )  # fmt: skip
    assert problem.failure.message


def test_a_broken_stream_is_told_by_its_cause() -> None:
    error = StreamFailed("broke")
    error.__cause__ = RateLimited("slow down", retry_after=7.0, status=429)
    problem = problem_of(error)
    assert (problem.failure.code, problem.failure.status) == ("rate-limit", 429)
