"""The body of an OpenAI chat-completions request, with the habits of those who took over its shape.

Source: the OpenAI API reference, "Create chat completion"; differences by vendor are data in the catalog.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.messages import (
    Audio,
    Commentary,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from turnout.providers.catalog.spec import ModelRule, OpenAICompat, ProviderAccount
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.sampling_params import supported_params
from turnout.providers.encoding.tool_arguments import object_schema
from turnout.providers.json_codec import encode
from turnout.providers.openai_chat.opaque_fields import opaque_fields
from turnout.providers.openai_chat.prefix_filter import prefill_of
from turnout.providers.schemas.enforced import enforced_tool, response_schema

__all__ = [
    "chat_body",
    "data_url",
    "function_of",
    "json_schema_of",
    "needs_responses",
    "refused_effort",
    "tool_call",
    "tools_of",
]

# The settings of a ModelConfig that go into the body under their own names.
_PLAIN = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


_NO_RULE = ModelRule(pattern="")
_NOT_KEPT: tuple[object, Any] = (None, None)


def chat_body(
    request: ChatRequest, account: ProviderAccount, *, stream: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the settings that were left out of it because the model refuses them.

    Raises CapabilityUnsupported where the request cannot be said in this dialect, or to this model.
    """
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
    body: dict[str, Any] = {"model": model.model_id}
    if habits.reasoning_replay_field == "reasoning_content_of_calls":
        body["messages"] = [_message(message, account) for message in request.messages]
        _replay_reasoning_of_calls(body["messages"], request, account)
    else:
        body["messages"] = _messages(request.messages, account)
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
    """The effort, where this model does not take the one that is asked for, with the reason."""
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
    """The fields of a body that are about tools; `wire` says a tool and `named` the choice of one."""
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
    """The schema of the answer with its name; None where just any JSON is asked for."""
    wanted = request.response_format
    if wanted is None or wanted.schema is None:
        return None
    if not account.spec.openai_compat.json_schema:
        raise CapabilityUnsupported(f"{request.model}: takes no JSON Schema for its answer, only ResponseFormat.json()")
    held = response_schema(wanted.schema, account.spec.schemas if wanted.strict else None, request.model)
    schema: dict[str, Any] = {"name": wanted.name, "schema": held, "strict": wanted.strict}
    if wanted.description:
        schema["description"] = wanted.description
    return schema


def _messages(messages: Sequence[Message], account: ProviderAccount) -> list[dict[str, Any] | msgspec.Raw]:
    """Return the messages as they are sent. Those of text are encoded once: they come back with every later call."""
    spec = account.spec
    kept = [getattr(message, "kept_json", _NOT_KEPT) for message in messages]
    return [
        encoded if owner is spec else _encoded(message, account)
        for message, (owner, encoded) in zip(messages, kept, strict=True)
    ]


def _encoded(message: Message, account: ProviderAccount) -> dict[str, Any] | msgspec.Raw:
    wire = _message(message, account)
    if not message.is_plain_text:
        return wire
    encoded = msgspec.Raw(encode(wire))
    object.__setattr__(message, "kept_json", (account.spec, encoded))
    return encoded


def _message(message: Message, account: ProviderAccount) -> dict[str, Any]:
    role = message.role
    if role is Role.DEVELOPER and not account.spec.openai_compat.developer_role:
        role = Role.SYSTEM
    wire: dict[str, Any] = {"role": role.value}
    if role is Role.ASSISTANT:
        wire |= _assistant(message, account)
    elif role is Role.TOOL:
        wire |= {
            "tool_call_id": _call_id(message.tool_call_id or "", account),
            "content": _text_only(message.content, "a tool's result"),
        }
    else:
        wire["content"] = _content(message.content, account)
        if message.name is not None and not account.spec.openai_compat.name_on_tool_messages_only:
            wire["name"] = message.name
    return wire | dict(message.extra)


