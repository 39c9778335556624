"""LM Studio, vLLM and llama.cpp: servers that users run themselves. They take any key unless one was set.

Sources: lmstudio.ai/docs (OpenAI compatibility), the entry points and protocol classes of vLLM, the server of llama.cpp
(tools/server), and reports of their error bodies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, format_of
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.rerank import RerankRules

__all__ = ["LLAMA_CPP", "LM_STUDIO", "VLLM"]

_PARTS = frozenset({"text", "image_url", "video_url", "input_audio", "audio_url", "file"})


def _effort(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


def _only_words(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if isinstance(body.get("tool_choice"), Mapping):
        text = "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"
        raise invalid(text, param="tool_choice")


LM_STUDIO = OpenAIChatServer(
    name="lm-studio",
    base="/v1",
    models=("openai/gpt-oss-20b", "qwen/qwen3-8b", "text-embedding-nomic-embed-text-v1.5"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{lower:21}",
            call_identity="{digits:9}",
            chunk={"system_fingerprint": "{model}"},
            choice={"logprobs": None},
            message_choice={"logprobs": None},
            whole={"stats": {}, "system_fingerprint": "{model}"},
            message={"content": ""},
            delta={"role": "assistant"},
            first_delta=None,
            empty_content=True,
            usage={"completion_tokens_details": {"reasoning_tokens": "{reasoning}"}},
        )
    ),
    errors=ErrorTable(
        body={"error": "{message}"},
        event={"error": {"message": "{message}"}, "message": "{message}"},
        rows={
            **{kind: ErrorRow(400) for kind in ErrorKind},
            ErrorKind.AUTH: ErrorRow(
                401,
                "invalid_request_error",
                "invalid_api_key",
                "Malformed LM Studio API token provided.",
                {"error": {"message": "{message}", "type": "{type}", "code": "{code}"}},
            ),
            ErrorKind.PERMISSION: ErrorRow(403),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                404,
                "invalid_request_error",
                "model_not_found",
                "Model not found",
                {"error": {"message": "{message}", "type": "{type}", "param": "model", "code": "{code}"}},
            ),
            # It answers paths that it does not know with a 200.
            ErrorKind.NO_SUCH_PATH: ErrorRow(200, text="Unexpected endpoint or method."),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400,
                text="The number of tokens to keep from the initial prompt is greater than the context length. Try to "
                "load the model with a larger context length, or provide a shorter input",
            ),
            ErrorKind.RATE_LIMIT: ErrorRow(429, text="Too many requests"),
            ErrorKind.QUOTA: ErrorRow(402),
            ErrorKind.OVERLOADED: ErrorRow(503, text="Model is loading. Please try again later."),
            ErrorKind.SERVER: ErrorRow(500, text="The model has crashed without additional information."),
            ErrorKind.TIMEOUT: ErrorRow(504),
        },
    ),
    rules=Rules(max_stop_sequences=1000, part_types=_PARTS, formats=frozenset({"text", "json_schema"})),
    embeddings=EmbeddingRules(base64=False),
    reasons=_effort,
    check=_only_words,
    needs_key=False,
    error_event="error",
    responses=True,
)

_VLLM_ERROR = {"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}}


def _vllm_row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, status, text)


VLLM = OpenAIChatServer(
    name="vllm",
    base="/v1",
    models=("Qwen/Qwen3-8B", "openai/gpt-oss-20b", "BAAI/bge-m3"),
    shape=format_of(
        FormatRecord(
            call_identity="chatcmpl-tool-{hex:32}",
            reasoning="reasoning",
            choice={"logprobs": None, "token_ids": None},
            message_choice={"logprobs": None, "stop_reason": None, "token_ids": None},
            whole={
                "service_tier": None,
                "system_fingerprint": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "kv_transfer_params": None,
            },
            message={"refusal": None, "annotations": None, "audio": None, "function_call": None, "reasoning": None},
            usage={"prompt_tokens_details": None},
        )
    ),
    errors=ErrorTable(
        body=_VLLM_ERROR,
        rows={
            ErrorKind.INVALID: _vllm_row(400, "BadRequestError"),
            ErrorKind.AUTH: ErrorRow(401, body={"error": "Unauthorized"}),
            ErrorKind.PERMISSION: _vllm_row(403, "PermissionDeniedError"),
            ErrorKind.NO_SUCH_MODEL: _vllm_row(404, "NotFoundError", "The model `{model}` does not exist."),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"detail": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: _vllm_row(
                400,
                "BadRequestError",
                "This model's maximum context length is 40960 tokens. However, your request has 200000 input tokens. "
                "Please reduce the length of the input messages.",
            ),
            ErrorKind.CONTENT_FILTER: _vllm_row(400, "BadRequestError"),
            ErrorKind.RATE_LIMIT: _vllm_row(429, "RateLimitError"),
            ErrorKind.QUOTA: _vllm_row(402, "PaymentRequiredError"),
            ErrorKind.OVERLOADED: _vllm_row(503, "ServiceUnavailableError", "The server is overloaded"),
            ErrorKind.SERVER: _vllm_row(500, "InternalServerError", "EngineCore encountered an issue."),
            ErrorKind.TIMEOUT: _vllm_row(504, "GatewayTimeoutError"),
        },
    ),
    rules=Rules(
        roles=frozenset({"developer", "system", "user", "assistant", "tool"}),
        max_stop_sequences=1000,
        part_types=_PARTS,
        max_choices=128,
    ),
    embeddings=EmbeddingRules(),
    reasons=_effort,
    needs_key=False,
    stream_type="text/event-stream; charset=utf-8",
    responses=True,
    reranking=RerankRules(usage=frozenset({"total_tokens"})),
)

_TIMINGS = {
    "cache_n": 0,
    "prompt_n": "{prompt}",
    "prompt_ms": 12.5,
    "prompt_per_token_ms": 1.1,
    "prompt_per_second": 880.2,
    "predicted_n": "{completion}",
    "predicted_ms": 30.4,
    "predicted_per_token_ms": 2.9,
    "predicted_per_second": 342.1,
}


def _llama_row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, status, text)


LLAMA_CPP = OpenAIChatServer(
    name="llama-cpp",
    base="/v1",
    models=("gpt-oss-20b-mxfp4.gguf", "nomic-embed-text-v1.5.Q8_0.gguf"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{alnum:32}",
            call_identity="{alnum:32}",
            chunk={"system_fingerprint": "b6532-0bfa9ce9"},
            whole={"system_fingerprint": "b6532-0bfa9ce9", "timings": _TIMINGS},
            first_delta={"role": "assistant", "content": None},
            last={"timings": _TIMINGS},
            empty_content=True,
            usage={"prompt_tokens_details": {"cached_tokens": 0}},
        )
    ),
    errors=ErrorTable(
        body={"error": {"code": "{code}", "message": "{message}", "type": "{type}"}},
        rows={
            ErrorKind.INVALID: _llama_row(400, "invalid_request_error"),
            ErrorKind.AUTH: _llama_row(401, "authentication_error", "Invalid API Key"),
            ErrorKind.PERMISSION: _llama_row(403, "permission_error"),
            ErrorKind.NO_SUCH_MODEL: _llama_row(404, "not_found_error", "model '{model}' not found"),
            ErrorKind.NO_SUCH_PATH: _llama_row(404, "not_found_error", "File Not Found"),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400,
                "exceed_context_size_error",
                400,
                "the request exceeds the available context size, try increasing it",
                {
                    "error": {
                        "code": "{code}",
                        "message": "{message}",
                        "type": "{type}",
                        "n_prompt_tokens": 200000,
                        "n_ctx": 8192,
                    }
                },
            ),
            ErrorKind.CONTENT_FILTER: _llama_row(400, "invalid_request_error"),
            ErrorKind.RATE_LIMIT: _llama_row(429, "rate_limit_error"),
            ErrorKind.QUOTA: _llama_row(402, "payment_required"),
            ErrorKind.OVERLOADED: _llama_row(503, "unavailable_error", "Loading model"),
            ErrorKind.SERVER: _llama_row(500, "server_error", "Compute error."),
            ErrorKind.TIMEOUT: _llama_row(504, "server_error"),
        },
    ),
    rules=Rules(
        roles=frozenset({"developer", "system", "user", "assistant", "tool"}),
        max_stop_sequences=1000,
        part_types=_PARTS,
    ),
    embeddings=EmbeddingRules(),
    reasons=_effort,
    check=_only_words,
    needs_key=False,
    responses=True,
    reranking=RerankRules(fields={"object": "list"}),
)
