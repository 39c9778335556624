"""The cost of responses, by prices that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from turnout._utils.names import NameTable
from turnout._utils.validation import CheckedFields, number
from turnout.chat import ModelConfig, Usage

__all__ = ["Price", "by_model"]

T = TypeVar("T")

MILLION = 1_000_000


@attrs.frozen
class Price(CheckedFields):
    """Prices for a million tokens, all in one currency of the user's.

    A subclass may know more: prices that change with the time or the size of a request
    (`turnout_io.price_list.ListedPrice`).

    Attributes:
        prompt: Of the prompt.
        completion: Of the answer, reasoning included.
        cached: Of tokens read from the provider's cache; as the prompt if None.
        cache_write: Of tokens written to it; as the prompt if None.
        cache_write_1h: Of those of them that it keeps for an hour; as `cache_write` if None.
        request: For each request, whatever its size.
    """

    prompt: float = attrs.field(validator=number(0))
    completion: float = attrs.field(validator=number(0))
    cached: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    cache_write: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    cache_write_1h: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    request: float = attrs.field(default=0.0, kw_only=True, validator=number(0))

    def at(self, wall: float) -> Price:
        """Return the price for a call that starts at this time.

        Args:
            wall: Seconds since 1970, UTC.
        """
        return self

    def of(self, usage: Usage) -> float | None:
        """Return the cost of this usage; None if the tokens are not known.

        A provider bills the tokens that `Usage.billed_prompt_tokens` and `billed_completion_tokens` hold, if it
        reports them; else all of them.
        """
        if usage.prompt_tokens is None and usage.completion_tokens is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        hour = min(written, usage.cache_write_1h_tokens or 0)
        plain = max(0, billed(usage.prompt_tokens, usage.billed_prompt_tokens) - cached - written)
        cache_write = self.cache_write if self.cache_write is not None else self.prompt
        total = (
            plain * self.prompt
            + cached * (self.cached if self.cached is not None else self.prompt)
            + (written - hour) * cache_write
            + hour * (self.cache_write_1h if self.cache_write_1h is not None else cache_write)
            + billed(usage.completion_tokens, usage.billed_completion_tokens) * self.completion
        )
        return total / MILLION + self.request

    def at_most(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the highest cost of a request: nothing of it is cached, and the answer is as long as it may be."""
        highest = max(self.prompt, self.cache_write or 0.0, self.cache_write_1h or 0.0)
        return (prompt_tokens * highest + completion_tokens * self.completion) / MILLION + self.request


def billed(tokens: int | None, billed_tokens: int | None) -> int:
    """Return the tokens that a provider bills: those that it reports as billed, else all."""
    return billed_tokens if billed_tokens is not None else tokens or 0


def by_model(table: Mapping[str, T], model: ModelConfig) -> T | None:
    """Return a table's entry for a model; None if it has none.

    It is the entry of `provider/model`, else the entry of the model's id, else the entry of a pattern such as
    `openai/*` that matches one of the two.
    """
    if not table:
        return None
    name = str(model)
    if isinstance(table, NameTable):
        return table.find(name, model.model_id)
    found = table.get(name)
    return found if found is not None else table.get(model.model_id)
