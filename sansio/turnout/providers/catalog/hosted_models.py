"""Models that many hosts and gateways serve, under other names: the facts that hold wherever a model runs.

A host may put the maker before a model's name (`moonshotai/Kimi-K3`), a path (`accounts/fireworks/models/kimi-k3`), or
write `p` for the dot of a version. So the patterns match behind any of that, in upper and lower case.

The facts are how long a model may think before its first token, and the efforts of gpt-oss. The settings that a host
refuses are its own, and belong to its entry.
"""

from __future__ import annotations

from turnout.providers.catalog.parts import MINUTES
from turnout.providers.catalog.spec import ModelRule, ReasoningReplay

__all__ = ["GATEWAY_MODELS", "KIMI_REPLAY", "OPEN_MODELS", "somewhere"]


def somewhere(pattern: str) -> str:
    """Return the pattern for a model's name behind a maker or a path."""
    return rf"(?i:(?:.*[/.])?(?:{pattern}))"


# Kimi refuses the result of a tool if the message with the call lacks its reasoning, wherever it runs. Sources: the
# guide of Moonshot ("Use Kimi K2 Thinking Model"), and the errors of servers that run it.
KIMI_REPLAY: tuple[tuple[str, ReasoningReplay], ...] = (
    (
        somewhere(r"kimi-(?:k2-thinking|k2[.p-]?[5-9]|k[3-9]|k\d\d|thinking|latest|for-coding)"),
        "reasoning_content_of_calls",
    ),
)
# The names of those that do not reason, although their family does.
_INSTRUCT = r"(?!.*(?:instruct|non-?thinking|non-?reasoning))"

OPEN_MODELS = (
    ModelRule(
        pattern=somewhere(r"gpt-oss"),
        reasoning_off="never",
        reasoning_efforts=("low", "medium", "high"),
        first_token=MINUTES,
    ),
    ModelRule(
        pattern=somewhere(
            _INSTRUCT
            + r"(?:"
            + "|".join(
                (
                    r"deepseek-(?:r\d|reasoner|v[4-9]|v3[.p][12]|flash|pro)",
                    r"kimi-(?:k2-thinking|k2[.p][5-9]|k[3-9])",
                    r"qwq|qwen-?(?:3|[4-9])|qwen3[.p]\d",
                    r"glm-(?:4[.p][5-9]|[5-9])|zai-glm",
                    r"minimax-m\d",
                    r"magistral|mistral-(?:small-(?:4|2603)|medium-(?:3[.-]5|[4-9])|large-[4-9])",
                    r"command-a-(?:reasoning|plus)",
                    r"(?:.*-)?nemotron-(?:3|[4-9])",
                    r"gemma-(?:[4-9])",
                    r"grok-[3-9]",
                    r"phi-4.*reasoning|.*-thinking|.*reasoning",
                )
            )
            + r")"
        ),
        first_token=MINUTES,
    ),
)

# Gateways sell the models of all makers as maker/model, and write a version with dots.
GATEWAY_MODELS = (
    ModelRule(
        pattern=r"(?:.*/)?(?:"
        r"(?:gpt-)?chat-latest|o\d|gpt-5(?!(?:\.\d)?-chat)|gpt-(?:[6-9]|\d\d)"
        r"|claude-opus-4[.-][7-9]|claude-(?:fable|mythos)|claude-(?:opus|sonnet|haiku)-(?:[5-9]|\d\d)"
        r"|gemini-(?:2\.5|[3-9]|\d\d|.*-latest)(?!.*image)"
        r")",
        first_token=MINUTES,
    ),
    *OPEN_MODELS,
)
