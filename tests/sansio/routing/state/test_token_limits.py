"""Limits of tokens: of prompts and responses together or apart, configured or reported, and what a request takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.routing.line_dialect import LineProvider
from tests.sansio.routing.small_worlds import GOOD, World
from turnout.chat import ChatRequest, ModelConfig, RateLimit, RateWindow, Usage
from turnout.errors import CapabilityUnsupported
from turnout.providers import CATALOG, create
from turnout.providers.protocol import ModelProfile
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.policy.settings import Limit
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import UNITS, Amounts, SlidingWindow

TOKENS = st.integers(0, 500)


def state_of(world: World) -> CandidateState:
    return world.core.scheduler.state_of("p0", "p0/m", ModelProfile())


def asking(prompt: int, max_tokens: int) -> Stream:
    """A stream whose prompt has about so many tokens."""
    return Stream(ChatRequest(ModelConfig("p0", "m", max_tokens=max_tokens), "x" * 4 * prompt))


# -- configured ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TOKENS, TOKENS, st.none() | st.tuples(TOKENS, TOKENS), st.booleans()), max_size=20))
def test_each_window_has_what_was_used_of_its_own_unit(
    attempts: list[tuple[int, int, tuple[int, int] | None, bool]],
) -> None:
    high = 10**9
    limit = Limit(
        requests_per_minute=high,
        tokens_per_minute=high,
        input_tokens_per_minute=high,
        output_tokens_per_minute=high,
    )
    limiter = Limiter("p", limit)
    sums = [0, 0, 0, 0]
    for prompt, completion, used, sent in attempts:
        attempt = object()
        share = limiter.acquire(attempt, Amounts.of(prompt, completion), 0.0)
        assert share is not None
        limiter.release(attempt)
        share.adjust(Usage(prompt_tokens=used[0], completion_tokens=used[1]) if used else None, refund=not sent)
        if sent:
            real = used or (prompt, completion)
            sums = [old + new for old, new in zip(sums, Amounts.of(*real), strict=True)]
    assert [quota.taken(0.0) for quota in limiter._quotas.values() if isinstance(quota, SlidingWindow)] == sums


@pytest.mark.parametrize(
    ("limit", "second", "waits"),
    [
        (Limit(input_tokens_per_minute=1000), asking(900, 10), True),
        (Limit(input_tokens_per_minute=1000), asking(10, 5000), False),
        (Limit(output_tokens_per_minute=1000), asking(10, 900), True),
        (Limit(output_tokens_per_minute=1000), asking(5000, 10), False),
    ],
)
def test_input_and_output_tokens_are_limited_apart(limit: Limit, second: Stream, waits: bool) -> None:
    world = World([GOOD], limits={"p0": limit}, timeout=200.0)
    world.run(asking(500, 500))
    world.run(second, at=1.0)
    assert world.asked[1][1] == pytest.approx(60.0 if waits else 1.0, abs=0.3)


def test_a_new_limit_keeps_the_windows_that_it_still_has() -> None:
    limiter = Limiter("p", Limit(input_tokens_per_minute=1000))
    limiter.acquire(object(), Amounts.of(800, 0), 0.0)
    limiter.update(Limit(input_tokens_per_minute=900, output_tokens_per_minute=50))
    assert limiter.wait(Amounts.of(200, 0), 1.0) == 59.0
    assert limiter.wait(Amounts.of(100, 50), 1.0) == 0.0
    limiter.update(Limit(requests_per_minute=1))
    assert limiter.wait(Amounts.of(10_000, 0), 1.0) == 0.0


# -- reported --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "wait"), [(asking(10, 10), 0.0), (asking(10, 90), 20.0), (asking(5000, 10), 0.0)]
)
def test_a_call_waits_for_the_reported_window_that_it_does_not_fit_into(operation: Stream, wait: float) -> None:
    world = World([GOOD])
    windows: dict[str, Any] = {
        "input_tokens": RateWindow(limit=10_000, remaining=9_000, reset=30.0),
        "output_tokens": RateWindow(limit=1_000, remaining=50, reset=20.0),
    }
    state = state_of(world)
    state.pace._refused_at = 0.0  # a limit is real: no call tests it
    state.record_reported(RateLimit(**windows), 0.0)
    world.run(operation, at=0.0)
    assert world.asked[0][1] == pytest.approx(wait, abs=1e-4)


def test_a_request_that_is_never_built_takes_nothing_from_the_windows_that_were_learnt() -> None:
    class Mute(LineProvider):
        def stream(self, request: ChatRequest) -> Any:
            raise CapabilityUnsupported("cannot be said here")

    world = World([GOOD], [GOOD])
    world.core.register(Mute("p0"), replace=True)
    state = state_of(world)
    window = RateWindow(limit=100_000, remaining=90_000, reset=30.0)
    state.record_reported(RateLimit(requests=window, tokens=window, input_tokens=window, output_tokens=window), 0.0)
    before = [limit.remaining for limit in state.reported]
    for _ in range(5):
        assert world.run(at=1.0).result.model.provider == "p1"
    assert [limit.remaining for limit in state.reported] == before
    assert state.pace._window.taken(1.0) == 0


# -- what a request takes --------------------------------------------------------------------------------------------


def test_max_tokens_counts_whole_only_where_the_provider_counts_it() -> None:
    for counts, expected in ((False, 100), (True, 4000)):
        world = World([GOOD], facts={0: ModelProfile(counts_max_tokens=counts)})
        call = world.core.start(asking(1, 4000), 0.0)
        state = call.selector.candidates[0].state
        assert call.selector.amounts_for(0).output_tokens == 4000, "nothing is known yet"
        for _ in range(10):
            state.record_completion(100)
        assert call.selector.amounts_for(0).output_tokens == expected


def test_the_usual_answer_is_taken_if_a_request_has_no_max_tokens() -> None:
    world = World([GOOD], facts={0: ModelProfile(counts_max_tokens=True)})
    call = world.core.start(Chat(world.request()), 0.0)
    for _ in range(10):
        call.selector.candidates[0].state.record_completion(100)
    assert call.selector.amounts_for(0).output_tokens == 100


def test_whether_max_tokens_counts_is_a_fact_of_each_entry() -> None:
    counting = {name for name, spec in CATALOG.items() if spec.counts_max_tokens}
    assert counting == {"openai", "azure", "groq", "cerebras", "bedrock"}
    assert create("openai", api_key="k").facts("gpt-4o-mini").counts_max_tokens
    assert create("openai", api_key="k").facts("unknown").counts_max_tokens
    assert not create("anthropic", api_key="k").facts("claude-sonnet-4-5").counts_max_tokens


def test_the_units_are_those_of_a_request() -> None:
    assert Amounts._fields == UNITS
