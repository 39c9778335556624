"""The dialect of the OpenAI-shaped providers: paths, keys, chat, embeddings and the list of models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, compose
from turnout_sandbox.dialect import Context, dumps, sse, string_of, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.embeddings import EmbeddingRules, embed
from turnout_sandbox.openai.errors import ErrorFormatter, ErrorResponse
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules, read_chat
from turnout_sandbox.openai.responses import ResponsesFormat, as_chat
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response, StreamedResponse, UnaryResponse

__all__ = ["OpenAIChatServer"]


def _no_headers(context: Context) -> Fields:
    return ()


def _never(body: Mapping[str, Any]) -> bool:
    return False


def _accept(body: Mapping[str, Any], request: ParsedRequest) -> None:
    return None


@attrs.frozen(kw_only=True)
class OpenAIChatServer:
    """One OpenAI-shaped provider: its data, and the few functions that data cannot say.

    reasons      whether a request makes the model think
    check       more rules of the provider on a request that is otherwise well formed; raises RequestRejected
    headers     the fields of every response
    responses   whether it has the Responses API beside chat completions
    responses_refused  fields of the Responses API that it refuses
    responses_checked  whether `check` holds for the Responses API, too
    error_event the name of the event that holds an error inside a stream; "" where it has none
    prefix      the field that marks a last message of the assistant as the prefix of the answer; "" has none
    repeats     whether the answer says that prefix again
    """

    name: str
    base: str
    models: tuple[str, ...]
    shape: type[ChatFormat]
    errors: ErrorFormatter
    rules: Rules = attrs.field(factory=Rules)
    embeddings: EmbeddingRules | None = None
    reasons: Callable[[Mapping[str, Any]], bool] = _never
    check: Callable[[Mapping[str, Any], ParsedRequest], None] = _accept
    headers: Callable[[Context], Fields] = _no_headers
    stream_type: str = "text/event-stream"
    open_models: bool = False  # the list of models needs no key
    needs_key: bool = True
    error_event: str = ""
    responses: bool = False
    responses_refused: frozenset[str] = frozenset()
    responses_checked: bool = True
    prefix: str = ""
    repeats_prefix: bool = False

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
            raise RequestRejected(ErrorKind.NO_SUCH_PATH, f"Invalid URL ({received.method} {received.path})")
        if received.method != method:
            raise invalid(f"Not allowed to {received.method} on {path} (HINT: perhaps {method})", status=405)
        if self.needs_key and not (self.open_models and path == "/models"):
            self._authenticate(received, context)
        if path == "/models":
            return self._json(self._model_list(context), context)
        if one_model:
            model = path.removeprefix("/models/")
            if not context.knows(model):
                raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
            return self._json(self._model(model, context), context)
        body = _object_of(received)
        if path == "/embeddings":
            return self._embeddings(body, context)
        if path == "/responses":
            return self._respond(received, body, context)
        return self._chat(received, body, context)

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        error_response = self._error_response(refused, context, received)
        fields = (*self.headers(context), *error_response.headers)
        if not any(name == "content-type" for name, _ in fields):
            fields = (
                ("content-type", "text/plain; charset=utf-8" if error_response.plain else "application/json"),
                *fields,
            )
        return UnaryResponse(
            error_response.status,
            fields,
            (error_response.body if error_response.plain else dumps(error_response.body)).encode("utf-8", "replace"),
        )

    def _error_response(self, refused: RequestRejected, context: Context, received: Received | None) -> ErrorResponse:
        if received is not None and not refused.model:
            refused.model = received.model
        return self.errors(refused, context.rng)

    def _authenticate(self, received: Received, context: Context) -> None:
        given = received.headers.get("authorization", "")
        kind, _, key = given.partition(" ")
        if kind.lower() != "bearer" or not key:
            raise RequestRejected(ErrorKind.AUTH, "You didn't provide an API key in an Authorization header.")
        if context.key is not None and key != context.key:
            shown = f"{key[:4]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8
            raise RequestRejected(ErrorKind.AUTH, f"Incorrect API key provided: {shown}.")

    def _read(
        self,
        body: Mapping[str, Any],
        rules: Rules,
        put: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    ) -> tuple[Mapping[str, Any], ParsedRequest]:
        """The body, put in the words of chat completions, and what it asks for. Raises RequestRejected."""
        try:
            chat = put(body)
            return chat, attrs.evolve(read_chat(chat, rules), reasoning=self.reasons(chat))
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise invalid(f"The JSON body of the request is malformed: {fault}") from None

    def _respond(self, received: Received, body: Mapping[str, Any], context: Context) -> Response:
        for name in sorted(self.responses_refused & body.keys()):
            raise invalid(param=name, code="unknown_parameter")
        # Its own fields were put in the words of chat completions, which may know them by other names.
        chat, request = self._read(body, attrs.evolve(self.rules, parameters=None), as_chat)
        if self.responses_checked:
            self.check(chat, request)
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        answer = ResponsesFormat(turn, request.model, context)
        if not request.stream:
            return self._json(answer.whole(), context)
        error_response = self._error_response(
            RequestRejected(context.stream_error(), model=request.model), context, None
        )
        return StreamedResponse(
            headers=(("content-type", "text/event-stream; charset=utf-8"), *self.headers(context)),
            opening=answer.opening(),
            tokens=answer.tokens(),
            closing=answer.closing(),
            done=b"",
            broken=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","del\n\n',
            error=(answer.failed(_error_of(error_response)),),
        )

    def _chat(self, received: Received, body: Mapping[str, Any], context: Context) -> Response:
        body, request = self._read(body, self.rules)
        self.check(body, request)
        if self.prefix:
            request = attrs.evolve(
                request, prefix=_prefix(body["messages"], self.prefix), repeats_prefix=self.repeats_prefix
            )
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        if "embed" in request.model.lower():
            raise RequestRejected(
                ErrorKind.PERMISSION, "You are not allowed to sample from this model", model=request.model
            )
        options = body.get("stream_options")
        options = options if isinstance(options, Mapping) else {}
        shape = self.shape(
            turn=compose(request, received, context.scripted, f"{self.name}/{request.model}"),
            model=request.model,
            created=context.created,
            rng=context.rng,
            usage_requested=bool(options.get("include_usage")),
            usage_sent=context.fault.usage,
            padding=options.get("include_obfuscation") is not False,
            request=body,
        )
        if not request.stream:
            fields = (("content-type", "application/json"), *self.headers(context))
            return UnaryResponse(200, fields, shape.encoded())
        return StreamedResponse(
            headers=(("content-type", self.stream_type), ("cache-control", "no-cache"), *self.headers(context)),
            opening=tuple(shape.opening()),
            tokens=shape.tokens(),
            closing=tuple(shape.closing()),
            done=shape.done,
            broken=shape.broken(),
            error=self._error_events(RequestRejected(context.stream_error(), model=request.model), context),
        )

    def _error_events(self, refused: RequestRejected, context: Context) -> tuple[bytes, ...]:
        event = sse(dumps(self._error_response(refused, context, None).in_stream))
        return (f"event: {self.error_event}\n".encode() + event if self.error_event else event,)

    def _embeddings(self, body: Mapping[str, Any], context: Context) -> UnaryResponse:
        assert self.embeddings is not None
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise invalid("you must provide a model parameter", param="model")
        if not context.knows(model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
        if not re.search(r"embed|bge|bce|gte|e5", model.lower()):
            text = "You are not allowed to generate embeddings from this model"
            raise RequestRejected(ErrorKind.PERMISSION, text, model=model)
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

    def _json(self, value: object, context: Context) -> UnaryResponse:
        return UnaryResponse(
            200, (("content-type", "application/json"), *self.headers(context)), dumps(value).encode("utf-8", "replace")
        )


def _prefix(messages: Sequence[Mapping[str, Any]], field: str) -> str:
    """Return the beginning of the answer, from the last message.

    Raises:
        RequestRejected: The last message is the assistant's, but not marked as a prefix.
    """
    last = messages[-1]
    if last.get("role") != "assistant":
        return ""
    if not last.get(field):
        raise invalid(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
            param="messages",
        )
    return string_of(last.get("content"))


def _error_of(error_response: ErrorResponse) -> dict[str, Any]:
    """The error of a response that failed: a code and a message."""
    error = error_response.in_stream.get("error")
    error = error if isinstance(error, Mapping) else error_response.in_stream
    return {"code": error.get("code") or error.get("type") or "server_error", "message": error.get("message")}


def _object_of(received: Received) -> Mapping[str, Any]:
    """The JSON object of the body. Raises RequestRejected, as OpenAI does for a body that does not parse."""
    kind = received.headers.get("content-type", "")
    if not kind.lower().startswith("application/json"):
        raise invalid(
            f"Invalid content type: '{kind}'. Use 'application/json'.",
            code="unsupported_content_type",
        )
    if not isinstance(received.body, Mapping):
        try:
            json.loads(received.raw)
        except ValueError:
            raise invalid("We could not parse the JSON body of your request.") from None
        raise invalid("The JSON body of the request is not an object.")
    return received.body


def request_id(context: Context) -> str:
    return f"req_{token_of(context.rng, 32, '0123456789abcdef')}"
