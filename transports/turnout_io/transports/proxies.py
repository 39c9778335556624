"""Which proxy a request goes through: the one that was given, or the one that the environment names.

The environment is read as curl and requests read it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, each in
lower case first. Two things differ on purpose. Loopback hosts never go through a proxy of the environment, as in Go:
a local Ollama is not to be asked for at a company's proxy. And upper-case `HTTP_PROXY` is not read in a CGI program,
where a client sets it by sending a field `Proxy`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import attrs

from turnout.errors import ConnectFailed, LocalProtocolError
from turnout.http.origin import Origin

__all__ = ["Proxy", "proxy_for"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class Proxy:
    """An HTTP proxy. `repr` and `str` show no password.

    scheme         http, https, or one of the SOCKS schemes, which only `requests` with PySocks can speak
    authorization  the value of Proxy-Authorization, or None
    url            as it was given, with its credentials
    """

    scheme: str
    host: str
    port: int
    authorization: str | None = attrs.field(default=None, repr=False)
    url: str = attrs.field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read `http://user:password@host:port`; without a scheme, http. Raises LocalProtocolError."""
        full = url if "://" in url else f"http://{url}"
        wrong = "the proxy's URL is not of the form http://user:password@host:port"
        try:
            parts = urlsplit(full)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise LocalProtocolError(wrong) from None  # the cause would show the password
        if not host:
            raise LocalProtocolError(wrong)
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        scheme = parts.scheme
        return cls(scheme, host, port or _DEFAULT_PORTS.get(scheme, 1080), authorization, full)

    @property
    def origin(self) -> Origin:
        """What to connect to. Raises ConnectFailed for a proxy that does not speak HTTP."""
        if self.scheme not in _DEFAULT_PORTS:
            raise ConnectFailed(
                f"the proxy {self} is a {self.scheme} proxy, and this transport speaks HTTP proxies only: "
                "set HTTPS_PROXY to an http:// URL, or use the requests transport with PySocks installed",
                reason="proxy-refused",
            )
        return Origin(self.scheme, self.host, self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that `environ` names for `origin`, or None. Raises LocalProtocolError where its URL is no URL."""
    if _is_loopback(origin.host):
        return None
    upper = origin.scheme == "https" or "REQUEST_METHOD" not in environ
    url = (
        environ.get(f"{origin.scheme}_proxy")
        or (upper and environ.get(f"{origin.scheme.upper()}_PROXY"))
        or environ.get("all_proxy")
        or environ.get("ALL_PROXY")
    )
    if not url or _is_exempt(origin, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return Proxy.parse(url.strip())


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    """`NO_PROXY`: hosts, domains with or without a leading dot, addresses, networks, each with a port or without."""
    host = origin.host.rstrip(".")
    for raw in no_proxy.replace(" ", ",").split(","):
        entry = raw.lower()
        if entry == "*":
            return True
        if "/" in entry:
            if _in_network(host, entry):
                return True
            continue
        name, colon, port = entry.rpartition(":")
        # A colon is a port's only where it cannot be an IPv6 address.
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            if int(port) != origin.port:
                continue
            entry = name
        entry = entry.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
        if entry and (host == entry or host.endswith(f".{entry}")):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress  # here, as it costs 6 ms and is wanted for a network in NO_PROXY alone

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
