"""The Responses API of OpenAI, and of those who took it over: the successor of chat completions.

Source: the OpenAI API reference ("Responses" and its streaming events). Chosen with `create("openai",
api="responses")`, or with `api: responses` in the provider's section of the settings.
"""

from __future__ import annotations

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason
from turnout.errors import RemoteProtocolError
from turnout.http import Headers
from turnout.providers.exchange import HttpExchange
from turnout.providers.openai_chat.dialect import OpenAIChat
from turnout.providers.openai_responses.items import family_of
from turnout.providers.openai_responses.request import response_body, responses_scopes
from turnout.providers.openai_responses.stream import RESPONSE, ResponseReader

__all__ = ["FINISH_REASONS", "OpenAIResponses"]

# The status of a response, or why it is incomplete.
FINISH_REASONS = {
    "completed": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "failed": FinishReason.ERROR,
    "cancelled": FinishReason.ERROR,
    "max_messages": FinishReason.LENGTH,
    "steered": FinishReason.LENGTH,
}


@attrs.frozen
class OpenAIResponses(OpenAIChat):
    """A provider that speaks Responses (`turnout.providers.protocol.Provider`). Embeddings and models are asked for
    as beside chat completions.

    Every request holds the whole conversation, and nothing is stored with the provider: reasoning comes encrypted and
    goes back with the next turn.
    """

    finish_reasons = FINISH_REASONS
    unique_ids = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        return super().capabilities - {Capability.AUDIO}

    @property
    def scopes(self) -> tuple[str, ...]:
        return responses_scopes(self.account)

    @property
    def family(self) -> str:
        return family_of(self.account)

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = response_body(request, self.account, stream=False)
        http_request = self._request("POST", "/responses", body)
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_response(body, request, headers), dropped
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        body, dropped = response_body(request, self.account, stream=True)
        http_request = self._request("POST", "/responses", body, stream=True)
        return self.stream_exchange(http_request, request, lambda *parts: ResponseReader(self, *parts), dropped=dropped)

    def _parse_response(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = ResponseReader(self, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, reader)) is not None:
            return streamed
        response = self.decode(RESPONSE, body)
        failure = reader.take(response, body, [])
        if failure is not None:
            raise failure
        if response.output is None:
            raise self._in_band_error(body, headers) or RemoteProtocolError(
                f"{request.model}: the answer has no output"
            )
        return accumulator.response()
