"""The Gemini API of AI Studio: generateContent, its stream in both framings, embeddings, the paged list of models."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import Turn, compose
from turnout_sandbox.dialect import Context, in_turns, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.gemini.errors import gemini_error
from turnout_sandbox.gemini.requests import ParsedGeminiRequest, read_generate, snake
from turnout_sandbox.openai.embeddings import native_dimensions
from turnout_sandbox.prose import words_in
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse
from turnout_sandbox.vectors import as_floats, vector_of

__all__ = ["GeminiServer"]

_ROUTE = re.compile(r"(?:/v1beta|/v1)/models(?:/(?P<model>[^:]+?)(?::(?P<method>\w+))?)?")
_BATCH = 100  # embeddings a request
_JSON: Fields = (("content-type", "application/json; charset=UTF-8"), ("server", "sandbox"))
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}  # a call ends with STOP here


@attrs.frozen(kw_only=True)
class GeminiServer:
    name: str = "gemini"
    base: str = ""
    models: tuple[str, ...] = (
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3-flash-preview",
        "gemini-embedding-001",
        "gemini-embedding-2",
    )

    def respond(self, received: Received, context: Context) -> Response:
        route = _ROUTE.fullmatch(received.path)
        if route is None:
            raise RequestRejected(ErrorKind.NO_SUCH_PATH)
        model, method = route["model"], route["method"]
        _authenticate(received, context)
        if method is None:
            if received.method != "GET":
                raise RequestRejected(ErrorKind.NO_SUCH_PATH)
            return self._list(received, context) if model is None else self._one(model, context)
        if received.method != "POST" or method not in _METHODS:
            raise RequestRejected(ErrorKind.NO_SUCH_PATH)
        body = _object_of(received)
        embeds = "embed" in method.lower()
        if not context.knows(model) or ("embed" in model) is not embeds:
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
        if embeds:
            return _embeddings(body, model, method, context)
        if method == "countTokens":
            return _count(body, model)
        request = read_generate(body, model, method == "streamGenerateContent")
        formats = self._formats(request, received, context)
        if not request.request.stream:
            wholes = [each.whole() for each in formats]
            candidates = [candidate for each in wholes for candidate in each["candidates"]]
            return _unary(200, {**wholes[-1], "candidates": candidates})
        return _stream(formats, context, sse=received.query.get("alt") == "sse")

    def _formats(self, request: ParsedGeminiRequest, received: Received, context: Context) -> list[_GeminiFormat]:
        """Return one format for each candidate, with one id and the counts of all candidates."""
        model, identity = request.request.model, token_of(context.rng, 22)
        salts = [f"{self.name}/{model}" + (f"/{number}" if number else "") for number in range(request.request.choices)]
        turns = [compose(request.request, received, context.scripted, salt) for salt in salts]
        total = sum(turn.completion_tokens for turn in turns)
        return [
            _GeminiFormat(request, attrs.evolve(turn, completion_tokens=total), identity, context.fault.usage, number)
            for number, turn in enumerate(turns)
        ]

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        method = "generateContent"
        if received is not None:
            refused.model = refused.model or received.model
            method = "embedContent" if "mbedContent" in received.path else method
        return _unary(*gemini_error(refused, method))

    def _list(self, received: Received, context: Context) -> UnaryResponse:
        """One page. The token is opaque to clients; here it is the number of the first entry, in base64."""
        known = self.models if context.models is None else tuple(sorted(context.models))
        try:
            start = int(base64.b64decode(received.query.get("pageToken", "") or "MA==", validate=True))
            size = min(int(received.query.get("pageSize", 50)), 1000)
        except ValueError:
            raise invalid("page_token or page_size is not valid.") from None
        page: dict[str, Any] = {"models": [_described(model) for model in known[start : start + size]]}
        if start + size < len(known):
            page["nextPageToken"] = base64.b64encode(str(start + size).encode()).decode()
        return _unary(200, page)

    def _one(self, model: str, context: Context) -> UnaryResponse:
        if not context.knows(model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
        return _unary(200, _described(model))


_METHODS = frozenset({"generateContent", "streamGenerateContent", "batchEmbedContents", "embedContent", "countTokens"})


def _unary(status: int, body: object) -> UnaryResponse:
    return UnaryResponse(
        status, _JSON, (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
    )


def _authenticate(received: Received, context: Context) -> None:
    key = received.headers.get("x-goog-api-key") or received.query.get("key")
    if not key:
        text = "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity."
        raise RequestRejected(ErrorKind.PERMISSION, text)
    if context.key is not None and key != context.key:
        raise RequestRejected(ErrorKind.AUTH)


def _object_of(received: Received) -> Mapping[str, Any]:
    if not isinstance(received.body, Mapping):
        raise invalid("Invalid JSON payload received. Unable to parse the body.")
    return received.body


def _described(model: str) -> dict[str, Any]:
    methods = ["embedContent"] if "embed" in model else ["generateContent", "countTokens"]
    return {
        "name": f"models/{model}",
        "version": "001",
        "displayName": model.replace("-", " ").title(),
        "inputTokenLimit": 2048 if "embed" in model else 1048576,
        "outputTokenLimit": 1 if "embed" in model else 65536,
        "supportedGenerationMethods": methods,
    }


def _embeddings(body: Mapping[str, Any], model: str, method: str, context: Context) -> UnaryResponse:
    batch = method == "batchEmbedContents"
    requests = body.get("requests") if batch else [body]
    if not isinstance(requests, list) or not requests:
        raise invalid("* BatchEmbedContentsRequest.requests: must not be empty.")
    if len(requests) > _BATCH:
        text = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
        raise invalid(text)
    vectors, tokens = [], 0
    for request in requests:
        if not isinstance(request, Mapping) or (batch and request.get("model") != f"models/{model}"):
            text = "* EmbedContentRequest.model: it must be the model of the batch, with 'models/' before it."
            raise invalid(text)
        content = request.get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
            raise invalid("* EmbedContentRequest.content: contents is not specified")
        text = "".join(str(part.get("text", "")) for part in parts)
        if not text:
            raise invalid("* EmbedContentRequest.content: content is empty")
        native = native_dimensions(model)
        size = request.get("outputDimensionality", request.get(snake("outputDimensionality")))
        if size is not None and not (isinstance(size, int) and 1 <= size <= native):
            raise invalid(f"output_dimensionality must be from 1 to {native}.")
        vectors.append({"values": as_floats(vector_of(model, text, size or native, native))})
        tokens += words_in(text)
    answer: dict[str, Any] = {"embeddings": vectors} if batch else {"embedding": vectors[0]}
    if "embedding-2" in model and context.fault.usage:  # the older models do not count
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        answer["usageMetadata"] = {"promptTokenCount": tokens, "promptTokenDetails": details}
    return _unary(200, answer)


@attrs.define
class _GeminiFormat:
    """Writes one answer. Each event has the counts so far; some fields are absent in early events."""

    request: ParsedGeminiRequest
    turn: Turn
    identity: str
    usage_sent: bool
    index: int = 0
    sent: int = 0

    def whole(self) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        if self.turn.reasoning and self.request.shown:
            parts.append({"text": self.turn.whole_reasoning, "thought": True})
        if self.turn.text:
            parts.append({"text": self.turn.whole_text})
        parts += self._calls()
        return self._event(parts, last=True)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events before the last one: one for each piece of text, one for each complete call."""
        for piece in self.turn.reasoning:
            self.sent += 1
            if self.request.shown:
                yield self._event([{"text": piece, "thought": True}])
        for piece in self.turn.text:
            self.sent += 1
            yield self._event([{"text": piece}])
        for call in self._calls():
            yield self._event([call])

    def last(self) -> dict[str, Any]:
        return self._event([{"text": ""}], last=True)

    def _calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        for number, call in enumerate(self.turn.calls):
            made: dict[str, Any] = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
            model = self.request.request.model
            if re.search(r"gemini-3\.[6-9]", model):  # older models send no id
                made["functionCall"]["id"] = f"{self.identity[:8]}{number}"
            if (
                "gemini-3" in model and number == 0
            ):  # the first call of a turn is signed, and clients must return the signature
                made["thoughtSignature"] = base64.b64encode(f"sandbox {self.identity}".encode()).decode()
            calls.append(made)
        return calls

    def _event(self, parts: list[dict[str, Any]], *, last: bool = False) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if last:
            candidate["finishReason"] = _FINISH[self.turn.finish]
        candidate["index"] = self.index
        if last and self.turn.calls:
            candidate["finishMessage"] = "Model generated function call(s)."
        event: dict[str, Any] = {"candidates": [candidate]}
        if self.usage_sent:
            event["usageMetadata"] = self._usage(last)
        return {**event, "modelVersion": self.request.request.model, "responseId": self.identity}

    def _usage(self, last: bool) -> dict[str, Any]:
        turn = self.turn
        thoughts = turn.reasoning_tokens if last else min(self.sent, turn.reasoning_tokens)
        spoken = turn.completion_tokens - turn.reasoning_tokens if last else self.sent - thoughts
        usage: dict[str, Any] = {"promptTokenCount": turn.prompt_tokens}
        if spoken:
            usage["candidatesTokenCount"] = spoken  # without the thoughts
        usage["totalTokenCount"] = turn.prompt_tokens + spoken + thoughts
        usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": turn.prompt_tokens}]
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        return usage


