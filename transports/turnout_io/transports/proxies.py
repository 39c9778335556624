"""The proxy of a request: the configured one, or the one that the environment names.

The environment is read as curl and requests read it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, each in
lower case first. There are two differences. Loopback hosts never use a proxy of the environment, as in Go, because a
company's proxy cannot reach a local Ollama. And a CGI program does not read upper-case `HTTP_PROXY`, because a client
sets it there with a header field `Proxy`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import attrs

from turnout.errors import ConnectFailed, LocalProtocolError
from turnout.http.origin import Origin
from turnout.redaction import Secret

__all__ = ["Proxy", "proxy_for"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SOCKS = ("socks5", "socks5h")


@attrs.frozen
class Proxy:
    """A proxy. `repr` and `str` show no password.

    Attributes:
        scheme: http, https, socks5 or socks5h. Any other scheme is refused when a request is sent.
        host: The proxy's host name or address.
        port: The proxy's port.
        username: The user name for the proxy, or None.
        password: The password for the proxy, or None.
    """

    scheme: str
    host: str
    port: int
    username: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Read `http://user:password@host:port`. Without a scheme, it is http.

        Raises:
            LocalProtocolError: If it is not such a URL. The message does not quote it.
        """
        proxy = cls._parsed(url)
        if proxy is None:
            del url  # a report with local variables would show the password
            raise LocalProtocolError("the proxy's URL is not of the form http://user:password@host:port")
        return proxy

    @classmethod
    def _parsed(cls, url: str) -> Proxy | None:
        """Return the proxy; None if the URL is of another form."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        if not host or port == 0:
            return None
        username = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(parts.scheme, host, port or _DEFAULT_PORTS.get(parts.scheme, 1080), username, password)

    @property
    def authorization(self) -> str | None:
        """Return the value of Proxy-Authorization, or None."""
        if self.username is None:
            return None
        pair = f"{self.username}:{self.password or ''}"
        return Secret("Basic " + base64.b64encode(pair.encode()).decode())

    @property
    def is_socks(self) -> bool:
        """True if the proxy speaks SOCKS5."""
        return self.scheme in _SOCKS

    def tunnels_to(self, origin: Origin) -> bool:
        """Return True if it opens a tunnel to `origin`; False if it gets the requests themselves (RFC 9112, 3.2.2)."""
        return self.is_socks or origin.scheme == "https"

    @property
    def resolves_names(self) -> bool:
        """True if the proxy looks up host names: socks5h, and HTTP proxies."""
        return self.scheme != "socks5"

    @property
    def origin(self) -> Origin:
        """Return the origin of the proxy itself.

        Raises:
            ConnectFailed: If the proxy has an unknown scheme.
        """
        if self.scheme not in _DEFAULT_PORTS:
            raise ConnectFailed(
                f"the proxy {self} has an unknown scheme: use http, https, socks5 or socks5h", reason="proxy-refused"
            )
        return Origin("https" if self.scheme == "https" else "http", self.host, self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that `environ` names for `origin`, or None.

    Raises:
        LocalProtocolError: If its URL is not valid.
    """
    if _is_loopback(origin.host):
        return None
    may_use_upper = origin.scheme == "https" or "REQUEST_METHOD" not in environ
    url = (
        environ.get(f"{origin.scheme}_proxy")
        or (may_use_upper and environ.get(f"{origin.scheme.upper()}_PROXY"))
        or environ.get("all_proxy")
        or environ.get("ALL_PROXY")
    )
    if not url or _is_exempt(origin, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return Proxy.parse(Secret(url.strip()))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    """True if `NO_PROXY` has the host: as a host, a domain with or without a leading dot, an address or a network."""
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
        # A colon separates a port only if the entry cannot be an IPv6 address.
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            if int(port) != origin.port:
                continue
            entry = name
        entry = entry.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
        if entry and (host == entry or host.endswith(f".{entry}")):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress  # here, because it takes 6 ms and only a network in NO_PROXY needs it

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
