"""The bodies of Cohere's chat and embed requests.

Source: Cohere's API reference, version 2 ("Chat", "Embed"), and its guides on reasoning, tool use and structured
outputs. What differs per model is data in the catalog.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import Image, Message, Opaque, Part, Refusal, Role, Text, Thinking, Tool, ToolCall
from turnout.providers.catalog.spec import ProviderAccount
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.sampling_params import supported_params
from turnout.providers.encoding.tool_arguments import arguments_object, object_schema
from turnout.providers.encoding.tool_results import results_as_text
from turnout.providers.json_codec import encode

__all__ = ["FAMILY", "PLAN", "chat_body", "embed_body"]

FAMILY = "cohere"
PLAN = "tool_plan"
"""The mark, in the `extra` of a Thinking part, of a plan: what Cohere's models say before they call tools."""

_NAMES = {
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_tokens": "max_tokens",
}
_CHOICES = {"none": "NONE", "required": "REQUIRED"}
# Cohere knows no efforts, but how many tokens thinking may take; from "high" on it may take as many as it wants.
_BUDGETS = {"minimal": 512, "low": 2_048, "medium": 8_192}
_PURPOSES = {"query": "search_query", "document": "search_document"}


def chat_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because they are refused.


    Raises:
        CapabilityUnsupported: If this API or this model cannot take the request.
    """
    model = request.model
    given, dropped = supported_params(model, account, _out_of_range(model))
    body: dict[str, Any] = {"model": model.model_id, "messages": _messages(request), "stream": stream}
    body |= {name: given[ours] for ours, name in _NAMES.items() if ours in given}
    if "stop" in given:
        limit = account.spec.openai_compat.max_stop_sequences
        if limit is not None and len(model.stop) > limit:
            raise CapabilityUnsupported(f"{model}: takes at most {limit} stop sequences")
        body["stop_sequences"] = list(model.stop)
    if "logprobs" in given:
        body["logprobs"] = True
    if "reasoning_effort" in given:
        body["thinking"] = _thinking(given["reasoning_effort"])
    body |= _tools(request)
    if request.response_format is not None:
        body["response_format"] = _response_format(request)
    return body | dict(model.extra), (*dropped, *omitted(request))


def embed_body(request: EmbeddingRequest) -> dict[str, Any]:
    """The body. `input_type`, which Cohere insists on, is the request's purpose; for none, that of a document.

    Vectors of a query differ from those of the documents: a query needs `purpose="query"`.
    """
    purpose = request.purpose or "document"
    body: dict[str, Any] = {
        "model": request.model.model_id,
        "texts": request.input,
        "input_type": _PURPOSES.get(purpose, purpose),
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    return body | dict(request.model.extra)


def _out_of_range(model: ModelConfig) -> dict[str, str]:
    """Return the settings with values that Cohere does not take, each with the reason."""
    refused: dict[str, str] = {}
    if model.top_p is not None and not 0.01 <= model.top_p <= 0.99:
        refused["top_p"] = "0.01 to 0.99 here"
    if model.top_k is not None and model.top_k > 500:
        refused["top_k"] = "0 to 500 here"
    for name in ("presence_penalty", "frequency_penalty"):
        value = getattr(model, name)
        if value is not None and not 0 <= value <= 1:
            refused[name] = "0 to 1 here"
    if model.logprobs:
        refused["logprobs"] = "without alternatives here"
    return refused


def _thinking(effort: str) -> dict[str, Any]:
    if effort == "none":
        return {"type": "disabled"}
    budget = _BUDGETS.get(effort)
    return {"type": "enabled"} if budget is None else {"type": "enabled", "token_budget": budget}


# -- tools and structured answers -----------------------------------------------------------------------------------


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    body: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    strict = {tool.strict for tool in request.tools} - {None}
    if strict == {True, False}:
        raise CapabilityUnsupported(f"{request.model}: holds the calls of all tools to their schemas strictly, or none")
    if strict:
        body["strict_tools"] = strict.pop()
    choice = request.tool_choice
    if choice is not None and choice.mode == "named":
        raise CapabilityUnsupported(
            f"{request.model}: cannot be made to call {choice.name!r}; give that tool alone and ToolChoice('required')"
        )
    if choice is not None and choice.mode in _CHOICES:
        body["tool_choice"] = _CHOICES[choice.mode]
    return body


def _tool(tool: Tool) -> dict[str, Any]:
    if is_hosted(tool.extra, FAMILY):
        return dict(tool.extra)
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = object_schema(tool)
    return {"type": "function", "function": function, **tool.extra}


def _response_format(request: ChatRequest) -> dict[str, Any]:
    for what, there in (("tools", request.tools), ("documents", request.model.extra.get("documents"))):
        if there:
            raise CapabilityUnsupported(f"{request.model}: takes no response format together with {what}")
    wanted = request.response_format
    if wanted is None or wanted.schema is None:
        return {"type": "json_object"}
    schema = dict(wanted.schema)
    if wanted.description is not None:
        schema.setdefault("description", wanted.description)
    return {"type": "json_object", "json_schema": schema}


# -- messages -------------------------------------------------------------------------------------------------------


def _messages(request: ChatRequest) -> list[dict[str, Any]]:
    made = (_message(message) for message in results_as_text(request.messages))
    messages = [message for message in made if message is not None]
    if not messages:
        raise CapabilityUnsupported(f"{request.model}: an empty conversation cannot be sent")
    return messages


def _message(message: Message) -> dict[str, Any] | None:
    """Return the message, or None if it is empty: an empty turn is refused."""
    wire: dict[str, Any]
    match message.role:
        case Role.SYSTEM | Role.DEVELOPER:
            wire = {"role": "system", "content": _texts(message.content, "a system message")}
        case Role.USER:
            plain = len(message.content) == 1 and isinstance(message.content[0], Text) and not message.content[0].extra
            wire = {"role": "user", "content": message.text if plain else [_part(part) for part in message.content]}
        case Role.TOOL:
            content = _texts(message.content, "a tool's result")
            wire = {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
        case Role.ASSISTANT:
            said = _assistant(message)
            if not said:
                return None
            wire = {"role": "assistant", **said}
    return wire | dict(message.extra)


def _assistant(message: Message) -> dict[str, Any]:
    own = message.origin == FAMILY
    written = message.origin is None  # by the caller itself
    content: list[Any] = []
    plan = ""
    for part in message.content:
        match part:
            case Thinking():
                if own and part.extra.get(PLAN):
                    plan += part.text
                elif own or written:
                    content.append({"type": "thinking", "thinking": part.text})
            case Opaque():
                if own:
                    content.append(msgspec.Raw(part.json))
            case Text() | Refusal():
                if part.text:
                    content.append({"type": "text", "text": part.text, **getattr(part, "extra", {})})
            case _:
                raise _cannot(part, "an assistant's message")
    said: dict[str, Any] = {}
    if content:
        said["content"] = content
    if plan:
        said["tool_plan"] = plan
    if message.tool_calls:
        said["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return said


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = arguments_object(call)
    # The text as the model wrote it, wherever that is an object: anything else is refused.
    text = call.arguments if arguments.get("arguments") != call.arguments and call.arguments else ""
    function = {"name": call.name, "arguments": text or encode(arguments).decode()}
    return {"id": call.id, "type": "function", "function": function, **call.extra}


def _texts(parts: Iterable[Part], where: str) -> str | list[dict[str, Any]]:
    texts = []
    for part in parts:
        if not isinstance(part, Text):
            raise _cannot(part, where)
        texts.append(part)
    if any(part.extra for part in texts):
        return [{"type": "text", "text": part.text, **part.extra} for part in texts]
    return "".join(part.text for part in texts)


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extra}
        case Image():
            url = part.url
            if url is None:
                url = f"data:{part.media_type};base64,{base64.b64encode(part.data or b'').decode()}"
            image: dict[str, Any] = {"url": url}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image, **part.extra}
        case _:
            raise _cannot(part, "a user's message")


def _cannot(part: Part, where: str) -> CapabilityUnsupported:
    hint = "; give documents as extra={'documents': […]} of the model" if type(part).__name__ == "File" else ""
    return CapabilityUnsupported(f"{FAMILY}: a {type(part).__name__} cannot be sent in {where}{hint}")
