"""Hugging Face, Vercel and GitHub Copilot: gateways to the models of many makers.

Sources: huggingface.co/docs/inference-providers, vercel.com/docs/ai-gateway (OpenAI compatibility, error handling), and
the client code of Copilot's editor extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, RecordFormat, format_of
from turnout_sandbox.openai.requests import Rules

__all__ = ["GITHUB", "HUGGINGFACE", "VERCEL"]

_MEDIA = frozenset({"text", "image_url", "video_url", "audio_url", "input_audio", "file"})
_ROLES = frozenset({"developer", "system", "user", "assistant", "tool"})


def _effort(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


# Hugging Face


@attrs.frozen(kw_only=True)
class HuggingFaceServer(OpenAIChatServer):
    """Its list of models names the hosts of each, and needs no key."""

    def listed(self, context: Context) -> list[dict[str, Any]]:
        host = {"provider": "sandbox", "status": "live", "context_length": 131_072, "supports_tools": True}
        return [{**entry, "providers": [host]} for entry in OpenAIChatServer.listed(self, context)]


HUGGINGFACE = HuggingFaceServer(
    name="huggingface",
    base="/v1",
    models=("openai/gpt-oss-120b", "Qwen/Qwen3-32B", "deepseek-ai/DeepSeek-V3.2"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{hex:32}",
            choice={"logprobs": None},
            message_choice={"logprobs": None},
            delta={"role": "assistant"},
            usage={"prompt_tokens_details": {"cached_tokens": 0}},
        )
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: ErrorRow(400, "invalid_request_error"),
            ErrorKind.AUTH: ErrorRow(401, body={"error": "Invalid username or password."}),
            ErrorKind.PERMISSION: ErrorRow(
                403,
                body={
                    "error": "This authentication method does not have sufficient permissions to call Inference "
                    "Providers on behalf of user sandbox"
                },
            ),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                400, "invalid_request_error", "model_not_found", "The requested model '{model}' does not exist"
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"error": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400,
                "invalid_request_error",
                "context_length_exceeded",
                "This model's maximum context length is 131072 tokens. Please reduce the length of the messages.",
            ),
            ErrorKind.CONTENT_FILTER: ErrorRow(400, "invalid_request_error", "content_filter"),
            ErrorKind.RATE_LIMIT: ErrorRow(429, body={"error": "Too many requests, please slow down."}),
            ErrorKind.QUOTA: ErrorRow(
                402,
                body={
                    "error": "You have exceeded your monthly included credits for Inference Providers. Subscribe to "
                    "PRO to get more monthly included credits."
                },
            ),
            ErrorKind.OVERLOADED: ErrorRow(
                503, "service_unavailable", None, "The model is overloaded, try again later"
            ),
            ErrorKind.SERVER: ErrorRow(500, body={"error": "Internal Server Error"}),
            ErrorKind.TIMEOUT: ErrorRow(504, body={"error": "Gateway Timeout"}),
        },
    ),
    rules=Rules(context_window=131_072, part_types=_MEDIA),
    reasons=_effort,
    headers=lambda context: (("x-inference-provider", "sandbox"), ("x-robots-tag", "none")),
    open_models=True,
    responses=True,
)


# Vercel


def _vercel_reasons(body: Mapping[str, Any]) -> bool:
    reasoning = body.get("reasoning")
    if isinstance(reasoning, Mapping):
        enabled = reasoning.get("enabled") is not False and reasoning.get("effort") != "none"
        return enabled and not reasoning.get("exclude")
    return _effort(body)


@attrs.define
class _VercelFormat(RecordFormat):
    """The reasoning is there as plain text and as details."""

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {"reasoning": piece, "reasoning_details": [self._detail(piece)]}

    def message(self) -> dict[str, Any]:
        message = RecordFormat.message(self)
        if self.turn.reasoning:
            message["reasoning_details"] = [self._detail(self.turn.whole_reasoning)]
        return message

    def _detail(self, text: str) -> dict[str, Any]:
        return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _vercel_row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, None, text)


VERCEL = OpenAIChatServer(
    name="vercel",
    base="/v1",
    models=("openai/gpt-5.2", "anthropic/claude-sonnet-4.6", "openai/text-embedding-3-small"),
    shape=format_of(
        FormatRecord(
            identity="gen_{crockford:26}",
            reasoning="reasoning",
            chunk={"system_fingerprint": "fp_{lower:10}"},
            choice={"logprobs": None},
            whole={"system_fingerprint": "fp_{lower:10}", "generationId": "{identity}"},
            message={"provider_metadata": {"gateway": {"routing": {"finalProvider": "sandbox"}, "cost": "0.00001"}}},
            usage_in="finish",
            usage={
                "cost": 1e-05,
                "is_byok": False,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": "{reasoning}"},
                "market_cost": 1e-05,
            },
            last={"generationId": "{identity}"},
        ),
        _VercelFormat,
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: _vercel_row(400, "invalid_request_error"),
            ErrorKind.AUTH: _vercel_row(401, "authentication_error", "Invalid API key"),
            ErrorKind.PERMISSION: _vercel_row(403, "permission_denied"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                404,
                "model_not_found",
                None,
                "Model '{model}' not found",
                {"error": {"message": "{message}", "type": "{type}", "param": {"modelId": "{model}"}}},
            ),
            ErrorKind.NO_SUCH_PATH: _vercel_row(404, "not_found"),
            ErrorKind.CONTEXT_LENGTH: _vercel_row(
                400, "invalid_request_error", "Input is too long: the prompt exceeds the context window of this model."
            ),
            ErrorKind.CONTENT_FILTER: _vercel_row(400, "content_filter"),
            ErrorKind.RATE_LIMIT: _vercel_row(429, "rate_limit_exceeded", "Rate limit exceeded"),
            ErrorKind.QUOTA: _vercel_row(
                402, "insufficient_funds", "Insufficient funds. Please add credits to your account to continue."
            ),
            ErrorKind.OVERLOADED: _vercel_row(503, "service_unavailable", "The provider is overloaded"),
            ErrorKind.SERVER: _vercel_row(500, "internal_server_error", "Internal server error"),
            ErrorKind.TIMEOUT: _vercel_row(504, "timeout_error"),
        },
    ),
    rules=Rules(roles=_ROLES, part_types=_MEDIA),
    embeddings=EmbeddingRules(),
    reasons=_vercel_reasons,
    open_models=True,
    responses=True,
)


# GitHub Copilot

_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


@attrs.define
class _CopilotFormat(RecordFormat):
    """The filters' result in a first chunk without choices, and a proof of the reasoning before the text."""

    def opening(self) -> list[bytes]:
        filters = [{"content_filter_results": _SAFE, "prompt_index": 0}]
        first = {"choices": [], "created": 0, "id": "", "prompt_filter_results": filters}
        return [self.event(first), *RecordFormat.opening(self)]

    def message(self) -> dict[str, Any]:
        message = RecordFormat.message(self)
        if self.turn.reasoning:
            message["reasoning_opaque"] = self._filled("{alnum:44}")
        return message


