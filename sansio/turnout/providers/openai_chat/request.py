"""The body of an OpenAI chat-completions request, with the habits of other vendors of the same shape.

Source: the OpenAI API reference, "Create chat completion"; differences by vendor are data in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.messages import Tool
from turnout.providers.catalog.spec import ModelRule, OpenAICompat, ProviderAccount
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.sampling_params import supported_params
from turnout.providers.encoding.tool_arguments import object_schema
from turnout.providers.openai_chat.message.prefix_filter import prefill_of
from turnout.providers.openai_chat.turns import chat_messages
from turnout.providers.schemas.enforced import enforced_tool, response_schema

__all__ = [
    "chat_body",
    "function_of",
    "json_schema_of",
    "needs_responses",
    "refused_effort",
    "tools_of",
]

# The settings of a ModelConfig that go into the body under their own names.
_PLAIN = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")


_NO_RULE = ModelRule(pattern="")
_NOT_KEPT: Mapping[tuple[bool, str], tuple[object, dict[str, Any], tuple[str, ...]]] = MappingProxyType({})
_NOT_MADE: tuple[object, dict[str, Any], tuple[str, ...]] = (None, {}, ())


def chat_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model refuses them.

    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    if type(request) is not ChatRequest or request.tools or request.response_format is not None or prefill_of(request):
        return _whole_body(request, account, stream=stream)
    # The messages are all that differs between such requests to one model.
    kept = getattr(model, "kept_body", _NOT_KEPT).get((stream, account.unsupported), _NOT_MADE)
    if kept[0] is not account.spec:
        body, dropped = _whole_body(request, account, stream=stream)
        if "messages" not in model.extra:
            made = account.spec, {**body, "messages": None}, dropped
            object.__setattr__(model, "kept_body", {(stream, account.unsupported): made})
        return body, dropped
    return {**kept[1], "messages": chat_messages(request, account)}, kept[2]


def _whole_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    model, habits = request.model, account.spec.openai_compat
    rule = account.spec.rule(model.model_id) or _NO_RULE
    prefilled = bool(prefill_of(request))
    if rule.needs_responses != "never" and (why := needs_responses(request, rule)):
        raise CapabilityUnsupported(f"{model}: {why}; make the provider with api='responses', or without `api`")
    refused = refused_effort(model, habits, rule)
    if model.reasoning_effort in rule.responses_efforts:
        refused["reasoning_effort"] = f"{model.reasoning_effort!r}: only Responses takes it"
    unthinking = rule.reasoning_streams_only and not stream
    if unthinking and model.reasoning_effort not in (None, "none"):
        refused = {"reasoning_effort": "it thinks in streams only"}
    if model.temperature is not None and model.temperature > habits.max_temperature:
        refused["temperature"] = f"0 to {habits.max_temperature:g} here"
    ruled_out = ("reasoning_effort",) if prefilled and _switches_thinking(model, habits) else ()
    given, dropped = supported_params(model, account, refused, ruled_out)
    body: dict[str, Any] = {"model": model.model_id, "messages": chat_messages(request, account)}
    if stream:
        body["stream"] = True
        if habits.usage_option:
            body["stream_options"] = {"include_usage": True}
    body |= {habits.rename.get(name, name): given[name] for name in _PLAIN if name in given}
    if "max_tokens" in given:
        body[rule.max_tokens or habits.max_tokens] = given["max_tokens"]
    if "stop" in given:
        if habits.max_stop_sequences is not None and len(model.stop) > habits.max_stop_sequences:
            raise CapabilityUnsupported(f"{model}: takes at most {habits.max_stop_sequences} stop sequences")
        body["stop"] = list(model.stop)
    if "logprobs" in given:
        body |= _logprobs(model.logprobs or 0, habits.logprobs)
    if "reasoning_effort" in given:
        body |= _effort(given["reasoning_effort"], habits.reasoning_param, rule)
    elif unthinking or (prefilled and habits.reasoning_param.startswith("thinking")):
        # Else it would refuse the request; and of an answer that was begun, think first and then begin anew.
        body |= _effort("none", habits.reasoning_param, rule)
    if request.tools and rule.chat_tools_effort is not None and model.reasoning_effort is None:
        body["reasoning_effort"] = rule.chat_tools_effort
    body |= tools_of(request, account, _tool, lambda name: _named(request, name))
    if request.response_format is not None:
        body["response_format"] = _response_format(request, account)
    return body | dict(habits.extra_body) | dict(model.extra), (*dropped, *omitted(request))


def needs_responses(request: ChatRequest, rule: ModelRule) -> str:
    """Return why only Responses takes this request; "" if chat completions take it too. Efforts do not count."""
    effort = request.model.reasoning_effort
    reasons = rule.reasons_by_default if effort is None else effort != "none"
    told_to = effort not in (None, "none")
    match rule.needs_responses:
        case "always":
            return "it is a model of Responses alone"
        case "tools" if request.tools:
            return "it takes tools by Responses alone"
        case "tools_when_reasoning" if request.tools and reasons:
            return "while it reasons, it takes tools by Responses alone"
        case "tools_with_effort" if request.tools and told_to:
            return "with a reasoning effort, it takes tools by Responses alone"
        case _:
            return ""


def _switches_thinking(model: ModelConfig, habits: OpenAICompat) -> bool:
    """Return whether the effort switches reasoning on, which an answer that has begun without it rules out."""
    return model.reasoning_effort not in (None, "none") and habits.reasoning_param.startswith("thinking")


def refused_effort(model: ModelConfig, habits: OpenAICompat, rule: ModelRule) -> dict[str, str]:
    """Return the effort of the request with the reason, if this model does not take it."""
    effort = model.reasoning_effort
    if effort is None:
        return {}
    if habits.reasoning_param == "none":
        return {"reasoning_effort": ""}
    if effort == "none":
        return {"reasoning_effort": "it cannot stop thinking"} if rule.reasoning_off == "never" else {}
    if "reasoning_effort" in (habits.reasoning_param, rule.reasoning_mode) and effort not in rule.reasoning_efforts:
        return {"reasoning_effort": f"{effort!r}: it knows {', '.join(rule.reasoning_efforts)}"}
    return {}


def _effort(effort: str, how: str, rule: ModelRule) -> dict[str, Any]:
    if rule.reasoning_mode == "reasoning_effort":
        return {"reasoning_effort": effort}
    if how == "reasoning":
        return {"reasoning": {"effort": effort}}
    if how.startswith("thinking"):
        switch = {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
        said = how == "thinking_and_effort" and effort in rule.reasoning_efforts
        return switch | ({"reasoning_effort": effort} if said else {})
    if how == "enable_thinking":
        return {"enable_thinking": effort != "none"}
    return {"reasoning_effort": effort}


def _logprobs(alternatives: int, how: str) -> dict[str, Any]:
    if how == "count":
        return {"logprobs": max(1, alternatives)}
    return {"logprobs": True, **({"top_logprobs": alternatives} if alternatives else {})}


def tools_of(
    request: ChatRequest,
    account: ProviderAccount,
    wire: Callable[[Tool], dict[str, Any]],
    named: Callable[[str], dict[str, Any]],
) -> dict[str, Any]:
    """Return the fields of a body about tools; `wire` makes a tool and `named` the choice of one."""
    if not request.tools:
        return {}
    body: dict[str, Any] = {
        "tools": [wire(enforced_tool(tool, account.spec.schemas, request.model)) for tool in request.tools]
    }
    choice = request.tool_choice
    if choice is not None:
        if choice.mode not in account.spec.openai_compat.tool_choices or _refuses_force(request, account):
            raise CapabilityUnsupported(f"{request.model}: does not take the tool choice {choice.mode!r}")
        body["tool_choice"] = named(choice.name) if choice.name is not None else choice.mode
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _refuses_force(request: ChatRequest, account: ProviderAccount) -> bool:
    """Whether the request forces a tool on a model that cannot be made to call one."""
    model, choice = request.model, request.tool_choice
    rule = account.spec.rule(model.model_id)
    if rule is None or choice is None or choice.mode not in ("required", "named"):
        return False
    return "tool_choice" in rule.unsupported_at(model.reasoning_effort)


def _tool(tool: Tool) -> dict[str, Any]:
    if is_hosted(tool.extra, "openai-chat"):
        return dict(tool.extra)
    if tool.extra.get("type") == "custom":
        fields = {name: value for name, value in tool.extra.items() if name != "type"}
        custom = {"name": tool.name, "description": tool.description, **fields.pop("custom", {}), **fields}
        return {"type": "custom", "custom": {name: value for name, value in custom.items() if value}}
    return {"type": "function", "function": function_of(tool), **tool.extra}


def _named(request: ChatRequest, name: str) -> dict[str, Any]:
    tool = next((tool for tool in request.tools if tool.name == name), None)
    kind = "custom" if tool is not None and tool.extra.get("type") == "custom" else "function"
    return {"type": kind, kind: {"name": name}}


def function_of(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = object_schema(tool)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _response_format(request: ChatRequest, account: ProviderAccount) -> dict[str, Any]:
    schema = json_schema_of(request, account)
    if schema is not None:
        return {"type": "json_schema", "json_schema": schema}
    if not account.spec.openai_compat.json_object:
        raise CapabilityUnsupported(f"{request.model}: takes JSON for its answer only with a schema")
    return {"type": "json_object"}


def json_schema_of(request: ChatRequest, account: ProviderAccount) -> dict[str, Any] | None:
    """Return the schema of the answer with its name; None if any JSON will do."""
    wanted = request.response_format
    if wanted is None or wanted.schema is None:
        return None
    if not account.spec.openai_compat.json_schema:
        raise CapabilityUnsupported(f"{request.model}: takes no JSON Schema for its answer, only ResponseFormat.json()")
    subset = account.spec.schemas if wanted.strict else None
    held = response_schema(
        wanted.schema, subset, request.model, "ResponseFormat(…, strict=False) asks for it, and does not enforce it"
    )
    schema: dict[str, Any] = {"name": wanted.name, "schema": held, "strict": wanted.strict}
    if wanted.description:
        schema["description"] = wanted.description
    return schema
