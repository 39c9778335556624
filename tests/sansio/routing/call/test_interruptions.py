"""Streams that break after content: raised, begun anew, or gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sansio.routing.line_dialect import LineProvider, lines
from tests.sansio.routing.small_worlds import CUT, DOWN, GOOD, World, texts
from turnout.chat import Capability, ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import (
    AllAttemptsFailed,
    StreamFailed,
    StreamInterrupted,
)
from turnout.events import Restarted
from turnout.messages import Message
from turnout.prices import Price
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.operations import Chat, Stream
from turnout.simulation import Script


def test_a_broken_stream_restarts_elsewhere_where_it_may() -> None:
    world = World([CUT], [GOOD], on_interrupt="restart")
    outcome = world.run()
    assert texts(outcome) == ["onetwo", "onetwo"]
    restarted = next(event for _, event in outcome.events if isinstance(event, Restarted))
    assert restarted.attempt == 2
    assert restarted.partial is not None
    assert restarted.partial.text == "onetwo"
    assert outcome.result.model.provider == "p1"
    assert world.who == ["p0", "p1"]


def test_a_lone_candidate_restarts_itself() -> None:
    world = World([CUT, GOOD], on_interrupt="restart")
    assert texts(world.run()) == ["onetwo", "onetwo"]
    assert world.asked[1][1] > world.asked[0][1] + 0.1, "after a wait"


def test_the_third_model_continues_what_is_not_retried() -> None:
    rules = {"disconnected": "fallback", "truncated": "fallback"}
    outcome = World([CUT], [CUT], [GOOD], on_interrupt="restart", rules=rules).run()
    assert outcome.error is None
    assert outcome.result.model.provider == "p2"
    assert texts(outcome)[-1] == "onetwo"


def test_a_restart_that_fails_in_the_end_has_the_partial_answer() -> None:
    world = World([CUT], [DOWN], on_interrupt="restart", max_retries=0)
    outcome = world.run()
    assert isinstance(outcome.error, StreamFailed)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "onetwo"
    assert isinstance(outcome.error.__cause__, AllAttemptsFailed)


SHORT = Script(body=((0.0, lines("tx")),), end="cut")
WITHHELD = Script(body=((0.0, lines("tnever told", "e500")),))


@pytest.mark.parametrize("scripts", [([CUT], [SHORT], [DOWN]), ([SHORT], [CUT], [DOWN]), ([CUT, SHORT, DOWN],)])
def test_after_restarts_the_partial_answer_is_the_longest(scripts: tuple[list[Script], ...]) -> None:
    outcome = World(*scripts, on_interrupt="restart", max_retries=len(scripts[0]) - 1).run()
    assert texts(outcome)[-1] == ""
    assert isinstance(outcome.error, StreamFailed)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "onetwo"


def test_content_that_stands_is_the_partial_answer_however_long_an_earlier_one_was() -> None:
    outcome = World([CUT, SHORT], on_interrupt="restart", max_retries=1).run()
    assert texts(outcome) == ["onetwo", "x"]
    assert outcome.error is not None
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "x"


def test_what_the_caller_has_is_the_partial_answer_and_not_what_was_withheld() -> None:
    """The first answer breaks before the caller sees it, the second after that, and nobody goes on with it."""
    world = World(
        [WITHHELD, SHORT],
        [Script(head=20.0)],
        on_interrupt="resume",
        max_retries=1,
        facts={1: ModelProfile(prefill={})},
    )
    outcome = world.run()
    assert texts(outcome) == ["x"]
    assert outcome.error is not None
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "x"


@pytest.mark.parametrize("collect", [True, False])
@pytest.mark.parametrize("last", [DOWN, Script(refused=True), Script(head=500.0)])
def test_content_that_reached_nobody_is_in_the_error_of_a_later_attempt(last: Script, collect: bool) -> None:
    world = World([WITHHELD, last], max_retries=1, timeout=20.0)
    outcome = world.run(Chat(world.request(), collect) if collect else None)
    assert outcome.error is not None
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "never told"
    assert outcome.error.partial.trace is outcome.call.trace


@pytest.mark.parametrize("instead", [DOWN, Script(head=1.0, status=500), Script(refused=True), Script(head=500.0)])
def test_the_answer_so_far_is_the_one_that_broke_while_no_other_has_come(instead: Script) -> None:
    outcome = World([CUT], [instead], on_interrupt="restart", max_retries=0, timeout=20.0).run()
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.call.response is not None
    assert outcome.call.response.text == "onetwo"
    assert outcome.call.response.trace is outcome.call.trace


def test_a_restart_has_a_deadline_of_its_own() -> None:
    slow = Script(body=((0.0, lines("tone")), (50.0, lines("ttwo"))), end="cut")
    world = World([slow], [GOOD], on_interrupt="restart", timeout=20.0)
    assert world.run().error is None
    late = World([slow], [Script(head=500.0)], on_interrupt="restart", timeout=20.0)
    outcome = late.run()
    assert isinstance(outcome.error, StreamInterrupted)
    assert outcome.ended == pytest.approx(50.0 + 20.0)


def test_a_total_bounds_restarts_too() -> None:
    world = World([CUT], [Script(head=500.0)], on_interrupt="restart")
    outcome = world.run(total_timeout=7.0)
    assert outcome.ended == pytest.approx(7.0)
    assert isinstance(outcome.error, StreamInterrupted)


def test_a_model_that_can_goes_on_where_the_answer_broke() -> None:
    rest = Script(body=((0.0, lines("tthree", "f")),))
    world = World([CUT], [GOOD], [rest], facts={2: ModelProfile(prefill={})}, on_interrupt="resume")
    outcome = world.run()
    assert texts(outcome) == ["onetwothree"]
    assert outcome.result.text == "onetwothree"
    assert outcome.result.model.provider == "p2"
    assert world.who == ["p0", "p2"], "the one in between cannot"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (CUT, {"response_format": ResponseFormat.json()}),
        (Script(body=((0.0, lines("rhm", "tone")),), end="cut"), {}),
    ],
    ids=["structured", "reasoning"],
)
def test_what_cannot_be_gone_on_with_is_raised(script: Script, options: dict[str, Any]) -> None:
    world = World([script], [GOOD], facts={1: ModelProfile(prefill={})}, on_interrupt="resume")
    for number in range(2):
        provider = LineProvider(f"p{number}", known=ModelProfile(prefill={}))
        provider.capabilities = provider.capabilities | {Capability.JSON}
        world.core.register(provider, replace=True)
    outcome = world.run(Stream(world.request(**options)))
    assert isinstance(outcome.error, StreamInterrupted)
    assert world.who == ["p0"]


def test_a_resumed_answer_keeps_to_its_ceiling_and_adds_up_its_usage() -> None:
    seen: list[Any] = []

    class Counting(LineProvider):
        def stream(self, request: ChatRequest) -> Any:
            seen.append(request)
            return super().stream(request)

    world = World([CUT], [Script(body=((0.0, lines("tthree", "f")),))], on_interrupt="resume")
    world.core.register(Counting("p1", known=ModelProfile(prefill={"prefix": True})), replace=True)
    models = [ModelConfig("p0", "m", max_tokens=100), ModelConfig("p1", "m", max_tokens=100)]
    world.run(Stream(ChatRequest(models[0], "x", fallbacks=models[1:])))
    (resumed,) = seen
    assert resumed.messages[-1] == Message("assistant", "onetwo", extra={"prefix": True})
    assert resumed.model.max_tokens == 98


def test_a_lone_candidate_restarts_no_oftener_than_it_may_be_retried() -> None:
    for retries in (0, 2):
        world = World([CUT], on_interrupt="restart", max_retries=retries)
        world.run()
        assert len(world.asked) == 1 + retries


def test_what_is_not_retried_restarts_no_lone_candidate() -> None:
    stalled = Script(body=((0.0, lines("tone")),), end="silent")
    filtered = Script(body=((0.0, lines("tone", "e451")),))
    for script in (stalled, filtered):
        world = World([script], on_interrupt="restart")
        assert isinstance(world.run().error, StreamInterrupted)
        assert len(world.asked) == 1


def test_what_was_said_counts_in_what_a_resumed_answer_may_come_to() -> None:
    """100 tokens at the most, of which 50 have been said: 50 are still to come."""
    said = Script(body=((0.0, lines("t" + "word" * 50)),), end="cut")
    # A token of prompt costs nothing, one of the answer 1.
    world = World(
        [said],
        [GOOD],
        facts={1: ModelProfile(prefill={})},
        on_interrupt="resume",
        prices={"m": Price(0.0, 1e6)},
        max_cost=120.0,
    )
    models = [ModelConfig(f"p{number}", "m", max_tokens=100) for number in range(2)]
    outcome = world.run(Stream(ChatRequest(models[0], "x", fallbacks=models[1:])))
    assert outcome.error is None, outcome.call.trace.explain()
    assert world.who == ["p0", "p1"]
