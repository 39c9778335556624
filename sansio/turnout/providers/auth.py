"""A token in place of a key: given once, or by a function that is asked just before each request is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import attrs

from turnout.http import Auth, Headers, HttpRequest

__all__ = ["AccessToken", "token_auth", "token_fields"]

AccessToken: TypeAlias = str | Callable[[], str | Awaitable[str]]


def token_fields(token: AccessToken) -> Iterable[tuple[str, str]]:
    """The header fields of a token that is known already."""
    return () if callable(token) else (("Authorization", f"Bearer {token}"),)


def token_auth(token: AccessToken | None) -> Auth | None:
    """What puts a fresh token on a request, where it comes from a function."""
    if token is None or isinstance(token, str):
        return None
    ask = token

    def sign(request: HttpRequest) -> HttpRequest | Awaitable[HttpRequest]:
        given = ask()
        if isinstance(given, str):
            return _with_bearer(request, given)

        async def awaited() -> HttpRequest:
            return _with_bearer(request, await given)

        return awaited()

    return sign


def _with_bearer(request: HttpRequest, token: str) -> HttpRequest:
    return attrs.evolve(request, headers=Headers((*request.headers, ("Authorization", f"Bearer {token}"))))
