"""Replaces the names in a request by models of providers: aliases, routes, and the keys of a provider."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from turnout.chat import ModelConfig
from turnout.prices import by_model
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import Policy
from turnout.routing.policy.strategies import SPREADING, order_by_affinity, order_choices
from turnout.routing.registry import Registry
from turnout.trace.entries import RouteOrdered

__all__ = ["Expander", "Expansion", "ExpansionContext"]

Layers = tuple[Policy | None, ...]
NO_LAYERS: Layers = ()


@attrs.frozen(kw_only=True)
class ExpansionContext:
    """The values that decide the order of candidates.

    Attributes:
        policy: The router's.
        seed: The seed of the strategies that draw.
        now: Monotonic seconds.
        metadata: The labels of the request.
        affinity: Requests with the same text get the same order; None if there is no text.
        api_keys: The providers for which the call has its own key.
        takes_turn: False if the order is only shown, so that a round-robin does not advance.
    """

    policy: Policy
    seed: int = 0
    now: float = -math.inf
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    affinity: str | None = None
    api_keys: frozenset[str] = frozenset()
    takes_turn: bool = True


@attrs.define
class Expansion:
    """The models that a call may use, first to last.

    Attributes:
        models: The models. Of a provider with several keys, the provider's name is that of the key.
        entries: How each route put its models in order, for the trace.
        route_policy: The policy of the first name, if that is a route.
        layers: For each model, the policies of its choice and of its route; empty if there are none at all.
    """

    models: Sequence[ModelConfig]
    entries: list[RouteOrdered] = attrs.field(factory=list)
    route_policy: Policy | None = None
    layers: list[Layers] = attrs.field(factory=list)

    def layers_of(self, position: int) -> Layers:
        """Return the policies between the call's and the router's for the model at this position."""
        return self.layers[position] if position < len(self.layers) else NO_LAYERS


@attrs.define(eq=False)
class Expander:
    """Expands the names of one request."""

    _registry: Registry
    _context: ExpansionContext
    _rng: random.Random = attrs.field(init=False)
    _models: list[ModelConfig] = attrs.field(factory=list, init=False)
    _layers: list[Layers] = attrs.field(factory=list, init=False)
    _entries: list[RouteOrdered] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._rng = random.Random(self._context.seed)

    def expand(self, models: Sequence[ModelConfig]) -> Expansion:
        """Return the models that these names mean."""
        first: Policy | None = None
        for position, named in enumerate(models):
            model = self._registry.resolve(named)
            route = self._registry.route(model.model_id) if model.is_route else None
            if route is None:
                self._add(model, NO_LAYERS)
            else:
                self._add_route(model, route)
                if position == 0:
                    first = route.policy
        layers = self._layers if any(self._layers) else []
        return Expansion(self._models, self._entries, first, layers)

    def _add_route(self, model: ModelConfig, route: Route) -> None:
        context, policy = self._context, self._context.policy
        policy = route.policy.over(policy) if route.policy is not None else policy
        choices = self._registry.choices_of(route, model.model_id)
        turn = self._registry.take_turn(route.name, context.takes_turn)
        measured = [self._measure(choice, policy) for choice in choices]
        affinity = context.affinity if route.strategy in SPREADING or callable(route.strategy) else None
        order = order_choices(route.strategy, measured, turn, self._rng, affinity)
        ordered = [model.over(choices[index].model) for index in order]
        strategy = route.strategy if isinstance(route.strategy, str) else "custom"
        scores = tuple(_score(strategy, item) for item in measured) if affinity is None else ()
        self._entries.append(
            RouteOrdered(
                0.0, route.name, strategy if affinity is None else "affinity", tuple(map(str, ordered)), scores
            )
        )
        for index, one in zip(order, ordered, strict=True):
            own = choices[index].policy
            self._add(one, (own, route.policy) if own is not None or route.policy is not None else NO_LAYERS)

    def _add(self, model: ModelConfig, layers: Layers) -> None:
        """Add a model; of a provider with several keys, once for each key."""
        accounts = self._registry.accounts(model.provider)
        if not accounts or model.provider in self._context.api_keys:
            self._models.append(model)
            self._layers.append(layers)
            return
        affinity, name = self._context.affinity, str(model)
        if affinity is not None:
            order = order_by_affinity(affinity, accounts, [1.0] * len(accounts))
        else:
            first = self._registry.take_turn(model.provider, self._context.takes_turn) % len(accounts)
            order = [*range(first, len(accounts)), *range(first)]
        ordered = [attrs.evolve(model, provider=accounts[index]) for index in order]
        strategy = "affinity" if affinity is not None else "round-robin"
        self._entries.append(RouteOrdered(0.0, name, strategy, tuple(map(str, ordered))))
        self._models += ordered
        self._layers += [layers] * len(ordered)

    def _measure(self, choice: Choice, policy: Policy) -> Measured:
        model, registry, now = choice.model, self._registry, self._context.now
        accounts = registry.accounts(model.provider)
        keyed = [attrs.evolve(model, provider=account) for account in accounts]
        states = [registry.state_of_model(one) for one in keyed or [model]]
        price = by_model(policy.prices, model)
        quickest = min(states, key=lambda state: state.latency.load_score(state.in_flight, now))
        return Measured(
            choice,
            sum(state.in_flight for state in states),
            round(quickest.latency.load_score(quickest.in_flight, now), 6),
            quickest.latency.first_content.value,
            price.at_most(1000, 200) if price is not None else None,
            self._context.metadata,
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
