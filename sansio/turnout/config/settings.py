"""Settings as values, made from plain mappings: a configuration file that was read, and an environment.

It reads no file and no environment. The keys of the file may be in camelCase or in snake_case:

    providers:
      openai:
        endpoint: ${OPENAI_ENDPOINT}      # a line whose variable is not set has no effect
        apiKey: ${OPENAI_API_KEY}         # or apiKeys: a list, or a mapping from names to keys
        enabled: true
        responseLimits: {document: 128MB}  # how much of a response is read: `turnout.providers.ResponseLimits`
      my-vllm:
        kind: openai-compatible           # which entry of the catalog; by default the one of the same name
        endpoint: http://10.0.0.7:8000/v1
        api: responses                    # in place of chat completions, if the provider has both
    runtime:
      router: …                           # see `turnout.config.router_settings`
    routes: …
    aliases: {gpt: openai/gpt-4o-mini}
    shared: …                           # see `turnout.config.shared_settings`
    serve: …                            # see `turnout_io.serve.settings`
    cli: …                              # see `turnout_io.cli.defaults`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout._utils.hints.keywords import advice_for_from_env
from turnout._utils.names import did_you_mean
from turnout.config.router_settings import place_of, read_aliases, read_policy, read_routes
from turnout.config.shared_settings import SharedSettings, read_shared
from turnout.config.values import (
    SettingsError,
    VariableText,
    address_of,
    expand,
    known_only,
    mapping_of,
    quoted,
    size_of,
    snake_keys,
    text_of,
    without_variables,
)
from turnout.providers import CATALOG, Provider, ProviderSpec, ResponseLimits, create
from turnout.providers.base_urls import InvalidBaseUrl
from turnout.providers.unconfigured import UnconfiguredProvider, missing_variables
from turnout.redaction import Secret, without_locals
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy

__all__ = ["BuiltProvider", "ProviderSettings", "Settings", "SettingsError", "own_entries"]


def own_entries(entries: Iterable[ProviderSpec]) -> tuple[ProviderSpec, ...]:
    """Return the user's entries.

    Raises:
        TypeError: They are no list of entries.
    """
    if not isinstance(entries, Iterable):
        raise TypeError(f"entries must be a list of ProviderSpec, such as [acme], not {type(entries).__name__}")
    own = tuple(entries)
    for number, entry in enumerate(own):
        if not isinstance(entry, ProviderSpec):
            raise TypeError(f"entries[{number}] must be a ProviderSpec, not {type(entry).__name__}")
    return own


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """How one provider is made.

    Attributes:
        name: The name under which it is registered.
        spec: Its entry: of the catalog, or the user's own.
        api_key: The key, or several keys by their names.
        base_url: The base URL, if it is not the entry's.
        enabled: Whether it takes calls.
        is_named: Whether the configuration names it. The others have the settings of variables.
        options: Further arguments of `turnout.providers.create`.
    """

    name: str
    spec: ProviderSpec
    api_key: str | Mapping[str, str] | None = attrs.field(default=None, repr=False)
    base_url: str | None = attrs.field(default=None, repr=False)
    enabled: bool = True
    is_named: bool = True
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=lambda options: repr(sorted(options)))

    @property
    def kind(self) -> str:
        return self.spec.name

    @property
    def is_unset(self) -> bool:
        """True if neither the configuration nor a variable says anything about an account."""
        given = self.is_named or self.api_key is not None or self.base_url is not None
        return not given and self.options.keys() <= {"unsupported"}

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of the provider."""
        if isinstance(self.api_key, Mapping):
            return tuple(self.api_key.values())
        return (self.api_key,) if self.api_key else ()

    def build(self) -> Provider:
        """Return the provider.

        Raises:
            SettingsError: A value cannot be used.
        """
        if isinstance(self.api_key, str) and sum(map(bool, self.api_key.split(","))) > 1:
            names = self.spec.key_env
            place, several = (f" (or {names[0]})", f"in the variable {names[0]}S, or ") if names else ("", "")
            raise SettingsError(
                f"providers.{self.name}.apiKey{place} holds several keys: write them {several}as the list apiKeys"
            )
        with without_variables(self.api_key, self.base_url, self.options):
            try:
                return create(self.spec, name=self.name, api_key=self.api_key, base_url=self.base_url, **self.options)
            except (ValueError, TypeError) as error:
                # A key that no header can hold is refused too: then the variable of the address is not the one to mend.
                is_key = str(error).startswith("api_key")
                names = self.spec.key_env if is_key else self.spec.base_url_env
                variables = f" (or {', '.join(names)})" if names else ""
                kind = BaseUrlError if isinstance(error, InvalidBaseUrl) else SettingsError
                raise kind(f"providers.{self.name}{variables}: {error}") from None


class BaseUrlError(SettingsError):
    """The base URL of a provider cannot be used."""


