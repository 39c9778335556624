"""The transport over `requests`: what a blocking script gets by default, and the way to bring a configured session.

By default the session is its own: no `.netrc`, no cookies, no redirects, no retries, no header fields of its own
making, proxies as `turnout_io.transports.proxies` reads them. A session of the user's is used as they configured it.

What cannot be kept exactly, because `requests` has no deadline: the connect timeout holds for each address and each
step on the way to it (name look-up not included), the head timeout and the timeout of `read` for each wait on the
socket. An answer that comes before a large body is through is read only after it. A session of the user's also does
what http.client does: it passes over no interim answer but 100, and takes a head that is cut off for a whole one.
`turnout_io.transports.socket` keeps all of these.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import requests
import urllib3

from turnout.errors import LocalProtocolError, Phase, RemoteProtocolError, TransportError, TurnoutError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.http.http1_head import check_fields
from turnout.http.origin import Origin, split_url
from turnout_io.process_lock import process_lock
from turnout_io.transports.proxies import Proxy, proxy_for
from turnout_io.transports.requests_errors import open_fault, read_fault, root_cause
from turnout_io.transports.requests_session import PROGRESS, OwnSession
from turnout_io.transports.tls import TlsSettings

__all__ = ["RequestsResponse", "RequestsTransport"]

_READ_SIZE = 65536
# What `requests` refuses before it sends: its messages quote the value, which might be a key.
_UNSENDABLE = (
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    UnicodeError,
)


class RequestsTransport:
    """Blocking HTTP over `requests`. May be used from several threads, and again after a fork.

    session      a session of the user's: then the other settings are its own, and are ignored here
    pool_size    connections kept open for reuse to one host: as many as calls run at once
    ca_file, client_cert, ssl_context   see `TlsSettings`
    proxy        the URL of the proxy for every request; "" for none
    trust_env    whether the environment may name a proxy and trusted certificates
    """

    def __init__(
        self,
        session: requests.Session | None = None,
        *,
        pool_size: int = 16,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
    ) -> None:
        self._given = session
        self._pool_size = pool_size
        self._environ = os.environ if trust_env else None
        self._tls = TlsSettings(ca_file, client_cert, ssl_context, self._environ)
        self._proxy = Proxy.parse(proxy) if proxy else None
        self._any_proxy = proxy != ""
        self._own: OwnSession | None = None
        self._process = os.getpid()
        self._lock = process_lock()

    def __repr__(self) -> str:
        return f"RequestsTransport(session={self._given!r})" if self._given else "RequestsTransport()"

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> RequestsResponse:
        """See `turnout_io.base.Transport.open`."""
        origin, target = split_url(request.url)
        proxy = self._proxy_for(origin)
        given = self._given
        send: Callable[[], requests.Response]
        if given is None:
            check_fields(request.headers)
            send = partial(
                self._own_session().deliver,
                request.method,
                f"{origin}{target}",
                _joined(request.headers),
                request.body,
                timeout=(timeouts.connect, timeouts.response_headers),
                proxy=proxy.url if proxy is not None else None,
            )
        else:
            send = _by_session(self._given_session(given), request, timeouts)
        PROGRESS.begin(tracked=given is None)
        try:
            response = send()
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as fault:
            raise open_fault(fault, origin, proxy) from root_cause(fault)
        if 100 <= response.status_code < 200:
            response.close()
            raise RemoteProtocolError(
                f"{origin.authority} sent an interim answer ({response.status_code}), which this session cannot pass "
                "over: use RequestsTransport without a session, or SocketTransport"
            )
        return RequestsResponse(response, origin)

    def close(self) -> None:
        """Close the connections kept for reuse. A session of the user's is theirs to close."""
        with self._lock:
            session, self._own = self._own, None
        if session is not None:
            session.close()

    def _own_session(self) -> OwnSession:
        with self._lock:
            # A forked process must not speak over its parent's connections.
            if self._own is None or self._process != os.getpid():
                self._own = OwnSession(self._tls, self._pool_size)
                self._process = os.getpid()
            return self._own

    def _given_session(self, session: requests.Session) -> requests.Session:
        with self._lock:
            if self._process != os.getpid():
                for adapter in session.adapters.values():
                    adapter.close()  # drops its connections; it is used again with new ones
                self._process = os.getpid()
            return session

    def _proxy_for(self, origin: Origin) -> Proxy | None:
        if self._proxy is not None:
            return self._proxy
        return proxy_for(origin, self._environ) if self._any_proxy and self._environ is not None else None


