"""The state that the calls of one router share: its providers, its routes, its policy and its scheduler.

Without a lock, only one thread at a time may drive the core. The core holds its lock only for a few lines, and never
while it parses, encodes or runs a user's code.
"""

from __future__ import annotations

import contextlib
import math
import operator
import random
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs

from turnout._utils.names import did_you_mean
from turnout.chat import ChatRequest, ModelConfig, ProviderStatus
from turnout.embeddings import EmbeddingRequest
from turnout.errors import LocalProtocolError, ProviderNotRegistered, RoutingError
from turnout.providers.protocol import Provider
from turnout.routing.caching import CachedAnswer
from turnout.routing.call.candidates import CandidateFinder
from turnout.routing.call.cost import CostTracker
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Chat, Embed, ListModels, Operation
from turnout.routing.call.options import NO_OPTIONS, CallOptions
from turnout.routing.call.selection import CandidateSelector
from turnout.routing.call.trace_writer import TraceWriter
from turnout.routing.expansion import Expander, Expansion, ExpansionContext
from turnout.routing.policy.affinity import affinity_text
from turnout.routing.policy.layers import PolicyLayers
from turnout.routing.policy.names import check_names, check_route
from turnout.routing.policy.plan import Plan
from turnout.routing.policy.priority import seconds_behind
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy
from turnout.routing.registry import Registry, no_candidate
from turnout.routing.replay import rules_of
from turnout.routing.state.budgets import BudgetStatus
from turnout.routing.state.candidate_state import CandidateState, Health, health_of
from turnout.routing.state.limits import QuotaFactory, sliding_window
from turnout.routing.state.scheduler import Scheduler
from turnout.trace import Trace
from turnout.types.models import names_of

if TYPE_CHECKING:
    from turnout.routing.state.shared_limits import SharedLimits

__all__ = ["RouterCore"]

_provider_of = operator.attrgetter("provider")


