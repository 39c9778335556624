"""The vendors' own SDKs as a measure: a body is right where their types have a place for all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.genai import types as genai
from groq.types.chat.completion_create_params import CompletionCreateParams as GroqParams
from mistralai.client import models as mistral
from ollama import _types as ollama
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming as OpenAIParams,
)
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsStreaming as OpenAIStreamParams,
)
from pydantic import BaseModel, TypeAdapter

__all__ = ["TAKEN", "dumped", "plain"]

_OPENAI: TypeAdapter[Any] = TypeAdapter(OpenAIParams)
_OPENAI_STREAM: TypeAdapter[Any] = TypeAdapter(OpenAIStreamParams)
_GROQ: TypeAdapter[Any] = TypeAdapter(GroqParams)


def plain(value: Any) -> Any:
    """The value with every iterator in it run: pydantic looks at an `Iterable` only as it is read."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return value
    return [plain(item) for item in value]


def dumped(value: BaseModel) -> Any:
    """What was said, in the words of the wire. What a model does not know, it has lost or refused."""
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _openai(body: dict[str, Any]) -> Any:
    return plain((_OPENAI_STREAM if body.get("stream") else _OPENAI).validate_python(body))


def _groq(body: dict[str, Any]) -> Any:
    # Its SDK has no place for this one in a request, but for what it brings in an answer; the API was seen to take it.
    asked = {name: value for name, value in body.items() if name != "stream_options"}
    return plain(_GROQ.validate_python(asked)) | {name: body[name] for name in body if name not in asked}


def _gemini(body: dict[str, Any]) -> Any:
    """The SDK has no type for the whole body, but one for each of its parts; they forbid what they do not know."""
    kinds: dict[str, type[BaseModel]] = {
        "contents": genai.Content,
        "systemInstruction": genai.Content,
        "tools": genai.Tool,
        "toolConfig": genai.ToolConfig,
        "generationConfig": genai.GenerationConfig,
    }

    def taken(kind: type[BaseModel], value: Any) -> Any:
        if isinstance(value, list):
            return [taken(kind, item) for item in value]
        return dumped(kind.model_validate(value))

    return {name: taken(kinds[name], value) for name, value in body.items()}


# By the name of the provider: the body as the SDK's types give it back.
TAKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "openai": _openai,
    "groq": _groq,
    "mistral": lambda body: dumped(
        (mistral.ChatCompletionStreamRequest if body.get("stream") else mistral.ChatCompletionRequest).model_validate(
            body
        )
    ),
    "ollama": lambda body: dumped(ollama.ChatRequest.model_validate(body)),
    "gemini": _gemini,
}
