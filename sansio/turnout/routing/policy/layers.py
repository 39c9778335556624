"""The policies that hold for a call: its own, over those of its route, over the router's."""

from __future__ import annotations

import attrs

from turnout.routing.policy.settings import Policy

__all__ = ["PolicyLayers"]

# Merged policies that are remembered. Most programs have a few policies and use them for every call.
REMEMBERED = 200


@attrs.define(eq=False)
class PolicyLayers:
    """Merges policies, and remembers the results by the identity of their parts.

    Attributes:
        router: The policy of the router.
    """

    router: Policy
    _known: dict[tuple[int, ...], tuple[tuple[Policy, ...], Policy]] = attrs.field(factory=dict, init=False)

    def over_router(self, *narrower: Policy | None) -> Policy:
        """Return the policy that holds.

        Args:
            narrower: The policies over the router's, the narrowest first. None states nothing.

        Raises:
            ValueError: If one of them states a setting that only a router can have.
        """
        layers = tuple(filter(None, narrower))
        if not layers:
            return self.router
        key = tuple(map(id, layers))
        known = self._known.get(key)
        if known is not None:
            return known[1]
        policy = self.router
        for layer in reversed(layers):
            layer.check_place(self.router, "the policy of a call, a model or a route")
            policy = layer.over(policy)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        # The parts are kept too, so that no other policy gets the identity of one of them.
        self._known[key] = layers, policy
        return policy
