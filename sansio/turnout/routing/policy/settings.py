"""The settings of routers, routes and calls: timeouts, retries, rules, limits, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from turnout._utils.hints.keywords import FALLBACKS
from turnout._utils.names import NameTable, did_you_mean, vendor_of
from turnout._utils.validation import CheckedFields, instance, integer, mapping_to, number, one_of, quoted
from turnout.failures import FailureClass
from turnout.prices import Price
from turnout.routing.policy.budgets import Budget, checked_budgets
from turnout.routing.policy.classify import RULES, Action, Rule
from turnout.routing.policy.merge import Stated, merged
from turnout.types.models import ModelConfig, as_model

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
class Timeouts(Stated):
    """The timers of one attempt, in seconds. Each is cut to the remaining time of the call.

    Attributes:
        connect: Until the connection is usable, TLS included.
        response_headers: From the start of an attempt to the response headers of a stream. (A whole response arrives
            with its headers, so only the deadline limits it.)
        first_token: From sending to the first token of a stream. Comments and pings do not count.
        between_tokens: Between events after the first token. Only time in which we wait for bytes counts.
        error_body: After the head of an error response. The status decides, whatever arrives of the body by then.
        drain: After the end of the response, until the HTTP body ends too and the connection can be reused.
    """

    connect: float = _seconds(5.0)
    response_headers: float = _seconds(30.0)
    first_token: float = _seconds(60.0)
    between_tokens: float = _seconds(60.0)
    error_body: float = _seconds(2.0)
    drain: float = _seconds(0.25)


@attrs.frozen(kw_only=True)
class BreakerPolicy(CheckedFields):
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
    max_break_duration: float = _seconds(12.0)


@attrs.frozen(kw_only=True)
class Limit(CheckedFields):
    """The most that a provider, or one candidate, is given.

    Attributes:
        max_concurrency: Attempts in flight.
        requests_per_minute: In any 60 seconds.
        tokens_per_minute: In any 60 seconds: tokens of prompt and response. They are estimated before an attempt, and
            corrected by its usage.
        input_tokens_per_minute: Tokens of prompts alone, for providers that count them apart.
        output_tokens_per_minute: Tokens of responses alone, likewise.
    """

    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    requests_per_minute: int | None = attrs.field(default=None, validator=integer(1))
    tokens_per_minute: int | None = attrs.field(default=None, validator=integer(1))
    input_tokens_per_minute: int | None = attrs.field(default=None, validator=integer(1))
    output_tokens_per_minute: int | None = attrs.field(default=None, validator=integer(1))


@attrs.frozen(kw_only=True)
class Hedge(CheckedFields):
    """A second attempt on another candidate while the first one is slow. The first content of either wins.

    Only drivers with tasks hedge: trio and asyncio. The blocking router makes one attempt at a time.

    Attributes:
        delay: Seconds without content before the second attempt starts. None uses the candidate's recent times.
        quantile: The quantile of the recent times to the first content that is used then.
        budget: The largest share of calls that may hedge.
    """

    delay: float | None = attrs.field(default=None, validator=number(0))
    quantile: float = attrs.field(default=0.95, validator=number(0.5, 0.999))
    budget: float = attrs.field(default=0.1, validator=number(0, 1, above=0))


def _rules(given: Mapping[str, Rule | Action | str | Mapping[str, Any]]) -> dict[str, Rule]:
    """Return the rules. A key is a failure class or `provider:class`; a value states what differs from the default."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Policy.rules must be a mapping, not {type(given).__name__}")
    return {key: _rule(_failure_class("rules", key), value) for key, value in given.items()}


def _failure_class(field: str, key: object) -> FailureClass:
    name = key.rpartition(":")[2] if isinstance(key, str) else str(key)
    if name not in set(FailureClass):
        raise ValueError(f"Policy.{field}: {quoted(name)} is not a failure class{did_you_mean(name, FailureClass)}")
    if name == FailureClass.DEADLINE:
        raise ValueError(f"Policy.{field}: nothing can follow 'deadline', because no time is left; set timeout instead")
    return FailureClass(name)


def _rule(failure: FailureClass, value: object) -> Rule:
    where = f"Policy.rules[{failure.value!r}]"
    if isinstance(value, Rule):
        return value
    stated: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {"action": value}
    fields = attrs.fields_dict(Rule)
    for name in stated:
        if name not in fields:
            raise ValueError(f"{where}: a rule has no {quoted(name)}{did_you_mean(str(name), fields)}")
    if "action" in stated:
        action = stated["action"]
        if not isinstance(action, str) or action not in set(Action):
            raise ValueError(f"{where}: {quoted(action)} is not an action{did_you_mean(str(action), Action)}")
        stated["action"] = Action(action)
    try:
        return attrs.evolve(RULES[failure], **stated)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


