"""The list of prices from the package that keeps it, and the cost of an answer by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from turnout import ChatRequest
from turnout.chat import Usage
from turnout.errors import BudgetExceeded
from turnout.prices import Price
from turnout_io.price_list import NAMES, ListedPrice, PriceList
from turnout_io.sandbox import Sandbox
from turnout_io.sync import Router
from turnout_io.testing import Reply, ScriptedTransport

PRICES = PriceList()
# A summer night of China's, a day after the changes that are announced, and a day long after.
TIMES = [datetime(2026, 8, 20, 2, 0), datetime(2026, 12, 2, 12, 0), datetime(2027, 6, 1, 8, 30)]
PATHS = {"fireworks": "accounts/fireworks/models/"}
TIERS = ["", "flex", "priority", "batch", "fast"]
USAGES: dict[str, tuple[Usage, dict[str, Any]]] = {
    "short": (Usage(prompt_tokens=1_000, completion_tokens=200), {"input_tokens": 1_000, "output_tokens": 200}),
    "cached": (
        Usage(prompt_tokens=90_000, completion_tokens=2_000, cached_tokens=60_000, reasoning_tokens=700),
        {
            "input_tokens": 90_000,
            "output_tokens": 2_000,
            "cache_read_tokens": 60_000,
            "output_reasoning_tokens": 700,
        },
    ),
    "long": (
        Usage(prompt_tokens=300_000, completion_tokens=3_000, web_searches=4),
        {"input_tokens": 300_000, "output_tokens": 3_000, "web_searches": 4},
    ),
    "written": (
        Usage(prompt_tokens=150_000, completion_tokens=0, cache_write_tokens=90_000, cache_write_1h_tokens=40_000),
        {
            "input_tokens": 150_000,
            "output_tokens": 0,
            "cache_write_tokens": 90_000,
            "cache_write_5m_tokens": 50_000,
            "cache_write_1h_tokens": 40_000,
        },
    ),
}


def _sample() -> Iterator[str]:
    """Return 40 models: of each provider some, those with conditions on their price first."""
    quota = dict.fromkeys(NAMES, 3) | {"openai": 4, "anthropic": 4}
    for ours, theirs in NAMES.items():
        provider = next(one for one in get_snapshot().providers if one.id == theirs)
        models = sorted(
            provider.models, key=lambda model: (not model.price_variants) + (not isinstance(model.prices, list))
        )
        keys = (f"{ours}/{PATHS.get(ours, '')}{model.id}" for model in models)
        yield from [key for key in keys if key in PRICES][: quota[ours]]


MODELS = list(_sample())


def test_the_sample_is_of_all_providers() -> None:
    assert len(MODELS) >= 40
    assert {model.partition("/")[0] for model in MODELS} == set(NAMES)


@pytest.mark.parametrize("key", MODELS)
def test_a_cost_is_what_the_package_calculates(key: str) -> None:
    ours, _, model = key.partition("/")
    for time in TIMES:
        at = time.replace(tzinfo=UTC)
        price = PRICES[key].at(at.timestamp())
        for tier in TIERS:
            context: dict[str, str] = dict.fromkeys(("service_tier", "speed", "processing"), tier) if tier else {}
            for usage, units in USAGES.values():
                theirs = genai_prices.calc_price(
                    genai_prices.Usage(**units),
                    model,
                    provider_id=NAMES[ours],
                    genai_request_timestamp=at,
                    price_context=context or None,
                )
                cost = price.of(attrs.evolve(usage, service_tier=tier or None))
                assert cost == pytest.approx(float(theirs.total_price), rel=1e-9, abs=1e-15)


COUNTS = st.one_of(st.none(), st.integers(0, 400_000))
FIELDS = [
    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_prompt_tokens", "audio_completion_tokens", "image_completion_tokens",
    "billed_prompt_tokens", "billed_completion_tokens", "web_searches", "search_units",
]  # fmt: skip


@given(st.sampled_from(MODELS), st.fixed_dictionaries(dict.fromkeys(FIELDS, COUNTS)), st.sampled_from(TIERS))
def test_any_usage_has_a_cost(key: str, counts: Mapping[str, Any], tier: str) -> None:
    """Providers report parts that are larger than their whole; that must not fail the call."""
    cost = PRICES[key].of(Usage(**counts, service_tier=tier or None))
    known = any(counts[name] is not None for name in ("prompt_tokens", "completion_tokens", "search_units"))
    assert (cost is not None) == known
    assert cost is None or cost >= 0


@given(st.sampled_from(MODELS), st.integers(0, 400_000), st.integers(0, 100_000), st.floats(0, 1), st.floats(0, 1))
def test_no_answer_of_text_costs_more_than_it_may(
    key: str, prompt: int, answer: int, cached: float, written: float
) -> None:
    from_cache = int(prompt * cached)
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        cached_tokens=from_cache,
        cache_write_tokens=int((prompt - from_cache) * written),
    )
    price = PRICES[key]
    cost = price.of(usage)
    assert cost is not None
    assert cost <= price.at_most(prompt, answer) + 1e-9


def test_the_price_is_that_of_the_time_of_the_call() -> None:
    price = PRICES["deepseek/deepseek-v4-pro"]
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)
    day, night = (price.at(datetime(2026, 12, 2, hour, tzinfo=UTC).timestamp()).of(usage) for hour in (2, 20))
    assert day != night


def test_known_models_have_a_price_and_others_none() -> None:
    prices = PriceList({"openai-eu": "openai"})
    known = prices["openai/gpt-4o-mini"]
    assert isinstance(known, ListedPrice)
    assert 0 < known.prompt < known.completion
    assert known.cached is not None
    assert known.cached < known.prompt
    assert prices["openai-eu/gpt-4o-mini"] == known
    for unknown in ("openai/no-such-model", "ollama/llama3.2", "gpt-4o-mini", "openai/", ""):
        assert unknown not in prices
    assert len(prices) == len(set(prices)) > 100
    windows = prices.context_windows()
    assert windows["openai/gpt-4o-mini"] == 128_000


def test_a_price_list_gives_context_windows_in_numbers() -> None:
    too_long = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    transport = ScriptedTransport()
    transport.add(Reply(400, too_long))
    transport.answer("gemini", "Hello!")
    keys = {"OPENAI_API_KEY": "test", "GEMINI_API_KEY": "test"}
    with Router.from_env(environ=keys, dotenv=None, transport=transport, context_windows=PRICES) as router:
        reply = router.chat("openai/gpt-4o-mini", "word " * 10, fallbacks=["gemini/gemini-2.5-flash"])
        assert router.policy.context_windows == PRICES.context_windows()
    assert reply.text == "Hello!"


def test_answers_have_their_cost_and_calls_their_budget() -> None:
    prices = PriceList()
    request = ChatRequest("openai/gpt-4o-mini", "Say a few things about trains.")
    with (
        Sandbox() as sandbox,
        Router.from_env(environ=sandbox.environ(), dotenv=None, prices=prices) as router,
    ):
        reply = router.chat(request)
        assert reply.usage.cost == prices["openai/gpt-4o-mini"].of(reply.usage)
        assert reply.usage.cost is not None
        assert reply.trace.cost == pytest.approx(reply.usage.cost)
        with router.stream(request) as stream:
            end = list(stream)[-1]
        assert end.type == "end"
        assert end.usage.cost is not None
        assert end.usage.cost > 0
    with (
        Sandbox() as sandbox,
        Router.from_env(environ=sandbox.environ(), dotenv=None, prices=prices, max_cost=1e-9) as router,
        pytest.raises(BudgetExceeded, match="left of max_cost"),
    ):
        router.chat(request)


def test_a_call_is_priced_by_the_time_at_which_it_starts() -> None:
    """The price is bound to the wall time of the call, so a replay of it later has the same cost."""

    class Dated(Price):
        def at(self, wall: float) -> Price:
            return Price(wall, 0.0)

    with (
        Sandbox() as sandbox,
        Router.from_env(environ=sandbox.environ(), dotenv=None, prices={"openai/gpt-4o-mini": Dated(0, 0)}) as router,
    ):
        reply = router.chat(ChatRequest("openai/gpt-4o-mini", "Hello"))
    assert reply.trace.started_at is not None
    assert reply.usage.cost == pytest.approx(Price(reply.trace.started_at, 0.0).of(reply.usage))


def test_a_name_for_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValueError, match=r"PriceList.names\['mine'\]: no prices of 'opnai'; did you mean openai\?"):
        PriceList({"mine": "opnai"})
