"""The usage of Anthropic's responses."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from turnout.chat import Usage
from turnout.providers.anthropic.wire import UsageWire

__all__ = ["UsageCounter"]

_FIELDS = tuple(field.name for field in msgspec.structs.fields(UsageWire))
_INPUTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# The iterations of the same model that the counters of the message leave out. Those of other models (an advisor, a
# model that was tried first) have other prices: `Usage.details` has them.
_BESIDE = "compaction"


@attrs.define(eq=False)
class UsageCounter:
    """The usage as far as it was reported. Each counter is cumulative, and holds until it is reported again."""

    _known: UsageWire = attrs.field(factory=UsageWire)

    def add(self, wire: UsageWire) -> Usage:
        """Take a report, and return the usage in Turnout's words. `input_tokens` leave out the tokens of the cache."""
        known = self._known
        for name in _FIELDS:
            value = getattr(wire, name)
            if value is not None:
                setattr(known, name, value)
        beside = [one for one in known.iterations or () if one.get("type") == _BESIDE]
        read, written = known.cache_read_input_tokens, known.cache_creation_input_tokens
        details, created, used = known.output_tokens_details, known.cache_creation, known.server_tool_use
        return Usage(
            prompt_tokens=_with(
                None if known.input_tokens is None else known.input_tokens + (read or 0) + (written or 0),
                beside,
                _INPUTS,
            ),
            completion_tokens=_with(known.output_tokens, beside, ("output_tokens",)),
            cached_tokens=_with(read, beside, ("cache_read_input_tokens",)),
            cache_write_tokens=_with(written, beside, ("cache_creation_input_tokens",)),
            reasoning_tokens=details.thinking_tokens if details is not None else None,
            cache_write_1h_tokens=created.ephemeral_1h_input_tokens if created is not None else None,
            web_searches=used.web_search_requests if used is not None else None,
            # The fast mode has another price, as a tier has.
            service_tier="fast" if known.speed == "fast" else known.service_tier,
            details=_details(known),
        )


def _with(count: int | None, iterations: list[dict[str, Any]], names: tuple[str, ...]) -> int | None:
    """Return the count with those of the iterations beside the message."""
    more = [one[name] for one in iterations for name in names if type(one.get(name)) is int]
    return count if not more else (count or 0) + sum(more)


def _details(known: UsageWire) -> dict[str, Any]:
    used = known.server_tool_use
    details: dict[str, Any] = {"iterations": known.iterations}
    if used is not None:
        details["web_fetches"] = used.web_fetch_requests
        details["code_executions"] = used.code_execution_requests
    return {name: value for name, value in details.items() if value}
