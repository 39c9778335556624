"""Settings as values, made from plain mappings: a configuration file that was read, and an environment.

It reads no file and no environment. The shape of the file, camelCase or snake_case alike:

    providers:
      openai:
        endpoint: ${OPENAI_ENDPOINT}      # a variable that is not set is as if the line were not there
        apiKey: ${OPENAI_API_KEY}
        enabled: true
      my-vllm:
        kind: openai-compatible           # which entry of the catalog; by default the one of the same name
        endpoint: http://10.0.0.7:8000/v1
    runtime:
      router:
        maxProviderConcurrency: 16
        providerTimeout: 55s
        providerRetries: 1
        providerBackoff: 50ms
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout.providers import CATALOG, CatalogEntry, Provider, create
from turnout.routing.policy import Policy, Timers

__all__ = ["ProviderSettings", "Settings", "SettingsError", "duration_seconds"]


class SettingsError(ValueError):
    """A setting that cannot be used. The message says where it stands, and what it should be."""


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """How one provider is to be made.

    kind     the entry of the catalog
    options  what `turnout.providers.create` takes besides
    """

    name: str
    kind: str
    api_key: str | None = attrs.field(default=None, repr=False)
    endpoint: str | None = None
    enabled: bool = True
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=lambda options: repr(sorted(options)))

    def build(self) -> Provider:
        return create(self.kind, name=self.name, api_key=self.api_key, endpoint=self.endpoint, **self.options)


@attrs.frozen(kw_only=True)
class Settings:
    """What a router is made of.

    providers  in the order of the file, then those of the catalog that the file does not name
    router     fields of `Policy` that were set
    """

    providers: tuple[ProviderSettings, ...]
    router: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Every provider of the catalog, with what the variables say."""
        return cls.from_mapping({}, env)

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any], env: Mapping[str, str]) -> Settings:
        """What a configuration says, completed from the variables. Raises SettingsError."""
        config = _known(config, "", ("providers", "runtime", "version"))
        named = _mapping(config.get("providers"), "providers")
        providers = [_provider(name, section, env) for name, section in named.items()]
        providers += [_provider(name, {}, env) for name in CATALOG if name not in named]
        runtime = _known(_mapping(config.get("runtime"), "runtime"), "runtime", ("router",))
        return cls(providers=tuple(providers), router=_router(_mapping(runtime.get("router"), "runtime.router"), env))

    def policy(self, **overrides: Any) -> Policy:
        """The policy of these settings, with some of its fields given anew."""
        try:
            return Policy(**{**self.router, **overrides})
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            known = [field.name for field in attrs.fields(Policy)]
            unknown = next(name for name in overrides if name not in known)
            raise SettingsError(f"{unknown} is no field of Policy{_hint(unknown, known)}") from None

    def build_providers(self) -> tuple[tuple[Provider, bool], ...]:
        """Each provider, and whether it is enabled."""
        return tuple((settings.build(), settings.enabled) for settings in self.providers)


_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h)")
_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(value: object, where: str) -> float:
    """Seconds of `55s`, `50ms`, `1m30s`, or of a number, which is in seconds. Raises SettingsError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    pieces = _PIECE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise SettingsError(f"{where}: a duration such as 55s, 50ms or 1m30s was expected, not {value!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def expand(value: Any, env: Mapping[str, str]) -> Any:
    """`${NAME}` and `${NAME:-default}` replaced, inside mappings and lists too.

    A value that is nothing but variables that are not set is None: as if it had not been written.
    """
    if isinstance(value, Mapping):
        return {key: expand(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, env) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    expanded = _VARIABLE.sub(lambda found: env.get(found[1]) or found[2] or "", value)
    return expanded if expanded.strip() else None


def snake_case(name: str) -> str:
    """`maxProviderConcurrency` as `max_provider_concurrency`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


# The fields of a provider's section that are not options of its own.
_FIELDS = ("kind", "api_key", "endpoint", "base_url", "enabled", "disabled", "unsupported", "headers")


