"""Fireworks, DeepInfra, Nebius, SambaNova and NVIDIA: hosts of open models.

Sources: docs.fireworks.ai (text models, error codes, headers), deepinfra.com/docs, docs.tokenfactory.nebius.com,
docs.sambanova.ai and the types of its SDK, docs.api.nvidia.com, and reports of their error bodies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, format_of
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.received import Received
from turnout_sandbox.rerank import RerankRules
from turnout_sandbox.server.responses import Fields, Response

__all__ = ["DEEPINFRA", "FIREWORKS", "NEBIUS", "NVIDIA", "SAMBANOVA"]

_DETAIL = {"detail": "{message}"}
_MEDIA = frozenset({"text", "image_url", "video_url", "audio_url"})


def _effort(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


# Fireworks


def _fireworks_headers(context: Context) -> Fields:
    return (
        ("fireworks-server-time-to-first-token", "0.118"),
        ("fireworks-backend-host", "loopback"),
        ("x-ratelimit-limit-requests", "600"),
        ("x-ratelimit-remaining-requests", str(600 - context.number % 600)),
        ("x-ratelimit-limit-tokens-prompt", "60000"),
        ("x-ratelimit-remaining-tokens-prompt", "59000"),
        ("x-ratelimit-limit-tokens-generated", "6000"),
        ("x-ratelimit-remaining-tokens-generated", "5900"),
    )


def _check_fireworks(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if body.get("context_length_exceeded_behavior") not in (None, "error", "truncate"):
        raise invalid("context_length_exceeded_behavior: Input should be 'error' or 'truncate'")


def _fireworks_row(status: int, code: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, "invalid_request_error" if status < 429 else "error", code, text)


FIREWORKS = OpenAIChatServer(
    name="fireworks",
    base="/inference/v1",
    models=(
        "accounts/fireworks/models/gpt-oss-120b",
        "accounts/fireworks/models/kimi-k2p6",
        "accounts/fireworks/models/qwen3-embedding-8b",
    ),
    shape=format_of(
        FormatRecord(
            identity="{uuid}",
            choice={"logprobs": None},
            usage_in="finish",
            usage_null=True,
            usage={"prompt_tokens_details": {"cached_tokens": 0}},
        )
    ),
    errors=ErrorTable(
        body={
            "error": {
                "object": "error",
                "type": "{type}",
                "code": "{code}",
                "message": "{message}",
                "param": "{param}",
            }
        },
        rows={
            ErrorKind.INVALID: _fireworks_row(400, "invalid_request_error"),
            ErrorKind.AUTH: _fireworks_row(401, "unauthorized", "The API key you provided is invalid."),
            ErrorKind.PERMISSION: _fireworks_row(403, "forbidden"),
            ErrorKind.NO_SUCH_MODEL: _fireworks_row(
                404, "NOT_FOUND", "Model not found, inaccessible, and/or not deployed"
            ),
            ErrorKind.NO_SUCH_PATH: _fireworks_row(404, "NOT_FOUND", "Path not found"),
            ErrorKind.CONTEXT_LENGTH: _fireworks_row(
                400,
                "invalid_request_error",
                "The prompt is too long: 200000, model maximum context length: 131071",
            ),
            ErrorKind.CONTENT_FILTER: _fireworks_row(400, "content_policy_violation"),
            ErrorKind.RATE_LIMIT: _fireworks_row(429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded, please try again."),
            # A spending limit is a failed precondition of the account.
            ErrorKind.QUOTA: ErrorRow(
                412,
                "error",
                "PRECONDITION_FAILED",
                "Account sandbox is suspended, possibly due to reaching the monthly spending limit or failure to pay",
            ),
            ErrorKind.OVERLOADED: _fireworks_row(503, "DEPLOYMENT_SCALING_UP", "The deployment is overloaded."),
            ErrorKind.SERVER: _fireworks_row(500, "internal_server_error"),
            ErrorKind.TIMEOUT: _fireworks_row(504, "timeout"),
        },
    ),
    rules=Rules(context_window=131_071, part_types=_MEDIA, max_choices=128),
    embeddings=EmbeddingRules(batch=256, resizable="qwen3-embedding|nomic"),
    reasons=_effort,
    check=_check_fireworks,
    headers=_fireworks_headers,
    responses=True,
    reranking=RerankRules(results="data", fields={"object": "list"}),
)


# DeepInfra

_DETAIL_ERROR = {"detail": {"error": "{message}"}}


def _deepinfra_row(status: int, type: str, code: str | None = None, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, code, text)


DEEPINFRA = OpenAIChatServer(
    name="deepinfra",
    base="/v1/openai",
    models=("openai/gpt-oss-120b", "Qwen/Qwen3-32B", "BAAI/bge-m3"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{alnum:22}",
            choice={"logprobs": None},
            message_choice={"logprobs": None},
            message={"name": None, "tool_calls": None},
            usage={"prompt_tokens_details": None, "estimated_cost": 1.2e-05},
        )
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: _deepinfra_row(400, "invalid_request_error"),
            ErrorKind.AUTH: ErrorRow(401, text="User authentication error", body=_DETAIL_ERROR, fixed=True),
            ErrorKind.PERMISSION: ErrorRow(403, text="Forbidden", body=_DETAIL_ERROR),
            ErrorKind.NO_SUCH_MODEL: _deepinfra_row(
                404, "invalid_request_error", "model_not_found", "The model `{model}` does not exist"
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"detail": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: _deepinfra_row(
                400,
                "invalid_request_error",
                None,
                "This model's maximum context length is 131072 tokens. However, you requested 200000 tokens.",
            ),
            ErrorKind.CONTENT_FILTER: _deepinfra_row(400, "content_filter"),
            ErrorKind.RATE_LIMIT: ErrorRow(429, text="Rate limited", body=_DETAIL_ERROR),
            ErrorKind.QUOTA: ErrorRow(
                402, text="inference prohibited, please enter a payment method or top up", body=_DETAIL_ERROR
            ),
            ErrorKind.OVERLOADED: _deepinfra_row(429, "error", None, "Model busy, retry later"),
            ErrorKind.SERVER: _deepinfra_row(500, "internal_server_error"),
            ErrorKind.TIMEOUT: _deepinfra_row(504, "timeout"),
        },
    ),
    rules=Rules(
        max_stop_sequences=16,
        context_window=131_072,
        part_types=_MEDIA,
        tool_choices=frozenset({"auto", "none"}),
        named_choice=False,
    ),
    embeddings=EmbeddingRules(batch=1024),
    reasons=_effort,
)


# Nebius

NEBIUS = OpenAIChatServer(
    name="nebius",
    base="/v1",
    models=("openai/gpt-oss-120b", "Qwen/Qwen3-32B", "Qwen/Qwen3-Embedding-8B"),
    shape=format_of(
        FormatRecord(
            call_identity="chatcmpl-tool-{hex:32}",
            choice={"logprobs": None},
            message_choice={"logprobs": None, "stop_reason": None},
            whole={"service_tier": None, "system_fingerprint": None, "prompt_logprobs": None},
            message={"refusal": None, "annotations": None, "audio": None, "function_call": None},
            usage={"prompt_tokens_details": None, "completion_tokens_details": None},
        )
    ),
    errors=ErrorTable(
        body=_DETAIL,
        event={"error": {"message": "{message}", "type": "{type}", "code": "{status}"}},
        rows={
            **{kind: ErrorRow(400, "BadRequestError") for kind in ErrorKind},
            ErrorKind.AUTH: ErrorRow(401, text="Couldn't authenticate request", fixed=True),
            ErrorKind.PERMISSION: ErrorRow(403, text="Forbidden"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(404, text="The model `{model}` does not exist."),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"detail": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400,
                text="Invalid request. Please check the parameters and try again. Details: This model's maximum "
                "context length is 131072 tokens. However, you requested 200000 tokens.",
            ),
            ErrorKind.RATE_LIMIT: ErrorRow(429, text="Rate limit exceeded. Please try again later."),
            ErrorKind.QUOTA: ErrorRow(402, text="Insufficient balance. Please top up your account."),
            ErrorKind.OVERLOADED: ErrorRow(503, "ServiceUnavailableError", text="The model is overloaded."),
            ErrorKind.SERVER: ErrorRow(500, "InternalServerError", text="Internal Server Error"),
            ErrorKind.TIMEOUT: ErrorRow(504, text="Gateway Timeout"),
        },
    ),
    rules=Rules(max_stop_sequences=1000, context_window=131_072, part_types=_MEDIA),
    embeddings=EmbeddingRules(),
    reasons=_effort,
    headers=lambda context: (("x-request-id", f"{context.rng.getrandbits(128):032x}"),),
)


# SambaNova


def _sambanova_headers(context: Context) -> Fields:
    return (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", str(60 - context.number % 60)),
        ("x-ratelimit-reset-requests", str(int(time.time()) + 60)),
        ("x-ratelimit-limit-requests-day", "12000"),
        ("x-ratelimit-remaining-requests-day", str(12000 - context.number % 12000)),
    )


def _check_sambanova(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if body.get("logprobs"):
        raise invalid("logprobs is not supported", param="logprobs")
    if body.get("n") not in (None, 1):
        raise invalid("n must be 1", param="n")


SAMBANOVA = OpenAIChatServer(
    name="sambanova",
    base="/v1",
    models=("gpt-oss-120b", "Meta-Llama-3.3-70B-Instruct", "E5-Mistral-7B-Instruct"),
    shape=format_of(
        FormatRecord(
            identity="{uuid}",
            call_identity="call_{hex:18}",
            reasoning="reasoning",
            chunk={"system_fingerprint": "fastcoe"},
            choice={"logprobs": None},
            message_choice={"logprobs": None},
            whole={"system_fingerprint": "fastcoe"},
            usage_in="own_always",
            usage={
                "acceptance_rate": 0,
                "completion_tokens_after_first_per_sec": 702.1,
                "completion_tokens_per_sec": 540.7,
                "end_time": "{created}",
                "is_last_response": True,
                "start_time": "{created}",
                "stop_reason": "stop",
                "time_to_first_token": 0.12,
                "total_latency": 0.21,
                "total_tokens_per_sec": 802.3,
            },
        )
    ),
    errors=ErrorTable(
        body={"error": {"code": "{code}", "message": "{message}", "param": "{param}", "type": "{type}"}},
        rows={
            ErrorKind.INVALID: ErrorRow(400, "invalid_request_error"),
            ErrorKind.AUTH: ErrorRow(401, body="Unauthorized"),
            ErrorKind.PERMISSION: ErrorRow(403, "permission_denied"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                404, "invalid_request_error", "model_not_found", "Model '{model}' not found"
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body="404 page not found"),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400,
                "invalid_request_error",
                None,
                "Requested generation length 1024 with prompt length 200000 exceeds the maximum context length 131072",
            ),
            ErrorKind.CONTENT_FILTER: ErrorRow(400, "content_filter"),
            ErrorKind.RATE_LIMIT: ErrorRow(429, "rate_limit_exceeded", "rate_limit_exceeded", "Rate limit exceeded"),
            ErrorKind.QUOTA: ErrorRow(402, "insufficient_quota", "insufficient_quota", "Insufficient balance"),
            ErrorKind.OVERLOADED: ErrorRow(503, "service_unavailable", None, "The model is temporarily at capacity"),
            ErrorKind.SERVER: ErrorRow(500, "Error", None, "unexpected_error"),
            ErrorKind.TIMEOUT: ErrorRow(408, "request_timeout"),
        },
    ),
    rules=Rules(
        context_window=131_072, refused=frozenset({"logit_bias", "presence_penalty", "frequency_penalty", "seed"})
    ),
    embeddings=EmbeddingRules(base64=False),
    reasons=_effort,
    check=_check_sambanova,
    headers=_sambanova_headers,
)


# NVIDIA


@attrs.frozen(kw_only=True)
class NvidiaServer(OpenAIChatServer):
    """Its retrievers want to know whether a text is a question, or a passage to be found."""

    def _embeddings(self, received: Received, context: Context) -> Response:
        if isinstance(received.body, Mapping) and received.body.get("input_type") not in ("query", "passage"):
            raise invalid("'input_type' parameter is required", param="input_type")
        return OpenAIChatServer._embeddings(self, received, context)


def _problem(status: int, title: str, detail: str = "") -> ErrorRow:
    """Return a row of a gateway that describes problems as RFC 9457 does."""
    body = {"status": status, "title": title, **({"detail": detail} if detail else {})}
    return ErrorRow(status, body=body, headers=(("content-type", "application/problem+json"),))


def _nvidia_row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, status, text)


NVIDIA = NvidiaServer(
    name="nvidia",
    base="/v1",
    models=("openai/gpt-oss-120b", "meta/llama-3.3-70b-instruct", "nvidia/llama-nemotron-embed-1b-v2"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{hex:32}",
            call_identity="chatcmpl-tool-{hex:32}",
            choice={"logprobs": None},
            message_choice={"logprobs": None, "stop_reason": None},
            whole={"prompt_logprobs": None},
            message={"refusal": None, "annotations": None, "audio": None, "function_call": None},
            usage={"prompt_tokens_details": None, "reasoning_tokens": "{reasoning}"},
        )
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: _nvidia_row(400, "BadRequestError"),
            ErrorKind.AUTH: _problem(401, "Unauthorized", "Authentication failed"),
            ErrorKind.PERMISSION: _problem(403, "Forbidden", "Authorization failed"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(404, body="404 page not found\n"),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body="404 page not found\n"),
            ErrorKind.CONTEXT_LENGTH: _nvidia_row(
                400,
                "BadRequestError",
                "This model's maximum context length is 131072 tokens. However, you requested 200000 tokens. Please "
                "reduce the length of the messages or completion.",
            ),
            ErrorKind.CONTENT_FILTER: _nvidia_row(400, "BadRequestError"),
            ErrorKind.RATE_LIMIT: _problem(429, "Too Many Requests"),
            ErrorKind.QUOTA: _problem(
                402, "Payment Required", "Cloud credits expired - Please contact NVIDIA representatives"
            ),
            ErrorKind.OVERLOADED: _problem(503, "Service Unavailable", "ResourceExhausted: Worker queue is full"),
            ErrorKind.SERVER: _nvidia_row(500, "internal_server_error"),
            ErrorKind.TIMEOUT: _problem(504, "Gateway Timeout"),
        },
        event={"error": {"message": "{message}", "type": "{type}", "param": None, "code": "{status}"}},
    ),
    rules=Rules(context_window=131_072, part_types=_MEDIA),
    embeddings=EmbeddingRules(),
    reasons=_effort,
    headers=lambda context: (
        ("nvcf-reqid", f"{context.rng.getrandbits(128):032x}"),
        ("nvcf-status", "fulfilled"),
    ),
)
