"""A route: several models under one name, any of which may answer.

router.add_route(Route("fast", [Choice(groq, weight=3), Choice(cerebras), Choice(openai, tier=1)], "weighted"))
router.chat(ChatRequest(ModelConfig.route("fast"), messages))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import attrs

from turnout._validation import as_tuple, instance, instances, integer, non_empty, number
from turnout.chat import ModelConfig, as_model
from turnout.routing.policy.settings import Policy

__all__ = ["Choice", "Measured", "Route", "Strategy"]


@attrs.frozen
class Choice:
    """One model of a route, a `ModelConfig` or its name.

    weight  its share of the calls, where the strategy is `weighted`
    level   0 is tried first; a higher one only once all below it are used up
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    weight: float = attrs.field(default=1.0, kw_only=True, validator=number(0))
    tier: int = attrs.field(default=0, kw_only=True, validator=integer(0))


@attrs.frozen
class Measured:
    """What a strategy knows of one choice.

    in_flight      attempts on it now
    latency        seconds that an answer is likely to take, times the attempts that share it; 0 where unknown
    first_content  seconds to its first content lately, or None
    price          of a typical answer (1,000 tokens of prompt, 200 of answer), or None
    """

    choice: Choice
    in_flight: int = 0
    latency: float = 0.0
    first_content: float | None = None
    price: float | None = None


# A user's own strategy is given the choices of one level and returns their places in the order of trying.
Custom: TypeAlias = Callable[[Sequence[Measured]], Iterable[int]]
Strategy: TypeAlias = Literal["ordered", "weighted", "round-robin", "least-busy", "lowest-latency", "cheapest"] | Custom
STRATEGIES = ("ordered", "weighted", "round-robin", "least-busy", "lowest-latency", "cheapest")


def _choices(value: Iterable[Choice | ModelConfig | str]) -> tuple[Choice, ...]:
    return tuple(Choice(item) if isinstance(item, ModelConfig | str) else item for item in as_tuple(value))


def _strategy(instance: object, attribute: attrs.Attribute[Strategy], value: object) -> None:
    if not callable(value) and value not in STRATEGIES:
        raise ValueError(f"Route.strategy must be one of {', '.join(STRATEGIES)} or a function, not {value!r}")


@attrs.frozen
class Route:
    """Models under one name, and how to choose among those of one level.

    choices   `Choice`s, or plain models or their names, which are then equal
    strategy  ordered, weighted, round-robin, least-busy, lowest-latency, cheapest, or a function of your own
    policy    the rules of calls over this route, where they are not the router's
    """

    name: str = attrs.field(validator=non_empty)
    choices: tuple[Choice, ...] = attrs.field(converter=_choices, validator=instances(Choice))
    strategy: Strategy = attrs.field(default="ordered", validator=_strategy)
    policy: Policy | None = attrs.field(default=None, validator=instance(Policy), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.choices:
            raise ValueError(f"Route {self.name!r} must have at least one choice")
        for choice in self.choices:
            if choice.model.is_route:
                raise ValueError(f"Route {self.name!r} holds {choice.model}: a route cannot stand in a route")
