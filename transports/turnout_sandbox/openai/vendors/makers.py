"""Moonshot, DashScope, MiniMax and Perplexity: makers of models whose API is OpenAI's with differences.

Sources: platform.kimi.ai/docs (errors, thinking, partial mode), alibabacloud.com/help/model-studio (OpenAI
compatibility, error messages) and recorded streams of it, platform.minimax.io/docs (text API, error codes),
docs.perplexity.ai (chat completions, error handling).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
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
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response

__all__ = ["DASHSCOPE", "MINIMAX", "MOONSHOT", "PERPLEXITY"]

_TYPE_ONLY = {"error": {"message": "{message}", "type": "{type}"}}


# Moonshot


def _moonshot_reasons(body: Mapping[str, Any]) -> bool:
    model, thinking = str(body.get("model")), body.get("thinking")
    if re.match(r"kimi-(k2-thinking|k2\.7|thinking|k[3-9])", model):
        return True
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return re.match(r"kimi-(k2\.\d|latest)", model) is not None


def _check_moonshot(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if re.match(r"kimi-(k2[-.](thinking|[5-9])|k[3-9])", request.model):
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
            if body.get(name) is not None:
                raise invalid(f"invalid {name}: only the model's own value is allowed", param=name)
    if not request.reasoning:
        return
    if request.tool_choice == "required":
        raise invalid("tool_choice 'specified' is incompatible with thinking enabled")
    for index, message in enumerate(body["messages"]):
        if message.get("tool_calls") and not isinstance(message.get("reasoning_content"), str):
            text = (
                f"thinking is enabled but reasoning_content is missing in assistant tool call message at index {index}"
            )
            raise invalid(text)


@attrs.frozen(kw_only=True)
class MoonshotServer(OpenAIChatServer):
    """An answer may be begun by a last message with `partial`."""

    def respond(self, received: Received, context: Context) -> Response:
        messages = received.body.get("messages") if isinstance(received.body, Mapping) else None
        last = messages[-1] if isinstance(messages, list) and messages else None
        begun = isinstance(last, Mapping) and last.get("partial") is True
        return OpenAIChatServer.respond(attrs.evolve(self, prefix="partial" if begun else ""), received, context)


MOONSHOT = MoonshotServer(
    name="moonshot",
    base="/v1",
    models=("kimi-k2.6", "kimi-k2.7-code", "kimi-k3", "moonshot-v1-128k"),
    shape=format_of(
        FormatRecord(
            identity="chatcmpl-{hex:24}",
            call_identity="{name}:{index}",
            chunk={"system_fingerprint": "fpv0_{hex:8}"},
            choice={},
            empty_content=True,
            usage_in="choice",
            usage={"cached_tokens": 0},
        )
    ),
    errors=ErrorTable(
        body=_TYPE_ONLY,
        rows={
            ErrorKind.INVALID: ErrorRow(400, "invalid_request_error"),
            ErrorKind.AUTH: ErrorRow(401, "invalid_authentication_error", text="Invalid Authentication", fixed=True),
            ErrorKind.PERMISSION: ErrorRow(403, "permission_denied_error", text="The API is not accessible"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                404, "resource_not_found_error", text="Not found the model {model} or Permission denied"
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(
                404,
                body={
                    "code": 5,
                    "error": "url.not_found",
                    "message": "{message}",
                    "scode": "0x5",
                    "status": False,
                },
            ),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(
                400, "invalid_request_error", text="Invalid request: Your request exceeded model token limit: 262144"
            ),
            ErrorKind.CONTENT_FILTER: ErrorRow(
                400, "content_filter", text="The request was rejected because it was considered high risk"
            ),
            ErrorKind.RATE_LIMIT: ErrorRow(
                429,
                "rate_limit_reached_error",
                text="Your account reached max request: 3, please try again after 1 seconds",
            ),
            ErrorKind.QUOTA: ErrorRow(
                429,
                "exceeded_current_quota_error",
                text="Your account is suspended due to insufficient balance, please recharge your account",
            ),
            ErrorKind.OVERLOADED: ErrorRow(429, "engine_overloaded_error"),
            ErrorKind.SERVER: ErrorRow(500, "server_error", text="Internal Server Error"),
            ErrorKind.TIMEOUT: ErrorRow(504, "server_error", text="Gateway Timeout"),
        },
    ),
    rules=Rules(
        max_stop_sequences=5,
        max_temperature=1.0,
        context_window=262_144,
        tool_choices=frozenset({"auto", "none", "required"}),
    ),
    reasons=_moonshot_reasons,
    check=_check_moonshot,
)


# DashScope


def _dashscope_reasons(body: Mapping[str, Any]) -> bool:
    model = str(body.get("model"))
    if re.search(r"qwq|qvq|-thinking", model):
        return True
    return body.get("enable_thinking") is True or body.get("reasoning_effort") not in (None, "none")


def _check_dashscope(body: Mapping[str, Any], request: ParsedRequest) -> None:
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
        rest = [self.event(self.chunk([{"delta": {"tool_calls": [empty]}, "index": 0}]))] if self.calls else []
        return [*rest, *RecordFormat.closing(self)]


def _dashscope_row(status: int, code: str, text: str = "", type: str = "") -> ErrorRow:
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
            ErrorKind.INVALID: _dashscope_row(400, "invalid_parameter_error", type="invalid_request_error"),
            ErrorKind.AUTH: _dashscope_row(
                401, "invalid_api_key", "Incorrect API key provided.", "invalid_request_error"
            ),
            ErrorKind.PERMISSION: _dashscope_row(403, "access_denied", "Access denied.", "access_denied"),
            ErrorKind.NO_SUCH_MODEL: _dashscope_row(404, "model_not_found", type="invalid_request_error"),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body=""),
            ErrorKind.CONTEXT_LENGTH: _dashscope_row(
                400,
                "invalid_parameter_error",
                "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
                "invalid_request_error",
            ),
            ErrorKind.CONTENT_FILTER: _dashscope_row(
                400, "data_inspection_failed", "Input data may contain inappropriate content."
            ),
            ErrorKind.RATE_LIMIT: _dashscope_row(
                429, "limit_requests", "You exceeded your current requests list.", "limit_requests"
            ),
            ErrorKind.QUOTA: _dashscope_row(
                400, "Arrearage", "Access denied, please make sure your account is in good standing."
            ),
            ErrorKind.OVERLOADED: _dashscope_row(
                503, "ModelUnavailable", "Model is unavailable, please try again later."
            ),
            ErrorKind.SERVER: _dashscope_row(500, "internal_error", "An internal error has occured."),
            ErrorKind.TIMEOUT: _dashscope_row(500, "RequestTimeOut", "Request timed out, please try again later."),
        },
    ),
    rules=Rules(
        max_stop_sequences=128,
        context_window=129_024,
        tool_choices=frozenset({"auto", "none"}),
        json_mode_needs_keyword=True,
    ),
    embeddings=EmbeddingRules(batch=10, base64=False, resizable="text-embedding-v[34]"),
    reasons=_dashscope_reasons,
    check=_check_dashscope,
    headers=lambda context: (("x-request-id", f"{context.rng.getrandbits(128):032x}"), ("req-cost-time", "412")),
    responses=True,
)


# MiniMax


@attrs.define
class _MiniMaxFormat(RecordFormat):
    """The reasoning is in the text, between tags, unless the request has `reasoning_split`."""

    def _splits(self) -> bool:
        return self.request.get("reasoning_split") is True

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        if not self._splits():
            return self.text_delta(piece)
        return {**self.record.delta, "reasoning_content": piece, "reasoning_details": [self._detail(piece)]}

    def tokens(self) -> Iterator[bytes]:
        if self._splits() or not self.turn.reasoning:
            yield from RecordFormat.tokens(self)
            return
        turn = self.turn
        self.turn = attrs.evolve(turn, reasoning=(), text=("<think>\n", *turn.reasoning, "\n</think>\n\n", *turn.text))
        yield from RecordFormat.tokens(self)
        self.turn = turn

    def message(self) -> dict[str, Any]:
        message = RecordFormat.message(self)
        reasoning = message.pop("reasoning_content", None)
        if reasoning is None:
            return message
        if not self._splits():
            return {**message, "content": f"<think>\n{reasoning}\n</think>\n\n{message['content'] or ''}"}
        return {**message, "reasoning_content": reasoning, "reasoning_details": [self._detail(reasoning)]}

    def _detail(self, text: str) -> dict[str, Any]:
        return {
            "type": "reasoning.text",
            "id": "reasoning-text-1",
            "format": "MiniMax-response-v1",
            "index": 0,
            "text": text,
        }


_MINIMAX_EXTRAS = {
    "input_sensitive": False,
    "output_sensitive": False,
    "input_sensitive_type": 0,
    "output_sensitive_type": 0,
    "output_sensitive_int": 0,
}
# Some errors are a 200 whose `base_resp` has the code, and which has no choices.
_BASE_RESP = {
    "id": "{hex:32}",
    "choices": None,
    "created": 0,
    "model": "{model}",
    "object": "",
    "usage": {"total_tokens": 0, "total_characters": 0},
    **_MINIMAX_EXTRAS,
    "base_resp": {"status_code": "{code}", "status_msg": "{message}"},
}


def _minimax_reasons(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    if re.match(r"(?i)minimax-m2", str(body.get("model"))):
        return True
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return re.match(r"(?i)minimax-m[3-9]", str(body.get("model"))) is not None


MINIMAX = OpenAIChatServer(
    name="minimax",
    base="/v1",
    models=("MiniMax-M3", "MiniMax-M2.7", "MiniMax-M2.5"),
    shape=format_of(
        FormatRecord(
            identity="{hex:32}",
            call_identity="call_function_{lower:12}_1",
            chunk=_MINIMAX_EXTRAS,
            whole={**_MINIMAX_EXTRAS, "base_resp": {"status_code": 0, "status_msg": ""}},
            delta={"role": "assistant", "name": "MiniMax AI", "audio_content": ""},
            message={"name": "MiniMax AI", "audio_content": ""},
            first_delta=None,
            finish_always=False,
            empty_content=True,
            usage_in="own_always",
            usage_null=True,
            usage={"total_characters": 0, "completion_tokens_details": {"reasoning_tokens": "{reasoning}"}},
        ),
        _MiniMaxFormat,
    ),
    errors=ErrorTable(
        body={
            "type": "error",
            "error": {"type": "{type}", "message": "{message} ({code})", "http_code": "{status}"},
            "request_id": "{hex:32}",
        },
        event=_BASE_RESP,
        rows={
            ErrorKind.INVALID: ErrorRow(400, "bad_request_error", 2013),
            ErrorKind.AUTH: ErrorRow(
                401,
                "authentication_error",
                1004,
                "login fail: Please carry the API secret key in the 'Authorization' field of the request header",
                fixed=True,
            ),
            ErrorKind.PERMISSION: ErrorRow(403, "permission_error", 2061, "your current plan has no access to {model}"),
            ErrorKind.NO_SUCH_MODEL: ErrorRow(
                400, "bad_request_error", 2013, "invalid params, unknown model '{model}'"
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body="404 page not found"),
            ErrorKind.CONTEXT_LENGTH: ErrorRow(200, None, 1039, "token limit", _BASE_RESP),
            ErrorKind.CONTENT_FILTER: ErrorRow(200, None, 1026, "input new_sensitive", _BASE_RESP),
            ErrorKind.RATE_LIMIT: ErrorRow(200, None, 1002, "rate limit", _BASE_RESP),
            ErrorKind.QUOTA: ErrorRow(200, None, 1008, "insufficient balance", _BASE_RESP),
            ErrorKind.OVERLOADED: ErrorRow(529, "overloaded_error", 2064, "The server cluster is under high load."),
            ErrorKind.SERVER: ErrorRow(500, "api_error", 1000, "unknown error"),
            ErrorKind.TIMEOUT: ErrorRow(504, "timeout_error", 1001, "request timeout"),
        },
    ),
    rules=Rules(max_temperature=1.0, context_window=204_800, part_types=frozenset({"text", "image_url", "video_url"})),
    reasons=_minimax_reasons,
    headers=lambda context: (("trace-id", f"{context.rng.getrandbits(128):032x}"), ("minimax-id", "1")),
    responses=True,
)


# Perplexity


@attrs.define
class _PerplexityFormat(RecordFormat):
    """Each chunk has the message so far beside the delta; the models that reason write it between tags."""

    def tokens(self) -> Iterator[bytes]:
        turn, so_far = self.turn, ""
        thought = ("<think>\n", *turn.reasoning, "\n</think>\n\n") if turn.reasoning else ()
        for piece in (*thought, *turn.text):
            so_far += piece
            yield self.event(self.chunk([self._both({"role": "assistant", "content": piece}, so_far)]))
        for index, (identity, call) in enumerate(self.calls):
            for delta in self.call_deltas(index, identity, call):
                yield self.event(self.chunk([self._both(delta, so_far)]))

    def _both(self, delta: Mapping[str, Any], so_far: str, finish: str | None = None) -> dict[str, Any]:
        return {**self.choice(delta, finish), "message": {"role": "assistant", "content": so_far}}

    def closing(self) -> list[bytes]:
        last = self.chunk([self._both({"role": "assistant", "content": ""}, self._text(), self.turn.finish)])
        return [self.event({**last, "object": "chat.completion.done"})]

    def message(self) -> dict[str, Any]:
        message = RecordFormat.message(self)
        message.pop("reasoning_content", None)
        return {**message, "content": self._text()}

    def _text(self) -> str:
        turn = self.turn
        thought = f"<think>\n{turn.whole_reasoning}\n</think>\n\n" if turn.reasoning else ""
        return thought + turn.whole_text


_SOURCES = {
    "citations": ["https://example.org/railways"],
    "search_results": [
        {
            "title": "Railways",
            "url": "https://example.org/railways",
            "date": "2026-01-15",
            "last_updated": "2026-02-01",
            "snippet": "",
            "source": "web",
        }
    ],
}


def _check_perplexity(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if body.get("tools"):
        raise invalid("Tool calling is not supported for this model", code="tool_calling_unsupported")
    spoken = [message["role"] for message in body["messages"] if message["role"] != "system"]
    if spoken and spoken[-1] not in ("user", "tool"):
        raise invalid("Last message must have role `user`.", code="invalid_message")
    if any(one == other == "user" for one, other in itertools.pairwise(spoken)):
        text = "After the (optional) system message(s), user or tool message(s) should alternate with assistant ones."
        raise invalid(text, code="invalid_message")


def _perplexity_row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, status, text)


PERPLEXITY = OpenAIChatServer(
    name="perplexity",
    base="",
    models=(),
    shape=format_of(
        FormatRecord(
            identity="{uuid}",
            chunk=_SOURCES,
            whole=_SOURCES,
            first_delta=None,
            usage_in="each",
            usage={
                "search_context_size": "low",
                "cost": {
                    "input_tokens_cost": 0.0,
                    "output_tokens_cost": 0.0,
                    "request_cost": 0.005,
                    "total_cost": 0.005,
                },
            },
        ),
        _PerplexityFormat,
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: _perplexity_row(400, "bad_request"),
            ErrorKind.AUTH: ErrorRow(
                401,
                body="<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n<center><h1>401 "
                "Authorization Required</h1></center>\r\n<hr><center>openresty/1.25.3.1</center>\r\n</body>\r\n</html>",
                headers=(("content-type", "text/html"),),
            ),
            ErrorKind.PERMISSION: _perplexity_row(403, "forbidden"),
            ErrorKind.NO_SUCH_MODEL: _perplexity_row(
                400, "invalid_model", "Invalid model '{model}'. Permitted models can be found in the documentation."
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"detail": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: _perplexity_row(
                400, "bad_request", "Requested 200000 tokens, which exceeds the maximum context length of 128000 tokens"
            ),
            ErrorKind.CONTENT_FILTER: _perplexity_row(400, "content_policy_violation"),
            ErrorKind.RATE_LIMIT: _perplexity_row(
                429, "request_rate_limit_exceeded", "Request rate limit exceeded, please try again later."
            ),
            ErrorKind.QUOTA: _perplexity_row(401, "insufficient_quota"),
            ErrorKind.OVERLOADED: _perplexity_row(
                503, "service_unavailable", "The service is temporarily unavailable."
            ),
            ErrorKind.SERVER: _perplexity_row(500, "internal_server_error"),
            ErrorKind.TIMEOUT: _perplexity_row(504, "timeout"),
        },
    ),
    rules=Rules(formats=frozenset({"text", "json_schema", "regex"}), context_window=128_000),
    reasons=lambda body: "reasoning" in str(body.get("model")) or "deep-research" in str(body.get("model")),
    check=_check_perplexity,
)
