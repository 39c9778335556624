"""The body of an Anthropic Messages request.

Source: the Messages API reference (platform.claude.com), and its guides on thinking, effort, structured outputs and
tool use. What differs per model is data in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import CapabilityUnsupported
from turnout.messages import Message, Role, Tool
from turnout.providers.accepted import accepted_settings
from turnout.providers.anthropic_turns import begins_with_thinking, conversation
from turnout.providers.entry import Account, ModelRule

__all__ = ["ANSWER_TOKENS", "messages_body"]

ANSWER_TOKENS = 8_192
"""The ceiling on an answer where the request sets none: this API wants one. Thinking counts towards it, so a request
that thinks gets what its effort may think (`_BUDGETS`) on top."""

# Tokens of thinking by effort. With the ceiling above the highest stays under 32,000, which the smallest of the
# models that think in budgets can answer with.
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 23_552, "max": 23_552}
_LEAST_BUDGET = 1_024
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_PLAIN = ("temperature", "top_p", "top_k")


def messages_body(request: ChatRequest, account: Account, *, stream: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model refuses them.

    Raises CapabilityUnsupported where the request cannot be said in this dialect, or to this model.
    """
    model = request.model
    rule = account.entry.rule(model.model_id) or ModelRule(pattern="")
    given, dropped = _settings(request, account, rule)
    extra = dict(model.extra)
    thinking, room = _thinking(given, rule)
    thinking, room = _own_thinking(extra.pop("thinking", None), thinking, room)
    system, turns = conversation(request)
    body: dict[str, Any] = {
        "model": model.model_id,
        "max_tokens": given.get("max_tokens", ANSWER_TOKENS + room),
        "messages": turns,
    }
    if system:
        body["system"] = system
    if stream:
        body["stream"] = True
    body |= {name: given[name] for name in _PLAIN if name in given}
    if "stop" in given:
        body["stop_sequences"] = list(model.stop)
    if thinking is not None:
        body["thinking"] = thinking
    output = _output_config(request, given.get("reasoning_effort"), rule)
    if isinstance(extra.get("output_config"), Mapping):
        output |= extra.pop("output_config")
    if output:
        body["output_config"] = output
    body |= _tools(request, rule, thinks=isinstance(thinking, Mapping) and thinking.get("type") == "enabled")
    return body | extra, dropped


# -- settings -------------------------------------------------------------------------------------------------------


def _settings(request: ChatRequest, account: Account, rule: ModelRule) -> tuple[dict[str, Any], tuple[str, ...]]:
    model = request.model
    if model.temperature == 1:
        # The API's own value: saying it adds nothing, and some models refuse to hear it.
        model = attrs.evolve(model, temperature=None)
    refused: dict[str, str] = {}
    if model.temperature is not None and model.temperature > 1:
        refused["temperature"] = "0 to 1 here"
    why = _effort_refused(request, rule)
    if why is not None:
        refused["reasoning_effort"] = why
    thinks = model.reasoning_effort not in (None, "none") and why is None
    if thinks and rule.when_thinking and model.top_p is not None and model.top_p < 0.95:
        refused["top_p"] = "0.95 to 1 while thinking"
    given = [name for name in rule.one_of if getattr(model, name) is not None]
    if len(given) > 1:
        refused |= {name: f"together with {given[0]}" for name in given[1:] if name not in refused}
    return accepted_settings(model, account, refused)


def _effort_refused(request: ChatRequest, rule: ModelRule) -> str | None:
    """Why the request's effort cannot be asked of this model, or None."""
    model, effort = request.model, request.model.reasoning_effort
    if effort is None:
        return None
    if effort == "none":
        return "it cannot stop thinking" if rule.thinking_off == "never" else None
    if effort not in rule.efforts:
        return f"{effort!r}: it knows {', '.join(rule.efforts)}"
    if rule.thinking == "budget":
        if model.max_tokens is not None and model.max_tokens <= _LEAST_BUDGET:
            return f"max_tokens must be more than {_LEAST_BUDGET:,}, for thinking counts towards it"
        if _in_a_loop_without_thinking(request.messages):
            return "a turn that called its tools without thinking goes on without it"
    return None


