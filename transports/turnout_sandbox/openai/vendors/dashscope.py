"""Alibaba's DashScope.

Sources: alibabacloud.com/help/model-studio (OpenAI compatibility, error messages, rerank) and recorded streams.
"""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.embeddings import EmbeddingRules
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, RecordFormat, format_of
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.rerank import RerankRules

__all__ = ["DASHSCOPE"]


def _reasons(body: Mapping[str, Any]) -> bool:
    model = str(body.get("model"))
    if re.search(r"qwq|qvq|-thinking", model):
        return True
    return body.get("enable_thinking") is True or body.get("reasoning_effort") not in (None, "none")


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    hybrid = re.match(r"qwen3-\d[\d.]*b(-a\d+b)?$", request.model) is not None
    if hybrid and not request.stream and body.get("enable_thinking") is not False:
        raise invalid("parameter.enable_thinking must be set to false for non-streaming calls")
    if request.reasoning and request.forced_tool is not None:
        raise invalid("The tool_choice parameter does not support being set to object in thinking mode")


@attrs.define
class _DashScopeFormat(RecordFormat):
    """The first delta has the reasoning, too, if there is any; the last fragment of a call is empty."""

    def opening(self) -> list[bytes]:
        delta: dict[str, Any] = {"content": "", "role": "assistant"}
        if self.turn.reasoning:
            delta = {"content": None, "role": "assistant", "reasoning_content": ""}
        return [self.event(self.chunk([self.choice(delta)]))]

    def closing(self) -> list[bytes]:
        empty = {"function": {"arguments": ""}, "index": len(self.calls) - 1, "id": "", "type": "function"}
        # No finish_reason and no logprobs in this one choice.
        rest = [self.event(self.chunk([{"delta": {"tool_calls": [empty]}, "index": self.index}]))] if self.calls else []
        return [*rest, *RecordFormat.closing(self)]


def _row(status: int, code: str, text: str = "", type: str = "") -> ErrorRow:
    return ErrorRow(status, type or code, code, text)


DASHSCOPE = OpenAIChatServer(
    name="dashscope",
    base="/compatible-mode/v1",
    models=("qwen3-max", "qwen-plus", "qwen3-8b", "text-embedding-v4"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{uuid}",
            call_identity="call_{hex:24}",
            chunk={"system_fingerprint": None},
            choice={"logprobs": None},
            message_choice={"logprobs": None},
            whole={"system_fingerprint": None},
            alternates=True,
            fragment={"id": "", "type": "function"},
            empty_content=True,
            usage_null=True,
            usage={
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": "{reasoning}"},
            },
        ),
        _DashScopeFormat,
    ),
    errors=ErrorTable(
        body={
            "error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"},
            "request_id": "{uuid}",
        },
        rows={
            ErrorKind.INVALID: _row(400, "invalid_parameter_error", type="invalid_request_error"),
            ErrorKind.AUTH: _row(401, "invalid_api_key", "Incorrect API key provided.", "invalid_request_error"),
            ErrorKind.PERMISSION: _row(403, "access_denied", "Access denied.", "access_denied"),
            ErrorKind.NO_SUCH_MODEL: _row(404, "model_not_found", type="invalid_request_error"),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body=""),
            ErrorKind.CONTEXT_LENGTH: _row(
                400,
                "invalid_parameter_error",
                "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
                "invalid_request_error",
            ),
            ErrorKind.CONTENT_FILTER: _row(
                400, "data_inspection_failed", "Input data may contain inappropriate content."
            ),
            ErrorKind.RATE_LIMIT: _row(
                429, "limit_requests", "You exceeded your current requests list.", "limit_requests"
            ),
            ErrorKind.QUOTA: _row(
                400, "Arrearage", "Access denied, please make sure your account is in good standing."
            ),
            ErrorKind.OVERLOADED: _row(503, "ModelUnavailable", "Model is unavailable, please try again later."),
            ErrorKind.SERVER: _row(500, "internal_error", "An internal error has occured."),
            ErrorKind.TIMEOUT: _row(500, "RequestTimeOut", "Request timed out, please try again later."),
        },
    ),
    rules=Rules(
        max_stop_sequences=128,
        context_window=129_024,
        tool_choices=frozenset({"auto", "none"}),
        json_mode_needs_keyword=True,
        max_choices=4,
    ),
    embeddings=EmbeddingRules(batch=10, base64=False, resizable="text-embedding-v[34]"),
    reasons=_reasons,
    check=_check,
    headers=lambda context: (("x-request-id", f"{context.rng.getrandbits(128):032x}"), ("req-cost-time", "412")),
    responses=True,
    reranking=RerankRules(path="//compatible-api/v1/reranks", fields={"object": "list"}),
)
