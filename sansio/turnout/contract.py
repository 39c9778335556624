"""The JSON shapes of agno-go's router as values of Turnout, and back: requests, responses, stream events, statuses.

`read_…` takes plain values as a JSON parser returns them. `build_…` returns plain values for a JSON encoder. Zero
values may be missing in both, as Go writes them with `omitempty`. A request is refused if agno-go's shape cannot hold
a part of it that changes the answer. Thinking, opaque parts and signatures are omitted: only their own provider can
read them. Responses and events keep their text, tool calls, token counts and finish reason, and nothing else.

Source: github.com/rexleimo/agno-go, go/internal/agent/types.go and go/internal/model/router.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

import attrs
import msgspec

from turnout.chat import Capability, ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.events import End, Event, Restarted, Token, ToolCallReady
from turnout.messages import Message, Opaque, Role, Text, Thinking, Tool, ToolCall
from turnout.responses import ChatResponse, FinishReason, Usage

__all__ = [
    "build_chat_request",
    "build_chat_response",
    "build_embedding_request",
    "build_embedding_response",
    "build_status",
    "build_stream_event",
    "read_chat_request",
    "read_chat_response",
    "read_embedding_request",
    "read_embedding_response",
    "read_status",
    "read_stream_event",
]


_Role: TypeAlias = Literal["user", "assistant", "system", "tool"]
_Capability: TypeAlias = Literal["chat", "embedding", "streaming"]


class _Shape(msgspec.Struct, rename="camel", omit_defaults=True):
    """A shape of agno-go. Further fields, such as ids and times of sessions, are ignored."""


class _Model(_Shape):
    provider: str
    model_id: str
    stream: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_ms: int = 0


class _ToolResult(_Shape):
    status: Literal["pending", "success", "error", "timeout", "disabled"]
    tool_call_id: str = ""
    output: str = ""
    error: str = ""


class _ToolCall(_Shape):
    tool_call_id: str
    name: str
    args: dict[str, Any] | None = None
    result: _ToolResult | None = None


class _Message(_Shape):
    role: _Role
    content: str
    tool_calls: list[_ToolCall] | None = None


class _Usage(_Shape):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int = 0


class _ChatRequest(_Shape):
    model: _Model
    messages: list[_Message]
    tools: list[_ToolCall] | None = None
    metadata: dict[str, Any] | None = None
    stream: bool = False


class _ChatResponse(_Shape):
    message: _Message
    usage: _Usage = msgspec.field(default_factory=_Usage)
    finish_reason: str = ""


class _StreamEvent(_Shape):
    type: Literal["token", "tool_call", "end"]
    delta: str = ""
    tool_call: _ToolCall | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)
    finish_reason: str = ""
    done: bool = False


class _EmbeddingRequest(_Shape):
    model: _Model
    input: list[str]


class _EmbeddingResponse(_Shape):
    vectors: list[list[float]] | None
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Status(_Shape):
    provider: str
    status: Literal["available", "not-configured", "disabled"]
    capabilities: list[_Capability] | None = None
    missing_env: list[str] | None = None
    reason: str = ""


_CAPABILITIES: dict[Capability, _Capability] = {
    Capability.CHAT: "chat",
    Capability.EMBEDDINGS: "embedding",
    Capability.STREAM: "streaming",
}
_FROM_CAPABILITIES = {theirs: ours for ours, theirs in _CAPABILITIES.items()}
_ROLES: dict[Role, _Role] = {
    Role.SYSTEM: "system",
    Role.DEVELOPER: "system",
    Role.USER: "user",
    Role.ASSISTANT: "assistant",
    Role.TOOL: "tool",
}

_T = TypeVar("_T", bound=_Shape)


def _read(value: Mapping[str, Any], shape: type[_T], name: str) -> _T:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ValueError(f"this is no {name} of agno-go: {error}") from None


def _plain(shape: _Shape) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(shape)
    return plain


def _refuse_others(value: Any, known: frozenset[str]) -> None:
    for field in attrs.fields(type(value)):
        if field.name not in known and getattr(value, field.name) not in (None, (), {}):
            raise ValueError(f"agno-go has no field for {type(value).__name__}.{field.name}: leave it out")


# -- requests -------------------------------------------------------------------------------------------------------


def read_chat_request(value: Mapping[str, Any], tools: Iterable[Tool] = ()) -> ChatRequest:
    """Return the request of a ChatRequest of agno-go. Whether it wants a stream is in `value["stream"]`.

    Args:
        value: The JSON object.
        tools: The tools that the request may name. agno-go sends their names without descriptions and schemas.

    Raises:
        ValueError: If `value` has another shape, or names a tool that is not in `tools`.
    """
    shape = _read(value, _ChatRequest, "chat request")
    known = {tool.name: tool for tool in tools}
    named = [tool.name for tool in shape.tools or ()]
    for name in named:
        if name not in known:
            raise ValueError(f"the request names the tool {name!r}, and agno-go sends no schema: give it in `tools`")
    return ChatRequest(
        _read_model(shape.model),
        [message for each in shape.messages for message in _read_messages(each)],
        tools=[known[name] for name in named],
        metadata=shape.metadata,
    )


def build_chat_request(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    """Return the ChatRequest of agno-go for a request.

    agno-go reads a temperature of 0 as the provider's default, and the role `developer` becomes `system`.

    Raises:
        ValueError: If a setting, a part of a message or another field has no place in agno-go's shape.
    """
    _refuse_others(request, frozenset(("model", "messages", "tools", "metadata")))
    return _plain(
        _ChatRequest(
            _build_model(request.model),
            [_build_message(message) for message in request.messages],
            [_ToolCall("", tool.name) for tool in request.tools] or None,
            dict(request.metadata) or None,
            stream,
        )
    )


def read_embedding_request(value: Mapping[str, Any]) -> EmbeddingRequest:
    """Return the request of an EmbeddingRequest of agno-go. Raises ValueError if it has another shape."""
    shape = _read(value, _EmbeddingRequest, "embedding request")
    return EmbeddingRequest(_read_model(shape.model), shape.input)


def build_embedding_request(request: EmbeddingRequest) -> dict[str, Any]:
    """Return the EmbeddingRequest of agno-go. Raises ValueError if a field has no place in it."""
    _refuse_others(request, frozenset(("model", "input")))
    return _plain(_EmbeddingRequest(_build_model(request.model), list(request.input)))


def _read_model(shape: _Model) -> ModelConfig:
    timeout = shape.timeout_ms / 1000 if shape.timeout_ms else None
    return ModelConfig(
        shape.provider,
        shape.model_id,
        temperature=shape.temperature,
        max_tokens=shape.max_tokens,
        timeout=timeout,
    )


def _build_model(model: ModelConfig) -> _Model:
    _refuse_others(model, frozenset(("provider", "model_id", "temperature", "max_tokens", "timeout")))
    milliseconds = 0 if model.timeout is None else max(1, round(model.timeout * 1000))
    return _Model(
        model.provider,
        model.model_id,
        temperature=model.temperature,
        max_tokens=model.max_tokens,
        timeout_ms=milliseconds,
    )


# -- messages -------------------------------------------------------------------------------------------------------


def _read_messages(shape: _Message) -> Iterator[Message]:
    """Return the message of a message, and the results that agno-go keeps in its tool calls."""
    calls = shape.tool_calls or []
    if shape.role == "tool":
        if not calls:
            raise ValueError("a message of the role 'tool' needs toolCalls with the id of the call that it answers")
        for call in calls:
            yield _read_result(call, shape.content if len(calls) == 1 else "")
        return
    if shape.role != "assistant":
        yield Message(shape.role, shape.content)
        return
    yield Message.assistant(shape.content or None, tool_calls=map(_read_call, calls))
    for call in calls:
        if call.result is not None and call.result.status != "pending":
            yield _read_result(call, "")


def _read_result(call: _ToolCall, text: str) -> Message:
    result = call.result or _ToolResult("success")
    is_error = result.status != "success"
    text = text or (result.error if is_error else "") or result.output or (result.status if is_error else "")
    return Message.tool(call.tool_call_id, text, name=call.name or None, is_error=is_error)


def _read_call(call: _ToolCall) -> ToolCall:
    args = call.args or {}
    # agno-go writes arguments that it could not read as a text; those of a call without arguments are among them.
    if args in ({"arguments": "{}"}, {"arguments": ""}):
        args = {}
    return ToolCall(call.tool_call_id, call.name, json.dumps(args, ensure_ascii=False) if args else "{}")


def _build_message(message: Message) -> _Message:
    for part in message.content:
        if not isinstance(part, Text | Thinking | Opaque):
            raise ValueError(f"a message of agno-go is plain text, and this one has a part {type(part).__name__}")
    for value in (message, *message.content, *message.tool_calls):
        if getattr(value, "extra", None):
            raise ValueError(f"agno-go has no field for {type(value).__name__}.extra: leave it out")
    if message.role is not Role.TOOL:
        return _Message(_ROLES[message.role], message.text, [_build_call(call) for call in message.tool_calls] or None)
    call_id, text = message.tool_call_id or "", message.text
    result = (
        _ToolResult("error", call_id, error=text) if message.is_error else _ToolResult("success", call_id, output=text)
    )
    return _Message("tool", text, [_ToolCall(call_id, message.name or "", result=result)])


def _build_call(call: ToolCall) -> _ToolCall:
    try:
        args = json.loads(call.arguments, strict=False, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        args = None
    if not isinstance(args, dict):
        args = {"arguments": call.arguments}  # as agno-go does
    return _ToolCall(call.id, call.name, args or None)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# -- responses ------------------------------------------------------------------------------------------------------


def read_chat_response(value: Mapping[str, Any], model: ModelConfig) -> ChatResponse:
    """Return the response of a ChatResponse of agno-go, which does not name its `model`.

    Raises:
        ValueError: If it has another shape, or its message is not the assistant's.
    """
    shape = _read(value, _ChatResponse, "chat response")
    if shape.message.role != "assistant":
        raise ValueError(f"the message of a response must have the role 'assistant', not {shape.message.role!r}")
    calls = tuple(map(_read_call, shape.message.tool_calls or ()))
    reason, raw = _read_finish_reason(shape.finish_reason)
    return ChatResponse(
        message=Message.assistant(shape.message.content or None, tool_calls=calls),
        model=model,
        finish_reason=reason,
        raw_finish_reason=raw,
        usage=_read_usage(shape.usage),
    )


def build_chat_response(response: ChatResponse) -> dict[str, Any]:
    """Return the ChatResponse of agno-go: text, tool calls, tokens, time of the call and finish reason."""
    calls = [_build_call(call) for call in response.tool_calls]
    usage = _build_usage(response.usage)
    entries = response.trace.entries
    usage.latency_ms = round(entries[-1].at * 1000) if entries else 0
    message = _Message("assistant", response.text, calls or None)
    reason = _build_finish_reason(response.finish_reason, response.raw_finish_reason)
    return _plain(_ChatResponse(message, usage, reason))


def read_embedding_response(value: Mapping[str, Any], model: ModelConfig) -> EmbeddingResponse:
    """Return the response of an EmbeddingResponse of agno-go, which does not name its `model`.

    Raises:
        ValueError: If it has another shape, or its vectors have different lengths.
    """
    shape = _read(value, _EmbeddingResponse, "embedding response")
    return EmbeddingResponse(vectors=Vectors.of(shape.vectors or ()), model=model, usage=_read_usage(shape.usage))


def build_embedding_response(response: EmbeddingResponse) -> dict[str, Any]:
    """Return the EmbeddingResponse of agno-go."""
    return _plain(_EmbeddingResponse(response.vectors.tolist(), _build_usage(response.usage)))


def _read_usage(shape: _Usage) -> Usage:
    if not shape.prompt_tokens and not shape.completion_tokens:
        return Usage(source="absent")  # Go omits counts of 0, so none of them was reported
    return Usage(prompt_tokens=shape.prompt_tokens, completion_tokens=shape.completion_tokens)


def _build_usage(usage: Usage) -> _Usage:
    return _Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0)


def _read_finish_reason(text: str) -> tuple[FinishReason, str | None]:
    try:
        return FinishReason(text.lower()), None
    except ValueError:
        return FinishReason.UNKNOWN, text or None


def _build_finish_reason(reason: FinishReason, raw: str | None) -> str:
    return (raw or "") if reason is FinishReason.UNKNOWN else reason.value


# -- streams --------------------------------------------------------------------------------------------------------


def read_stream_event(value: Mapping[str, Any], *, index: int = 0) -> Token | ToolCallReady | End | None:
    """Return the event of a ChatStreamEvent of agno-go; None for a token without text.

    Args:
        value: The JSON object.
        index: The number of this tool call in the response, from 0, if the event is one: agno-go does not send it.

    Raises:
        ValueError: If it has another shape.
    """
    shape = _read(value, _StreamEvent, "stream event")
    if shape.type == "token":
        return Token(shape.delta) if shape.delta else None
    if shape.type == "tool_call":
        if shape.tool_call is None:
            raise ValueError("a stream event of the type 'tool_call' needs toolCall")
        return ToolCallReady(index, _read_call(shape.tool_call))
    reason, raw = _read_finish_reason(shape.finish_reason)
    return End(finish_reason=reason, raw_finish_reason=raw, usage=_read_usage(shape.usage))


def build_stream_event(event: Event) -> dict[str, Any] | None:
    """Return the ChatStreamEvent of agno-go; None for an event that has none, such as a piece of reasoning.

    Raises:
        ValueError: If the answer starts again (`Restarted`), which agno-go cannot tell its caller.
    """
    match event:
        case Token():
            return _plain(_StreamEvent("token", event.delta))
        case ToolCallReady():
            return _plain(_StreamEvent("tool_call", tool_call=_build_call(event.call)))
        case End():
            reason = _build_finish_reason(event.finish_reason, event.raw_finish_reason)
            return _plain(_StreamEvent("end", usage=_build_usage(event.usage), finish_reason=reason, done=True))
        case Restarted():
            raise ValueError("agno-go has no event for an answer that starts again: set on_interrupt to 'raise'")
        case _:
            return None


# -- statuses -------------------------------------------------------------------------------------------------------


def read_status(value: Mapping[str, Any]) -> ProviderStatus:
    """Return the status of a ProviderStatus of agno-go, without priority and fallbacks: they mean something else.

    Raises:
        ValueError: If it has another shape.
    """
    shape = _read(value, _Status, "provider status")
    return ProviderStatus(
        shape.provider,
        shape.status,
        capabilities=frozenset(_FROM_CAPABILITIES[name] for name in shape.capabilities or ()),
        missing_env=tuple(shape.missing_env or ()),
        reason=shape.reason,
    )


def build_status(status: ProviderStatus) -> dict[str, Any]:
    """Return the ProviderStatus of agno-go, with the capabilities and the statuses that agno-go knows."""
    capabilities: list[_Capability] = [theirs for ours, theirs in _CAPABILITIES.items() if ours in status.capabilities]
    known = "disabled" if status.status == "refused" else status.status
    missing = list(status.missing_env) or None
    return _plain(_Status(status.provider, known, capabilities or None, missing, status.reason))