def _in_a_loop_without_thinking(messages: tuple[Message, ...]) -> bool:
    """Whether the answer continues an assistant's turn that did not begin with this family's thinking.

    In budgets, such a turn is refused: its last assistant message must start with a thinking block.
    """
    if messages[-1].role is not Role.TOOL:
        return False
    caller = next((message for message in reversed(messages) if message.role is Role.ASSISTANT), None)
    return caller is not None and bool(caller.tool_calls) and not begins_with_thinking(caller)


# -- thinking -------------------------------------------------------------------------------------------------------


def _thinking(given: Mapping[str, Any], rule: ModelRule) -> tuple[dict[str, Any] | None, int]:
    """How to think, where that is to be said, and the tokens that it may take."""
    effort = given.get("reasoning_effort")
    if effort is None:
        # Unless it is told not to, a model with a switch for it thinks.
        return None, 0 if rule.thinking_off == "omit" else _BUDGETS["high"]
    if effort == "none":
        return (None if rule.thinking_off == "omit" else {"type": rule.thinking_off}), 0
    room = _BUDGETS[effort]
    if rule.thinking == "adaptive":
        return {"type": "adaptive", "display": "summarized"}, room
    if "max_tokens" in given:
        room = max(_LEAST_BUDGET, min(room, given["max_tokens"] * 3 // 4))
    return {"type": "enabled", "budget_tokens": room}, room


def _own_thinking(own: Any, thinking: dict[str, Any] | None, room: int) -> tuple[Any, int]:
    """With what the caller says of thinking in `extra`: a type of its own takes the place of ours."""
    if not isinstance(own, Mapping):
        return (thinking if own is None else own), room
    merged = dict(own) if "type" in own else {**(thinking or {}), **own}
    budget = merged.get("budget_tokens")
    return merged, budget if isinstance(budget, int) else room


def _output_config(request: ChatRequest, effort: str | None, rule: ModelRule) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if effort not in (None, "none") and rule.thinking == "adaptive":
        config["effort"] = "low" if effort == "minimal" else effort
    if request.response_format is not None:
        config["format"] = _format(request.response_format, request.model, rule)
    return config


def _format(wanted: ResponseFormat, model: ModelConfig, rule: ModelRule) -> dict[str, Any]:
    if wanted.schema is None:
        raise CapabilityUnsupported(f"{model}: takes a JSON Schema for its answer; it has no mode for just any JSON")
    if "response_format" in rule.refuses:
        raise CapabilityUnsupported(f"{model}: takes no JSON Schema for its answer")
    schema = dict(wanted.schema)
    if wanted.description is not None:
        schema.setdefault("description", wanted.description)
    return {"type": "json_schema", "schema": schema}


# -- tools ----------------------------------------------------------------------------------------------------------


def _tools(request: ChatRequest, rule: ModelRule, *, thinks: bool) -> dict[str, Any]:
    if not request.tools:
        return {}
    body: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    choice = request.tool_choice
    wire: dict[str, Any] = {}
    if choice is not None:
        if choice.mode in ("required", "named"):
            if "tool_choice" in rule.refuses:
                raise CapabilityUnsupported(f"{request.model}: cannot be made to call a tool; leave it the choice")
            if thinks:
                raise CapabilityUnsupported(f"{request.model}: cannot be made to call a tool while it thinks")
        wire = {"type": _CHOICES[choice.mode]}
        if choice.name is not None:
            wire["name"] = choice.name
    if request.parallel_tool_calls is False and wire.get("type") != "none":
        wire = {"type": "auto", **wire, "disable_parallel_tool_use": True}
    if wire:
        body["tool_choice"] = wire
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.extra.get("type", "custom") != "custom":
        return {"name": tool.name, **tool.extra}  # a tool that runs at the provider has its own schema there
    wire: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire | dict(tool.extra)
