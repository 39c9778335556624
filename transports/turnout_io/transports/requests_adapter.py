"""An adapter for `requests` that keeps every timer exactly.

`requests` has no deadline: its timeouts hold for each wait on a socket, so a server that sends a byte now and then can
hold a call for ever. This adapter sends with Turnout's own HTTP/1.1 client instead of urllib3. It tries all addresses
of a host, bounds the connection and the head of the response as a whole, limits heads and interim responses, and
expires idle connections. Mount it in a session to get that for every request of the session:

    session = requests.Session()
    session.mount("https://", Http1Adapter())
    router = Router.from_env(transport=RequestsTransport(session))
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers, select_proxy

from turnout.errors import (
    ConnectFailed,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TransportError,
    TurnoutError,
)
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.process_lock import process_lock
from turnout_io.transports._sync.http1 import Http1Client, Http1Response
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.socket import BlockingSocketRuntime
from turnout_io.transports.tls import TlsSettings

__all__ = ["AdapterResponse", "Http1Adapter", "OwnSession"]


class Http1Adapter(BaseAdapter):
    """Sends the requests of a session with Turnout's HTTP/1.1 client. Threads may share it.

    `timeout=(connect, read)` has this meaning: `connect` bounds the connection as a whole, TLS included; `read` bounds
    the request and the head of its response together, and each read of the body. A request body that is an iterator or
    a file is read before it is sent.

    Args:
        ssl_context: Used for every request. By default it is made from the session's `verify` and `cert`.
        max_keepalive_connections: Idle connections kept for reuse.
        keepalive_expiry: Seconds after which an idle connection is not reused.
    """

    def __init__(
        self,
        *,
        ssl_context: Any = None,
        max_keepalive_connections: int = 16,
        keepalive_expiry: float = 60.0,
    ) -> None:
        super().__init__()
        self._ssl_context = ssl_context
        self._max_keepalive_connections = max_keepalive_connections
        self._keepalive_expiry = keepalive_expiry
        self._clients: dict[Any, Http1Client] = {}
        self._lock = process_lock()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> AdapterResponse:
        """Send a request and return its response when the head was received. See the class for `timeout`.

        Raises:
            requests.RequestException: If the request fails. Turnout's own error is its cause.
        """
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            client = self._client(verify, cert, select_proxy(request.url, proxies))  # type: ignore[arg-type]  # a dict
            opened = client.open(_to_http_request(request), TransportTimeouts(connect=connect, response_headers=read))
        except TurnoutError as error:
            raise _as_requests_error(error, request) from error
        return AdapterResponse(opened, request, self, read)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close_idle()

    def _client(self, verify: Any, cert: Any, proxy: str | None) -> Http1Client:
        key = (verify, cert, proxy)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = Http1Client(
                    BlockingSocketRuntime(),
                    tls=self._tls(verify, cert),
                    proxy=Proxy.parse(proxy) if proxy else None,
                    use_environment_proxy=False,
                    max_keepalive_connections=self._max_keepalive_connections,
                    keepalive_expiry=self._keepalive_expiry,
                )
            return client

    def _tls(self, verify: Any, cert: Any) -> TlsSettings:
        # The session has read the environment already, and has put what it names into `verify`.
        ca_file = verify if isinstance(verify, str | os.PathLike) else None
        settings = TlsSettings(ca_file, cert, self._ssl_context, trust_env=True)
        if verify is False and self._ssl_context is None:
            settings.disable_verification()
        return settings


class _OwnAdapter(Http1Adapter):
    """The adapter of the session that `RequestsTransport` makes: one client, with the transport's settings."""

    def __init__(self, client: Http1Client) -> None:
        super().__init__()
        self._own_client = client

    def _client(self, verify: Any, cert: Any, proxy: str | None) -> Http1Client:
        return self._own_client

    def send(self, *args: Any, **kwargs: Any) -> AdapterResponse:
        response = super().send(*args, **kwargs)
        response.detach()  # its `raw` is None: the session stores no cookies
        return response

    def close(self) -> None:
        self._own_client.close_idle()


