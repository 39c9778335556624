"""What answers cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ModelConfig, Usage
from turnout.prices import Price, by_model


def test_each_kind_of_token_has_its_price() -> None:
    price = Price(2.0, 8.0, cached=0.5, cache_write=2.5, request=0.01)
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000, cache_write_tokens=100_000)
    assert price.of(usage) == pytest.approx(0.5 * 2.0 + 0.4 * 0.5 + 0.1 * 2.5 + 0.5 * 8.0 + 0.01)
    assert Price(2.0, 8.0).of(usage) == pytest.approx(2.0 + 4.0)
    assert price.of(Usage(source="absent")) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_answer_costs_more_than_it_may(prompt: int, answer: int, cached: int, written: int) -> None:
    price = Price(2.0, 8.0, cached=0.5, cache_write=2.5, request=0.01)
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    told = Usage(prompt_tokens=prompt, completion_tokens=answer, cached_tokens=cached, cache_write_tokens=written)
    cost = price.of(told)
    assert cost is not None
    assert cost <= price.at_most(prompt, answer) + 1e-9


def test_a_cache_write_for_an_hour_has_its_own_price() -> None:
    usage = Usage(
        prompt_tokens=1_000_000, completion_tokens=0, cache_write_tokens=800_000, cache_write_1h_tokens=300_000
    )
    price = Price(2.0, 8.0, cache_write=2.5, cache_write_1h=4.0)
    assert price.of(usage) == pytest.approx(0.2 * 2.0 + 0.5 * 2.5 + 0.3 * 4.0)
    assert Price(2.0, 8.0, cache_write=2.5).of(usage) == pytest.approx(0.2 * 2.0 + 0.8 * 2.5)
    assert price.at_most(1_000_000, 0) == pytest.approx(4.0)


def test_billed_tokens_count_instead_of_all() -> None:
    usage = Usage(prompt_tokens=1_000, completion_tokens=500, billed_prompt_tokens=10, billed_completion_tokens=0)
    assert Price(1e6, 1e6).of(usage) == pytest.approx(10.0)


def test_a_plain_price_is_the_same_at_any_time() -> None:
    price = Price(2.0, 8.0)
    assert price.at(0.0) is price


def test_a_table_knows_models_by_both_their_names() -> None:
    model = ModelConfig("groq", "llama-3")
    assert by_model({"groq/llama-3": 1, "llama-3": 2}, model) == 1
    assert by_model({"llama-3": 2}, model) == 2
    assert by_model({"other": 2}, model) is None


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_price(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"Price\.prompt"):
        Price(wrong, 1.0)