def _fallbacks(given: Mapping[str, Iterable[ModelConfig | str]]) -> dict[str, tuple[ModelConfig, ...]]:
    """Return the models for each failure class."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"Policy.fallbacks must be a mapping from failure classes, not {type(given).__name__}; {FALLBACKS}"
        )
    found: dict[str, tuple[ModelConfig, ...]] = {}
    for key, models in given.items():
        if "/" in str(key):
            raise ValueError(f"Policy.fallbacks: {str(key)!r} is a model, not a failure class; {FALLBACKS}")
        failure = _failure_class("fallbacks", key)
        if key != failure.value:
            raise ValueError(f"Policy.fallbacks[{key!r}]: write the failure class alone, as {failure.value!r}")
        listed = [models] if isinstance(models, str | ModelConfig) else list(models)
        if not listed:
            raise ValueError(f"Policy.fallbacks[{key!r}] names no model")
        for model in listed:
            if not isinstance(model, str | ModelConfig):
                raise TypeError(f"Policy.fallbacks[{key!r}] must name models, not {type(model).__name__}")
        found[failure.value] = tuple(map(as_model, listed))
    return found


def _copied(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy, so that later changes by the caller have no effect. A mapping of another class is not copied."""
    return NameTable(value) if isinstance(value, dict) else value


def _numbers(value: Any) -> Any:
    """Return a copy with a number for each name, so that every one is checked. A list of prices may know them."""
    listed = getattr(value, "context_windows", None)
    if callable(listed):
        value = listed()
    return NameTable(value) if isinstance(value, Mapping) else value


def _windows(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, int]) -> None:
    mapping_to(int)(instance, attribute, value)
    for name, tokens in value.items():
        if isinstance(tokens, bool) or tokens < 1:
            raise ValueError(f"Policy.context_windows[{name!r}] must be at least 1 token, not {tokens}")


