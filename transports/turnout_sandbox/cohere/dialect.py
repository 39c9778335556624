"""Cohere's API, version 2: chat with named events, embeddings by purpose, the list of models, and its plain errors."""

from __future__ import annotations

import array
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, Turn, compose
from turnout_sandbox.dialect import Context, dumps, string_of, token_of, whole_number
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.embeddings import native_dimensions
from turnout_sandbox.openai.requests import Rules, read_chat
from turnout_sandbox.prose import pieces_of, words_in
from turnout_sandbox.received import Received
from turnout_sandbox.rerank import rank
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse
from turnout_sandbox.vectors import as_base64, as_floats, vector_of

__all__ = ["CohereServer"]

_ERRORS = {
    ErrorKind.INVALID: (400, "invalid request"),
    ErrorKind.AUTH: (401, "invalid api token"),
    ErrorKind.PERMISSION: (403, "you do not have permission for this"),
    ErrorKind.NO_SUCH_MODEL: (404, "model '{model}' not found, make sure the correct model ID was used"),
    ErrorKind.NO_SUCH_PATH: (404, "404 page not found"),
    ErrorKind.CONTEXT_LENGTH: (
        400,
        "too many tokens: the prompt exceeds the limit of 128000",
    ),
    ErrorKind.CONTENT_FILTER: (498, "the request contains a blocked token"),
    ErrorKind.RATE_LIMIT: (429, "You are past the per minute request limit, please wait and try again later."),
    ErrorKind.QUOTA: (402, "please add or update your payment method at https://dashboard.cohere.com/billing"),
    ErrorKind.OVERLOADED: (503, "the service is overloaded"),
    ErrorKind.SERVER: (500, "internal server error"),
    ErrorKind.TIMEOUT: (504, "the request timed out"),
}
_STOPS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
_RULES = Rules(roles=frozenset({"system", "user", "assistant", "tool"}), max_stop_sequences=5, max_temperature=1.0)
_PURPOSES = frozenset({"search_document", "search_query", "classification", "clustering", "image"})


@attrs.frozen(kw_only=True)
class CohereServer:
    name: str = "cohere"
    base: str = ""
    models: tuple[str, ...] = (
        "command-a-03-2025",
        "command-a-reasoning-08-2025",
        "command-r7b-12-2024",
        "embed-v4.0",
        "rerank-v4.0-pro",
    )

    def respond(self, received: Received, context: Context) -> Response:
        _authenticate(received, context)
        match received.method, received.path:
            case "GET", "/v1/models":
                known = self.models if context.models is None else tuple(sorted(context.models))
                return _unary(200, {"models": [_described(model) for model in known]})
            case "GET", path if path.startswith("/v1/models/"):
                model = path.removeprefix("/v1/models/")
                if not context.knows(model):
                    raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
                return _unary(200, _described(model))
            case "POST", "/v2/chat":
                return self._chat(received, context)
            case "POST", "/v2/embed":
                return _embed(_body(received), context)
            case "POST", "/v2/rerank":
                return _rerank(_body(received), context)
            case "POST", "/v1/tokenize":
                return _tokenize(_body(received))
            case _:
                raise RequestRejected(ErrorKind.NO_SUCH_PATH)

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        if received is not None:
            refused.model = refused.model or received.model
        status, text = _ERRORS[refused.kind]
        message = refused.message or text.format(model=refused.model or "this-model")
        return _unary(refused.status or status, {"id": _uuid(context), "message": message})

    def _chat(self, received: Received, context: Context) -> Response:
        request = _asked(_body(received))
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        answer = _CohereFormat(turn, context)
        if not request.stream:
            return _unary(200, answer.whole())
        _, text = _ERRORS[context.stream_error()]
        failed = {"finish_reason": "ERROR", "error": text.format(model=request.model)}
        return StreamedResponse(
            headers=(("content-type", "text/event-stream"), ("cache-control", "no-cache")),
            opening=(_event("message-start", id=answer.identity, delta={"message": {"role": "assistant"}}),),
            tokens=answer.tokens(),
            closing=(_event("message-end", delta=answer.end()),),
            done=b"data: [DONE]\n\n",
            broken=b'event: content-delta\ndata: {"type":"content-delta","index":0,"delta":{"mess\n\n',
            error=(_event("message-end", delta=failed),),
        )


