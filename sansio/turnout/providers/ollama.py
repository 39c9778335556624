"""Ollama's own dialect: NDJSON streams, tool arguments as objects, images as bare base64.

Source: Ollama's API documentation (docs/api.md in its repository).
"""

from __future__ import annotations

import base64
import json
from typing import Any

import attrs
import msgspec

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelInfo, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import CapabilityUnsupported, ProviderError, RemoteProtocolError
from turnout.events import Event
from turnout.framing.ndjson import NdjsonParser
from turnout.http import Headers, HttpRequest
from turnout.messages import Image, Message, Refusal, Role, Text, Thinking, ToolCall
from turnout.providers.assembly import Assembly
from turnout.providers.entry import Account
from turnout.providers.exchange import Collected, HttpExchange
from turnout.providers.hints import request_id
from turnout.providers.protocol import ModelPage
from turnout.providers.refusals import error_reader, facts_of, to_error
from turnout.providers.stream_reader import StreamReader
from turnout.providers.wire import Shape, encode

__all__ = ["FAMILY", "FINISH_REASONS", "Ollama"]

FAMILY = "ollama"
FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_EFFORTS = ("low", "medium", "high", "max")


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


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


_ANSWER = Shape(_Answer)
_EMBEDDINGS = Shape(_Embeddings)
_MODELS = Shape(_Models)


@attrs.frozen
class Ollama:
    """A provider that speaks Ollama (`turnout.providers.protocol.Provider`). A key is for ollama.com only."""

    account: Account

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self.account.entry.capabilities

    @property
    def missing_env(self) -> tuple[str, ...]:
        return self.account.missing_env

    @property
    def embedding_batch(self) -> int | None:
        return self.account.entry.embedding_batch

    def first_content_timeout(self, model_id: str) -> float | None:
        rule = self.account.entry.rule(model_id)
        return rule.first_content if rule is not None else None

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        def make_reader(headers: Headers) -> Collected[ChatResponse]:
            return Collected(lambda body: self._parse_chat(body, request, headers))

        asked = self._request("POST", "/api/chat", _chat_body(request, stream=False))
        return HttpExchange(asked, make_reader, self._read_error())

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        def make_reader(headers: Headers) -> StreamReader:
            assembly = self._assembly(request, headers)
            return StreamReader(assembly, self.name, _Chunks(assembly, self.account, headers), NdjsonParser())

        asked = self._request("POST", "/api/chat", _chat_body(request, stream=True), stream=True)
        return HttpExchange(asked, make_reader, self._read_error())

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        body: dict[str, Any] = {"model": request.model.model_id, "input": request.input}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        body |= request.model.extra

        def make_reader(headers: Headers) -> Collected[EmbeddingResponse]:
            return Collected(lambda body: self._parse_embeddings(body, request, headers))

        return HttpExchange(self._request("POST", "/api/embed", body), make_reader, self._read_error())

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        def make_reader(headers: Headers) -> Collected[ModelPage]:
            return Collected(lambda body: self._parse_models(body, headers))

        return HttpExchange(self._request("GET", "/api/tags", None), make_reader, self._read_error())

    def _request(self, method: str, path: str, body: dict[str, Any] | None, *, stream: bool = False) -> HttpRequest:
        account = self.account
        headers = [("Accept", "application/x-ndjson" if stream else "application/json")]
        if stream:
            headers.append(("Accept-Encoding", "identity"))
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        if account.api_key:
            headers.append(("Authorization", f"Bearer {account.api_key}"))
        headers += account.headers.items()
        return HttpRequest(method, account.endpoint + path, headers, encode(body) if body is not None else b"")

    def _read_error(self) -> Any:
        return error_reader(self.name, self.account.entry.error_codes, self.account.secrets)

    def _assembly(self, request: ChatRequest, headers: Headers) -> Assembly:
        assembly = Assembly(request.model, FAMILY, FINISH_REASONS, len(request.messages))
        assembly.request_id = request_id(headers)
        return assembly

    def _parse_chat(self, body: bytes, request: ChatRequest, headers: Headers) -> ChatResponse:
        assembly = self._assembly(request, headers)
        chunks = _Chunks(assembly, self.account, headers)
        try:
            failure = chunks.read("", body, [])
        except ValueError as error:
            raise RemoteProtocolError(f"{request.model}: the answer is no JSON object ({error})") from None
        if failure is not None:
            raise failure
        if not chunks.done and not assembly.begun:
            raise RemoteProtocolError(f"{request.model}: the answer holds no message")
        return assembly.response()

    def _parse_embeddings(self, body: bytes, request: EmbeddingRequest, headers: Headers) -> EmbeddingResponse:
        answer = self._decoded(_EMBEDDINGS, body, headers)
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
        answer = self._decoded(_MODELS, body, headers)
        if answer.models is None:
            raise RemoteProtocolError(f"{self.name}: no model list came")
        names = (model.model or model.name for model in answer.models)
        return ModelPage(tuple(ModelInfo(name, self.name) for name in names if name))

    def _decoded(self, shape: Shape[Any], body: bytes, headers: Headers) -> Any:
        answer = shape.decode(body)
        if answer is None:
            raise RemoteProtocolError(f"{self.name}: the answer is no JSON object")
        if answer.error:
            raise _error(self.account, headers, answer.error, body)
        return answer


