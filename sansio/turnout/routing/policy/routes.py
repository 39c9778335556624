"""A route: several models under one name, any of which may answer.

router.add_route(Route("fast", [Choice(groq, weight=3), Choice(cerebras), Choice(openai, tier=1)], "weighted"))
router.chat(ChatRequest("route/fast", messages))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from turnout._utils.validation import CheckedFields, instance, instances, integer, non_empty, number, quoted
from turnout.routing.policy.settings import Policy
from turnout.types.models import ROUTE, ModelConfig, as_model

__all__ = ["Choice", "Measured", "Route", "Strategy"]


@attrs.frozen
class Choice(CheckedFields):
    """One model of a route.

    Attributes:
        model: A `ModelConfig`, or the name of a model or an alias.
        weight: Its share of the calls, if the strategy is `weighted` or the call has an affinity.
        tier: The choices of tier 0 are tried first. Those of a higher tier follow when all lower ones are used up.
        policy: The settings in which attempts on this model differ from those of the route.
    """

    model: ModelConfig = attrs.field(converter=as_model, validator=instance(ModelConfig))
    weight: float = attrs.field(default=1.0, kw_only=True, validator=number(0))
    tier: int = attrs.field(default=0, kw_only=True, validator=integer(0))
    policy: Policy | None = attrs.field(default=None, kw_only=True, validator=instance(Policy))


@attrs.frozen
class Measured:
    """The facts about one choice that a strategy decides by.

    Attributes:
        choice: The choice.
        in_flight: How many attempts run on it now.
        latency: Seconds that a response will probably take, times the attempts that share it; 0 if that is not known.
        first_content: Seconds to its first content lately; None if that is not known.
        price: Of a typical request: 1,000 tokens of prompt, 200 of response; None if that is not known.
        metadata: The labels of the request (`ChatRequest.metadata`), the same for all choices.
    """

    choice: Choice
    in_flight: int = 0
    latency: float = 0.0
    first_content: float | None = None
    price: float | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)


# A strategy of the user's takes the choices of one tier, and returns their indexes in the order of trying.
Custom: TypeAlias = Callable[[Sequence[Measured]], Iterable[int]]
Strategy: TypeAlias = Literal["ordered", "weighted", "round-robin", "least-busy", "lowest-latency", "cheapest"] | Custom
STRATEGIES = ("ordered", "weighted", "round-robin", "least-busy", "lowest-latency", "cheapest")


def _choices(value: Iterable[Choice | ModelConfig | str]) -> tuple[Choice, ...]:
    if isinstance(value, str | bytes | Mapping | Choice | ModelConfig) or not isinstance(value, Iterable):
        raise TypeError(
            f"Route.choices must be a list of models, such as ['openai/gpt-4o-mini'], not {type(value).__name__}"
        )
    return tuple(Choice(item) if isinstance(item, ModelConfig | str) else item for item in value)


def _strategy(instance: object, attribute: attrs.Attribute[Strategy], value: object) -> None:
    if not callable(value) and value not in STRATEGIES:
        raise ValueError(f"Route.strategy must be one of {', '.join(STRATEGIES)} or a function, not {quoted(value)}")


@attrs.frozen
class Route(CheckedFields):
    """Models under one name, and how to choose among those of one tier.

    The name may have one `*`, which matches any text: a route `gpt-*` with the choices `azure/gpt-*` and
    `openai/gpt-*` serves `route/gpt-5-mini` with `azure/gpt-5-mini` and `openai/gpt-5-mini`.

    Attributes:
        name: The name.
        choices: `Choice` objects, or models or their names, which are then equal.
        strategy: ordered, weighted, round-robin, least-busy, lowest-latency, cheapest, or your own function.
        policy: The settings in which calls over this route differ from the router's.
    """

    name: str = attrs.field(validator=non_empty)
    choices: tuple[Choice, ...] = attrs.field(converter=_choices, validator=instances(Choice))
    strategy: Strategy = attrs.field(default="ordered", validator=_strategy)
    policy: Policy | None = attrs.field(default=None, validator=instance(Policy), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.choices:
            raise ValueError(f"Route {self.name!r} must have at least one choice")
        if self.name.startswith(f"{ROUTE}/"):
            name = self.name.removeprefix(f"{ROUTE}/")
            raise ValueError(f"Route.name must be {name!r}, not {self.name!r}: only requests write 'route/' before it")
        if self.name.count("*") > 1:
            raise ValueError(f"Route {self.name!r} has more than one '*'")
        for choice in self.choices:
            if choice.model.is_route:
                raise ValueError(f"Route {self.name!r} holds {choice.model}: a route cannot be in a route")
            if "*" in choice.model.model_id and "*" not in self.name:
                raise ValueError(f"Route {self.name!r} holds {choice.model}: only a route with '*' in its name can")

    def extended(
        self,
        name: str,
        choices: Iterable[Choice | ModelConfig | str] | None = None,
        strategy: Strategy | None = None,
        *,
        policy: Policy | None = None,
    ) -> Route:
        """Return a route with another name that differs from this one only in what is given.

        Args:
            name: The name.
            choices: Its own choices in place of those of this route.
            strategy: Its own strategy.
            policy: The settings in which it differs. This route has the next wider ones.
        """
        if policy is not None and self.policy is not None:
            policy = policy.over(self.policy)
        return Route(
            name,
            _choices(choices) if choices is not None else self.choices,
            strategy if strategy is not None else self.strategy,
            policy=policy if policy is not None else self.policy,
        )

    def captured(self, name: str) -> str | None:
        """Return the part of `name` that the `*` in the route's name matches; None if it has no `*`."""
        head, star, tail = self.name.partition("*")
        return name[len(head) : len(name) - len(tail)] if star else None
