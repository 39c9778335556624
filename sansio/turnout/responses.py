"""The response of a model, and its parts: usage, rate limits, finish reason and trace."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs

from turnout._utils.names import must_be_called
from turnout._utils.serialization import Plain
from turnout.messages import Audio, Image, Message, Refusal, ToolCall
from turnout.types.models import ModelConfig

if TYPE_CHECKING:
    from turnout.trace import Trace

__all__ = ["ChatResponse", "FinishReason", "RateLimit", "RateWindow", "Usage", "longest", "or_empty"]


T = TypeVar("T")
_NO_KIND: Any = object()


def or_empty(trace: Trace | None) -> Trace:
    """Return `trace`, or one in which nothing was tried."""
    if trace is not None:
        return trace
    from turnout.trace import Trace  # this import takes some milliseconds, and few programs use it

    return Trace()


class FinishReason(enum.StrEnum):
    """Why an answer ended, in one vocabulary; `raw_finish_reason` has the provider's own word."""

    STOP = "stop"  # the model ended its answer
    LENGTH = "length"  # a limit cut the answer, or paused the turn: it can be continued
    TOOL_CALLS = "tool_calls"  # the model waits for the results of its calls
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    UNKNOWN = "unknown"  # the provider sent no reason, or a word that no table has


@attrs.frozen(kw_only=True)
class Usage(Plain):
    """Tokens of one answer, and the other units that its provider bills. None is not reported; 0 is a real 0.

    Attributes:
        prompt_tokens: The whole prompt, cached parts included.
        completion_tokens: The whole answer, reasoning included.
        cached_tokens: Tokens of the prompt that the provider read from its cache.
        cache_write_tokens: Tokens of the prompt that went into the provider's cache.
        cache_write_1h_tokens: Those of them that the cache keeps for an hour or longer.
        reasoning_tokens: Reasoning tokens of the answer.
        audio_prompt_tokens: Tokens of sound in the prompt.
        audio_completion_tokens: Tokens of sound in the answer.
        image_completion_tokens: Tokens of images in the answer.
        billed_prompt_tokens: Tokens of the prompt that the provider bills, if those are not all (Cohere).
        billed_completion_tokens: Tokens of the answer that the provider bills, if those are not all.
        web_searches: Searches that the provider ran for this answer.
        search_units: Searches that a reranker bills.
        service_tier: The provider's word for the tier that served the request, such as `priority`, `flex` or `fast`.
        source: Reported by the provider, estimated here, or absent.
        cost: In the currency of the user's prices; None if there is no price for the model.
        details: Further counts that no field holds, under the provider's names.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: Literal["reported", "estimated", "absent"] = "reported"
    cost: float | None = None
    cache_write_1h_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    image_completion_tokens: int | None = None
    billed_prompt_tokens: int | None = None
    billed_completion_tokens: int | None = None
    web_searches: int | None = None
    search_units: float | None = None
    service_tier: str | None = None
    # Left out of the hash, because a mapping has none.
    details: Mapping[str, Any] = attrs.field(factory=dict, hash=False)

    @property
    def total_tokens(self) -> int | None:
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the counts that are known, with `total_tokens`."""
        total = self.total_tokens
        return {**Plain.to_dict(self), **({} if total is None else {"total_tokens": total})}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)


