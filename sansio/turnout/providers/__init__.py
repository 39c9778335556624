"""The providers' protocols as pure state machines, and the catalog that knows them by name.

provider = create("groq", api_key="…")
router.register(provider)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from turnout._utils.names import account_of, nearest
from turnout._utils.signatures import written_as
from turnout.providers.auth import KeySource
from turnout.providers.base_urls import base_url_of
from turnout.providers.catalog.checks import checked_name
from turnout.providers.catalog.known import CATALOG
from turnout.providers.catalog.spec import ModelRule, OpenAICompat, ProviderAccount, ProviderSpec, ReasoningReplay
from turnout.providers.keys import ApiKey, ApiKeys, KeyedProvider, named_keys
from turnout.providers.limits import ResponseLimits
from turnout.providers.protocol import Exchange, Provider
from turnout.providers.schemas.subset import SchemaSubset, SchemaUnsupported
from turnout.providers.urls import checked_header, checked_key, checked_text
from turnout.redaction import hidden, without_locals

__all__ = [
    "CATALOG",
    "Exchange",
    "ModelRule",
    "OpenAICompat",
    "Provider",
    "ProviderAccount",
    "ProviderSpec",
    "ResponseLimits",
    "SchemaSubset",
    "SchemaUnsupported",
    "create",
]


_LONGEST_NAME = 20


@without_locals
@written_as("create('openai', api_key='…')")
def create(
    entry: str | ProviderSpec,
    *,
    name: str | None = None,
    api_key: ApiKeys = None,
    base_url: str | None = None,
    api: Literal["chat", "responses"] | None = None,
    unsupported: Literal["raise", "drop"] = "raise",
    headers: Mapping[str, str] | None = None,
    reasoning_replay: ReasoningReplay | None = None,
    idempotency_header: str | None = None,
    limits: ResponseLimits | None = None,
    **settings: Any,
) -> Provider:
    """Return a provider of the catalog, or of your entry.

    A provider without the key that it needs is made too. Its status is `not-configured`, and names the missing
    variable.

    Args:
        entry: The name of an entry of the catalog, or an entry.
        name: Another name to register it under, so that one router can hold two accounts of one vendor.
        api_key: The key, or a function that returns it just before each request is sent. Or several keys: a list, or a
            mapping from the names that you give them. A router takes each for a candidate with its own health and
            limits, named `openai#1` or `openai#name`. Nothing shows a key.
        base_url: The base URL, if it is not the vendor's usual one.
        api: Of OpenAI's two APIs for an answer: `chat` completions, or `responses`. By default chat completions, and
            Responses for the requests that the model takes there alone.
        unsupported: What becomes of a setting that the model is known to refuse: `raise` an error, or `drop` it and
            report that in the trace.
        headers: Header fields of every request. They replace Turnout's own fields of the same name.
        reasoning_replay: How models get their own reasoning back with the next turn; `none` sends none. By default as
            the catalog knows it of each model (`turnout.providers.catalog.spec.ReasoningReplay`).
        idempotency_header: The header field by which the server recognizes a request that is repeated after a failure,
            such as `Idempotency-Key`; "" sends none. By default as the catalog knows it.
        limits: How much of a response is read.
        **settings: What only some take: `organization` and `project` (openai), `app_url` and `app_title` (openrouter),
            `vertex`, `vertex_project`, `vertex_location` and `access_token` (gemini), `access_token` (anthropic),
            `api_version` and `access_token` (azure), `region` and `auth` (bedrock).

    Raises:
        TypeError: A value has a wrong type.
        ValueError: A name or a setting is not known, or a value cannot be used. No message quotes a key or a URL.
    """
    if not isinstance(entry, str | ProviderSpec):
        raise TypeError(
            f"create takes the name of a provider of the catalog, or a ProviderSpec, not {type(entry).__name__}"
        )
    if name is not None:
        checked_name(name, "name")
    # A traceback can show local variables: the given values are replaced by texts with an empty `repr`.
    if api_key is not None and not isinstance(api_key, str) and not callable(api_key):
        given: dict[str, Any] = {
            "base_url": base_url,
            "api": api,
            "unsupported": unsupported,
            "headers": headers,
            "reasoning_replay": reasoning_replay,
            "idempotency_header": idempotency_header,
            "limits": limits,
            **settings,
        }
        return _with_keys(entry, name, api_key, given)
    api_key, base_url, headers = hidden(api_key), hidden(base_url), _hidden_headers(headers)
    settings = {name: hidden(value) for name, value in settings.items()}
    if isinstance(settings.get("access_token"), str):
        settings["access_token"] = checked_text(settings["access_token"], "access_token")
    spec = _entry_named(entry) if isinstance(entry, str) else entry
    _check_choices(spec, api, unsupported, reasoning_replay)
    account = ProviderAccount(
        spec=spec,
        name=name or spec.name,
        base_url=base_url_of(base_url, spec) if base_url is not None else spec.base_url,
        api_key=None if callable(api_key) else checked_key(api_key),
        key_source=KeySource(api_key) if callable(api_key) else None,
        headers=_merged(
            spec.headers, _headers(spec, settings), dict(checked_header(*field) for field in headers.items())
        ),
        unsupported=unsupported,
        reasoning_replay=reasoning_replay,
        limits=limits if limits is not None else ResponseLimits(),
        idempotency_header=_idempotency_header(idempotency_header, spec),
    )
    made = _provider(account, api, settings)
    if settings:
        from turnout._utils.hints.keywords import unknown_setting_of_provider

        raise unknown_setting_of_provider(spec.name, sorted(settings))
    return made


def _entry_named(name: str) -> ProviderSpec:
    if name not in CATALOG:
        # A text as long as a key may be one.
        named = f"provider named {name!r}" if len(name) <= _LONGEST_NAME else "such provider"
        near = nearest(name, CATALOG, 1)
        known = f"known are {', '.join(CATALOG)}; write create('openai', api_key='…')"
        advice = f"did you mean create({near[0]!r}, …)?" if near else known
        raise ValueError(f"no {named} is in the catalog; {advice}")
    return CATALOG[name]


def _check_choices(spec: ProviderSpec, api: str | None, unsupported: str, replay: str | None) -> None:
    if unsupported not in ("raise", "drop"):
        raise ValueError(f"unsupported must be 'raise' or 'drop', not {unsupported!r}")
    if replay is not None and replay not in get_args(ReasoningReplay):
        known = ", ".join(get_args(ReasoningReplay))
        raise ValueError(f"reasoning_replay must be one of {known}, not {replay!r}")
    if api is not None and api not in spec.apis:
        raise ValueError(f"{spec.name} has no api {api!r}; it has {' and '.join(spec.apis)}")


def _hidden_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    if headers is not None and not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping of names to values, not a {type(headers).__name__}")
    return {name: hidden(value) for name, value in (headers or {}).items()}


def _idempotency_header(name: str | None, spec: ProviderSpec) -> str | None:
    if name:
        checked_header(name, "")
    return (name or None) if name is not None else spec.idempotency_header


def _provider(account: ProviderAccount, api: str | None, settings: dict[str, Any]) -> Provider:
    """Return the provider of an account. Its settings are taken out of `settings`."""
    # Each dialect is loaded when the first provider of it is made.
    match account.spec.dialect:
        case "openai-chat":
            return _openai_provider(account, api, settings)
        case "gemini":
            from turnout.providers.gemini.dialect import Gemini

            return Gemini(account, **_taken(settings, "vertex", "vertex_project", "vertex_location", "access_token"))
        case "ollama":
            from turnout.providers.ollama.dialect import Ollama

            return Ollama(account)
        case "anthropic":
            from turnout.providers.anthropic.dialect import Anthropic

            return Anthropic(account, **_taken(settings, "access_token"))
        case "cohere":
            from turnout.providers.cohere.dialect import Cohere

            return Cohere(account)
        case "bedrock":
            from turnout.providers.bedrock.dialect import Bedrock

            return Bedrock(account, **_taken(settings, "region", "auth"))


def _openai_provider(account: ProviderAccount, api: str | None, settings: dict[str, Any]) -> Provider:
    site = None
    if "api_version" in account.spec.option_env:
        from turnout.providers.openai_chat.azure import AzureResource

        site = AzureResource(account, **_taken(settings, "api_version", "access_token"))
    if api == "responses":
        from turnout.providers.openai_responses.dialect import OpenAIResponses

        return OpenAIResponses(account, site)
    if api is None and account.spec.has_models_for_responses:
        from turnout.providers.openai_responses.automatic import OpenAIAutomatic

        return OpenAIAutomatic(account, site)
    from turnout.providers.openai_chat.dialect import OpenAIChat

    return OpenAIChat(account, site)


def _with_keys(
    entry: str | ProviderSpec, name: str | None, keys: Sequence[ApiKey] | Mapping[str, ApiKey], given: Mapping[str, Any]
) -> Provider:
    """Return a provider with several keys; with one key in a list, the provider with that key."""
    if not isinstance(keys, list | tuple | Mapping):
        raise TypeError(f"api_key must be a str, a function, a list or a mapping, not {type(keys).__name__}")
    named = named_keys(keys)
    provider = name or (entry if isinstance(entry, str) else entry.name)
    if len(named) == 1 and not isinstance(keys, Mapping):
        return create(entry, name=name, api_key=named["1"], **given)
    accounts = [create(entry, name=account_of(provider, label), api_key=key, **given) for label, key in named.items()]
    return KeyedProvider(provider, tuple(accounts), create(entry, name=name, **given))


_HEADER_OF = {
    "organization": "OpenAI-Organization",
    "project": "OpenAI-Project",
    "app_url": "HTTP-Referer",
    "app_title": "X-Title",
}


def _merged(*headers: Mapping[str, str]) -> dict[str, str]:
    """Return all header fields. A later one replaces an earlier one of the same name, in whatever case."""
    merged: dict[str, tuple[str, str]] = {}
    for fields in headers:
        merged |= {name.lower(): (name, value) for name, value in fields.items()}
    return dict(merged.values())


def _headers(entry: ProviderSpec, settings: dict[str, Any]) -> dict[str, str]:
    """Return the settings that are header fields, taken out of `settings`."""
    return {
        _HEADER_OF[name]: checked_header(_HEADER_OF[name], value)[1]
        for name, value in _taken(settings, *(key for key in _HEADER_OF if key in entry.option_env)).items()
    }


def _taken(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := settings.pop(name, None)) is not None}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib.util import find_spec

        from turnout._utils.hints.names import missing_name, refusal

        if name.lower() in CATALOG and find_spec(f"{__name__}.{name}") is None:
            raise refusal(__name__, name, f"write create({name.lower()!r}, api_key='…')")
        raise missing_name(__name__, name)
