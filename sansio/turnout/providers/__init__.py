"""The providers' protocols as pure state machines, and the catalog that knows them by name.

provider = create("groq", api_key="…")
router.register(provider)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from turnout.errors import LocalProtocolError
from turnout.http.origin import split_url
from turnout.providers.catalog.known import CATALOG
from turnout.providers.catalog.spec import ModelRule, OpenAICompat, ProviderAccount, ProviderSpec
from turnout.providers.limits import ResponseLimits
from turnout.providers.protocol import Exchange, Provider
from turnout.providers.schemas.subset import SchemaSubset, SchemaUnsupported

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


def create(
    entry: str | ProviderSpec,
    *,
    name: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    api: Literal["chat", "responses"] | None = None,
    unsupported: Literal["raise", "drop"] = "raise",
    headers: Mapping[str, str] | None = None,
    limits: ResponseLimits | None = None,
    **settings: Any,
) -> Provider:
    """A provider of the catalog, or of an entry of your own.

    name         to register it under another name, so that one router can hold two accounts of one vendor
    endpoint     base URL, where it is not the vendor's usual one
    api          of OpenAI's two APIs for an answer: `chat` completions, or `responses`; by default chat completions,
                 and Responses for the requests that the model takes there alone
    unsupported  what becomes of a setting that the model is known to refuse: `raise`, or `drop` it and say so
    headers      to send with every request
    limits       how much of a response is read
    settings     what only some take: `organization` and `project` (openai), `app_url` and `app_title` (openrouter),
                 `vertex`, `vertex_project`, `vertex_location` and `access_token` (gemini), `api_version` and
                 `access_token` (azure), `region` and `auth` (bedrock)

    A provider without the key that it needs is made all the same: its status is not-configured, and says which
    variable is missing. Raises ValueError for a name or a setting that is not known, and an endpoint that is no URL.
    """
    if isinstance(entry, str):
        if entry not in CATALOG:
            raise ValueError(f"no provider named {entry!r} is in the catalog; it has {', '.join(CATALOG)}")
        entry = CATALOG[entry]
    if unsupported not in ("raise", "drop"):
        raise ValueError(f"unsupported must be 'raise' or 'drop', not {unsupported!r}")
    if api is not None and api not in entry.apis:
        raise ValueError(f"{entry.name} has no api {api!r}; it has {' and '.join(entry.apis)}")
    account = ProviderAccount(
        spec=entry,
        name=name or entry.name,
        base_url=_endpoint(base_url, entry) if base_url else entry.base_url,
        api_key=api_key.strip() if api_key and api_key.strip() else None,
        headers={**entry.headers, **_headers(entry, settings), **(headers or {})},
        unsupported=unsupported,
        limits=limits if limits is not None else ResponseLimits(),
    )
    # Each dialect is loaded when the first provider of it is made.
    match entry.dialect:
        case "openai-chat":
            site = None
            if "api_version" in entry.option_env:
                from turnout.providers.openai_chat.azure import AzureResource

                site = AzureResource(account, **_taken(settings, "api_version", "access_token"))
            if api == "responses":
                from turnout.providers.openai_responses.dialect import OpenAIResponses

                made: Provider = OpenAIResponses(account, site)
            elif api is None and entry.has_models_for_responses:
                from turnout.providers.openai_responses.automatic import OpenAIAutomatic

                made = OpenAIAutomatic(account, site)
            else:
                from turnout.providers.openai_chat.dialect import OpenAIChat

                made = OpenAIChat(account, site)
        case "gemini":
            from turnout.providers.gemini.dialect import Gemini

            made = Gemini(account, **_taken(settings, "vertex", "vertex_project", "vertex_location", "access_token"))
        case "ollama":
            from turnout.providers.ollama.dialect import Ollama

            made = Ollama(account)
        case "anthropic":
            from turnout.providers.anthropic.dialect import Anthropic

            made = Anthropic(account)
        case "cohere":
            from turnout.providers.cohere.dialect import Cohere

            made = Cohere(account)
        case "bedrock":
            from turnout.providers.bedrock.dialect import Bedrock

            made = Bedrock(account, **_taken(settings, "region", "auth"))
    if settings:
        raise ValueError(f"{entry.name} takes no setting named {', '.join(sorted(settings))}")
    return made


_OWN_HOST = re.compile(r"localhost|[\d.]+|\[[0-9a-f:]+\]|[^.]+")


def _endpoint(given: str, entry: ProviderSpec) -> str:
    """A user's endpoint as a base URL. Raises ValueError where it is none."""
    url = given.strip()
    url = (url if "://" in url else _with_scheme(url, entry.dialect)).rstrip("/")
    try:
        split_url(url)
    except LocalProtocolError as error:
        raise ValueError(
            f"the endpoint of {entry.name} must be a URL such as https://api.example.com/v1: {error.message}"
        ) from None
    # Azure's portal shows a whole request, with the version in its query.
    if "api_version" not in entry.option_env and ("?" in url or "#" in url):
        raise ValueError(f"the endpoint of {entry.name} must be a base URL, without a query: paths are put behind it")
    return url


def _with_scheme(text: str, dialect: str) -> str:
    """`OLLAMA_HOST` is often only a host and a port, and others' only a host."""
    text = text.rstrip("/")
    host, slash, path = text.replace("0.0.0.0", "127.0.0.1").partition("/")
    name, colon, _ = (host, "", "") if host.endswith("]") else host.partition(":")
    own = dialect == "ollama" or _OWN_HOST.fullmatch(name)
    if dialect == "ollama" and not colon and not slash:
        host += ":11434"
    return f"{'http' if own else 'https'}://{host}{slash}{path}"


_HEADER_OF = {
    "organization": "OpenAI-Organization",
    "project": "OpenAI-Project",
    "app_url": "HTTP-Referer",
    "app_title": "X-Title",
}


def _headers(entry: ProviderSpec, settings: dict[str, Any]) -> dict[str, str]:
    """The settings that are header fields, taken out of `settings`."""
    return {
        _HEADER_OF[name]: value
        for name, value in _taken(settings, *(key for key in _HEADER_OF if key in entry.option_env)).items()
    }


def _taken(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := settings.pop(name, None)) is not None}
