"""A provider of the catalog without the key that it needs.

A router knows every provider of the catalog, and a program uses two or three of them. The dialects of the others are
loaded only when something asks for more than the facts below, such as a call that brings its own key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.providers.catalog.spec import ProviderSpec
from turnout.providers.protocol import Exchange, ModelPage, ModelProfile, Provider

__all__ = ["UnconfiguredProvider", "missing_variables"]


def missing_variables(spec: ProviderSpec) -> tuple[str, ...]:
    """Return the variables that a provider of the catalog lacks if nothing is set; empty if it can be used."""
    key = spec.key_env[:1] if spec.needs_key else ()
    if spec.dialect == "bedrock":
        return key + spec.option_env["region"][:1]
    return key + (spec.base_url_env[:1] if not spec.base_url else ())


@attrs.frozen
class UnconfiguredProvider:
    """The facts about a provider that a router needs while it takes no calls.

    Attributes:
        spec: Its entry of the catalog.
        name: The name under which it is registered.
        load: Makes the provider itself.
        missing: The variables that it needs, if the settings have some of them; None for those of the catalog.
    """

    spec: ProviderSpec
    name: str
    load: Callable[[], Provider] = attrs.field(repr=False)
    missing: tuple[str, ...] | None = attrs.field(default=None, repr=False)
    _loaded: list[Provider] = attrs.field(factory=list, init=False, repr=False, eq=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.spec.capabilities

    @property
    def missing_env(self) -> tuple[str, ...]:
        return missing_variables(self.spec) if self.missing is None else self.missing

    @property
    def embedding_batch(self) -> int | None:
        return self.spec.embedding_batch

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the names of the extra fields that are for this provider."""
        return (self.spec.dialect, self.spec.name)

    @property
    def sends_key_in_clear(self) -> bool:
        """False, because there is no key."""
        return False

    @property
    def _provider(self) -> Provider:
        if not self._loaded:
            self._loaded.append(self.load())
        return self._loaded[0]

    def facts(self, model_id: str) -> ModelProfile:
        return self._provider.facts(model_id)

    def chat(self, request: ChatRequest) -> Exchange[ChatResponse]:
        return self._provider.chat(request)

    def stream(self, request: ChatRequest) -> Exchange[ChatResponse]:
        return self._provider.stream(request)

    def embed(self, request: EmbeddingRequest) -> Exchange[EmbeddingResponse]:
        return self._provider.embed(request)

    def models(self, page: str | None = None) -> Exchange[ModelPage]:
        return self._provider.models(page)

    def __getattr__(self, name: str) -> Any:
        # Protocols of Python (`__deepcopy__`, …) are asked of every object, and are none of a provider's members.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._provider, name)
