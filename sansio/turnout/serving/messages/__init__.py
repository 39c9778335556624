"""The server's side of Messages."""

from __future__ import annotations

import attrs

from turnout.chat import ChatResponse
from turnout.serving.errors import ServedError
from turnout.serving.inbound import Answerer, InboundChat, ReadOptions, Resolve
from turnout.serving.messages.request import read_messages_request
from turnout.serving.messages.response import build_messages_response
from turnout.serving.messages.stream import MessagesStreamWriter, build_messages_error

__all__ = ["Messages"]


@attrs.frozen
class Messages:
    """Serves Messages (`turnout.serving.inbound.ChatDialect`)."""

    name: str = "messages"

    def read_request(self, body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
        return read_messages_request(body, resolve, options)

    def read_count_request(self, body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
        """Read a request that only counts the tokens of a prompt."""
        return read_messages_request(body, resolve, options, counting=True)

    def build_response(self, inbound: InboundChat, response: ChatResponse, answerer: Answerer) -> bytes:
        return build_messages_response(inbound, response, answerer)

    def make_writer(self, inbound: InboundChat, answerer: Answerer) -> MessagesStreamWriter:
        return MessagesStreamWriter(inbound, answerer)

    def build_error(self, error: ServedError, request_id: str) -> bytes:
        return build_messages_error(error, request_id)
