"""The types of the keywords of a router's methods, for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypedDict

from turnout.chat import ModelConfig
from turnout.inputs.types import ModelSettings, RequestSettings, ResponseFormatLike, ToolChoiceLike
from turnout.messages import Tool
from turnout.providers.auth import AccessToken
from turnout.routing.policy.priority import Priority
from turnout.routing.policy.settings import Policy
from turnout.typed.function import FunctionTool

__all__ = ["CallSettings", "ChatSettings", "EmbeddingSettings", "RerankSettings", "RunSettings", "RunnableTool"]

RunnableTool: TypeAlias = FunctionTool | Tool | Callable[..., Any]


class CallSettings(TypedDict, total=False):
    """The options of one call (`turnout.routing.call.options`)."""

    timeout: float | None
    policy: Policy | None
    affinity: str | bool | None
    api_keys: Mapping[str, AccessToken] | None
    priority: Priority
    cache: bool


class RunSettings(ModelSettings, CallSettings, total=False):
    """The settings of a run with tools."""

    fallbacks: Iterable[ModelConfig | str]
    tool_choice: ToolChoiceLike | None
    parallel_tool_calls: bool | None
    response_format: ResponseFormatLike | None
    metadata: Mapping[str, Any]


class ChatSettings(RequestSettings, CallSettings, total=False):
    """The fields of `ChatRequest`, the settings of its models, and the options of a call."""


class EmbeddingSettings(CallSettings, total=False):
    """The fields of `EmbeddingRequest` besides its model and texts."""

    dimensions: int | None
    purpose: str | None
    fallbacks: Iterable[ModelConfig | str]
    family: str | None
    metadata: Mapping[str, Any]
    extra: Mapping[str, Any]


class RerankSettings(CallSettings, total=False):
    """The fields of `RerankRequest` besides its model, query and documents."""

    top_n: int | None
    fallbacks: Iterable[ModelConfig | str]
    metadata: Mapping[str, Any]
    extra: Mapping[str, Any]