def _authenticate(received: Received, context: Context) -> None:
    key = received.headers.get("authorization", "").removeprefix("Bearer ")
    if not key:
        raise RequestRejected(ErrorKind.AUTH, "no api key supplied")
    if context.key is not None and key != context.key:
        raise RequestRejected(ErrorKind.AUTH)


def _body(received: Received) -> Mapping[str, Any]:
    if not isinstance(received.body, Mapping):
        raise invalid("the body of the request is not a JSON object")
    return received.body


def _asked(body: Mapping[str, Any]) -> ParsedRequest:
    """The request, read by the rules of chat completions once it is put in their words. Raises RequestRejected."""
    choice = body.get("tool_choice")
    if choice not in (None, "NONE", "REQUIRED"):
        raise invalid("invalid tool_choice: one of NONE, REQUIRED is expected")
    messages = body.get("messages")
    wanted = body.get("response_format")
    as_json = isinstance(wanted, Mapping) and wanted.get("type") == "json_object"
    schema = wanted.get("json_schema", {}) if isinstance(wanted, Mapping) and as_json else None
    if schema is not None and body.get("tools"):
        raise invalid("response_format is not supported with tools")
    thinking = body.get("thinking")
    words = {
        "model": body.get("model"),
        "messages": [_message(one) for one in messages] if isinstance(messages, list) else messages,
        "stream": body.get("stream"),
        "temperature": body.get("temperature"),
        "top_p": body.get("p"),
        "max_tokens": body.get("max_tokens"),
        "stop": body.get("stop_sequences"),
        "tools": body.get("tools"),
        "tool_choice": str(choice).lower() if choice is not None else None,
    }
    request = read_chat({name: value for name, value in words.items() if value is not None}, _RULES)
    reasons = isinstance(thinking, Mapping) and thinking.get("type") == "enabled"
    return attrs.evolve(request, schema=schema, reasoning=reasons)


def _message(message: object) -> object:
    """A message without what only Cohere has: a plan, and thoughts among the text."""
    if not isinstance(message, Mapping) or message.get("role") != "assistant":
        return message
    calls = {"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}
    return {"role": "assistant", "content": string_of(message.get("content") or "") or None, **calls}


def _embed(body: Mapping[str, Any], context: Context) -> UnaryResponse:
    model, texts = body.get("model"), body.get("texts")
    if not isinstance(model, str) or not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=str(model))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise invalid("texts must be a list of strings with at least one element")
    if len(texts) > 96:
        raise invalid("total number of texts must be at most 96")
    if str(body.get("input_type")) not in _PURPOSES:
        raise invalid("valid input_type must be provided with the provided model")
    native = native_dimensions(model)
    size = whole_number(body, "output_dimension") or native
    kinds = body.get("embedding_types") or ["float"]
    if not isinstance(kinds, list) or not _VECTOR_TYPES.issuperset(kinds):
        raise invalid(f"invalid embedding_types: each must be one of {', '.join(sorted(_VECTOR_TYPES))}")
    vectors = [vector_of(model, text, min(size, native), native) for text in texts]
    embeddings = {kind: [_of_type(vector, kind) for vector in vectors] for kind in kinds}
    tokens = sum(words_in(text) for text in texts)
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}}
    return _unary(200, {"id": _uuid(context), "embeddings": embeddings, "texts": texts, "meta": meta})


_VECTOR_TYPES = frozenset({"float", "int8", "uint8", "binary", "ubinary", "base64"})


def _of_type(vector: array.array[float], kind: str) -> Any:
    """Return a vector in one of the types that a request may want."""
    if kind == "float":
        return as_floats(vector)
    if kind == "base64":
        return as_base64(vector)
    if kind in ("int8", "uint8"):
        return [max(-127, min(127, round(value * 127))) + (128 if kind == "uint8" else 0) for value in vector]
    eights = (vector[at : at + 8] for at in range(0, len(vector), 8))
    packed = [sum((value > 0) << (7 - bit) for bit, value in enumerate(eight)) for eight in eights]
    return packed if kind == "ubinary" else [byte - 128 for byte in packed]


