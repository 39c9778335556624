"""Simulations: nothing is lost, nothing depends on anything but the scenario, and the policy shows what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.chat import ModelConfig
from turnout.routing.policy.routes import Choice, Route
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts
from turnout.routing.replay import replay
from turnout.simulation import Arrivals, Fault, Report, Scenario, SimulatedProvider, Spread, read_scenario, simulate
from turnout.simulation.runner import LOOKS
from turnout.simulation.scenario import FaultKind
from turnout.trace import Trace

SCENARIOS = Path(__file__).resolve().parents[3] / "transports" / "turnout_io" / "scenarios"
A, B = ModelConfig("a", "m"), ModelConfig("b", "m")
STEADY = SimulatedProvider(
    name="a", first_content=Spread("constant", 0.5), per_token=Spread("constant", 0.01), tokens=Spread("constant", 101)
)


def of(*providers: SimulatedProvider, **fields: Any) -> Scenario:
    models = [ModelConfig(provider.name, "m") for provider in providers]
    return Scenario(**{"providers": providers, "models": models, "duration": 60.0, **fields})


def shipped(name: str, **changes: Any) -> Scenario:
    scenario = read_scenario(yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text("utf-8")))
    return attrs.evolve(scenario, **changes)


# -- whatever the scenario -------------------------------------------------------------------------------------------

spreads = st.one_of(
    st.floats(0, 5).map(lambda low: Spread("constant", low)),
    st.tuples(st.floats(0, 2), st.floats(0, 5)).map(lambda two: Spread("uniform", min(two), max(two))),
    st.floats(0.01, 5).map(lambda mean: Spread("exponential", mean)),
    st.floats(0.01, 2).map(lambda median: Spread("lognormal", median, median * 4)),
)
kinds: st.SearchStrategy[FaultKind] = st.sampled_from(
    ("status", "refused", "reset", "hang", "silent", "stall", "cut", "slow")
)
faults = st.builds(
    Fault,
    kind=kinds,
    status=st.sampled_from([400, 401, 429, 500, 503]),
    begins=st.floats(0, 20),
    ends=st.floats(20.5, 60),
    share=st.floats(0.05, 1),
    retry_after=st.none() | st.floats(0, 40),
)


def providers(name: str) -> st.SearchStrategy[SimulatedProvider]:
    return st.builds(
        SimulatedProvider,
        name=st.just(name),
        first_content=spreads,
        per_token=spreads.map(lambda spread: attrs.evolve(spread, low=spread.low / 50, high=spread.high / 50)),
        max_concurrency=st.none() | st.integers(1, 5),
        requests_per_minute=st.none() | st.integers(1, 60),
        announces=st.booleans(),
        faults=st.lists(faults, max_size=2),
    )


policies = st.builds(
    Policy,
    timeout=st.floats(1, 40),
    max_retries=st.integers(0, 2),
    max_concurrency=st.none() | st.integers(1, 5),
    when_at_capacity=st.sampled_from(["wait", "reject"]),
    when_all_in_cooldown=st.sampled_from(["try_anyway", "wait", "fail"]),
    on_interrupt=st.sampled_from(["raise", "restart"]),
    hedge=st.none() | st.builds(Hedge, delay=st.floats(0.1, 2), budget=st.floats(0.05, 1)),
    limits=st.just({}) | st.just({"a": Limit(requests_per_minute=20)}),
)
arrivals = st.one_of(
    st.builds(Arrivals, rate=st.floats(0.2, 4), regular=st.booleans()),
    st.builds(Arrivals, users=st.integers(1, 4), think=spreads.filter(lambda spread: spread.low > 0.5)),
)
scenarios = st.builds(
    Scenario,
    providers=st.tuples(providers("a"), providers("b")),
    models=st.just((A, B)),
    policy=policies,
    arrivals=arrivals,
    duration=st.just(40.0),
    kind=st.sampled_from(["stream", "chat", "collect"]),
    concurrent=st.booleans(),
    seed=st.integers(0, 1000),
    bins=st.integers(1, 7),
)


@pytest.mark.full
@given(scenarios)
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_every_decision_can_be_made_again(scenario: Scenario) -> None:
    traces: list[Trace] = []
    report = simulate(scenario, traces.append)
    candidates = report.candidates.values()
    assert report.calls == len(traces) == report.answered + sum(report.errors.values())
    assert report.calls == sum(span.calls for span in report.timeline)
    assert report.failed == sum(span.failed for span in report.timeline)
    assert report.answered == sum(sum(span.served.values()) for span in report.timeline)
    assert report.answered == sum(candidate.answered for candidate in candidates)
    assert report.attempts == sum(candidate.attempts for candidate in candidates) == sum(t.attempts for t in traces)
    for candidate in candidates:
        assert candidate.answered + sum(candidate.failures.values()) <= candidate.attempts
    for quantiles in (report.first_content, report.whole, report.added):
        if quantiles is not None:
            assert 0 <= quantiles.p50 <= quantiles.p95 <= quantiles.p99 <= quantiles.max
    for trace in traces:
        assert replay(trace.to_dict()) == ()
    json.dumps(report.to_dict(), allow_nan=False)
    assert len(str(report).splitlines()) >= len(report.timeline) + len(report.candidates)


@given(scenarios)
@settings(max_examples=15, deadline=None)
def test_one_scenario_goes_one_way(scenario: Scenario) -> None:
    def run() -> str:
        traces: list[Trace] = []
        report = simulate(scenario, traces.append)
        return json.dumps([report.to_dict(), str(report), *(trace.to_dict() for trace in traces)])

    assert run() == run()


@pytest.mark.full
def test_another_seed_goes_another_way() -> None:
    one, other = (simulate(of(SimulatedProvider(name="a"), seed=seed)).to_dict() for seed in (1, 2))
    assert one["whole"] != other["whole"]


# -- what providers and callers do -----------------------------------------------------------------------------------


def test_a_healthy_world_takes_its_time_and_routing_adds_none() -> None:
    report = simulate(of(STEADY, arrivals=Arrivals(rate=2, regular=True)))
    assert report.calls == report.answered == report.attempts == 119
    assert report.added is not None
    assert report.added.max == 0
    assert report.first_content is not None
    assert (report.first_content.p50, report.first_content.max) == (0.5, 0.5)
    assert report.whole is not None
    assert report.whole.max == pytest.approx(1.5)


@pytest.mark.parametrize("kind", ["stream", "chat", "collect"])
@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(kind="status", status=503), "overloaded"),
        (Fault(kind="status", status=500), "server"),
        (Fault(kind="status", status=429), "rate-limit"),
        (Fault(kind="status", status=401), "authentication"),
        (Fault(kind="refused"), "connect"),
        (Fault(kind="reset"), "disconnected"),
        (Fault(kind="hang"), "no-response"),
        (Fault(kind="silent"), "no-response"),
        (Fault(kind="stall"), None),
        (Fault(kind="cut"), None),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_each_fault_is_seen_as_what_it_is(fault: Fault, failure: str | None, kind: Any) -> None:
    policy = Policy(
        max_retries=0, on_interrupt="restart", breaker=None, timeout=20, timeouts=Timeouts(between_tokens=2)
    )
    scenario = of(attrs.evolve(STEADY, faults=[fault]), SimulatedProvider(name="b"), policy=policy, kind=kind, calls=9)
    # With tasks, the next candidate starts beside a silent attempt, which is cancelled then and does not fail.
    scenario = attrs.evolve(scenario, concurrent=False)
    report = simulate(scenario)
    assert report.answered == report.candidates["b/m"].answered == 9
    failures = report.candidates["a/m"].failures
    if failure is not None:
        assert failures == {failure: report.candidates["a/m"].attempts}
    else:
        assert sum(failures.values()) == report.candidates["a/m"].attempts


def test_a_slow_provider_is_slow_and_no_more() -> None:
    report = simulate(of(attrs.evolve(STEADY, faults=[Fault(kind="slow", factor=4)]), arrivals=Arrivals(rate=1)))
    assert report.answered == report.calls
    assert report.first_content is not None
    assert report.first_content.max == pytest.approx(2.0)


@pytest.mark.full
def test_the_share_of_a_fault_is_the_share_that_it_strikes() -> None:
    fault = Fault(kind="status", status=500, share=0.25, begins=100, ends=300)
    scenario = of(
        attrs.evolve(STEADY, faults=[fault]),
        SimulatedProvider(name="b"),
        policy=Policy(max_retries=0, breaker=None),
        duration=400,
    )
    report = simulate(scenario)
    asked = sum(span.calls for span in report.timeline if 100 <= span.begins < 300)
    assert sum(report.candidates["a/m"].failures.values()) == pytest.approx(asked * 0.25, rel=0.15)
    assert all(span.served["b/m"] == 0 for span in report.timeline if not 100 <= span.begins < 300)


@pytest.mark.full
def test_a_provider_refuses_what_is_over_its_limits_and_a_router_that_knows_them_keeps_within() -> None:
    narrow = attrs.evolve(STEADY, max_concurrency=5, requests_per_minute=120)
    scenario = of(narrow, SimulatedProvider(name="b"), arrivals=Arrivals(rate=10), policy=Policy(max_retries=0))
    assert simulate(scenario).candidates["a/m"].failures["rate-limit"] > 0
    knowing = Policy(max_retries=0, limits={"a": Limit(max_concurrency=5, requests_per_minute=120)})
    report = simulate(attrs.evolve(scenario, policy=knowing))
    assert not report.candidates["a/m"].failures
    assert report.candidates["a/m"].attempts <= 120
    assert report.answered == report.calls


def test_users_ask_again_when_they_have_their_answer() -> None:
    report = simulate(of(STEADY, arrivals=Arrivals(users=3, think=Spread("constant", 0.5))))
    # Each takes 0.5 s to think and 1.5 s for an answer: thirty calls a minute.
    assert report.calls == 90


def test_calls_come_faster_from_a_step_on() -> None:
    report = simulate(of(STEADY, arrivals=Arrivals(rate=2, steps=[(30.0, 20.0)], regular=True), bins=2))
    assert [span.calls for span in report.timeline] == pytest.approx([60, 600], abs=1)


@pytest.mark.full
def test_weights_share_the_calls() -> None:
    route = Route("both", [Choice(A, weight=3), Choice(B, weight=1)], "weighted")
    scenario = of(
        SimulatedProvider(name="a"), SimulatedProvider(name="b"), duration=200, routes=[route],
    )  # fmt: skip
    report = simulate(attrs.evolve(scenario, models=[ModelConfig.route("both")]))
    # Slow first tokens by chance look like a queue now and then.
    assert report.candidates["a/m"].answered / report.calls == pytest.approx(0.75, abs=0.05)


@pytest.mark.slow
def test_an_open_breaker_shows_in_the_timeline() -> None:
    broken = attrs.evolve(STEADY, faults=[Fault(kind="status", begins=20, ends=40)])
    policy = Policy(max_retries=0, breaker=BreakerPolicy(break_duration=4, max_break_duration=4))
    report = simulate(of(broken, SimulatedProvider(name="b"), policy=policy, bins=6))
    assert report.candidates["a/m"].breaker_opened == 1
    open_time = [span.breaker_open.get("a/m", 0.0) for span in report.timeline]
    assert open_time[:2] == [0, 0]
    assert min(open_time[2:4]) >= 0.8
    assert open_time[5] == 0


@pytest.mark.slow
def test_the_progress_is_reported_in_even_steps() -> None:
    parts: list[float] = []
    simulate(of(STEADY, bins=2), on_progress=parts.append)
    assert parts == sorted(parts)
    assert len(parts) == 2 * LOOKS
    assert 0 <= parts[0] < 0.05 < 0.95 < parts[-1] <= 1


# -- the scenarios that come with it ---------------------------------------------------------------------------------


def share(report: Report, begins: float, ends: float, candidate: str) -> float:
    spans = [span for span in report.timeline if begins <= span.begins < ends]
    return sum(span.served[candidate] for span in spans) / sum(sum(span.served.values()) for span in spans)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6))
def test_an_outage_goes_over_nobody_s_head(seed: int) -> None:
    report = simulate(shipped("outage", seed=seed))
    primary = "openai/gpt-4o-mini"
    assert report.answered == report.calls
    assert report.candidates[primary].breaker_opened == 1
    assert sum(report.candidates[primary].failures.values()) < 0.02 * report.calls
    # A slow first token now and then looks like a queue, so the fallback answers a few calls.
    assert share(report, 0, 180, primary) > 0.9
    assert share(report, 240, 360, primary) == 0
    assert share(report, 480, 600, primary) > 0.9
    assert report.added is not None
    assert report.added.p99 < 0.1


@pytest.mark.full
def test_a_limit_that_is_announced_is_hardly_ever_run_into() -> None:
    report = simulate(shipped("rate-limit"))
    primary = report.candidates["groq/llama-3.3-70b-versatile"]
    assert report.answered == report.calls
    assert primary.failures["rate-limit"] < 0.005 * report.calls
    assert primary.answered > 0.95 * 6000


@pytest.mark.full
def test_a_second_attempt_cuts_the_tail_within_its_budget() -> None:
    scenario = shipped("slow-tail")
    hedged, alone = simulate(scenario), simulate(attrs.evolve(scenario, policy=Policy()))
    assert hedged.first_content is not None
    assert alone.first_content is not None
    assert hedged.first_content.p99 < 0.7 * alone.first_content.p99
    # One request in 20 is slow, so the 95th percentile is at the edge of the tail and says little.
    assert hedged.first_content.mean < 0.85 * alone.first_content.mean
    assert 0 < hedged.hedges <= 0.1 * hedged.calls + 10
    assert alone.hedges == 0


@pytest.mark.full
def test_one_of_two_equals_browns_out_and_the_other_carries_its_calls() -> None:
    report = simulate(shipped("brown-out"))
    assert report.answered == report.calls
    # Slow first tokens by chance look like a queue now and then, so the shares are not quite equal.
    assert share(report, 0, 216, "east/llama-3.3-70b") == pytest.approx(0.5, abs=0.05)
    # Half of the probes succeed and close the breaker, until the next failures open it.
    assert share(report, 252, 480, "east/llama-3.3-70b") < 0.15
    assert share(report, 600, 720, "east/llama-3.3-70b") == pytest.approx(0.5, abs=0.05)
    assert report.restarts > 0
