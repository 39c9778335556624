"""The server's side of chat completions, Messages, Responses and embeddings, as pure machines.

A dialect of `turnout.providers` writes requests and reads answers. A dialect here reads requests and writes answers:

    inbound = dialect.read_request(body, resolve, options)   # raises RequestRejected
    body = dialect.build_response(inbound, response, answerer)
    writer = dialect.make_writer(inbound, answerer)          # for a stream: opening(), event(), ping(), error()

The two packages never import each other. A client of one author and a server of another must understand each other,
so the tests put one after the other and require the same request and the same answer.
"""

from turnout.serving.chat_completions import ChatCompletions
from turnout.serving.embeddings import build_embedding_response, read_embedding_request
from turnout.serving.errors import INTERNAL_ERROR, RequestRejected, ServedError, served_error
from turnout.serving.inbound import (
    Answerer,
    ChatDialect,
    InboundChat,
    InboundEmbedding,
    Partial,
    ReadOptions,
    Resolve,
    StreamWriter,
)
from turnout.serving.messages import Messages
from turnout.serving.model_list import build_model, build_models, build_token_count
from turnout.serving.responses import Responses

__all__ = [
    "INTERNAL_ERROR",
    "Answerer",
    "ChatCompletions",
    "ChatDialect",
    "InboundChat",
    "InboundEmbedding",
    "Messages",
    "Partial",
    "ReadOptions",
    "RequestRejected",
    "Resolve",
    "Responses",
    "ServedError",
    "StreamWriter",
    "build_embedding_response",
    "build_model",
    "build_models",
    "build_token_count",
    "read_embedding_request",
    "served_error",
]
