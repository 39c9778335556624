"""How long things may take, how often they are tried again, and what is shared out to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from turnout._validation import instance, integer, mapping_to, number, one_of
from turnout.failures import FailureClass
from turnout.prices import Price
from turnout.routing.policy.classify import RULES, Action, Rule

__all__ = [
    "BreakerPolicy",
    "Hedge",
    "Limit",
    "OnInterrupt",
    "Policy",
    "RetryMode",
    "Timeouts",
    "WhenAllInCooldown",
    "WhenAtCapacity",
]

OnInterrupt: TypeAlias = Literal["raise", "restart", "resume"]
WhenAtCapacity: TypeAlias = Literal["wait", "reject"]
WhenAllInCooldown: TypeAlias = Literal["try_anyway", "wait", "fail"]
RetryMode: TypeAlias = Literal["always", "only_if_unsent"]


def _seconds(default: float) -> Any:
    return attrs.field(default=default, validator=number(above=0))


def _one_of(default: str, *words: str) -> Any:
    return attrs.field(default=default, validator=one_of(default, *words))


@attrs.frozen(kw_only=True)
class Timeouts:
    """The timers of one attempt, in seconds. Each is cut to the remaining time of the call.

    Attributes:
        connect: Until the connection is usable, TLS included.
        response_headers: From the start of an attempt to the response headers of a stream. (A whole response arrives
            with its headers, so only the deadline limits it.)
        first_token: From sending to the first token of a stream. Comments and pings do not count.
        between_tokens: Between events after the first token. Only time in which we wait for bytes counts.
        drain: After the end of the response, until the HTTP body ends too and the connection can be reused.
    """

    connect: float = _seconds(5.0)
    response_headers: float = _seconds(30.0)
    first_token: float = _seconds(60.0)
    between_tokens: float = _seconds(60.0)
    drain: float = _seconds(0.25)


@attrs.frozen(kw_only=True)
class BreakerPolicy:
    """When a candidate is skipped for some time because its attempts fail (a circuit breaker).

    Attributes:
        window: Seconds over which failures are counted.
        minimum_calls: How many attempts the window must hold before the failure ratio counts.
        failure_ratio: The share of failures in the window that opens the breaker.
        consecutive_failures: How many failures in a row open it, at any ratio. 0 turns this rule off.
        break_duration: Seconds for which the breaker stays open at first. Then it lets one probe through.
        break_multiplier: The factor by which that duration grows each time a probe fails.
        max_break_duration: Seconds. The upper bound of that duration.
    """

    window: float = _seconds(30.0)
    minimum_calls: int = attrs.field(default=10, validator=integer(1))
    failure_ratio: float = attrs.field(default=0.5, validator=number(0, 1, above=0))
    consecutive_failures: int = attrs.field(default=5, validator=integer(0))
    break_duration: float = _seconds(5.0)
    break_multiplier: float = attrs.field(default=2.0, validator=number(1))
    max_break_duration: float = _seconds(120.0)


@attrs.frozen(kw_only=True)
class Limit:
    """What a provider, or one candidate, may be given.

    max_concurrency      attempts in flight
    requests_per_minute  in any 60 seconds
    tokens_per_minute    in any 60 seconds: prompt and answer, estimated before and corrected by the usage after
    """

    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    requests_per_minute: int | None = attrs.field(default=None, validator=integer(1))
    tokens_per_minute: int | None = attrs.field(default=None, validator=integer(1))


@attrs.frozen(kw_only=True)
class Hedge:
    """A second attempt elsewhere when the first is slow, the first content of either winning.

    Only drivers with tasks do that, trio and asyncio; the blocking router has one attempt at a time, and never hedges.

    after     seconds without content before the second begins; None takes `quantile` of what the candidate took lately
    quantile  of its time to the first content
    budget    how many hedges there may be, as a share of the calls
    """

    delay: float | None = attrs.field(default=None, validator=number(0))
    quantile: float = attrs.field(default=0.95, validator=number(0.5, 0.999))
    budget: float = attrs.field(default=0.1, validator=number(0, 1, above=0))


def _rules(given: Mapping[str, Rule | Action | str]) -> dict[str, Rule]:
    """Each key is a failure class, or `provider:class`; each value an action, or a whole rule."""
    rules = {}
    for key, value in given.items():
        name = key.rpartition(":")[2]
        if name not in set(FailureClass):
            raise ValueError(f"Policy.rules: {name!r} is no class of failure; known are {', '.join(FailureClass)}")
        if not isinstance(value, Rule) and value not in set(Action):
            raise ValueError(f"Policy.rules: {value!r} is no action; known are {', '.join(Action)}")
        rules[key] = value if isinstance(value, Rule) else attrs.evolve(RULES[FailureClass(name)], action=Action(value))
    return rules


def _copied(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy, so that what the caller changes later changes no rule; a mapping of another make is kept as it is."""
    return dict(value) if isinstance(value, dict) else value


