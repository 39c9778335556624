"""Which attempts of a call run, which one a result is for, and when a second one may start."""

from __future__ import annotations

import math

from tests.sansio.routing.line_dialect import LineProvider
from turnout.chat import ChatRequest
from turnout.routing.call.attempt import Attempt
from turnout.routing.call.in_flight import InFlight
from turnout.routing.call.operations import Stream
from turnout.routing.commands import Open
from turnout.routing.router import RouterCore


def attempt(number: int) -> Attempt:
    core = RouterCore()
    core.register(LineProvider("p"))
    call = core.start(Stream(ChatRequest("p/m", "x")), 0.0)
    assert isinstance(call.next_command(0.0), Open)
    made = call.in_flight.primary
    assert made is not None
    made.number = number
    return made


def two() -> tuple[InFlight, Attempt, Attempt]:
    in_flight, first, second = InFlight(), attempt(1), attempt(2)
    in_flight.start(first, hedge_at=1.0)
    in_flight.hedge_at = math.inf
    in_flight.start(second)
    return in_flight, first, second


def test_a_result_is_for_the_attempt_with_its_number() -> None:
    assert InFlight().take_result(1) is None
    in_flight, first = InFlight(), attempt(1)
    in_flight.start(first)
    assert (in_flight.take_result(1), in_flight.take_result(2)) == (first, None)
    assert (in_flight.contains(1), in_flight.contains(2)) == (True, False)
    in_flight, first, second = two()
    assert [in_flight.take_result(number) for number in (1, 2, 3)] == [first, second, None]
    assert [in_flight.contains(number) for number in (1, 2, 3)] == [True, True, False]
    assert (in_flight.beside(first), in_flight.beside(second)) == (second, first)


def test_a_result_makes_its_attempt_idle_and_no_other() -> None:
    in_flight, first, second = two()
    assert in_flight.next_idle() is None
    in_flight.take_result(2)
    assert (first.operation_pending, second.operation_pending) == (True, False)
    assert in_flight.next_idle() is second
    in_flight.take_result(1)
    assert in_flight.next_idle() is first
    assert in_flight.hedging


def test_hedging_ends_with_the_last_pending_operation_of_the_attempt_that_is_left() -> None:
    in_flight, first, second = two()
    in_flight.finish(second)
    assert (in_flight.primary, in_flight.hedge, in_flight.hedging) == (first, None, True)
    in_flight.take_result(1)
    assert not in_flight.hedging
    assert list(in_flight.to_close) == [second]


def test_the_second_attempt_takes_the_place_of_the_first() -> None:
    in_flight, first, second = two()
    in_flight.hedge_at = 9.0
    in_flight.finish(first)
    assert (in_flight.primary, in_flight.hedge, in_flight.hedge_at) == (second, None, math.inf)
    in_flight.take_result(2)
    assert not in_flight.hedging


def test_a_winner_is_left_alone() -> None:
    for winner_index in (0, 1):
        in_flight, *attempts = two()
        winner, loser = attempts[winner_index], attempts[1 - winner_index]
        in_flight.hedge_at = 9.0
        assert in_flight.declare_winner(winner) is loser
        assert (in_flight.primary, in_flight.hedge, in_flight.hedge_at) == (winner, None, math.inf)
        assert list(in_flight.to_close) == [loser]
        assert in_flight.hedging, "the operation of the winner is pending"
    alone = InFlight()
    alone.start(attempt(1), hedge_at=1.0)
    assert alone.primary is not None
    assert alone.declare_winner(alone.primary) is None
    assert not alone.to_close


def test_the_earlier_time_decides_when_a_second_attempt_may_start() -> None:
    for hedge_at, overlap_at, replaces in ((1.0, 2.0, False), (2.0, 1.0, True), (1.0, 1.0, True)):
        in_flight = InFlight()
        in_flight.start(attempt(1), hedge_at, overlap_at)
        assert (in_flight.hedge_at, in_flight.replaces, in_flight.hedging) == (1.0, replaces, True)
    never = InFlight()
    never.start(attempt(1))
    assert (never.hedging, never.next_idle() is never.primary) == (False, True)
    soon = InFlight()
    soon.start(attempt(1), hedge_at=1.0)
    assert soon.next_idle() is None, "its first operation is pending"


def test_a_refused_hedge_may_start_when_the_share_of_the_first_attempt_is_used() -> None:
    in_flight = InFlight()
    in_flight.start(attempt(1), 1.0, 5.0)
    in_flight.hedge_refused()
    assert (in_flight.hedge_at, in_flight.replaces) == (5.0, True)
    in_flight.hedge_refused()
    assert (in_flight.hedge_at, in_flight.replaces) == (math.inf, True)


def test_a_failed_attempt_is_replaced_beside_the_one_that_runs() -> None:
    in_flight = InFlight()
    in_flight.start(attempt(1))
    in_flight.replace_failed(3.0)
    assert (in_flight.hedge_at, in_flight.replaces, in_flight.hedging) == (3.0, True, True)
