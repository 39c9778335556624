"""The routing policy, without I/O: which candidates a call uses, in which order, for how long, and after failures."""

from typing import TYPE_CHECKING

from turnout.prices import Price
from turnout.routing.policy.budgets import Budget
from turnout.routing.policy.routes import Choice, Measured, Route
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts

__all__ = ["BreakerPolicy", "Budget", "Choice", "Hedge", "Limit", "Measured", "Policy", "Price", "Route", "Timeouts"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
