"""The settings of the caller for one call, besides the request."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from turnout.providers.auth import AccessToken
from turnout.providers.urls import checked_key
from turnout.routing.policy.priority import priority_number
from turnout.routing.policy.settings import Policy

__all__ = ["NO_OPTIONS", "CallOptions"]


def _seconds(instance: object, attribute: attrs.Attribute[float | None], value: object) -> None:
    """Refuse a timeout that is no number or not more than 0."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        timers = "; the timers of one attempt are policy=Policy(timeouts=Timeouts(connect=…, first_token=…))"
        told = "" if isinstance(value, str | bool) else timers
        raise TypeError(f"{attribute.name} must be a number of seconds, not {type(value).__name__}{told}")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{attribute.name} must be a number of seconds, not {value}")
    if value <= 0:
        raise ValueError(f"{attribute.name} must be more than 0 seconds, not {value}")


def _policy(instance: object, attribute: attrs.Attribute[Policy | None], value: object) -> None:
    if value is not None and not isinstance(value, Policy):
        example = f": write Policy({next(iter(value), 'max_retries')}=…)" if isinstance(value, Mapping) else ""
        raise TypeError(f"policy must be a Policy, not {type(value).__name__}{example}")


def _affinity(instance: object, attribute: attrs.Attribute[str | bool | None], value: object) -> None:
    if value is not None and not isinstance(value, str | bool):
        raise TypeError(f"affinity must be a text, or True for the beginning of the conversation, not {value!r}")


def _keys(value: Mapping[str, AccessToken] | None) -> Mapping[str, AccessToken]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"api_keys must be a mapping from providers to keys, not {type(value).__name__}")
    for name, key in value.items():
        if not isinstance(name, str):
            raise TypeError(f"api_keys must have names of providers, not {type(name).__name__}")
        if not (callable(key) or (isinstance(key, str) and key.strip())):
            raise TypeError(f"api_keys[{name!r}] must be a key, or a function that returns one")
    return {name: key if callable(key) else _checked(key, name) for name, key in value.items()}


def _checked(key: str, name: str) -> str:
    try:
        return checked_key(key) or ""
    except ValueError as error:
        raise ValueError(f"api_keys[{name!r}]: {error}") from None


def _cache(instance: object, attribute: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"cache must be True or False for a call, not {value!r}: give the cache itself to the router")


@attrs.frozen(kw_only=True)
class CallOptions:
    """The settings of one call.

    Attributes:
        timeout: Seconds for the whole call; of a stream, until its first content. It replaces that of every policy.
        total_timeout: Seconds for the whole life of a stream.
        policy: The settings in which this call differs from its route and its router.
        affinity: Calls with the same text use the same candidate of a route while it is healthy. True uses the
            beginning of the conversation as this text.
        api_keys: Keys for this call in place of the providers' own, by provider.
        priority: "interactive" (0), "batch" (6) or a number of 0 or more. While calls wait for a limit, 0 is served
            first. A call that has waited for 10 s has made up for one step, so every call is served in time.
        cache: False neither asks the router's cache nor stores the answer in it.
    """

    timeout: float | None = attrs.field(default=None, validator=_seconds)
    total_timeout: float | None = attrs.field(default=None, validator=_seconds)
    policy: Policy | None = attrs.field(default=None, validator=_policy)
    affinity: str | bool | None = attrs.field(default=None, validator=_affinity)
    api_keys: Mapping[str, AccessToken] = attrs.field(
        default=None, converter=_keys, repr=lambda keys: repr(sorted(keys))
    )
    priority: float = attrs.field(default=0.0, converter=priority_number)
    cache: bool = attrs.field(default=True, validator=_cache)


NO_OPTIONS = CallOptions()
