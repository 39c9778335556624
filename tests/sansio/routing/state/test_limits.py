"""Windows, paces and gates: never over the limit, whoever comes, and nothing kept that is over."""

from __future__ import annotations

import copy
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, RateWindow, Usage
from turnout.http import HttpRequest
from turnout.providers import create
from turnout.routing.call.operations import Stream
from turnout.routing.policy.settings import Limit, Policy
from turnout.routing.router import RouterCore
from turnout.routing.state.limiter import Limiter
from turnout.routing.state.limits import Amounts, ProviderRateLimit, SlidingWindow
from turnout.simulation import Script, Simulation

# Sums of these are exact in binary, so that no rounding blurs the edges.
TIMES = st.sampled_from([0.0, 1 / 64, 0.1875, 0.3125, 1.0, 7.5, 30.0, 61.0])


@given(st.integers(1, 10), st.lists(st.tuples(TIMES, st.integers(1, 10)), max_size=60))
def test_no_span_of_the_window_s_length_holds_more_than_the_limit(limit: int, wishes: list[tuple[float, int]]) -> None:
    window, now = SlidingWindow(limit), 0.0
    taken: list[tuple[float, int]] = []
    for passes, amount in wishes:
        now += passes
        amount = min(amount, limit)
        wait = window.wait(amount, now)
        if wait == 0.0:
            window.take(amount, now)
            taken.append((now, amount))
        else:
            assert copy.deepcopy(window).wait(amount, now + wait) == 0.0, "the wait that it gives is long enough"
            if window._entries:
                # It gives no longer a wait than the entries ask for, each kept at most a grain too long.
                fits = [at + 60.0 for at, _ in taken if at + 60.0 > now]
                assert wait <= max(fits) - now + 1e-9
        for at, _ in taken:
            assert sum(other for when, other in taken if at <= when < at + 60.0) <= limit
        assert len(window._entries) <= 60.0 / 0.25 + 2


@given(st.lists(st.tuples(TIMES, st.integers(0, 300), st.integers(0, 300)), max_size=40))
def test_corrections_leave_what_was_really_used(attempts: list[tuple[float, int, int]]) -> None:
    window, now = SlidingWindow(1e9), 0.0
    real: list[tuple[float, int]] = []
    for passes, estimated, used in attempts:
        now += passes
        entry = window.take(estimated, now)
        window.correct(entry, used - estimated)
        real.append((now, used))
    assert window.taken(now) >= sum(used for at, used in real if at > now - 60.0) - 1e-6
    assert window.taken(now + 61.0) == 0


def test_a_correction_that_comes_too_late_changes_nothing() -> None:
    window = SlidingWindow(10)
    entry = window.take(5, 0.0)
    assert window.taken(100.0) == 0
    window.correct(entry, 5)
    assert window.taken(100.0) == 0


def test_more_than_the_whole_limit_goes_through_alone() -> None:
    window = SlidingWindow(10)
    assert window.wait(50, 0.0) == 0.0
    window.take(50, 0.0)
    assert window.wait(1, 0.0) == 60.0


def test_a_pace_is_learnt_and_forgotten() -> None:
    pace = ProviderRateLimit()
    assert pace.wait(5, 0.0) == 0.0
    pace.update(RateWindow(limit=100, remaining=3, reset=10.0), 0.0, 1)
    assert pace.wait(2, 0.0) == 0.0
    pace.take(2, 0.0)
    assert pace.wait(1, 4.0) == 6.0
    assert pace.wait(1, 10.0) == 0.0
    for useless in (None, RateWindow(limit=5), RateWindow(remaining=0), RateWindow(remaining=0, reset=0.0)):
        pace.update(useless, 20.0, 0)
        assert pace.wait(1, 20.0) == 0.0


def test_what_an_older_answer_said_is_old_news_when_it_ends_later() -> None:
    pace = ProviderRateLimit()
    pace.update(RateWindow(remaining=0, reset=30.0), 5.0, 0)
    pace.update(RateWindow(remaining=100, reset=30.0), 1.0, 0)
    assert pace.wait(1, 6.0) == 29.0


@pytest.mark.parametrize("reset", [1e12, math.inf])
def test_a_reset_is_believed_for_a_minute(reset: float) -> None:
    pace = ProviderRateLimit()
    pace.update(RateWindow(remaining=0, reset=reset), 0.0, 0)
    assert pace.wait(1, 0.0) == 60.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([None, 0, 10, 500]), st.booleans()), max_size=20))
def test_what_cancelled_and_failed_calls_took_is_given_back(attempts: list[tuple[bool, int | None, bool]]) -> None:
    gate = Limiter("p", Limit(max_concurrency=3, requests_per_minute=10**6, tokens_per_minute=10**9))
    used = count = 0
    amounts = Amounts.of(30, 70)
    for brought_something, tokens, _ in attempts:
        attempt = object()
        ticket = gate.acquire(attempt, amounts, 0.0)
        assert ticket is not None
        assert gate.in_flight == 1
        gate.release(attempt)
        usage = Usage(prompt_tokens=tokens, completion_tokens=0) if tokens is not None else None
        ticket.adjust(usage, refund=not brought_something)
        if brought_something:
            count += 1
            used += tokens if tokens is not None else 100
    assert gate.in_flight == 0
    requests, tokens_of_both = gate._quotas[0], gate._quotas[1]
    assert isinstance(requests, SlidingWindow)
    assert requests.taken(0.0) == count
    assert isinstance(tokens_of_both, SlidingWindow)
    assert tokens_of_both.taken(0.0) == used


def test_what_a_head_says_holds_from_the_first_content_on() -> None:
    """The answer takes 10 s; its head said that there is no more before 20 s. A call at 5 s waits for that."""
    content = b'data: {"choices":[{"delta":{"content":"one"}}]}\n\n'
    rest = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    told = (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20s"))
    script = Script(headers=told, body=((1.0, content), (9.0, rest)))
    core = RouterCore(Policy(), random.Random(1))
    core.register(create("openai", api_key="k"))
    asked = []

    def network(request: HttpRequest, now: float) -> Script:
        asked.append(now)
        return script

    simulation = Simulation(core, network)
    for at in (0.0, 5.0):
        simulation.call(Stream(ChatRequest("openai/m", "x")), at=at)
    simulation.run()
    assert asked == pytest.approx([0.0, 20.0], abs=1e-5)