def _count(body: Mapping[str, Any], model: str) -> UnaryResponse:
    """Return the tokens of a request, which is whole (`generateContentRequest`) or only its contents."""
    whole = body.get("generateContentRequest", body.get("generate_content_request"))
    if whole is not None and ("contents" in body or not isinstance(whole, Mapping)):
        raise invalid("Only one of contents and generate_content_request can be set.")
    counted = read_generate(whole if isinstance(whole, Mapping) else body, model, False).request.prompt_tokens
    details = [{"modality": "TEXT", "tokenCount": counted}]
    return _unary(200, {"totalTokens": counted, "promptTokensDetails": details})


def _stream(formats: list[_GeminiFormat], context: Context, *, sse: bool) -> StreamedResponse:
    model = formats[0].request.request.model
    _, error = gemini_error(RequestRejected(context.stream_error(), model=model))

    def written(write: Callable[[object], bytes]) -> Iterator[bytes]:
        return in_turns([map(write, each.events()) for each in formats])

    if sse:
        return StreamedResponse(
            headers=(
                ("content-type", "text/event-stream"),
                ("content-disposition", "attachment"),
                ("server", "sandbox"),
            ),
            opening=(),
            tokens=written(_sse),
            closing=(_sse(each.last()) for each in formats),
            done=b"",
            broken=b'data: {"candidates": [{"content": {"parts": [{"text": "lost\r\n\r\n',
            error=(_sse(error),),
        )
    return StreamedResponse(  # one JSON array, its elements pretty-printed, as without alt=sse
        headers=_JSON,
        prelude=b"[",
        opening=(),
        tokens=written(lambda event: _pretty(event) + b",\r\n"),
        closing=iter((b",\r\n".join(_pretty(each.last()) for each in formats),)),
        done=b"]",
        broken=b'{\n  "candidates": [lost]\n}\n,\r\n',
        error=(_pretty(error) + b"]",),
    )


def _sse(event: object) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ": "))
    return f"data: {text}\r\n\r\n".encode("utf-8", "surrogatepass")


def _pretty(event: object) -> bytes:
    return json.dumps(event, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n"