@attrs.frozen(kw_only=True)
class BuiltProvider:
    """A provider for a router.

    Attributes:
        provider: The provider.
        enabled: Whether it takes calls.
        reason: Why it takes none, if its settings are wrong.
    """

    provider: Provider
    enabled: bool
    reason: str = ""


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a router.

    Attributes:
        providers: In the order of the file; then those of the catalog that the file does not name.
        router: The fields of `Policy` that were set.
        routes: Models under one name.
        aliases: Other names of models and routes.
        shared: The store through which processes share limits; None for none.
        serve: The section of the gateway, with its variables replaced (`turnout_io.serve.settings`).
        cli: The section of the command line, with its variables replaced (`turnout_io.cli.defaults`).
    """

    providers: tuple[ProviderSettings, ...]
    router: Mapping[str, Any] = attrs.field(factory=dict)
    routes: tuple[Route, ...] = ()
    aliases: Mapping[str, str] = attrs.field(factory=dict)
    shared: SharedSettings | None = None
    serve: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    cli: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    @without_locals
    def from_env(cls, env: Mapping[str, str], entries: Iterable[ProviderSpec] = ()) -> Settings:
        """Return every provider of the catalog, and of your own `entries`, with the settings of the variables."""
        return cls.from_mapping({}, env, entries)

    @classmethod
    @without_locals
    def from_mapping(
        cls, config: Mapping[str, Any], env: Mapping[str, str], entries: Iterable[ProviderSpec] = ()
    ) -> Settings:
        """Return the settings of a configuration, completed from the variables.

        Args:
            config: The mapping that the file holds.
            env: The variables.
            entries: Your own providers, beside those of the catalog, or in place of one of the same name.

        Raises:
            SettingsError: A setting is wrong.
        """
        catalog = {**CATALOG, **{entry.name: entry for entry in own_entries(entries)}}
        sections = ("providers", "runtime", "routes", "aliases", "shared", "serve", "cli", "version")
        # A name is no place for a variable, and an alias is made of two names.
        config = known_only(config, "", sections, lambda name: place_of(name, catalog))
        config = {name: section if name == "aliases" else expand(section, env) for name, section in config.items()}
        with without_variables(config):
            return cls._from_sections(config, env, catalog)

    @classmethod
    def _from_sections(
        cls, config: Mapping[str, Any], env: Mapping[str, str], catalog: Mapping[str, ProviderSpec]
    ) -> Settings:
        named = mapping_of(config.get("providers"), "providers")
        providers = [_provider(name, section, env, catalog) for name, section in named.items()]
        providers += [_provider(name, {}, env, catalog, is_named=False) for name in catalog if name not in named]
        runtime = known_only(mapping_of(config.get("runtime"), "runtime"), "runtime", ("router",), place_of)
        return cls(
            providers=tuple(providers),
            router=read_policy(mapping_of(runtime.get("router"), "runtime.router"), "runtime.router"),
            routes=read_routes(config.get("routes")),
            aliases=read_aliases(config.get("aliases")),
            shared=read_shared(config.get("shared"), "shared"),
            serve=mapping_of(config.get("serve"), "serve"),
            cli=mapping_of(config.get("cli"), "cli"),
        )

    def policy(self, **overrides: Any) -> Policy:
        """Return the policy of these settings.

        Args:
            **overrides: Fields that replace those of the settings.
        """
        known = [field.name for field in attrs.fields(Policy)]
        for name in overrides:
            if name not in known:
                raise SettingsError(f"a router has no setting {name!r}{advice_for_from_env(name, known)}")
        return Policy(**{**self.router, **overrides})

    @without_locals
    def build_providers(self) -> tuple[BuiltProvider, ...]:
        """Return every provider.

        A wrong base URL, or a wrong variable of a provider that the configuration does not name, disables that provider
        only: programs share their environment with others.

        Raises:
            SettingsError: Another value of the configuration cannot be used.
        """
        return tuple(map(_built, self.providers))


def _built(settings: ProviderSettings) -> BuiltProvider:
    if settings.is_unset and missing_variables(settings.spec):
        return BuiltProvider(
            provider=UnconfiguredProvider(settings.spec, settings.name, settings.build), enabled=settings.enabled
        )
    try:
        built = settings.build()
    except SettingsError as error:
        if settings.is_named and not isinstance(error, BaseUrlError):
            raise
        placeholder = create(settings.spec, name=settings.name)
        return BuiltProvider(provider=placeholder, enabled=False, reason=str(error))
    provider: Provider = built
    if built.missing_env:  # it has an address, but no key
        provider = UnconfiguredProvider(settings.spec, settings.name, lambda: built, built.missing_env)
    return BuiltProvider(provider=provider, enabled=settings.enabled)


# The fields that every provider's section may have.
_OPTIONS = ("api", "unsupported", "headers", "reasoning_replay", "idempotency_header")
_FIELDS = (
    "kind",
    "api_key",
    "api_keys",
    "endpoint",
    "base_url",
    "enabled",
    "disabled",
    "response_limits",
    *_OPTIONS,
)


def _provider(
    name: str, section: Any, env: Mapping[str, str], catalog: Mapping[str, ProviderSpec], *, is_named: bool = True
) -> ProviderSettings:
    where = f"providers.{name}"
    section = snake_keys(section, where)
    kind = section.get("kind", name)
    if not isinstance(kind, str) or kind not in catalog:
        raise SettingsError(
            f"{where}: no provider named {quoted(kind)} is in the catalog{did_you_mean(str(kind), list(catalog))}; "
            "an OpenAI-compatible server is kind: openai-compatible"
        )
    entry = catalog[kind]
    own_options = (*entry.option_env, "access_token")
    section = known_only(section, where, (*_FIELDS, *own_options))
    # The variables of a vendor belong to its first account. A second one, under another name, has its key in the file.
    first = name == entry.name
    options = {key: section[key] for key in (*_OPTIONS, *own_options) if section.get(key) is not None}
    if first:
        options = {**_from_env(entry, env, options), **options}
    if section.get("response_limits") is not None:
        options["limits"] = _limits(section["response_limits"], f"{where}.responseLimits")
    enabled = section.get("enabled", True)
    disabled = section.get("disabled", False)
    for key, value in (("enabled", enabled), ("disabled", disabled)):
        if not isinstance(value, bool):
            raise SettingsError(f"{where}.{key}: true or false was expected, not {quoted(value)}")
    return ProviderSettings(
        name=name,
        spec=entry,
        api_key=_keys(section, where) or (_keys_of_env(entry, env) if first else None),
        base_url=address_of(section.get("endpoint"), f"{where}.endpoint")
        or address_of(section.get("base_url"), f"{where}.baseUrl")
        or (_first(entry.base_url_env, env) if first else None),
        enabled=enabled and not disabled,
        is_named=is_named,
        options=options,
    )


def _limits(section: object, where: str) -> ResponseLimits:
    names = [field.name for field in attrs.fields(ResponseLimits)]
    given = known_only(snake_keys(section, where), where, names)
    sizes = {name: size_of(value, f"{where}.{name}") for name, value in given.items() if value is not None}
    try:
        return ResponseLimits(**sizes)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None


def _keys(section: Mapping[str, Any], where: str) -> str | Mapping[str, str] | None:
    """Return the key or the keys of a provider's section; None if it has none."""
    one, several = text_of(section.get("api_key"), f"{where}.apiKey"), section.get("api_keys")
    if several is None:
        return one
    if one is not None:
        raise SettingsError(f"{where}: write apiKey for one key or apiKeys for several, not both")
    place = f"{where}.apiKeys"
    if isinstance(several, str):
        return _split_keys(several, place)
    if isinstance(several, Mapping):
        named = {str(name): text_of(key, f"{place}.{name}") for name, key in several.items()}
    elif isinstance(several, list):
        named = {str(number): text_of(key, f"{place}[{number - 1}]") for number, key in enumerate(several, 1)}
    else:
        raise SettingsError(f"{place}: a list of keys, or a mapping from names to keys, was expected")
    # A variable that is not set is as if its line were not there.
    return {name: key for name, key in named.items() if key} or None


