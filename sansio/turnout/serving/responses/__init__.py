"""The server's side of Responses."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.serving.chat_completions.stream import build_chat_error
from turnout.serving.errors import ServedError
from turnout.serving.inbound import Answerer, InboundChat, ReadOptions, Resolve
from turnout.serving.responses.request import read_responses_request
from turnout.serving.responses.response import build_responses_response
from turnout.serving.responses.stream import ResponsesStreamWriter

__all__ = ["Responses"]


@attrs.frozen
class Responses:
    """Serves Responses (`turnout.serving.inbound.ChatDialect`)."""

    name: str = "responses"

    def read_request(self, body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
        return read_responses_request(body, resolve, options)

    def build_response(self, inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
        return build_responses_response(inbound, response, answerer)

    def make_writer(self, inbound: InboundChat, answerer: Answerer) -> ResponsesStreamWriter:
        return ResponsesStreamWriter(inbound, answerer)

    def build_error(self, error: ServedError, request_id: str) -> bytes:
        return build_chat_error(error)
