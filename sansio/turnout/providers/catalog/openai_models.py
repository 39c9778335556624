"""OpenAI's models: their settings, their efforts, and the API that each takes tools on.

A model that is newer than this file gets the newest rule of its line (Luna, Terra), or of the whole family: the
patterns are open to higher versions, and the last rule takes every later generation.

Sources: OpenAI's model pages, its guide "Using GPT-6", its deployment checklist, and the errors that the API returns.
Chat completions take no model's effort `max`; Responses does.
"""

from __future__ import annotations

from turnout.providers.catalog.parts import MINUTES, SAMPLING
from turnout.providers.catalog.spec import ModelRule

__all__ = ["OPENAI_CONTEXT_WINDOWS", "OPENAI_MODELS"]

_SAMPLING_AND_STOP = SAMPLING | {"stop"}
_TO_HIGH = ("low", "medium", "high")
_TO_XHIGH = (*_TO_HIGH, "xhigh")
_TO_MAX = (*_TO_XHIGH, "max")
# Models of these kinds may think for many minutes before their first token.
_RESEARCH = 600.0

OPENAI_MODELS = (
    # They do not reason. They refuse an effort, and `include` of their reasoning.
    ModelRule(pattern=r"(ft:)?(chat)?gpt-(3\.5|4|5-chat|audio|realtime)", unsupported=frozenset({"reasoning_effort"})),
    # Responses alone has these. They always reason.
    ModelRule(
        pattern=r"o\d-pro|o\d(-mini)?-deep-research|computer-use|codex-mini",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        reasoning_efforts=_TO_HIGH,
        first_token=_RESEARCH,
        needs_responses="always",
    ),
    ModelRule(
        pattern=r"gpt-5-pro",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        reasoning_efforts=("high",),
        first_token=_RESEARCH,
        needs_responses="always",
    ),
    ModelRule(
        pattern=r"gpt-\d+(\.\d+)?-pro",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        reasoning_efforts=("medium", "high", "xhigh"),
        first_token=_RESEARCH,
        needs_responses="always",
    ),
    ModelRule(
        pattern=r"gpt-5(\.1)?-codex",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        first_token=MINUTES,
        needs_responses="always",
    ),
    ModelRule(
        pattern=r"gpt-5\.\d+-codex",
        unsupported_when_reasoning=SAMPLING,
        reasoning_efforts=_TO_XHIGH,
        first_token=MINUTES,
        needs_responses="always",
    ),
    # They always reason, and the first token may be minutes away.
    ModelRule(
        pattern=r"o3(?!-mini)|o4-mini",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        reasoning_efforts=_TO_HIGH,
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=r"o\d",
        unsupported=SAMPLING,
        reasoning_off="never",
        reasoning_efforts=_TO_HIGH,
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=r"gpt-5\.\d-chat|(gpt-)?chat-latest",
        unsupported=SAMPLING,
        reasoning_off="never",
        reasoning_efforts=("medium",),
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=r"gpt-5(-(mini|nano|search)|-\d{4}|$)",
        unsupported=SAMPLING,
        reasoning_off="never",
        reasoning_efforts=("minimal", *_TO_HIGH),
        first_token=MINUTES,
    ),
    # They reason on request.
    ModelRule(
        pattern=r"gpt-5\.1",
        unsupported_when_reasoning=SAMPLING,
        reasoning_efforts=_TO_HIGH,
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=r"gpt-5\.[23]",
        unsupported_when_reasoning=SAMPLING,
        reasoning_efforts=_TO_XHIGH,
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=r"gpt-5\.4",
        unsupported_when_reasoning=SAMPLING,
        reasoning_efforts=_TO_XHIGH,
        first_token=MINUTES,
        needs_responses="tools_with_effort",
    ),
    # They reason by default.
    ModelRule(
        pattern=r"gpt-5\.5",
        unsupported_when_reasoning=SAMPLING,
        reasons_by_default=True,
        reasoning_efforts=_TO_XHIGH,
        first_token=MINUTES,
        needs_responses="tools_with_effort",
    ),
    # The name without a variant stays with chat completions as long as no effort is set. For tools it must then be
    # requested not to reason: the API refuses them otherwise.
    ModelRule(
        pattern=r"gpt-5\.6(-\d{4}|$)",
        unsupported_when_reasoning=SAMPLING,
        reasons_by_default=True,
        reasoning_efforts=_TO_MAX,
        responses_efforts=("max",),
        first_token=MINUTES,
        needs_responses="tools_with_effort",
        chat_tools_effort="none",
    ),
    ModelRule(
        pattern=r"gpt-5\.[6-9]|gpt-6-sol|gpt-\d+(\.\d+)?-(luna|terra)",
        unsupported_when_reasoning=SAMPLING,
        reasons_by_default=True,
        reasoning_efforts=_TO_MAX,
        responses_efforts=("max",),
        first_token=MINUTES,
        needs_responses="tools_when_reasoning",
    ),
    # Astra, Sol from 6.1 on, and every later model: they always reason, and take tools by Responses alone.
    ModelRule(
        pattern=r"gpt-([6-9]|\d\d)|o\d\d",
        unsupported=_SAMPLING_AND_STOP,
        reasoning_off="never",
        reasoning_efforts=_TO_MAX,
        responses_efforts=("max",),
        first_token=MINUTES,
        needs_responses="tools",
    ),
)

OPENAI_CONTEXT_WINDOWS = (
    (r"(ft:)?gpt-3\.5", 16_385),
    (r"(ft:)?gpt-4\.1", 1_047_576),
    (r"(ft:)?(chat)?gpt-(4o|4-turbo|4-0125|4-1106)|gpt-audio|o1-(mini|preview)|gpt-5(\.\d)?-chat", 128_000),
    (r"gpt-4-32k", 32_768),
    (r"gpt-4(-\d{4}|$)", 8_192),
    (r"o\d|codex-mini", 200_000),
    (r"gpt-5\.4-(mini|nano)|gpt-5(\.[1-3])?(-|$)", 400_000),
    (r"gpt-5\.4|gpt-5\.[6-9]|gpt-[6-9]|gpt-\d\d", 1_050_000),
    (r"gpt-5\.5", 1_000_000),
)
