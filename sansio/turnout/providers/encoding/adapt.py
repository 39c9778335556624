"""A request as one provider receives it: with its own extra fields, and with tool names that it accepts.

Every dialect builds its body from the adapted request. What does not depend on the dialect's shape is decided here, so
that it holds for all of them:

- a field in an `extra` reaches the provider of its scope (`turnout.types.extras`); the flat fields of an assistant's
  message that a provider made go back to that provider only;
- a tool that runs at a provider is sent to the providers that it has a definition for;
- parts of an assistant's turn that the provider's turns cannot hold are left out or put into words;
- calls with one id get different ones, and so do their results;
- a tool's name that the provider does not accept is replaced, and the response gets the caller's name back.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import attrs

from turnout._utils.plain_text import all_plain_text
from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.messages import (
    Audio,
    Commentary,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from turnout.providers.encoding.call_ids import with_unique_ids
from turnout.providers.encoding.hosted_tools import hosted_name, is_hosted, own_definition
from turnout.providers.encoding.tool_names import ToolNameRule, wire_names
from turnout.types.extras import scoped_fields

__all__ = ["AdaptedRequest", "Target", "adapt", "adapt_model", "caller_names", "given", "is_plain", "omitted"]

# The parts that a model makes beside text, and that not every dialect has in an assistant's turn.
_MADE = frozenset({Commentary, Image, Audio})

PieceT = TypeVar("PieceT", bound=Message | Part | ToolCall)


@attrs.frozen(kw_only=True)
class Target:
    """The provider that a request is adapted to.

    Attributes:
        name: The provider's name, for errors.
        scopes: The scopes of the extra fields that it receives, the most general one first.
        family: The `Message.origin` of messages that it gets back with their flat extra fields.
        tool_names: The tool names that it accepts.
        unsupported: What becomes of a tool that the provider has no definition for.
        media_in_answers: Whether an assistant's turn can hold images and sound that another provider made.
        unique_ids: Whether repeated ids of calls are made different here. Dialects that need the given ids, to find the
            places of calls in a message, do it themselves.
    """

    name: str
    scopes: tuple[str, ...]
    family: str
    tool_names: ToolNameRule
    unsupported: Literal["raise", "drop"] = "raise"
    media_in_answers: bool = False
    unique_ids: bool = True


@attrs.frozen
class AdaptedRequest(ChatRequest):
    """A chat request for one provider.

    Attributes:
        given: The caller's request.
        caller_names: The caller's names of tools by the names that were sent instead.
        omitted: The parts and settings that were left out because the provider has nothing like them.
    """

    given: ChatRequest = attrs.field(kw_only=True)
    caller_names: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    omitted: tuple[str, ...] = attrs.field(default=(), kw_only=True)


def is_plain(request: ChatRequest) -> bool:
    """Return whether the request is the same for every provider: texts, without tools and extra fields."""
    return not request.tools and not request.model.extra and all_plain_text(request.messages)


def adapt(request: ChatRequest, target: Target) -> ChatRequest:
    """Return the request as this provider receives it: an `AdaptedRequest`, or the same one if nothing differs.

    Raises:
        CapabilityUnsupported: A tool runs at a provider, and this one has no definition of it.
    """
    if is_plain(request):
        return request
    messages = request.messages
    model = adapt_model(request.model, target.scopes)
    if any(map(_has_made_parts, messages)):
        messages = tuple(_with_known_parts(message, target) for message in messages)
    if any(map(_has_extra, messages)):
        messages = tuple(_message(message, target) for message in messages)
    tools, hosted, omitted = _tools(request.tools, request.model, target)
    names = [tool.name for tool in tools if tool.name not in hosted]
    for message in messages:
        names += [call.name for call in message.tool_calls]
    fixed = set(hosted.values())
    sent = wire_names([name for name in names if name not in fixed], target.tool_names) if names else {}
    functions = frozenset(sent)
    sent |= {name: wire for name, wire in hosted.items() if wire not in ("", name)}
    choice = request.tool_choice
    if choice is not None and choice.name in omitted:
        raise CapabilityUnsupported(f"{request.model}: the tool {choice.name!r} does not run at {target.name}")
    if choice is not None and choice.mode == "required" and not tools:
        raise CapabilityUnsupported(f"{request.model}: a call is required, and none of the tools runs at {target.name}")
    if sent:
        messages = tuple(_renamed(message, sent) for message in messages)
        tools = tuple(attrs.evolve(tool, name=sent[tool.name]) if tool.name in functions else tool for tool in tools)
        if choice is not None and choice.name in sent:
            choice = ToolChoice.named(sent[choice.name])
    if target.unique_ids:
        messages = with_unique_ids(messages)
    if model is request.model and messages is request.messages and tools is request.tools:
        return request
    return _adapted(
        request,
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=choice if tools else None,
        given=request,
        caller_names={wire: name for name, wire in sent.items()},
        omitted=tuple(f"tool {name}" for name in omitted),
    )


def adapt_model(model: ModelConfig, scopes: tuple[str, ...]) -> ModelConfig:
    """Return the model with the extra fields of these scopes. Its flat fields are for its provider, whichever it is."""
    if not model.extra:
        return model
    fields = scoped_fields(model.extra, scopes)
    return model if fields == model.extra else attrs.evolve(model, extra=fields)


def caller_names(request: ChatRequest) -> Mapping[str, str]:
    """Return the caller's names of tools by the names that were sent instead."""
    return request.caller_names if isinstance(request, AdaptedRequest) else {}


