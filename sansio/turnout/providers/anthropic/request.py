"""The body of an Anthropic Messages request.

Source: the Messages API reference (platform.claude.com), and its guides on thinking, effort, structured outputs and
tool use. What differs per model is data in the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.errors import CapabilityUnsupported
from turnout.messages import Tool
from turnout.providers.anthropic.reasoning import (
    ANSWER_TOKENS,
    accepted_by_claude,
    adaptive_effort,
    merged_thinking,
    thinking_for,
)
from turnout.providers.anthropic.turns import FAMILY, begins_with_thinking, conversation
from turnout.providers.catalog.spec import ModelRule, ProviderAccount
from turnout.providers.decoding.token_counts import without_sampling
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.schemas.enforced import enforced_tool, response_schema

__all__ = ["count_body", "messages_body"]

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
_PLAIN = ("temperature", "top_p", "top_k")


def messages_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model refuses them.


    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    rule = account.spec.rule(model.model_id) or ModelRule(pattern="")
    given, dropped = accepted_by_claude(request, account, rule, begins_with_thinking)
    extra = dict(model.extra)
    thinking, room = merged_thinking(extra.pop("thinking", None), *thinking_for(given, rule))
    system, turns = conversation(request, system_in_turns=_system_in_turns(model, account))
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
    output = _output_config(request, account, adaptive_effort(given, rule), rule)
    if isinstance(extra.get("output_config"), Mapping):
        output |= extra.pop("output_config")
    if output:
        body["output_config"] = output
    body |= _tools(request, account, rule, thinks=isinstance(thinking, Mapping) and thinking.get("type") == "enabled")
    return body | extra, (*dropped, *omitted(request))


def _system_in_turns(model: ModelConfig, account: ProviderAccount) -> bool:
    pattern = account.spec.system_in_turns
    return pattern is not None and re.match(pattern, model.model_id) is not None


# Fields of a message that the counting of tokens does not take, because they are about the answer.
_UNCOUNTED = ("max_tokens", "stream", "metadata", "service_tier", "stop_sequences", *_PLAIN)


def count_body(request: ChatRequest, account: ProviderAccount) -> dict[str, Any]:
    """Return the body of a request that counts the tokens of this one."""
    body, _ = messages_body(without_sampling(request), account, stream=False)
    return {name: value for name, value in body.items() if name not in _UNCOUNTED}


def _output_config(
    request: ChatRequest, account: ProviderAccount, effort: str | None, rule: ModelRule
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if effort is not None:
        config["effort"] = effort
    if request.response_format is not None:
        config["format"] = _format(request.response_format, request.model, account, rule)
    return config


def _format(wanted: ResponseFormat, model: ModelConfig, account: ProviderAccount, rule: ModelRule) -> dict[str, Any]:
    if wanted.schema is None:
        raise CapabilityUnsupported(f"{model}: takes a JSON Schema for its answer; it has no mode for just any JSON")
    if "response_format" in rule.unsupported:
        raise CapabilityUnsupported(f"{model}: takes no JSON Schema for its answer")
    schema = dict(response_schema(wanted.schema, account.spec.schemas, model))
    if wanted.description is not None:
        schema.setdefault("description", wanted.description)
    return {"type": "json_schema", "schema": schema}


# -- tools ----------------------------------------------------------------------------------------------------------


def _tools(request: ChatRequest, account: ProviderAccount, rule: ModelRule, *, thinks: bool) -> dict[str, Any]:
    if not request.tools:
        return {}
    body: dict[str, Any] = {
        "tools": [_tool(enforced_tool(tool, account.spec.schemas, request.model)) for tool in request.tools]
    }
    choice = request.tool_choice
    wire: dict[str, Any] = {}
    if choice is not None:
        if choice.mode in ("required", "named"):
            if "tool_choice" in rule.unsupported:
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
    if is_hosted(tool.extra, FAMILY):
        return dict(tool.extra)
    wire: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire | dict(tool.extra)
