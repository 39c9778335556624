"""What answers cost, by prices that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from turnout._validation import number
from turnout.chat import ModelConfig, Usage

__all__ = ["Price", "by_model"]

T = TypeVar("T")

MILLION = 1_000_000


@attrs.frozen
class Price:
    """Prices for a million tokens, all in one currency of the user's.

    prompt       of the prompt
    completion   of the answer, reasoning included
    cached       of what was read from the provider's cache; as the prompt where it is None
    cache_write  of what was written to it; as the prompt where it is None
    request      for each request, whatever its size
    """

    prompt: float = attrs.field(validator=number(0))
    completion: float = attrs.field(validator=number(0))
    cached: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    cache_write: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    request: float = attrs.field(default=0.0, kw_only=True, validator=number(0))

    def of(self, usage: Usage) -> float | None:
        """What this usage costs; None where the tokens are not known."""
        if usage.prompt_tokens is None and usage.completion_tokens is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        plain = max(0, (usage.prompt_tokens or 0) - cached - written)
        total = (
            plain * self.prompt
            + cached * (self.cached if self.cached is not None else self.prompt)
            + written * (self.cache_write if self.cache_write is not None else self.prompt)
            + (usage.completion_tokens or 0) * self.completion
        )
        return total / MILLION + self.request

    def at_most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What a request may come to, if nothing of it is cached and the answer is as long as it may be."""
        dearest = max(self.prompt, self.cache_write or 0.0)
        return (prompt_tokens * dearest + completion_tokens * self.completion) / MILLION + self.request


def by_model(table: Mapping[str, T], model: ModelConfig) -> T | None:
    """What a table says of a model, by `provider/model` or by the model's id alone."""
    if not table:
        return None
    found = table.get(str(model))
    return found if found is not None else table.get(model.model_id)