def _by_session(
    session: requests.Session, request: HttpRequest, timeouts: TransportTimeouts
) -> Callable[[], requests.Response]:
    """What sends a request through a session of the user's, as they configured it."""
    wanted = requests.Request(request.method, request.url, _joined(request.headers), data=request.body)
    try:
        prepared = session.prepare_request(wanted)
    except _UNSENDABLE as fault:
        raise LocalProtocolError(f"the request cannot be sent by requests: {type(fault).__name__}") from None
    options: Any = session.merge_environment_settings(prepared.url, {}, True, None, None)
    options = {**options, "stream": True, "allow_redirects": False}
    return partial(session.send, prepared, timeout=(timeouts.connect, timeouts.response_headers), **options)


def _joined(headers: Headers) -> dict[str, str]:
    """`requests` takes a mapping: repeated names become one field with a list, which is the same in HTTP."""
    fields: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        known = fields.get(name.lower())
        fields[name.lower()] = (name, value) if known is None else (known[0], f"{known[1]}, {value}")
    return dict(fields.values())


class RequestsResponse:
    """One response; see `turnout_io.base.HttpResponse`. `close` may come from another thread, and ends its read."""

    def __init__(self, response: requests.Response, origin: Origin) -> None:
        self._response = response
        self._raw: urllib3.HTTPResponse = response.raw
        self._origin = origin
        self._socket = _socket_of(self._raw)
        self._phase = Phase.HEAD
        self._ended = False
        self._closed = False
        self._process = os.getpid()
        self._failure: TurnoutError | None = None
        self.status: int = response.status_code
        self.headers = Headers((str(name), str(value)) for name, value in self._raw.headers.iteritems())
        # A session that knows redirects has read (and decoded) the body of one, although it was told to follow none.
        self._ready = response.content if response.is_redirect and self._raw.closed else b""
        if self._ready:
            self.headers = Headers(field for field in self.headers if field[0].lower() != "content-encoding")

    def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.HttpResponse.read`. `timeout` holds for each wait on the socket."""
        if self._ready:
            data, self._ready = self._ready, b""
            return data
        if self._ended:
            return b""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise TransportError("the response was closed before its end", phase=self._phase)
        try:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # closed already where the whole body has been read
                    # 0 would mean "do not wait".
                    self._socket.settimeout(None if timeout is None else max(timeout, 0.001))
            data = self._raw.read1(_READ_SIZE, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as fault:
            if self._closed:
                raise TransportError("the response was closed while it was read", phase=self._phase) from None
            if isinstance(fault, ValueError | AttributeError):
                raise
            # `requests` has closed the connection, and would now report the end of the body.
            self._failure = read_fault(fault, self._origin, self._phase)
            raise self._failure from root_cause(fault)
        if self._closed:
            raise TransportError("the response was closed while it was read", phase=self._phase)
        if not data:
            self._ended = True
            self._raw.release_conn()
            return b""
        self._phase = Phase.BODY
        return data

    def close(self) -> None:
        """Give the connection back at the end of the body, else drop it."""
        if self._closed:
            return
        self._closed = True
        if self._ended:
            return
        if self._failure is None and self._raw.length_remaining == 0:
            # All bytes of the body are read, or it has none: its end needs no waiting.
            self._raw.read1(1, decode_content=False)
            self._raw.release_conn()
            return
        # Wakes a thread that reads, which holds the lock of the buffer that `close` below waits for.
        self._shut_down()
        self._response.close()

    def abort(self) -> None:
        """Shut down the connection at once. Acquires no lock, so that finalisers may call it; `close` comes later."""
        if not (self._closed or self._ended):
            self._shut_down()

    def _shut_down(self) -> None:
        # A forked process lets go of its copy of the socket: to shut that down would end the parent's connection.
        if self._socket is not None and self._process == os.getpid():
            with contextlib.suppress(OSError):  # it is shut down already
                self._socket.shutdown(socket.SHUT_RDWR)


def _socket_of(raw: urllib3.HTTPResponse) -> socket.socket | None:
    """The socket under a response. Its connection forgets it where the answer said `Connection: close`."""
    found = getattr(getattr(raw, "connection", None), "sock", None)
    if found is None:
        stream = getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None)
        found = getattr(stream, "_sock", None)
    return found
