"""The dialect of simulated providers: a number of tokens to a line, and a last line `end`.

It is small, for a simulation is of the routing and not of parsing; but it is bytes through a real exchange, so an
answer can be cut anywhere, as on a wire.
"""

from __future__ import annotations

import functools
from typing import Final
from urllib.parse import quote

import attrs

from turnout.chat import Capability, ChatRequest, ChatResponse, FinishReason, ModelConfig, RateLimit, Usage
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import CapabilityUnsupported, RemoteProtocolError, TurnoutError
from turnout.events import Event
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_mapping import error_reader
from turnout.providers.decoding.response_headers import rate_limit
from turnout.providers.exchange import DocumentReader, HttpExchange
from turnout.providers.protocol import ModelPage, ModelProfile

__all__ = ["LAST", "TOKEN", "SimulatedDialect", "line"]

LAST: Final = b"end\n"
# Bytes of a prompt to a token, as the router's own estimate has it.
TOKEN: Final = 4
_WORD: Final = " word"
_FINISH: Final = {"end": FinishReason.STOP}


@functools.lru_cache(maxsize=256)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def line(tokens: int) -> bytes:
    """The bytes of so many tokens."""
    return b"%d\n" % tokens


@attrs.define(eq=False)
class _Reader:
    """Reads the lines of one answer."""

    accumulator: ResponseAccumulator
    provider: str
    prompt_tokens: int
    failure: TurnoutError | None = None
    complete: bool = False
    _tokens: int = 0
    _tail: bytes = b""

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        events: list[Event] = []
        *lines, self._tail = (self._tail + data).split(b"\n")
        for one in lines:
            if one == b"end":
                self.accumulator.usage = Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self._tokens)
                self.accumulator.finish("end")
                self.accumulator.end(events)
                self.complete = True
            elif one.isdigit():
                self._tokens += int(one)
                self.accumulator.text(_WORD * int(one), events)
            else:
                self.failure = RemoteProtocolError(f"{self.provider}: no number of tokens: {one[:40]!r}")
                break
        return tuple(events)

    def receive_end(self) -> tuple[Event, ...]:
        if self.failure is None and not self.complete:
            self.failure = self.accumulator.truncated(self.provider)
        return ()

    @property
    def rate_limit(self) -> RateLimit | None:
        return self.accumulator.rate_limit

    @property
    def result(self) -> ChatResponse:
        return self.accumulator.response()


@attrs.define(eq=False)
class SimulatedDialect:
    """A provider as the router sees it (`turnout.providers.protocol.Provider`)."""

    name: str
    missing_env: tuple[str, ...] = ()
    capabilities: frozenset[Capability] = frozenset({Capability.CHAT, Capability.STREAM})
    embedding_batch: int | None = None

    def facts(self, model_id: str) -> ModelProfile:
        return ModelProfile()

    def chat(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        def make_reader(headers: Headers) -> DocumentReader[ChatResponse]:
            def parse(body: bytes) -> ChatResponse:
                reader = self._reader(request, rate_limit(headers))
                reader.receive_data(body)
                reader.receive_end()
                if reader.failure is not None:
                    raise RemoteProtocolError(str(reader.failure))
                return reader.result

            return DocumentReader(parse)

        return HttpExchange(self._request("chat", request.model), make_reader, error_reader(self.name))

    def stream(self, request: ChatRequest) -> HttpExchange[ChatResponse]:
        return HttpExchange(
            self._request("stream", request.model),
            lambda headers: self._reader(request, rate_limit(headers)),
            error_reader(self.name),
        )

    def embed(self, request: EmbeddingRequest) -> HttpExchange[EmbeddingResponse]:
        raise CapabilityUnsupported(f"{self.name}: simulated providers answer chats only")

    def models(self, page: str | None = None) -> HttpExchange[ModelPage]:
        raise CapabilityUnsupported(f"{self.name}: simulated providers answer chats only")

    def _request(self, path: str, model: ModelConfig) -> HttpRequest:
        return HttpRequest("POST", f"http://simulated/{_quoted(self.name)}/{path}/{_quoted(model.model_id)}")

    def _reader(self, request: ChatRequest, told: RateLimit | None) -> _Reader:
        accumulator = ResponseAccumulator(request.model, "simulated", _FINISH)
        accumulator.rate_limit = told
        return _Reader(accumulator, self.name, sum(len(message.text) for message in request.messages) // TOKEN)
