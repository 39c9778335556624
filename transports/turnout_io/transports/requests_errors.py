"""Turnout's errors for the exceptions of `requests`, urllib3 and http.client, which a user's session raises."""

from __future__ import annotations

import http.client
import re
import ssl
import traceback
from collections.abc import Iterator

import requests
import urllib3.exceptions

from turnout.errors import (
    ConnectFailed,
    Disconnected,
    Phase,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TransportError,
    TurnoutError,
)
from turnout.http.origin import Origin
from turnout_io.transports.connect_errors import connect_failed, is_certificate_alert, proxy_refused
from turnout_io.transports.proxies import Proxy

__all__ = ["read_error", "root_cause", "send_error"]

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})")


def send_error(raised: Exception, origin: Origin, proxy_url: str | None) -> TurnoutError:
    """Return the error for an exception of `Session.send`. `proxy_url` is the proxy that the session selected."""
    causes = list(_causes(raised))
    for cause in causes:
        if isinstance(cause, TurnoutError):
            return cause  # raised by `Http1Adapter`
    if not _may_have_sent(causes):
        return _connect_error(causes, origin, Proxy.parse(proxy_url) if proxy_url else None)
    if _is_timeout(causes):
        # urllib3 raises the same exception for a timeout while the body is sent.
        return TimedOut(f"{origin.authority} did not respond in time", timer=Timer.RESPONSE_HEADERS, phase=Phase.SENT)
    for cause in causes:
        match cause:
            case http.client.RemoteDisconnected() | http.client.IncompleteRead():
                break
            case http.client.HTTPException():
                return RemoteProtocolError(f"{origin.authority} sent no valid HTTP/1.1 response: {str(cause)[:200]}")
    root = _root(causes)
    if root is not None or any(isinstance(cause, urllib3.exceptions.ProtocolError) for cause in causes):
        return Disconnected(
            f"{origin.authority} closed the connection without a response" + (f": {root}" if root else ""),
            phase=Phase.SENT,
        )
    return TransportError(f"the request to {origin.authority} failed: {type(raised).__name__}", phase=Phase.SENT)


def read_error(raised: Exception, origin: Origin, phase: Phase) -> TurnoutError:
    """Return the error for an exception of a read of the body."""
    causes = list(_causes(raised))
    for cause in causes:
        if isinstance(cause, TurnoutError):
            return cause
    if _is_timeout(causes):
        return TimedOut(f"{origin.authority} sent nothing in time", timer=Timer.READ, phase=phase)
    for cause in causes:
        match cause:
            case http.client.LineTooLong() | http.client.UnknownTransferEncoding():
                return RemoteProtocolError(f"{origin.authority} sent a body that is not well chunked")
    root = _root(causes)
    detail = str(root) if root is not None else "bytes of the body are missing"
    return Disconnected(f"the response of {origin.authority} ended early: {detail}", phase=phase)


def root_cause(raised: Exception) -> OSError | None:
    """Return the exception to use as `__cause__`: the socket's, rather than those that wrap it.

    Return None if there is none: messages of `requests` and urllib3 quote URLs, also that of a proxy with its password.
    """
    return _root(list(_causes(raised)))


def _connect_error(causes: list[BaseException], origin: Origin, proxy: Proxy | None) -> TransportError:
    root = _root(causes)
    is_proxy = any(
        isinstance(cause, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError) for cause in causes
    )
    if proxy is not None:
        for cause in causes:
            if found := _TUNNEL_STATUS.search(str(cause)):
                return proxy_refused(
                    str(proxy), int(found[1]), origin.authority, authorized=proxy.authorization is not None
                )
    where = f"the proxy {proxy}" if is_proxy and proxy is not None else origin.authority
    if _is_timeout(causes):
        return TimedOut(f"no connection to {where} in time", timer=Timer.CONNECT, phase=Phase.NOT_SENT)
    if root is not None:
        return connect_failed(origin, root, proxy=str(proxy) if is_proxy and proxy is not None else None)
    if any(isinstance(cause, requests.exceptions.InvalidSchema) for cause in causes):
        message = str(causes[0])
        if "SOCKS" in message:
            message += '; pip install "requests[socks]"'
        return ConnectFailed(f"the proxy {proxy} cannot be used: {message}", reason="proxy-refused")
    return ConnectFailed(f"no connection to {where}: {type(causes[-1]).__name__}")


def _may_have_sent(causes: list[BaseException]) -> bool:
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return not any(isinstance(cause, ssl.SSLError) and _is_of_handshake(cause) for cause in causes)
    return not any(
        isinstance(
            cause,
            requests.exceptions.ConnectTimeout
            | requests.exceptions.ProxyError
            | requests.exceptions.SSLError
            | requests.exceptions.InvalidSchema
            | urllib3.exceptions.NewConnectionError
            | urllib3.exceptions.ConnectTimeoutError,
        )
        for cause in causes
    )


def _is_of_handshake(error: ssl.SSLError) -> bool:
    """Return True if the error is from before the request, or if the server did not accept the client's certificate.

    urllib3 raises the same exception for a connection that breaks later. So this looks for the `connect` method of its
    connections in the traceback.
    """
    if isinstance(error, ssl.SSLCertVerificationError) or is_certificate_alert(error):
        return True
    return any(frame.f_code.co_name == "connect" for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_timeout(causes: list[BaseException]) -> bool:
    return any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes) and not any(
        # In urllib3, every failure to connect is a ConnectTimeoutError.
        isinstance(cause, urllib3.exceptions.NewConnectionError)
        for cause in causes
    )


def _root(causes: list[BaseException]) -> OSError | None:
    """Return the innermost error of the socket or of TLS. (Exceptions of `requests` are OSErrors too.)"""
    found = None
    for cause in causes:
        if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.RequestException):
            found = cause
    return found


def _causes(raised: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, outermost first: urllib3 keeps them in `args`, `reason` and `__cause__`."""
    seen: set[int] = set()
    waiting: list[object] = [raised]
    while waiting and len(seen) < 50:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
