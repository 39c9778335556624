"""Counts of calls, seen in the text format of Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import TurnoutError
from turnout.prices import Price
from turnout.trace import Trace
from turnout.trace.entries import Answered, CallFailed, Started
from turnout_io.metrics import Metrics
from turnout_io.metrics.prometheus import BUCKETS, Counter, Histogram, sample
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

GPT = 'provider="openai",model="gpt-4o-mini"'
GEMINI = 'provider="gemini",model="gemini-2.5-flash"'
SECRET = "the prompt of a user"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def router_of(sandbox: Sandbox, metrics: Metrics) -> Router:
    prices = {"gemini/gemini-2.5-flash": Price(prompt=1e6, completion=1e6)}
    return Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0, prices=prices, on_trace=metrics)


def values(metrics: Metrics) -> dict[str, float]:
    """Return the samples of a text by name and labels."""
    lines = [line for line in metrics.text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_a_fallback_counts_for_both_models(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503))
    metrics = Metrics()
    with router_of(sandbox, metrics) as router:
        reply = router.chat("openai/gpt-4o-mini", SECRET, fallbacks=["gemini/gemini-2.5-flash"])
    found = values(metrics)
    assert found[f'turnout_calls_total{{operation="chat",{GEMINI},outcome="answered"}}'] == 1
    assert found[f'turnout_call_duration_seconds_count{{operation="chat",{GEMINI},outcome="answered"}}'] == 1
    assert found[f"turnout_attempts_total{{{GPT}}}"] == found[f"turnout_attempts_total{{{GEMINI}}}"] == 1
    assert found[f'turnout_attempt_failures_total{{{GPT},class="overloaded"}}'] == 1
    assert found[f"turnout_fallbacks_total{{{GPT}}}"] == 1
    assert reply.usage is not None
    assert found[f'turnout_tokens_total{{{GEMINI},kind="prompt"}}'] == reply.usage.prompt_tokens
    assert found[f"turnout_cost_total{{{GEMINI}}}"] == pytest.approx(reply.trace.cost)
    assert SECRET not in metrics.text()


def test_a_call_that_failed_has_its_error_and_no_fallback(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503))
    metrics = Metrics()
    with router_of(sandbox, metrics) as router, pytest.raises(TurnoutError):
        router.chat("openai/gpt-4o-mini", SECRET)
    found = values(metrics)
    assert found[f'turnout_calls_total{{operation="chat",{GPT},outcome="Overloaded"}}'] == 1
    assert not [name for name in found if name.startswith("turnout_fallbacks_total")]


def test_a_stream_that_is_closed_early_is_cancelled(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(stall=30.0, after_tokens=1), Fault())  # else the whole stream may arrive at once
    metrics = Metrics()
    with router_of(sandbox, metrics) as router:
        with router.stream("openai/gpt-4o-mini", SECRET) as stream:
            next(iter(stream))
        router.stream("openai/gpt-4o-mini", SECRET).collect()
    found = values(metrics)
    assert found[f'turnout_calls_total{{operation="stream",{GPT},outcome="cancelled"}}'] == 1
    assert found[f'turnout_calls_total{{operation="stream",{GPT},outcome="answered"}}'] == 1
    assert found[f"turnout_first_content_seconds_count{{{GPT}}}"] >= 1


def answered(model: str, seconds: float) -> Trace:
    return Trace("chat", (model,), entries=[Started(0.0, 1, 0, model), Answered(seconds, model)])


def test_threads_share_one_object() -> None:
    metrics = Metrics()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(metrics, [answered("a/b", 1.0)] * 2_000))
    assert values(metrics)['turnout_attempts_total{provider="a",model="b"}'] == 2_000


def test_a_call_that_ends_while_another_one_is_counted_waits_for_nothing() -> None:
    class Interrupting(Trace):
        @property
        def candidate(self) -> str:
            metrics(answered("a/b", 1.0))  # as the garbage collector does when it closes a stream
            return super().candidate

    metrics = Metrics()
    metrics(Interrupting("chat", ("a/b",), entries=[CallFailed(1.0, "Overloaded")]))
    found = values(metrics)
    assert found['turnout_calls_total{operation="chat",provider="a",model="b",outcome="Overloaded"}'] == 1
    assert found['turnout_calls_total{operation="chat",provider="a",model="b",outcome="answered"}'] == 1


def test_a_trace_of_no_call_counts_nothing() -> None:
    metrics = Metrics()
    metrics(Trace())
    assert values(metrics) == {}


def test_models_beyond_the_bound_are_counted_together() -> None:
    counter = Counter("c", "Help.", ("model",))
    for number in range(3_000):
        counter.add(str(number))
    assert len(counter.values) == 2_001
    assert counter.values["other",] == 1_000


@given(st.text())
def test_a_label_can_be_read_back(text: str) -> None:
    line = sample("name", [("label", text)], 1.0)
    assert line.count("\n") == 1
    quoted = re.fullmatch(r'name\{label="((?:[^"\\\n]|\\["\\n])*)"\} 1\n', line, re.DOTALL)
    assert quoted is not None
    unescaped = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], quoted[1])
    assert unescaped == text


@given(st.integers(0, 2**53) | st.floats(0, allow_nan=False, allow_infinity=False))
def test_a_value_can_be_read_back(value: float) -> None:
    assert float(sample("name", (), value).split(" ")[1]) == value


@given(st.lists(st.tuples(st.floats(0, 1e4), st.sampled_from("ab"))))
def test_a_histogram_counts_each_duration_up_to_its_bound(durations: list[tuple[float, str]]) -> None:
    histogram = Histogram("h", "Help.", ("model",))
    for seconds, model in durations:
        histogram.observe(seconds, model)
    text = "".join(histogram.lines())
    for model in {model for _, model in durations}:
        own = [seconds for seconds, name in durations if name == model]
        for bound in BUCKETS:
            count = sum(seconds <= bound for seconds in own)
            assert f'h_bucket{{model="{model}",le="{bound}"}} {count}\n' in text
        assert f'h_bucket{{model="{model}",le="+Inf"}} {len(own)}\n' in text
        assert f'h_count{{model="{model}"}} {len(own)}\n' in text
