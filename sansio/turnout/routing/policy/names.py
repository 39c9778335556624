"""Checks that the names in a policy match something, so that a misspelled limit is an error and not without effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from turnout._utils.names import did_you_mean, matches
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy

__all__ = ["check_names", "check_route"]


def check_names(policy: Policy, providers: Collection[str], catalog: Collection[str] = ()) -> None:
    """Check the names of providers in the tables of a policy.

    Args:
        policy: The policy of a router.
        providers: The names of its providers, and of their keys.
        catalog: The names of all providers that the library knows.

    Raises:
        ValueError: If a name matches none of the providers.
    """
    for name in policy.limits:
        if not _is_known(name.partition("/")[0], providers):
            raise _unknown("limits", name, providers)
    for budget in policy.budgets:
        for name in budget.only if budget.by in ("provider", "model") else ():
            if name.partition("/")[0] not in providers:
                raise _unknown("budgets", name, providers)
    for key in policy.rules:
        provider, colon, _ = key.rpartition(":")
        if colon and provider not in providers:
            raise _unknown("rules", key, providers)
    for field, table in (("prices", policy.prices), ("context_windows", policy.context_windows)):
        _check_models(field, table, providers, catalog)


def check_route(route: Route, providers: Collection[str], aliases: Collection[str]) -> None:
    """Check the providers of a route. One that is registered later is no error, unless it looks like a known one.

    Args:
        route: The route.
        providers: The names of the router's providers, and of their keys.
        aliases: Its other names for models.

    Raises:
        ValueError: If a provider is misspelled.
    """
    for choice in route.choices:
        provider = choice.model.provider
        if provider not in providers and str(choice.model) not in aliases and _is_close(provider, providers):
            raise ValueError(
                f"route {route.name!r}: {str(choice.model)!r} matches no provider of this router"
                f"{did_you_mean(provider, providers)} (a provider is registered before its routes)"
            )


def _check_models(
    field: str, table: Mapping[str, object], providers: Collection[str], catalog: Collection[str]
) -> None:
    # A list of prices of another class may have names without end.
    for name in table if isinstance(table, dict) else ():
        provider, slash, _ = name.partition("/")
        if not slash:
            if name in providers:
                raise ValueError(f"Policy.{field}: {name!r} is a provider; write {name}/* for all of its models")
        elif not _is_known(provider, providers) and (provider in catalog or _is_close(provider, providers)):
            # The id of a model may have a slash too, as in meta-llama/llama-4-scout.
            raise _unknown(field, name, providers)


def _is_known(provider: str, providers: Iterable[str]) -> bool:
    return any(matches(provider, name) if "*" in provider else provider == name for name in providers)


def _is_close(provider: str, providers: Iterable[str]) -> bool:
    import difflib

    return bool(difflib.get_close_matches(provider, list(providers), 1, 0.8))


def _unknown(field: str, name: str, providers: Iterable[str]) -> ValueError:
    provider = name.partition("/")[0].partition(":")[0]
    return ValueError(f"Policy.{field}: {name!r} matches no provider of this router{did_you_mean(provider, providers)}")
