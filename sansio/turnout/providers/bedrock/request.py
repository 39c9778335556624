"""The body of a Converse request.

Source: the Amazon Bedrock API reference, "Converse", and its user guide on inference parameters, tool use, structured
output and reasoning. Converse has fields for the settings that all models share; the others have the maker's names, in
`additionalModelRequestFields`. What differs per model is data in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.messages import Tool
from turnout.providers.anthropic.reasoning import (
    ANSWER_TOKENS,
    accepted_by_claude,
    adaptive_effort,
    merged_thinking,
    thinking_for,
)
from turnout.providers.bedrock.turns import Conversation, begins_with_thinking, family_of, with_cache_point
from turnout.providers.catalog.spec import ModelRule, ProviderAccount
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.sampling_params import supported_params
from turnout.providers.json_codec import encode
from turnout.providers.schemas.enforced import enforced_tool, response_schema

__all__ = ["converse_body"]

_INFERENCE = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}
# The field for the number of tokens to choose from, by maker; other makers have none.
_TOP_K = {"anthropic": "top_k", "mistral": "top_k", "cohere": "k", "amazon": "inferenceConfig.topK"}


def converse_body(request: ChatRequest, account: ProviderAccount) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model refuses them.


    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    rule = account.spec.rule(model.model_id) or ModelRule(pattern="")
    family = family_of(model.model_id)
    maker = family.partition("/")[2]
    refused = {} if model.top_k is None or maker in _TOP_K else {"top_k": "this model knows none"}
    if maker == "anthropic":
        given, dropped = accepted_by_claude(
            request, account, rule, lambda message: begins_with_thinking(message, family), refused
        )
    else:
        given, dropped = supported_params(model, account, refused | _refused(model, rule))
    extra = dict(model.extra)
    additional, thinks, room = _additional(given, rule, maker, extra.pop("additionalModelRequestFields", None))
    inference: dict[str, Any] = {name: given[ours] for ours, name in _INFERENCE.items() if ours in given}
    if "stop" in given:
        inference["stopSequences"] = list(model.stop)
    if thinks and "max_tokens" not in given:
        # A budget has to be less than the ceiling. Without one, the ceiling is that of the model, and not known here.
        inference["maxTokens"] = ANSWER_TOKENS + room
    if isinstance(extra.get("inferenceConfig"), Mapping):
        inference |= extra.pop("inferenceConfig")
    conversation = Conversation.of(request, family)
    body: dict[str, Any] = {"messages": conversation.turns.turns}
    if conversation.system:
        body["system"] = conversation.system
    if inference:
        body["inferenceConfig"] = inference
    body |= _tools(request, account, rule, called=conversation.called, thinks=thinks)
    if request.response_format is not None:
        body["outputConfig"] = {"textFormat": _text_format(request, account, rule)}
        if isinstance(extra.get("outputConfig"), Mapping):
            body["outputConfig"] |= extra.pop("outputConfig")
    if additional:
        body["additionalModelRequestFields"] = additional
    return body | extra, (*dropped, *omitted(request))


def _refused(model: ModelConfig, rule: ModelRule) -> dict[str, str]:
    """Return the settings of this request that a model besides Claude does not take, each with the reason."""
    refused: dict[str, str] = {}
    if model.temperature is not None and model.temperature > 1:
        refused["temperature"] = "0 to 1 here"
    effort = model.reasoning_effort
    if effort == "none" and rule.reasoning_off == "never":
        refused["reasoning_effort"] = "it cannot stop thinking"
    elif effort not in (None, "none", *rule.reasoning_efforts):
        refused["reasoning_effort"] = f"{effort!r}: it knows {', '.join(rule.reasoning_efforts)}"
    return refused


def _additional(given: Mapping[str, Any], rule: ModelRule, maker: str, own: Any) -> tuple[dict[str, Any], bool, int]:
    """The fields in the maker's own words, the caller's over ours; whether Claude thinks in a budget, and how large."""
    fields: dict[str, Any] = {}
    own = dict(own) if isinstance(own, Mapping) else {}
    thinks, room = False, 0
    if "top_k" in given:
        where, dot, name = _TOP_K[maker].partition(".")
        fields[where] = {name: given["top_k"]} if dot else given["top_k"]
    if maker == "anthropic":
        thinking, room = merged_thinking(own.pop("thinking", None), *thinking_for(given, rule))
        if thinking is not None:
            fields["thinking"] = thinking
        thinks = isinstance(thinking, Mapping) and thinking.get("type") == "enabled"
        if (effort := adaptive_effort(given, rule)) is not None:
            fields["output_config"] = {"effort": effort}
    elif "reasoning_effort" in given:
        fields |= _effort(given["reasoning_effort"], rule)
    for name, value in own.items():
        ours = fields.get(name)
        fields[name] = {**ours, **value} if isinstance(ours, dict) and isinstance(value, Mapping) else value
    return fields, thinks, room


def _effort(effort: str, rule: ModelRule) -> dict[str, Any]:
    if rule.reasoning_mode == "reasoningConfig":
        off = effort == "none"
        return {"reasoningConfig": {"type": "disabled"} if off else {"type": "enabled", "maxReasoningEffort": effort}}
    return {"reasoning": {"effort": effort}} if rule.reasoning_mode == "reasoning" else {"reasoning_effort": effort}


# -- tools and structured answers -----------------------------------------------------------------------------------


def _tools(
    request: ChatRequest, account: ProviderAccount, rule: ModelRule, *, called: bool, thinks: bool
) -> dict[str, Any]:
    model, choice = request.model, request.tool_choice
    mode = choice.mode if choice is not None else "auto"
    if not request.tools or mode == "none":
        # Converse has no word for "none" but to leave the tools out, and refuses a conversation with calls then.
        if called and "toolConfig" not in model.extra:
            raise CapabilityUnsupported(
                f"{model}: a conversation in which tools were called needs the tools again, and may call them"
            )
        return {}
    held = [enforced_tool(tool, account.spec.schemas, model) for tool in request.tools]
    config: dict[str, Any] = {"tools": [wire for tool in held for wire in _tool(tool)]}
    if mode in ("required", "named"):
        if "tool_choice" in rule.unsupported:
            raise CapabilityUnsupported(f"{model}: cannot be made to call a tool; leave it the choice")
        if thinks:
            raise CapabilityUnsupported(f"{model}: cannot be made to call a tool while it thinks")
        config["toolChoice"] = {"any": {}} if mode == "required" else {"tool": {"name": choice.name if choice else ""}}
    elif choice is not None:
        config["toolChoice"] = {"auto": {}}
    return {"toolConfig": config}


def _tool(tool: Tool) -> list[dict[str, Any]]:
    extra = {name: value for name, value in tool.extra.items() if name not in ("cachePoint", "cache_control")}
    if "systemTool" in extra:
        return with_cache_point(extra, tool.extra)  # it runs at the provider, which knows its arguments
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": {"type": "object", **tool.parameters}}
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return with_cache_point({"toolSpec": spec | extra}, tool.extra)


def _text_format(request: ChatRequest, account: ProviderAccount, rule: ModelRule) -> dict[str, Any]:
    wanted = request.response_format
    if wanted is None or wanted.schema is None:
        raise CapabilityUnsupported(
            f"{request.model}: takes a JSON Schema for its answer; it has no mode for just any JSON"
        )
    if "response_format" in rule.unsupported:
        raise CapabilityUnsupported(f"{request.model}: takes no JSON Schema for its answer")
    held = response_schema(wanted.schema, account.spec.schemas, request.model)
    schema: dict[str, Any] = {"schema": encode(held).decode(), "name": wanted.name}
    if wanted.description is not None:
        schema["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
