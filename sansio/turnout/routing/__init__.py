"""The routing policy, without I/O: which candidates a call uses, in which order, for how long, and after failures."""

from turnout.prices import Price
from turnout.routing.policy.budgets import Budget
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts

__all__ = ["BreakerPolicy", "Budget", "Choice", "Hedge", "Limit", "Measured", "Policy", "Price", "Route", "Timeouts"]
