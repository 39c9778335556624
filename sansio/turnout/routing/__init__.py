"""The routing policy, pure: who is asked, in which order, how long, and what happens when things go wrong."""

from turnout.prices import Price
from turnout.routing.policy import BreakerPolicy, Hedge, Limit, Policy, Timers
from turnout.routing.routes import Choice, Measured, Route

__all__ = ["BreakerPolicy", "Choice", "Hedge", "Limit", "Measured", "Policy", "Price", "Route", "Timers"]
