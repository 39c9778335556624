"""Ollama's own dialect: NDJSON streams, tool arguments as objects, images as bare base64.

Source: Ollama's API documentation (docs/api.md in its repository).
"""

from __future__ import annotations

import base64
from typing import Any

import attrs
import msgspec

from turnout.chat import ChatRequest, ChatResponse, FinishReason, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import CapabilityUnsupported, ProviderError, RemoteProtocolError
from turnout.events import Event
from turnout.framing.ndjson import NdjsonParser
from turnout.http import Headers, HttpRequest
from turnout.messages import Image, Message, Refusal, Role, Text, Thinking, Tool
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.encoding.adapt import omitted
from turnout.providers.encoding.hosted_tools import is_hosted
from turnout.providers.encoding.tool_arguments import arguments_object, object_schema
from turnout.providers.exchange import HttpExchange
from turnout.providers.json_codec import NULL, LenientDecoder, raw_text
from turnout.providers.protocol import ModelPage

__all__ = ["FAMILY", "FINISH_REASONS", "Ollama"]

FAMILY = "ollama"
FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_EFFORTS = ("low", "medium", "high", "max")


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = NULL


class _ToolCall(msgspec.Struct, gc=False):
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    message: _Message | None = None
    response: str | None = None  # /api/generate
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: Any = None
    error: Any = None


class _Embeddings(msgspec.Struct, gc=False):
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None  # /api/embeddings, of old
    model: str | None = None
    prompt_eval_count: int | None = None
    error: Any = None


class _Model(msgspec.Struct, gc=False):
    name: str | None = None
    model: str | None = None


class _Models(msgspec.Struct, gc=False):
    models: list[_Model] | None = None
    error: Any = None


_ANSWER = LenientDecoder(_Answer)
_EMBEDDINGS = LenientDecoder(_Embeddings)
_MODELS = LenientDecoder(_Models)


@attrs.frozen
class Ollama(Dialect):
    """A provider that speaks Ollama (`turnout.providers.protocol.Provider`). A key is for ollama.com only."""

    finish_reasons = FINISH_REASONS
    stream_type = "application/x-ndjson"

    @property
    def family(self) -> str:
        return FAMILY

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        http_request = self._request("POST", "/api/chat", _chat_body(request, stream=False))
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_chat(body, request, headers), omitted(request)
        )

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        request = self.adapt(request)
        http_request = self._request("POST", "/api/chat", _chat_body(request, stream=True), stream=True)
        return self.stream_exchange(
            http_request, request, lambda *parts: _Chunks(self, *parts), NdjsonParser, omitted(request)
        )

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        body: dict[str, Any] = {"model": request.model.model_id, "input": request.input}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        http_request = self._request("POST", "/api/embed", body | dict(self.adapt_model(request.model).extra))
        return self.document_exchange(
            http_request, lambda body, headers: self._parse_embeddings(body, request, headers)
        )

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        return self.document_exchange(self._request("GET", "/api/tags", None), self._parse_models)

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        return self.build_request(method, self.account.base_url + path, body, stream=stream)

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        accumulator = self.new_accumulator(request, headers)
        chunks = _Chunks(self, accumulator, headers)
        try:
            failure = chunks.read("", body, [])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the answer is no JSON object ({error})") from None
        if failure is not None:
            raise failure
        if not chunks.done and not accumulator.has_content:
            raise RemoteProtocolError(f"{request.model}: the answer holds no message")
        return accumulator.response()

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        answer = self.decode_checked(_EMBEDDINGS, body, headers)
        rows = answer.embeddings if answer.embeddings is not None else [answer.embedding]
        if None in rows:
            raise RemoteProtocolError(f"{request.model}: no vectors came")
        try:
            vectors = Vectors.of(rows)
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the vectors cannot be read: {error}") from None
        told = answer.prompt_eval_count
        return EmbeddingResponse(
            vectors=vectors,
            model=request.model,
            usage=Usage(prompt_tokens=told) if told is not None else Usage(source="absent"),
            served_model=answer.model,
        )

    def _parse_models(self, body: bytes, headers: Headers) -> ModelPage:
        answer = self.decode_checked(_MODELS, body, headers)
        if answer.models is None and b'"models"' not in body:  # a list of nothing is null
            raise RemoteProtocolError(f"{self.name}: no model list came")
        names = (model.model or model.name for model in answer.models or ())
        return ModelPage(tuple(ModelInfo(name, self.name) for name in names if name))


