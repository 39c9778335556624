"""The dialect of the OpenAI-shaped providers: paths, keys, chat, embeddings and the list of models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import attrs

from turnout_sandbox.answers import ParsedRequest, compose
from turnout_sandbox.dialect import Context, dumps, in_turns, sse, string_of, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.embeddings import EmbeddingRules, embed
from turnout_sandbox.openai.errors import ErrorFormatter, ErrorResponse
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules, read_chat
from turnout_sandbox.openai.responses import ResponsesFormat
from turnout_sandbox.openai.responses_request import as_chat
from turnout_sandbox.received import Received
from turnout_sandbox.rerank import RerankRules, rerank_response
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
    """One provider that is compatible with OpenAI: its data, and functions for the rest.

    reasons      whether a request makes the model think
    check       more rules of the provider on a request that is otherwise well formed; raises RequestRejected
    headers     the fields of every response
    responses   whether it has the Responses API beside chat completions
    responses_refused  fields of the Responses API that it refuses
    responses_checked  whether `check` holds for the Responses API, too
    error_event the name of the event that holds an error inside a stream; "" where it has none
    prefix      the field that marks a last message of the assistant as the prefix of the answer; "" has none
    repeats_prefix  whether the answer contains that prefix
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
    counts_tokens: bool = False
    reranking: RerankRules | None = None
    prefix: str = ""
    repeats_prefix: bool = False

    def respond(self, received: Received, context: Context) -> Response:
        path = self._path(received)
        method, answer = self._route(path)
        if received.method != method:
            raise invalid(f"Not allowed to {received.method} on {path} (HINT: perhaps {method})", status=405)
        if self.needs_key and not (self.open_models and path == "/models"):
            self._authenticate(received, context)
        return answer(received, context)

    def _path(self, received: Received) -> str:
        """Return the path below the base URL; the reranker of some providers is beside it.

        Raises:
            RequestRejected: The path is not below the base URL.
        """
        if self.reranking is not None and received.path == self.reranking.path[1:]:
            return self.reranking.path
        if not received.path.startswith(self.base):
            raise RequestRejected(ErrorKind.NO_SUCH_PATH, f"Invalid URL ({received.method} {received.path})")
        return received.path.removeprefix(self.base)

    def _route(self, path: str) -> tuple[str, Callable[[Received, Context], Response]]:
        """Return the method and the operation of a path.

        Raises:
            RequestRejected: The provider has no such path.
        """
        if self.models and path.startswith("/models/"):
            return "GET", self._one_model
        match path:
            case "/chat/completions":
                return "POST", self._chat
            case "/embeddings" if self.embeddings is not None:
                return "POST", self._embeddings
            case "/models" if self.models:
                return "GET", lambda received, context: self._json(self._model_list(context), context)
            case "/responses" if self.responses:
                return "POST", self._respond
            case "/responses/input_tokens" if self.counts_tokens:
                return "POST", self._count_tokens
            case _ if self.reranking is not None and path == self.reranking.path:
                return "POST", self._rerank
            case _:
                raise RequestRejected(ErrorKind.NO_SUCH_PATH, f"Invalid URL (no operation at {path})")

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
        """Return the body in the form of chat completions, and the parsed request.

        Raises:
            RequestRejected: The body breaks a rule.
        """
        try:
            chat = put(body)
            return chat, attrs.evolve(read_chat(chat, rules), reasoning=self.reasons(chat))
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise invalid(f"The JSON body of the request is malformed: {fault}") from None

    def _one_model(self, received: Received, context: Context) -> Response:
        model = unquote(self._path(received).removeprefix("/models/"))
        if not context.knows(model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
        return self._json(self._model(model, context), context)

    def _count_tokens(self, received: Received, context: Context) -> Response:
        _, request = self._read(_object_of(received), attrs.evolve(self.rules, parameters=None), as_chat)
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        return self._json({"object": "response.input_tokens", "input_tokens": request.prompt_tokens}, context)

    def _rerank(self, received: Received, context: Context) -> Response:
        assert self.reranking is not None
        body = _object_of(received)
        if not context.knows(_model_of(body)):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=_model_of(body))
        response = rerank_response(body, self.reranking, context.rng)
        if not context.fault.usage:
            response.pop("usage")
        return self._json(response, context)

    def _respond(self, received: Received, context: Context) -> Response:
        body = _object_of(received)
        for name in sorted(self.responses_refused & body.keys()):
            raise invalid(param=name, code="unknown_parameter")
        # Its own fields were put in the words of chat completions, which may know them by other names.
        chat, request = self._read(body, attrs.evolve(self.rules, parameters=None), as_chat)
        if self.responses_checked:
            self.check(chat, request)
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        turn = compose(request, received, context.scripted, f"{self.name}/{request.model}")
        answer = ResponsesFormat(turn, request.model, context, body)
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
            error=answer.failed(_error_of(error_response)),
        )

    def _chat(self, received: Received, context: Context) -> Response:
        body, request = self._read(_object_of(received), self.rules)
        self.check(body, request)
        if self.prefix:
            request = attrs.evolve(
                request, prefix=_prefix(body["messages"], self.prefix), repeats_prefix=self.repeats_prefix
            )
        if not context.knows(request.model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=request.model)
        if "embed" in request.model.lower():
            raise RequestRejected(
                ErrorKind.INVALID, "You are not allowed to sample from this model", status=403, model=request.model
            )
        formats = self._formats(received, body, request, context)
        if not request.stream:
            fields = (("content-type", "application/json"), *self.headers(context))
            return UnaryResponse(200, fields, formats[0].encoded())
        return StreamedResponse(
            headers=(("content-type", self.stream_type), ("cache-control", "no-cache"), *self.headers(context)),
            opening=tuple(event for each in formats for event in each.opening()),
            tokens=in_turns([each.tokens() for each in formats]),
            closing=tuple(event for each in formats for event in each.closing()),
            done=formats[0].done,
            broken=formats[0].broken(),
            error=self._error_events(RequestRejected(context.stream_error(), model=request.model), context),
        )

    def _formats(
        self, received: Received, body: Mapping[str, Any], request: ParsedRequest, context: Context
    ) -> list[ChatFormat]:
        """Return one format for each choice. The first has the whole response, the last the usage of a stream."""
        options = body.get("stream_options")
        options = options if isinstance(options, Mapping) else {}
        salts = [f"{self.name}/{request.model}" + (f"/{number}" if number else "") for number in range(request.choices)]
        turns = [compose(request, received, context.scripted, salt) for salt in salts]
        completion_tokens = sum(turn.completion_tokens for turn in turns)
        formats = [
            self.shape(
                turn=attrs.evolve(turn, completion_tokens=completion_tokens),
                model=request.model,
                created=context.created,
                rng=context.rng,
                usage_requested=bool(options.get("include_usage")),
                usage_sent=context.fault.usage and (not request.stream or number == len(turns) - 1),
                padding=options.get("include_obfuscation") is not False,
                request=body,
                index=number,
            )
            for number, turn in enumerate(turns)
        ]
        for each in formats:
            each.identity = formats[0].identity
        formats[0].more_choices = formats[1:]
        return formats

    def _error_events(self, refused: RequestRejected, context: Context) -> tuple[bytes, ...]:
        event = sse(dumps(self._error_response(refused, context, None).in_stream))
        return (f"event: {self.error_event}\n".encode() + event if self.error_event else event,)

    def _embeddings(self, received: Received, context: Context) -> Response:
        assert self.embeddings is not None
        body = _object_of(received)
        model = _model_of(body)
        if not context.knows(model):
            raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
        if not re.search(r"embed|bge|bce|gte|e5", model.lower()):
            text = "You are not allowed to generate embeddings from this model"
            raise RequestRejected(ErrorKind.INVALID, text, status=403, model=model)
        answer = {**embed(body, self.embeddings), **self._embedding_fields(context)}
        if not context.fault.usage:
            answer.pop("usage")
        return self._json(answer, context)

    def _embedding_fields(self, context: Context) -> Mapping[str, Any]:
        """Return further fields of a response with embeddings."""
        return {}

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


def _model_of(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter", param="model")
    return model


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
