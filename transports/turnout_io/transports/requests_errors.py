"""What `requests`, urllib3 and http.client raise, as Turnout's errors."""

from __future__ import annotations

import http.client
import re
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
from turnout_io.transports.connect_errors import connect_failed, proxy_refused
from turnout_io.transports.proxies import Proxy
from turnout_io.transports.requests_session import PROGRESS

__all__ = ["open_fault", "read_fault", "root_cause"]

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})")


def open_fault(fault: Exception, origin: Origin, proxy: Proxy | None) -> TurnoutError:
    """The error for what `Session.send` raised."""
    causes = list(_causes(fault))
    if not _may_have_sent(causes):
        return _connect_fault(causes, origin, proxy)
    if _is_timeout(causes):
        # urllib3 gives the same error for a timeout while the body is sent.
        return TimedOut(f"{origin.authority} did not answer in time", timer=Timer.RESPONSE_HEADERS, phase=Phase.SENT)
    for cause in causes:
        match cause:
            case http.client.RemoteDisconnected() | http.client.IncompleteRead():
                break
            case http.client.HTTPException():
                return RemoteProtocolError(
                    f"{origin.authority} does not speak HTTP/1.1 as it should: {str(cause)[:200]}"
                )
    root = _root(causes)
    if root is not None or any(isinstance(cause, urllib3.exceptions.ProtocolError) for cause in causes):
        return Disconnected(
            f"{origin.authority} closed the connection without an answer" + (f": {root}" if root else ""),
            reused=PROGRESS.reused,
            phase=Phase.SENT,
        )
    return TransportError(f"the request to {origin.authority} failed: {type(fault).__name__}", phase=Phase.SENT)


def read_fault(fault: Exception, origin: Origin, phase: Phase) -> TurnoutError:
    """The error for what a read of the body raised."""
    causes = list(_causes(fault))
    if _is_timeout(causes):
        return TimedOut(f"{origin.authority} sent nothing in time", timer=Timer.READ, phase=phase)
    for cause in causes:
        match cause:
            case http.client.LineTooLong() | http.client.UnknownTransferEncoding():
                return RemoteProtocolError(f"{origin.authority} sent a body that is not well chunked")
    root = _root(causes)
    detail = str(root) if root is not None else "bytes of the body are missing"
    return Disconnected(f"the answer of {origin.authority} ended early: {detail}", phase=phase)


def root_cause(fault: Exception) -> BaseException:
    """What to name as `__cause__`: the error of the socket rather than the three that stand around it."""
    return _root(list(_causes(fault))) or fault


def _connect_fault(causes: list[BaseException], origin: Origin, proxy: Proxy | None) -> TransportError:
    root = _root(causes)
    if proxy is not None:
        for cause in causes:
            if found := _TUNNEL_STATUS.search(str(cause)):
                return proxy_refused(
                    str(proxy), int(found[1]), origin.authority, authorized=proxy.authorization is not None
                )
    if _is_timeout(causes):
        return TimedOut(f"no connection to {origin.authority} in time", timer=Timer.CONNECT, phase=Phase.NOT_SENT)
    through = str(proxy) if proxy is not None and any(_is_proxy_fault(cause) for cause in causes) else None
    if root is not None:
        return connect_failed(origin, root, proxy=through)
    if any(isinstance(cause, requests.exceptions.InvalidSchema) for cause in causes):
        told = str(causes[0])
        if "SOCKS" in told:
            told += '; pip install "requests[socks]"'
        return ConnectFailed(f"the proxy {proxy} cannot be used: {told}", reason="proxy-refused")
    return ConnectFailed(f"no connection to {through or origin.authority}: {type(causes[-1]).__name__}")


def _may_have_sent(causes: list[BaseException]) -> bool:
    if PROGRESS.tracked:
        return PROGRESS.connected
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


def _is_timeout(causes: list[BaseException]) -> bool:
    return any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes) and not any(
        # urllib3 makes every failure to connect a kind of ConnectTimeoutError.
        isinstance(cause, urllib3.exceptions.NewConnectionError)
        for cause in causes
    )


def _is_proxy_fault(cause: BaseException) -> bool:
    return isinstance(cause, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError)


def _root(causes: list[BaseException]) -> OSError | None:
    """The error of the socket or of TLS, which stands deepest. (Errors of `requests` are OSErrors too.)"""
    found = None
    for cause in causes:
        if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.RequestException):
            found = cause
    return found


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """`fault` and what it stands for, outermost first: urllib3 hides causes in `args`, `reason` and `__cause__`."""
    seen: set[int] = set()
    waiting: list[object] = [fault]
    while waiting and len(seen) < 50:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
