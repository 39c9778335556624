"""The providers and routes of a router, and which of them a request can use."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import attrs

from turnout.chat import ROUTE, Capability, ModelConfig, ProviderStatus
from turnout.errors import (
    CapabilityUnsupported,
    MissingCredentials,
    ProviderNotRegistered,
    ProviderUnavailable,
    RoutingError,
)
from turnout.prices import by_model
from turnout.providers.protocol import ModelProfile, Provider
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import Policy
from turnout.routing.policy.strategies import order_choices
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.scheduler import Scheduler
from turnout.trace.entries import RouteOrdered

__all__ = ["Registered", "Registry", "no_candidate"]


_provider_of = operator.attrgetter("provider")


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

    def status(self) -> ProviderStatus:
        """Return the status for a person or a dashboard."""
        provider = self.provider
        if not self.enabled:
            status: Literal["available", "not-configured", "disabled"] = "disabled"
            reason = self.disabled_because
        elif provider.missing_env:
            status, reason = "not-configured", f"set {' and '.join(provider.missing_env)}"
        else:
            status, reason = "available", ""
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
                    f"{model}: not configured; set {names} in the environment, in .env or in the settings",
                    missing_env=provider.missing_env,
                ),
                f"not configured, {names} is missing",
            )
        if not needs <= provider.capabilities:
            names = ", ".join(sorted(needs - provider.capabilities))
            return CapabilityUnsupported(f"{model}: this provider does not offer {names}"), f"does not offer {names}"
        return None, ""


@attrs.define(eq=False)
class Registry:
    """The providers and the routes of one router."""

    _lock: AbstractContextManager[Any]
    _scheduler: Scheduler
    _providers: dict[str, Registered] = attrs.field(factory=dict, init=False)
    _routes: dict[str, Route] = attrs.field(factory=dict, init=False)
    _turns: dict[str, int] = attrs.field(factory=dict, init=False)

    def register(self, provider: Provider, *, enabled: bool, replace: bool, reason: str = "") -> None:
        """Add a provider under its name."""
        if not isinstance(getattr(provider, "name", None), str):
            raise TypeError(f"a router takes providers, as turnout.providers.create makes them, not {provider!r}")
        if provider.name == ROUTE:
            raise ValueError(f"the name {ROUTE!r} is kept for routes; give the provider another")
        with self._lock:
            if provider.name in self._providers and not replace:
                raise ValueError(
                    f"a provider named {provider.name!r} is registered already; "
                    "give the new one another name, or register it with replace=True"
                )
            self._providers[provider.name] = (
                Registered(provider, enabled, reason) if reason else Registered(provider, enabled)
            )
        self._scheduler.evict_provider(provider.name)

    def add_route(self, route: Route, *, replace: bool) -> None:
        """Add a route under its name."""
        if not isinstance(route, Route):
            raise TypeError(f"a router takes a Route, not {route!r}")
        with self._lock:
            if route.name in self._routes and not replace:
                raise ValueError(f"a route named {route.name!r} is there already; add it with replace=True")
            self._routes[route.name] = route

    def registered(self) -> list[Registered]:
        """Return all providers in the order of their registration."""
        return list(self._providers.values())

    def find(self, model: ModelConfig) -> Registered:
        """Return the provider of a model.

        Raises:
            ProviderNotRegistered: If the router does not have it.
        """
        registered = self._providers.get(model.provider)
        if registered is None:
            if model.is_route:
                routes = ", ".join(sorted(self._routes)) or "none"
                raise ProviderNotRegistered(
                    f"{model}: this router has no route named {model.model_id!r} (it has: {routes})"
                )
            known = ", ".join(sorted(self._providers)) or "none"
            raise ProviderNotRegistered(
                f"{model}: no provider named {model.provider!r} is registered with this router (it has: {known})"
            )
        return registered

    def knows_all(self, models: Sequence[ModelConfig]) -> bool:
        """True if the provider of each model is registered."""
        return self._providers.keys() >= set(map(_provider_of, models))

    def state_of(self, provider: Provider | None, model: ModelConfig) -> CandidateState:
        """Return the state that all calls share about a model."""
        key = str(model)
        state = self._scheduler.known(key)
        if state is None:
            profile = provider.facts(model.model_id) if provider is not None else ModelProfile()
            state = self._scheduler.state_of(model.provider, key, profile)
        return state

    def expand(
        self,
        models: tuple[ModelConfig, ...],
        router_policy: Policy,
        seed: int,
        now: float = -math.inf,
        *,
        takes_turn: bool = True,
    ) -> tuple[Sequence[ModelConfig], list[RouteOrdered], Policy | None]:
        """Replace each route by its models, in the order of trying.

        Args:
            models: Models and routes, as a request names them.
            router_policy: For a route without a policy.
            seed: The seed of the strategies that draw.
            now: Monotonic seconds.
            takes_turn: False to look only: it does not advance a round-robin.

        Returns:
            The models, an entry for each route, and the policy of the first model if it is a route.
        """
        if ROUTE not in map(_provider_of, models):
            return models, [], None
        rng = random.Random(seed)
        expanded: list[ModelConfig] = []
        entries: list[RouteOrdered] = []
        policy: Policy | None = None
        for position, model in enumerate(models):
            route = self._routes.get(model.model_id) if model.is_route else None
            if route is None:
                expanded.append(model)
                continue
            if position == 0:
                policy = route.policy
            with self._lock:
                turn = self._turns.get(route.name, 0)
                self._turns[route.name] = turn + takes_turn
            measured = [self._measure(choice, policy or router_policy, now) for choice in route.choices]
            order = order_choices(route.strategy, measured, turn, rng)
            ordered = [model.over(route.choices[index].model) for index in order]
            expanded += ordered
            strategy = route.strategy if isinstance(route.strategy, str) else "custom"
            scores = tuple(_score(strategy, item) for item in measured)
            entries.append(RouteOrdered(0.0, route.name, strategy, tuple(map(str, ordered)), scores))
        return expanded, entries, policy

    def _measure(self, choice: Choice, policy: Policy, now: float) -> Measured:
        registered = self._providers.get(choice.model.provider)
        state = self.state_of(registered.provider if registered is not None else None, choice.model)
        price = by_model(policy.prices, choice.model)
        return Measured(
            choice,
            state.in_flight,
            round(state.latency.load_score(state.in_flight, now), 6),
            state.latency.first_content.value,
            price.at_most(1000, 200) if price is not None else None,
        )


def _score(strategy: str, measured: Measured) -> float | None:
    """Return the value by which a built-in strategy orders a choice."""
    match strategy:
        case "weighted":
            return measured.choice.weight
        case "least-busy":
            return float(measured.in_flight)
        case "lowest-latency":
            return measured.latency
        case "cheapest":
            return measured.price
        case _:
            return None


def no_candidate(refusals: list[RoutingError]) -> RoutingError:
    """Return the error of a call without a usable candidate: of several, the one that the user can correct."""
    if len(refusals) == 1:
        return refusals[0]
    messages = "; ".join(str(refusal) for refusal in refusals)
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
