"""How long things may take, how often they are tried again, and what is shared out to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from turnout._validation import instance, integer, mapping_to, number, one_of
from turnout.failures import FailureClass
from turnout.prices import Price
from turnout.routing.policy.classify import RULES, Action, Rule

__all__ = ["BreakerPolicy", "Hedge", "Limit", "OnExhausted", "OnFull", "OnInterrupt", "Policy", "Replay", "Timers"]

OnInterrupt: TypeAlias = Literal["raise", "restart", "resume"]
OnFull: TypeAlias = Literal["wait", "reject"]
OnExhausted: TypeAlias = Literal["try", "wait", "fail"]
Replay: TypeAlias = Literal["safe", "only_if_unsent"]


def _seconds(default: float) -> Any:
    return attrs.field(default=default, validator=number(above=0))


def _one_of(default: str, *words: str) -> Any:
    return attrs.field(default=default, validator=one_of(default, *words))


@attrs.frozen(kw_only=True)
class Timers:
    """The timers of one attempt, in seconds. Each is cut to what is left of the call's deadline.

    connect        to a usable connection, TLS included
    head           from the beginning of an attempt to the head of a stream's answer (a unary answer comes with it)
    first_content  from sending to a stream's first content; comments and pings are not content
    idle           between events once content has come, counted only while we wait for bytes
    linger         after the answer's own terminator, for the HTTP body to end so that the connection can be reused
    """

    connect: float = _seconds(5.0)
    head: float = _seconds(30.0)
    first_content: float = _seconds(60.0)
    idle: float = _seconds(60.0)
    linger: float = _seconds(0.25)


@attrs.frozen(kw_only=True)
class BreakerPolicy:
    """When a candidate is left alone for a while because it fails.

    window       seconds over which failures are counted
    min_calls    how many attempts the window must hold before their ratio counts
    ratio        the share of failures in the window that opens the breaker
    consecutive  failures in a row that open it, whatever the ratio; 0 for never
    open_for     seconds that it stays open at first; then one probe is let through
    growth       by how much that grows each time a probe fails
    max_open     seconds; the ceiling of that
    """

    window: float = _seconds(30.0)
    min_calls: int = attrs.field(default=10, validator=integer(1))
    ratio: float = attrs.field(default=0.5, validator=number(0, 1, above=0))
    consecutive: int = attrs.field(default=5, validator=integer(0))
    open_for: float = _seconds(5.0)
    growth: float = attrs.field(default=2.0, validator=number(1))
    max_open: float = _seconds(120.0)


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

    after: float | None = attrs.field(default=None, validator=number(0))
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
    """The rules of a router, of a route, or of one call. Those marked * are a router's alone.

    timeout            seconds for a whole call: all attempts and waits; of a stream, until its first content
    timers             see `Timers`
    retries            how often the same candidate is tried again after a failure that may pass
    max_attempts       attempts of one call in all
    backoff            seconds; before the n-th retry of a candidate the wait is drawn from 0 to backoff · 2ⁿ⁻¹
    max_backoff        seconds; the ceiling of that range
    reserve            the share of the time left that an attempt may not use while other candidates are untried, so
                       that a hung primary cannot eat the fallback's time; an answer that has begun to come may use it
    attempt_timeout    seconds for one attempt until its first content (of a unary call: until its whole answer)
    rules              what follows a class of failure, if not the default (`turnout.routing.policy.classify.RULES`):
                       {"content-filter": "move-on", "groq:rate-limit": "move-on"}
    replay             `safe` repeats what failed; `only_if_unsent` repeats nothing of which a byte may have left, for
                       callers to whom a repeat may cost twice
    on_interrupt       what becomes of a stream that breaks after content: `raise` with the partial answer, `restart`
                       from the beginning after a `Restarted` event, or `resume` where the model can go on from a
                       prefilled answer (else it is raised)
    on_exhausted       what to do when every candidate cools down: `try` the first all the same, `wait` for the first
                       that returns, or `fail`
    on_full            at a limit: `wait` for a place, first come first served, or `reject` with ConcurrencyExceeded
    max_cost           what one call may cost, in the currency of `prices`; candidates that might cost more are skipped
    prices             by `provider/model` or by the model's id alone
    context_windows    tokens, by `provider/model` or by the model's id alone, where the catalog does not know them
    hedge              see `Hedge`; None never asks two at once
    max_concurrency *  attempts in flight in all; None is no bound
    max_waiting *      how many calls may wait for a place; None is no bound
    limits *           `Limit`s by provider, or by `provider/model`
    breaker *          see `BreakerPolicy`; None leaves no candidate alone
    """

    timeout: float = _seconds(60.0)
    timers: Timers = attrs.field(factory=Timers, validator=instance(Timers))
    retries: int = attrs.field(default=2, validator=integer(0))
    max_attempts: int = attrs.field(default=10, validator=integer(1))
    backoff: float = attrs.field(default=0.5, validator=number(0))
    max_backoff: float = attrs.field(default=8.0, validator=number(0))
    reserve: float = attrs.field(default=0.3, validator=number(0, 0.95))
    attempt_timeout: float | None = attrs.field(default=None, validator=number(above=0))
    rules: Mapping[str, Rule] = attrs.field(factory=dict, converter=_rules)
    replay: Replay = _one_of("safe", "only_if_unsent")
    on_interrupt: OnInterrupt = _one_of("raise", "restart", "resume")
    on_exhausted: OnExhausted = _one_of("try", "wait", "fail")
    on_full: OnFull = _one_of("wait", "reject")
    max_cost: float | None = attrs.field(default=None, validator=number(0))
    prices: Mapping[str, Price] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Price))
    context_windows: Mapping[str, int] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(int))
    hedge: Hedge | None = attrs.field(default=None, validator=instance(Hedge))
    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    max_waiting: int | None = attrs.field(default=None, validator=integer(0))
    limits: Mapping[str, Limit] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Limit))
    breaker: BreakerPolicy | None = attrs.field(
        factory=BreakerPolicy, validator=attrs.validators.optional(instance(BreakerPolicy))
    )

    def rule(self, failure: FailureClass, provider: str) -> Rule:
        """What a failure leads to with this provider."""
        if not self.rules:
            return RULES[failure]
        return self.rules.get(f"{provider}:{failure.value}") or self.rules.get(failure.value) or RULES[failure]
