"""The Responses API of OpenAI and of other providers: the successor of chat completions.

Source: the OpenAI API reference ("Responses" and its streaming events). `create("openai", api="responses")` chooses it,
and so does `api: responses` in the provider's section of the settings.
"""

from __future__ import annotations

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason
from turnout.errors import RemoteProtocolError
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import decode_any
from turnout.providers.openai_chat.dialect import OpenAIChat
from turnout.providers.openai_responses.items import family_of
from turnout.providers.openai_responses.request import response_body, responses_scopes
from turnout.providers.openai_responses.stream import RESPONSE, ResponseReader

__all__ = ["FINISH_REASONS", "OpenAIResponses"]

# The status of a response, or the reason why it is incomplete.
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
    """A provider that speaks Responses (`turnout.providers.protocol.Provider`).

    Embeddings and models are the same as beside chat completions. Every request holds the whole conversation, and the
    provider stores nothing: reasoning is received encrypted, and goes back with the next turn.
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
        return self.stream_exchange(
            http_request, request, lambda *parts: self._response_reader(request, *parts), dropped=dropped
        )

    def _response_reader(
        self, request: ChatRequest, accumulator: ResponseAccumulator, headers: Headers
    ) -> ResponseReader:
        extra = request.model.extra
        ceiling = extra.get("max_output_tokens", request.model.max_tokens)
        return ResponseReader(
            self, accumulator, headers, ceiling if isinstance(ceiling, int) else None, bool(extra.get("background"))
        )

    def _parse_response(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        reader = self._response_reader(request, accumulator, headers)
        if (streamed := self.read_stream(body, accumulator, reader)) is not None:
            return streamed
        response = self.decode(RESPONSE, body)
        try:
            failure = reader.apply(response, body, [])
        except ValueError as broken:
            raise RemoteProtocolError(f"{request.model}: the response cannot be read: {broken}") from None
        if failure is not None:
            raise failure
        if response.output is None:
            error = self.in_band_error(decode_any(body), body, headers)
            raise error or RemoteProtocolError(f"{request.model}: the response has no output")
        reader.flush([])
        return self.whole_response(accumulator)