def _split_keys(text: str, place: str) -> Mapping[str, str]:
    """Return the keys of a text with commas between them, numbered from 1."""
    values = text.values if isinstance(text, VariableText) else {}
    keys = [
        VariableText(key.strip(), values) if values else Secret(key.strip()) for key in text.split(",") if key.strip()
    ]
    if not keys:
        raise SettingsError(f"{place}: it holds no key")
    return {str(number): key for number, key in enumerate(keys, 1)}


def _keys_of_env(entry: ProviderSpec, env: Mapping[str, str]) -> str | Mapping[str, str] | None:
    """Return the key of the variables, or the keys of one such as `OPENAI_API_KEYS`."""
    several = _first(tuple(f"{name}S" for name in entry.key_env), env)
    if several is None:
        return _first(entry.key_env, env)
    named = _split_keys(several, f"{entry.key_env[0]}S")
    return named if len(named) > 1 else named["1"]


def _from_env(entry: ProviderSpec, env: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that variables hold, and that count beside those of the section."""
    found = {option: value for option, names in entry.option_env.items() if (value := _first(names, env))}
    if not any(name in options or name in found for name in ("vertex", "access_token")):
        # The tools of Google's cloud set a project for all programs; a key alone is one of AI Studio.
        found.pop("vertex_project", None)
    return found


def _first(names: tuple[str, ...], env: Mapping[str, str]) -> str | None:
    """Return the value of the first variable that is set to something."""
    return next((Secret(value) for name in names if (value := env.get(name, "").strip())), None)