def omitted(request: ChatRequest) -> tuple[str, ...]:
    """Return the parts and settings that were left out because the provider has nothing like them."""
    return request.omitted if isinstance(request, AdaptedRequest) else ()


def given(request: ChatRequest) -> ChatRequest:
    """Return the caller's request."""
    return request.given if isinstance(request, AdaptedRequest) else request


def _adapted(request: ChatRequest, **fields: Any) -> AdaptedRequest:
    """Build the request without its validators: a valid request was changed only in names and extra fields."""
    adapted = AdaptedRequest.__new__(AdaptedRequest)
    for field in attrs.fields(ChatRequest):
        object.__setattr__(adapted, field.name, fields.pop(field.name, getattr(request, field.name)))
    for name, value in fields.items():
        object.__setattr__(adapted, name, value)
    return adapted


# -- messages -------------------------------------------------------------------------------------------------------


def _extra(piece: Message | Part | ToolCall) -> Mapping[str, Any]:
    return {} if isinstance(piece, Opaque | Refusal) else piece.extra


def _has_extra(message: Message) -> bool:
    return bool(message.extra) or any(map(_extra, message.content)) or any(map(_extra, message.tool_calls))


def _message(message: Message, target: Target) -> Message:
    if not _has_extra(message):
        return message
    # The flat fields of a response are its maker's. The caller's own flat fields have no known owner.
    made_here = message.origin == target.family
    flat: Literal["all", "owned", "none"] = "all" if made_here else "none" if message.origin is not None else "owned"

    def scoped(piece: PieceT) -> PieceT:
        if not (extra := _extra(piece)):
            return piece
        own = copy.copy(piece)
        object.__setattr__(own, "extra", scoped_fields(extra, target.scopes, flat=flat))
        return own

    content, calls = tuple(map(scoped, message.content)), tuple(map(scoped, message.tool_calls))
    return attrs.evolve(scoped(message), content=content, tool_calls=calls)


def _has_made_parts(message: Message) -> bool:
    return message.role is Role.ASSISTANT and any(type(part) in _MADE for part in message.content)


def _with_known_parts(message: Message, target: Target) -> Message:
    """Return an assistant's message as a provider knows it that did not make it.

    Commentary is text there. Most dialects cannot hold images and sound in an assistant's turn: the transcript of sound
    is text there, and the rest of what another provider made is left out. A request must not fail because an earlier
    model answered with an image. The maker gets its own part back.
    """
    if not _has_made_parts(message) or message.origin == target.family:
        return message
    content: list[Part] = []
    for part in message.content:
        match part:
            case Commentary():
                content.append(Text(part.text, extra=part.extra))
            case Image() | Audio() if target.media_in_answers:
                content.append(part)
            case Audio(transcript=str(transcript)):
                content.append(Text(transcript))
            case Image() | Audio() if message.origin is not None:
                continue
            case _:
                content.append(part)
    return attrs.evolve(message, content=tuple(content))


def _renamed(message: Message, sent: Mapping[str, str]) -> Message:
    name = message.name
    if message.role is Role.TOOL and name is not None and name in sent:
        message = attrs.evolve(message, name=sent[name])
    if not any(call.name in sent for call in message.tool_calls):
        return message
    calls = tuple(attrs.evolve(call, name=sent.get(call.name, call.name)) for call in message.tool_calls)
    return attrs.evolve(message, tool_calls=calls)


# -- tools ----------------------------------------------------------------------------------------------------------


def _tools(
    tools: tuple[Tool, ...], model: ModelConfig, target: Target
) -> tuple[tuple[Tool, ...], dict[str, str], tuple[str, ...]]:
    """Return the tools of this provider, the names of those that it runs, and the names of those that it lacks."""
    if not any(tool.extra for tool in tools):
        return tools, {}, ()
    kept: list[Tool] = []
    hosted: dict[str, str] = {}
    omitted: list[str] = []
    for tool in tools:
        fields = own_definition(tool, target.scopes)
        if fields is None:
            omitted.append(tool.name)
            continue
        kept.append(tool if fields == tool.extra else attrs.evolve(tool, extra=fields))
        if is_hosted(fields, target.scopes[0]):
            hosted[tool.name] = hosted_name(fields) or ""
    if omitted and target.unsupported == "raise":
        raise CapabilityUnsupported(
            f"{model}: the tool {omitted[0]!r} runs at other providers, and has no definition for {target.name}; add "
            f"extra={{{target.scopes[-1]!r}: …}} to it, or make the provider with unsupported='drop'"
        )
    unchanged = not omitted and all(map(operator.is_, kept, tools))
    return tools if unchanged else tuple(kept), hosted, tuple(omitted)
