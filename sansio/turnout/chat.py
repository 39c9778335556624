"""Chat requests, and the settings of the models that serve them."""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from turnout._utils.validation import (
    as_tuple,
    deep_copy,
    instance,
    instances,
    integer,
    json_values,
    non_empty,
    number,
    one_of_or_none,
    where,
)
from turnout.messages import Message, Tool, ToolChoice
from turnout.types.extras import merge_extra
from turnout.types.response import ChatResponse, FinishReason, RateLimit, RateWindow, Usage

if TYPE_CHECKING:
    from typing import Unpack

    from turnout.inputs.types import Conversation, ModelSettings, ResponseFormatLike, ToolChoiceLike, ToolLike

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
    """A feature that a provider offers through Turnout."""

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


# In place of a provider's name, this means a route of the router.
ROUTE = "route"


def _stop(value: str | Iterable[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else as_tuple(value)


def _no_slash(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if "/" in value:
        raise ValueError(
            f"{where(instance, attribute)} must not hold '/', as {value!r} does: write ModelConfig.parse({value!r})"
        )


_EFFORTS = ("default", "none", "minimal", "low", "medium", "high", "xhigh", "max")


class _Named:
    """Keeps the name of a model, which every call needs several times. It is not a field: see `Message`."""

    __slots__ = ("_name",)

    _name: str


@attrs.frozen
class ModelConfig(_Named):
    """A model of a provider, with its settings.

    Attributes:
        provider: The name under which the provider is registered with the router.
        model_id: The provider's name of the model.
        temperature: A setting of sampling, as are `top_p`, `top_k`, `seed` and the penalties. None: the provider's
            default.
        max_tokens: The largest number of tokens in the answer, with reasoning if the provider counts it.
        stop: One text or several at which the answer ends.
        logprobs: The number of alternatives to return for each token; 0 for the chosen token alone.
        reasoning_effort: none, minimal, low, medium, high, xhigh, max or default, as the model knows them.
        timeout: Seconds for the whole call, if this is its primary model. The timeout of the call replaces it.
        extra: Fields that are merged into the provider's request body, over what Turnout wrote. Those under the name
            of a dialect or a provider (`turnout.types.extras`) are for that one alone.
    """

    provider: str = attrs.field(validator=[non_empty, _no_slash])
    # It has a default so that the error for ModelConfig("openai/gpt-4o-mini") can name the right spelling.
    model_id: str = attrs.field(default="", validator=non_empty)
    temperature: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    top_p: float | None = attrs.field(default=None, kw_only=True, validator=number(0, 1))
    top_k: int | None = attrs.field(default=None, kw_only=True, validator=integer(0))
    max_tokens: int | None = attrs.field(default=None, kw_only=True, validator=integer(1))
    stop: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_stop, validator=instances(str))
    seed: int | None = attrs.field(default=None, kw_only=True, validator=integer())
    presence_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    frequency_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    logprobs: int | None = attrs.field(default=None, kw_only=True, validator=integer(0, 20))
    reasoning_effort: str | None = attrs.field(default=None, kw_only=True, validator=one_of_or_none(*_EFFORTS))
    timeout: float | None = attrs.field(default=None, kw_only=True, validator=number(above=0))
    # Not in the hash, because a mapping has none, and a model must be usable as a key.
    extra: Mapping[str, Any] = attrs.field(
        factory=dict, converter=deep_copy, validator=json_values, kw_only=True, hash=False
    )

    @classmethod
    def parse(cls, text: str, **settings: Any) -> ModelConfig:
        """`parse("groq/meta-llama/llama-4-scout")` is provider `groq`, model `meta-llama/llama-4-scout`."""
        provider, slash, model_id = text.partition("/")
        if not (slash and provider.strip() and model_id.strip()):
            raise ValueError(f"a model is written provider/model, as in openai/gpt-4o-mini, not {text!r}")
        return cls(provider, model_id, **settings)

    @classmethod
    def route(cls, name: str, **settings: Any) -> ModelConfig:
        """Return a reference to a route of the router, in place of a model. Settings apply to every model in it."""
        return cls(ROUTE, name, **settings)

    @property
    def is_route(self) -> bool:
        return self.provider == ROUTE

    def over(self, model: ModelConfig) -> ModelConfig:
        """Return `model` with the settings of this one; they replace those of `model`."""
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


def _schema(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(value, type):
        raise TypeError(f"ResponseFormat.schema must be a JSON Schema: write ResponseFormat.of({value.__name__})")
    return deep_copy(value) if value is not None else None


@attrs.frozen
class ResponseFormat:
    """The required form of the answer's text: any JSON object, or JSON that a schema describes.

    `ResponseFormat.of(T)` takes the schema from a class, and `reply.parsed(T)` makes the value of that class.

    Attributes:
        schema: The JSON Schema of the answer. None allows any JSON object, as `ResponseFormat.json()` does.
        name: A name for the schema, which some providers want.
        description: The purpose of the schema, for the model.
        strict: True if the provider must hold the answer exactly to the schema.
    """

    schema: Mapping[str, Any] | None = attrs.field(default=None, converter=_schema, validator=json_values)
    name: str = attrs.field(default="answer", validator=non_empty, kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    strict: bool = attrs.field(default=True, kw_only=True)

    @classmethod
    def json(cls) -> ResponseFormat:
        """Return the format of any JSON object."""
        return cls()

    @classmethod
    def of(cls, kind: Any, *, name: str | None = None, strict: bool = True) -> ResponseFormat:
        """Return the format of a class: attrs, dataclass, TypedDict, NamedTuple, msgspec or pydantic.

        Args:
            kind: The class. Its docstring becomes the description.
            name: The name of the schema. By default it is the name of the class.
            strict: See the class.

        Raises:
            TypeError: If JSON Schema cannot describe the type of a field.
        """
        from turnout.typed.schema import schema_of

        schema, title, description = schema_of(kind)
        return cls(schema, name=name or title, description=description, strict=strict)


_kept_name = operator.attrgetter("_name")


def names_of(models: Iterable[ModelConfig]) -> tuple[str, ...]:
    """Return the name of each model. There may be hundreds, and most of them have it already."""
    try:
        return tuple(map(_kept_name, models))
    except AttributeError:
        return tuple(map(str, models))


def as_model(value: ModelConfig | str) -> ModelConfig:
    return ModelConfig.parse(value) if isinstance(value, str) else value


def as_models(value: Iterable[ModelConfig | str] | ModelConfig | None) -> tuple[ModelConfig, ...]:
    """Return the models of a request's `fallbacks`. One model alone is a list of one."""
    if isinstance(value, str | ModelConfig):
        return (as_model(value),)
    if value is None or (isinstance(value, Iterable) and not isinstance(value, bytes | Mapping)):
        return tuple(map(as_model, as_tuple(value)))
    raise TypeError(f"fallbacks must be a list of models, such as ['openai/gpt-4o-mini'], not {type(value).__name__}")


def _messages(value: Any) -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message.user(value),) if value else ()
    if type(value) in (tuple, list) and all(type(message) is Message for message in value):
        return tuple(value)
    from turnout.inputs.conversation import messages_of

    return messages_of(value)


def _tools(value: Any) -> tuple[Tool, ...]:
    if not value:
        return ()
    if type(value) in (tuple, list) and all(type(tool) is Tool for tool in value):
        return tuple(value)
    from turnout.inputs.tools import tools_of

    return tools_of(value)


def _tool_choice(value: Any) -> ToolChoice | None:
    if value is None or type(value) is ToolChoice:
        return value
    from turnout.inputs.tools import tool_choice_of

    choice: ToolChoice = tool_choice_of(value)
    return choice


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None or type(value) is ResponseFormat:
        return value
    from turnout.inputs.response_formats import response_format_of

    format: ResponseFormat = response_format_of(value)
    return format


@attrs.frozen(init=False)
class ChatRequest:
    """A conversation for `model` to continue, or for one of `fallbacks`, in this order. Immutable.

    Attributes:
        model: A `ModelConfig`, or its name as `openai/gpt-4o-mini` or `route/fast`.
        messages: The conversation, or the text of one question. Messages may be dicts, ours or OpenAI's.
        fallbacks: Further models, each as `model`, or one alone.
        tools: Tools, Python functions (see `Tool.of`), or dicts in the form of OpenAI.
        tool_choice: A `ToolChoice`, or `auto`, `none`, `required`, or the name of a tool.
        parallel_tool_calls: Whether the model may call several tools at once.
        response_format: A `ResponseFormat`, or a class (see `ResponseFormat.of`).
        metadata: The caller's own labels. They stay in the trace, and no provider receives them.
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    messages: tuple[Message, ...] = attrs.field(converter=_messages, validator=instances(Message))
    fallbacks: tuple[ModelConfig, ...] = attrs.field(
        default=(), converter=as_models, validator=instances(ModelConfig), kw_only=True
    )
    tools: tuple[Tool, ...] = attrs.field(default=(), converter=_tools, validator=instances(Tool), kw_only=True)
    tool_choice: ToolChoice | None = attrs.field(
        default=None, converter=_tool_choice, validator=instance(ToolChoice), kw_only=True
    )
    parallel_tool_calls: bool | None = attrs.field(default=None, kw_only=True)
    response_format: ResponseFormat | None = attrs.field(
        default=None, converter=_response_format, validator=instance(ResponseFormat), kw_only=True
    )
    metadata: Mapping[str, Any] = attrs.field(factory=dict, converter=deep_copy, kw_only=True)

    if TYPE_CHECKING:

        def __attrs_init__(self, *args: Any, **fields: Any) -> None: ...

    def __init__(
        self,
        model: ModelConfig | str,
        messages: Conversation,
        *,
        fallbacks: Iterable[ModelConfig | str] = (),
        tools: Iterable[ToolLike] = (),
        tool_choice: ToolChoiceLike | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: ResponseFormatLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        **settings: Unpack[ModelSettings],
    ) -> None:
        """Make a request.

        Args:
            model: See the class; so are the other fields.
            **settings: Settings of `ModelConfig`, such as `temperature`. They hold for the model and every fallback.

        Raises:
            TypeError: If a value has the wrong type, or a keyword is not known. The error names it.
            ValueError: If a value does not fit. The error names its field.
        """
        if settings:
            from turnout.inputs.keywords import apply_settings

            model, fallbacks = apply_settings(model, fallbacks, settings)
        self.__attrs_init__(
            model,
            messages,
            fallbacks=fallbacks,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            metadata=metadata or {},
        )

    def __attrs_post_init__(self) -> None:
        if not self.messages:
            raise ValueError("ChatRequest.messages must hold at least one message, or be a text that is not empty")
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
        """Return the same conversation for another model, with no fallbacks."""
        again = object.__new__(ChatRequest)
        # Skip the validators, which accepted these values before: every attempt of every call runs this.
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
    """Whether a provider can be used, and the missing configuration if it cannot.

    Attributes:
        missing_env: Environment variables. Any one of them, or all of them (see `reason`), would configure it.
        priority: The position in the order of candidates, from 0; None outside a plan.
        fallbacks: The candidates after this one in a plan, as provider/model.
    """

    provider: str
    status: Literal["available", "not-configured", "disabled"]
    capabilities: frozenset[Capability] = attrs.field(default=frozenset(), kw_only=True)
    missing_env: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    priority: int | None = attrs.field(default=None, kw_only=True)
    model: ModelConfig | None = attrs.field(default=None, kw_only=True)
    fallbacks: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    reason: str = attrs.field(default="", kw_only=True)
