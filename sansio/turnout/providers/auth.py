"""A token in place of a key: given once, or by a function that is called just before each request is sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import attrs

from turnout.http import Auth, Headers, HttpRequest
from turnout.redaction import Secret

__all__ = ["AccessToken", "KeySource", "TokenAuth", "secrets_of_auth", "token_auth", "token_fields"]

AccessToken: TypeAlias = str | Callable[[], str | Awaitable[str]]
# Tokens that are remembered so that their echoes can be removed from errors. A token is valid for minutes to hours.
_REMEMBERED = 4


def token_fields(token: AccessToken | None) -> Iterable[tuple[str, str]]:
    """Return the header fields of a token that is known already."""
    return (("Authorization", Secret(f"Bearer {token}")),) if isinstance(token, str) else ()


def token_auth(token: AccessToken | None) -> TokenAuth | None:
    """Return the `Auth` that puts a fresh token on each request; None if the token is not a function."""
    return None if token is None or isinstance(token, str) else TokenAuth(token)


def secrets_of_auth(auth: Auth | None, token: AccessToken | None = None) -> tuple[str, ...]:
    """Return the secrets that an `auth` has put on requests, and a token that is known already."""
    known: tuple[str, ...] = tuple(getattr(auth, "secrets", ()))
    return (*known, token) if isinstance(token, str) else known


@attrs.define(eq=False)
class TokenAuth:
    """Puts the token of a function on each request (`turnout.http.Auth`)."""

    _get_token: Callable[[], str | Awaitable[str]] = attrs.field(repr=False)
    _recent: deque[str] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED), init=False, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the tokens of the last requests."""
        return tuple(self._recent)

    def __call__(self, request: HttpRequest) -> HttpRequest | Awaitable[HttpRequest]:
        token = self._get_token()
        if isinstance(token, str):
            return self._with_token(request, Secret(token))

        async def awaited() -> HttpRequest:
            return self._with_token(request, Secret(await token))

        return awaited()

    def _with_token(self, request: HttpRequest, token: Secret) -> HttpRequest:
        if token not in self._recent:
            self._recent.append(token)
        kept = (field for field in request.headers if field[0].lower() != "authorization")
        return attrs.evolve(request, headers=Headers((*kept, ("Authorization", Secret(f"Bearer {token}")))))


@attrs.define(eq=False)
class KeySource:
    """The function that returns the key of an account, and the keys that it returned lately."""

    get: Callable[[], str | Awaitable[str]] = attrs.field(repr=False)
    _recent: deque[str] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED), init=False, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the keys of the last requests."""
        return tuple(self._recent)

    def remember(self, key: str) -> None:
        """Remember a key, so that its echoes can be removed from errors."""
        if key not in self._recent:
            self._recent.append(key)
