"""The providers and routes of a router, and which of them a request can use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from contextlib import AbstractContextManager
from typing import Any, Literal

import attrs

from turnout._utils.names import NameTable, did_you_mean, matches, nearest, vendor_of
from turnout.errors import (
    CapabilityUnsupported,
    MissingCredentials,
    ProviderNotRegistered,
    ProviderUnavailable,
    RoutingError,
)
from turnout.providers.catalog.checks import checked_name
from turnout.providers.keys import KeyedProvider
from turnout.providers.protocol import ModelProfile, Provider
from turnout.providers.unconfigured import UnconfiguredProvider
from turnout.routing.policy.routes import Choice, Route
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.scheduler import Scheduler
from turnout.types.models import ROUTE, Capability, ModelConfig, ProviderStatus, as_model

__all__ = ["Registered", "Registry", "no_candidate"]

_MEMBERS = ("capabilities", "missing_env", "embedding_batch", "facts", "chat", "stream", "embed", "models")


@attrs.frozen
class Registered:
    """A provider of the router. A disabled one stays known, but takes no calls.

    Attributes:
        provider: The provider.
        enabled: Whether it takes calls.
        disabled_because: Why it takes none.
    """

    provider: Provider
    enabled: bool
    disabled_because: str = "disabled in the settings"

    def status(self, refusal: str = "") -> ProviderStatus:
        """Return the status for a person or a dashboard.

        Args:
            refusal: Why the provider refuses this key now; "" if it is not known to.
        """
        provider = self.provider
        if not self.enabled:
            status: Literal["available", "not-configured", "disabled", "refused"] = "disabled"
            reason = self.disabled_because
        elif provider.missing_env:
            status, reason = "not-configured", f"set {' and '.join(provider.missing_env)}"
        else:
            status, reason = ("refused", refusal) if refusal else ("available", "")
        return ProviderStatus(
            provider.name, status, capabilities=provider.capabilities, missing_env=provider.missing_env, reason=reason
        )

    def refusal(self, model: ModelConfig, needs: frozenset[Capability]) -> tuple[RoutingError | None, str]:
        """Return the error if this provider cannot serve the model, and the reason in short; (None, "") if it can."""
        provider = self.provider
        if not self.enabled:
            return ProviderUnavailable(f"{model}: the provider is disabled: {self.disabled_because}"), "disabled"
        if provider.missing_env:
            names = " and ".join(provider.missing_env)
            return (
                MissingCredentials(
                    f"{model}: not configured; {_how_to_configure(provider, names)}", missing_env=provider.missing_env
                ),
                f"not configured, {names} is missing",
            )
        if not needs <= provider.capabilities:
            names = ", ".join(sorted(needs - provider.capabilities))
            return CapabilityUnsupported(f"{model}: this provider does not offer {names}"), f"does not offer {names}"
        return None, ""


def _how_to_configure(provider: Provider, names: str) -> str:
    if isinstance(provider, UnconfiguredProvider):  # it was looked for in all these places
        return f"set {names} in the environment, in .env or in the settings"
    return (
        f"create() reads no variables: write create({provider.name!r}, api_key=…), with base_url=… if it has none, "
        f"or Router.from_env(), which reads {names}"
    )


@attrs.define(eq=False)
class Registry:
    """The providers, the routes and the aliases of one router."""

    _lock: AbstractContextManager[Any]
    _scheduler: Scheduler
    _providers: dict[str, Registered] = attrs.field(factory=dict, init=False)
    _keyed: dict[str, Registered] = attrs.field(factory=dict, init=False)  # with several keys
    _accounts: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)  # the names of those keys
    _routes: NameTable[Route] = attrs.field(factory=NameTable, init=False)
    _aliases: dict[str, ModelConfig] = attrs.field(factory=dict, init=False)
    _turns: dict[str, int] = attrs.field(factory=dict, init=False)

    # -- changes ----------------------------------------------------------------------------------------------------

    def register(self, provider: Provider, *, enabled: bool, replace: bool, reason: str = "") -> None:
        """Add a provider under its name. One that replaces another keeps the state of its candidates."""
        if isinstance(provider, Route):
            raise TypeError(f"{provider.name!r} is a route: write router.add_route(…)")
        if not isinstance(getattr(provider, "name", None), str):
            raise TypeError(
                f"a router takes providers, not {type(provider).__name__}: write "
                "turnout.providers.create('openai', api_key='…'), or Router.from_env() for those of the catalog"
            )
        for member in _MEMBERS:
            if not hasattr(type(provider), member) and not hasattr(provider, member):
                raise TypeError(
                    f"{type(provider).__name__} is not a provider: it has no {member}; see "
                    "turnout.providers.protocol.Provider"
                )
        name = provider.name
        checked_name(name, "the name of a provider")
        made = [provider] if not isinstance(provider, KeyedProvider) else list(provider.accounts)
        registered = [Registered(one, enabled, reason) if reason else Registered(one, enabled) for one in made]
        with self._lock:
            known = name in self._providers or name in self._keyed
            if known and not replace:
                raise ValueError(
                    f"a provider named {name!r} is registered already; "
                    "give the new one another name, or register it with replace=True"
                )
            before = self._names_of(name) if known else ()
            self._providers.update({one.provider.name: one for one in registered})
            if isinstance(provider, KeyedProvider):
                self._keyed[name] = attrs.evolve(registered[0], provider=provider)
                self._accounts[name] = tuple(one.name for one in made)
            else:
                self._keyed.pop(name, None)
                self._accounts.pop(name, None)
            gone = [old for old in before if old not in self._names_of(name)]
            for old in gone:
                self._providers.pop(old, None)
        for old in gone:
            self._scheduler.evict_provider(old)
        if known:
            for new in made:
                self._scheduler.update_profiles(new)

    def unregister(self, name: str) -> None:
        """Remove a provider. Its attempts in flight continue to their end.

        Raises:
            TypeError: If it is not a name.
            ValueError: If there is no such provider.
        """
        if not isinstance(name, str):
            raise TypeError(f"unregister takes the name of a provider, such as 'openai', not {type(name).__name__}")
        with self._lock:
            names = self._names_of(name)
            if not names:
                raise ValueError(f"no provider named {name!r} is registered{did_you_mean(name, self.provider_names())}")
            for one in names:
                self._providers.pop(one, None)
            self._keyed.pop(name, None)
            self._accounts.pop(name, None)
        for one in names:
            self._scheduler.evict_provider(one)

    def add_route(self, route: Route, *, replace: bool) -> None:
        """Add a route under its name."""
        if not isinstance(route, Route):
            raise TypeError(
                f"a router takes a Route, not {type(route).__name__}: write Route('fast', ['openai/gpt-4o-mini', …])"
            )
        with self._lock:
            if route.name in self._routes and not replace:
                raise ValueError(f"a route named {route.name!r} is there already; add it with replace=True")
            self._routes = NameTable({**self._routes, route.name: route})

    def remove_route(self, name: str) -> None:
        """Remove a route. Calls that have started continue.

        Raises:
            ValueError: If there is no such route.
        """
        with self._lock:
            if name not in self._routes:
                raise ValueError(f"there is no route named {name!r}{did_you_mean(name, self._routes)}")
            self._routes = NameTable({key: route for key, route in self._routes.items() if key != name})

    def add_alias(self, name: str, model: ModelConfig | str, *, replace: bool) -> None:
        """Add another name for a model or a route: `provider/model`, or a name alone for `route/name`.

        Raises:
            ValueError: If the name is taken, or names itself.
        """
        key = name if "/" in name else f"{ROUTE}/{name}"
        target = as_model(model if not isinstance(model, str) or "/" in model else f"{ROUTE}/{model}")
        with self._lock:
            if not replace and (key in self._aliases or key.removeprefix(f"{ROUTE}/") in self._routes):
                raise ValueError(f"the name {name!r} is taken; add the alias with replace=True")
            aliases = {**self._aliases, key: target}
            seen = {key}
            while (following := aliases.get(str(target))) is not None:
                if str(target) in seen:
                    raise ValueError(f"the alias {name!r} names itself")
                seen.add(str(target))
                target = following
            self._aliases = aliases

    def clear_aliases(self) -> None:
        """Remove all aliases."""
        self._aliases = {}

    # -- questions --------------------------------------------------------------------------------------------------

    def registered(self) -> list[Registered]:
        """Return all providers in the order of their registration; one with several keys once for each."""
        return list(self._providers.values())

    def provider_named(self, name: str) -> Provider | None:
        """Return the provider, or the key of a provider, with this name; None if there is none."""
        registered = self._providers.get(name)
        return registered.provider if registered is not None else None

    def provider_names(self) -> list[str]:
        """Return the names of all providers, and of their keys."""
        return [*dict.fromkeys((*self._keyed, *self._providers))]

    def routes(self) -> list[Route]:
        """Return all routes."""
        return list(self._routes.values())

    def route_names(self) -> list[str]:
        """Return the names of all routes."""
        return list(self._routes)

    def alias_names(self) -> list[str]:
        """Return the names of all aliases as requests write them, such as `route/fast`."""
        return list(self._aliases)

    def models_of_routes(self) -> list[ModelConfig]:
        """Return the models that routes and aliases name."""
        return [*(choice.model for route in self._routes.values() for choice in route.choices), *self._aliases.values()]

    def _names_of(self, name: str) -> tuple[str, ...]:
        """Return the names under which a provider is registered: its own, or those of its keys."""
        return self._accounts.get(name) or ((name,) if name in self._providers else ())

    def accounts(self, provider: str) -> tuple[str, ...]:
        """Return the names of the keys of a provider; () if it has one key."""
        return self._accounts.get(provider, ())

    def is_plain(self, providers: Set[str]) -> bool:
        """True if the models of these providers have one key each, and are no routes: there is nothing to replace."""
        return not self._aliases and not self._accounts and ROUTE not in providers

    def resolve(self, model: ModelConfig) -> ModelConfig:
        """Return the model or the route of an alias. The settings of `model` replace those of the alias."""
        aliases = self._aliases
        while aliases and (target := aliases.get(str(model))) is not None:
            model = model.over(target)
        return model

    def choices_of(self, route: Route, name: str) -> list[Choice]:
        """Return the choices of a route for a name: a route such as `gpt-*` may have choices such as `azure/gpt-*`."""
        captured = route.captured(name)
        return [self._named(choice, captured) for choice in route.choices]

    def _named(self, choice: Choice, captured: str | None) -> Choice:
        model = self.resolve(choice.model)
        if captured is not None and "*" in model.model_id:
            model = attrs.evolve(model, model_id=model.model_id.replace("*", captured))
        return choice if model is choice.model else attrs.evolve(choice, model=model)

    def models_named(self, model: ModelConfig) -> list[ModelConfig]:
        """Return the models of a name in their fixed order: itself, or the choices of a route. Keys are not named.

        It is empty if there is no such route, or no such provider.
        """
        model = self.resolve(model)
        if model.is_route:
            route = self.route(model.model_id)
            return [] if route is None else [model.over(one.model) for one in self.choices_of(route, model.model_id)]
        return [model] if model.provider in self._providers or model.provider in self._keyed else []

    def model_without(self, models: Iterable[ModelConfig], scopes: frozenset[str]) -> ModelConfig | None:
        """Return the first model of these names whose provider receives no fields of these scopes; None if all do."""
        for model in (one for named in models for one in self.models_named(named)):
            registered = self._providers.get(model.provider) or self._keyed.get(model.provider)
            if registered is None:
                continue  # its attempt fails with a better message
            provider = registered.provider
            first = provider.accounts[0] if isinstance(provider, KeyedProvider) else provider
            if scopes.isdisjoint(getattr(first, "scopes", ())):
                return model
        return None

    def models_of(self, model: ModelConfig) -> list[ModelConfig]:
        """Return the same, each with every key of its provider. A name that is not known is returned as it is."""
        models = self.models_named(model) or [self.resolve(model)]
        names = ((one, name) for one in models for name in self.accounts(one.provider) or (one.provider,))
        return [attrs.evolve(one, provider=name) for one, name in names]

    def route(self, name: str) -> Route | None:
        """Return the route with this name, or one with `*` in its name that matches."""
        return self._routes.find(name)

    def take_turn(self, name: str, takes_turn: bool) -> int:
        """Return how many calls a route or a provider has had, and count one more if `takes_turn`."""
        with self._lock:
            turn = self._turns.get(name, 0)
            self._turns[name] = turn + takes_turn
        return turn

    def find(self, model: ModelConfig) -> Registered:
        """Return the provider of a model.

        Raises:
            ProviderNotRegistered: If the router does not have it.
        """
        registered = self._providers.get(model.provider) or self._keyed.get(model.provider)
        if registered is None:
            if model.is_route:
                raise ProviderNotRegistered(
                    f"{model}: this router has no route named {model.model_id!r} (it has: {_listed(self._routes)})"
                )
            raise ProviderNotRegistered(self._unknown_provider(model))
        return registered

    def _unknown_provider(self, model: ModelConfig) -> str:
        text = f"{model}: no provider named {model.provider!r} is registered with this router"
        known = self.provider_names()
        if not known:
            advice = "write Router.from_env(), or Router([turnout.providers.create('openai', …)])"
            return f"{text}, which has none: {advice}"
        near = nearest(model.provider, known, 3)
        meant = f"; did you mean {near[0]}/{model.model_id}?" if near else ""
        return f"{text} (it has: {_listed(known, near)}){meant}"

    def pattern_error(self, models: Sequence[ModelConfig]) -> ProviderNotRegistered | None:
        """Return the error if one of these is a pattern such as `openai/*`, with the models that it may mean."""
        model = next((model for model in models if "*" in model.model_id), None)
        if model is None:
            return None
        named = [str(one) for one in self.models_of_routes()]
        # A model that never answered may be one that does not exist.
        answered = [name for name, state in self._scheduler.states().items() if state.has_answered]
        known = dict.fromkeys(vendor_of(name) for name in (*answered, *named) if "*" not in name)
        found = [name for name in known if matches(str(model), name)][:5]
        meant = f", such as {' or '.join(found)}" if found else ", such as openai/gpt-4o-mini"
        return ProviderNotRegistered(
            f"{model}: a request names one model{meant}; names with '*' are for routes, limits and prices"
        )

    def knows_all(self, wanted: Set[str]) -> bool:
        """True if each of these providers is registered."""
        return self._providers.keys() >= wanted or self._providers.keys() | self._keyed.keys() >= wanted

    def state_of(self, provider: Provider | None, model: ModelConfig) -> CandidateState:
        """Return the state that all calls share about a model."""
        key = str(model)
        state = self._scheduler.known(key)
        if state is None:
            profile = provider.facts(model.model_id) if provider is not None else ModelProfile()
            state = self._scheduler.state_of(model.provider, key, profile)
        return state

    def state_of_model(self, model: ModelConfig) -> CandidateState:
        """Return the same for a model; its provider may be unknown."""
        registered = self._providers.get(model.provider)
        return self.state_of(registered.provider if registered is not None else None, model)


# A message lists so many names at most.
MOST_NAMES = 10


def _listed(names: Iterable[str], first: Iterable[str] = ()) -> str:
    known = list(dict.fromkeys((*first, *sorted(names))))
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return (", ".join(known[:MOST_NAMES]) or "none") + more


def no_candidate(refusals: list[RoutingError]) -> RoutingError:
    """Return the error of a call without a usable candidate: of several, the one that the user can correct."""
    if len(refusals) == 1:
        return refusals[0]
    messages = "; ".join(str(refusal) for refusal in refusals[:MOST_NAMES])
    if len(refusals) > MOST_NAMES:
        messages += f"; and {len(refusals) - MOST_NAMES} more"
    missing = tuple(
        dict.fromkeys(
            name for refusal in refusals if isinstance(refusal, MissingCredentials) for name in refusal.missing_env
        )
    )
    if missing:
        return MissingCredentials(f"no candidate is usable: {messages}", missing_env=missing)
    kinds = {type(refusal) for refusal in refusals}
    kind = kinds.pop() if len(kinds) == 1 else ProviderUnavailable
    return kind(f"no candidate is usable: {messages}")
