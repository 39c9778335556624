"""Splits an absolute URL into its origin and its request target."""

from __future__ import annotations

import functools
from urllib.parse import quote, urlsplit

import attrs

from turnout.errors import LocalProtocolError

__all__ = ["Origin", "split_url"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
# The characters of a path or query that are not percent-encoded. "%" is one of them, so it is never encoded twice.
_TARGET_SAFE = "%/:=&?~+!$,;'@()*[]-._"


@attrs.frozen
class Origin:
    """The scheme, host and port that a connection leads to. `host` is lower-case ASCII; IPv6 has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as one text, always with the port, for CONNECT and for messages."""
        return f"{self._bracketed}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of the Host field, without the port if it is the default of the scheme (RFC 9110 section 7.2)."""
        return self._bracketed if self.port == _DEFAULT_PORTS[self.scheme] else self.authority

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_field}"


# A router uses a few URLs again and again. URLs with a part that changes evict each other from the cache.
@functools.lru_cache(maxsize=256)
def split_url(url: str) -> tuple[Origin, str]:
    """Split an absolute http or https URL into its origin and its request target in origin form.

    The fragment is removed, because clients never send it.

    Raises:
        LocalProtocolError: If the URL cannot be requested. The message omits the query, which might hold a secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as fault:
        raise LocalProtocolError(f"this URL cannot be requested: {fault}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise LocalProtocolError(f"the URL must begin with http:// or https://, not {parts.scheme or 'nothing'!r}")
    if not host:
        raise LocalProtocolError("the URL names no host")
    if parts.username is not None or parts.password is not None:
        raise LocalProtocolError(f"the URL for {host} holds a user name or password: put them into a header field")
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    return Origin(parts.scheme, _ascii_host(host), port or _DEFAULT_PORTS[parts.scheme]), quote(
        target, safe=_TARGET_SAFE
    )


def _ascii_host(host: str) -> str:
    try:
        # The zone of an IPv6 address ("fe80::1%eth0") is ASCII already; only names need IDNA.
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise LocalProtocolError(f"the host name {host!r} is not a valid internationalised name") from None
    # RFC 1035 section 2.3.4. The name look-up would fail on these with another error.
    if ":" not in name and any(not 0 < len(label) < 64 for label in name.rstrip(".").split(".")):
        raise LocalProtocolError(f"the host name {host[:100]!r} has an empty part, or one of more than 63 characters")
    if not name.isprintable() or any(c in name for c in " /\\@?#"):
        raise LocalProtocolError(f"the host name {host!r} holds a character that is not allowed in host names")
    return name