@attrs.define(eq=False)
class RouterCore:
    """The pure half of a router. A driver starts calls on it and performs their commands.

    Attributes:
        policy: The settings of the router.
        rng: The only source of random numbers. Each call draws its own seed from it.
        make_quota: Makes the quota of each configured rate limit. The default counts only in this process.
        shared: The limits that the router shares with other processes; None if it shares nothing.
        scheduler: Decides which attempt may start.
    """

    policy: Policy = attrs.field(factory=Policy)
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    _lock: AbstractContextManager[Any] = attrs.field(factory=contextlib.nullcontext)
    make_quota: QuotaFactory = sliding_window
    shared: SharedLimits | None = None
    scheduler: Scheduler = attrs.field(init=False)
    _registry: Registry = attrs.field(init=False)
    _layers: PolicyLayers = attrs.field(init=False)
    _names_checked: bool = attrs.field(default=False, init=False)
    _known_rules: tuple[Policy | None, dict[str, Any]] = attrs.field(default=(None, {}), init=False)

    def __attrs_post_init__(self) -> None:
        self.scheduler = Scheduler(self.policy, self._lock, self.make_quota, self.shared, self.rng)
        self._registry = Registry(self._lock, self.scheduler)
        self._layers = PolicyLayers(self.policy)

    # -- providers and routes -----------------------------------------------------------------------------------

    def register(self, provider: Provider, *, enabled: bool = True, replace: bool = False, reason: str = "") -> None:
        """Add a provider under its name. `reason` is the reason why a disabled one is disabled.

        Raises:
            ValueError: If the name is taken and `replace` is not given.
        """
        self._registry.register(provider, enabled=enabled, replace=replace, reason=reason)

    def add_route(self, route: Route, *, replace: bool = False) -> None:
        """Add a route under its name.

        Raises:
            ValueError: If the name is taken and `replace` is not given.
        """
        if isinstance(route, Route):
            place = f"route {route.name!r}"
            owned = [(place, route.policy), *((f"{place}: {one.model}", one.policy) for one in route.choices)]
            for owner, policy in owned:
                if policy is not None:
                    policy.check_place(self.policy, owner)
        self._registry.add_route(route, replace=replace)

    def check_route(self, route: Route) -> None:
        """Check that no provider of a route is misspelled. A router without providers does so at its first call.

        Raises:
            ValueError: If one is.
        """
        if isinstance(route, Route):
            check_route(route, self._registry.provider_names(), self._registry.alias_names())

    def unregister(self, name: str) -> None:
        """Remove a provider. Its attempts in flight continue to their end.

        Raises:
            ValueError: If there is no such provider.
        """
        self._registry.unregister(name)

    def check_names(self) -> None:
        """Check that the names in the policy and in the routes match providers of the router.

        Raises:
            ValueError: If one does not.
        """
        policy = self.policy
        if policy.limits or policy.budgets or policy.rules or policy.prices or policy.context_windows:
            from turnout.providers import CATALOG

            check_names(policy, self._registry.provider_names(), CATALOG)
        for route in self._registry.routes():
            self.check_route(route)
        self._names_checked = True

    def update(self, policy: Policy, now: float) -> None:
        """Take over a new policy. Calls that have started keep theirs; limits and breakers change at once.

        Raises:
            ValueError: If a name in it matches no provider. Nothing has changed then.
        """
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, not {type(policy).__name__}")
        before, self.policy = self.policy, policy
        try:
            self.check_names()
        except ValueError:
            self.policy = before
            raise
        self._layers = PolicyLayers(policy)
        self.scheduler.update(policy, now)

    def remove_route(self, name: str) -> None:
        """Remove a route. Calls that have started continue.

        Raises:
            ValueError: If there is no such route.
        """
        self._registry.remove_route(name)

    def add_alias(self, name: str, model: ModelConfig | str, *, replace: bool = False) -> None:
        """Add another name for a model or a route.

        Args:
            name: `provider/model`, or a name alone, which requests write as `route/name`.
            model: The model or route that the name means.
            replace: Whether the name may be taken.

        Raises:
            ValueError: If the name is taken and `replace` is not given, or if it names itself.
        """
        self._registry.add_alias(name, model, replace=replace)

    def route_names(self) -> list[str]:
        """Return the names of all routes."""
        return self._registry.route_names()

    def alias_names(self) -> list[str]:
        """Return the names of all aliases as requests write them, such as `route/fast`."""
        return self._registry.alias_names()

    def clear_aliases(self) -> None:
        """Remove all aliases."""
        self._registry.clear_aliases()

    def statuses(self, now: float) -> tuple[ProviderStatus, ...]:
        """Return the status of every registered provider, in the order of their registration."""
        refusals = {
            state.key.partition("/")[0]: f"{state.key} failed with {state.breaker.cool_cause}: calls skip it for "
            f"{state.breaker.available_in(now):.0f} s"
            for state in self.scheduler.states().values()
            if state.breaker.is_refused(now)
        }
        return tuple(one.status(refusals.get(one.provider.name, "")) for one in self._registry.registered())

    def health(self, now: float) -> tuple[Health, ...]:
        """Return the condition of each candidate that calls have named so far."""
        budgets, states = self.scheduler.budgets, self.scheduler.states().values()
        if not budgets:
            return tuple(health_of(state, now) for state in states)
        with self._lock:
            return tuple(
                health_of(state, now, budgets.left_for(state.limiters[1].name, state.key, now)) for state in states
            )

    def budgets(self, now: float, wall: float) -> tuple[BudgetStatus, ...]:
        """Return how much of each budget is left, for each provider, model or user that calls have named so far."""
        with self._lock:
            return self.scheduler.budgets.statuses(now, wall)

    def cool_down(self, candidate: str, seconds: float, now: float) -> None:
        """Let calls skip a candidate for some time.

        Args:
            candidate: `provider/model`.
            seconds: At most `Policy.max_cooldown`.
            now: Monotonic seconds.

        Raises:
            ValueError: If `seconds` is not a number above 0, or no call has named this candidate so far.
        """
        if not seconds > 0:
            raise ValueError(f"seconds must be a number above 0, not {seconds}")
        state = self._named(candidate)
        with self._lock:
            before = state.breaker.rests
            state.breaker.cool_down(now + min(seconds, self.policy.max_cooldown), "router.cool_down")
            if self.shared is not None:
                self.shared.publish(candidate, state.breaker, before, now)

    def reset(self, candidate: str | None, now: float) -> None:
        """End the cooldown, the break and the learnt limits of a candidate; None for all candidates.

        Raises:
            ValueError: If no call has named this candidate so far.
        """
        states = self.scheduler.states() if candidate is None else {candidate: self._named(candidate)}
        for key, state in states.items():
            with self._lock:
                state.lift()
            self.scheduler.recheck(key, now)

    def _named(self, candidate: str) -> CandidateState:
        """Return the state of a candidate that calls have named."""
        state = self.scheduler.known(candidate)
        if state is None:
            names = ", ".join(sorted(self.scheduler.states())[:10]) or "none"
            raise ValueError(f"no call has named the candidate {candidate!r} so far; known are: {names}")
        return state

    def explain_plan(self, request: ChatRequest | EmbeddingRequest) -> tuple[ProviderStatus, ...]:
        """Return the candidates for this request in order, with the reason for each one that would be skipped."""
        if not isinstance(request, ChatRequest | EmbeddingRequest):
            raise TypeError(
                f"explain_plan takes a ChatRequest or an EmbeddingRequest, not {type(request).__name__}: "
                "write router.explain_plan(ChatRequest('openai/gpt-4o-mini', 'Why do points freeze?'))"
            )
        operation: Operation = Chat(request) if isinstance(request, ChatRequest) else Embed(request)
        context = ExpansionContext(policy=self.policy, metadata=operation.metadata, takes_turn=False)
        models = Expander(self._registry, context).expand(operation.candidates).models
        plan = []
        for index, model in enumerate(models):
            registered = self._registry.find(model)
            _, reason = registered.refusal(model, operation.needs)
            plan.append(
                attrs.evolve(
                    registered.status(),
                    priority=index,
                    model=model,
                    fallbacks=tuple(str(other) for other in models[index + 1 :]),
                    reason=reason,
                )
            )
        return tuple(plan)

    def models_named(self, model: ModelConfig) -> tuple[ModelConfig, ...]:
        """Return the models that a name means, in their fixed order: itself, those of an alias or of a route.

        It is empty if there is no such route, or no such provider.
        """
        return tuple(self._registry.models_named(model))

    def provider_of(self, model: ModelConfig) -> Provider:
        """Return the provider of a model.

        Raises:
            ProviderNotRegistered: If this router does not have it.
        """
        return self._registry.find(model).provider

    def model_without(self, models: Iterable[ModelConfig], scopes: frozenset[str]) -> ModelConfig | None:
        """Return the first model of these names whose provider receives no fields of these scopes; None if all do."""
        return self._registry.model_without(models, scopes)

    # -- calls --------------------------------------------------------------------------------------------------

    def take_ready(self) -> tuple[Call, ...]:
        """Return the calls that the driver must wake from their `Sleep`."""
        ready = self.scheduler.take_ready()
        return tuple([waiter.call for waiter in ready if waiter.call is not None]) if ready else ()

    def start(
        self,
        operation: Operation,
        now: float,
        wall: float | None = None,
        options: CallOptions = NO_OPTIONS,
        *,
        concurrent: bool = False,
        cached: CachedAnswer | None = None,
    ) -> Call:
        """Start a call at the monotonic time `now`.

        Args:
            wall: Seconds since 1970, for the trace and for prices that change with the time.
            options: The caller's settings for this call.
            concurrent: True if the driver can run two attempts at once.
            cached: The answer of a cache. The call then ends with it at once.
        """
        self._check_start(options)
        if not isinstance(operation, Operation):
            raise TypeError(
                f"start takes an operation, not {type(operation).__name__}: write Chat(request), Stream(request) or "
                "Embed(request), of turnout.routing.call.operations"
            )
        with self._lock:
            seed = self.rng.getrandbits(48)
            if wall is not None:
                self.scheduler.budgets.observe(now, wall)
                if self.shared is not None:
                    self.shared.state.observe_clocks(now, wall)
        named, total_timeout = operation.candidates, options.total_timeout
        providers = set(map(_provider_of, named))
        if self._registry.is_plain(providers):
            expansion = Expansion(named)
        else:
            expansion = self._expand(operation, options, seed, now)
        policy = self._layers.over_router(options.policy, expansion.route_policy)
        if cached is None:
            self.scheduler.call_started(policy.hedge, now)
        deadline = _timeout(options, named[0], policy)
        if total_timeout is not None:
            deadline = min(deadline, total_timeout)
        deadline = round(deadline, 6)
        total_deadline = now + total_timeout if total_timeout is not None else math.inf
        trace = Trace(operation.name, names_of(named), wall, seed, deadline, operation.metadata)
        trace.entries += expansion.entries
        trace.rules = self._rules_of(policy)
        trace.priority = options.priority
        selector = CandidateSelector(
            Plan([], policy, deadline, seed),
            [],
            now,
            self.scheduler,
            operation,
            CostTracker(operation, policy.max_cost),
            TraceWriter(trace, now),
            CandidateFinder(self._registry, expansion, operation.needs, options, self._layers, wall),
            behind=seconds_behind(options.priority, deadline),
        )
        call = Call(operation, selector, concurrent, self.scheduler, policy, now + deadline, total_deadline)
        if cached is not None:
            call.answer(cached, now)
            return call
        models = expansion.models
        # There may be hundreds of models: they are searched only if a name has the mark of a pattern.
        has_mark = models is not named or "*" in "".join(trace.candidates)
        if models is not named:
            providers = set(map(_provider_of, models))
        refusal: RoutingError | None = None
        if has_mark and not isinstance(operation, ListModels):
            refusal = self._registry.pattern_error(models)
        refusal = refusal or self._look_up_first(selector, providers, len(models), now)
        if refusal is not None:
            call.reject(refusal, now)
        return call

    def _check_start(self, options: CallOptions) -> None:
        """Raise an error if no call can start now, or none with these options."""
        if self.shared is not None and not self.shared.entered:
            raise LocalProtocolError("this router shares limits: use it in a `with` block, which connects the store")
        if not self._names_checked:
            self.check_names()
        if options.api_keys:
            known = self._registry.provider_names()
            for name in options.api_keys:
                if name not in known:
                    raise ValueError(f"api_keys: no provider named {name!r} is registered{did_you_mean(name, known)}")

    def _look_up_first(
        self, selector: CandidateSelector, providers: set[str], count: int, now: float
    ) -> RoutingError | None:
        """Look up the first candidates of a call. Return its error if it has none.

        Args:
            selector: Of the call.
            providers: The providers of its models.
            count: How many models it has.
            now: Monotonic seconds.
        """
        all_known = self._registry.knows_all(providers)
        selector.look_up(now, 2 if all_known else count)
        if all_known and selector.candidates:
            return None
        refusals = selector.finder.refusals
        unknown = next((refusal for refusal in refusals if isinstance(refusal, ProviderNotRegistered)), None)
        return unknown or no_candidate(refusals)

    def _expand(self, operation: Operation, options: CallOptions, seed: int, now: float) -> Expansion:
        context = ExpansionContext(
            policy=self.policy,
            seed=seed,
            now=now,
            metadata=operation.metadata,
            affinity=affinity_text(options.affinity, getattr(operation, "request", None)),
            api_keys=frozenset(options.api_keys),
        )
        return Expander(self._registry, context).expand(operation.candidates)

    def _rules_of(self, policy: Policy) -> dict[str, Any]:
        """Return the settings of a policy that a trace stores, with an empty list of candidates."""
        if self._known_rules[0] is not policy:
            self._known_rules = policy, rules_of(policy)
        return {**self._known_rules[1], "candidates": []}


def _timeout(options: CallOptions, model: ModelConfig, policy: Policy) -> float:
    """Return the seconds for a call: those of the call, else of its model, else of its route, else of the router."""
    if options.timeout is not None:
        return options.timeout
    if model.timeout is None or (options.policy is not None and "timeout" in options.policy.stated):
        return policy.timeout
    return model.timeout
