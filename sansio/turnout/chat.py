"""A chat request, and its answer."""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from turnout._empty_trace import or_empty
from turnout._validation import as_tuple, deep_copy, instance, instances, integer, non_empty, number, where
from turnout.extras import merge_extra
from turnout.messages import Audio, Image, Message, Refusal, Tool, ToolCall, ToolChoice

if TYPE_CHECKING:
    from turnout.trace import Trace

__all__ = [
    "Capability",
    "ChatRequest",
    "ChatResponse",
    "FinishReason",
    "ModelConfig",
    "ModelInfo",
    "ProviderStatus",
    "RateLimit",
    "RateWindow",
    "ResponseFormat",
    "Usage",
]


class Capability(enum.StrEnum):
    """What a provider offers through Turnout."""

    CHAT = "chat"
    STREAM = "stream"
    TOOLS = "tools"
    JSON = "json"
    VISION = "vision"
    AUDIO = "audio"
    FILES = "files"
    REASONING = "reasoning"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    COUNT_TOKENS = "count_tokens"
    RERANK = "rerank"


# The name that stands for no provider, but for a route of the router.
ROUTE = "route"


def _stop(value: str | Iterable[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else as_tuple(value)


def _no_slash(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if "/" in value:
        raise ValueError(f"{where(instance, attribute)} must not hold '/', as {value!r} does")


class _Named:
    """A place for the name of a model, which every call needs several times. It is no field: see `Message`."""

    __slots__ = ("_name",)

    _name: str


@attrs.frozen
class ModelConfig(_Named):
    """Which provider and model, and how.

    provider           the name under which the provider is registered with the router
    temperature, …     sampling, under the names that most providers use; None leaves the provider's default
    max_tokens         a ceiling on the answer, reasoning included where the provider counts it
    stop               one sequence or several at which the answer ends
    logprobs           how many alternatives a token should come with, 0 for the chosen token alone
    reasoning_effort   none, minimal, low, medium, high, xhigh or max, as the model knows them
    timeout            seconds for the whole call when this is its primary model; that of the call replaces it
    extra              fields that are merged into the provider's request body untouched, over what Turnout wrote;
                       those under the name of a dialect or a provider (`turnout.extras`) are for it alone
    """

    provider: str = attrs.field(validator=[non_empty, _no_slash])
    model_id: str = attrs.field(validator=non_empty)
    temperature: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    top_p: float | None = attrs.field(default=None, kw_only=True, validator=number(0, 1))
    top_k: int | None = attrs.field(default=None, kw_only=True, validator=integer(0))
    max_tokens: int | None = attrs.field(default=None, kw_only=True, validator=integer(1))
    stop: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_stop, validator=instances(str))
    seed: int | None = attrs.field(default=None, kw_only=True, validator=integer())
    presence_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    frequency_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    logprobs: int | None = attrs.field(default=None, kw_only=True, validator=integer(0, 20))
    reasoning_effort: str | None = attrs.field(default=None, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True, validator=number(above=0))
    # Left out of the hash, which a mapping has not, so that a model can be a key.
    extra: Mapping[str, Any] = attrs.field(factory=dict, converter=deep_copy, kw_only=True, hash=False)

    @classmethod
    def parse(cls, text: str, **settings: Any) -> ModelConfig:
        """`parse("groq/meta-llama/llama-4-scout")` is provider `groq`, model `meta-llama/llama-4-scout`."""
        provider, slash, model_id = text.partition("/")
        if not (slash and provider.strip() and model_id.strip()):
            raise ValueError(f"a model is written provider/model, as in openai/gpt-4o-mini, not {text!r}")
        return cls(provider, model_id, **settings)

    @classmethod
    def route(cls, name: str, **settings: Any) -> ModelConfig:
        """A route of the router by its name, in place of a model. Settings hold for every model of it."""
        return cls(ROUTE, name, **settings)

    @property
    def is_route(self) -> bool:
        return self.provider == ROUTE

    def over(self, model: ModelConfig) -> ModelConfig:
        """`model` with the settings that are set here over its own."""
        settings = {
            field.name: value
            for field in attrs.fields(ModelConfig)[2:]
            if (value := getattr(self, field.name)) not in (None, (), {})
        }
        if "extra" in settings:
            settings["extra"] = merge_extra(model.extra, self.extra)
        return attrs.evolve(model, **settings)

    def __str__(self) -> str:
        try:
            return self._name
        except AttributeError:
            name = f"{self.provider}/{self.model_id}"
            object.__setattr__(self, "_name", name)
            return name


@attrs.frozen
class ResponseFormat:
    """What the answer's text must be: `ResponseFormat.json()`, or JSON after a schema.

    schema  JSON Schema of the answer; None asks for any JSON object
    name    a name for the schema, which some providers want
    strict  whether the provider must hold the schema exactly
    """

    schema: Mapping[str, Any] | None = attrs.field(default=None, converter=attrs.converters.optional(deep_copy))
    name: str = attrs.field(default="answer", validator=non_empty, kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    strict: bool = attrs.field(default=True, kw_only=True)

    @classmethod
    def json(cls) -> ResponseFormat:
        return cls()


_kept_name = operator.attrgetter("_name")


def names_of(models: Iterable[ModelConfig]) -> tuple[str, ...]:
    """Return the name of each model. There may be hundreds, and most of them have it already."""
    try:
        return tuple(map(_kept_name, models))
    except AttributeError:
        return tuple(map(str, models))


def as_model(value: ModelConfig | str) -> ModelConfig:
    return ModelConfig.parse(value) if isinstance(value, str) else value


def as_models(value: Iterable[ModelConfig | str] | None) -> tuple[ModelConfig, ...]:
    return tuple(map(as_model, as_tuple(value)))


def _messages(value: Iterable[Message] | str) -> tuple[Message, ...]:
    return (Message.user(value),) if isinstance(value, str) else as_tuple(value)


@attrs.frozen
class ChatRequest:
    """A conversation to be answered by `model`, or by one of `fallbacks` in their order. Immutable.

    model      a `ModelConfig`, or its name as `openai/gpt-4o-mini` or `route/fast`
    messages   the conversation, or the text of a lone question
    fallbacks  as `model`
    metadata   the caller's own labels; they stay in the trace and are sent to nobody
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    messages: tuple[Message, ...] = attrs.field(converter=_messages, validator=instances(Message))
    fallbacks: tuple[ModelConfig, ...] = attrs.field(
        default=(), converter=as_models, validator=instances(ModelConfig), kw_only=True
    )
    tools: tuple[Tool, ...] = attrs.field(default=(), converter=as_tuple, validator=instances(Tool), kw_only=True)
    tool_choice: ToolChoice | None = attrs.field(default=None, validator=instance(ToolChoice), kw_only=True)
    parallel_tool_calls: bool | None = attrs.field(default=None, kw_only=True)
    response_format: ResponseFormat | None = attrs.field(default=None, validator=instance(ResponseFormat), kw_only=True)
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=deep_copy, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.messages:
            raise ValueError("ChatRequest.messages must hold at least one message")
        choice = self.tool_choice
        if choice is None and not self.tools:
            return
        names = [tool.name for tool in self.tools]
        if len(set(names)) != len(names):
            raise ValueError("ChatRequest.tools must have different names")
        if choice is not None and not self.tools and choice.mode in ("required", "named"):
            raise ValueError("ChatRequest.tool_choice asks for a tool, but ChatRequest.tools is empty")
        if choice is not None and choice.mode == "named" and choice.name not in names:
            raise ValueError(f"ChatRequest.tool_choice names {choice.name!r}, which is not among the tools")

    def for_model(self, model: ModelConfig) -> ChatRequest:
        """The same conversation for another model, with no fallbacks."""
        again = object.__new__(ChatRequest)
        # Past the validators, which passed all of it once: every attempt of every call comes through here.
        put = object.__setattr__
        put(again, "model", model)
        put(again, "messages", self.messages)
        put(again, "fallbacks", ())
        put(again, "tools", self.tools)
        put(again, "tool_choice", self.tool_choice)
        put(again, "parallel_tool_calls", self.parallel_tool_calls)
        put(again, "response_format", self.response_format)
        put(again, "metadata", self.metadata)
        return again


class FinishReason(enum.StrEnum):
    """Why an answer ended, in one vocabulary; `raw_finish_reason` has the provider's own word."""

    STOP = "stop"  # the model ended its answer
    LENGTH = "length"  # a limit cut the answer, or paused the turn: it can be continued
    TOOL_CALLS = "tool_calls"  # the model waits for the results of its calls
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    UNKNOWN = "unknown"  # the provider sent no reason, or a word that no table has


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one answer, and the other units that its provider bills. None is not reported; 0 is a real 0.

    Attributes:
        prompt_tokens: The whole prompt, cached parts included.
        completion_tokens: The whole answer, reasoning included.
        cached_tokens: Tokens of the prompt that came from the provider's cache.
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


@attrs.frozen(kw_only=True)
class RateWindow:
    """One limit: how much in all, how much is left, and in how many seconds it is full again."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@attrs.frozen(kw_only=True)
class RateLimit:
    """What the answer's headers said about limits."""

    requests: RateWindow | None = None
    tokens: RateWindow | None = None


@attrs.frozen(kw_only=True)
class ChatResponse:
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
    _trace: Trace | None = attrs.field(default=None, repr=False)

    @property
    def trace(self) -> Trace:
        """How the answer was come by; `Trace()` where no router was asked."""
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


@attrs.frozen
class ModelInfo:
    """One model in a provider's list."""

    id: str
    provider: str
    context_window: int | None = attrs.field(default=None, kw_only=True)
    max_output_tokens: int | None = attrs.field(default=None, kw_only=True)
    owned_by: str | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class ProviderStatus:
    """Whether a provider can be used, and what is missing where it cannot.

    missing_env  variables any one of which, or all of which (see `reason`), would configure it
    priority     the place in the order of candidates, 0 first; None outside a plan
    fallbacks    the candidates after this one in a plan, as provider/model
    """

    provider: str
    status: Literal["available", "not-configured", "disabled"]
    capabilities: frozenset[Capability] = attrs.field(default=frozenset(), kw_only=True)
    missing_env: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    priority: int | None = attrs.field(default=None, kw_only=True)
    model: ModelConfig | None = attrs.field(default=None, kw_only=True)
    fallbacks: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    reason: str = attrs.field(default="", kw_only=True)
