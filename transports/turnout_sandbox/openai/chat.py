"""The dialect of the OpenAI-shaped providers: paths, keys, chat, embeddings and the list of models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from turnout_sandbox.answers import Asked, compose
from turnout_sandbox.dialect import Context, dumps, sse, string_of, token_of
from turnout_sandbox.errors import ErrorKind, Refused
from turnout_sandbox.openai.embeddings import EmbeddingRules, embed
from turnout_sandbox.openai.errors import ErrorBook, Told
from turnout_sandbox.openai.format import Shape
from turnout_sandbox.openai.requests import Rules, read_chat
from turnout_sandbox.openai.responses import ResponseAnswer, as_chat
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response, Stream, Unary

__all__ = ["OpenAIChat"]


def _no_headers(context: Context) -> Fields:
    return ()


def _never(body: Mapping[str, Any]) -> bool:
    return False


def _accept(body: Mapping[str, Any], asked: Asked) -> None:
    return None


@attrs.frozen(kw_only=True)
class OpenAIChat:
    """One OpenAI-shaped provider: its data, and the few functions that data cannot say.

    thinks      whether a request makes the model think
    check       more rules of the provider on a request that is otherwise well formed; raises Refused
    headers     the fields of every response
    responses   whether it has the Responses API beside chat completions
    responses_refused  fields of the Responses API that it refuses
    responses_checked  whether `check` holds for the Responses API, too
    error_event the name of the event that holds an error inside a stream; "" where it has none
    prefix      the field that marks a last message of the assistant as the beginning of the answer; "" has none
    repeats     whether the answer says that prefix again
    """

    name: str
    base: str
    models: tuple[str, ...]
    shape: type[Shape]
    errors: ErrorBook
    rules: Rules = attrs.field(factory=Rules)
    embeddings: EmbeddingRules | None = None
    thinks: Callable[[Mapping[str, Any]], bool] = _never
    check: Callable[[Mapping[str, Any], Asked], None] = _accept
    headers: Callable[[Context], Fields] = _no_headers
    stream_type: str = "text/event-stream"
    open_models: bool = False  # the list of models needs no key
    needs_key: bool = True
    error_event: str = ""
    responses: bool = False
    responses_refused: frozenset[str] = frozenset()
    responses_checked: bool = True
    prefix: str = ""
    repeats: bool = False

    def respond(self, received: Received, context: Context) -> Response:
        path = received.path.removeprefix(self.base)
        known = {"/chat/completions": "POST", "/embeddings": "POST", "/models": "GET"}
        if self.responses:
            known["/responses"] = "POST"
        if self.embeddings is None:
            del known["/embeddings"]
        if not self.models:
            del known["/models"]
        one_model = bool(self.models) and path.startswith("/models/")
        method = "GET" if one_model else known.get(path)
        if not received.path.startswith(self.base) or method is None:
            raise Refused(ErrorKind.NO_SUCH_PATH, f"Invalid URL ({received.method} {received.path})")
        if received.method != method:
            raise Refused(
                ErrorKind.INVALID, f"Not allowed to {received.method} on {path} (HINT: perhaps {method})", status=405
            )
        if self.needs_key and not (self.open_models and path == "/models"):
            self._let_in(received, context)
        if path == "/models":
            return self._json(self._model_list(context), context)
        if one_model:
            model = path.removeprefix("/models/")
            if not context.knows(model):
                raise Refused(ErrorKind.NO_SUCH_MODEL, model=model)
            return self._json(self._model(model, context), context)
        body = _object_of(received)
        if path == "/embeddings":
            return self._embeddings(body, context)
        if path == "/responses":
            return self._respond(received, body, context)
        return self._chat(received, body, context)

    def refusal(self, refused: Refused, context: Context, received: Received | None = None) -> Unary:
        told = self._told(refused, context, received)
        fields = (*self.headers(context), *told.headers)
        if not any(name == "content-type" for name, _ in fields):
            fields = (("content-type", "text/plain; charset=utf-8" if told.plain else "application/json"), *fields)
        return Unary(told.status, fields, (told.body if told.plain else dumps(told.body)).encode("utf-8", "replace"))

    def _told(self, refused: Refused, context: Context, received: Received | None) -> Told:
        if received is not None and not refused.model:
            refused.model = received.model
        return self.errors(refused, context.rng)

    def _let_in(self, received: Received, context: Context) -> None:
        given = received.headers.get("authorization", "")
        kind, _, key = given.partition(" ")
        if kind.lower() != "bearer" or not key:
            raise Refused(ErrorKind.AUTH, "You didn't provide an API key in an Authorization header.")
        if context.key is not None and key != context.key:
            shown = f"{key[:4]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8
            raise Refused(ErrorKind.AUTH, f"Incorrect API key provided: {shown}.")

    def _read(
        self,
        body: Mapping[str, Any],
        rules: Rules,
        put: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> tuple[Mapping[str, Any], Asked]:
        """The body, put in the words of chat completions, and what it asks for. Raises Refused."""
        try:
            chat = put(body)
            return chat, attrs.evolve(read_chat(chat, rules), thinking=self.thinks(chat))
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise Refused(ErrorKind.INVALID, f"The JSON body of the request is malformed: {fault}") from None

    def _respond(self, received: Received, body: Mapping[str, Any], context: Context) -> Response:
        for name in sorted(self.responses_refused & body.keys()):
            raise Refused(ErrorKind.INVALID, param=name, code="unknown_parameter")
        # Its own fields were put in the words of chat completions, which may know them by other names.
        chat, asked = self._read(body, attrs.evolve(self.rules, parameters=None), as_chat)
        if self.responses_checked:
            self.check(chat, asked)
        if not context.knows(asked.model):
            raise Refused(ErrorKind.NO_SUCH_MODEL, model=asked.model)
        turn = compose(asked, received, context.scripted, f"{self.name}/{asked.model}")
        answer = ResponseAnswer(turn, asked.model, context)
        if not asked.stream:
            return self._json(answer.whole(), context)
        told = self._told(Refused(context.stream_error(), model=asked.model), context, None)
        return Stream(
            headers=(("content-type", "text/event-stream; charset=utf-8"), *self.headers(context)),
            opening=answer.opening(),
            tokens=answer.tokens(),
            closing=answer.closing(),
            done=b"",
            broken=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","del\n\n',
            error=(answer.failed(_error_of(told)),),
        )

    def _chat(self, received: Received, body: Mapping[str, Any], context: Context) -> Response:
        body, asked = self._read(body, self.rules)
        self.check(body, asked)
        if self.prefix:
            asked = attrs.evolve(asked, beginning=_prefix(body["messages"], self.prefix), repeats=self.repeats)
        if not context.knows(asked.model):
            raise Refused(ErrorKind.NO_SUCH_MODEL, model=asked.model)
        if "embed" in asked.model.lower():
            raise Refused(ErrorKind.PERMISSION, "You are not allowed to sample from this model", model=asked.model)
        options = body.get("stream_options")
        options = options if isinstance(options, Mapping) else {}
        shape = self.shape(
            turn=compose(asked, received, context.scripted, f"{self.name}/{asked.model}"),
            model=asked.model,
            created=context.created,
            rng=context.rng,
            usage_asked=bool(options.get("include_usage")),
            usage_told=context.fault.usage,
            padding=options.get("include_obfuscation") is not False,
            request=body,
        )
        if not asked.stream:
            fields = (("content-type", "application/json"), *self.headers(context))
            return Unary(200, fields, shape.encoded())
        return Stream(
            headers=(("content-type", self.stream_type), ("cache-control", "no-cache"), *self.headers(context)),
            opening=tuple(shape.opening()),
            tokens=shape.tokens(),
            closing=tuple(shape.closing()),
            done=shape.done,
            broken=shape.broken(),
            error=self._error_events(Refused(context.stream_error(), model=asked.model), context),
        )

    def _error_events(self, refused: Refused, context: Context) -> tuple[bytes, ...]:
        event = sse(dumps(self._told(refused, context, None).in_stream))
        return (f"event: {self.error_event}\n".encode() + event if self.error_event else event,)

    def _embeddings(self, body: Mapping[str, Any], context: Context) -> Unary:
        assert self.embeddings is not None
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Refused(ErrorKind.INVALID, "you must provide a model parameter", param="model")
        if not context.knows(model):
            raise Refused(ErrorKind.NO_SUCH_MODEL, model=model)
        if not re.search(r"embed|bge|bce|gte|e5", model.lower()):
            text = "You are not allowed to generate embeddings from this model"
            raise Refused(ErrorKind.PERMISSION, text, model=model)
        answer = embed(body, self.embeddings)
        if not context.fault.usage:
            answer.pop("usage")
        return self._json(answer, context)

    def _model_list(self, context: Context) -> Any:
        return {"object": "list", "data": self.listed(context)}

    def listed(self, context: Context) -> list[dict[str, Any]]:
        known = self.models if context.models is None else tuple(sorted(context.models))
        return [self._model(model, context) for model in known]

    def _model(self, model: str, context: Context) -> dict[str, Any]:
        return {"id": model, "object": "model", "created": 1735689600, "owned_by": self.name}

    def _json(self, value: object, context: Context) -> Unary:
        return Unary(
            200, (("content-type", "application/json"), *self.headers(context)), dumps(value).encode("utf-8", "replace")
        )


def _prefix(messages: Sequence[Mapping[str, Any]], field: str) -> str:
    """The beginning of the answer that the last message gives. Raises Refused for one that is not marked as that."""
    last = messages[-1]
    if last.get("role") != "assistant":
        return ""
    if not last.get(field):
        raise Refused(
            ErrorKind.INVALID,
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            param="messages",
        )
    return string_of(last.get("content"))


def _error_of(told: Told) -> dict[str, Any]:
    """The error of a response that failed: a code and a message."""
    error = told.in_stream.get("error")
    error = error if isinstance(error, Mapping) else told.in_stream
    return {"code": error.get("code") or error.get("type") or "server_error", "message": error.get("message")}


def _object_of(received: Received) -> Mapping[str, Any]:
    """The JSON object of the body. Raises Refused, as OpenAI does for a body that does not parse."""
    kind = received.headers.get("content-type", "")
    if not kind.lower().startswith("application/json"):
        raise Refused(
            ErrorKind.INVALID,
            f"Invalid content type: '{kind}'. Use 'application/json'.",
            code="unsupported_content_type",
        )
    if not isinstance(received.body, Mapping):
        try:
            json.loads(received.raw)
        except ValueError:
            raise Refused(ErrorKind.INVALID, "We could not parse the JSON body of your request.") from None
        raise Refused(ErrorKind.INVALID, "The JSON body of the request is not an object.")
    return received.body


def request_id(context: Context) -> str:
    return f"req_{token_of(context.rng, 32, '0123456789abcdef')}"