@attrs.frozen(kw_only=True)
class Policy(Stated):
    """The settings of a router, of a route, of a model in a route, or of one call.

    A policy states what differs from the next wider one: call over model over route over router. Only a router can
    have the settings that are marked with *.

    Attributes:
        timeout: Seconds for a whole call, with all attempts and waits. For a stream: until its first token.
        timeouts: The timers of one attempt. See `Timeouts`.
        max_retries: How often the same candidate is tried again after a failure that may pass, within `max_attempts`.
            An attempt that timed out is not repeated, unless `rules` has `{"no-response": "retry"}`.
        max_attempts: How many attempts one call may make in all.
        backoff_initial: Seconds. The wait before retry n is random between 0 and `backoff_initial * 2**(n-1)`.
        backoff_max: Seconds. The upper bound of that range.
        short_wait: Seconds. If a Retry-After is no longer than this, the call waits and tries the same candidate again.
            If it is longer, the call uses another candidate at once, if one is free.
        attempt_timeout: Seconds for one attempt until its first token, or until its whole response if it does not
            stream. An attempt never gets more than its share: the untried candidates share the remaining time
            equally. A response that has begun may use more.
        rules: The rule for a class of failure, if it is not the default of
            `turnout.routing.policy.classify.RULES`. A key is the class, or `provider:class`. A value is an action, a
            `Rule`, or the fields that differ:
            `{"content-filter": "fallback", "groq:rate-limit": {"max_retries": 1, "cooldown": 15}}`.
        fallbacks: The models that are tried, in place of those that are left, after a failure of a class:
            `{"context-length": ["gemini/gemini-2.5-pro"], "content-filter": ["mistral/mistral-large-latest"]}`.
        retry_mode: "always" repeats failed requests. "only_if_unsent" repeats only requests of which no byte can
            have been sent, because a repeated request may cost twice.
        on_interrupt: The next step if a stream breaks after its first token: "raise" an error with the partial
            response, "restart" from the beginning after a `Restarted` event, or "resume" if the model can continue
            a prefilled response (else raise).
        when_all_in_cooldown: What to do if every candidate is in cooldown: "try_anyway" the first one, "wait" for
            the first one to recover, or "fail".
        when_at_capacity: What to do at a limit: "wait" in a queue, in the order of arrival, or "reject" with
            `ConcurrencyExceeded`.
        max_cost: How much one call may cost, in the currency of `prices`. Candidates that might cost more are skipped.
        prices: `Price` by `provider/model`, by model id, or by a pattern such as `openai/*`.
        context_windows: Tokens, by the same names, if the catalog does not know them. Or a `PriceList`, which has them.
        hedge: See `Hedge`. None never runs two attempts at once. It has no effect in the blocking router.
        max_concurrency: * Attempts in flight in all. None is no limit.
        max_pending: * How many calls may wait in the queue. None is no limit.
        limits: * `Limit` by provider, by `provider/model`, or by a pattern such as `openai/*`, which is a limit for
            each model that matches it. A limit of a provider with several keys holds for each key.
        budgets: * What calls may cost together in a period; see `turnout.routing.Budget`.
        breaker: * See `BreakerPolicy`. None never skips a candidate because of its failures.
        max_cooldown: * Seconds. The upper bound of each cooldown, and of each Retry-After.
        learn_limits: * True if calls keep to the limits that responses report or that refusals show.
        max_learned_wait: * Seconds for which a reported limit is believed.
    """

    timeout: float = _seconds(60.0)
    timeouts: Timeouts = attrs.field(factory=Timeouts, validator=instance(Timeouts))
    max_retries: int = attrs.field(default=2, validator=integer(0))
    max_attempts: int = attrs.field(default=10, validator=integer(1))
    backoff_initial: float = attrs.field(default=0.5, validator=number(0))
    backoff_max: float = attrs.field(default=8.0, validator=number(0))
    short_wait: float = attrs.field(default=2.0, validator=number(0))
    attempt_timeout: float | None = attrs.field(default=None, validator=number(above=0))
    rules: Mapping[str, Rule] = attrs.field(factory=dict, converter=_rules)
    fallbacks: Mapping[str, tuple[ModelConfig, ...]] = attrs.field(factory=dict, converter=_fallbacks)
    retry_mode: RetryMode = _one_of("always", "only_if_unsent")
    on_interrupt: OnInterrupt = _one_of("raise", "restart", "resume")
    when_all_in_cooldown: WhenAllInCooldown = _one_of("try_anyway", "wait", "fail")
    when_at_capacity: WhenAtCapacity = _one_of("wait", "reject")
    max_cost: float | None = attrs.field(default=None, validator=number(0))
    prices: Mapping[str, Price] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Price))
    context_windows: Mapping[str, int] = attrs.field(factory=dict, converter=_numbers, validator=_windows)
    hedge: Hedge | None = attrs.field(default=None, validator=instance(Hedge))
    max_concurrency: int | None = attrs.field(default=None, validator=integer(1))
    max_pending: int | None = attrs.field(default=None, validator=integer(0))
    limits: Mapping[str, Limit] = attrs.field(factory=dict, converter=_copied, validator=mapping_to(Limit))
    budgets: tuple[Budget, ...] = attrs.field(default=(), converter=checked_budgets)
    breaker: BreakerPolicy | None = attrs.field(
        factory=BreakerPolicy, validator=attrs.validators.optional(instance(BreakerPolicy))
    )
    max_cooldown: float = _seconds(300.0)
    learn_limits: bool = attrs.field(default=True, validator=instance(bool))
    max_learned_wait: float = _seconds(60.0)

    def rule(self, failure: FailureClass, provider: str) -> Rule:
        """Return the rule for a failure with this provider."""
        if not self.rules and not self.fallbacks:
            return RULES[failure]
        value, vendor = failure.value, vendor_of(provider)
        rule = self.rules.get(f"{provider}:{value}") or self.rules.get(f"{vendor}:{value}") or self.rules.get(value)
        rule = rule or RULES[failure]
        if rule.action is Action.RAISE and value in self.fallbacks:
            # The models that the user names for this class must be tried.
            return attrs.evolve(rule, action=Action.FALLBACK)
        return rule

    def over(self, wide: Policy) -> Policy:
        """Return the settings of `wide`, with those that this policy states over them."""
        return merged(self, wide)

    def check_place(self, router: Policy, place: str) -> None:
        """Check that this policy of a call, a model or a route states nothing that only a router can have.

        Args:
            router: The policy of the router. To repeat its settings is allowed.
            place: The owner of the policy, for the message.

        Raises:
            ValueError: If it states such a setting.
        """
        for name in ROUTER_ONLY:
            if name in self.stated and getattr(self, name) != getattr(router, name):
                raise ValueError(f"{place}: only a router can have {name}; give it as Router(policy=Policy({name}=…))")


ROUTER_ONLY = (
    "max_concurrency",
    "max_pending",
    "limits",
    "budgets",
    "breaker",
    "max_cooldown",
    "learn_limits",
    "max_learned_wait",
)
