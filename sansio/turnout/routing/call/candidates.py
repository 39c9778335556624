"""Finds the candidates of a call, as far as they are needed.

Most calls are answered by their first candidate. So a call starts with the first two that are usable: the plan must
know whether there is another one. The rest is looked up when the plan must decide between them: when both are blocked,
after a failure, and before a hedge. A request may name hundreds of fallbacks, and its trace has those that were looked
at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from turnout._utils.names import vendor_of
from turnout.chat import Capability, ModelConfig
from turnout.errors import CapabilityUnsupported, ProviderNotRegistered, RoutingError
from turnout.failures import FailureClass
from turnout.prices import by_model
from turnout.providers.keys import with_key
from turnout.routing.call.options import CallOptions
from turnout.routing.expansion import Expansion
from turnout.routing.policy.decisions import CandidateInfo
from turnout.routing.policy.layers import PolicyLayers
from turnout.routing.policy.settings import Policy
from turnout.routing.registry import Registry
from turnout.routing.state.candidate import Candidate
from turnout.routing.state.guest import guest_state
from turnout.trace.entries import Skipped

__all__ = ["CandidateFinder"]


@attrs.define(eq=False)
class CandidateFinder:
    """Finds the usable candidates among the models of one call, in their order.

    Attributes:
        registry: The providers of the router.
        expansion: The models that the request names, with the models of its routes.
        needs: The capabilities that a provider must offer for the request.
        options: The settings of the caller for this call.
        policies: The policies of the router and of its routes.
        wall: Seconds since 1970, for prices that change with the time; None if that is not known.
        refusals: The errors of the models that cannot be used.
    """

    registry: Registry
    expansion: Expansion
    needs: frozenset[Capability]
    options: CallOptions
    policies: PolicyLayers
    wall: float | None
    refusals: list[RoutingError] = attrs.field(factory=list, init=False)
    _position: int = attrs.field(default=0, init=False)

    @property
    def models(self) -> Sequence[ModelConfig]:
        """The models, first to last."""
        return self.expansion.models

    @property
    def has_more(self) -> bool:
        """True if there are models that were not looked at."""
        return self._position < len(self.models)

    @property
    def unseen(self) -> int:
        """How many models were not looked at."""
        return len(self.models) - self._position

    def find(self) -> Iterator[Candidate | Skipped]:
        """Return the remaining candidates one by one, and an entry for the trace for each model that is not usable.

        The entries have the time 0. The iterator may be left: the next one continues behind its last candidate.
        """
        while self._position < len(self.models):
            position = self._position
            self._position += 1
            policy = self.policies.over_router(self.options.policy, *self.expansion.layers_of(position))
            yield self._look_up(self.models[position], policy)

    def _look_up(self, model: ModelConfig, policy: Policy) -> Candidate | Skipped:
        try:
            registered = self.registry.find(model)
        except ProviderNotRegistered as error:
            self.refusals.append(error)
            return Skipped(0.0, str(model), "no such route" if model.is_route else "not registered")
        vendor = vendor_of(model.provider)
        key = self.options.api_keys.get(vendor)
        if key is not None:
            keyed = with_key(registered.provider, key)
            if keyed is None:
                self.refusals.append(CapabilityUnsupported(f"{model}: this provider takes no key for one call"))
                return Skipped(0.0, str(model), "takes no key for one call")
            registered = attrs.evolve(registered, provider=keyed)
        refusal, reason = registered.refusal(model, self.needs)
        if refusal is not None:
            self.refusals.append(refusal)
            return Skipped(0.0, str(model), reason)
        state = self.registry.state_of(registered.provider, model)
        if key is not None:
            state = guest_state(state)
        if vendor != model.provider:
            # The name of the key is for people; requests, prices and responses have the name of the provider.
            model = attrs.evolve(model, provider=vendor)
        price = by_model(policy.prices, model)
        if price is not None and self.wall is not None:
            price = price.at(self.wall)
        return Candidate(model, registered.provider, state, price, policy)

    def has_own_key(self, candidate: Candidate) -> bool:
        """True if the call has its own key for this candidate, which somebody else pays."""
        return candidate.model.provider in self.options.api_keys

    def current(self, candidate: Candidate) -> Candidate:
        """Return the candidate with the provider that is registered under its name now.

        Raises:
            ProviderNotRegistered: If there is none any more.
        """
        provider = candidate.provider
        if self.has_own_key(candidate):
            return candidate
        found = self.registry.provider_named(provider.name)
        if found is None:
            raise ProviderNotRegistered(f"{candidate}: the provider was removed from the router")
        return candidate if found is provider else attrs.evolve(candidate, provider=found)

    def find_fallbacks(self, failure: FailureClass, policy: Policy) -> Iterator[Candidate | Skipped]:
        """Return the candidates that the policy of a failed one names for this class of failure."""
        for named in policy.fallbacks.get(failure.value, ()):
            for model in self.registry.models_of(named):
                yield self._look_up(model, self.policies.over_router(self.options.policy))

    def info_of(self, candidate: Candidate, only_after: str = "") -> CandidateInfo:
        """Return the facts that the plan decides by."""
        profile = candidate.state.profile
        window = by_model(candidate.policy.context_windows, candidate.model) or profile.context_window
        return CandidateInfo(candidate.provider.name, window, profile.prefill is not None, str(candidate), only_after)
