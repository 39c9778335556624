"""The settings of a model that its request can have. One that it does not take is an error, or is left out."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import CapabilityUnsupported
from turnout.providers.catalog.checks import SETTINGS
from turnout.providers.catalog.spec import ProviderAccount

__all__ = ["supported_params", "supported_request"]

# Values that change nothing about the sampling: a model that does not take the setting does as they ask.
_NEUTRAL: Mapping[str, float] = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}

_settings_of = operator.attrgetter(*SETTINGS)


def supported_params(
    model: ModelConfig,
    account: ProviderAccount,
    also_unsupported: Mapping[str, str] = MappingProxyType({}),
    ruled_out: Collection[str] = (),
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the given settings that the model takes, and the names of those that it does not take.

    Args:
        model: The model and the settings.
        account: The account. Its entry in the catalog has the settings that its models take.
        also_unsupported: Settings that this request cannot have, each with the reason, or "" if it needs none.
        ruled_out: Settings that the turns before rule out. The caller did not choose wrongly, so they are always left
            out.

    Raises:
        CapabilityUnsupported: A setting with an effect is not taken for another reason, and the account does not drop
            those.
    """
    given = {name: value for name, value in zip(SETTINGS, _settings_of(model), strict=True) if value not in (None, ())}
    if not given:
        return given, ()
    rule = account.spec.rule(model.model_id)
    refused = {*ruled_out, *account.spec.openai_compat.unsupported, *also_unsupported}
    if rule is not None:
        # An effort that is not taken makes no model think.
        taken = "reasoning_effort" not in refused | rule.unsupported
        refused |= rule.unsupported_at(model.reasoning_effort if taken else None)
    dropped = tuple(name for name in given if name in refused)
    wrong = [name for name in dropped if name not in ruled_out and given[name] != _NEUTRAL.get(name)]
    if wrong and account.unsupported == "raise":
        told = ", ".join(f"{name} ({why})" if (why := also_unsupported.get(name)) else name for name in wrong)
        raise CapabilityUnsupported(
            f"{model}: does not take {told}; leave it out, or make the provider with unsupported='drop'"
        )
    return {name: value for name, value in given.items() if name not in refused}, dropped


def supported_request(request: ChatRequest, account: ProviderAccount) -> tuple[ChatRequest, tuple[str, ...]]:
    """Return the request without the settings that its model does not take, and the names of those.

    Raises:
        CapabilityUnsupported: If there is one, and the account does not drop those.
    """
    _, dropped = supported_params(request.model, account)
    if not dropped:
        return request, ()
    absent: dict[str, Any] = {name: () if name == "stop" else None for name in dropped}
    return attrs.evolve(request, model=attrs.evolve(request.model, **absent)), dropped
