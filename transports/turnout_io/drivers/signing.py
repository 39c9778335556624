"""Credentials that are made just before a request is sent, such as OAuth tokens and signatures."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator

import attrs

from turnout.errors import AuthenticationFailed, LocalProtocolError, TurnoutError
from turnout.http import HttpRequest

__all__ = ["async_sign_request", "sign_request"]


@contextlib.contextmanager
def _wrap_auth_errors() -> Iterator[None]:
    """Turn an error of a request's `auth` into AuthenticationFailed: another candidate has other credentials."""
    try:
        yield
    except TurnoutError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise AuthenticationFailed(f"the credentials for this request are not available: {reason}") from error


def sign_request(request: HttpRequest) -> HttpRequest:
    """Return the request to send, with credentials from its `auth`, which must not be awaitable.

    Raises:
        AuthenticationFailed: If `auth` fails.
        LocalProtocolError: If `auth` returns an awaitable.
    """
    if request.auth is None:
        return request
    with _wrap_auth_errors():
        signed = request.auth(request)
    if inspect.isawaitable(signed):
        raise LocalProtocolError("the request's auth returns an awaitable; this router is for blocking code")
    return _keep_connection(signed, request)


async def async_sign_request(request: HttpRequest) -> HttpRequest:
    """Return the request to send, with credentials from its `auth`.

    Raises:
        AuthenticationFailed: If `auth` fails.
    """
    if request.auth is None:
        return request
    with _wrap_auth_errors():
        signed = request.auth(request)
        if inspect.isawaitable(signed):
            signed = await signed
    return _keep_connection(signed, request)


def _keep_connection(signed: HttpRequest, request: HttpRequest) -> HttpRequest:
    """Return the signed request. An `auth` that makes a new one need not know which connection it may use."""
    if request.new_connection and not signed.new_connection:
        return attrs.evolve(signed, new_connection=True)
    return signed
