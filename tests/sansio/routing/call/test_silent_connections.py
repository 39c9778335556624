"""A kept-alive connection that is silent may be dead: the request is sent once more, over a new one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.sansio.routing.small_worlds import GOOD, World
from turnout.errors import TimedOut, Timer
from turnout.http import HttpRequest
from turnout.routing.call.operations import Chat, Operation, Stream
from turnout.routing.commands import Open
from turnout.routing.policy.settings import Timeouts
from turnout.routing.replay import replay
from turnout.simulation import Outcome, Script
from turnout.trace.entries import Failed, Retrying

SILENT = Script(head=math.inf)
DEAD = Script(head=math.inf, reused=True)
PATIENT = Timeouts(response_headers=10.0)


def operation(world: World, kind: str) -> Operation:
    request = world.request()
    return Stream(request) if kind == "stream" else Chat(request, collect=True)


def play(*scripts: list[Script], kind: str = "stream", **policy: Any) -> tuple[World, Outcome, list[HttpRequest]]:
    world = World(*scripts, **{"timeouts": PATIENT, **policy})
    requests: list[HttpRequest] = []
    world.simulation.observe = lambda call, command, now: (
        requests.append(command.request) if isinstance(command, Open) else None
    )
    return world, world.run(operation(world, kind)), requests


@pytest.mark.parametrize("kind", ["stream", "collect"])
def test_it_is_replaced_by_a_new_one(kind: str) -> None:
    world, outcome, requests = play([DEAD, GOOD], kind=kind)
    assert outcome.error is None
    assert world.who == ["p0", "p0"]
    assert [request.new_connection for request in requests] == [False, True]
    assert 10.0 <= outcome.ended <= 10.1, "the retry starts at once"
    trace = outcome.call.trace
    [failed] = [entry for entry in trace.entries if isinstance(entry, Failed)]
    assert (failed.timer, failed.seconds, failed.reused) == (Timer.RESPONSE_HEADERS, 10.0, True)
    [retry] = [entry for entry in trace.entries if isinstance(entry, Retrying)]
    assert retry.reason == "silent on a reused connection: retried on a new one"
    assert "timer response-headers of 10 s, on a reused connection" in trace.explain()
    assert replay(trace.to_dict()) == ()


def test_it_is_replaced_only_once() -> None:
    world, outcome, _ = play([DEAD, SILENT])
    assert isinstance(outcome.error, TimedOut)
    assert world.who == ["p0", "p0"]


def test_a_silent_new_connection_is_not_replaced() -> None:
    world, outcome, _ = play([SILENT, GOOD])
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.seconds == 10.0
    assert world.who == ["p0"]


def test_a_free_candidate_is_better_than_a_new_connection() -> None:
    world, outcome, _ = play([DEAD, GOOD], [GOOD])
    assert outcome.error is None
    assert world.who == ["p0", "p1"]


def test_it_is_tried_again_on_a_new_connection_if_the_others_fail() -> None:
    world, outcome, requests = play([DEAD, GOOD], [Script(status=500)], max_retries=1)
    assert outcome.error is None
    assert world.who == ["p0", "p1", "p1", "p0"]
    assert requests[-1].new_connection
    assert "turning from p0/m: silent on a reused connection" in outcome.call.trace.explain()
    assert replay(outcome.call.trace.to_dict()) == ()


def test_it_is_replaced_if_the_other_candidate_has_failed() -> None:
    world, outcome, requests = play([Script(status=401)], [DEAD, GOOD])
    assert outcome.error is None
    assert world.who == ["p0", "p1", "p1"]
    assert requests[-1].new_connection


@pytest.mark.parametrize("policy", [{"retry_mode": "only_if_unsent"}, {"max_retries": 0}, {"max_attempts": 1}])
def test_it_is_not_replaced_if_the_policy_forbids_to_repeat(policy: dict[str, Any]) -> None:
    world, outcome, _ = play([DEAD, GOOD], **policy)
    assert isinstance(outcome.error, TimedOut)
    assert world.who == ["p0"]


def test_it_is_not_replaced_after_the_deadline() -> None:
    world, outcome, _ = play([DEAD, GOOD], timeout=8.0)
    assert outcome.error is not None
    assert world.who == ["p0"]


def test_a_connection_that_was_closed_while_idle_is_replaced_by_a_new_one() -> None:
    _, outcome, requests = play([Script(reset="reused"), GOOD])
    assert outcome.error is None
    assert [request.new_connection for request in requests] == [False, True]
