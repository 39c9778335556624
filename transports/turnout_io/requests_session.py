"""The session that the requests transport makes for itself: it adds nothing, and its connections tell what they did."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import SKIP_HEADER

from turnout_io.tls import TlsSettings

__all__ = ["PROGRESS", "OwnSession"]


class _Progress(threading.local):
    """How far the request of this thread has come, noted by the connections below.

    tracked    whether the request runs on connections that note anything: a user's own session may have others
    connected  a usable connection is there, so that something may have been sent
    reused     the connection has served a request before
    """

    tracked = False
    connected = False
    reused = False

    def begin(self, *, tracked: bool) -> None:
        self.tracked = tracked
        self.connected = False
        self.reused = False


PROGRESS = _Progress()


class _Noting:
    """What both kinds of connection note. A mixin over `HTTPConnection`."""

    _served = False

    def connect(self) -> None:
        self._served = False
        super().connect()  # type: ignore[misc]  # the next class is HTTPConnection or HTTPSConnection
        PROGRESS.connected = True

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # type: ignore[attr-defined]  # see above
            PROGRESS.connected = True
            PROGRESS.reused = self._served
        self._served = True
        super().request(*args, **kwargs)  # type: ignore[misc]  # see above


class _PlainConnection(_Noting, HTTPConnection):
    pass


class _TlsConnection(_Noting, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    # urllib3's own classes do not fit its protocol either.
    ConnectionCls = _PlainConnection  # pyright: ignore[reportAssignmentType]


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection  # pyright: ignore[reportAssignmentType]  # see above


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """An adapter with one SSL context for all connections.

    `requests` alone reads the trusted certificates anew for each connection, which takes some 30 ms.
    """

    def __init__(self, tls: TlsSettings, pool_size: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=pool_size, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        if proxy.lower().startswith("socks"):
            return super().proxy_manager_for(proxy, **proxy_kwargs)
        if proxy.lower().startswith("https"):
            proxy_kwargs["proxy_ssl_context"] = self._tls.context()
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: the SSL context has it all."""

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            return host, {**pool, "ssl_context": self._tls.context()}
        return host, pool


class OwnSession(requests.Session):
    """A session without header fields, cookies, credentials from files, redirects or retries of its own."""

    def __init__(self, tls: TlsSettings, pool_size: int) -> None:
        super().__init__()
        self.headers.clear()
        # urllib3 and http.client would each add one of these where it is absent.
        self.headers.update({"User-Agent": SKIP_HEADER, "Accept-Encoding": SKIP_HEADER})
        self.trust_env = False
        self.auth = _no_auth  # without any, `requests` would look into .netrc
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(tls, pool_size)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: `send` would otherwise read the body of a redirect that nobody follows."""


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def send_options(proxy: str | None) -> Mapping[str, Any]:
    """What `Session.send` is told so that it asks neither the environment nor its own settings."""
    return {
        "verify": True,
        "cert": None,
        "proxies": {"http": proxy, "https": proxy} if proxy else {},
    }
