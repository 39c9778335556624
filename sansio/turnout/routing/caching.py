"""What a cache of answers stores: the key of a request, the answer as bytes, and its events for a stream.

Two requests have the same key if their models, settings, fallbacks and input are the same: messages, tools and formats
of a chat; the texts and their order, dimensions, purpose and family of embeddings. The caller's labels, the timeouts
and the keys of accounts are not part of it. A route or an alias counts by its name, whatever models it has.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias, overload

import attrs

from turnout._utils.serialization import from_plain, to_plain
from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelConfig, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.events import (
    AudioDelta,
    CommentaryDelta,
    End,
    Event,
    LogprobsDelta,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import Audio, Commentary, Image, Message, Opaque, Part, Refusal, Text, Thinking

__all__ = [
    "CachedAnswer",
    "CachedRequest",
    "can_be_stored",
    "decode_answer",
    "encode_answer",
    "events_of",
    "request_key",
]

# It changes when the key or the stored form changes, so that older entries are not found any more.
_VERSION: Final = 1
_NAMES: Final = ("response_id", "served_model", "raw_finish_reason", "logprobs")


CachedRequest: TypeAlias = ChatRequest | EmbeddingRequest
CachedAnswer: TypeAlias = ChatResponse | EmbeddingResponse


def request_key(request: CachedRequest) -> str:
    """Return the key of a request: `v1-` and a SHA-256 digest in hexadecimal digits."""
    plain = _embedding(request) if isinstance(request, EmbeddingRequest) else _chat(request)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return f"v{_VERSION}-{hashlib.sha256(text.encode()).hexdigest()}"


def _chat(request: ChatRequest) -> dict[str, Any]:
    return {
        "models": [_model(model) for model in (request.model, *request.fallbacks)],
        "messages": [message.to_dict() for message in request.messages],
        "tools": [to_plain(tool) for tool in request.tools],
        "tool_choice": to_plain(request.tool_choice) if request.tool_choice is not None else None,
        "parallel_tool_calls": request.parallel_tool_calls,
        "response_format": to_plain(request.response_format) if request.response_format is not None else None,
    }


def _embedding(request: EmbeddingRequest) -> dict[str, Any]:
    return {
        "models": [_model(model) for model in (request.model, *request.fallbacks)],
        "input": request.input,
        "dimensions": request.dimensions,
        "purpose": request.purpose,
        "family": request.family,
    }


def _model(model: ModelConfig) -> dict[str, Any]:
    plain = to_plain(model)
    plain.pop("timeout", None)
    # 1 and 1.0 are the same temperature. A seed stays exact: a float would make two large ones the same.
    return {name: int(value) if type(value) is float and value.is_integer() else value for name, value in plain.items()}


def can_be_stored(answer: CachedAnswer) -> bool:
    """Return whether an answer is whole: the model ended it, and it meets every demand of the request."""
    return isinstance(answer, EmbeddingResponse) or (answer.complete and not answer.unmet)


def encode_answer(answer: CachedAnswer) -> bytes:
    """Return an answer as JSON, without what belongs to one call: its trace, rate limit, request id and raw bytes.

    Raises:
        TypeError: If a field of the provider is no JSON value.
        ValueError: If it refers to itself.
    """
    own = _vectors(answer) if isinstance(answer, EmbeddingResponse) else _message(answer)
    plain = {
        "version": _VERSION,
        "provider": answer.model.provider,
        "model": answer.model.model_id,
        "usage": to_plain(answer.usage),
        **own,
    }
    return json.dumps(plain, separators=(",", ":")).encode()


def _vectors(answer: EmbeddingResponse) -> dict[str, Any]:
    return {
        "vectors": base64.b64encode(answer.vectors.to_little_endian()).decode(),
        "dimensions": answer.vectors.dimensions,
        "served_model": answer.served_model,
    }


def _message(answer: ChatResponse) -> dict[str, Any]:
    return {
        "message": answer.message.to_dict(),
        "finish_reason": answer.finish_reason.value,
        "citations": list(answer.citations),
        "extra": dict(answer.extra),
        **{name: getattr(answer, name) for name in _NAMES},
    }


@overload
def decode_answer(stored: bytes, request: ChatRequest) -> ChatResponse | None: ...
@overload
def decode_answer(stored: bytes, request: CachedRequest) -> CachedAnswer | None: ...
def decode_answer(stored: bytes, request: CachedRequest) -> CachedAnswer | None:
    """Return the answer of `encode_answer` for a request with the same key; None if the bytes are no such answer.

    It costs nothing: `usage.cost` is 0. The token counts are those of the call that received it.
    """
    try:
        plain = json.loads(stored)
        if plain["version"] != _VERSION:
            return None
        model = _candidate(plain["provider"], plain["model"], request)
        usage = attrs.evolve(from_plain(Usage, plain["usage"], "usage"), cost=0.0)
        if isinstance(request, EmbeddingRequest):
            return EmbeddingResponse(
                vectors=_stored_vectors(plain, len(request.input)),
                model=model,
                usage=usage,
                served_model=plain["served_model"],
            )
        return ChatResponse(
            message=Message.from_dict(plain["message"]),
            model=model,
            finish_reason=FinishReason(plain["finish_reason"]),
            usage=usage,
            citations=tuple(plain["citations"]),
            extra=_mapping(plain["extra"]),
            **{name: plain[name] for name in _NAMES},
        )
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def _stored_vectors(plain: Mapping[str, Any], count: int) -> Vectors:
    vectors = Vectors.from_little_endian(base64.b64decode(plain["vectors"], validate=True), plain["dimensions"])
    if vectors.dimensions < 1 or len(vectors) != count:
        raise ValueError(f"{len(vectors)} vectors are stored for {count} texts")
    return vectors


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("extra is no object")
    return value


def _candidate(provider: str, model_id: str, request: CachedRequest) -> ModelConfig:
    """Return the candidate as the request has it. The models of a route are not in the request."""
    for model in (request.model, *request.fallbacks):
        if (model.provider, model.model_id) == (provider, model_id):
            return model
    return ModelConfig(provider, model_id)


def events_of(answer: ChatResponse) -> tuple[Event, ...]:
    """Return the events of a stream with this answer: each part in one delta, then the tool calls and the end."""
    events: list[Event] = []
    for part in answer.message.content:
        events += _events_of_part(part)
    for index, call in enumerate(answer.tool_calls):
        events += (ToolCallDelta(index, call.arguments, call.id, call.name), ToolCallReady(index, call))
    if answer.logprobs is not None:
        events.append(LogprobsDelta(answer.logprobs))
    end = End(
        finish_reason=answer.finish_reason,
        raw_finish_reason=answer.raw_finish_reason,
        usage=answer.usage,
        unmet=answer.unmet,
    )
    return (*events, end)


def _events_of_part(part: Part) -> Iterator[Event]:
    match part:
        case Text(text=text, signature=signature):
            yield from (Token(text),) if text else ()
            yield from (PartSigned("text", signature),) if signature else ()
        case Thinking(text=text, signature=signature):
            yield from (Reasoning(text),) if text else ()
            yield from (PartSigned("reasoning", signature),) if signature else ()
        case Commentary(text=text) if text:
            yield CommentaryDelta(text)
        case Refusal(text=text) if text:
            yield RefusalDelta(text)
        case Audio():
            yield AudioDelta(part.data, part.transcript or "")
            yield PartReady(part)
        case Image() | Opaque():
            yield PartReady(part)
        case _:
            pass  # empty texts, and files, which no model returns
