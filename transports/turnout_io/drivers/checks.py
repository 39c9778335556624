"""Checks what a router is given, so that the error names the right form."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from turnout.routing.policy.settings import Policy
from turnout.types.models import ROUTE

__all__ = ["check_on_trace", "check_policy", "check_providers", "check_tools", "meant_route"]


def check_on_trace(on_trace: object) -> None:
    """Raise TypeError if a router could not call `on_trace`."""
    if not callable(on_trace):
        raise TypeError(f"on_trace must be a function of a Trace, not {type(on_trace).__name__}")
    if _is_async(on_trace):
        raise TypeError(
            "on_trace must be a function without `async`, because no router awaits it: "
            "put the trace into a queue, and let a task read the queue"
        )


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - an object with an async method


def check_policy(policy: object) -> None:
    """Raise TypeError if this is no `Policy`."""
    if not isinstance(policy, Policy):
        kind = f"the class {policy.__name__}" if isinstance(policy, type) else type(policy).__name__
        raise TypeError(
            f"policy must be a Policy, not {kind}: write Policy(timeout=…), with Policy of turnout.routing, "
            "or Router.from_env(timeout=…)"
        )


def check_tools(tools: object) -> None:
    """Raise TypeError if these are no tools in a list."""
    if tools is None:
        raise TypeError("router.run() needs tools: write router.run(…, tools=[function]), or router.chat(…)")
    if isinstance(tools, str | Mapping) or not isinstance(tools, Iterable):
        raise TypeError(f"tools must be a list of functions, not {type(tools).__name__}: write tools=[function]")


def check_providers(providers: object) -> None:
    """Raise TypeError if these are not providers in a list."""
    if isinstance(providers, str | bytes) or not isinstance(providers, Iterable):
        kind = type(providers).__name__  # a text may be a key
        raise TypeError(
            f"Router takes a list of providers, not {kind}: write Router([turnout.providers.create('openai', …)])"
        )


def meant_route(routes: Iterable[str], given: tuple[Any, ...], settings: dict[str, Any]) -> ValueError | None:
    """Return the error for a model that is the bare name of a route or alias; None if there is no such model.

    Args:
        routes: The names of routes, and the aliases, which begin with `route/` if they are of no provider.
        given: The arguments of the call.
        settings: Its keywords.
    """
    fallbacks = settings.get("fallbacks")
    more = [fallbacks] if isinstance(fallbacks, str) else fallbacks if isinstance(fallbacks, list | tuple) else []
    known = {route.removeprefix(f"{ROUTE}/") for route in routes}
    for name in (settings.get("model"), *given[:1], *more):
        if isinstance(name, str) and name in known:
            return ValueError(
                f"a model is written provider/model, and a route or alias route/name: did you mean 'route/{name}'?"
            )
    return None