@attrs.frozen(kw_only=True)
class RateWindow(Plain):
    """One limit: how much in all, how much is left, and in how many seconds it is full again."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@attrs.frozen(kw_only=True)
class RateLimit(Plain):
    """The limits that the headers of the response report.

    Attributes:
        requests: Of requests.
        tokens: Of the tokens of prompts and answers together.
        input_tokens: Of the tokens of prompts, if they are limited apart.
        output_tokens: Of the tokens of answers, likewise.
    """

    requests: RateWindow | None = None
    tokens: RateWindow | None = None
    input_tokens: RateWindow | None = None
    output_tokens: RateWindow | None = None


@attrs.frozen(kw_only=True)
class ChatResponse(Plain):
    """An answer, whole, or as far as it was received before it broke.

    Attributes:
        message: The assistant's message, for the next turn of the conversation.
        model: The candidate that answered, as the request has it.
        finish_reason: Why the answer ended.
        raw_finish_reason: The provider's own finish reason, as text.
        usage: The tokens of the prompt and of the answer.
        response_id: The provider's id of the answer.
        served_model: The provider's own name of the model.
        request_id: The provider's id of the request, for its support.
        rate_limit: The limits that the headers of the response report.
        logprobs: The provider's log probabilities, in its own shape.
        citations: The provider's sources, in its own shape.
        unmet: The demands of the request that the answer does not meet: `response_format` if the text is not JSON,
            `tool_choice` if a tool call was required and none was made.
        extra: Fields of the answer that nothing else holds, under the provider's names. They do not go back.
        raw: The provider's own JSON: the whole body of a unary answer, the last event of a stream.
    """

    _items = ": the text is reply.text; router.stream(…) gives it in pieces"

    message: Message
    model: ModelConfig
    finish_reason: FinishReason = FinishReason.UNKNOWN
    raw_finish_reason: str | None = None
    usage: Usage = Usage(source="absent")
    response_id: str | None = None
    served_model: str | None = None
    request_id: str | None = None
    rate_limit: RateLimit | None = None
    logprobs: Any = None
    citations: tuple[Any, ...] = ()
    unmet: tuple[str, ...] = ()
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    raw: bytes | None = attrs.field(default=None, repr=False)
    # A trace is compared by identity, so it would make an answer differ from its own copy.
    _trace: Trace | None = attrs.field(default=None, repr=False, eq=False, alias="trace")

    @property
    def trace(self) -> Trace:
        """The record of the call; `Trace()` if no router made it."""
        return or_empty(self._trace)

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def reasoning(self) -> str:
        return self.message.reasoning

    @property
    def commentary(self) -> str:
        """The text for the user that is not the final answer (see `turnout.messages.Commentary`)."""
        return self.message.commentary

    @property
    def refusal(self) -> str | None:
        """The model's reason not to answer, in its own words; None if it gave none."""
        texts = [part.text for part in self.message.content if isinstance(part, Refusal)]
        return "".join(texts) if texts else None

    @property
    def images(self) -> tuple[Image, ...]:
        """The images that the model made, in order."""
        return tuple(part for part in self.message.content if isinstance(part, Image))

    @property
    def audio(self) -> tuple[Audio, ...]:
        """The sound that the model made, in order, with its transcript."""
        return tuple(part for part in self.message.content if isinstance(part, Audio))

    @property
    def complete(self) -> bool:
        """Whether the model itself ended the answer: it stopped, or it waits for the results of its tool calls."""
        return self.finish_reason in (FinishReason.STOP, FinishReason.TOOL_CALLS)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    @must_be_called("reply.parsed(City)")
    def parsed(self, kind: type[T] = _NO_KIND) -> T:
        """Return the text of the answer, which is JSON, as a value of this class (see `ResponseFormat.of`).

        Raises:
            TypeError: If no class is given.
            ValueError: If the text is not such a value. The error has the reason, for example a truncated answer.
        """
        from turnout.typed.decode import parse_text

        if kind is _NO_KIND:
            raise TypeError("reply.parsed() needs the class of the value: write reply.parsed(City)")
        if isinstance(kind, str | dict):
            raise TypeError(f"reply.parsed() needs a class, not a {type(kind).__name__}: write reply.parsed(City)")
        try:
            value: T = parse_text(self.text, kind)
        except ValueError as error:
            name, reason = getattr(kind, "__name__", str(kind)), _why_not_parsed(self, error)
            raise ValueError(f"the answer of {self.model} is not a {name}: {reason}") from error
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: `text` and the fields that are set, without `raw` and the trace."""
        return {"text": self.text, **Plain.to_dict(self)}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)


def _why_not_parsed(response: ChatResponse, error: ValueError) -> str:
    if response.refusal is not None:
        return f"the model refused: {response.refusal}"
    if response.finish_reason is FinishReason.LENGTH:
        return f"it was cut, so give more max_tokens ({error})"
    if not response.text:
        return f"it has no text (finish reason {response.finish_reason.value})"
    return str(error)


def longest(*responses: ChatResponse | None) -> ChatResponse | None:
    """Return the longest of these responses, the first of those if several are; None if there are none."""
    known = [response for response in responses if response is not None]
    return max(known, key=_length) if known else None


def _length(response: ChatResponse) -> int:
    calls = sum(len(call.arguments) for call in response.tool_calls)
    return len(response.text) + len(response.reasoning) + calls
