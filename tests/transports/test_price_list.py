"""The list of prices from the package that keeps it, and the cost of an answer by it."""

from __future__ import annotations

import pytest

from turnout import ChatRequest
from turnout.errors import BudgetExceeded
from turnout_io.price_list import PriceList
from turnout_io.sandbox import Sandbox
from turnout_io.sync import Router


def test_known_models_have_a_price_and_others_none() -> None:
    prices = PriceList({"openai-eu": "openai"})
    known = prices["openai/gpt-4o-mini"]
    assert 0 < known.prompt < known.completion
    assert known.cached is not None
    assert known.cached < known.prompt
    assert prices["openai-eu/gpt-4o-mini"] == known
    assert prices.get("gemini/gemini-2.5-pro") is not None, "a price in tiers is the lowest of them"
    for unknown in ("openai/no-such-model", "ollama/llama3.2", "gpt-4o-mini", "openai/", ""):
        assert unknown not in prices
    assert len(prices) == len(set(prices)) > 100
    windows = prices.context_windows()
    assert windows["openai/gpt-4o-mini"] == 128_000


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
