"""The body of a Responses request.

Source: the OpenAI API reference, "Create a model response"; differences by vendor and model are data in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.chat import ChatRequest
from turnout.messages import Tool
from turnout.providers.catalog.spec import ModelRule, ProviderAccount
from turnout.providers.decoding.token_counts import without_sampling
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import hosted_name, is_hosted
from turnout.providers.encoding.sampling_params import supported_params
from turnout.providers.openai_chat.request import function_of, json_schema_of, refused_effort, tools_of
from turnout.providers.openai_responses.items import conversation

__all__ = ["count_body", "response_body", "responses_scopes"]


def responses_scopes(account: ProviderAccount) -> tuple[str, ...]:
    """Return the scopes of the extra fields that this API receives."""
    return ("openai-responses", account.spec.name)


# Settings that chat completions have and this API does not.
_UNKNOWN_HERE: dict[str, str] = dict.fromkeys(
    ("top_k", "seed", "presence_penalty", "frequency_penalty", "stop"), "the Responses API has none"
)
# Fields of `extra` that are laid over ours one by one, for each holds several settings.
_MERGED = ("reasoning", "text")


def response_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model or this API refuses them.

    Nothing is stored with the provider, except if `extra` demands it: the answer holds everything for the next turn.

    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    rule = account.spec.rule(model.model_id) or ModelRule(pattern="")
    compat = account.spec.openai_compat
    effort = refused_effort(model, compat, rule)
    refused = _UNKNOWN_HERE if compat.responses_include else {**_UNKNOWN_HERE, "logprobs": ""}
    given, dropped = supported_params(model, account, {**refused, **effort})
    extra = dict(model.extra)
    stored = bool(extra.get("store"))
    instructions, items = conversation(request, account, stored=stored)
    body: dict[str, Any] = {"model": model.model_id, "input": items, "store": False}
    if instructions is not None:
        body["instructions"] = instructions
    if stream:
        body["stream"] = True
    body |= {name: given[name] for name in ("temperature", "top_p") if name in given}
    if "max_tokens" in given:
        body["max_output_tokens"] = given["max_tokens"]
    include = []
    if not stored and compat.responses_include and _reasons(request, account):
        include.append("reasoning.encrypted_content")
    if "logprobs" in given:
        include.append("message.output_text.logprobs")
        body["top_logprobs"] = given["logprobs"]
    if include:
        body["include"] = include
    if "reasoning_effort" in given:
        body["reasoning"] = {"effort": given["reasoning_effort"]}
    body |= tools_of(request, account, _tool, lambda name: _named(request, name))
    if request.response_format is not None:
        body["text"] = {"format": _format(request, account)}
    for name in _MERGED:
        if isinstance(extra.get(name), Mapping):
            extra[name] = {**body.get(name, {}), **extra[name]}
    return body | extra, (*dropped, *omitted(request))


# The fields that the counting of tokens takes: those that make the prompt.
_COUNTED = frozenset(
    ("conversation", "input", "instructions", "model", "parallel_tool_calls", "personality", "previous_response_id")
) | {"reasoning", "text", "tool_choice", "tools", "truncation"}


def count_body(request: ChatRequest, account: ProviderAccount) -> dict[str, Any]:
    """Return the body of a request that counts the tokens of this one."""
    body, _ = response_body(without_sampling(request), account, stream=False)
    return {name: value for name, value in body.items() if name in _COUNTED}


def _reasons(request: ChatRequest, account: ProviderAccount) -> bool:
    """Return whether the model may reason: one that cannot refuses a request for encrypted reasoning."""
    rule = account.spec.rule(request.model.model_id)
    return rule is None or "reasoning_effort" not in rule.unsupported


def _tool(tool: Tool) -> dict[str, Any]:
    if is_hosted(tool.extra, "openai-responses"):
        return dict(tool.extra)
    if tool.extra.get("type") == "custom":
        described = {"description": tool.description} if tool.description else {}
        return {"name": tool.name, **described, **tool.extra}
    # Here a tool is strict by default, which makes every parameter a required one.
    return {"type": "function", "strict": False, **function_of(tool), **tool.extra}


def _named(request: ChatRequest, name: str) -> dict[str, Any]:
    tool = next(tool for tool in request.tools if name in (tool.name, hosted_name(tool.extra)))
    if is_hosted(tool.extra, "openai-responses"):
        return {"type": tool.extra["type"]}
    return {"type": tool.extra.get("type", "function"), "name": name}


def _format(request: ChatRequest, account: ProviderAccount) -> dict[str, Any]:
    schema = json_schema_of(request, account)
    return {"type": "json_object"} if schema is None else {"type": "json_schema", **schema}
