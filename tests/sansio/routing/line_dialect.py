"""A dialect small enough to draw at random: one letter and its text to a line.

    t TEXT  a token      r TEXT  reasoning      c  a comment      x  an unreadable event
    e CODE  an error inside the stream           f  the end

It is written as a user would write a dialect of their own: one class, over `HttpExchange`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    InvalidRequest,
    NotFound,
    Overloaded,
    ProviderError,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    TurnoutError,
)
from turnout.events import Event, Reasoning, Token
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.exchange import DocumentReader, HttpExchange
from turnout.providers.protocol import ModelPage, ModelProfile

STATUSES: dict[int, type[ProviderError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    404: NotFound,
    429: RateLimited,
    451: ContentFiltered,
    500: ServerError,
    503: Overloaded,
}


@attrs.define(eq=False)
class LineReader:
    """Reads the lines of one answer."""

    accumulator: ResponseAccumulator
    provider: str
    failure: TurnoutError | None = None
    complete: bool = False
    _tail: bytes = b""

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        events: list[Event] = []
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            if self.failure is not None or self.complete:
                break
            self._read(line.decode(), events)
        return tuple(events)

    def receive_end(self) -> tuple[Event, ...]:
        if self.failure is None and not self.complete:
            self.failure = self.accumulator.truncated(self.provider)
        return ()

    @property
    def result(self) -> ChatResponse:
        return self.accumulator.response()

    def _read(self, line: str, events: list[Event]) -> None:
        kind, text = line[:1], line[1:]
        if kind == "t":
            self.accumulator.text(text, events)
        elif kind == "r":
            self.accumulator.reasoning(text, events)
        elif kind == "x":
            self.accumulator.skipped += 1
        elif kind == "e":
            self.accumulator.failed = True
            self.failure = STATUSES[int(text)]("in the stream", status=int(text), provider=self.provider)
        elif kind == "f":
            self.accumulator.finish("stop")
            self.accumulator.end(events)
            self.complete = True
        elif kind != "c":
            self.failure = RemoteProtocolError(f"no such line: {line!r}")


@attrs.define(eq=False)
class LineProvider:
    """A provider that speaks lines."""

    name: str
    missing_env: tuple[str, ...] = ()
    capabilities: frozenset[Capability] = frozenset(
        {Capability.CHAT, Capability.STREAM, Capability.EMBEDDINGS, Capability.MODELS}
    )
    embedding_batch: int | None = 2
    known: ModelProfile = ModelProfile()

    def facts(self, model_id: str) -> ModelProfile:
        return self.known

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        def parse(body: bytes) -> ChatResponse:
            reader = self._reader(request.model)
            reader.receive_data(body)
            reader.receive_end()
            if isinstance(reader.failure, ProviderError | RemoteProtocolError):
                raise reader.failure
            if reader.failure is not None:
                raise RemoteProtocolError(str(reader.failure))
            return reader.result

        return HttpExchange(self._request("chat"), lambda _: DocumentReader(parse), self._read_error)

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        return HttpExchange(self._request("stream"), lambda _: self._reader(request.model), self._read_error)

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        def parse(body: bytes) -> EmbeddingResponse:
            return EmbeddingResponse(vectors=Vectors.of(json.loads(body)), model=request.model)

        asked = self._request("embed", json.dumps(request.input).encode())
        return HttpExchange(asked, lambda _: DocumentReader(parse), self._read_error)

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        def parse(body: bytes) -> ModelPage:
            return ModelPage((), body.decode() or None)

        return HttpExchange(self._request(f"models/{page or ''}"), lambda _: DocumentReader(parse), self._read_error)

    def _request(self, path: str, body: bytes = b"") -> HttpRequest:
        return HttpRequest("POST", f"http://{self.name}.test/{path}", body=body)

    def _reader(self, model: ModelConfig) -> LineReader:
        return LineReader(ResponseAccumulator(model, "lines", {"stop": FinishReason.STOP}), self.name)

    def _read_error(self, status: int, headers: Headers, body: bytes) -> ProviderError:
        retry_after = headers.get("retry-after")
        return STATUSES.get(status, ServerError)(
            "by status",
            status=status,
            provider=self.name,
            retry_after=float(retry_after) if retry_after else None,
        )


def lines(*parts: str) -> bytes:
    return "".join(f"{part}\n" for part in parts).encode()


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.delta for event in events if isinstance(event, Token | Reasoning))
