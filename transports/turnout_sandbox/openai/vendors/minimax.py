"""MiniMax. Sources: platform.minimax.io/docs (text API, error codes)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.errors import ErrorKind
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, RecordFormat, format_of
from turnout_sandbox.openai.requests import Rules

__all__ = ["MINIMAX"]


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
# Some errors are a 200 without choices, with the code in `base_resp`.
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


def _reasons(body: Mapping[str, Any]) -> bool:
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
    reasons=_reasons,
    headers=lambda context: (("trace-id", f"{context.rng.getrandbits(128):032x}"), ("minimax-id", "1")),
    responses=True,
)
