"""Strict demands of a chat request: an answer that does not meet them is a failed attempt."""

from __future__ import annotations

import attrs

from turnout.chat import ChatRequest, ChatResponse, FinishReason
from turnout.errors import DemandUnmet
from turnout.providers.demands import demands_call, unmet_demands

__all__ = ["strict_demand_error", "with_demands_checked"]

_REASONS = {
    "response_format": "its text is not JSON, but response_format demands it",
    "tool_choice": "it calls no tool, but tool_choice demands a call",
}


def with_demands_checked(response: ChatResponse, request: ChatRequest) -> ChatResponse:
    """Return a response that was made of several parts, with the demands that the whole does not meet."""
    unmet = unmet_demands(
        response.text,
        wants_json=request.response_format is not None,
        wants_call=demands_call(request),
        has_calls=bool(response.tool_calls),
        refused=response.refusal is not None,
    )
    return attrs.evolve(response, unmet=unmet)


def strict_demand_error(response: ChatResponse, request: ChatRequest) -> DemandUnmet | None:
    """Return the error for a response that ended well but does not meet a strict demand; None for any other."""
    if not response.unmet or response.finish_reason is not FinishReason.STOP:
        return None
    if response.tool_calls or response.refusal is not None:
        return None
    demands = tuple(demand for demand in response.unmet if _is_strict(demand, request))
    if not demands:
        return None
    reasons = "; ".join(_REASONS[demand] for demand in demands)
    return DemandUnmet(
        f"{response.model}: the answer does not meet a strict demand of the request: {reasons}. "
        "The error has it in `partial`; without `strict` it is returned",
        demands=demands,
        partial=response,
    )


def _is_strict(demand: str, request: ChatRequest) -> bool:
    """Return whether the request is strict about this demand: its schema, or a tool that may be called."""
    if demand == "response_format":
        wanted = request.response_format
        return wanted is not None and wanted.schema is not None and wanted.strict
    choice = request.tool_choice
    name = choice.name if choice is not None else None
    return any(tool.strict is True and name in (None, tool.name) for tool in request.tools)
