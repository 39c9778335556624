"""The context windows of the catalog beside those of the package `genai-prices`."""

from __future__ import annotations

import pytest

from turnout.providers import CATALOG

genai_prices = pytest.importorskip("genai_prices.data_snapshot")

NAMES = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "mistral": "mistral",
    "x-ai": "xai",
    "deepseek": "deepseek",
    "zhipuai": "glm4",
    "moonshotai": "moonshot",
    "minimax": "minimax",
    "perplexity": "perplexity",
}


def _windows() -> list[tuple[str, str, int]]:
    return [
        (NAMES[provider.id], model.id, model.context_window)
        for provider in genai_prices.get_snapshot().providers
        if provider.id in NAMES
        for model in provider.models
        if model.context_window
    ]


def test_no_window_is_smaller_than_the_one_of_the_package() -> None:
    """A prompt that does not fit is not sent, so a window that is too small would keep good requests back."""
    compared = 0
    for provider, model, theirs in _windows():
        ours = CATALOG[provider].context_window(model)
        compared += ours is not None
        assert ours is None or ours >= 0.95 * theirs, (provider, model)
    assert compared > 120
