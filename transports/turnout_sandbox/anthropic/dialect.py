"""Anthropic's Messages API: blocks, named events, pings, padding, and its errors."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, Turn, compose
from turnout_sandbox.anthropic.requests import read_messages_request
from turnout_sandbox.dialect import Context, dumps, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.prose import pieces_of
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse

__all__ = ["AnthropicServer"]

_ERRORS = {
    ErrorKind.INVALID: (400, "invalid_request_error", "The request is not valid."),
    ErrorKind.AUTH: (401, "authentication_error", "invalid x-api-key"),
    ErrorKind.PERMISSION: (403, "permission_error", "Your API key does not have permission for this."),
    ErrorKind.NO_SUCH_MODEL: (404, "not_found_error", "model: {model}"),
    ErrorKind.NO_SUCH_PATH: (404, "not_found_error", "Not Found"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    ErrorKind.CONTENT_FILTER: (400, "invalid_request_error", "Output blocked by content filtering policy"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error", "This request would exceed your rate limit."),
    ErrorKind.QUOTA: (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    ErrorKind.OVERLOADED: (529, "overloaded_error", "Overloaded"),
    ErrorKind.SERVER: (500, "api_error", "Internal server error"),
    ErrorKind.TIMEOUT: (504, "timeout_error", "Request timed out."),
}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_COUNTED_LIMIT = 1_000_000  # a request to count has no max_tokens, and its thinking budget must be below one
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@attrs.frozen(kw_only=True)
class AnthropicServer:
    name: str = "anthropic"
    base: str = ""
    models: tuple[str, ...] = ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1")

    def respond(self, received: Received, context: Context) -> Response:
        _authenticate(received, context)
        match received.method, received.path:
            case "GET", "/v1/models":
                known = self.models if context.models is None else tuple(sorted(context.models))
                return _unary(200, _page([_described(model) for model in known]), context)
            case "POST", "/v1/messages":
                return self._messages(received, context)
            case "POST", "/v1/messages/count_tokens":
                return self._count_tokens(received, context)
            case "GET", path if path.startswith("/v1/models/"):
                model = path.removeprefix("/v1/models/")
                if not context.knows(model):
                    raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
                return _unary(200, _described(model), context)
            case _:
                raise RequestRejected(ErrorKind.NO_SUCH_PATH)

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        if received is not None:
            refused.model = refused.model or received.model
        status, error = _error_response(refused)
        headers: Fields = (("x-should-retry", "true" if status in (408, 409, 429) or status >= 500 else "false"),)
        if refused.kind is ErrorKind.RATE_LIMIT:
            headers += (("retry-after", "3"),)
        body = {**error, "request_id": f"req_011{token_of(context.rng, 21)}"}
        unary = _unary(status, body, context)
        return attrs.evolve(unary, headers=unary.headers + headers)

    def _count_tokens(self, received: Received, context: Context) -> Response:
        if not isinstance(received.body, Mapping):
            raise invalid("The request body is not valid JSON.")
        for name in ("max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata"):
            if name in received.body:
                raise invalid(f"{name}: Extra inputs are not permitted")
        request = read_messages_request({**received.body, "max_tokens": _COUNTED_LIMIT})
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        return _unary(200, {"input_tokens": request.prompt_tokens}, context)

    def _messages(self, received: Received, context: Context) -> Response:
        if not isinstance(received.body, Mapping):
            raise invalid("The request body is not valid JSON.")
        request = read_messages_request(received.body)
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        answer = _AnthropicFormat(request, turn, context)
        if not request.stream:
            return _unary(200, answer.whole(), context)
        _, error = _error_response(RequestRejected(context.stream_error(), model=request.model))
        return StreamedResponse(
            headers=(
                ("content-type", "text/event-stream; charset=utf-8"),
                ("cache-control", "no-cache"),
                *_fields(context),
            ),
            opening=(_event(answer.start()),),
            tokens=answer.tokens(),
            closing=(_event(answer.delta()),),
            done=_event({"type": "message_stop"}),
            broken=b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type"\n\n',
            error=(_event(error),),
        )


def _authenticate(received: Received, context: Context) -> None:
    bearer = received.headers.get("authorization", "").removeprefix("Bearer ")
    key = received.headers.get("x-api-key") or bearer
    if not key:
        raise RequestRejected(ErrorKind.AUTH, "x-api-key header is required")
    if context.key is not None and key != context.key:
        raise RequestRejected(ErrorKind.AUTH)
    if not received.headers.get("anthropic-version"):
        raise invalid("anthropic-version: header is required")


def _error_response(refused: RequestRejected) -> tuple[int, dict[str, Any]]:
    status, kind, text = _ERRORS[refused.kind]
    message = refused.message or text.format(model=refused.model or "this-model")
    return refused.status or status, {"type": "error", "error": {"type": kind, "message": message}}


def _fields(context: Context) -> Fields:
    reset = datetime.datetime.fromtimestamp(context.created + 60, datetime.UTC).isoformat().replace("+00:00", "Z")
    fields: list[tuple[str, str]] = [("request-id", f"req_011{token_of(context.rng, 21)}")]
    for what, limit in (("requests", 4000), ("input-tokens", 400000), ("output-tokens", 80000)):
        fields.append((f"anthropic-ratelimit-{what}-limit", str(limit)))
        fields.append((f"anthropic-ratelimit-{what}-remaining", str(max(0, limit - context.number))))
        fields.append((f"anthropic-ratelimit-{what}-reset", reset))
    return tuple(fields)


def _unary(status: int, body: object, context: Context) -> UnaryResponse:
    fields = (("content-type", "application/json"), *_fields(context))
    return UnaryResponse(status, fields, dumps(body).encode("utf-8", "replace"))


def _page(models: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [model["id"] for model in models]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"data": models, "has_more": False, **ends}


def _described(model: str) -> dict[str, Any]:
    named = model.replace("-", " ").title()
    return {"type": "model", "id": model, "display_name": named, "created_at": "2025-09-29T00:00:00Z"}


def _event(payload: Mapping[str, Any]) -> bytes:
    """A named event. The server pads the JSON with blanks before its last brace; so is it here, by length."""
    text = dumps(payload)
    padded = text[:-1] + " " * (len(text) % 13) + "}"
    return f"event: {payload['type']}\ndata: {padded}\n\n".encode("utf-8", "surrogatepass")


@attrs.define
class _AnthropicFormat:
    request: ParsedRequest
    turn: Turn
    context: Context
    identity: str = attrs.field(init=False)
    call_ids: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        rng = self.context.rng
        self.identity = f"msg_01{token_of(rng, 22)}"
        self.call_ids = tuple(f"toolu_01{token_of(rng, 22)}" for _ in self.turn.calls)

    def whole(self) -> dict[str, Any]:
        blocks: list[dict[str, Any]] = []
        if self.turn.reasoning:
            thinking = {"type": "thinking", "thinking": self.turn.whole_reasoning, "signature": self._signature()}
            blocks.append(thinking)
        if self.turn.text:
            blocks.append({"type": "text", "text": self.turn.whole_text})
        for identity, call in zip(self.call_ids, self.turn.calls, strict=True):
            blocks.append({"type": "tool_use", "id": identity, "name": call.name, "input": dict(call.arguments)})
        return self._message(blocks, _STOPS[self.turn.finish], self.turn.completion_tokens)

    def start(self) -> dict[str, Any]:
        return {"type": "message_start", "message": self._message([], None, 1)}

    def delta(self) -> dict[str, Any]:
        delta = {"stop_reason": _STOPS[self.turn.finish], "stop_sequence": None}
        usage = {"usage": {"output_tokens": self.turn.completion_tokens}} if self.context.fault.usage else {}
        return {"type": "message_delta", "delta": delta, **usage}

    def tokens(self) -> Iterator[bytes]:
        """Yield one write for each piece. The first write of a block has its start, the last one its stop."""
        index = 0
        if self.turn.reasoning:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in self.turn.reasoning]
            deltas.append({"type": "signature_delta", "signature": self._signature()})
            yield from self._block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
            index += 1
        if self.turn.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in self.turn.text]
            yield from self._block(index, {"type": "text", "text": ""}, deltas)
            index += 1
        for identity, call in zip(self.call_ids, self.turn.calls, strict=True):
            pieces = ["", *pieces_of(json.dumps(call.arguments, ensure_ascii=False) if call.arguments else "")]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            yield from self._block(index, {"type": "tool_use", "id": identity, "name": call.name, "input": {}}, deltas)
            index += 1

    def _block(self, index: int, block: dict[str, Any], deltas: list[dict[str, str]]) -> Iterator[bytes]:
        start = _event({"type": "content_block_start", "index": index, "content_block": block})
        stop = _event({"type": "content_block_stop", "index": index})
        for number, delta in enumerate(deltas):
            event = _event({"type": "content_block_delta", "index": index, "delta": delta})
            before = start + (_PING if index == 0 else b"") if number == 0 else b""
            yield before + event + (stop if number == len(deltas) - 1 else b"")

    def _signature(self) -> str:
        return base64.b64encode(f"sandbox {self.identity}".encode()).decode()

    def _message(self, content: list[dict[str, Any]], reason: str | None, output: int) -> dict[str, Any]:
        usage = {
            "input_tokens": self.turn.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
            "service_tier": "standard",
        }
        return {
            "id": self.identity,
            "type": "message",
            "role": "assistant",
            "model": self.request.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            **({"usage": usage} if self.context.fault.usage else {}),
        }