def _rerank(body: Mapping[str, Any], context: Context) -> UnaryResponse:
    model = body.get("model")
    if not isinstance(model, str) or not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=str(model))
    ranked = rank(body, 10_000)
    results = [{"index": index, "relevance_score": score} for index, score in ranked.results]
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if context.fault.usage:
        meta["billed_units"] = {"search_units": -(-len(ranked.documents) // 100)}
    return _unary(200, {"id": _uuid(context), "results": results, "meta": meta})


def _tokenize(body: Mapping[str, Any]) -> UnaryResponse:
    text = body.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= 65536:
        raise invalid("text must be a string of 1 to 65536 characters")
    pieces = pieces_of(text)
    tokens = [zlib.crc32(piece.encode("utf-8", "replace")) % 255_000 for piece in pieces]
    meta = {"api_version": {"version": "1"}}
    return _unary(200, {"tokens": tokens, "token_strings": pieces, "meta": meta})


def _described(model: str) -> dict[str, Any]:
    uses = "rerank" if "rerank" in model else "embed" if "embed" in model else "chat"
    return {"name": model, "endpoints": [uses], "finetuned": False, "context_length": 128_000}


def _unary(status: int, body: object) -> UnaryResponse:
    fields: Fields = (("content-type", "application/json"),)
    return UnaryResponse(status, fields, dumps(body).encode("utf-8", "replace"))


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {dumps({'type': kind, **fields})}\n\n".encode("utf-8", "surrogatepass")


def _uuid(context: Context) -> str:
    return "-".join(token_of(context.rng, size, "0123456789abcdef") for size in (8, 4, 4, 4, 12))


@attrs.define
class _CohereFormat:
    turn: Turn
    context: Context
    identity: str = attrs.field(init=False)
    calls: list[dict[str, Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.identity = _uuid(self.context)
        self.calls = [
            {
                "id": f"{call.name}_{token_of(self.context.rng, 12)}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.text},
            }
            for call in self.turn.calls
        ]

    def end(self) -> dict[str, Any]:
        end: dict[str, Any] = {"finish_reason": _STOPS[self.turn.finish]}
        if self.context.fault.usage:
            counts = {"input_tokens": self.turn.prompt_tokens, "output_tokens": self.turn.completion_tokens}
            end["usage"] = {"billed_units": counts, "tokens": counts}
        return end

    def whole(self) -> dict[str, Any]:
        turn = self.turn
        message: dict[str, Any] = {"role": "assistant"}
        content = [{"type": "thinking", "thinking": turn.whole_reasoning}] if turn.reasoning else []
        content += [{"type": "text", "text": turn.whole_text}] if turn.text else []
        if content:
            message["content"] = content
        if self.calls:
            message["tool_calls"] = self.calls
        return {"id": self.identity, "message": message, **self.end()}

    def tokens(self) -> Iterator[bytes]:
        """Yield one write for each piece. The first write of a part has its start, the last one its end."""
        index = 0
        for kind, pieces in (("thinking", self.turn.reasoning), ("text", self.turn.text)):
            for number, piece in enumerate(pieces):
                start = _said("content-start", index, content={"type": kind, kind: ""}) if number == 0 else b""
                end = _event("content-end", index=index) if number == len(pieces) - 1 else b""
                yield start + _said("content-delta", index, content={kind: piece}) + end
            index += bool(pieces)
        for place, call in enumerate(self.calls):
            function = call["function"]
            begun = {**call, "function": {"name": function["name"], "arguments": ""}}
            yield _said("tool-call-start", place, tool_calls=begun)
            for piece in pieces_of(function["arguments"]):
                yield _said("tool-call-delta", place, tool_calls={"function": {"arguments": piece}})
            yield _event("tool-call-end", index=place)


def _said(kind: str, index: int, **message: Any) -> bytes:
    return _event(kind, index=index, delta={"message": message})
