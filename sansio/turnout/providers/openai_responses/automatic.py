"""The provider that `create("openai")` makes: chat completions, and Responses if a model takes the request there alone.

Which requests those are is data in the catalog (`ModelRule.needs_responses`, `ModelRule.responses_efforts`). With an
own `api` a provider uses that one alone, and refuses such a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from turnout.chat import ChatRequest, ChatResponse
from turnout.providers.exchange import HttpExchange
from turnout.providers.openai_chat.dialect import OpenAIChat
from turnout.providers.openai_chat.request import needs_responses

if TYPE_CHECKING:
    from turnout.providers.openai_responses.dialect import OpenAIResponses

__all__ = ["OpenAIAutomatic"]


@attrs.frozen
class OpenAIAutomatic(OpenAIChat):
    """A provider that chooses the API per request (`turnout.providers.protocol.Provider`)."""

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        return self._responses().chat(request) if self._needs_responses(request) else super().chat(request)

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        return self._responses().stream(request) if self._needs_responses(request) else super().stream(request)

    def _needs_responses(self, request: ChatRequest) -> bool:
        rule = self.account.spec.rule(request.model.model_id)
        if rule is None:
            return False
        return request.model.reasoning_effort in rule.responses_efforts or bool(needs_responses(request, rule))

    def _responses(self) -> OpenAIResponses:
        # Most programs never need it, and its modules take as long to load as all others of a provider.
        from turnout.providers.openai_responses.dialect import OpenAIResponses

        return OpenAIResponses(self.account, self.site)
