"""The routing policy, pure: who is asked, in which order, how long, and what happens when things go wrong."""

from turnout.prices import Price
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts

__all__ = ["BreakerPolicy", "Choice", "Hedge", "Limit", "Measured", "Policy", "Price", "Route", "Timeouts"]
