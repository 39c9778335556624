"""The session that the requests transport makes for itself: it adds nothing, and its connections tell what they did."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import SKIP_HEADER

from turnout.http.http1_body import ChunkedBody
from turnout_io.transports.tls import TlsSettings

__all__ = ["PROGRESS", "OwnSession"]

_READ_SIZE = 65536
_MAX_SIZE_LINE = 4096
_MAX_TRAILER_LINES = 100
_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}(?:[ \t]*|;[\t\x20-\x7e\x80-\xff]*)")


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


class _HeadLines:
    """The lines of a head, of which http.client would take one that is cut off for the last."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._begun = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self.stream.readline(limit)
        cut = not line.endswith(b"\n") and len(line) < limit
        if cut and (line or self._begun):  # without a single byte, http.client has an error of its own
            raise ConnectionResetError("inside the head of its answer")
        self._begun = True
        return line

    def flush(self) -> None:
        """Asked for by an answer that is closed where its head was broken off."""

    def close(self) -> None:
        self.stream.close()


class _Answer(http.client.HTTPResponse):
    """An answer that http.client reads as strictly as Turnout's own reader would.

    The names that begin with an underscore are http.client's own. They have been the same since Python 3.5; where one
    were missing, its method here would do nothing.
    """

    _chunks: ChunkedBody | None = None

    def begin(self) -> None:
        stream = self.fp
        self.fp = _HeadLines(stream)  # type: ignore[assignment]  # it has all that `begin` uses
        try:
            super().begin()
        finally:
            if isinstance(self.fp, _HeadLines):  # None where the answer has no body
                self.fp = stream

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
        # `begin` passes over the interim answer 100; to it, the others look the same.
        return version, 100 if 102 <= status < 200 else status, reason

    def _read1_chunked(self, n: int) -> bytes:
        """Return the data of all chunks that one read of the socket brings. http.client returns one chunk at most."""
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = ChunkedBody()
        while not self.isclosed():
            if chunks.failure is not None:
                raise http.client.UnknownTransferEncoding(chunks.failure.message)
            data = self.fp.read1(max(n, _READ_SIZE))
            if not data:
                raise http.client.IncompleteRead(b"")
            body = chunks.receive_data(data)
            if chunks.ended:
                self._close_conn()  # type: ignore[attr-defined]  # typeshed leaves it out
            if body:
                return body
        return b""

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_MAX_SIZE_LINE + 1)
        if line.endswith(b"\r\n") and _SIZE_LINE.fullmatch(line[:-2]) is not None:
            return int(line.partition(b";")[0], 16)
        if line.endswith(b"\n") or len(line) > _MAX_SIZE_LINE:
            raise http.client.UnknownTransferEncoding("not a chunk-size line")
        raise http.client.IncompleteRead(b"")

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_MAX_TRAILER_LINES):
            line = self.fp.readline(_MAX_SIZE_LINE + 1)
            if line == b"\r\n":
                return
            if not line.endswith(b"\n"):
                break
        raise http.client.IncompleteRead(b"")


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
        super().request(*args, **kwargs)  # type: ignore[misc]  # see above
        self._served = True  # not before: `request` may connect


class _PlainConnection(_Noting, HTTPConnection):
    response_class = _Answer


class _TlsConnection(_Noting, HTTPSConnection):
    response_class = _Answer


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

    def close(self) -> None:
        """Close the idle connections. (urllib3 alone leaves that to when nobody refers to a pool any more.)"""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # it is no mapping that could be iterated
                with contextlib.suppress(KeyError):  # where another thread was faster
                    manager.pools[key].close()
        super().close()

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return a response with what the transport asks for; its header fields are those of `raw`."""
        response = requests.Response()
        response.status_code, response.raw, response.url = resp.status, resp, req.url or ""
        response.request = req
        return response

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
        self.trust_env = False
        adapter = _Adapter(tls, pool_size)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def deliver(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout: Any,  # a pair for `requests`, whose types allow less than it does
        proxy: str | None,
    ) -> requests.Response:
        """Send a request as it is, and return the response before its body is read.

        `Session.send` would do the same, and more: it looks for cookies, credentials and redirects, which this session
        never has, at a third of the cost of the whole request.
        """
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = method, url
        # urllib3 and http.client would each add one of these where it is absent.
        prepared.headers = CaseInsensitiveDict({"User-Agent": SKIP_HEADER, "Accept-Encoding": SKIP_HEADER})
        prepared.headers.update(headers)
        if body or method not in ("GET", "HEAD"):
            prepared.headers.setdefault("Content-Length", str(len(body)))
            prepared.body = body or None
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        return self.get_adapter(url).send(
            prepared, stream=True, timeout=timeout, verify=True, cert=None, proxies=proxies
        )