def _assistant(message: Message, account: ProviderAccount) -> dict[str, Any]:
    own = message.origin == account.spec.name
    texts: list[Part] = []
    refusals, images = [], []
    wire: dict[str, Any] = {}
    for part in message.content:
        match part:
            case Thinking() | Opaque():
                continue
            case Refusal():
                refusals.append(part.text)
            case Image() if own:
                images.append(_part(part, account))
            case Audio() if own:
                if part.id is not None:
                    wire["audio"] = {"id": part.id}
            case Commentary():
                texts.append(Text(part.text))
            case _:
                texts.append(part)
    text, refusal = _text_only(texts, "an assistant's message"), "".join(refusals)
    # An empty content beside tool calls or sound is null: some servers refuse "".
    wire = {"content": text if text or not (message.tool_calls or wire) else None, **wire}
    if refusal and not text:
        wire["refusal"] = refusal
    returned = opaque_fields(message) if own else {}
    custom = returned.pop("custom_calls", ())
    if message.tool_calls:
        wire["tool_calls"] = [
            tool_call(call, account, own=own, custom=call.id in custom) for call in message.tool_calls
        ]
    if own:
        if images:
            wire["images"] = images
        if account.spec.openai_compat.reasoning_replay_field == "reasoning_content" and message.reasoning:
            wire["reasoning_content"] = message.reasoning
        if (signature := _text_signature(message)) is not None:
            wire["extra_content"] = {"google": {"thought_signature": signature}}
    return wire | returned


def _text_signature(message: Message) -> str | None:
    """Return the newest signature of a text: Google's OpenAI-compatible endpoint has one for a whole message."""
    signatures = [part.signature for part in message.content if isinstance(part, Text) and part.signature is not None]
    return signatures[-1] if signatures else None


def tool_call(call: ToolCall, account: ProviderAccount, *, own: bool = True, custom: bool = False) -> dict[str, Any]:
    """A call as it goes back.

    own     whether this provider made it, and so may get back what only it understands
    custom  whether it is of a tool that takes free text
    """
    id = _call_id(call.id, account)
    if custom:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    wire: dict[str, Any] = {
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if own and call.signature is not None:
        # Google's OpenAI-shaped endpoint wants its thought signature back here.
        wire["extra_content"] = {"google": {"thought_signature": call.signature}}
    return wire | dict(call.extra)


def _replay_reasoning_of_calls(wires: list[dict[str, Any]], request: ChatRequest, account: ProviderAccount) -> None:
    """Put the reasoning on the assistant's messages of the turns that called tools, and on no others.

    A turn is what stands between two messages of the user. In one with calls DeepSeek refuses a message without its
    reasoning, also one that another model made, which has none: an empty one is taken. In a turn without calls it
    passes reasoning over, and its first endpoint for it refused it.
    """
    turn: list[int] = []
    for place, message in enumerate((*request.messages, Message.user("-"))):
        if message.role is Role.ASSISTANT:
            turn.append(place)
        elif message.role is Role.USER:
            if any(request.messages[one].tool_calls for one in turn):
                for one in turn:
                    own = request.messages[one].origin == account.spec.name
                    wires[one]["reasoning_content"] = request.messages[one].reasoning if own else ""
            turn = []


def _call_id(id: str, account: ProviderAccount) -> str:
    """The id as it is sent. One that would be refused is made anew, and the same for the call and its result."""
    length = account.spec.openai_compat.call_id_length
    if length is None or (len(id) == length and id.isascii() and id.isalnum()):
        return id
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=length).hexdigest()[:length]


def _content(parts: tuple[Part, ...], account: ProviderAccount) -> str | list[dict[str, Any]]:
    plain = all(isinstance(part, Text) and not part.extra for part in parts)
    if plain and (len(parts) == 1 or account.spec.openai_compat.string_content_only):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part, account) for part in parts]


def _part(part: Part, account: ProviderAccount) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extra}
        case Image():
            url = part.url if part.url is not None else data_url(part.data or b"", part.media_type)
            image: dict[str, Any] = {"url": url}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image, **part.extra}
        case Audio():
            format = _AUDIO_FORMATS.get(part.media_type)
            if format is None:
                raise CapabilityUnsupported(f"{account.name}: takes audio as wav or mp3, not {part.media_type}")
            sound = {"data": base64.b64encode(part.data).decode(), "format": format}
            return {"type": "input_audio", "input_audio": sound, **part.extra}
        case File():
            return {"type": "file", "file": _file(part, account), **part.extra}
        case _:
            raise CapabilityUnsupported(f"{account.name}: a {type(part).__name__} cannot be sent in a user's message")


def _file(part: File, account: ProviderAccount) -> dict[str, Any]:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    if part.url is not None:
        if account.spec.name != "openrouter":
            raise CapabilityUnsupported(f"{account.name}: takes a file by its bytes or its id, not by URL")
        return {"filename": part.filename or "file", "file_data": part.url}
    return {"filename": part.filename or "file", "file_data": data_url(part.data or b"", part.media_type)}


def data_url(data: bytes, media_type: str | None) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _text_only(parts: Iterable[Part], where: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, Text):
            raise CapabilityUnsupported(f"{where} can only hold text in this dialect, not a {type(part).__name__}")
        texts.append(part.text)
    return "".join(texts)
