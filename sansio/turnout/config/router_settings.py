"""The router's part of a configuration: its policy, its routes and its aliases.

runtime:
  router:
    maxProviderConcurrency: 16        # agno-go's names, and those of `Policy`
    providerTimeout: 55s
    onInterrupt: restart
    limits:
      groq: {requestsPerMinute: 30, tokensPerMinute: 6000}
    budgets:
      - {amount: 50, per: day}                                   # of the whole router
      - {amount: 20, per: month, by: user}                       # of each user, a label in the request's metadata
      - {amount: 5, per: day, by: provider, only: [groq], zone: "+01:00"}
    breaker: {consecutiveFailures: 3, breakDuration: 10s}       # or: breaker: off
    hedge: {delay: 800ms, budget: 0.05}
    prices:
      gpt-4o-mini: {prompt: 0.15, completion: 0.60}
    rules:
      content-filter: fallback
      rate-limit: {action: retry, maxRetries: 1, cooldown: 15s}
    fallbacks:                          # tried in place of the others after a failure of this class
      context-length: [gemini/gemini-2.5-pro]
routes:
  fast:
    strategy: lowest-latency
    choices:
      - groq/llama-3.3-70b-versatile
      - {model: openai/gpt-4o-mini, tier: 1, policy: {attemptTimeout: 20s}}
  patient: {extends: fast, policy: {providerTimeout: 120s}}
  gpt-*: [azure/gpt-*, openai/gpt-*]    # serves route/gpt-5-mini with azure/gpt-5-mini and openai/gpt-5-mini
aliases:
  cheap: fast                           # route/cheap is route/fast
  openai/gpt-4: openai/gpt-4.1
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from turnout._utils.names import did_you_mean
from turnout.chat import ModelConfig
from turnout.config.values import (
    SettingsError,
    duration_seconds,
    known_only,
    mapping_of,
    number_of,
    quoted,
    snake_case,
    snake_keys,
    text_of,
    whole_number,
    yes_or_no,
)
from turnout.prices import Price
from turnout.routing.policy.budgets import Budget
from turnout.routing.policy.routes import Choice, Route
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts

__all__ = ["place_in_policy", "place_of", "read_aliases", "read_policy", "read_routes"]

Reader = Callable[[object, str], Any]

# agno-go's names for fields of `Policy`.
ALIASES = {
    "provider_timeout": "timeout",
    "provider_backoff": "backoff_initial",
    "max_provider_concurrency": "max_concurrency",
    "provider_retries": "max_retries",
}


def _section(kind: type[attrs.AttrsInstance], readers: Mapping[str, Reader]) -> Reader:
    """Return the reader of a mapping whose keys are the fields of `kind`."""

    def read(value: object, where: str) -> Any:
        given = known_only(snake_keys(value, where), where, readers)
        fields = {key: readers[key](item, f"{where}.{key}") for key, item in given.items() if item is not None}
        missing = [name for name in needed if name not in fields]
        if missing:
            raise SettingsError(
                f"{where}: it needs {' and '.join(missing)}, as in {{{', '.join(map(_sample, needed))}}}"
            )
        try:
            return kind(**fields)
        except (ValueError, TypeError) as error:
            raise SettingsError(f"{where}: {error}") from None

    needed = [field.name for field in attrs.fields(kind) if field.init and field.default is attrs.NOTHING]
    return read


def _sample(name: str) -> str:
    return f"{name}: …"


def _or_off(reader: Reader) -> Reader:
    """Return the same reader, which takes `off` for None. YAML reads `off` as false."""
    return lambda value, where: None if value is False or value == "off" else reader(value, where)


def _by_name(reader: Reader) -> Reader:
    """Return the reader of a mapping from the user's names to values of one kind. It keeps the names as they are."""
    return lambda value, where: {
        str(name): reader(item, f"{where}.{name}") for name, item in mapping_of(value, where).items()
    }


def _read_rule(value: object, where: str) -> object:
    """Return an action, or the stated fields of a rule."""
    if not isinstance(value, Mapping):
        return text_of(value, where)
    given = known_only(snake_keys(value, where), where, _RULE)
    return {key: _RULE[key](item, f"{where}.{key}") for key, item in given.items() if item is not None}


def _read_names(value: object, where: str) -> object:
    """Return one name or several, of models or of what a budget counts."""
    listed = value if isinstance(value, list) else [value]
    return [text_of(item, f"{where}[{position}]") for position, item in enumerate(listed)]


