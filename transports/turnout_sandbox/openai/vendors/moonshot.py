"""Moonshot (Kimi). Sources: platform.kimi.ai/docs (errors, thinking, partial mode)."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, format_of
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response

__all__ = ["MOONSHOT"]

_TYPE_ONLY = {"error": {"message": "{message}", "type": "{type}"}}


def _reasons(body: Mapping[str, Any]) -> bool:
    model, thinking = str(body.get("model")), body.get("thinking")
    if re.match(r"kimi-(k2-thinking|k2\.7|thinking|k[3-9])", model):
        return True
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return re.match(r"kimi-(k2\.\d|latest)", model) is not None


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
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
        max_choices=5,
        tool_choices=frozenset({"auto", "none", "required"}),
    ),
    reasons=_reasons,
    check=_check,
)
