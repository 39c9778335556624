"""A scenario as it is written down.

seed: 7
duration: 10m
arrivals: {rate: 20, steps: [{at: 4m, rate: 60}]}        # calls a second; or {users: 50, think: 2s}
models: [openai/gpt-4o-mini, gemini/gemini-2.5-flash]     # primary and fallbacks, or route/NAME
providers:
  openai:
    first_content: {median: 400ms, p95: 1.2s}             # or 400ms, [200ms, 1s] for between, {mean: 500ms}
    per_token: 10ms
    tokens: [50, 300]
    faults:
      - {from: 3m, until: 6m, fail: 503}                  # or refused reset hang silent stall cut slow
  gemini:
    max_concurrency: 100
policy: {maxRetries: 1}                                      # as runtime.router in a configuration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from turnout.chat import ModelConfig
from turnout.config.router_settings import place_in_policy, read_policy, read_routes
from turnout.config.values import (
    SettingsError,
    duration_seconds,
    known_only,
    mapping_of,
    number_of,
    quoted,
    snake_keys,
    text_of,
    whole_number,
)
from turnout.routing.policy.settings import Policy
from turnout.simulation.scenario import Arrivals, Fault, FaultKind, Scenario, SimulatedProvider, Spread

__all__ = ["ScenarioError", "read_scenario"]

Reader = Callable[[object, str], Any]


class ScenarioError(SettingsError):
    """A scenario that cannot be used. The message names the key."""


def read_scenario(document: object) -> Scenario:
    """Return the scenario that a mapping describes.

    Raises:
        ScenarioError: If it cannot be used.
    """
    try:
        return _read(document)
    except SettingsError as error:
        raise ScenarioError(str(error)) from None
    except RecursionError:
        raise ScenarioError("the scenario: the values are nested too deeply") from None


def _read(document: object) -> Scenario:
    readers: dict[str, Reader] = {
        "seed": whole_number,
        "duration": duration_seconds,
        "calls": whole_number,
        "kind": _one_of("stream", "chat", "collect"),
        "arrivals": _arrivals,
        "prompt_tokens": _spread(number_of),
        "providers": _providers,
        "models": _models,
        "concurrent": _flag,
        "bins": whole_number,
    }
    given = snake_keys(document, "the scenario")
    known_only(given, "", (*readers, "policy", "routes"), place_in_policy)
    for name in ("providers", "models"):
        if not given.get(name):
            raise SettingsError(f"{name}: a scenario needs it")
    fields = {name: read(given[name], name) for name, read in readers.items() if given.get(name) is not None}
    policy = read_policy(given.get("policy"), "policy")
    routes = read_routes(given.get("routes"))
    made: Scenario = _made(Scenario, "the scenario", policy=Policy(**policy), routes=routes, **fields)
    return made


def _made(make: Callable[..., Any], where: str, /, **fields: Any) -> Any:
    try:
        return make(**fields)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None


def _spread(unit: Callable[[object, str], float]) -> Reader:
    """A number or a distribution of it."""

    def read(value: object, where: str) -> Spread:
        if isinstance(value, list):
            if len(value) != 2:
                raise SettingsError(f"{where}: a lower and an upper bound were expected, such as [1, 5]")
            low, high = (unit(bound, f"{where}[{place}]") for place, bound in enumerate(value))
            return _spread_of(where, "uniform", low, high)
        if isinstance(value, Mapping):
            given = known_only(value, where, ("mean", "median", "p95"))
            numbers = {name: unit(item, f"{where}.{name}") for name, item in given.items()}
            if set(numbers) == {"mean"}:
                return _spread_of(where, "exponential", numbers["mean"])
            if set(numbers) == {"median", "p95"}:
                return _spread_of(where, "lognormal", numbers["median"], numbers["p95"])
            raise SettingsError(f"{where}: {{median: …, p95: …}} or {{mean: …}} was expected")
        return _spread_of(where, "constant", unit(value, where))

    return read


def _spread_of(where: str, *parts: Any) -> Spread:
    made: Spread = _made(lambda: Spread(*parts), where)
    return made


def _providers(value: object, where: str) -> tuple[SimulatedProvider, ...]:
    readers: dict[str, Reader] = {
        "first_content": _spread(duration_seconds),
        "per_token": _spread(duration_seconds),
        "tokens": _spread(number_of),
        "max_concurrency": whole_number,
        "requests_per_minute": whole_number,
        "announces": _flag,
        "faults": _faults,
    }
    made = []
    for name, section in mapping_of(value, where).items():
        place = f"{where}.{name}"
        given = known_only(snake_keys(section, place), place, readers)
        fields = {key: readers[key](item, f"{place}.{key}") for key, item in given.items() if item is not None}
        made.append(_made(SimulatedProvider, place, name=str(name), **fields))
    return tuple(made)


# The kinds of fault by the words of a scenario; an error status is written as its number.
_KINDS = tuple(kind for kind in get_args(FaultKind) if kind != "status")


def _faults(value: object, where: str) -> tuple[Fault, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{where}: a list of faults was expected, such as [{{from: 3m, until: 6m, fail: 503}}]")
    return tuple(_fault(fault, f"{where}[{place}]") for place, fault in enumerate(value))


def _fault(value: object, where: str) -> Fault:
    readers: dict[str, tuple[str, Reader]] = {
        "from": ("begins", duration_seconds),
        "until": ("ends", duration_seconds),
        "share": ("share", number_of),
        "retry_after": ("retry_after", duration_seconds),
        "factor": ("factor", number_of),
    }
    given = known_only(snake_keys(value, where), where, ("fail", *readers))
    fields = {
        field: reader(given[name], f"{where}.{name}")
        for name, (field, reader) in readers.items()
        if given.get(name) is not None
    }
    fail = given.get("fail")
    if isinstance(fail, int) and not isinstance(fail, bool):
        fields |= {"kind": "status", "status": fail}
    elif fail in _KINDS:
        fields["kind"] = fail
    else:
        raise SettingsError(
            f"{where}.fail: an error status or one of {', '.join(_KINDS)} was expected, not {quoted(fail)}"
        )
    made: Fault = _made(Fault, where, **fields)
    return made


def _arrivals(value: object, where: str) -> Arrivals:
    readers: dict[str, Reader] = {
        "rate": number_of,
        "steps": _steps,
        "regular": _flag,
        "users": whole_number,
        "think": _spread(duration_seconds),
    }
    given = known_only(snake_keys(value, where), where, readers)
    fields = {key: readers[key](item, f"{where}.{key}") for key, item in given.items() if item is not None}
    if "users" in fields and ("rate" in fields or "steps" in fields):
        raise SettingsError(f"{where}: calls come at a rate or from users, not both")
    made: Arrivals = _made(Arrivals, where, **fields)
    return made


def _steps(value: object, where: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{where}: a list was expected, such as [{{at: 4m, rate: 60}}]")
    made = []
    for place, step in enumerate(value):
        given = known_only(mapping_of(step, f"{where}[{place}]"), f"{where}[{place}]", ("at", "rate"))
        at = duration_seconds(given.get("at"), f"{where}[{place}].at")
        made.append((at, number_of(given.get("rate"), f"{where}[{place}].rate")))
    return tuple(made)


def _models(value: object, where: str) -> tuple[ModelConfig, ...]:
    names = value if isinstance(value, list) else [value]
    made = []
    for place, name in enumerate(names):
        text = text_of(name, f"{where}[{place}]")
        if text is None:
            raise SettingsError(f"{where}[{place}]: a model was expected, such as openai/gpt-4o-mini")
        made.append(_made(ModelConfig.parse, f"{where}[{place}]", text=text))
    return tuple(made)


def _one_of(*words: str) -> Reader:
    def read(value: object, where: str) -> str:
        if value not in words:
            raise SettingsError(f"{where}: one of {', '.join(words)} was expected, not {quoted(value)}")
        return str(value)

    return read


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: true or false was expected, not {quoted(value)}")
    return value
