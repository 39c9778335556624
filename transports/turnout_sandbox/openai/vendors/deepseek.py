"""DeepSeek as the sandbox plays it: clients return the reasoning with its calls, and prefixes need /beta."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.errors import ErrorResponse, text_of
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response

__all__ = ["DEEPSEEK"]

_ERRORS = {
    ErrorKind.INVALID: (400, "invalid_request_error"),
    ErrorKind.AUTH: (401, "authentication_error"),
    ErrorKind.PERMISSION: (403, "permission_error"),
    ErrorKind.NO_SUCH_MODEL: (400, "invalid_request_error"),
    ErrorKind.NO_SUCH_PATH: (404, "invalid_request_error"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error"),
    ErrorKind.CONTENT_FILTER: (400, "content_filter"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error"),
    ErrorKind.QUOTA: (402, "unknown_error"),
    ErrorKind.OVERLOADED: (503, "service_unavailable_error"),
    ErrorKind.SERVER: (500, "server_error"),
    ErrorKind.TIMEOUT: (504, "server_error"),
}
_TEXTS = {
    ErrorKind.NO_SUCH_MODEL: "Model Not Exist",
    ErrorKind.QUOTA: "Insufficient Balance",
    ErrorKind.CONTEXT_LENGTH: "This model's maximum context length is 1048565 tokens. Please reduce the length.",
}


def deepseek_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, kind = _ERRORS[refused.kind]
    text = refused.message or _TEXTS.get(refused.kind) or text_of(refused)
    error = {"message": text, "type": kind, "param": refused.param, "code": "invalid_request_error"}
    # Seen so: the errors are JSON, and called a stream of octets.
    return ErrorResponse(refused.status or status, {"error": error}, (("content-type", "application/octet-stream"),))


@attrs.define
class DeepSeekFormat(ChatFormat):
    """Usage null until the finish chunk, content and reasoning null by turns, blank lines before a whole answer."""

    reasoning_key: ClassVar[str] = "reasoning_content"

    def usage(self) -> dict[str, Any]:
        prompt = self.turn.prompt_tokens
        return {
            **ChatFormat.usage(self),
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.turn.reasoning_tokens},
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": prompt,
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return ChatFormat.chunk(self, choices, **{"system_fingerprint": "fp_eaab8d114b", "usage": None, **more})

    def opening(self) -> list[bytes]:
        return [b": keep-alive\n\n", *ChatFormat.opening(self)]

    def text_delta(self, piece: str) -> dict[str, Any]:
        return {"content": piece, "reasoning_content": None}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {"content": None, "reasoning_content": piece}

    def encoded(self) -> bytes:
        return b"\n\n\n" + ChatFormat.encoded(self)


def _reasons(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") == "enabled"
    return "reasoner" in str(body.get("model")) or "-v4" in str(body.get("model"))


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if not request.reasoning:
        return
    if request.tool_choice == "required":
        raise invalid("Thinking mode does not support this tool_choice", param="tool_choice")
    if body.get("logprobs"):
        raise invalid("Thinking mode does not support logprobs", param="logprobs")
    turn: list[Mapping[str, Any]] = []
    for message in (*body["messages"], {"role": "user"}):
        if message["role"] == "assistant":
            turn.append(message)
        elif message["role"] == "user":
            called = any(one.get("tool_calls") for one in turn)
            if called and not all(isinstance(one.get("reasoning_content"), str) for one in turn):
                text = "The `reasoning_content` in the thinking mode must be passed back to the API."
                raise invalid(text, param="messages")
            turn = []


@attrs.frozen(kw_only=True)
class DeepSeekServer(OpenAIChatServer):
    """The same paths with and without `/v1`; under `/beta` an answer may be begun."""

    def respond(self, received: Received, context: Context) -> Response:
        path = received.path
        for before in ("/v1", "/beta"):
            path = path.removeprefix(before)
        begun = isinstance(received.body, Mapping) and _begun(received.body)
        if begun and not received.path.startswith("/beta/"):
            raise invalid("The prefix parameter needs the beta endpoint", param="messages")
        dialect = attrs.evolve(self, prefix="prefix" if begun else "")
        return OpenAIChatServer.respond(dialect, attrs.evolve(received, path=path), context)


def _begun(body: Mapping[str, Any]) -> bool:
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, Mapping) and last.get("prefix") is True


DEEPSEEK = DeepSeekServer(
    name="deepseek",
    base="",
    models=("deepseek-v4-flash", "deepseek-v4-pro", "deepseek-chat", "deepseek-reasoner"),
    shape=DeepSeekFormat,
    errors=deepseek_errors,
    rules=Rules(
        max_stop_sequences=16,
        context_window=1_048_565,
        part_types=frozenset({"text"}),
        formats=frozenset({"text", "json_object"}),
    ),
    reasons=_reasons,
    check=_check,
    responses=True,
)
