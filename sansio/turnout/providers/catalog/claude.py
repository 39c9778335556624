"""The providers of Claude: Anthropic, and Bedrock with the models of others beside it."""

from __future__ import annotations

import attrs

from turnout.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTooLarge,
    ServerError,
)
from turnout.providers.catalog.parts import COUNTS, HEARS, MINUTES, PENALTIES, READS, SEES, codes
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec
from turnout.providers.schemas.subsets import ANTHROPIC_SCHEMAS

__all__ = ["ANTHROPIC", "BEDROCK"]

_CLAUDE_SAMPLING = frozenset({"temperature", "top_p", "top_k"})

ANTHROPIC = ProviderSpec(
    name="anthropic",
    title="Anthropic",
    dialect="anthropic",
    base_url="https://api.anthropic.com",
    key_env=("ANTHROPIC_API_KEY",),
    base_url_env=("ANTHROPIC_ENDPOINT", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    option_env={"access_token": ("ANTHROPIC_AUTH_TOKEN",)},
    schemas=ANTHROPIC_SCHEMAS,
    system_in_turns=r"claude-(opus-4-[89]|[a-z]+-([5-9]|\d\d))",
    capabilities=ALL_CHAT | SEES | READS | COUNTS,
    openai_compat=OpenAICompat(unsupported=PENALTIES | {"seed", "logprobs"}),
    headers={"anthropic-version": "2023-06-01"},
    error_codes=codes(
        (ServerError, "api_error timeout_error conflict_error request_body_timeout"),
        (Overloaded, "cmek_key_unreachable cmek_context_unavailable compaction_unavailable"),
        (RateLimited, "ramp_limit_exceeded"),
        (QuotaExceeded, "contract_spend_limit_reached enforced_spend_limit_reached"),
        (QuotaExceeded, "linked_organization_spend_limit_reached linked_organization_billing_unavailable"),
        # The account cannot use this model or feature, whatever the request is.
        (PermissionDenied, "organization_on_hold organization_type_not_supported organization_not_eligible"),
        (PermissionDenied, "organization_not_enrolled_in_beta parent_organization_required sandbox_egress_restricted"),
        (PermissionDenied, "claude_code_key_creator_not_member claude_code_version_too_old"),
        (PermissionDenied, "cmek_key_disabled cmek_key_network_blocked cmek_not_approved"),
        (PermissionDenied, "skill_read_blocked_undecryptable workspace_human_review_disabled"),
        (PermissionDenied, "user_profile_billing_not_authorized user_profile_not_billable user_profile_required"),
        (NotFound, "file_expired"),
        (RequestTooLarge, "request_too_large request_body_too_large_after_decoding"),
        (InvalidRequest, "image_dimensions_too_large"),
        (InvalidRequest, "available_tools_limit_exceeded tool_name_conflict tool_reference_unresolved"),
        (InvalidRequest, "compaction_block_ambiguous compaction_block_misplaced compaction_content_mismatch"),
        (InvalidRequest, "compaction_incomplete_turn compaction_nothing_to_summarize"),
        (InvalidRequest, "compaction_too_many_tool_references compaction_tool_changes_mismatch"),
        (InvalidRequest, "thread_already_continued thread_continue_in_flight thread_fingerprint_mismatch"),
    ),
    # Sources: "Thinking", "Effort" and "Structured outputs" of the platform's documentation, and its migration guides.
    models=(
        ModelRule(
            pattern=r"claude-(2|instant|3-(opus|sonnet|haiku)|3-5)",
            prefill={},
            context_window=200_000,
            unsupported=frozenset({"reasoning_effort", "response_format"}),
            reasoning_off="omit",
        ),
        ModelRule(
            pattern=r"claude-3-7|claude-(opus|sonnet)-4(-0|-20\d{6})?$",
            prefill={},
            context_window=200_000,
            unsupported=frozenset({"response_format"}),
            unsupported_when_reasoning=frozenset({"temperature", "top_k"}),
            reasoning_mode="budget",
            reasoning_off="omit",
        ),
        ModelRule(
            pattern=r"claude-(opus|sonnet|haiku)-4-[0-5]",
            prefill={},
            context_window=200_000,
            unsupported_when_reasoning=frozenset({"temperature", "top_k"}),
            mutually_exclusive=("temperature", "top_p"),
            reasoning_mode="budget",
            reasoning_off="omit",
        ),
        ModelRule(
            pattern=r"claude-(opus|sonnet)-4-6",
            unsupported_when_reasoning=frozenset({"temperature", "top_k"}),
            mutually_exclusive=("temperature", "top_p"),
            reasoning_off="omit",
            reasoning_efforts=("minimal", "low", "medium", "high", "max"),
        ),
        ModelRule(pattern=r"claude-opus-4-", unsupported=_CLAUDE_SAMPLING, reasoning_off="omit", first_token=MINUTES),
        ModelRule(
            pattern=r"claude-(fable|mythos)-5(?!-[1-9](?!\d))",
            unsupported=_CLAUDE_SAMPLING,
            reasoning_off="never",
            first_token=MINUTES,
        ),
        ModelRule(
            pattern=r"claude-sonnet-(5-[5-9](?!\d)|[6-9]|\d\d)",
            unsupported=_CLAUDE_SAMPLING,
            reasoning_off="between_tools",
            first_token=MINUTES,
        ),
        # Opus 5, Sonnet 5 and Haiku 5.5 reason by default, and so do later models of Haiku.
        ModelRule(
            pattern=r"claude-((opus|sonnet)-5(?!-[5-9](?!\d))|haiku-([5-9]|\d\d))",
            unsupported=_CLAUDE_SAMPLING,
            first_token=MINUTES,
        ),
        # Opus 5.5, Fable and Mythos 5.1, and every later model: they always reason, and choose their tools themselves.
        ModelRule(
            pattern=r"claude-",
            unsupported=_CLAUDE_SAMPLING | {"tool_choice"},
            reasoning_off="never",
            first_token=MINUTES,
        ),
    ),
    context_windows=((r"claude-", 1_000_000),),
    # It counts output tokens as it produces them. Source: platform.claude.com/docs/en/api/rate-limits.
    counts_max_tokens=False,
)


def _on_bedrock(rule: ModelRule) -> ModelRule:
    """A rule of Claude's for its ids on Bedrock: behind its maker and a region, and before a version."""
    pattern = rule.pattern.replace("$", r"(?=-v\d|$)")
    return attrs.evolve(rule, pattern=rf".*\banthropic\.(?:{pattern})")


BEDROCK = ProviderSpec(
    name="bedrock",
    title="Amazon Bedrock",
    dialect="bedrock",
    base_url="",  # of the user's region
    key_env=("AWS_BEARER_TOKEN_BEDROCK", "BEDROCK_API_KEY"),
    base_url_env=("BEDROCK_ENDPOINT", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
    option_env={"region": ("AWS_REGION", "AWS_DEFAULT_REGION")},
    schemas=ANTHROPIC_SCHEMAS,
    capabilities=ALL_CHAT | SEES | HEARS | READS | COUNTS,
    openai_compat=OpenAICompat(unsupported=PENALTIES | {"seed", "logprobs"}),
    error_codes=codes(
        (ServerError, "modelerrorexception modelstreamerrorexception modeltimeoutexception internalserverexception"),
    ),
    # Sources: the guides of Amazon Nova 2 and of OpenAI's models on Bedrock; requests that the latter took.
    models=(
        *(_on_bedrock(rule) for rule in ANTHROPIC.models),
        ModelRule(
            pattern=r".*\bamazon\.nova-2", reasoning_mode="reasoningConfig", reasoning_efforts=("low", "medium", "high")
        ),
        ModelRule(
            pattern=r".*\b(openai\.gpt-oss|moonshot(ai)?\.kimi)",
            reasoning_mode="reasoning_effort",
            reasoning_off="never",
            reasoning_efforts=("low", "medium", "high"),
        ),
        ModelRule(
            pattern=r".*\bopenai\.",
            reasoning_mode="reasoning",
            reasoning_efforts=("low", "medium", "high", "xhigh", "max"),
            first_token=MINUTES,
        ),
        ModelRule(pattern=r"", unsupported=frozenset({"reasoning_effort"})),
    ),
    context_windows=((r".*\banthropic\.claude-", 1_000_000),),
    # It reserves `maxTokens` until the end. Source: docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.
    counts_max_tokens=True,
)