def _copilot_row(status: int, code: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, "invalid_request_error" if status < 429 else "server_error", code, text)


@attrs.frozen(kw_only=True)
class CopilotServer(OpenAIChatServer):
    """Its list of models has their limits."""

    def listed(self, context: Context) -> list[dict[str, Any]]:
        limits = {"max_context_window_tokens": 128_000, "max_prompt_tokens": 128_000, "max_output_tokens": 16_384}
        kind = {"family": "sandbox", "limits": limits, "object": "model_capabilities", "tokenizer": "o200k_base"}
        more = {"capabilities": {**kind, "type": "chat"}, "model_picker_enabled": True, "preview": False}
        return [{**entry, "name": entry["id"], **more} for entry in OpenAIChatServer.listed(self, context)]


def _check_copilot(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if request.model.startswith("gpt-5") and body.get("max_tokens") is not None:
        text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        raise invalid(text, param="max_tokens", code="unsupported_parameter")


GITHUB = CopilotServer(
    name="github",
    base="",
    models=("gpt-4o", "gpt-5-mini", "claude-sonnet-4.6", "text-embedding-3-small"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{alnum:29}",
            reasoning="reasoning_text",
            chunk={"system_fingerprint": "fp_{hex:10}"},
            choice={"content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 0}},
            usage_in="finish",
            usage={"prompt_tokens_details": {"cached_tokens": 0}, "reasoning_tokens": "{reasoning}"},
        ),
        _CopilotFormat,
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "code": "{code}", "param": "{param}", "type": "{type}"}},
        event={"error": {"message": "{message}", "code": "{code}", "type": "{type}"}},
        rows={
            ErrorKind.INVALID: _copilot_row(400, "invalid_request_body"),
            ErrorKind.AUTH: ErrorRow(401, body="unauthorized: token expired\n"),
            ErrorKind.PERMISSION: ErrorRow(403, body="Access to this endpoint is forbidden.\n"),
            ErrorKind.NO_SUCH_MODEL: _copilot_row(400, "model_not_supported", "The requested model is not supported."),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body="404 page not found\n"),
            ErrorKind.CONTEXT_LENGTH: _copilot_row(
                400,
                "model_max_prompt_tokens_exceeded",
                "prompt token count of 200000 exceeds the limit of 128000",
            ),
            ErrorKind.CONTENT_FILTER: _copilot_row(400, "content_filter"),
            ErrorKind.RATE_LIMIT: _copilot_row(
                429, "user_model_rate_limited", "Sorry, you've exhausted this model's rate limit. Please wait a moment."
            ),
            ErrorKind.QUOTA: _copilot_row(402, "quota_exceeded", "You have no quota left"),
            ErrorKind.OVERLOADED: _copilot_row(503, "service_unavailable", "The service is overloaded"),
            ErrorKind.SERVER: _copilot_row(500, "internal_error"),
            ErrorKind.TIMEOUT: _copilot_row(504, "timeout"),
        },
    ),
    rules=Rules(roles=_ROLES, part_types=frozenset({"text", "image_url"})),
    embeddings=EmbeddingRules(batch=512),
    reasons=_effort,
    check=_check_copilot,
    headers=lambda context: (("x-github-request-id", f"{context.rng.getrandbits(64):016X}"),),
    responses=True,
)