def _read_zone(value: object, where: str) -> object:
    """Return a zone with a fixed offset, such as `+01:00`. Zones with a name need a database, which code can give."""
    text = text_of(value, where)
    if text == "UTC":
        return datetime.UTC
    try:
        return datetime.datetime.strptime(text or "", "%z").tzinfo
    except ValueError:
        raise SettingsError(
            f"{where}: UTC or an offset such as +01:00 was expected, not {quoted(text)}; for a zone with a name, write "
            'Budget(…, zone=ZoneInfo("Europe/Berlin")) in code'
        ) from None


def _listed(reader: Reader) -> Reader:
    """Return the reader of a list of values of one kind."""

    def read(value: object, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise SettingsError(f"{where}: a list was expected, not {quoted(value)}")
        return [reader(item, f"{where}[{position}]") for position, item in enumerate(value)]

    return read


def _true_or_false(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: true or false was expected, not {quoted(value)}")
    return value


_RULE: dict[str, Reader] = {
    "action": text_of,
    "health": _true_or_false,
    "cooldown": duration_seconds,
    "max_retries": whole_number,
}
_TIMEOUTS: dict[str, Reader] = {f"{field.name}_timeout": duration_seconds for field in attrs.fields(Timeouts)}
_LIMIT: dict[str, Reader] = {field.name: whole_number for field in attrs.fields(Limit)}
_BREAKER: dict[str, Reader] = {
    "window": duration_seconds,
    "minimum_calls": whole_number,
    "failure_ratio": number_of,
    "consecutive_failures": whole_number,
    "break_duration": duration_seconds,
    "break_multiplier": number_of,
    "max_break_duration": duration_seconds,
}
_BUDGET: dict[str, Reader] = {
    "amount": number_of,
    "per": text_of,
    "by": text_of,
    "only": _read_names,
    "zone": _read_zone,
}
_HEDGE: dict[str, Reader] = {"delay": duration_seconds, "quantile": number_of, "budget": number_of}
_PRICE: dict[str, Reader] = {field.name: number_of for field in attrs.fields(Price)}
_POLICY: dict[str, Reader] = {
    "timeout": duration_seconds,
    "max_retries": whole_number,
    "max_attempts": whole_number,
    "backoff_initial": duration_seconds,
    "backoff_max": duration_seconds,
    "short_wait": duration_seconds,
    "attempt_timeout": duration_seconds,
    "rules": _by_name(_read_rule),
    "fallbacks": _by_name(_read_names),
    "retry_mode": text_of,
    "on_interrupt": text_of,
    "when_all_in_cooldown": text_of,
    "when_at_capacity": text_of,
    "max_cost": number_of,
    "prices": _by_name(_section(Price, _PRICE)),
    "context_windows": _by_name(whole_number),
    "hedge": _or_off(_section(Hedge, _HEDGE)),
    "max_concurrency": whole_number,
    "max_pending": whole_number,
    "limits": _by_name(_section(Limit, _LIMIT)),
    "budgets": _listed(_section(Budget, _BUDGET)),
    "breaker": _or_off(_section(BreakerPolicy, _BREAKER)),
    "max_cooldown": duration_seconds,
    "learn_limits": yes_or_no,
    "max_learned_wait": duration_seconds,
}


_ROUTER_PLACE = "write it in the section of the router: runtime: {{router: {{{}: …}}}}"
_LITELLM = "this is a section of LiteLLM's file: docs/coming-from/litellm.md shows each one here"
# The sections of LiteLLM's file.
_SECTIONS = {
    "model_list": "write routes: {fast: [openai/gpt-4o-mini, …]} or serve: {aliases: {fast: […]}}, and keys as "
    f"providers: {{openai: {{apiKey: …}}}}; {_LITELLM}",
    **dict.fromkeys(("router_settings", "litellm_settings"), f"write runtime: {{router: {{…}}}}; {_LITELLM}"),
    "general_settings": f"write serve: {{…}}; {_LITELLM}",
    "environment_variables": "write ${NAME} in place of a value, and set the variable or write it in .env; "
    f"{_LITELLM}",
}


def place_of(name: str, providers: Iterable[str] = ()) -> str | None:
    """Return the place of a setting that is written outside of its section; None if no section has it.

    Args:
        name: The key that was found.
        providers: The names of the catalog.
    """
    if snake_case(name) in {*ALIASES, *_TIMEOUTS, *_POLICY}:
        return _ROUTER_PLACE.format(name)
    return f"write providers: {{{name}: …}}" if name in providers else _SECTIONS.get(name)


def _timer_place(name: str) -> str | None:
    if snake_case(name) in ("timeouts", "timers"):
        return f"each timer is a setting here: {', '.join(map(_camel_case, _TIMEOUTS))}"
    return None


def place_in_policy(name: str) -> str | None:
    """Return how a setting of a policy is written in a file that has a section `policy`; None if it is none."""
    if snake_case(name) in {*ALIASES, *_TIMEOUTS, *_POLICY}:
        return f"write policy: {{{name}: …}}"
    timers = _timer_place(name)
    return timers and timers.replace("a setting here", "a setting of the section policy")


def _camel_case(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def read_policy(section: object, where: str) -> dict[str, Any]:
    """Return the fields of `Policy` that a section sets.

    Raises:
        SettingsError: A setting is wrong.
    """
    written = snake_keys(section, where)
    known_only(written, where, (*ALIASES, *_TIMEOUTS, *_POLICY), _timer_place)
    fields: dict[str, Any] = {}
    timeouts: dict[str, float] = {}
    for key, value in written.items():
        if value is None:
            continue
        place = f"{where}.{key}"
        if key in _TIMEOUTS:
            timeouts[key.removesuffix("_timeout")] = _TIMEOUTS[key](value, place)
        else:
            name = ALIASES.get(key, key)
            fields[name] = _POLICY[name](value, place)
    try:
        if timeouts:
            fields["timeouts"] = Timeouts(**timeouts)
        Policy(**fields)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None
    return fields


def read_routes(section: object) -> tuple[Route, ...]:
    """Return the routes of a configuration. The policy of a route states what differs from the router's."""
    sections = {str(name): value for name, value in mapping_of(section, "routes").items()}
    return tuple(_route(name, sections, ()) for name in sections)


def read_aliases(section: object) -> Mapping[str, str]:
    """Return the other names of models and routes."""
    aliases = {}
    for name, value in mapping_of(section, "aliases").items():
        target = text_of(value, f"aliases.{name}")
        if target is None:
            raise SettingsError(f"aliases.{name}: a model or a route was expected, such as openai/gpt-4o-mini")
        aliases[str(name)] = target
    return aliases


def _route(name: str, sections: Mapping[str, object], seen: tuple[str, ...]) -> Route:
    where = f"routes.{name}"
    value = sections[name]
    section = snake_keys({"choices": value} if isinstance(value, list) else value, where)
    known_only(section, where, ("strategy", "choices", "policy", "extends"))
    given = {key: item for key, item in section.items() if item is not None}
    base = text_of(given.get("extends"), f"{where}.extends")
    wide = _route(_extended(name, base, sections, seen), sections, (*seen, name)) if base is not None else None
    listed = given.get("choices")
    if (wide is None or listed is not None) and not (isinstance(listed, list) and listed):
        raise SettingsError(f"{where}.choices: a list of models was expected, such as [groq/llama-3.3-70b-versatile]")
    choices = [_choice(choice, f"{where}.choices[{position}]") for position, choice in enumerate(listed or ())]
    policy = _policy_of(given, where)
    try:
        if wide is not None:
            return wide.extended(name, choices or None, given.get("strategy"), policy=policy)
        return Route(name, choices, given.get("strategy", "ordered"), policy=policy)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None


def _extended(name: str, base: str, sections: Mapping[str, object], seen: tuple[str, ...]) -> str:
    """Return the name of the route that a route extends, if it can."""
    if base not in sections:
        known = did_you_mean(base, list(sections))
        raise SettingsError(f"routes.{name}.extends: there is no route named {base!r}{known}")
    if base in (*seen, name):
        raise SettingsError(f"routes.{name}.extends: the routes {' and '.join((*seen, name))} extend each other")
    return base


def _policy_of(given: Mapping[str, Any], where: str) -> Policy | None:
    policy = given.get("policy")
    return Policy(**read_policy(policy, f"{where}.policy")) if policy is not None else None


def _choice(value: object, where: str) -> Choice:
    if isinstance(value, str):
        value = {"model": value}
    given = dict(known_only(snake_keys(value, where), where, ("model", "weight", "tier", "policy", *_SAMPLING)))
    model = text_of(given.pop("model", None), f"{where}.model")
    if model is None:
        raise SettingsError(f"{where}.model: a model was expected, such as openai/gpt-4o-mini")
    settings = {key: given[key] for key in _SAMPLING if given.get(key) is not None}
    try:
        return Choice(
            ModelConfig.parse(model, **settings),
            weight=number_of(given.get("weight", 1.0), f"{where}.weight"),
            tier=whole_number(given.get("tier", 0), f"{where}.tier"),
            policy=_policy_of(given, where),
        )
    except SettingsError:
        raise
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None


# The settings of a model in a route.
_SAMPLING = tuple(field.name for field in attrs.fields(ModelConfig)[2:] if field.name != "timeout")
