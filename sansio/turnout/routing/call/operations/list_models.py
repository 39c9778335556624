"""The list of the models that a provider offers."""

from __future__ import annotations

from typing import ClassVar

import attrs

from turnout.chat import Capability, ModelConfig, ModelInfo
from turnout.errors import RemoteProtocolError
from turnout.providers.protocol import Exchange, ModelPage, Provider
from turnout.routing.call.operations.base import Operation
from turnout.trace import Trace

__all__ = ["ListModels"]


@attrs.define(eq=False)
class ListModels(Operation):
    """The models of one provider, page after page."""

    provider: str
    _models: list[ModelInfo] = attrs.field(factory=list, init=False)
    _page: str | None = attrs.field(default=None, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)
    name: ClassVar[str] = "models"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (ModelConfig(self.provider, "*"),)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.MODELS})

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[ModelPage]:
        return provider.models(self._page)

    def add_result(self, result: ModelPage) -> bool:
        self._models.extend(result.models)
        self._page = result.next_page
        if self._page is None:
            return True
        # A server that returns the same token again would cause an endless loop.
        if self._page in self._seen:
            raise RemoteProtocolError(f"{self.provider}: its model list returns the page {self._page!r} twice")
        self._seen.add(self._page)
        return False

    def result(self, trace: Trace) -> tuple[ModelInfo, ...]:
        return tuple(self._models)
