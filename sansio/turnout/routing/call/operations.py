"""What a call can be for. An operation says which exchanges it takes, and makes one answer of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from turnout._validation import instance
from turnout.chat import Capability, ChatRequest, ChatResponse, ModelConfig, ModelInfo
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse, Vectors
from turnout.errors import RemoteProtocolError, TurnoutError
from turnout.messages import Audio, File, Image, Message, Role, Text
from turnout.providers.protocol import Exchange, ModelPage, Provider
from turnout.routing.call.results import continued, summed
from turnout.routing.policy.estimate import completion_tokens, embedding_tokens, prompt_tokens, text_tokens
from turnout.routing.state.candidate import Candidate
from turnout.trace import Trace

__all__ = ["Chat", "Embed", "ListModels", "Operation", "Stream"]


class Operation(Protocol):
    """One kind of call.

    streams   whether the answer comes as a stream on the wire, so that first content and idle can be timed
    delivers  whether events reach the caller as they come, so that the call commits with the first content
    """

    @property
    def name(self) -> str: ...

    @property
    def streams(self) -> bool: ...

    @property
    def delivers(self) -> bool: ...

    @property
    def candidates(self) -> tuple[ModelConfig, ...]: ...

    @property
    def metadata(self) -> Mapping[str, Any]: ...

    @property
    def needs(self) -> frozenset[Capability]: ...

    def size(self, candidate: Candidate) -> tuple[int, int]:
        """Tokens of the next request to this candidate and of its answer, estimated."""
        ...

    def rest(self, candidate: Candidate) -> tuple[int, int]:
        """The same of all that is still to be had, where that takes several requests."""
        ...

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[Any]:
        """A fresh exchange for what is still to be had."""
        ...

    def go_on(self, partial: ChatResponse | None) -> bool:
        """Whether the answer can be gone on with where it broke off; if so, the next exchange will do that."""
        ...

    def joined(self, result: Any) -> Any:
        """The result of an exchange with what had come before it."""
        ...

    def accept(self, result: Any) -> bool:
        """Take the result of an exchange; True when it was the last. RemoteProtocolError where it does not fit."""
        ...

    def result(self, trace: Trace) -> Any: ...

    def keep(self, error: TurnoutError) -> None:
        """Put what came so far on the error that ends the call."""
        ...


_PART_NEEDS: tuple[tuple[type, Capability], ...] = (
    (Image, Capability.VISION),
    (Audio, Capability.AUDIO),
    (File, Capability.FILES),
)


def _chat_needs(request: ChatRequest) -> set[Capability]:
    needs = set()
    if request.tools:
        needs.add(Capability.TOOLS)
    if request.response_format is not None:
        needs.add(Capability.JSON)
    for message in request.messages:
        for part in message.content:
            for kind, capability in _PART_NEEDS:
                if isinstance(part, kind):
                    needs.add(capability)
    return needs


@attrs.define(eq=False)
class Chat:
    """An answer in one piece. With `collect` it streams on the wire, so that silence is noticed sooner."""

    request: ChatRequest = attrs.field(validator=instance(ChatRequest))
    collect: bool = False
    name: str = attrs.field(default="chat", init=False)
    delivers: bool = attrs.field(default=False, init=False)
    _response: ChatResponse | None = attrs.field(default=None, init=False)
    _prompt: int | None = attrs.field(default=None, init=False)

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
        wire = Capability.STREAM if self.streams else Capability.CHAT
        return frozenset({wire, *_chat_needs(self.request)})

    def size(self, candidate: Candidate) -> tuple[int, int]:
        if self._prompt is None:
            self._prompt = prompt_tokens(self.request)
        return self._prompt, completion_tokens(candidate.model)

    def rest(self, candidate: Candidate) -> tuple[int, int]:
        return self.size(candidate)

    def go_on(self, partial: ChatResponse | None) -> bool:
        return False  # nothing has reached the caller, so it can begin anew

    def joined(self, result: ChatResponse) -> ChatResponse:
        return result

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[ChatResponse]:
        request = self.request.for_model(model)
        return provider.stream(request) if self.streams else provider.chat(request)

    def accept(self, result: ChatResponse) -> bool:
        self._response = result
        return True

    def result(self, trace: Trace) -> ChatResponse | None:
        return attrs.evolve(self._response, trace=trace) if self._response is not None else None

    def keep(self, error: TurnoutError) -> None:
        """Nothing: the parts of broken answers are on the errors of their attempts."""


@attrs.define(eq=False)
class Stream(Chat):
    """An answer as it comes."""

    name: str = attrs.field(default="stream", init=False)
    delivers: bool = attrs.field(default=True, init=False)
    _so_far: ChatResponse | None = attrs.field(default=None, init=False)

    @property
    def streams(self) -> bool:
        return True

    def size(self, candidate: Candidate) -> tuple[int, int]:
        prompt, completion = super().size(candidate)
        said = self._said
        return prompt + said, max(1, completion - said)

    @property
    def _said(self) -> int:
        """Tokens of what has been said and is gone on with."""
        return text_tokens(self._so_far.text) if self._so_far is not None else 0

    def go_on(self, partial: ChatResponse | None) -> bool:
        """Only plain text can be prefilled, and most models refuse a prefill that ends in white space."""
        plain = partial is not None and all(isinstance(part, Text) for part in partial.message.content)
        if partial is None or not plain or partial.tool_calls or self.request.response_format is not None:
            return False
        if not partial.text or partial.text[-1].isspace():
            return False
        self._so_far = partial
        ceiling = self.request.model.max_tokens
        return ceiling is None or text_tokens(partial.text) < ceiling

    def joined(self, result: ChatResponse) -> ChatResponse:
        return continued(self._so_far, result) if self._so_far is not None else result

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[ChatResponse]:
        request = self.request.for_model(model)
        if self._so_far is not None:
            prefill = provider.facts(model.model_id).prefill or {}
            text = self._so_far.text
            # What has been said was said without thinking, and those that go on from it refuse to begin now.
            left = max(1, model.max_tokens - self._said) if model.max_tokens is not None else None
            request = request.for_model(attrs.evolve(model, max_tokens=left, reasoning_effort=None))
            request = attrs.evolve(request, messages=(*request.messages, Message(Role.ASSISTANT, text, extra=prefill)))
        return provider.stream(request)


@attrs.define(eq=False)
class Embed:
    """Vectors: as many exchanges as the provider's cap asks for, joined in order.

    Where one fails for good and another place of the same family takes over, it goes on from there.
    """

    request: EmbeddingRequest = attrs.field(validator=instance(EmbeddingRequest))
    name: str = attrs.field(default="embed", init=False)
    streams: bool = attrs.field(default=False, init=False)
    delivers: bool = attrs.field(default=False, init=False)
    _parts: list[EmbeddingResponse] = attrs.field(factory=list, init=False)
    _done: int = attrs.field(default=0, init=False)
    _asked: int = attrs.field(default=0, init=False)

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (self.request.model, *self.request.fallbacks)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {}

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.EMBEDDINGS})

    def size(self, candidate: Candidate) -> tuple[int, int]:
        return embedding_tokens(self._next(candidate.provider)), 0

    def rest(self, candidate: Candidate) -> tuple[int, int]:
        return embedding_tokens(self.request.input[self._done :]), 0

    def _next(self, provider: Provider) -> tuple[str, ...]:
        """The texts of the next request."""
        cap = provider.embedding_batch or len(self.request.input)
        return self.request.input[self._done : self._done + cap]

    def go_on(self, partial: ChatResponse | None) -> bool:
        return False

    def joined(self, result: EmbeddingResponse) -> EmbeddingResponse:
        return result

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[EmbeddingResponse]:
        texts = self._next(provider)
        self._asked = len(texts)
        return provider.embed(attrs.evolve(self.request.for_model(model), input=texts))

    def accept(self, result: EmbeddingResponse) -> bool:
        if len(result.vectors) != self._asked:
            raise RemoteProtocolError(
                f"{result.model}: {self._asked} texts were sent and {len(result.vectors)} vectors came back"
            )
        known = next((part.vectors.dimensions for part in self._parts), result.vectors.dimensions)
        if result.vectors.dimensions != known:
            raise RemoteProtocolError(
                f"{result.model}: vectors of {result.vectors.dimensions} numbers came after vectors of {known}"
            )
        self._parts.append(result)
        self._done += self._asked
        return self._done >= len(self.request.input)

    def result(self, trace: Trace) -> EmbeddingResponse:
        last = self._parts[-1]
        return attrs.evolve(
            last,
            vectors=Vectors.joined(part.vectors for part in self._parts),
            usage=summed([part.usage for part in self._parts]),
            trace=trace,
        )

    def keep(self, error: TurnoutError) -> None:
        if self._parts:
            error.vectors = Vectors.joined(part.vectors for part in self._parts)


@attrs.define(eq=False)
class ListModels:
    """The models of one provider, page after page."""

    provider: str
    name: str = attrs.field(default="models", init=False)
    streams: bool = attrs.field(default=False, init=False)
    delivers: bool = attrs.field(default=False, init=False)
    _models: list[ModelInfo] = attrs.field(factory=list, init=False)
    _page: str | None = attrs.field(default=None, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)

    @property
    def candidates(self) -> tuple[ModelConfig, ...]:
        return (ModelConfig(self.provider, "*"),)

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {}

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.MODELS})

    def size(self, candidate: Candidate) -> tuple[int, int]:
        return 0, 0

    def rest(self, candidate: Candidate) -> tuple[int, int]:
        return 0, 0

    def go_on(self, partial: ChatResponse | None) -> bool:
        return False

    def joined(self, result: ModelPage) -> ModelPage:
        return result

    def begin(self, provider: Provider, model: ModelConfig) -> Exchange[ModelPage]:
        return provider.models(self._page)

    def accept(self, result: ModelPage) -> bool:
        self._models.extend(result.models)
        self._page = result.next_page
        if self._page is None:
            return True
        # A server that gives the same token again would be asked for ever.
        if self._page in self._seen:
            raise RemoteProtocolError(f"{self.provider}: its model list gives the page {self._page!r} twice")
        self._seen.add(self._page)
        return False

    def result(self, trace: Trace) -> tuple[ModelInfo, ...]:
        return tuple(self._models)

    def keep(self, error: TurnoutError) -> None:
        """Nothing: half a list of models is of no use."""
