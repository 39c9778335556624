"""The parts of a simulation: providers with their speed and faults, the calls, and the policy."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from turnout._utils.validation import as_tuple, integer, non_empty, number
from turnout.chat import ModelConfig
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy

__all__ = ["Arrivals", "Fault", "FaultKind", "Scenario", "SimulatedProvider", "Spread"]

# The distance of a lognormal's 95th percentile from its median, in standard deviations.
_Z_95 = 1.6448536269514722


@attrs.frozen
class Spread:
    """A number that is drawn anew each time, from 0 up.

    constant      always `low`
    uniform       between `low` and `high`
    exponential   with the mean `low`
    lognormal     with the median `low` and the 95th percentile `high`, as latencies tend to be
    """

    shape: Literal["constant", "uniform", "exponential", "lognormal"]
    low: float = attrs.field(validator=number(0))
    high: float = attrs.field(default=0.0, validator=number(0))

    def __attrs_post_init__(self) -> None:
        if self.shape in ("uniform", "lognormal") and self.high < self.low:
            raise ValueError(f"the upper bound {self.high:g} is below the lower one, {self.low:g}")
        if self.shape in ("exponential", "lognormal") and self.low <= 0:
            raise ValueError("the mean or median must be above 0")

    def draw(self, rng: random.Random) -> float:
        """One number. It is rounded, so that no libm's last bit shows in a report."""
        match self.shape:
            case "constant":
                return self.low
            case "uniform":
                return round(rng.uniform(self.low, self.high), 6)
            case "exponential":
                return round(rng.expovariate(1.0 / self.low), 6)
            case "lognormal":
                sigma = math.log(self.high / self.low) / _Z_95
                return round(self.low * math.exp(sigma * rng.gauss(0.0, 1.0)), 6)


FaultKind: TypeAlias = Literal["status", "refused", "reset", "hang", "silent", "stall", "cut", "slow"]


@attrs.frozen(kw_only=True)
class Fault:
    """A fault of a provider for some time.

    kind         status: an error status at once      refused: no connection       reset: closed without an answer
                 hang: no head ever arrives            silent: a head, no content   stall: content, then nothing more
                 cut: content, then a reset           slow: all times are `factor` as long
    share        of the requests that it strikes
    begins, ends seconds of the simulation
    retry_after  seconds that an error status asks to wait
    """

    kind: FaultKind
    status: int = attrs.field(default=503, validator=integer(400))
    begins: float = attrs.field(default=0.0, validator=number(0))
    ends: float = math.inf
    share: float = attrs.field(default=1.0, validator=number(0, 1, above=0))
    retry_after: float | None = attrs.field(default=None, validator=number(0))
    factor: float = attrs.field(default=10.0, validator=number(0, above=0))

    def __attrs_post_init__(self) -> None:
        if self.ends <= self.begins:
            raise ValueError(f"it ends at {self.ends:g} s, before it begins at {self.begins:g} s")
        if self.kind == "status" and self.status > 599:
            raise ValueError(f"{self.status} is no status of an error")


@attrs.frozen(kw_only=True)
class SimulatedProvider:
    """One provider of a simulation. Times are in seconds.

    first_content        from the request to the first content of a stream
    per_token            after that
    tokens               of an answer
    max_concurrency      requests that it serves at once; more get a 429
    requests_per_minute  in any 60 seconds; more get a 429 with Retry-After
    announces            whether its headers report the rest of that limit
    """

    name: str = attrs.field(validator=non_empty)
    first_content: Spread = Spread("lognormal", 0.4, 1.2)
    per_token: Spread = Spread("constant", 0.01)
    tokens: Spread = Spread("uniform", 50, 300)
    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    requests_per_minute: int | None = attrs.field(default=None, validator=integer(1))
    announces: bool = False
    faults: tuple[Fault, ...] = attrs.field(default=(), converter=as_tuple)


@attrs.frozen(kw_only=True)
class Arrivals:
    """The times at which calls arrive.

    rate     calls a second; with `steps`, from each time in seconds on another
    regular  evenly apart instead of at random (a Poisson process)
    users    instead of a rate: so many callers. Each sends a request, waits for the answer, thinks, and starts again
    think    seconds
    """

    rate: float = attrs.field(default=10.0, validator=number(0, above=0))
    steps: tuple[tuple[float, float], ...] = attrs.field(default=(), converter=as_tuple)
    regular: bool = False
    users: int | None = attrs.field(default=None, validator=integer(1))
    think: Spread = Spread("exponential", 1.0)

    def __attrs_post_init__(self) -> None:
        times = [at for at, _ in self.steps]
        if times != sorted(times):
            raise ValueError("the steps are not in the order of their times")
        if any(rate <= 0 for _, rate in self.steps):
            raise ValueError("a rate must be above 0")

    def next_after(self, now: float, rng: random.Random) -> float:
        """Return the time of the next call after one at `now`, if calls arrive at a rate."""
        rate = self.rate
        for at, other in self.steps:
            if at <= now:
                rate = other
        gap = 1.0 / rate if self.regular else rng.expovariate(rate)
        return now + max(1e-6, round(gap, 6))


@attrs.frozen(kw_only=True)
class Scenario:
    """A simulation to run.

    models         the candidates, primary first; a route as `ModelConfig.route(name)`
    duration       seconds in which calls arrive; those that run at its end are played to their end
    calls          where given, so many calls and no more
    kind           whether the callers want a stream, a whole answer, or a collected stream
    prompt_tokens  of each request
    concurrent     whether the driver has tasks, and so can hedge
    bins           rows of the report's timeline
    """

    providers: tuple[SimulatedProvider, ...] = attrs.field(converter=as_tuple)
    models: tuple[ModelConfig, ...] = attrs.field(converter=as_tuple)
    policy: Policy = attrs.field(factory=Policy)
    routes: tuple[Route, ...] = attrs.field(default=(), converter=as_tuple)
    arrivals: Arrivals = Arrivals()
    duration: float = attrs.field(default=600.0, validator=number(0, above=0))
    calls: int | None = attrs.field(default=None, validator=integer(1))
    kind: Literal["stream", "chat", "collect"] = "stream"
    prompt_tokens: Spread = Spread("constant", 500)
    concurrent: bool = True
    seed: int = 0
    bins: int = attrs.field(default=20, validator=integer(1))

    def __attrs_post_init__(self) -> None:
        names = [provider.name for provider in self.providers]
        if not names:
            raise ValueError("a simulation needs a provider")
        if not self.models:
            raise ValueError("a simulation needs a model to ask")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two providers are named {twice!r}")
        known: Mapping[str, Route] = {route.name: route for route in self.routes}
        for model in self.models:
            if model.is_route and model.model_id not in known:
                raise ValueError(f"{model}: there is no such route")
        asked = [model for model in self.models if not model.is_route]
        asked += [choice.model for route in self.routes for choice in route.choices]
        for model in asked:
            if model.provider not in names:
                raise ValueError(f"{model}: no provider is named {model.provider!r} (there are: {', '.join(names)})")
