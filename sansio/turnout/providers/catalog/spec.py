"""The data that the catalog holds of a provider: its URL, its protocol, its models, and how it differs from others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs

from turnout._utils.validation import (
    CheckedFields,
    instance,
    instances,
    integer,
    json_values,
    non_empty,
    number,
    one_of,
    one_of_or_none,
)
from turnout.chat import Capability
from turnout.errors import ProviderError
from turnout.providers.auth import AccessToken, KeySource
from turnout.providers.catalog import checks
from turnout.providers.catalog.checks import list_to_set, list_to_tuple, names_in
from turnout.providers.limits import ResponseLimits
from turnout.providers.schemas.subset import SchemaSubset
from turnout.redaction import secrets_of_header, secrets_of_url
from turnout.types.models import EFFORTS

__all__ = ["ModelRule", "OpenAICompat", "ProviderAccount", "ProviderSpec", "ReasoningReplay"]

ALL_CHAT = frozenset(
    {
        Capability.CHAT,
        Capability.STREAM,
        Capability.TOOLS,
        Capability.JSON,
        Capability.REASONING,
        Capability.MODELS,
    }
)


ReasoningReplay: TypeAlias = Literal[
    "none",
    "reasoning_content",
    "reasoning_content_of_calls",
    "reasoning_of_calls",
    "reasoning_details",
    "thinking",
]
"""How a model gets its own reasoning back: not at all; as `reasoning_content` of all its messages, or of those in turns
that called tools; as `reasoning` of the latter; as the `reasoning_details` that arrived; or as a signed part of the
content (Mistral)."""

Dialect: TypeAlias = Literal["openai-chat", "gemini", "ollama", "anthropic", "cohere", "bedrock"]
Api: TypeAlias = Literal["chat", "responses"]
MaxTokens: TypeAlias = Literal["max_tokens", "max_completion_tokens"]
ReasoningMode: TypeAlias = Literal["budget", "adaptive", "reasoning_effort", "reasoning", "reasoningConfig"]
ReasoningOff: TypeAlias = Literal["omit", "disabled", "between_tools", "never"]
NeedsResponses: TypeAlias = Literal["never", "tools_with_effort", "tools_when_reasoning", "tools", "always"]
ReasoningParam: TypeAlias = Literal[
    "reasoning_effort", "reasoning", "thinking", "thinking_and_effort", "enable_thinking", "none"
]
Logprobs: TypeAlias = Literal["flag", "count"]

_TOOL_CHOICES = ("auto", "none", "required", "named")
_flag = instance(bool)

# The number of models with a remembered rule. Users may name models without end.
MOST_FOUND = 1000


@attrs.frozen(kw_only=True)
class ModelRule(CheckedFields):
    """The differences of models with an id that matches `pattern` (a regular expression, from the start of the id).

    Attributes:
        unsupported: Settings that the model answers with an error. Beside the names of settings: `response_format` (a
            JSON Schema for the answer), and `tool_choice` (a forced call).
        unsupported_when_reasoning: Further ones while it reasons.
        reasons_by_default: Whether it reasons if the request has no reasoning effort.
        reasoning_streams_only: Whether it reasons in streams alone, and other requests must switch reasoning off.
        mutually_exclusive: Settings of which it takes one at a time.
        first_token: Seconds that it may take before its first token.
        reasoning_mode: How its reasoning is set: by a `budget` of tokens, `adaptive`, or by the field of this name.
        reasoning_off: How its reasoning is switched off: by no field (`omit`), by the dialect's word (`disabled`,
            `between_tools`), or `never`.
        reasoning_efforts: The efforts that it takes, besides `none`.
        responses_efforts: Those of them that Responses takes and chat completions do not.
        needs_responses: The requests that Responses takes and chat completions do not: those with `tools`, those with
            tools if the model reasons (`tools_when_reasoning`) or if they have an effort besides `none`
            (`tools_with_effort`), or all (`always`).
        chat_tools_effort: The effort that chat completions with tools need, if the request has none.
        max_tokens: The name of the limit on the answer's tokens, if it is not the provider's usual one.
        context_window: The tokens that prompt and answer share.
        prefill: Fields that an assistant message needs if the model must continue it; None if it continues none.
    """

    pattern: str = attrs.field(validator=checks.pattern)
    unsupported: frozenset[str] = attrs.field(
        default=frozenset(), converter=list_to_set, validator=names_in(checks.UNSUPPORTED)
    )
    unsupported_when_reasoning: frozenset[str] = attrs.field(
        default=frozenset(), converter=list_to_set, validator=names_in(checks.UNSUPPORTED)
    )
    reasons_by_default: bool = attrs.field(default=False, validator=_flag)
    reasoning_streams_only: bool = attrs.field(default=False, validator=_flag)
    mutually_exclusive: tuple[str, ...] = attrs.field(
        default=(), converter=list_to_tuple, validator=names_in(checks.SETTINGS)
    )
    first_token: float | None = attrs.field(default=None, validator=number(above=0))
    reasoning_mode: ReasoningMode = attrs.field(default="adaptive", validator=one_of(*get_args(ReasoningMode)))
    reasoning_off: ReasoningOff = attrs.field(default="disabled", validator=one_of(*get_args(ReasoningOff)))
    reasoning_efforts: tuple[str, ...] = attrs.field(
        default=("minimal", "low", "medium", "high", "xhigh", "max"),
        converter=list_to_tuple,
        validator=names_in(EFFORTS),
    )
    responses_efforts: tuple[str, ...] = attrs.field(default=(), converter=list_to_tuple, validator=names_in(EFFORTS))
    needs_responses: NeedsResponses = attrs.field(default="never", validator=one_of(*get_args(NeedsResponses)))
    chat_tools_effort: str | None = attrs.field(default=None, validator=one_of_or_none(*EFFORTS))
    max_tokens: MaxTokens | None = attrs.field(default=None, validator=one_of_or_none(*get_args(MaxTokens)))
    context_window: int | None = attrs.field(default=None, validator=integer(1))
    prefill: Mapping[str, Any] | None = attrs.field(default=None, validator=[instance(Mapping), json_values])

    def unsupported_at(self, effort: str | None) -> frozenset[str]:
        """Return the settings that it does not take at this reasoning effort; None if the request has none."""
        thinking = self.reasons_by_default if effort is None else effort != "none"
        return self.unsupported | self.unsupported_when_reasoning if thinking else self.unsupported

    def matches(self, model_id: str) -> bool:
        return re.match(self.pattern, model_id) is not None


@attrs.frozen(kw_only=True)
class OpenAICompat(CheckedFields):
    """How a provider with OpenAI's chat completions differs from OpenAI.

    Attributes:
        max_tokens: The name of the limit on the answer's tokens.
        unsupported: Settings that none of its models takes.
        developer_role: Whether it has the role `developer`; if not, such messages are sent as `system`.
        usage_option: Whether a stream has a usage only with `stream_options`.
        json_schema: Whether it takes a JSON Schema for the answer.
        json_object: Whether it takes JSON without a schema for the answer.
        tool_choices: The modes of `tool_choice` that it takes.
        max_stop_sequences: How many stop sequences it takes; None if there is no limit.
        max_temperature: The highest temperature that it takes.
        reasoning_param: How a reasoning effort is sent: as `reasoning_effort`; as `reasoning: {effort}`; by switching
            `thinking: {type}` or `enable_thinking`; by `thinking` with an effort beside it, if the model takes that
            one (`thinking_and_effort`); or not at all.
        reasoning_replay_field: How its models get their reasoning back, unless the entry knows better of one
            (`ProviderSpec.reasoning_replay`).
        prefill_path: The beginning of the path of a chat that continues its last message.
        rename: Settings that have another name here.
        logprobs: Whether log probabilities are a flag and a number, or the number alone (`count`).
        name_on_tool_messages_only: Whether only the result of a tool may have a name.
        user_after_tool: Whether a user's message may follow the result of a tool.
        call_id_length: How many letters and digits the id of a call must have; None takes any id.
        embeddings_base64: Whether it can send vectors in base64.
        string_content_only: Whether text must be one string, not a list of parts.
        custom_tool_calls: Whether a `custom_tool_call` of Responses is for the caller's tool; xAI reports its own
            searches so.
        rerank_path: The path of its reranker; it begins with two slashes if it is behind the host, not the base URL.
        embedding_purposes: Its words for the purpose of an embedding, which it wants to know.
        responses_include: Whether Responses takes `include`: for encrypted reasoning and for log probabilities.
        extra_body: Fields of every chat. The `extra` of a model may replace them.
    """

    max_tokens: MaxTokens = attrs.field(default="max_tokens", validator=one_of(*get_args(MaxTokens)))
    unsupported: frozenset[str] = attrs.field(
        default=frozenset(), converter=list_to_set, validator=names_in(checks.UNSUPPORTED)
    )
    developer_role: bool = attrs.field(default=False, validator=_flag)
    usage_option: bool = attrs.field(default=True, validator=_flag)
    json_schema: bool = attrs.field(default=True, validator=_flag)
    json_object: bool = attrs.field(default=True, validator=_flag)
    tool_choices: frozenset[str] = attrs.field(
        default=frozenset(_TOOL_CHOICES), converter=list_to_set, validator=names_in(_TOOL_CHOICES)
    )
    max_stop_sequences: int | None = attrs.field(default=4, validator=checks.count_or_none)
    max_temperature: float = attrs.field(default=math.inf, validator=checks.temperature)
    reasoning_param: ReasoningParam = attrs.field(
        default="reasoning_effort", validator=one_of(*get_args(ReasoningParam))
    )
    reasoning_replay_field: ReasoningReplay = attrs.field(default="none", validator=one_of(*get_args(ReasoningReplay)))
    prefill_path: str = attrs.field(default="", validator=checks.path)
    rename: Mapping[str, str] = attrs.field(factory=dict, validator=checks.texts_by(checks.RENAMED))
    logprobs: Logprobs = attrs.field(default="flag", validator=one_of(*get_args(Logprobs)))
    name_on_tool_messages_only: bool = attrs.field(default=False, validator=_flag)
    user_after_tool: bool = attrs.field(default=True, validator=_flag)
    call_id_length: int | None = attrs.field(default=None, validator=integer(1))
    embeddings_base64: bool = attrs.field(default=False, validator=_flag)
    string_content_only: bool = attrs.field(default=False, validator=_flag)
    custom_tool_calls: bool = attrs.field(default=True, validator=_flag)
    rerank_path: str = attrs.field(default="/rerank", validator=checks.path)
    embedding_purposes: Mapping[str, str] = attrs.field(factory=dict, validator=checks.texts_by())
    responses_include: bool = attrs.field(default=True, validator=_flag)
    extra_body: Mapping[str, Any] = attrs.field(factory=dict, validator=[instance(Mapping), json_values])


@attrs.frozen(kw_only=True)
class ProviderSpec(CheckedFields):
    """One provider of the catalog.

    Attributes:
        name: Its name in `create()`, in settings, and in `provider/model`.
        title: Its name for people.
        dialect: The protocol that it speaks.
        base_url: The URL before all paths; "" if only the user knows it.
        key_env: Variables that may hold the key. Messages name the first one.
        base_url_env: Variables that may hold the base URL, likewise.
        option_env: Other settings, and their variables.
        needs_key: Whether it refuses requests without a key.
        capabilities: Its capabilities.
        embedding_batch: The most texts in one embedding request.
        openai_compat: How it differs from OpenAI.
        schemas: The part of JSON Schema that it enforces; None takes every schema as it is.
        apis: Those of OpenAI's two APIs for answers that it has.
        error_codes: Its own codes and statuses, if they are more precise than the shared ones.
        headers: Header fields of every request.
        models: What differs per model; the first rule that matches holds.
        system_in_turns: The models that take a system message between turns, as a pattern of their ids.
        reasoning_replay: The field in which a model gets its reasoning back, by a pattern of its id. Others have
            `OpenAICompat.reasoning_replay_field`.
        embedding_tokens: The most tokens in one embedding request.
        base_url_is_host: Whether the vendor's own clients add the path of `base_url` to a base URL without one.
        context_windows: The tokens that prompt and answer share, by pattern; a rule's own number goes first.
        counts_max_tokens: Whether it takes `max_tokens` for the tokens of the answer when it admits a request.
        idempotency_header: The header field by which it recognizes a request that is repeated; None if it has none.
    """

    name: str = attrs.field(validator=checks.provider_name)
    title: str = attrs.field(validator=non_empty)
    dialect: Dialect = attrs.field(validator=one_of(*get_args(Dialect)))
    base_url: str = attrs.field(converter=checks.without_slash, validator=checks.base_url)
    key_env: tuple[str, ...] = attrs.field(default=(), converter=list_to_tuple, validator=checks.texts)
    base_url_env: tuple[str, ...] = attrs.field(default=(), converter=list_to_tuple, validator=checks.texts)
    option_env: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, validator=checks.variables)
    needs_key: bool = attrs.field(default=True, validator=_flag)
    capabilities: frozenset[Capability] = attrs.field(
        default=ALL_CHAT, converter=list_to_set, validator=names_in(tuple(Capability))
    )
    embedding_batch: int | None = attrs.field(default=None, validator=integer(1))
    openai_compat: OpenAICompat = attrs.field(default=OpenAICompat(), validator=instance(OpenAICompat))
    schemas: SchemaSubset | None = attrs.field(default=None, validator=instance(SchemaSubset))
    apis: tuple[Api, ...] = attrs.field(default=("chat",), converter=list_to_tuple, validator=names_in(get_args(Api)))
    error_codes: Mapping[str, type[ProviderError]] = attrs.field(factory=dict, validator=checks.error_classes)
    headers: Mapping[str, str] = attrs.field(factory=dict, validator=checks.header_fields)
    models: tuple[ModelRule, ...] = attrs.field(
        default=(), converter=list_to_tuple, validator=[checks.collection, instances(ModelRule)]
    )
    system_in_turns: str | None = attrs.field(default=None, validator=checks.pattern)
    reasoning_replay: tuple[tuple[str, ReasoningReplay], ...] = attrs.field(
        default=(), converter=list_to_tuple, validator=checks.patterns_to(get_args(ReasoningReplay))
    )
    embedding_tokens: int | None = attrs.field(default=None, validator=integer(1))
    base_url_is_host: bool = attrs.field(default=False, validator=_flag)
    context_windows: tuple[tuple[str, int], ...] = attrs.field(
        default=(), converter=list_to_tuple, validator=checks.patterns_to()
    )
    counts_max_tokens: bool = attrs.field(default=False, validator=_flag)
    idempotency_header: str | None = attrs.field(default=None, validator=checks.header_name)
    # The rules that were looked for: each call does so several times, and always for the same few models.
    _found: dict[str, ModelRule | None] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    def rule(self, model_id: str) -> ModelRule | None:
        try:
            return self._found[model_id]
        except KeyError:
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            rule = self._found[model_id] = next((rule for rule in self.models if rule.matches(model_id)), None)
            return rule

    @property
    def has_models_for_responses(self) -> bool:
        """Whether a model takes some requests by Responses alone."""
        rules = self.models if "responses" in self.apis else ()
        return any(rule.needs_responses != "never" or rule.responses_efforts for rule in rules)

    def context_window(self, model_id: str) -> int | None:
        """Return the tokens that prompt and answer share; None if the catalog does not know them."""
        rule = self.rule(model_id)
        if rule is not None and rule.context_window is not None:
            return rule.context_window
        return next((tokens for pattern, tokens in self.context_windows if re.match(pattern, model_id)), None)


@attrs.frozen(kw_only=True)
class ProviderAccount:
    """One account with a provider: the base of every dialect.

    Attributes:
        spec: The provider.
        name: The name under which the account is registered.
        base_url: Without a slash at its end.
        api_key: Never shown.
        key_source: The function that returns the key just before each request is sent, in place of `api_key`.
        headers: Header fields of every request, besides the key.
        unsupported: What happens to a setting that the model does not take: `raise` an error, or `drop` it and report
            that.
        reasoning_replay: The field in which models get their reasoning back, in place of the field in the catalog.
        limits: How much of a response is read.
        idempotency_header: The header field by which the provider recognizes a repeated request; None if it has none.
    """

    spec: ProviderSpec
    name: str
    base_url: str
    api_key: str | None = attrs.field(default=None, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=lambda headers: repr(sorted(headers)))
    unsupported: Literal["raise", "drop"] = "raise"
    reasoning_replay: ReasoningReplay | None = None
    limits: ResponseLimits = ResponseLimits()
    key_source: KeySource | None = attrs.field(default=None, repr=False)
    idempotency_header: str | None = None
    _fixed_secrets: tuple[str, ...] = attrs.field(
        default=attrs.Factory(lambda self: _secrets_of(self), takes_self=True), init=False, repr=False, eq=False
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no error, trace or log may show: the keys, and the secrets in the user's header fields and URL."""
        return self._fixed_secrets if self.key_source is None else (*self._fixed_secrets, *self.key_source.secrets)

    @property
    def has_key(self) -> bool:
        """True if there is a key, or a function that returns one."""
        return bool(self.api_key) or self.key_source is not None

    def with_key(self, key: AccessToken) -> ProviderAccount:
        """Return the account with another key, or with a function that returns it."""
        if isinstance(key, str):
            return attrs.evolve(self, api_key=key, key_source=None)
        return attrs.evolve(self, api_key=None, key_source=KeySource(key))

    def replays_reasoning(self, model_id: str) -> ReasoningReplay:
        """Return the field in which this model gets its reasoning back; `none` if it gets none."""
        if self.reasoning_replay is not None:
            return self.reasoning_replay
        for pattern, field in self.spec.reasoning_replay:
            if re.match(pattern, model_id, re.IGNORECASE):
                return field
        return self.spec.openai_compat.reasoning_replay_field

    def url(self, path: str) -> str:
        """Return the URL of a path behind the base URL, or behind its host if the path begins with two slashes."""
        if not path.startswith("//"):
            return self.base_url + path
        scheme, _, place = self.base_url.partition("://")
        return f"{scheme}://{place.partition('/')[0]}{path[1:]}"

    @property
    def missing_env(self) -> tuple[str, ...]:
        """The variables to set: for the key, and for the base URL of a provider without one."""
        key = self.spec.key_env[:1] if self.spec.needs_key and not self.has_key else ()
        return key + (self.spec.base_url_env[:1] if not self.base_url else ())


def _secrets_of(account: ProviderAccount) -> tuple[str, ...]:
    """Return the key, and the secrets in the user's header fields and base URL, each once."""
    found = [account.api_key] if account.api_key else []
    for name, value in account.headers.items():
        if account.spec.headers.get(name) != value:
            found += secrets_of_header(name, value)
    return tuple(dict.fromkeys((*found, *secrets_of_url(account.base_url))))