class OwnSession(requests.Session):
    """The session of a `RequestsTransport` without one: it adds, follows and stores nothing."""

    def __init__(self, client: Http1Client) -> None:
        super().__init__()
        self.trust_env = False
        adapter = _OwnAdapter(client)
        self.adapters.clear()
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: `send` would otherwise read the body of a redirect."""

    def deliver(self, request: HttpRequest, timeouts: TransportTimeouts) -> requests.Response:
        """Send a request as it is.

        Raises:
            requests.RequestException: If the request fails.
        """
        prepared = _PreparedRequest()
        prepared.source = request
        prepared.method, prepared.url, prepared.body = request.method, request.url, request.body
        prepared.hooks = {"response": []}
        return self.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(timeouts.connect, timeouts.response_headers),
            proxies={},
        )


class _PreparedRequest(requests.PreparedRequest):
    """A request for our own adapter. Its header fields become a mapping only if somebody reads them."""

    source: HttpRequest | None = None
    _mapping: CaseInsensitiveDict[Any] | None = None

    @property
    def headers(self) -> Any:
        if self._mapping is None and self.source is not None:
            self._mapping = _joined(self.source.headers)
        return self._mapping

    @headers.setter
    def headers(self, mapping: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # see above
        self._mapping = mapping


def _to_http_request(request: requests.PreparedRequest) -> HttpRequest:
    if isinstance(request, _PreparedRequest) and request.source is not None and request._mapping is None:
        return request.source
    body: Any = request.body
    if body is None:
        body = b""
    elif hasattr(body, "read"):
        body = body.read()
    elif not isinstance(body, str | bytes | bytearray):
        body = b"".join(map(_as_bytes, body))
    fields = [
        (_as_text(name), _as_text(value))
        for name, value in (request.headers or {}).items()
        if not (isinstance(name, str) and name.lower() == "transfer-encoding")
    ]
    new_connection = getattr(request, "new_connection", False)
    return HttpRequest(
        request.method or "GET", request.url or "", fields, _as_bytes(body), new_connection=bool(new_connection)
    )


def _as_bytes(data: Any) -> bytes:
    return data.encode("utf-8") if isinstance(data, str) else bytes(data)


def _as_text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _joined(fields: Iterable[tuple[str, str]]) -> CaseInsensitiveDict[Any]:
    """Return a mapping for `requests`: repeated names become one field with a list, which is the same in HTTP."""
    mapping: CaseInsensitiveDict[Any] = CaseInsensitiveDict()
    for name, value in fields:
        mapping[name] = f"{mapping[name]}, {value}" if name in mapping else value
    return mapping


def _as_requests_error(error: TurnoutError, request: requests.PreparedRequest) -> requests.RequestException:
    """Return the exception that users of `requests` expect for an error."""
    exceptions = requests.exceptions
    match error:
        case ConnectFailed(reason="certificate" | "tls"):
            kind: type[requests.RequestException] = exceptions.SSLError
        case ConnectFailed(reason="proxy" | "proxy-refused"):
            kind = exceptions.ProxyError
        case TimedOut(timer=Timer.CONNECT):
            kind = exceptions.ConnectTimeout
        case TimedOut():
            kind = exceptions.ReadTimeout
        case TransportError() | RemoteProtocolError():
            kind = exceptions.ConnectionError
        case LocalProtocolError():
            kind = exceptions.InvalidURL
        case _:
            kind = exceptions.RequestException
    return kind(str(error), request=request)


class AdapterResponse(requests.Response):
    """The response of an `Http1Adapter`. Its header mapping and `raw` are made only if somebody reads them.

    Attributes:
        opened: The response of Turnout's client, whose reads have exact timers.
    """

    def __init__(
        self, opened: Http1Response, request: requests.PreparedRequest, adapter: BaseAdapter, read_timeout: float | None
    ) -> None:
        self._raw: Any = None
        self._mapping: CaseInsensitiveDict[str] | None = None
        super().__init__()
        self._raw, self._mapping = None, None
        self._is_detached = False
        self._body: _Body | None = None
        self.opened = opened
        self._read_timeout = read_timeout
        self.status_code = opened.status
        self.reason = http.client.responses.get(opened.status, "")
        self.url = request.url or ""
        self.request = request
        self.connection: Any = adapter

    def detach(self) -> Http1Response:
        """Return the response of Turnout's client. This object does not close it any more."""
        self._is_detached = True
        if self._body is not None:
            self._body.is_detached = True
        return self.opened

    @property
    def headers(self) -> Any:
        if self._mapping is None:
            self._mapping = _joined(self.opened.headers)
            self.encoding = get_encoding_from_headers(self._mapping)
        return self._mapping

    @headers.setter
    def headers(self, mapping: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # see above
        self._mapping = mapping

    @property
    def raw(self) -> Any:
        if self._raw is None and not self._is_detached:
            self._body = _Body(self.opened, self._read_timeout)
            self._raw = _to_urllib3(self._body, self.request, self.reason)
        return self._raw

    @raw.setter
    def raw(self, raw: Any) -> None:
        self._raw = raw


def _to_urllib3(body: _Body, request: requests.PreparedRequest, reason: str) -> urllib3.HTTPResponse:
    """Return a response of urllib3 over `body`: it decodes contents and carries cookies, as sessions expect."""
    opened = body.opened
    return urllib3.HTTPResponse(
        body=body,  # type: ignore[arg-type]  # it has the methods that urllib3 calls
        headers=urllib3.HTTPHeaderDict(list(opened.headers)),
        status=opened.status,
        version=11,
        reason=reason,
        preload_content=False,
        decode_content=False,
        original_response=_OriginalResponse(body),  # type: ignore[arg-type]  # see above
        request_method=request.method,
        request_url=request.url,
    )


class _Body:
    """The body of a response as the file that urllib3 reads."""

    def __init__(self, opened: Http1Response, timeout: float | None) -> None:
        self.opened = opened
        self.closed = False
        self.is_detached = False
        self._timeout = timeout
        self._buffer = b""

    def read1(self, size: int | None = None) -> bytes:
        """Return some bytes, b"" at the end."""
        if not self._buffer:
            self._buffer = self._receive()
        return self._take(size)

    def read(self, size: int | None = None) -> bytes:
        """Return `size` bytes, fewer at the end; all that are left without a size."""
        parts, missing = [self._buffer], None if size is None or size < 0 else size - len(self._buffer)
        while missing is None or missing > 0:
            data = self._receive()
            if not data:
                break
            parts.append(data)
            missing = None if missing is None else missing - len(data)
        self._buffer = b"".join(parts)
        return self._take(size)

    def close(self) -> None:
        self.closed = True
        if not self.is_detached:
            self.opened.close()

    def flush(self) -> None:
        """Do nothing. urllib3 calls it."""

    def _take(self, size: int | None) -> bytes:
        size = len(self._buffer) if size is None or size < 0 else size
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> bytes:
        try:
            return self.opened.read(self._timeout)
        except TimedOut as error:
            raise TimeoutError(str(error)) from error
        except TransportError as error:
            raise ConnectionResetError(str(error)) from error
        except TurnoutError as error:
            raise http.client.HTTPException(str(error)) from error


class _OriginalResponse:
    """The part of http.client's response that `requests` needs: the header fields with cookies, and an end."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        self.msg = Message()
        for name, value in body.opened.headers:
            self.msg[name] = value

    def isclosed(self) -> bool:  # named by http.client
        return self._body.closed

    def close(self) -> None:
        self._body.close()
