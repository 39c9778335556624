"""The base of the transports over sockets: their settings, and what they do with them."""

from __future__ import annotations

import os
import ssl
from typing import ClassVar

from turnout.http import HttpRequest, TransportTimeouts
from turnout.redaction import hidden
from turnout_io.transports._async.http1 import AsyncHttp1Client, AsyncHttp1Response
from turnout_io.transports._async.opening import AsyncOpening
from turnout_io.transports._async.runtime import AsyncSocketRuntime
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.tls import TlsSettings

__all__ = ["AsyncSocketTransport"]


class AsyncSocketTransport:
    """HTTP/1.1 over sockets, with exact timers. It may be shared by event loops, each with its own connections.

    Args:
        ca_file: Certificates to trust instead of the system's: a PEM file or a directory.
        client_cert: A PEM file with certificate and key, or (certificate, key), or (certificate, key, password).
        ssl_context: Used as it is, instead of the two above.
        proxy: The URL of a proxy for every request: http, https, socks5 (resolves names here) or socks5h (resolves
            names in the proxy). "" means none.
        trust_env: True if the environment may name a proxy and trusted certificates.
        max_keepalive_connections: Idle connections kept for reuse.
        keepalive_expiry: Seconds after which an idle connection is not reused.
    """

    _runtime_class: ClassVar[type[AsyncSocketRuntime]]

    def __init__(
        self,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        max_keepalive_connections: int = 16,
        keepalive_expiry: float = 60.0,
    ) -> None:
        proxy = hidden(proxy)
        self._client = AsyncHttp1Client(
            self._runtime_class(),
            tls=TlsSettings(ca_file, client_cert, ssl_context, trust_env),
            proxy=Proxy.parse(proxy) if proxy else None,
            use_environment_proxy=trust_env and proxy is None,
            max_keepalive_connections=max_keepalive_connections,
            keepalive_expiry=keepalive_expiry,
        )

    async def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncHttp1Response:
        """See `turnout_io.base.AsyncTransport.open`."""
        return await self._client.open(request, timeouts)

    @property
    def waits_in_parts(self) -> bool:
        """True if `open_reused` may be used. A subclass with its own `open` must see each request."""
        return type(self).open is AsyncSocketTransport.open

    def open_reused(self, request: HttpRequest, timeouts: TransportTimeouts) -> AsyncOpening | None:
        """Return the request over an idle connection, which can be waited for in parts; None without such one."""
        return self._client.open_reused(request, timeouts)

    def keep_connections(self, count: int) -> None:
        """Keep at least so many idle connections for reuse, if so many requests run at once."""
        self._client.keep_connections(count)

    async def aclose(self) -> None:
        """Close the idle connections. Waits for nothing."""
        self._client.close_idle()
