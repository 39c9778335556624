"""The operations of a router that may need several exchanges: chat, stream, embed and the list of models."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from turnout._validation import instance
from turnout.chat import Capability, ChatRequest, ChatResponse, ModelConfig, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import CapabilityUnsupported, ProviderError, RemoteProtocolError, TurnoutError
from turnout.messages import Audio, File, Image, Message, Role, Text
from turnout.providers.protocol import Exchange, ModelPage, Provider
from turnout.routing.call.operation import Operation
from turnout.routing.call.results import concatenate, sum_usage
from turnout.routing.policy.estimate import completion_tokens, embedding_tokens, prompt_tokens, text_tokens
from turnout.routing.state.candidate import Candidate
from turnout.trace import Trace

__all__ = ["Chat", "Embed", "ListModels", "Operation", "Stream"]


_PART_NEEDS: Mapping[type, Capability] = {
    Image: Capability.VISION,
    Audio: Capability.AUDIO,
    File: Capability.FILES,
}
ContinuationOf: TypeAlias = Callable[[ChatRequest, ChatResponse], ChatRequest | None]
MAX_CONTINUATIONS = 64
"""How many half answers one call continues: a server that never ends must not be asked for ever."""
_CHAT = frozenset({Capability.CHAT})
_STREAM = frozenset({Capability.STREAM})


def _chat_needs(request: ChatRequest) -> set[Capability]:
    needs = set()
    if request.tools:
        needs.add(Capability.TOOLS)
    if request.response_format is not None:
        needs.add(Capability.JSON)
    for message in request.messages:
        if message.is_plain_text or message.role is Role.ASSISTANT:
            continue  # a model made its parts; a provider that does not have them gets the message without them
        for part in message.content:
            need = _PART_NEEDS.get(type(part))
            if need is not None:
                needs.add(need)
    return needs


@attrs.define(eq=False)
class Chat(Operation):
    """A whole response. With `collect` it streams on the wire, so that silence is noticed sooner."""

    request: ChatRequest = attrs.field(validator=instance(ChatRequest), on_setattr=attrs.setters.NO_OP)
    collect: bool = False
    _prompt_tokens: int | None = attrs.field(default=None, init=False)
    _prefix: ChatResponse | None = attrs.field(default=None, init=False)  # the part that the next response continues
    # By candidate: `Continuer.continuation` and the request, if the provider may end it with half an answer.
    _sent: dict[str, tuple[ContinuationOf, ChatRequest]] = attrs.field(factory=dict, init=False)
    _rest: tuple[str, ChatRequest] | None = attrs.field(default=None, init=False)  # for the rest of half an answer
    _continued: int = attrs.field(default=0, init=False)
    name: ClassVar[str] = "chat"

    @property
    def streams(self) -> bool:
        return self.collect

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.request.metadata

    @property
    def needs(self) -> frozenset[Capability]:
        wire = _STREAM if self.streams else _CHAT
        needs = _chat_needs(self.request)
        return wire | needs if needs else wire

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        if self._prompt_tokens is None:
            self._prompt_tokens = prompt_tokens(self.request)
        return self._prompt_tokens, completion_tokens(candidate.model)

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[ChatResponse]:
        request = self._next_request(model)
        continuation: ContinuationOf | None = getattr(provider, "continuation", None)
        if continuation is not None:
            self._sent[str(model)] = continuation, request
        return provider.stream(request) if self.streams else provider.chat(request)

    def _next_request(self, model: ModelConfig) -> ChatRequest:
        """Return the request for this candidate: for the rest of its half answer, or from the beginning."""
        if self._rest is not None:
            candidate, request = self._rest
            if candidate == str(model):
                return request
            self.restart()
        return self.request.for_model(model)

    @property
    def prefix(self) -> ChatResponse | None:
        return self._prefix

    def restart(self) -> None:
        self._prefix = self._rest = None

    def merge(self, result: ChatResponse) -> ChatResponse:
        return concatenate(self._prefix, result) if self._prefix is not None else result

    def add_result(self, result: ChatResponse) -> bool:
        rest = self._request_for_rest(result) if self._sent else None
        if rest is None:
            return Operation.add_result(self, result)
        self._prefix, self._rest = result, (str(result.model), rest)
        self._continued += 1
        return False

    def _request_for_rest(self, result: ChatResponse) -> ChatRequest | None:
        sent = self._sent.get(str(result.model))
        if sent is None or self._continued >= MAX_CONTINUATIONS:
            return None
        continuation, request = sent
        return continuation(request, result)


@attrs.define(eq=False)
class Stream(Chat):
    """A response that reaches the caller as it arrives."""

    name: ClassVar[str] = "stream"
    streams_to_caller: ClassVar[bool] = True

    @property
    def streams(self) -> bool:
        return True

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        prompt, completion = Chat.next_tokens(self, candidate)
        resumed = self._resumed_tokens
        return prompt + resumed, max(1, completion - resumed)

    @property
    def _resumed_tokens(self) -> int:
        """The tokens of the part that a resumed response continues."""
        return text_tokens(self._prefix.text) if self._prefix is not None and self._rest is None else 0

    def prepare_resume(self, partial: ChatResponse | None) -> bool:
        """Prepare to resume. Only plain text can be prefilled, and most models refuse one that ends in white space."""
        plain = partial is not None and all(isinstance(part, Text) for part in partial.message.content)
        if partial is None or not plain or partial.tool_calls or self.request.response_format is not None:
            return False
        if not partial.text or partial.text[-1].isspace():
            return False
        self._prefix, self._rest = partial, None
        self._sent.clear()
        ceiling = self.request.model.max_tokens
        return ceiling is None or text_tokens(partial.text) < ceiling

    def _next_request(self, model: ModelConfig) -> ChatRequest:
        if self._rest is not None and self._rest[0] != str(model):
            raise CapabilityUnsupported(f"{model}: cannot continue half an answer of {self._rest[0]}")
        return Chat._next_request(self, model)

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[ChatResponse]:
        if self._prefix is None or self._rest is not None:
            return Chat.start_exchange(self, provider, model)
        request = self.request.for_model(model)
        prefill = provider.facts(model.model_id).prefill or {}
        text = self._prefix.text
        # The partial response has no reasoning block, and models reject a new one after a prefill.
        left = max(1, model.max_tokens - self._resumed_tokens) if model.max_tokens is not None else None
        request = request.for_model(attrs.evolve(model, max_tokens=left, reasoning_effort=None))
        request = attrs.evolve(request, messages=(*request.messages, Message(Role.ASSISTANT, text, extra=prefill)))
        return provider.stream(request)


@attrs.define(eq=False)
class Embed(Operation):
    """Vectors: as many exchanges as the provider's caps require, joined in order.

    If the provider refuses the size of a batch, it gets half as many texts at once. If an exchange fails for good, a
    fallback of the same family continues with the texts that are still missing.
    """

    request: EmbeddingRequest = attrs.field(validator=instance(EmbeddingRequest), on_setattr=attrs.setters.NO_OP)
    _parts: list[EmbeddingResponse] = attrs.field(factory=list, init=False)
    _done: int = attrs.field(default=0, init=False)
    # By candidate: how many texts its request has, and the most that it was found to take at once.
    _sent: dict[str, int] = attrs.field(factory=dict, init=False)
    _learned: dict[str, int] = attrs.field(factory=dict, init=False)
    name: ClassVar[str] = "embed"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EMBEDDINGS})

    def next_tokens(self, candidate: Candidate) -> tuple[int, int]:
        return embedding_tokens(self._next_texts(candidate.provider, candidate.model)), 0

    def remaining_tokens(self, candidate: Candidate) -> tuple[int, int]:
        return embedding_tokens(self.request.input[self._done :]), 0

    def _next_texts(self, provider: Provider, model: ModelConfig) -> tuple[str, ...]:
        """Return the texts of the next request: as many as fit, and at least one."""
        texts, start = self.request.input, self._done
        most = min(provider.embedding_batch or len(texts), self._learned.get(str(model), len(texts)))
        end = min(start + most, len(texts))
        limit = provider.facts(model.model_id).embedding_tokens
        if limit is not None:
            tokens = itertools.accumulate(map(text_tokens, texts[start:end]))
            fitting = bisect.bisect_right(list(tokens), limit)
            end = start + max(1, fitting)
        return texts[start:end]

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[EmbeddingResponse]:
        texts = self._next_texts(provider, model)
        self._sent[str(model)] = len(texts)
        return provider.embed(attrs.evolve(self.request.for_model(model), input=texts))

    def split_batch(self, error: TurnoutError, model: ModelConfig) -> bool:
        sent = self._sent.get(str(model), 0)
        if not isinstance(error, ProviderError) or not error.batch_too_large or sent < 2:
            return False
        self._learned[str(model)] = sent // 2
        return True

    def add_result(self, result: EmbeddingResponse) -> bool:
        sent = self._sent[str(result.model)]
        if len(result.vectors) != sent:
            raise RemoteProtocolError(
                f"{result.model}: {sent} texts were sent and {len(result.vectors)} vectors were returned"
            )
        known = next((part.vectors.dimensions for part in self._parts), result.vectors.dimensions)
        if result.vectors.dimensions != known:
            raise RemoteProtocolError(
                f"{result.model}: vectors of {result.vectors.dimensions} numbers after vectors of {known}"
            )
        self._parts.append(result)
        self._done += sent
        return self._done >= len(self.request.input)

    def result(self, trace: Trace) -> EmbeddingResponse:
        last = self._parts[-1]
        return attrs.evolve(
            last,
            vectors=Vectors.joined(part.vectors for part in self._parts),
            usage=sum_usage([part.usage for part in self._parts]),
            trace=trace,
        )

    def attach_partial(self, error: TurnoutError) -> None:
        if self._parts:
            error.vectors = Vectors.joined(part.vectors for part in self._parts)


@attrs.define(eq=False)
class ListModels(Operation):
    """The models of one provider, page after page."""

    provider: str
    _models: list[ModelInfo] = attrs.field(factory=list, init=False)
    _page: str | None = attrs.field(default=None, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)
    name: ClassVar[str] = "models"

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (ModelConfig(self.provider, "*"),)

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.MODELS})

    def start_exchange(self, provider: Provider, model: ModelConfig) -> Exchange[ModelPage]:
        return provider.models(self._page)

    def add_result(self, result: ModelPage) -> bool:
        self._models.extend(result.models)
        self._page = result.next_page
        if self._page is None:
            return True
        # A server that returns the same token again would be asked for ever.
        if self._page in self._seen:
            raise RemoteProtocolError(f"{self.provider}: its model list returns the page {self._page!r} twice")
        self._seen.add(self._page)
        return False

    def result(self, trace: Trace) -> tuple[ModelInfo, ...]:
        return tuple(self._models)
