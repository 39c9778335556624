"""The settings of Claude for thinking and for the length of an answer: the same at Anthropic and at Amazon.

Source: the guides on thinking and effort of Anthropic's platform (platform.claude.com). What differs per model is data
in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from turnout.chat import ChatRequest
from turnout.messages import Message, Role
from turnout.providers.catalog.spec import ModelRule, ProviderAccount
from turnout.providers.encoding.sampling_params import supported_params

__all__ = ["ANSWER_TOKENS", "accepted_by_claude", "adaptive_effort", "merged_thinking", "thinking_for"]

ANSWER_TOKENS = 8_192
"""The ceiling on an answer where the request sets none and one is wanted. Thinking counts towards it, so a request
that thinks gets what its effort may think (`_BUDGETS`) on top."""

# Tokens of thinking by effort. With the ceiling above the highest stays under 32,000, which the smallest of the
# models that think in budgets can answer with.
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 23_552, "max": 23_552}
_LEAST_BUDGET = 1_024


def accepted_by_claude(
    request: ChatRequest,
    account: ProviderAccount,
    rule: ModelRule,
    begins_with_thinking: Callable[[Message], bool],
    refused: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings that this model takes in this request, and the names of those that were left out.

    begins_with_thinking  whether the turn that is sent for a message starts with thinking
    refused               further settings that are not taken, each with the reason

    Raises CapabilityUnsupported where a setting is not taken and the account does not drop those.
    """
    model = request.model
    if model.temperature == 1:
        # The default of the API: to send it adds nothing, and some models refuse it.
        model = attrs.evolve(model, temperature=None)
    refused = dict(refused or {})
    if model.temperature is not None and model.temperature > 1:
        refused["temperature"] = "0 to 1 here"
    ruled_out = _ruled_out(request, rule, begins_with_thinking)
    why = None if ruled_out else _effort_refused(request, rule)
    if why is not None:
        refused["reasoning_effort"] = why
    thinks = model.reasoning_effort not in (None, "none") and why is None and not ruled_out
    if thinks and rule.unsupported_when_reasoning and model.top_p is not None and model.top_p < 0.95:
        refused["top_p"] = "0.95 to 1 while thinking"
    given = [name for name in rule.mutually_exclusive if getattr(model, name) is not None]
    if len(given) > 1:
        refused |= {name: f"together with {given[0]}" for name in given[1:] if name not in refused}
    return supported_params(model, account, refused, ruled_out)


def thinking_for(given: Mapping[str, Any], rule: ModelRule) -> tuple[dict[str, Any] | None, int]:
    """Return the value of `thinking` for the accepted settings, or None, and the tokens that it may take."""
    effort = given.get("reasoning_effort")
    if effort is None:
        # By default, a model with a switch for it thinks.
        return None, 0 if rule.reasoning_off == "omit" else _BUDGETS["high"]
    if effort == "none":
        return (None if rule.reasoning_off == "omit" else {"type": rule.reasoning_off}), 0
    room = _BUDGETS[effort]
    if rule.reasoning_mode == "adaptive":
        return {"type": "adaptive", "display": "summarized"}, room
    if "max_tokens" in given:
        room = max(_LEAST_BUDGET, min(room, given["max_tokens"] * 3 // 4))
    return {"type": "enabled", "budget_tokens": room}, room


def merged_thinking(own: Any, thinking: dict[str, Any] | None, room: int) -> tuple[Any, int]:
    """Add the caller's `thinking` of `extra`: its type replaces ours."""
    if not isinstance(own, Mapping):
        return (thinking if own is None else own), room
    merged = dict(own) if "type" in own else {**(thinking or {}), **own}
    budget = merged.get("budget_tokens")
    return merged, budget if isinstance(budget, int) else room


def adaptive_effort(given: Mapping[str, Any], rule: ModelRule) -> str | None:
    """The effort in the words of the models that think as much as they see fit, or None."""
    effort = given.get("reasoning_effort")
    if effort in (None, "none") or rule.reasoning_mode != "adaptive":
        return None
    return "low" if effort == "minimal" else str(effort)


def _ruled_out(
    request: ChatRequest, rule: ModelRule, begins_with_thinking: Callable[[Message], bool]
) -> tuple[str, ...]:
    """Return the settings that the turns before rule out: an effort, if the answer began without reasoning."""
    if request.model.reasoning_effort in (None, "none"):
        return ()
    continues = request.messages[-1].role is Role.ASSISTANT
    if rule.reasoning_mode == "budget":
        continues = continues or _in_a_loop_without_thinking(request.messages, begins_with_thinking)
    return ("reasoning_effort",) if continues else ()


def _effort_refused(request: ChatRequest, rule: ModelRule) -> str | None:
    """Return the reason why this model does not take the request's effort, or None."""
    model, effort = request.model, request.model.reasoning_effort
    if effort is None:
        return None
    if effort == "none":
        return "it cannot stop thinking" if rule.reasoning_off == "never" else None
    if effort not in rule.reasoning_efforts:
        return f"{effort!r}: it knows {', '.join(rule.reasoning_efforts)}"
    if rule.reasoning_mode == "budget" and model.max_tokens is not None and model.max_tokens <= _LEAST_BUDGET:
        return f"max_tokens must be more than {_LEAST_BUDGET:,}, for thinking counts towards it"
    return None


def _in_a_loop_without_thinking(messages: tuple[Message, ...], begins_with_thinking: Callable[[Message], bool]) -> bool:
    """Whether the answer continues an assistant's turn that did not begin with this family's thinking.

    In budgets, such a turn is refused: its last assistant message must start with a thinking block.
    """
    if messages[-1].role is not Role.TOOL:
        return False
    caller = next((message for message in reversed(messages) if message.role is Role.ASSISTANT), None)
    return caller is not None and bool(caller.tool_calls) and not begins_with_thinking(caller)
