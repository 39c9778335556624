"""The base URL of a provider, from the value of a user or of a variable.

Sources: the clients of each vendor for their variables; Ollama's `envconfig` for `OLLAMA_HOST`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from turnout.providers.catalog.spec import ProviderSpec
from turnout.providers.urls import fault_of_base_url
from turnout.redaction import hidden

__all__ = ["InvalidBaseUrl", "base_url_of"]

_OWN_HOST = re.compile(r"localhost|[\d.]+|\[[0-9a-f:]+\]|[^.]+")
_OLLAMA_PORT = 11434
# The longest one first. Azure's URLs are read elsewhere.
_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "openai-chat": ("/chat/completions", "/responses", "/embeddings"),
    "anthropic": ("/v1/messages", "/v1"),
    "gemini": ("/v1beta/openai", "/v1beta/models", "/v1beta"),
    "ollama": ("/api/generate", "/api/chat", "/api/embed", "/api/tags", "/api", "/v1"),
    "cohere": ("/v2/chat", "/v1/chat", "/v2", "/v1"),
}


class InvalidBaseUrl(ValueError):
    """The given value cannot be a base URL."""


def base_url_of(given: str, spec: ProviderSpec) -> str:
    """Return the base URL, without a slash at its end.

    The messages of errors do not quote the value, because it can be that of a variable.

    Raises:
        InvalidBaseUrl: It is not the base URL of an http or https server.
    """
    if not isinstance(given, str):
        raise TypeError(f"base_url must be a str, not {type(given).__name__}")
    given = hidden(given.strip().strip("\"'").strip())
    if not given:
        raise InvalidBaseUrl(f"the base URL of {spec.name} is empty; leave it out for the usual one")
    url = hidden((given if "://" in given else _with_scheme(given, spec)).rstrip("/"))
    fault = fault_of_base_url(url, takes_query="api_version" in spec.option_env)
    if fault:
        raise InvalidBaseUrl(f"the base URL of {spec.name} {fault}; it must be like https://api.example.com/v1")
    url = hidden(_without_operation(url, spec))
    parts = urlsplit(url)
    if spec.base_url_is_host and parts.path in ("", "/"):
        url += urlsplit(spec.base_url).path
    return url


def _without_operation(url: str, spec: ProviderSpec) -> str:
    """Return the URL without the path of an operation at its end, which every request adds.

    Many pages show the whole URL of a request, and other clients want the version of the API in a base URL.
    """
    ends = () if "api_version" in spec.option_env else _OPERATIONS.get(spec.dialect, ())
    return next((url.removesuffix(end) for end in ends if url.endswith(end)), url)


def _with_scheme(text: str, spec: ProviderSpec) -> str:
    """Return a URL for a host, a host and a port, or a port."""
    authority, slash, path = text.partition("/")
    host, port = _split(authority)
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}.get(host, host)
    if spec.dialect == "ollama":
        # Every host of `OLLAMA_HOST` is one's own, and its port is Ollama's.
        return f"http://{host}:{port or _OLLAMA_PORT}{slash}{path}"
    scheme = "http" if _OWN_HOST.fullmatch(host) else "https"
    return f"{scheme}://{host}{f':{port}' if port else ''}{slash}{path}"


def _split(authority: str) -> tuple[str, str]:
    """Return the host and the port, or "" for one that is not given."""
    if authority.startswith("["):
        host, _, rest = authority.partition("]")
        return f"{host}]", rest.removeprefix(":")
    if authority.count(":") > 1:
        return f"[{authority}]", ""  # an IPv6 address without brackets
    host, _, port = authority.partition(":")
    return host, port