def _provider(name: str, section: Any, env: Mapping[str, str]) -> ProviderSettings:
    where = f"providers.{name}"
    section = {snake_case(key): value for key, value in _mapping(expand(section, env), where).items()}
    kind = section.get("kind", name)
    if kind not in CATALOG:
        raise SettingsError(
            f"{where}: no provider named {kind!r} is in the catalog{_hint(str(kind), list(CATALOG))}; "
            "an OpenAI-compatible server is kind: openai-compatible"
        )
    entry = CATALOG[kind]
    own_options = (*entry.option_env, "access_token")
    section = _known(section, where, (*_FIELDS, *own_options))
    # The variables of a vendor are its own account's: a second account under another name must say its key itself.
    first = name == entry.name
    options = {key: section[key] for key in ("unsupported", "headers", *own_options) if section.get(key) is not None}
    if first:
        options = {**_from_env(entry, env), **options}
    enabled = section.get("enabled", True)
    disabled = section.get("disabled", False)
    for key, value in (("enabled", enabled), ("disabled", disabled)):
        if not isinstance(value, bool):
            raise SettingsError(f"{where}.{key}: true or false was expected, not {value!r}")
    return ProviderSettings(
        name=name,
        kind=kind,
        api_key=_text(section.get("api_key"), f"{where}.apiKey") or (_first(entry.key_env, env) if first else None),
        endpoint=_text(section.get("endpoint") or section.get("base_url"), f"{where}.endpoint")
        or (_first(entry.endpoint_env, env) if first else None),
        enabled=enabled and not disabled,
        options=options,
    )


def _from_env(entry: CatalogEntry, env: Mapping[str, str]) -> dict[str, str]:
    return {option: value for option, names in entry.option_env.items() if (value := _first(names, env))}


def _first(names: tuple[str, ...], env: Mapping[str, str]) -> str | None:
    """The first of the variables that is set to something."""
    return next((value for name in names if (value := env.get(name, "").strip())), None)


# The names that a file may use, and the fields of Policy and Timers that they set.
_DURATIONS = {
    "provider_timeout": "timeout",
    "timeout": "timeout",
    "provider_backoff": "backoff",
    "backoff": "backoff",
    "max_backoff": "max_backoff",
}
_NUMBERS = {
    "max_provider_concurrency": "max_concurrency",
    "max_concurrency": "max_concurrency",
    "provider_retries": "retries",
    "retries": "retries",
    "max_attempts": "max_attempts",
    "max_waiting": "max_waiting",
}
_TIMERS = {f"{field.name}_timeout": field.name for field in attrs.fields(Timers)}


def _router(section: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    where = "runtime.router"
    written = {snake_case(key): value for key, value in expand(section, env).items()}
    given = _known(written, where, (*_DURATIONS, *_NUMBERS, *_TIMERS, "on_full", "reserve"))
    router: dict[str, Any] = {}
    timers: dict[str, float] = {}
    for key, value in given.items():
        if value is None:
            continue
        if key in _DURATIONS:
            router[_DURATIONS[key]] = duration_seconds(value, f"{where}.{key}")
        elif key in _TIMERS:
            timers[_TIMERS[key]] = duration_seconds(value, f"{where}.{key}")
        elif key in _NUMBERS:
            router[_NUMBERS[key]] = _number(value, f"{where}.{key}")
        else:
            router[key] = value
    if timers:
        router["timers"] = Timers(**timers)
    try:
        Policy(**router)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{where}: {error}") from None
    return router


def _number(value: object, where: str) -> int:
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(f"{where}: a whole number was expected, not {value!r}")
    return value


def _text(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise SettingsError(f"{where}: text was expected, not {type(value).__name__}")
    return value or None


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where}: a mapping was expected, not {value!r}")
    return value


def _known(section: Mapping[str, Any], where: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    for name in section:
        if name not in names:
            place = f"{where}.{name}" if where else str(name)
            raise SettingsError(f"{place}: no such setting{_hint(str(name), list(names))}")
    return section


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
