"""The server's side of chat completions."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.serving.chat_completions.request import read_chat_request
from turnout.serving.chat_completions.response import build_chat_response
from turnout.serving.chat_completions.stream import ChatStreamWriter, build_chat_error
from turnout.serving.errors import ServedError
from turnout.serving.inbound import Answerer, InboundChat, ReadOptions, Resolve

__all__ = ["ChatCompletions"]


@attrs.frozen
class ChatCompletions:
    """Serves chat completions (`turnout.serving.inbound.ChatDialect`)."""

    name: str = "chat_completions"

    def read_request(self, body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
        return read_chat_request(body, resolve, options)

    def build_response(self, inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
        return build_chat_response(response, answerer)

    def make_writer(self, inbound: InboundChat, answerer: Answerer) -> ChatStreamWriter:
        return ChatStreamWriter(inbound, answerer)

    def build_error(self, error: ServedError, request_id: str) -> bytes:
        return build_chat_error(error)
