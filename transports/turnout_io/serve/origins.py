"""Protects a gateway without keys from web pages, and lets chosen pages use it.

A page in a browser of this machine can send requests to 127.0.0.1, directly or by a DNS name that it controls. It
cannot forge `Origin` and `Host`, so these decide. With keys, a page needs a key like everybody else.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import attrs

from turnout.http.http1_server import RequestHead
from turnout.serving import RequestRejected, ServedError
from turnout_io.serve.settings import Address

__all__ = ["OriginCheck"]

_LOCAL: Final = frozenset(("localhost", "127.0.0.1", "::1"))


@attrs.frozen
class OriginCheck:
    """Checks the headers `Origin` and `Host`.

    Args:
        allowed: The origins that can use the gateway from a browser; `*` allows all.
        listen: Where the gateway listens.
        open: True if no key is needed.
    """

    allowed: AbstractSet[str]
    listen: Address
    open: bool

    def check(self, head: RequestHead) -> list[tuple[str, str]]:
        """Return the headers that let a page read the response, none for other clients.

        Raises:
            RequestRejected: A page that is not allowed uses a gateway without keys.
        """
        host = head.headers.get("host") or ""
        origin = head.headers.get("origin")
        if self.open and self.listen.is_loopback and host and _name(host) not in _LOCAL | {self.listen.host}:
            raise _forbidden(f"this gateway has no keys, so it does not answer for the host {host[:80]!r}")
        if origin is None:
            return []
        if origin in self.allowed or "*" in self.allowed:
            return [("access-control-allow-origin", origin), ("vary", "origin")]
        if self.open and origin.partition("://")[2] != host:
            raise _forbidden(f"pages of {origin[:80]!r} may not use this gateway; add them to serve.corsOrigins")
        return []

    def preflight(self) -> list[tuple[str, str]]:
        """Return the headers that answer a browser's question before its request."""
        return [
            ("access-control-allow-methods", "GET, POST"),
            ("access-control-allow-headers", "*, authorization"),
            ("access-control-max-age", "600"),
        ]


def _name(host: str) -> str:
    """Return a host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _forbidden(message: str) -> RequestRejected:
    return RequestRejected(
        ServedError(
            status=403,
            type="permission_error",
            code="origin_not_allowed",
            messages_type="permission_error",
            message=message,
        )
    )
