"""Chat, as a whole response or as a stream. One call may need several exchanges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from turnout._utils.plain_text import all_plain_text
from turnout._utils.validation import instance
from turnout.chat import Capability, ChatRequest, ChatResponse, ModelConfig
from turnout.errors import CapabilityUnsupported, DemandUnmet
from turnout.messages import Audio, File, Image, Message, Role, Text
from turnout.providers.protocol import Exchange, Provider
from turnout.routing.call.operations.base import Operation
from turnout.routing.call.operations.results import concatenate
from turnout.routing.call.operations.strict_demands import strict_demand_error, with_demands_checked
from turnout.routing.policy.estimate import completion_tokens, prompt_tokens, text_tokens
from turnout.routing.state.candidate import Candidate

__all__ = ["Chat", "Stream"]


_PART_NEEDS: Mapping[type, Capability] = {
    Image: Capability.VISION,
    Audio: Capability.AUDIO,
    File: Capability.FILES,
}
ContinuationOf: TypeAlias = Callable[[ChatRequest, ChatResponse], ChatRequest | None]
MAX_CONTINUATIONS = 64
"""How many half answers one call continues. This ends the loop if a server never completes its answer."""
_CHAT = frozenset({Capability.CHAT})
_STREAM = frozenset({Capability.STREAM})


def _chat_needs(request: ChatRequest) -> set[Capability]:
    needs = set()
    if request.tools:
        needs.add(Capability.TOOLS)
    if request.response_format is not None:
        needs.add(Capability.JSON)
    for message in request.messages if not all_plain_text(request.messages) else ():
        if message.is_plain_text or message.role is Role.ASSISTANT:
            continue  # a model made its parts; a provider that does not have them gets the message without them
        for part in message.content:
            need = _PART_NEEDS.get(type(part))
            if need is not None:
                needs.add(need)
    return needs


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
class Chat(Operation):
    """A whole response. With `collect` it streams on the wire, so that silence is noticed sooner."""

    request: ChatRequest = attrs.field(validator=instance(ChatRequest))
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
        if self._prefix is None:
            return result
        return with_demands_checked(concatenate(self._prefix, result), self.request)

    def unmet_demand(self, result: ChatResponse) -> DemandUnmet | None:
        return strict_demand_error(result, self.request)

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


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)
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
        """Prepare to resume. Only plain text can be prefilled; dialects care for white space at its end."""
        plain = partial is not None and all(isinstance(part, Text) for part in partial.message.content)
        if partial is None or not plain or partial.tool_calls or self.request.response_format is not None:
            return False
        if not partial.text:
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