@attrs.define(eq=False)
class _Chunks:
    """Reads lines, or the whole answer, into an assembly (`turnout.providers.stream_reader.ChunkReader`)."""

    assembly: Assembly
    account: Account
    headers: Headers
    done: bool = False

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        answer = _ANSWER.decode(data)
        if answer is None:
            raise ValueError("no JSON object")
        assembly = self.assembly
        assembly.raw = data
        if answer.error:
            return _error(self.account, self.headers, answer.error, data)
        assembly.served_model = assembly.served_model or answer.model
        thinking, text = answer.thinking, answer.response
        if answer.message is not None:
            thinking, text = answer.message.thinking, answer.message.content
        if thinking:
            assembly.reasoning(thinking, events)
        if text:
            assembly.text(text, events)
        for call in (answer.message.tool_calls if answer.message is not None else None) or ():
            self._tool_call(call, events)
        if answer.logprobs:
            assembly.logprobs.append(answer.logprobs)
        if answer.done:
            self.done = True
            assembly.finish(answer.done_reason)
        if answer.prompt_eval_count is not None or answer.eval_count is not None:
            # A count of zero is left out on the wire, as is one that is not known: it stays unknown.
            assembly.usage = Usage(prompt_tokens=answer.prompt_eval_count, completion_tokens=answer.eval_count)
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        return self.read("", data, events)

    def flush(self, events: list[Event]) -> None:
        """Nothing is held back."""

    def _tool_call(self, call: _ToolCall, events: list[Event]) -> None:
        function = call.function
        if function is None or not function.name:
            return
        arguments = function.arguments
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)
        self.assembly.tool_call(events, name=function.name, arguments=arguments, id=call.id)


def _error(account: Account, headers: Headers, error: Any, data: bytes) -> ProviderError:
    facts = facts_of({"error": error})
    return to_error(
        facts, status=facts.status, headers=headers, provider=account.name, own=account.entry.error_codes, body=data,
        secrets=account.secrets,
    )  # fmt: skip


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
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters or {"type": "object", "properties": {}},
                },
                **tool.extra,
            }
            for tool in request.tools
        ]
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
            {"id": call.id, "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    if role is Role.TOOL:
        wire["tool_call_id"] = message.tool_call_id
        wire["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
    return wire | dict(message.extra)


def _arguments(call: ToolCall) -> Any:
    try:
        document = json.loads(call.arguments or "{}")
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"arguments": call.arguments}


def _image(part: Image) -> str:
    """The bare base64 of an image: Ollama fetches nothing."""
    if part.data is not None:
        return base64.b64encode(part.data).decode()
    url = part.url or ""
    if url.startswith("data:") and ";base64," in url:
        return url.partition(";base64,")[2]
    raise CapabilityUnsupported("ollama: takes an image by its bytes, not by URL; fetch it and give Image(data=…)")
