"""What the calls of one router share: its providers, its routes, its policy, and what is known of each candidate.

The core is driven by one thread at a time unless it is given a lock; it holds that lock only for its own few lines,
never while it parses, encodes or runs somebody else's code.
"""

from __future__ import annotations

import contextlib
import math
import random
from contextlib import AbstractContextManager
from typing import Any, Literal

import attrs

from turnout.chat import ROUTE, Capability, ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    CapabilityUnsupported,
    MissingCredentials,
    ProviderNotRegistered,
    ProviderUnavailable,
    RoutingError,
)
from turnout.prices import by_model
from turnout.providers.protocol import ModelProfile, Provider
from turnout.routing.call.cost import CostTracker
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Chat, Embed, Operation
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.policy.plan import CandidateInfo, Plan
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import Policy
from turnout.routing.policy.strategies import arranged
from turnout.routing.replay import rules_of
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.candidate_state import CandidateState
from turnout.routing.state.router_lock import Places
from turnout.trace import Trace
from turnout.trace.entries import RouteOrdered, Skipped

__all__ = ["RouterCore"]


@attrs.frozen
class _Registered:
    provider: Provider
    enabled: bool


@attrs.define(eq=False)
class RouterCore:
    """The shared half of a router, pure. A driver starts calls on it and obeys their commands.

    rng     the only source of chance; each call draws its own seed from it
    lock    held around changes of shared state, where several threads drive
    places  what its calls ask for, wait for, and give back
    """

    policy: Policy = attrs.field(factory=Policy)
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    _lock: AbstractContextManager[Any] = attrs.field(factory=contextlib.nullcontext)
    _providers: dict[str, _Registered] = attrs.field(factory=dict, init=False)
    _routes: dict[str, Route] = attrs.field(factory=dict, init=False)
    _turns: dict[str, int] = attrs.field(factory=dict, init=False)
    places: Places[CandidateSelector] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.places = Places(self.policy, self._lock)

    # -- providers ----------------------------------------------------------------------------------------------

    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False) -> None:
        """Add a provider under its name. ValueError where the name is taken and `replace` is not given."""
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
            self._providers[provider.name] = _Registered(provider, enabled)
        self.places.forget(provider.name)

    def add_route(self, route: Route, *, replace: bool = False) -> None:
        """Add a route under its name. ValueError where the name is taken and `replace` is not given."""
        if not isinstance(route, Route):
            raise TypeError(f"a router takes a Route, not {route!r}")
        with self._lock:
            if route.name in self._routes and not replace:
                raise ValueError(f"a route named {route.name!r} is there already; add it with replace=True")
            self._routes[route.name] = route

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """The status of every registered provider, in the order of their registration."""
        return tuple(_status(registered) for registered in list(self._providers.values()))

    def explain_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Who would be asked for this request, in order, and why some would be skipped."""
        operation = Chat(request) if isinstance(request, ChatRequest) else Embed(request)
        models, _, _ = self._expanded(operation.candidates, random.Random(0), takes_turn=False)
        plan = []
        for place, model in enumerate(models):
            registered = self._registered(model)
            _, reason = self._usable(registered, model, operation.needs)
            plan.append(
                attrs.evolve(
                    _status(registered),
                    priority=place,
                    model=model,
                    fallbacks=tuple(str(other) for other in models[place + 1 :]),
                    reason=reason,
                )
            )
        return tuple(plan)

    def _registered(self, model: ModelConfig) -> _Registered:
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

    def _usable(
        self, registered: _Registered, model: ModelConfig, needs: frozenset[Capability]
    ) -> tuple[RoutingError | None, str]:
        """The error that this candidate would give on its own, and the reason in short; (None, "") where it is good."""
        provider = registered.provider
        if not registered.enabled:
            return ProviderUnavailable(f"{model}: the provider is disabled in the settings"), "disabled"
        if provider.missing_env:
            names = " and ".join(provider.missing_env)
            return (
                MissingCredentials(
                    f"{model}: not configured; set {names} in the environment, in .env or in the settings",
                    missing_env=provider.missing_env,
                ),
                f"not configured, {names} is missing",
            )
        lacking = sorted(needs - provider.capabilities) if not needs <= provider.capabilities else ()
        if lacking:
            names = ", ".join(lacking)
            return CapabilityUnsupported(f"{model}: this provider does not offer {names}"), f"does not offer {names}"
        return None, ""

    # -- calls --------------------------------------------------------------------------------------------------

    def start(
        self,
        operation: Operation,
        now: float,
        wall: float | None = None,
        *,
        timeout: float | None = None,
        total_timeout: float | None = None,
        policy: Policy | None = None,
        concurrent: bool = False,
    ) -> Call:
        """Begin a call at the monotonic time `now`.

        wall        seconds since 1970, for the trace and for prices that change with the time
        timeout     seconds for the call; with the policy's and the primary model's own, the smallest holds
        total       seconds for a stream's whole life, where the caller wants to bound that
        policy      the rules for this call, where they are not the router's
        concurrent  whether the driver can have two attempts on at once
        """
        _check_seconds("timeout", timeout)
        _check_seconds("total_timeout", total_timeout)
        if policy is not None and not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, not {type(policy).__name__}")
        with self._lock:
            seed = self.rng.getrandbits(48)
        asked = operation.candidates
        models, entries, own = self._expanded(asked, random.Random(seed))
        policy = policy or own or self.policy
        self.places.call_begins(policy.hedge, now)
        bounds = [policy.timeout, asked[0].timeout, timeout]
        seconds = min(bound for bound in bounds if bound is not None)
        whole = now + total_timeout if total_timeout is not None else float("inf")
        deadline = round(min(seconds, total_timeout if total_timeout is not None else seconds), 6)
        trace = Trace(operation.name, tuple(map(str, asked)), wall, seed, deadline, operation.metadata)
        trace.entries += entries
        candidates: list[Candidate] = []
        refusals: list[RoutingError] = []
        needs = operation.needs
        for model in models:
            try:
                registered = self._registered(model)
            except ProviderNotRegistered as error:
                refusals.append(error)
                trace.entries.append(Skipped(0.0, str(model), "no such route" if model.is_route else "not registered"))
                continue
            refusal, reason = self._usable(registered, model, needs)
            if refusal is None:
                candidates.append(self._candidate(registered.provider, model, policy, wall))
            else:
                refusals.append(refusal)
                trace.entries.append(Skipped(0.0, str(model), reason))
        unknown = next((refusal for refusal in refusals if isinstance(refusal, ProviderNotRegistered)), None)
        candidacies = tuple(
            CandidateInfo(
                candidate.provider.name,
                by_model(policy.context_windows, candidate.model) or candidate.standing.facts.context_window,
                candidate.standing.facts.prefill is not None,
                str(candidate),
            )
            for candidate in candidates
        )
        trace.rules = rules_of(policy, candidacies)
        journal = TraceWriter(trace, now)
        plan = Plan(candidacies, policy, deadline, seed)
        bill = CostTracker(operation, policy.max_cost)
        field = CandidateSelector(self.places, tuple(candidates), operation, plan, bill, journal)
        call = Call(self.places, operation, field, policy, journal, now + deadline, whole, concurrent)
        if unknown is not None or not candidates:
            call.refuse(unknown or _no_candidate(refusals), now)
        return call

    def _candidate(self, provider: Provider, model: ModelConfig, policy: Policy, wall: float | None) -> Candidate:
        price = by_model(policy.prices, model)
        if price is not None and wall is not None:
            price = price.at(wall)
        return Candidate(model, provider, self._standing(provider, model), price)

    def _standing(self, provider: Provider | None, model: ModelConfig) -> CandidateState:
        key = str(model)
        standing = self.places.known(key)
        if standing is None:
            facts = provider.facts(model.model_id) if provider is not None else ModelProfile()
            standing = self.places.standing(model.provider, key, facts)
        return standing

    # -- routes -------------------------------------------------------------------------------------------------

    def _expanded(
        self, models: tuple[ModelConfig, ...], rng: random.Random, *, takes_turn: bool = True
    ) -> tuple[list[ModelConfig], list[RouteOrdered], Policy | None]:
        """The models with each route replaced by its own, in the order of trying, and the first route's policy."""
        expanded: list[ModelConfig] = []
        entries: list[RouteOrdered] = []
        policy: Policy | None = None
        for place, model in enumerate(models):
            route = self._routes.get(model.model_id) if model.is_route else None
            if route is None:
                expanded.append(model)
                continue
            if place == 0:
                policy = route.policy
            with self._lock:
                turn = self._turns.get(route.name, 0)
                self._turns[route.name] = turn + takes_turn
            measured = [self._measured(choice, policy or self.policy) for choice in route.choices]
            order = arranged(route.strategy, measured, turn, rng)
            ordered = [model.over(route.choices[index].model) for index in order]
            expanded += ordered
            strategy = route.strategy if isinstance(route.strategy, str) else "custom"
            scores = tuple(_score(strategy, item) for item in measured)
            entries.append(RouteOrdered(0.0, route.name, strategy, tuple(map(str, ordered)), scores))
        return expanded, entries, policy

    def _measured(self, choice: Choice, policy: Policy) -> Measured:
        registered = self._providers.get(choice.model.provider)
        standing = self._standing(registered.provider if registered is not None else None, choice.model)
        price = by_model(policy.prices, choice.model)
        return Measured(
            choice,
            standing.in_flight,
            round(standing.latency.score(standing.in_flight), 6),
            standing.latency.first_content.value,
            price.at_most(1000, 200) if price is not None else None,
        )


