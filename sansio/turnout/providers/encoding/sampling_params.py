"""Which of a model's settings go into its request: what it is known to refuse is an error, or is left out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from turnout.chat import ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.providers.catalog.spec import ProviderAccount

__all__ = ["supported_params"]

_SETTINGS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "stop",
    "logprobs",
    "reasoning_effort",
)


def supported_params(
    model: ModelConfig, account: ProviderAccount, also_refused: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings that are given and taken, and the names of those given and not taken.

    also_refused  names that the dialect refuses in this request, each with the reason, or "" where none is needed

    Raises CapabilityUnsupported where one is not taken and the account does not drop those.
    """
    rule = account.spec.rule(model.model_id)
    refused = {*account.spec.openai_compat.unsupported, *also_refused}
    if rule is not None:
        # An effort that is not taken makes no model think.
        taken = "reasoning_effort" not in refused | rule.unsupported
        refused |= rule.unsupported_at(model.reasoning_effort if taken else None)
    given = {name: value for name in _SETTINGS if (value := getattr(model, name)) not in (None, ())}
    dropped = tuple(name for name in given if name in refused)
    if dropped and account.unsupported == "raise":
        told = ", ".join(f"{name} ({why})" if (why := also_refused.get(name)) else name for name in dropped)
        raise CapabilityUnsupported(
            f"{model}: does not take {told}; leave it out, or make the provider with unsupported='drop'"
        )
    return {name: value for name, value in given.items() if name not in refused}, dropped
