"""The types of what callers may give, for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from turnout.messages import Message, Tool, ToolChoice
from turnout.types.models import ModelConfig
from turnout.types.response_format import ResponseFormat

__all__ = [
    "Conversation",
    "ModelSettings",
    "RequestSettings",
    "ResponseFormatLike",
    "ToolChoiceLike",
    "ToolLike",
]

Conversation: TypeAlias = str | Iterable[Message | Mapping[str, Any]]
ToolLike: TypeAlias = Tool | Mapping[str, Any] | Callable[..., Any]
ToolChoiceLike: TypeAlias = ToolChoice | str | Mapping[str, Any]
ResponseFormatLike: TypeAlias = ResponseFormat | type[Any] | Mapping[str, Any]
ReasoningEffort: TypeAlias = Literal["default", "none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ModelSettings(TypedDict, total=False):
    """The settings of `ModelConfig`. Here they hold for the model and for every fallback."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    stop: str | Iterable[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logprobs: int | None
    reasoning_effort: ReasoningEffort | str | None
    extra: Mapping[str, Any]


class RequestSettings(ModelSettings, total=False):
    """The fields of `ChatRequest` besides its model and messages, and the settings of its models."""

    fallbacks: Iterable[ModelConfig | str]
    tools: Iterable[ToolLike]
    tool_choice: ToolChoiceLike | None
    parallel_tool_calls: bool | None
    response_format: ResponseFormatLike | None
    metadata: Mapping[str, Any]