@attrs.define(eq=False)
class _Chunks:
    """Reads lines, or the whole answer, into a response (`turnout.providers.decoding.stream_reader.ChunkReader`)."""

    dialect: Ollama
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        answer = _ANSWER.decode(data)
        if answer is None:
            raise ValueError("no JSON object")
        accumulator = self.accumulator
        accumulator.raw = data
        if answer.error:
            return self.dialect.error(parse_error({"error": answer.error}), self.headers, data)
        accumulator.served_model = accumulator.served_model or answer.model
        thinking, text = answer.thinking, answer.response
        if answer.message is not None:
            thinking, text = answer.message.thinking, answer.message.content
        if thinking:
            accumulator.reasoning(thinking, events)
        if text:
            accumulator.text(text, events)
        for call in (answer.message.tool_calls if answer.message is not None else None) or ():
            self._tool_call(call, events)
        if answer.logprobs:
            accumulator.add_logprobs(answer.logprobs, events)
        if answer.done:
            self.done = True
            accumulator.finish(answer.done_reason)
        if answer.prompt_eval_count is not None or answer.eval_count is not None:
            # A count of zero is left out on the wire, as is one that is not known: it stays unknown.
            accumulator.usage = Usage(prompt_tokens=answer.prompt_eval_count, completion_tokens=answer.eval_count)
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        return self.read("", data, events)

    def flush(self, events: list[Event]) -> None:
        """Nothing is held back."""

    def _tool_call(self, call: _ToolCall, events: list[Event]) -> None:
        function = call.function
        if function is None or not function.name:
            return
        arguments = raw_text(function.arguments)
        if arguments is None:
            arguments = "{}"
        self.accumulator.tool_fragment(events, starts_call=True, name=function.name, arguments=arguments, id=call.id)


# -- requests -------------------------------------------------------------------------------------------------------


def _chat_body(request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    model = request.model
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "named"):
        raise CapabilityUnsupported(f"{model}: Ollama cannot be made to call a tool; only 'auto' and 'none' work")
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    body: dict[str, Any] = {
        "model": model.model_id,
        "messages": [_message(message, names) for message in request.messages],
        "stream": stream,
    }
    if request.tools and (request.tool_choice is None or request.tool_choice.mode != "none"):
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.response_format is not None:
        body["format"] = request.response_format.schema if request.response_format.schema is not None else "json"
    if model.reasoning_effort is not None:
        effort = model.reasoning_effort
        body["think"] = effort if effort in _EFFORTS and "gpt-oss" in model.model_id else effort != "none"
    options = {
        "temperature": model.temperature,
        "top_p": model.top_p,
        "top_k": model.top_k,
        "num_predict": model.max_tokens,
        "stop": list(model.stop) or None,
        "seed": model.seed,
        "presence_penalty": model.presence_penalty,
        "frequency_penalty": model.frequency_penalty,
    }
    given = {name: value for name, value in options.items() if value is not None}
    extra = dict(model.extra)
    if isinstance(own := extra.pop("options", None), dict):
        given |= own
    if given:
        body["options"] = given
    if model.logprobs is not None:
        body["logprobs"] = True
        if model.logprobs:
            body["top_logprobs"] = model.logprobs
    return body | extra


def _tool(tool: Tool) -> dict[str, Any]:
    if is_hosted(tool.extra, FAMILY):
        return dict(tool.extra)
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": object_schema(tool),
    }
    return {"type": "function", "function": function, **tool.extra}


def _message(message: Message, names: dict[str, str]) -> dict[str, Any]:
    role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
    wire: dict[str, Any] = {"role": role.value, "content": ""}
    images = []
    for part in message.content:
        match part:
            case Text() | Refusal():
                wire["content"] += part.text
            case Thinking():
                if message.origin == FAMILY:
                    wire["thinking"] = wire.get("thinking", "") + part.text
            case Image():
                images.append(_image(part))
            case _ if role is Role.ASSISTANT:
                continue  # what another provider understands alone
            case _:
                raise CapabilityUnsupported(f"ollama: a {type(part).__name__} cannot be sent; only text and images can")
    if images:
        wire["images"] = images
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": arguments_object(call)}}
            for call in message.tool_calls
        ]
    if role is Role.TOOL:
        wire["tool_call_id"] = message.tool_call_id
        wire["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
    return wire | dict(message.extra)


def _image(part: Image) -> str:
    """The bare base64 of an image: Ollama fetches nothing."""
    if part.data is not None:
        return base64.b64encode(part.data).decode()
    url = part.url or ""
    if url.startswith("data:") and ";base64," in url:
        return url.partition(";base64,")[2]
    raise CapabilityUnsupported("ollama: takes an image by its bytes, not by URL; fetch it and give Image(data=…)")
