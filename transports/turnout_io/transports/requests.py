"""The transport over `requests`: the default of blocking code, and the way to bring a configured session.

Without a session, the transport makes one that adds, follows and stores nothing. It sends through `Http1Adapter`, so
every timer is exact. A session of the user's is used as it is configured. Three rules hold there too: no redirect is
followed, the body of a redirect is not read, and `.netrc` does not replace the key of a request.

With the adapters of `requests` itself (urllib3), the following cannot be guaranteed. To get it, mount `Http1Adapter`:

* The timers hold for each wait on the socket, not for their sum. A name look-up has no bound. A server that sends the
  head, interim responses or chunk sizes byte by byte can exceed the call's deadline.
* A response that arrives before a large request body was sent is read only after it.
* Interim responses other than 100 are refused, and 100 may repeat without end. A head that is cut off counts as whole.
* Idle connections do not expire, and TCP does not probe silent connections.
* It is not known whether a silent connection was reused, so the router does not replace it by a new one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy

from turnout.errors import LocalProtocolError, Phase, RemoteProtocolError, TransportError, TurnoutError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.http.origin import Origin, split_url
from turnout.redaction import hidden
from turnout_io.base import HttpResponse
from turnout_io.process_lock import process_lock
from turnout_io.transports._sync.http1 import Http1Client
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.requests_adapter import AdapterResponse, Http1Adapter, OwnSession
from turnout_io.transports.requests_errors import read_error, root_cause, send_error
from turnout_io.transports.socket import BlockingSocketRuntime
from turnout_io.transports.socket_runtime import MAX_WAIT
from turnout_io.transports.tls import TlsSettings

__all__ = ["Http1Adapter", "RequestsResponse", "RequestsTransport"]

_READ_SIZE = 65536
# `requests` refuses these before it sends. Its messages quote the value, which might be a key.
_UNSENDABLE = (
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    UnicodeError,
)


class RequestsTransport:
    """Blocking HTTP over `requests`. Threads may share it, and it works again after a fork.

    Args:
        session: The user's session. Then the other settings are those of the session, and are ignored here.
        pool_size: Idle connections kept for reuse.
        keepalive_expiry: Seconds after which an idle connection is not reused.
        ca_file: See `turnout_io.transports.socket.SocketTransport`, also for the settings below.
        client_cert: A client certificate.
        ssl_context: Used instead of the two above.
        proxy: The URL of a proxy for every request; "" means none.
        trust_env: True if the environment may name a proxy and trusted certificates.
    """

    def __init__(
        self,
        session: requests.Session | None = None,
        *,
        pool_size: int = 16,
        keepalive_expiry: float = 60.0,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str | tuple[str, ...] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
    ) -> None:
        proxy = hidden(proxy)
        self._session = session
        self._client = Http1Client(
            BlockingSocketRuntime(),
            tls=TlsSettings(ca_file, client_cert, ssl_context, trust_env),
            proxy=Proxy.parse(proxy) if proxy else None,
            use_environment_proxy=trust_env and proxy is None,
            max_keepalive_connections=pool_size,
            keepalive_expiry=keepalive_expiry,
        )
        self._own = OwnSession(self._client)
        self._process = os.getpid()
        self._lock = process_lock()
        self._inside = _Inside()

    def __repr__(self) -> str:
        return "RequestsTransport()" if self._session is None else f"RequestsTransport(session={self._session!r})"

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> HttpResponse:
        """See `turnout_io.base.Transport.open`."""
        origin, _ = split_url(request.url)
        proxies: dict[str, str] = {}
        try:
            if self._session is None:
                response = self._own.deliver(request, timeouts)
            else:
                session = self._after_fork(self._session)
                prepared = _prepare(session, request)
                options: Any = session.merge_environment_settings(prepared.url, {}, True, None, None)
                proxies = options["proxies"]
                timeout = (_at_most(timeouts.connect), _at_most(timeouts.response_headers))
                with self._inside.enter():
                    response = session.send(prepared, timeout=timeout, allow_redirects=False, **options)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise send_error(error, origin, select_proxy(request.url, proxies)) from root_cause(error)
        if isinstance(response, AdapterResponse):
            return response.detach()
        if 100 <= response.status_code < 200:
            response.close()
            raise RemoteProtocolError(
                f"{origin.authority} sent an interim response ({response.status_code}), which this session cannot "
                "skip: mount Http1Adapter in the session"
            )
        return RequestsResponse(response, origin, self._inside)

    def keep_connections(self, count: int) -> None:
        """Keep at least so many idle connections for reuse. A session of the user keeps its own number."""
        self._client.keep_connections(count)

    def close(self) -> None:
        """Close the connections that are kept for reuse. The user's session is for the user to close."""
        self._own.close()

    def _after_fork(self, session: requests.Session) -> requests.Session:
        with self._lock:
            if self._process != os.getpid():
                for adapter in session.adapters.values():
                    adapter.close()  # closes the parent's connections here; the adapter opens new ones
                self._process = os.getpid()
            return session


