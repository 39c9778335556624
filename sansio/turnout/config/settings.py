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
        api: responses                    # instead of chat completions, where it has both
    runtime:
      router: …                           # see `turnout.config.router_settings`
    routes: …
    shared: …                           # see `turnout.config.shared_settings`
    serve: …                            # see `turnout_io.serve.settings`
    cli: …                              # see `turnout_io.cli.defaults`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout.config.router_settings import read_policy, read_routes
from turnout.config.shared_settings import SharedSettings, read_shared
from turnout.config.values import SettingsError, expand, known_only, mapping_of, nearest, snake_case, text_of
from turnout.providers import CATALOG, Provider, ProviderSpec, create
from turnout.providers.urls import InvalidBaseUrl
from turnout.redaction import Secret
from turnout.routing.policy.routes import Route
from turnout.routing.policy.settings import Policy

__all__ = ["BuiltProvider", "ProviderSettings", "Settings", "SettingsError"]


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """How one provider is made.

    Attributes:
        name: The name under which it is registered.
        spec: Its entry: of the catalog, or the user's own.
        api_key: The key.
        base_url: The base URL, if it is not the entry's.
        enabled: Whether it takes calls.
        is_named: Whether the configuration names it. Others have what variables say.
        options: What `turnout.providers.create` takes besides.
    """

    name: str
    spec: ProviderSpec
    api_key: str | None = attrs.field(default=None, repr=False)
    base_url: str | None = attrs.field(default=None, repr=False)
    enabled: bool = True
    is_named: bool = True
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=lambda options: repr(sorted(options)))

    @property
    def kind(self) -> str:
        return self.spec.name

    def build(self) -> Provider:
        """Return the provider.

        Raises:
            SettingsError: A value cannot be used.
        """
        try:
            return create(self.spec, name=self.name, api_key=self.api_key, base_url=self.base_url, **self.options)
        except (ValueError, TypeError) as error:
            variables = f" (or {', '.join(self.spec.base_url_env)})" if self.spec.base_url_env else ""
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
    """What a router is made of.

    providers  in the order of the file, then those of the catalog that the file does not name
    router     fields of `Policy` that were set
    routes     models under one name
    shared     the store through which processes share limits; None for none
    serve      the section of the gateway, with its variables replaced (`turnout_io.serve.settings`)
    cli        the section of the command line, with its variables replaced (`turnout_io.cli.defaults`)
    """

    providers: tuple[ProviderSettings, ...]
    router: Mapping[str, Any] = attrs.field(factory=dict)
    routes: tuple[Route, ...] = ()
    shared: SharedSettings | None = None
    serve: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    cli: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def from_env(cls, env: Mapping[str, str], entries: Iterable[ProviderSpec] = ()) -> Settings:
        """Every provider of the catalog, and of `entries` of your own, with what the variables say."""
        return cls.from_mapping({}, env, entries)

    @classmethod
    def from_mapping(
        cls, config: Mapping[str, Any], env: Mapping[str, str], entries: Iterable[ProviderSpec] = ()
    ) -> Settings:
        """What a configuration says, completed from the variables. Raises SettingsError.

        entries  of your own, known beside those of the catalog, or in the place of one of the same name
        """
        catalog = {**CATALOG, **{entry.name: entry for entry in entries}}
        config = known_only(config, "", ("providers", "runtime", "routes", "shared", "serve", "cli", "version"))
        named = mapping_of(config.get("providers"), "providers")
        providers = [_provider(name, section, env, catalog) for name, section in named.items()]
        providers += [_provider(name, {}, env, catalog, is_named=False) for name in catalog if name not in named]
        runtime = known_only(mapping_of(config.get("runtime"), "runtime"), "runtime", ("router",))
        router = read_policy(expand(mapping_of(runtime.get("router"), "runtime.router"), env), "runtime.router")
        routes = read_routes(expand(mapping_of(config.get("routes"), "routes"), env))
        shared = read_shared(expand(mapping_of(config.get("shared"), "shared"), env), "shared")
        serve = expand(mapping_of(config.get("serve"), "serve"), env)
        cli = expand(mapping_of(config.get("cli"), "cli"), env)
        return cls(providers=tuple(providers), router=router, routes=routes, shared=shared, serve=serve, cli=cli)

    def policy(self, **overrides: Any) -> Policy:
        """The policy of these settings, with some of its fields given anew."""
        try:
            return Policy(**{**self.router, **overrides})
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            known = [field.name for field in attrs.fields(Policy)]
            unknown = next(name for name in overrides if name not in known)
            raise SettingsError(f"{unknown} is no field of Policy{nearest(unknown, known)}") from None

    def build_providers(self) -> tuple[BuiltProvider, ...]:
        """Return every provider.

        A wrong base URL, or a wrong variable of a provider that the configuration does not name, disables that provider
        only: programs share their environment with others.

        Raises:
            SettingsError: Another value of the configuration cannot be used.
        """
        return tuple(map(_built, self.providers))


def _built(settings: ProviderSettings) -> BuiltProvider:
    try:
        return BuiltProvider(provider=settings.build(), enabled=settings.enabled)
    except SettingsError as error:
        if settings.is_named and not isinstance(error, BaseUrlError):
            raise
        placeholder = create(settings.spec, name=settings.name)
        return BuiltProvider(provider=placeholder, enabled=False, reason=str(error))


# The fields of a provider's section that are not options of its own.
_OPTIONS = ("api", "unsupported", "headers", "reasoning_replay")
_FIELDS = ("kind", "api_key", "endpoint", "base_url", "enabled", "disabled", *_OPTIONS)


def _provider(
    name: str, section: Any, env: Mapping[str, str], catalog: Mapping[str, ProviderSpec], *, is_named: bool = True
) -> ProviderSettings:
    where = f"providers.{name}"
    section = {snake_case(key): value for key, value in mapping_of(expand(section, env), where).items()}
    kind = section.get("kind", name)
    if kind not in catalog:
        raise SettingsError(
            f"{where}: no provider named {kind!r} is in the catalog{nearest(str(kind), list(catalog))}; "
            "an OpenAI-compatible server is kind: openai-compatible"
        )
    entry = catalog[kind]
    own_options = (*entry.option_env, "access_token")
    section = known_only(section, where, (*_FIELDS, *own_options))
    # The variables of a vendor are its own account's: a second account under another name must say its key itself.
    first = name == entry.name
    options = {key: section[key] for key in (*_OPTIONS, *own_options) if section.get(key) is not None}
    if first:
        options = {**_from_env(entry, env, options), **options}
    enabled = section.get("enabled", True)
    disabled = section.get("disabled", False)
    for key, value in (("enabled", enabled), ("disabled", disabled)):
        if not isinstance(value, bool):
            raise SettingsError(f"{where}.{key}: true or false was expected, not {value!r}")
    return ProviderSettings(
        name=name,
        spec=entry,
        api_key=text_of(section.get("api_key"), f"{where}.apiKey") or (_first(entry.key_env, env) if first else None),
        base_url=text_of(section.get("endpoint") or section.get("base_url"), f"{where}.endpoint")
        or (_first(entry.base_url_env, env) if first else None),
        enabled=enabled and not disabled,
        is_named=is_named,
        options=options,
    )


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
