"""What the catalog knows of a provider, as data: where it is, how it is asked, and its habits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from turnout.chat import Capability
from turnout.errors import ProviderError
from turnout.providers.schemas.subset import SchemaSubset

__all__ = ["ModelRule", "OpenAICompat", "ProviderAccount", "ProviderSpec"]

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


# Models whose rule is remembered. Users may name models without end.
MOST_FOUND = 1000


@attrs.frozen(kw_only=True)
class ModelRule:
    """What differs for the models whose id matches `pattern` (a regular expression, searched from the start).

    refuses        settings that the model answers with an error; also `response_format` (a JSON Schema for its answer)
                   and `tool_choice` (a forced one)
    when_thinking  the same, only while it thinks: at a reasoning effort other than "none", or unasked where it `thinks`
    thinks         whether it thinks unless it is told not to
    only_streams_thinking  whether it thinks in streams only, and elsewhere must be told not to
    one_of         settings of which it takes one at a time
    first_content  seconds that it may think unseen before its first content
    thinking       how it is made to think: within a `budget` of tokens, or `adaptive`, as much as it sees fit; or the
                   field of its own that takes the effort
    thinking_off   how it is kept from it: by saying nothing (`omit`), by a word of the dialect, or `never`
    efforts        the reasoning efforts that it knows
    max_tokens     the name of its answer's ceiling, where it is not the provider's usual one
    context_window tokens of prompt and answer together
    prefill        what an assistant message that it shall go on from must carry besides its text; None where it does
                   not go on from one
    """

    pattern: str
    unsupported: frozenset[str] = frozenset()
    unsupported_when_reasoning: frozenset[str] = frozenset()
    reasons_by_default: bool = False
    reasoning_streams_only: bool = False
    mutually_exclusive: tuple[str, ...] = ()
    first_token: float | None = None
    reasoning_mode: Literal["budget", "adaptive", "reasoning_effort", "reasoning", "reasoningConfig"] = "adaptive"
    reasoning_off: Literal["omit", "disabled", "between_tools", "never"] = "disabled"
    reasoning_efforts: tuple[str, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")
    max_tokens: Literal["max_tokens", "max_completion_tokens"] | None = None
    context_window: int | None = None
    prefill: Mapping[str, Any] | None = None

    def unsupported_at(self, effort: str | None) -> frozenset[str]:
        """What it refuses at this reasoning effort; None is not to say one."""
        thinking = self.reasons_by_default if effort is None else effort != "none"
        return self.unsupported | self.unsupported_when_reasoning if thinking else self.unsupported

    def matches(self, model_id: str) -> bool:
        return re.match(self.pattern, model_id) is not None


@attrs.frozen(kw_only=True)
class OpenAICompat:
    """How an OpenAI-shaped provider differs from OpenAI.

    max_tokens     the name of the answer's ceiling
    refuses        settings that no model of it takes
    developer      whether it knows the role `developer`; else it is sent as `system`
    usage_option   whether a stream's usage is asked for with `stream_options`
    json_schema    whether it takes a JSON Schema for the answer
    tool_choices   the modes of `tool_choice` that it takes
    stop_limit     how many stop sequences it takes
    hottest        the highest temperature that it is known to take
    effort         how a reasoning effort is said: as `reasoning_effort`, as `reasoning: {effort}`, by switching
                   `thinking: {type}` or `enable_thinking` on or off, by the former with the effort beside it where
                   the model knows that one, or not at all
    replay         the field in which it must get its reasoning back, where it must: with every answer of its own, or
                   with all those of the turns that called tools
    prefill_path   goes before the path of a chat whose last message is the beginning of the answer
    names          settings that have another name here
    logprobs       whether log probabilities are a flag and a number, or only the `count`
    names_only_tools  whether a message may have a name only where it is a tool's result
    call_id_length how many letters and digits the id of a call must be; None takes any id
    base64         whether it sends vectors in base64 when asked
    flat_text      whether text must be one string, not a list of parts
    rerank_path    the path of its reranker
    custom_calls   whether a `custom_tool_call` of Responses is for the caller's tool: xAI tells so of its own searches
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    unsupported: frozenset[str] = frozenset()
    developer_role: bool = False
    usage_option: bool = True
    json_schema: bool = True
    tool_choices: frozenset[str] = frozenset({"auto", "none", "required", "named"})
    max_stop_sequences: int | None = 4
    max_temperature: float = math.inf
    reasoning_param: Literal[
        "reasoning_effort", "reasoning", "thinking", "thinking_and_effort", "enable_thinking", "none"
    ] = "reasoning_effort"
    reasoning_replay_field: Literal["reasoning_content", "reasoning_content_of_calls", "reasoning_details", "none"] = (
        "none"
    )
    prefill_path: str = ""
    rename: Mapping[str, str] = attrs.field(factory=dict)
    logprobs: Literal["flag", "count"] = "flag"
    name_on_tool_messages_only: bool = False
    call_id_length: int | None = None
    embeddings_base64: bool = False
    string_content_only: bool = False
    custom_tool_calls: bool = True
    rerank_path: str = "/rerank"


@attrs.frozen(kw_only=True)
class ProviderSpec:
    """One provider of the catalog.

    dialect          which protocol it speaks
    base_url         where, unless an endpoint is set; "" where only the user knows
    key_env          variables that may hold the key, the first one being the one we name
    endpoint_env     variables that may hold the endpoint, likewise
    option_env       other settings and their variables
    needs_key        whether it can be used without a key
    embedding_batch  texts in one embedding request
    schemas          the part of JSON Schema that it holds answers and calls to; None takes what it is given
    apis             of OpenAI's two ways to ask for an answer, those that it has
    error_codes      its own codes and statuses, where they say more than what vendors share
    models           what differs per model; the first rule that matches holds
    """

    name: str
    title: str
    dialect: Literal["openai-chat", "gemini", "ollama", "anthropic", "cohere", "bedrock"]
    base_url: str
    key_env: tuple[str, ...] = ()
    base_url_env: tuple[str, ...] = ()
    option_env: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    needs_key: bool = True
    capabilities: frozenset[Capability] = ALL_CHAT
    embedding_batch: int | None = None
    openai_compat: OpenAICompat = OpenAICompat()
    schemas: SchemaSubset | None = None
    apis: tuple[Literal["chat", "responses"], ...] = ("chat",)
    error_codes: Mapping[str, type[ProviderError]] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    models: tuple[ModelRule, ...] = ()
    system_in_turns: str | None = None  # the models that take a system message between turns, as a pattern of their ids
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


@attrs.frozen(kw_only=True)
class ProviderAccount:
    """One account with a provider: what every dialect is made of.

    name         under which it is registered
    endpoint     base URL, without a slash at its end
    api_key      never shown
    headers      sent with every request, besides the key
    unsupported  what becomes of a setting that the model is known to refuse: `raise`, or `drop` it and say so
    """

    spec: ProviderSpec
    name: str
    base_url: str
    api_key: str | None = attrs.field(default=None, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=lambda headers: repr(sorted(headers)))
    unsupported: Literal["raise", "drop"] = "raise"

    @property
    def missing_env(self) -> tuple[str, ...]:
        """The variables that would have to be set: of the key, and of the endpoint where there is none of its own."""
        key = self.spec.key_env[:1] if self.spec.needs_key and not self.api_key else ()
        return key + (self.spec.base_url_env[:1] if not self.base_url else ())

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.api_key,) if self.api_key else ()