@attrs.frozen(kw_only=True)
class Policy:
    """The settings of a router, of a route or of one call. Only a router can have those marked with *.

    Attributes:
        timeout: Seconds for a whole call, with all attempts and waits. For a stream: until its first token.
        timeouts: The timers of one attempt. See `Timeouts`.
        max_retries: How often the same candidate is tried again after a failure that may pass.
        max_attempts: How many attempts one call may make in all.
        backoff_initial: Seconds. The wait before retry n is random between 0 and `backoff_initial * 2**(n-1)`.
        backoff_max: Seconds. The upper bound of that range.
        fallback_reserve: The share of the remaining time that an attempt may not use while other candidates are
            untried. It keeps a hung primary from using up the time of the fallback. A response that has begun may
            use it.
        attempt_timeout: Seconds for one attempt until its first token, or until its whole response if it does not
            stream.
        rules: The action for a class of failure, if it is not the default of
            `turnout.routing.policy.classify.RULES`: `{"content-filter": "fallback", "groq:rate-limit": "fallback"}`.
        retry_mode: "always" repeats failed requests. "only_if_unsent" repeats only requests of which no byte can
            have been sent, for callers to whom a repeated request may cost twice.
        on_interrupt: What follows if a stream breaks after its first token: "raise" an error with the partial
            response, "restart" from the beginning after a `Restarted` event, or "resume" if the model can continue
            a prefilled response (else raise).
        when_all_in_cooldown: What to do if every candidate is in cooldown: "try_anyway" the first one, "wait" for
            the first one to recover, or "fail".
        when_at_capacity: What to do at a limit: "wait" in a queue, first come first served, or "reject" with
            `ConcurrencyExceeded`.
        max_cost: How much one call may cost, in the currency of `prices`. Candidates that might cost more are skipped.
        prices: `Price` by `provider/model` or by model id.
        context_windows: Tokens, by `provider/model` or by model id, if the catalog does not know them.
        hedge: See `Hedge`. None never runs two attempts at once.
        max_concurrency: * Attempts in flight in all. None is no limit.
        max_pending: * How many calls may wait in the queue. None is no limit.
        limits: * `Limit` by provider, or by `provider/model`.
        breaker: * See `BreakerPolicy`. None never skips a candidate because of its failures.
    """

    timeout: float = _seconds(60.0)
    timeouts: Timeouts = attrs.field(factory=Timeouts, validator=instance(Timeouts))
    max_retries: int = attrs.field(default=2, validator=integer(0))
    max_attempts: int = attrs.field(default=10, validator=integer(1))
    backoff_initial: float = attrs.field(default=0.5, validator=number(0))
    backoff_max: float = attrs.field(default=8.0, validator=number(0))
    fallback_reserve: float = attrs.field(default=0.3, validator=number(0, 0.95))
    attempt_timeout: float | None = attrs.field(default=None, validator=number(above=0))
    rules: Mapping[str, Rule] = attrs.field(factory=dict, converter=_rules)
    retry_mode: RetryMode = _one_of("always", "only_if_unsent")
    on_interrupt: OnInterrupt = _one_of("raise", "restart", "resume")
    when_all_in_cooldown: WhenAllInCooldown = _one_of("try_anyway", "wait", "fail")
    when_at_capacity: WhenAtCapacity = _one_of("wait", "reject")
    max_cost: float | None = attrs.field(default=None, validator=number(0))
    prices: Mapping[str, Price] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Price))
    context_windows: Mapping[str, int] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(int))
    hedge: Hedge | None = attrs.field(default=None, validator=instance(Hedge))
    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    max_pending: int | None = attrs.field(default=None, validator=integer(0))
    limits: Mapping[str, Limit] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Limit))
    breaker: BreakerPolicy | None = attrs.field(
        factory=BreakerPolicy, validator=attrs.validators.optional(instance(BreakerPolicy))
    )

    def rule(self, failure: FailureClass, provider: str) -> Rule:
        """What a failure leads to with this provider."""
        if not self.rules:
            return RULES[failure]
        return self.rules.get(f"{provider}:{failure.value}") or self.rules.get(failure.value) or RULES[failure]
