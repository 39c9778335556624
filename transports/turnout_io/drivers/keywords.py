"""The types of the keywords of a router's methods, for type checkers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from turnout.chat import ModelConfig
from turnout.inputs.types import RequestSettings
from turnout.providers.auth import AccessToken
from turnout.routing.policy.settings import Policy

__all__ = ["CallSettings", "ChatSettings", "EmbeddingSettings", "RerankSettings"]


class CallSettings(TypedDict, total=False):
    """The options of one call (`turnout.routing.call.options`)."""

    timeout: float | None
    policy: Policy | None
    affinity: str | bool | None
    api_keys: Mapping[str, AccessToken] | None


class ChatSettings(RequestSettings, CallSettings, total=False):
    """The fields of `ChatRequest`, the settings of its models, and the options of a call."""


class EmbeddingSettings(CallSettings, total=False):
    """The fields of `EmbeddingRequest` besides its model and texts."""

    dimensions: int | None
    purpose: str | None
    fallbacks: Iterable[ModelConfig | str]
    family: str | None
    extra: Mapping[str, Any]


class RerankSettings(CallSettings, total=False):
    """The fields of `RerankRequest` besides its model, query and documents."""

    top_n: int | None
    fallbacks: Iterable[ModelConfig | str]
    extra: Mapping[str, Any]
