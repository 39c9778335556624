"""Models with their settings, and the facts that are known about models and providers."""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from turnout._utils.names import whole_name
from turnout._utils.validation import (
    CheckedFields,
    as_tuple,
    deep_copy,
    instances,
    integer,
    json_values,
    non_empty,
    number,
    quoted,
    where,
)
from turnout.types.extras import merge_extra

__all__ = [
    "EFFORTS",
    "ROUTE",
    "Capability",
    "ModelConfig",
    "ModelInfo",
    "ProviderStatus",
    "as_model",
    "as_models",
    "names_of",
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
    if isinstance(value, str):
        return (value,)
    if value is not None and (isinstance(value, bytes | Mapping) or not isinstance(value, Iterable)):
        raise TypeError(f"ModelConfig.stop must be a text or a list of texts, not {type(value).__name__}")
    return as_tuple(value)


def _model_id(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    given = getattr(instance, "provider", None)
    if value == "" and isinstance(given, str) and "/" not in given:
        meant = whole_name(given) or "openai/gpt-4o-mini"
        raise ValueError(f"{where(instance, attribute)} must not be empty: write ModelConfig.parse({meant!r})")
    non_empty(instance, attribute, value)


def _no_slash(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if "/" in value:
        raise ValueError(
            f"{where(instance, attribute)} must not hold '/', as {value!r} does: write ModelConfig.parse({value!r})"
        )


def _extra(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return deep_copy(value, "ModelConfig.extra must be a mapping such as {'openai': {'service_tier': 'flex'}}")


def _no_bool(instance: object, attribute: attrs.Attribute[int | None], value: object) -> None:
    if isinstance(value, bool):
        raise TypeError(
            f"{where(instance, attribute)} is the number of alternatives: write logprobs=0 for the chosen tokens "
            "alone, or leave it out for none"
        )


def _effort(instance: object, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is not None and value not in EFFORTS:
        raise ValueError(
            f"{where(instance, attribute)} must be one of {', '.join(EFFORTS)}; a model knows some of them or none, "
            f"and no model knows {quoted(value)}"
        )


EFFORTS = ("default", "none", "minimal", "low", "medium", "high", "xhigh", "max")


class _Kept:
    """Keeps derived values of a model, which every call needs. They are not fields: see `Message`.

    Attributes:
        kept_body: What is the same in the bodies of all requests to this model. The keys say what it was made for.
            Absent until a dialect has made it.
    """

    __slots__ = ("_name", "kept_body")

    _name: str
    kept_body: Mapping[Any, Any]


@attrs.frozen
class ModelConfig(_Kept, CheckedFields):
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
            of a dialect or a provider (`turnout.types.extras`) are for that one alone. All others go to every provider
            that a call reaches, also to a fallback, which may refuse them.
    """

    provider: str = attrs.field(validator=[non_empty, _no_slash])
    # It has a default so that the error for ModelConfig("openai/gpt-4o-mini") can name the right spelling.
    model_id: str = attrs.field(default="", validator=_model_id)
    temperature: float | None = attrs.field(default=None, kw_only=True, validator=number(0))
    top_p: float | None = attrs.field(default=None, kw_only=True, validator=number(0, 1))
    top_k: int | None = attrs.field(default=None, kw_only=True, validator=integer(0))
    max_tokens: int | None = attrs.field(default=None, kw_only=True, validator=integer(1))
    stop: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_stop, validator=instances(str))
    seed: int | None = attrs.field(default=None, kw_only=True, validator=integer())
    presence_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    frequency_penalty: float | None = attrs.field(default=None, kw_only=True, validator=number(-2, 2))
    logprobs: int | None = attrs.field(default=None, kw_only=True, validator=[_no_bool, integer(0, 20)])
    reasoning_effort: str | None = attrs.field(default=None, kw_only=True, validator=_effort)
    timeout: float | None = attrs.field(default=None, kw_only=True, validator=number(above=0))
    extra: Mapping[str, Any] = attrs.field(factory=dict, converter=_extra, validator=json_values, kw_only=True)

    @classmethod
    def parse(cls, text: str, **settings: Any) -> ModelConfig:
        """`parse("groq/meta-llama/llama-4-scout")` is provider `groq`, model `meta-llama/llama-4-scout`."""
        provider, slash, model_id = text.partition("/")
        if not (slash and provider.strip() and model_id.strip()):
            meant = whole_name(text)
            hint = f": did you mean {meant!r}?" if meant else ""
            raise ValueError(f"a model is written provider/model, as in openai/gpt-4o-mini, not {quoted(text)}{hint}")
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

    def __eq__(self, other: object) -> bool:
        """Return whether the settings are equal too; with a text, whether it is the name: `openai/gpt-4o-mini`."""
        if isinstance(other, str):
            return str(self) == other
        if not isinstance(other, ModelConfig):
            return NotImplemented
        return _fields(self) == _fields(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        try:
            return self._name
        except AttributeError:
            name = f"{self.provider}/{self.model_id}"
            object.__setattr__(self, "_name", name)
            return name


_fields = operator.attrgetter(*(field.name for field in attrs.fields(ModelConfig)))
_kept_name = operator.attrgetter("_name")


def names_of(models: Iterable[ModelConfig]) -> tuple[str, ...]:
    """Return the name of each model. There may be hundreds, and most of them have it already."""
    try:
        return tuple(map(_kept_name, models))
    except AttributeError:
        return tuple(map(str, models))


def as_model(value: ModelConfig | str) -> ModelConfig:
    if isinstance(value, str):
        return ModelConfig.parse(value)
    return value if isinstance(value, ModelConfig) else _one_model(value)


def _one_model(value: Any) -> Any:
    if isinstance(value, list | tuple):
        raise TypeError(
            f"a model is one ModelConfig or one text such as 'openai/gpt-4o-mini', not {type(value).__name__}: "
            "give the others as fallbacks=['groq/…'], or one as fallbacks='groq/…'"
        )
    if isinstance(value, Mapping):
        raise TypeError(
            "a model is one ModelConfig or one text such as 'openai/gpt-4o-mini', not "
            f"{type(value).__name__}: write the text, or ModelConfig('openai', 'gpt-4o-mini', …) with its own settings"
        )
    return value


def as_models(value: Iterable[ModelConfig | str] | ModelConfig | None) -> tuple[ModelConfig, ...]:
    """Return the models of a request's `fallbacks`. One model alone is a list of one."""
    if isinstance(value, str | ModelConfig):
        return (as_model(value),)
    if value is None or (isinstance(value, Iterable) and not isinstance(value, bytes | Mapping)):
        return tuple(map(as_model, as_tuple(value)))
    raise TypeError(f"fallbacks must be a list of models, such as ['openai/gpt-4o-mini'], not {type(value).__name__}")


@attrs.frozen
class ModelInfo:
    """One model in a provider's list."""

    id: str
    provider: str
    context_window: int | None = attrs.field(default=None, kw_only=True)
    max_output_tokens: int | None = attrs.field(default=None, kw_only=True)
    owned_by: str | None = attrs.field(default=None, kw_only=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            from turnout._utils.hints.attributes import missing_attribute

            raise missing_attribute(self, name)


@attrs.frozen
class ProviderStatus:
    """Whether a provider can be used, and the reason if it cannot.

    Attributes:
        provider: Its name; of one of several keys, the name of the key, such as `openai#2`.
        status: "available": enabled, and nothing is missing. Only a call shows that the provider accepts the key.
            "refused": it refused the key or the account of a call, so calls skip it for some time.
        reason: For any other status than "available", what is wrong; in a plan, why the candidate would be skipped.
        missing_env: Environment variables. Any one of them, or all of them (see `reason`), would configure it.
        priority: The position in the order of candidates, from 0; None outside a plan.
        fallbacks: The candidates after this one in a plan, as provider/model.
    """

    provider: str
    status: Literal["available", "not-configured", "disabled", "refused"]
    capabilities: frozenset[Capability] = attrs.field(default=frozenset(), kw_only=True)
    missing_env: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    priority: int | None = attrs.field(default=None, kw_only=True)
    model: ModelConfig | None = attrs.field(default=None, kw_only=True)
    fallbacks: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    reason: str = attrs.field(default="", kw_only=True)