def _prepare(session: requests.Session, request: HttpRequest) -> requests.PreparedRequest:
    """Return a request with the settings of the user's session.

    Raises:
        LocalProtocolError: If `requests` refuses to send it.
    """
    headers = _joined(request.headers)
    # Without any auth, a session that trusts the environment would take one from .netrc, in place of the key.
    auth = _keep_headers if session.auth is None else None
    wanted = requests.Request(request.method, request.url, headers, data=request.body, auth=auth)
    try:
        prepared = session.prepare_request(wanted)
    except _UNSENDABLE as error:
        raise LocalProtocolError(f"requests cannot send this request: {type(error).__name__}") from None
    prepared.new_connection = request.new_connection  # type: ignore[attr-defined]  # `Http1Adapter` reads it
    prepared.hooks["response"] = [*prepared.hooks.get("response", ()), _hide_redirect]
    return prepared


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _hide_redirect(response: requests.Response, **_: Any) -> requests.Response:
    """Hide the target of a redirect: `Session.send` reads and decodes the body of each redirect that it sees."""
    if response.is_redirect:
        fields = [(name, value) for name, value in response.headers.items() if name.lower() != "location"]
        response.headers = CaseInsensitiveDict(fields)
    return response


def _at_most(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, MAX_WAIT)


def _joined(headers: Headers) -> dict[str, str]:
    """Return a mapping for `requests`: repeated names become one field with a list, which is the same in HTTP."""
    fields: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        known = fields.get(name.lower())
        fields[name.lower()] = (name, value) if known is None else (known[0], f"{known[1]}, {value}")
    return dict(fields.values())


class _Inside:
    """The threads that run code of urllib3, which acquires locks.

    The garbage collector can run a finaliser of the user's there. If it closes a stream, the thread would wait for a
    lock that it holds. So such a response is only shut down. The next thread that leaves urllib3 closes it.
    """

    def __init__(self) -> None:
        self._threads: set[int] = set()
        self._unclosed: deque[requests.Response] = deque()

    @contextlib.contextmanager
    def enter(self) -> Iterator[None]:
        thread = threading.get_ident()
        try:
            self._threads.add(thread)
            yield
        finally:
            self._threads.discard(thread)
            while self._unclosed:
                with contextlib.suppress(IndexError):  # another thread was faster
                    self._unclosed.popleft().close()

    def close_later(self, response: requests.Response) -> bool:
        """Return True if this thread is inside urllib3. Then the response is closed later."""
        if threading.get_ident() not in self._threads:
            return False
        self._unclosed.append(response)
        return True


class RequestsResponse:
    """One response of the user's session. See `turnout_io.base.HttpResponse`.

    `close` may be called by another thread, and ends its read.
    """

    def __init__(self, response: requests.Response, origin: Origin, inside: _Inside) -> None:
        self._response = response
        self._inside = inside
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

    def read(self, timeout: float | None) -> bytes:
        """See `turnout_io.base.HttpResponse.read`. `timeout` holds for each wait on the socket."""
        if self._ended:
            return b""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise TransportError("the response was closed before its end", phase=self._phase)
        try:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the socket is closed if the whole body was read
                    # 0 would mean not to wait.
                    self._socket.settimeout(None if timeout is None else min(max(timeout, 0.001), MAX_WAIT))
            with self._inside.enter():
                data = self._raw.read1(_READ_SIZE, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if self._closed:
                raise TransportError("the response was closed while it was read", phase=self._phase) from None
            if isinstance(error, ValueError | AttributeError):
                raise
            # `requests` has closed the connection, and would now report the end of the body.
            self._failure = read_error(error, self._origin, self._phase)
            raise self._failure from root_cause(error)
        if self._closed:
            raise TransportError("the response was closed while it was read", phase=self._phase)
        if not data:
            self._ended = True
            with self._inside.enter():
                self._raw.release_conn()
            return b""
        self._phase = Phase.BODY
        return data

    def close(self) -> None:
        """Give the connection back at the end of the body, else close it."""
        if self._closed:
            return
        self._closed = True
        if self._ended:
            return
        if self._inside.close_later(self._response):
            self._shut_down()
            return
        with self._inside.enter():
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
        # In a forked process, a shutdown would end the parent's connection; `close` only closes the copy.
        if self._socket is not None and self._process == os.getpid():
            with contextlib.suppress(OSError):  # it is shut down already
                self._socket.shutdown(socket.SHUT_RDWR)


def _socket_of(raw: urllib3.HTTPResponse) -> socket.socket | None:
    """Return the socket of a response. Its connection forgets it if the response has `Connection: close`."""
    found = getattr(getattr(raw, "connection", None), "sock", None)
    if found is None:
        stream = getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None)
        found = getattr(stream, "_sock", None)
    return found
