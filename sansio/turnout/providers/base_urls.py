"""The base URL of a provider, from the value of a user or of a variable.

Sources: the clients of each vendor for their variables; Ollama's `envconfig` for `OLLAMA_HOST`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from turnout.providers.catalog.spec import ProviderSpec
from turnout.providers.urls import fault_of_base_url
from turnout.redaction import hidden

__all__ = ["InvalidBaseUrl", "base_url_of"]

_OWN_HOST = re.compile(r"localhost|[\d.]+|\[[0-9a-f:]+\]|[^.]+")
_OLLAMA_PORT = 11434


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
    url = hidden((given if "://" in given else _with_scheme(given, spec)).rstrip("/"))
    fault = fault_of_base_url(url, takes_query="api_version" in spec.option_env)
    if fault:
        raise InvalidBaseUrl(f"the base URL of {spec.name} {fault}; it must be like https://api.example.com/v1")
    parts = urlsplit(url)
    if spec.base_url_is_host and parts.path in ("", "/"):
        url += urlsplit(spec.base_url).path
    return url


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
