"""Prices and context windows of well-known models, from the package `genai-prices` (`pip install "turnout[prices]"`).

    prices = PriceList()
    router = Router.from_env(prices=prices, context_windows=prices.context_windows(), max_cost=0.05)

The authors of the package keep its list by the providers' price pages, in US dollars; it is as new as its release. The
package computes the cost as well, so the time of a call, the size of its prompt and its service tier count as they do
in the list.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

try:
    from genai_prices import Usage as Units
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "turnout_io.price_list needs genai-prices: pip install 'turnout[prices]'", name=error.name
    ) from None
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, TieredPrices

from turnout._utils.names import did_you_mean
from turnout.chat import Usage
from turnout.prices import Price, billed

__all__ = ["ListedPrice", "PriceList"]

# The package's names for our providers.
NAMES = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gemini": "google",
    "glm4": "zhipuai",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
    "zai": "zai",
}


@attrs.frozen(kw_only=True)
class ListedPrice(Price):
    """A price of the list: it depends on the time of the call, the size of its prompt, and its service tier.

    `prompt`, `completion` and the other numbers are those of a short prompt, now, in the usual tier.

    Attributes:
        wall: The time that counts, in seconds since 1970; None is the time at which `of` is called.
    """

    wall: float | None = None
    _provider: Provider = attrs.field(repr=False, eq=False, alias="provider")
    _model: ModelInfo = attrs.field(repr=False, eq=False, alias="model")

    def at(self, wall: float) -> ListedPrice:
        """See `Price.at`."""
        return attrs.evolve(self, wall=wall)

    def of(self, usage: Usage) -> float | None:
        """See `Price.of`."""
        if usage.prompt_tokens is None and usage.completion_tokens is None and usage.search_units is None:
            return None
        return self._cost(_units(usage), usage.service_tier)

    def at_most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """See `Price.at_most`. Of the tiers, only the usual one counts."""
        units: dict[str, float] = {"input_tokens": prompt_tokens, "output_tokens": completion_tokens}
        highest = self._cost(units, None)
        if self.cache_write is not None:
            units["cache_write_tokens"] = prompt_tokens
            highest = max(highest, self._cost(units, None))
        if self.cache_write_1h is not None:
            units["cache_write_1h_tokens"] = prompt_tokens
            highest = max(highest, self._cost(units, None))
        return highest

    def _cost(self, units: Mapping[str, float], tier: str | None) -> float:
        when = time.time() if self.wall is None else self.wall
        # The list names the same tier by one of three keys, and a provider uses one of them only.
        context: dict[str, str] = dict.fromkeys(("service_tier", "speed", "processing"), tier) if tier else {}
        calculated = self._model.calc_price(
            Units(**units),
            self._provider,
            genai_request_timestamp=datetime.fromtimestamp(when, UTC),
            price_context=context or None,
        )
        return float(calculated.total_price)


class PriceList(Mapping[str, Price]):
    """Prices by `provider/model`, for `Policy.prices`."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        """Open the list of the package.

        Args:
            names: Your own names for known providers: `{"openai-eu": "openai"}`.

        Raises:
            ValueError: If the list has no prices for such a provider.
        """
        for own, known in (names or {}).items():
            if known not in NAMES:
                raise ValueError(f"PriceList.names[{own!r}]: no prices of {known!r}{did_you_mean(str(known), NAMES)}")
        self._names = {**NAMES, **{own: NAMES[known] for own, known in (names or {}).items()}}
        self._snapshot = get_snapshot()
        self._found: dict[str, Price | None] = {}

    def __getitem__(self, key: str) -> Price:
        if key not in self._found:
            found = self._find(key)
            self._found[key] = _listed(*found) if found is not None else None
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
        """Return the tokens of prompt and answer together, if the list has them, for `Policy.context_windows`."""
        found = ((key, self._find(key)) for key in self)
        return {key: at[1].context_window for key, at in found if at is not None and at[1].context_window}

    def _find(self, key: str) -> tuple[Provider, ModelInfo] | None:
        provider, _, model = key.partition("/")
        if provider not in self._names or not model:
            return None
        try:
            return self._snapshot.find_provider_model(model, None, self._names[provider], None)
        except LookupError:
            return None


def _listed(provider: Provider, model: ModelInfo) -> Price | None:
    prices = model.get_prices(datetime.now(UTC))
    if not any(value is not None for value in vars(prices).values()):
        return None
    usual = {name: _usual(getattr(prices, key)) for name, key in _KEYS.items()}
    return ListedPrice(
        prompt=usual.pop("prompt") or 0.0,
        completion=usual.pop("completion") or 0.0,  # embeddings have no answer
        request=(usual.pop("request") or 0.0) / 1000,
        **usual,
        provider=provider,
        model=model,
    )


_KEYS = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "request": "requests_kcount",
}


def _usual(value: Any) -> float | None:
    if isinstance(value, TieredPrices):
        value = value.base
    return float(value) if value is not None else None


def _units(usage: Usage) -> dict[str, float]:
    """Return a usage in the units of the package.

    The package raises ValueError if parts are larger than their whole, or if two parts may overlap by an unknown
    number of tokens. So each part is limited to the whole, and the overlap is as small as possible.
    """
    prompt = billed(usage.prompt_tokens, usage.billed_prompt_tokens)
    cached = min(prompt, usage.cached_tokens or 0)
    written = min(prompt - cached, usage.cache_write_tokens or 0)
    hour = min(written, usage.cache_write_1h_tokens or 0)
    sound = min(prompt - written, usage.audio_prompt_tokens or 0)
    completion = billed(usage.completion_tokens, usage.billed_completion_tokens)
    spoken = min(completion, usage.audio_completion_tokens or 0)
    drawn = min(completion - spoken, usage.image_completion_tokens or 0)
    units: dict[str, float] = {
        "input_tokens": prompt,
        "cache_read_tokens": cached,
        "cache_write_tokens": written,
        "cache_write_5m_tokens": written - hour,
        "cache_write_1h_tokens": hour,
        "input_audio_tokens": sound,
        "cache_audio_read_tokens": max(0, cached + sound + written - prompt),
        "output_tokens": completion,
        "output_audio_tokens": spoken,
        "output_image_tokens": drawn,
        "output_reasoning_tokens": min(completion - spoken - drawn, usage.reasoning_tokens or 0),
        "web_searches": usage.web_searches or 0,
        "rerank_searches": usage.search_units or 0,
    }
    counted = {name: count for name, count in units.items() if count}
    # No other units overlap. Most of the time is saved by omitting those that are 0.
    if not (sound or spoken or drawn):
        return counted
    return counted | dict.fromkeys(_APART, 0) | {"cache_audio_read_tokens": units["cache_audio_read_tokens"]}


_APART = (
    "cache_audio_write_tokens",
    "cache_audio_write_5m_tokens",
    "cache_audio_write_1h_tokens",
    "output_audio_reasoning_tokens",
    "output_image_reasoning_tokens",
)
