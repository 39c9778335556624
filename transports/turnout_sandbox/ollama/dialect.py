"""Ollama's native API: chat as NDJSON or whole, embeddings, the list of models, and its errors of one string."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, Turn, compose
from turnout_sandbox.dialect import Context, dumps, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.ollama.requests import as_chat, read_chat, wrong_type
from turnout_sandbox.openai.embeddings import native_dimensions
from turnout_sandbox.prose import words_in
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse
from turnout_sandbox.vectors import as_floats, vector_of

__all__ = ["OllamaServer"]

_JSON: Fields = (("content-type", "application/json; charset=utf-8"),)
_NDJSON: Fields = (("content-type", "application/x-ndjson"),)

_ERRORS = {
    ErrorKind.INVALID: (400, "invalid request"),
    ErrorKind.AUTH: (401, "unauthorized"),
    ErrorKind.PERMISSION: (403, "this model requires a subscription"),
    ErrorKind.NO_SUCH_MODEL: (404, 'model "{model}" not found, try pulling it first'),
    ErrorKind.NO_SUCH_PATH: (404, "404 page not found"),
    ErrorKind.CONTEXT_LENGTH: (400, "the input length exceeds the context length"),
    ErrorKind.CONTENT_FILTER: (400, "the request was refused"),
    ErrorKind.RATE_LIMIT: (429, "too many concurrent requests"),
    ErrorKind.QUOTA: (429, "you have reached your weekly usage limit, please upgrade to continue"),
    ErrorKind.OVERLOADED: (503, "server busy, please try again.  maximum pending requests exceeded"),
    ErrorKind.SERVER: (500, "llama runner process has terminated: signal: killed"),
    ErrorKind.TIMEOUT: (500, "timed out waiting for llama runner to start"),
}


@attrs.frozen(kw_only=True)
class OllamaServer:
    """A local server: any key is as good as none."""

    name: str = "ollama"
    base: str = ""
    models: tuple[str, ...] = ("llama3.2:latest", "qwen3:8b", "gpt-oss:20b", "nomic-embed-text:latest")

    def respond(self, received: Received, context: Context) -> Response:
        match received.method, received.path.rstrip("/"):
            case "POST", "/api/chat":
                return self._chat(received, context)
            case "POST", "/api/generate":
                return self._generate(received, context)
            case "POST", "/api/embed":
                return _embed(_object_of(received), context)
            case "POST", "/api/embeddings":
                return _embed_one(_object_of(received), context)
            case "POST", "/api/show":
                return _show(_object_of(received), context)
            case "GET", "/api/ps":
                return _unary({"models": []})
            case "GET", "/api/tags":
                return _unary({"models": [_tag(model) for model in self._known(context)]})
            case "GET", "/api/version":
                return _unary({"version": "0.13.0"})
            case "GET" | "HEAD", "":
                return UnaryResponse(200, (("content-type", "text/plain; charset=utf-8"),), b"Ollama is running")
            case _:
                raise RequestRejected(ErrorKind.NO_SUCH_PATH)

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        if received is not None:
            refused.model = refused.model or received.model
        status, text = _error_response(refused)
        if refused.kind is ErrorKind.NO_SUCH_PATH:  # the router's own words, outside of any JSON
            return UnaryResponse(status, (("content-type", "text/plain"),), text.encode())
        return attrs.evolve(_unary({"error": text}), status=status)

    def _known(self, context: Context) -> tuple[str, ...]:
        return self.models if context.models is None else tuple(sorted(context.models))

    def _chat(self, received: Received, context: Context) -> Response:
        body = _object_of(received)
        request = read_chat(body)
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        if "embed" in request.model:
            raise invalid(f'"{request.model}" does not support chat')
        if not body.get("messages"):  # without messages the server only loads the model
            loaded = {"model": request.model, "created_at": _now(), "message": {"role": "assistant", "content": ""}}
            return _unary({**loaded, "done": True, "done_reason": "load"})
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        return self._answer(_OllamaFormat(request, turn, context))

    def _generate(self, received: Received, context: Context) -> Response:
        body = _object_of(received)
        request = read_chat(as_chat(body))
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        if "embed" in request.model:
            raise invalid(f'"{request.model}" does not support generate')
        if not body.get("prompt"):  # without a prompt the server only loads the model
            loaded = {"model": request.model, "created_at": _now(), "response": "", "done": True}
            return _unary({**loaded, "done_reason": "load"})
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        return self._answer(_GenerateFormat(request, turn, context))

    def _answer(self, answer: _OllamaFormat) -> Response:
        request, context = answer.request, answer.context
        if not request.stream:
            return _unary(answer.whole())
        return StreamedResponse(
            headers=_NDJSON,
            opening=(),
            tokens=(_line(event) for event in answer.events()),
            closing=answer.closing(),
            done=b"",  # the last line is finish, usage and end in one
            broken=b'{"model":"lost","message":{"role":"assistant","content":"lo\n',
            error=(_line({"error": _error_response(RequestRejected(context.stream_error(), model=request.model))[1]}),),
        )


def _error_response(refused: RequestRejected) -> tuple[int, str]:
    status, text = _ERRORS[refused.kind]
    return refused.status or status, refused.message or text.format(model=refused.model or "this-model")


def _line(value: object) -> bytes:
    return (dumps(value) + "\n").encode("utf-8", "surrogatepass")


def _unary(value: object) -> UnaryResponse:
    return UnaryResponse(200, _JSON, dumps(value).encode("utf-8", "surrogatepass"))


def _object_of(received: Received) -> Mapping[str, Any]:
    if not received.raw:
        raise invalid("missing request body")
    if isinstance(received.body, Mapping):
        return received.body
    try:
        json.loads(received.raw)
    except ValueError:
        raise invalid("invalid character looking for prefix of value") from None
    raise wrong_type("request", "object")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")


def _tag(model: str) -> dict[str, Any]:
    return {
        "name": model,
        "model": model,
        "modified_at": "2025-11-15T10:00:00.000000000Z",
        "size": 2019393189,
        "digest": "0" * 64,
        "details": {"format": "gguf", "family": model.partition(":")[0], "parameter_size": "3.2B"},
    }


def _embed_one(body: Mapping[str, Any], context: Context) -> UnaryResponse:
    """Return the vector of one text: an older operation, which the clients still have."""
    model, text = body.get("model"), body.get("prompt", "")
    if not isinstance(model, str) or not model:
        raise invalid("model is required")
    if not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
    if not isinstance(text, str):
        raise wrong_type("EmbeddingRequest.prompt", "string")
    native = native_dimensions(model)
    return _unary({"embedding": as_floats(vector_of(model, text, native, native)) if text else []})


def _show(body: Mapping[str, Any], context: Context) -> UnaryResponse:
    model = body.get("model") or body.get("name")
    if not isinstance(model, str) or not model:
        raise invalid("model is required")
    if not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
    details = _tag(model)["details"]
    family = details["family"]
    info = {"general.architecture": family, f"{family}.context_length": 131_072}
    if "embed" in model:
        capabilities = ["embedding"]
        info[f"{family}.embedding_length"] = native_dimensions(model)
    else:
        capabilities = ["completion", "tools", *(["thinking"] if re.search("qwen3|gpt-oss", model) else [])]
    return _unary(
        {
            "modelfile": f"FROM {model}",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": {**details, "parent_model": "", "families": [family], "quantization_level": "Q4_K_M"},
            "model_info": info,
            "capabilities": capabilities,
            "modified_at": _tag(model)["modified_at"],
        }
    )


def _embed(body: Mapping[str, Any], context: Context) -> UnaryResponse:
    model, value = body.get("model"), body.get("input")
    if not isinstance(model, str) or not model:
        raise invalid("model is required")
    if not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
    texts = [value] if isinstance(value, str) else value
    if texts is None or texts in ([], [""]):
        return _unary({"model": model, "embeddings": []})
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise invalid("invalid input type")
    native = native_dimensions(model)
    size = body.get("dimensions")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise wrong_type("EmbedRequest.dimensions", "int")
    tokens = sum(words_in(text) for text in texts)
    if body.get("truncate") is False and any(words_in(text) > 8192 for text in texts):
        raise RequestRejected(ErrorKind.CONTEXT_LENGTH)
    vectors = [as_floats(vector_of(model, text, min(size or native, native), native)) for text in texts]
    answer: dict[str, Any] = {
        "model": model,
        "embeddings": vectors,
        "total_duration": 14143917,
        "load_duration": 1019500,
    }
    if context.fault.usage:
        answer["prompt_eval_count"] = tokens
    return _unary(answer)


@attrs.define
class _OllamaFormat:
    request: ParsedRequest
    turn: Turn
    context: Context

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.turn.whole_text}
        if self.turn.reasoning:
            message["thinking"] = self.turn.whole_reasoning
        if calls := self._calls():
            message["tool_calls"] = calls
        return {**self._event(message, done=True), **self._end()}

    def events(self) -> Iterator[dict[str, Any]]:
        for piece in self.turn.reasoning:
            yield self._event({"role": "assistant", "content": "", "thinking": piece})
        for piece in self.turn.text:
            yield self._event({"role": "assistant", "content": piece})
        for call in self._calls():  # whole, and before the last line
            yield self._event({"role": "assistant", "content": "", "tool_calls": [call]})

    def closing(self) -> Iterator[bytes]:
        """Lazy, so that its time is not before that of the lines before it."""
        yield _line({**self._event({"role": "assistant", "content": ""}, done=True), **self._end()})

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{token_of(self.context.rng, 8, 'abcdefghijklmnopqrstuvwxyz0123456789')}",
                "function": {"index": index, "name": call.name, "arguments": dict(call.arguments)},
            }
            for index, call in enumerate(self.turn.calls)
        ]

    def _event(self, message: dict[str, Any], *, done: bool = False) -> dict[str, Any]:
        return {"model": self.request.model, "created_at": _now(), "message": message, "done": done}

    def _end(self) -> dict[str, Any]:
        spent = 5_000_000 * self.turn.completion_tokens
        end: dict[str, Any] = {
            "done_reason": "length" if self.turn.finish == "length" else "stop",  # also where tools are called
            "total_duration": spent + 70_000_000,
            "load_duration": 41_717_917,
        }
        if self.context.fault.usage:
            end["prompt_eval_count"] = self.turn.prompt_tokens
        end["prompt_eval_duration"] = 27_758_541
        if self.context.fault.usage:
            end["eval_count"] = self.turn.completion_tokens
        end["eval_duration"] = spent
        return end


@attrs.define
class _GenerateFormat(_OllamaFormat):
    """The response of /api/generate: the text is in `response`, and there is no message."""

    def _event(self, message: dict[str, Any], *, done: bool = False) -> dict[str, Any]:
        fields = {"thinking": message["thinking"]} if "thinking" in message else {}
        event = {"model": self.request.model, "created_at": _now(), "response": message["content"], **fields}
        return {**event, "done": done, **({"context": [1, 2, 3]} if done else {})}
