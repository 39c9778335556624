"""Mistral as the sandbox plays it: strict about fields, ids of calls and the role of the last message."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, ScriptedCall
from turnout_sandbox.dialect import Context, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.errors import ErrorResponse, text_of
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.server.responses import Fields

__all__ = ["MISTRAL"]

_FIELDS = """
model messages temperature top_p max_tokens stream stop random_seed metadata response_format tools tool_choice
presence_penalty frequency_penalty min_tokens repetition_penalty top_k logprobs top_logprobs n prediction
parallel_tool_calls reasoning_effort prompt_mode guardrails prompt_cache_key service_tier safe_prompt
"""
_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")

_ERRORS = {
    ErrorKind.INVALID: (400, "invalid_request_error", "3000"),
    ErrorKind.PERMISSION: (403, "permission_denied", "1800"),
    ErrorKind.NO_SUCH_MODEL: (400, "invalid_model", "1500"),
    ErrorKind.NO_SUCH_PATH: (404, "not_found", None),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_prompt", "3051"),
    ErrorKind.CONTENT_FILTER: (403, "content_filter", None),
    ErrorKind.RATE_LIMIT: (429, "rate_limited", "1300"),
    ErrorKind.QUOTA: (402, "payment_required", None),
    ErrorKind.OVERLOADED: (503, "service_unavailable", "3502"),
    ErrorKind.SERVER: (500, "internal_server_error", "1000"),
    ErrorKind.TIMEOUT: (504, "timeout", None),
}
_TEXTS = {
    ErrorKind.NO_SUCH_MODEL: "Invalid model: {model}",
    ErrorKind.CONTEXT_LENGTH: "Prompt contains 200000 tokens, too large for model with 131072 maximum context length",
    ErrorKind.RATE_LIMIT: "Requests rate limit exceeded",
}


def mistral_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    """Return a flat error; a wrong key and an unknown field have other forms."""
    if refused.kind is ErrorKind.AUTH:
        return ErrorResponse(refused.status or 401, {"detail": "Invalid API Key"})
    if refused.code == "unknown_parameter":
        wrong = {"type": "extra_forbidden", "loc": ["body", refused.param], "msg": "Extra inputs are not permitted"}
        return ErrorResponse(422, {"object": "error", "message": {"detail": [wrong]}, "type": "invalid_request_error"})
    status, kind, code = _ERRORS[refused.kind]
    text = refused.message or _TEXTS.get(refused.kind, "").format(model=refused.model) or text_of(refused)
    status = refused.status or status
    body = {"object": "error", "message": text, "type": kind, "param": refused.param, "code": code}
    return ErrorResponse(status, body, (), {"error": body})


@attrs.define
class MistralFormat(ChatFormat):
    """Padding in every chunk, thinking as a part of the content, calls whole and without a type."""

    def new_id(self) -> str:
        return token_of(self.rng, 32, "0123456789abcdef")

    def new_call_id(self) -> str:
        return token_of(self.rng, 9)

    def usage(self) -> dict[str, Any]:
        return {**ChatFormat.usage(self), "prompt_tokens_details": {"cached_tokens": 0}, "service_tier": "standard"}

    def event(self, payload: Mapping[str, Any]) -> bytes:
        return ChatFormat.event(self, {**payload, "p": "abcdefghijklmnopqrstuvwxyz"[: self.rng.randrange(1, 26)]})

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        yield {
            "tool_calls": [{"id": identity, "function": {"name": call.name, "arguments": call.text}, "index": index}]
        }

    def message(self) -> dict[str, Any]:
        content: Any = self.turn.whole_text
        if self.turn.reasoning:
            thinking = {"type": "thinking", "thinking": [{"type": "text", "text": self.turn.whole_reasoning}]}
            content = [thinking, {"type": "text", "text": content}]
        calls = [
            {"id": identity, "function": {"name": call.name, "arguments": call.text}, "index": index}
            for index, (identity, call) in enumerate(self.calls)
        ]
        return {"role": "assistant", "tool_calls": calls or None, "content": content}


def _headers(context: Context) -> Fields:
    return (
        ("mistral-correlation-id", token_of(context.rng, 32, "0123456789abcdef")),
        ("x-ratelimit-limit-req-minute", "60"),
        ("x-ratelimit-remaining-req-minute", str(60 - context.number % 60)),
        ("x-ratelimit-limit-tokens-minute", "500000"),
        ("x-ratelimit-remaining-tokens-minute", "499964"),
        ("x-ratelimit-limit-tokens-month", "1000000000"),
        ("x-ratelimit-remaining-tokens-month", "999999964"),
    )


def _reasons(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none") or body.get("prompt_mode") == "reasoning"


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    last = ""
    for place, message in enumerate(body["messages"]):
        role = message["role"]
        if role == "user" and last == "tool":
            raise invalid("Unexpected role 'user' after role 'tool'")
        if "name" in message and role != "tool":
            raise invalid(param=f"messages.{place}.name", code="unknown_parameter")
        if role == "assistant" and not message.get("content") and not message.get("tool_calls"):
            raise invalid("Assistant message must have either content or tool_calls, but not none.")
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        ids += [message["tool_call_id"]] if role == "tool" else []
        for identity in ids:
            if not _CALL_ID.fullmatch(identity):
                text = f"Tool call id was {identity} but must be a-z, A-Z, 0-9, with a length of 9."
                raise invalid(text, param="messages")
        last = role


def _with_call_types(body: Mapping[str, Any]) -> Mapping[str, Any]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    return {**body, "messages": [_with_call_type(message) for message in messages]}


def _with_call_type(message: object) -> object:
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or not isinstance(calls, list):
        return message
    typed = [{"type": "function", **call} if isinstance(call, Mapping) else call for call in calls]
    return {**message, "tool_calls": typed}


@attrs.frozen(kw_only=True)
class MistralServer(OpenAIChatServer):
    """Models have capabilities and a context window, embeddings an id; the type of a tool call is optional."""

    def _model(self, model: str, context: Context) -> dict[str, Any]:
        chat = "embed" not in model
        can = {"completion_chat": chat, "function_calling": chat, "completion_fim": False, "fine_tuning": False}
        more = {"capabilities": {**can, "vision": False}, "name": model, "max_context_length": 131_072, "aliases": []}
        return {**OpenAIChatServer._model(self, model, context), **more, "owned_by": "mistralai", "type": "base"}

    def _embedding_fields(self, context: Context) -> Mapping[str, Any]:
        return {"id": token_of(context.rng, 32, "0123456789abcdef")}

    def _read(
        self,
        body: Mapping[str, Any],
        rules: Rules,
        put: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> tuple[Mapping[str, Any], ParsedRequest]:
        return OpenAIChatServer._read(self, body, rules, lambda given: _with_call_types(put(given)))


MISTRAL = MistralServer(
    name="mistral",
    base="/v1",
    models=("mistral-small-latest", "mistral-large-latest", "magistral-medium-latest", "mistral-embed"),
    shape=MistralFormat,
    errors=mistral_errors,
    rules=Rules(
        parameters=frozenset(_FIELDS.split()),
        max_temperature=1.5,
        max_stop_sequences=128,
        context_window=131_072,
        max_choices=16,
        tool_choices=frozenset({"none", "auto", "any", "required"}),
    ),
    embeddings=EmbeddingRules(size_field="output_dimension", batch=32, resizable="codestral-embed|mistral-embed"),
    reasons=_reasons,
    check=_check,
    headers=_headers,
    prefix="prefix",
    responses=True,
    counts_tokens=True,
    responses_refused=frozenset({"include"}),
    responses_checked=False,
    repeats_prefix=True,
)