def _check_seconds(name: str, value: object) -> None:
    """What a caller has left may be nothing; only what is no time at all is refused."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value):
        raise ValueError(f"{name} must be a number of seconds, not {value}")


def _score(strategy: str, measured: Measured) -> float | None:
    """What a built-in strategy went by."""
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


def _status(registered: _Registered) -> ProviderStatus:
    provider = registered.provider
    if not registered.enabled:
        status: Literal["available", "not-configured", "disabled"] = "disabled"
        reason = "disabled in the settings"
    elif provider.missing_env:
        status, reason = "not-configured", f"set {' and '.join(provider.missing_env)}"
    else:
        status, reason = "available", ""
    return ProviderStatus(
        provider.name,
        status,
        capabilities=provider.capabilities,
        missing_env=provider.missing_env,
        reason=reason,
    )


def _no_candidate(refusals: list[RoutingError]) -> RoutingError:
    """The error where no candidate can be asked: the one of a lone candidate, else the one that can be mended."""
    if len(refusals) == 1:
        return refusals[0]
    told = "; ".join(str(refusal) for refusal in refusals)
    missing = tuple(
        dict.fromkeys(
            name for refusal in refusals if isinstance(refusal, MissingCredentials) for name in refusal.missing_env
        )
    )
    if missing:
        return MissingCredentials(f"no candidate can be asked: {told}", missing_env=missing)
    kinds = {type(refusal) for refusal in refusals}
    kind = kinds.pop() if len(kinds) == 1 else ProviderUnavailable
    return kind(f"no candidate can be asked: {told}")
