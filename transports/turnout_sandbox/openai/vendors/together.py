"""Together as the sandbox plays it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.errors import ErrorResponse, openai_errors
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.rerank import RerankRules
from turnout_sandbox.server.responses import Fields

__all__ = ["TOGETHER"]


def together_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    """OpenAI's, with other statuses: an overflow is a 403, a used-up account a 402."""
    status = {ErrorKind.CONTEXT_LENGTH: 403, ErrorKind.QUOTA: 402}.get(refused.kind)
    error_response = openai_errors(refused, rng)
    if status is None:
        return error_response
    error = {
        **error_response.body["error"],
        "type": "invalid_request_error" if status == 403 else "credit_limit",
        "code": None,
    }
    return ErrorResponse(refused.status or status, {"error": error})


@attrs.define
class TogetherFormat(ChatFormat):
    """The text twice in every chunk, usage null until the last."""

    reasoning_key: ClassVar[str] = "reasoning"

    def new_id(self) -> str:
        return f"{token_of(self.rng, 7)}-{token_of(self.rng, 16, '0123456789abcdef')}"

    def usage(self) -> dict[str, Any]:
        return {**ChatFormat.usage(self), "cached_tokens": 0}

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return ChatFormat.chunk(self, choices, **{"usage": None, **more})

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "index": self.index,
            "text": delta.get("content") or "",
            "delta": delta,
            "finish_reason": finish,
            "seed": None,
        }


def _headers(context: Context) -> Fields:
    return (
        ("x-ratelimit", "false"),
        ("x-ratelimit-limit", "10"),
        ("x-ratelimit-remaining", "9"),
        ("x-ratelimit-reset", "1"),
        ("x-ratelimit-limit-tokens", "3000"),
        ("x-ratelimit-remaining-tokens", "2900"),
    )


def _reasons(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    logprobs = body.get("logprobs")
    if logprobs is not None and (isinstance(logprobs, bool) or not 0 <= logprobs <= 20):
        raise invalid("logprobs: an integer from 0 to 20 is expected", param="logprobs")


@attrs.frozen(kw_only=True)
class TogetherServer(OpenAIChatServer):
    """Its list of models is a bare array."""

    def _model_list(self, context: Context) -> Any:
        return [{**entry, "context_length": 131_072} for entry in self.listed(context)]


TOGETHER = TogetherServer(
    name="together",
    base="/v1",
    models=(
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "openai/gpt-oss-120b",
        "BAAI/bge-large-en-v1.5",
        "Salesforce/Llama-Rank-v1",
    ),
    shape=TogetherFormat,
    errors=together_errors,
    rules=Rules(context_window=131_072, max_choices=128),
    embeddings=EmbeddingRules(),
    reasons=_reasons,
    check=_check,
    headers=_headers,
    reranking=RerankRules(fields={"object": "rerank"}),
)
