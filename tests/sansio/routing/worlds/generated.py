"""Worlds drawn at random: candidates, what their network does, calls and when they come, and the policy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
from hypothesis import strategies as st

from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts
from turnout.simulation import Script

DELAYS = st.sampled_from([0.0, 0.0, 0.01, 0.5, 3.0, 20.0])
LINES = st.sampled_from(["ta", "tb", "ta", "tb", "r?", "c", "x", "e500", "e429", "?"])
LEAPS = st.lists(st.tuples(st.sampled_from([0.1, 1.0, 6.0]), st.sampled_from([0.3, 5.0, 100.0])), max_size=2)
LIMITS = st.builds(
    Limit,
    max_concurrency=st.sampled_from([None, 1, 2]),
    requests_per_minute=st.sampled_from([None, 1, 3]),
    tokens_per_minute=st.sampled_from([None, 2100]),
    output_tokens_per_minute=st.sampled_from([None, None, 1500]),
)
BREAKERS = st.sampled_from(
    [
        None,
        BreakerPolicy(consecutive_failures=1, minimum_calls=1000, break_duration=2.0, break_multiplier=1.0),
        BreakerPolicy(consecutive_failures=0, minimum_calls=2, failure_ratio=0.5, break_duration=1.0, window=10.0),
    ]
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    body = draw(st.lists(LINES, max_size=6)) + draw(st.sampled_from([["f"], ["f"], ["f"], []]))
    text = "".join(f"{line}\n" for line in body).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges) if a < b]
    return Script(
        connect=draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0, math.inf])),
        refused=draw(st.sampled_from([False, False, False, False, True])),
        head=draw(DELAYS),
        reset=draw(st.sampled_from(["no", "no", "no", "no", "no", "no", "fresh", "reused"])),
        status=draw(st.just(200) | st.sampled_from([400, 401, 404, 429, 451, 500, 503])),
        headers=draw(st.sampled_from([(), (), (("retry-after", "2"),), (("retry-after", "900"),)])),
        body=tuple((draw(DELAYS), piece) for piece in pieces),
        end=draw(st.sampled_from(["end", "end", "end", "cut", "silent"])),
    )


@attrs.frozen
class PlannedCall:
    kind: str
    at: float
    cancel_at: float | None
    timeout: float | None
    candidates: tuple[int, ...]
    policy: Policy | None = None  # its own, where it has one
    priority: float = 0.0


@attrs.frozen
class World:
    candidates: int
    scripts: tuple[tuple[Script, ...], ...]
    calls: tuple[PlannedCall, ...]
    policy: Policy
    concurrent: bool = False
    leaps: tuple[tuple[float, float], ...] = ()  # when the clock leaps forward, as after a sleep, and how far


@st.composite
def policies(draw: st.DrawFn, of_a_call: bool = False) -> Policy:
    """Draw a policy: of a router, or of one call, which has no limits and no breaker of its own."""
    only_router: dict[str, Any] = {}
    if not of_a_call:
        only_router = {
            "max_concurrency": draw(st.sampled_from([None, 1, 2])),
            "max_pending": draw(st.sampled_from([None, 1])),
            "limits": draw(st.dictionaries(st.sampled_from(["p0", "p1", "p0/m", "p1/m"]), LIMITS, max_size=2)),
            "breaker": draw(BREAKERS),
        }
    return Policy(
        **only_router,
        timeout=30.0,
        timeouts=Timeouts(first_token=15.0, between_tokens=8.0),
        max_retries=draw(st.integers(0, 2)),
        max_attempts=draw(st.sampled_from([2, 10])),
        attempt_timeout=draw(st.sampled_from([None, None, 4.0])),
        when_at_capacity=draw(st.sampled_from(["wait", "wait", "reject"])),
        when_all_in_cooldown=draw(st.sampled_from(["try_anyway", "wait", "fail"])),
        on_interrupt=draw(st.sampled_from(["raise", "restart", "resume"])),
        retry_mode=draw(st.sampled_from(["always", "always", "always", "only_if_unsent"])),
        rules=draw(st.sampled_from([{}, {}, {"content-filter": "fallback", "p0:server": "raise"}])),
        hedge=draw(st.sampled_from([None, Hedge(delay=0.3, budget=0.1), Hedge(delay=0.0, budget=1.0)])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    candidates = draw(st.sampled_from([1, 2, 3, 3]))
    calls = []
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.sampled_from([0.0, 0.0, 0.25, 5.0]))
        calls.append(
            PlannedCall(
                draw(st.sampled_from(["stream", "stream", "collect", "chat"])),
                at,
                draw(st.sampled_from([None, None, None, at, at + 0.3, at + 4.0])),
                draw(st.sampled_from([None, None, 1.0, 10.0])),
                tuple(draw(st.permutations(range(candidates)))),
                draw(st.none() | st.none() | policies(of_a_call=True)),
                draw(st.sampled_from([0.0, 0.0, 0.5, 6.0])),
            )
        )
    played = [draw(st.lists(scripts(), min_size=1, max_size=4)) for _ in range(candidates)]
    if draw(st.sampled_from([False, False, False, True])):  # an outage: whoever is asked refuses
        played = [
            [attrs.evolve(one, connect=0.0, refused=False, reset="no", status=503) for one in row] for row in played
        ]
    return World(
        candidates,
        tuple(map(tuple, played)),
        tuple(calls),
        draw(policies()),
        draw(st.sampled_from([True, True, False])),
        tuple(draw(LEAPS)),
    )
