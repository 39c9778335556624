"""Prices and context windows of well-known models, from the package `genai-prices` (`pip install "turnout[prices]"`).

    prices = PriceList()
    router = Router.from_env(prices=prices, context_windows=prices.context_windows(), max_cost=0.05)

The package is a list kept by its authors from the providers' price pages, in US dollars; it is as new as its release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, TieredPrices

from turnout.prices import Price

__all__ = ["PriceList"]

# What the package calls our providers.
NAMES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "gemini": "google",
    "glm4": "zhipuai",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "together": "together",
    "xai": "x-ai",
    "zai": "zai",
}


class PriceList(Mapping[str, Price]):
    """Prices by `provider/model`, for `Policy.prices`.

    A model that costs more for a long prompt has here the price for a short one; what depends on the time of day or
    on a service tier has the usual price.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        """`names` adds providers under names of your own: {"openai-eu": "openai"}."""
        self._names = {**NAMES, **{own: NAMES[known] for own, known in (names or {}).items()}}
        self._snapshot = get_snapshot()
        self._found: dict[str, Price | None] = {}

    def __getitem__(self, key: str) -> Price:
        if key not in self._found:
            info = self._info(key)
            self._found[key] = _price(info) if info is not None else None
        price = self._found[key]
        if price is None:
            raise KeyError(key)
        return price

    def __iter__(self) -> Iterator[str]:
        for ours, theirs in self._names.items():
            for provider in self._snapshot.providers:
                if provider.id == theirs:
                    yield from (key for model in provider.models if (key := f"{ours}/{model.id}") in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def context_windows(self) -> dict[str, int]:
        """Tokens of prompt and answer, where the list knows them, for `Policy.context_windows`."""
        found = ((key, self._info(key)) for key in self)
        return {key: info.context_window for key, info in found if info is not None and info.context_window}

    def _info(self, key: str) -> ModelInfo | None:
        provider, _, model = key.partition("/")
        if provider not in self._names or not model:
            return None
        try:
            return self._snapshot.find_provider_model(model, None, self._names[provider], None)[1]
        except LookupError:
            return None


def _price(info: ModelInfo) -> Price | None:
    prices = info.get_prices(datetime.now(UTC))
    prompt, completion = _usual(prices.input_mtok), _usual(prices.output_mtok)
    if prompt is None:
        return None
    return Price(
        prompt,
        completion or 0.0,  # embeddings have no answer
        cached=_usual(prices.cache_read_mtok),
        cache_write=_usual(prices.cache_write_mtok),
    )


def _usual(value: Any) -> float | None:
    if isinstance(value, TieredPrices):
        value = value.base
    return float(value) if value is not None else None
