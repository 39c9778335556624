"""The HTTP request that the core builds, and the timeouts that a transport receives with it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Self, TypeAlias, overload
from urllib.parse import unquote_plus

import attrs

from turnout.redaction import SECRET_HEADERS, SECRET_NAME, SECRET_QUERY

__all__ = [
    "NO_HEADERS",
    "SECRET_HEADERS",
    "SECRET_QUERY",
    "Auth",
    "Headers",
    "HttpRequest",
    "TransportTimeouts",
    "shown_url",
]

_PARAMETER = re.compile(r"(?<=[?&;])([^=&;#]+)=([^&;#]*)")
_USER = re.compile(r"(?<=//)[^/?#]*@")


class Headers(Sequence[tuple[str, str]]):
    """Header fields in order, repeated names kept, looked up without regard to case. Immutable.

    `repr` hides the values of fields that carry credentials.

    Attributes:
        encoded: The fields as bytes, kept by the HTTP/1.1 encoder for the next request with this object; None before.
        base: The first of these fields as an object of their own, if `with_field` added the last one; else None.
    """

    __slots__ = ("_fields", "_lower", "base", "encoded")

    encoded: bytes | None
    base: Headers | None

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        if isinstance(fields, dict):
            raise TypeError("header fields are pairs of name and value, in order: for a dict, pass its items()")
        self._fields = tuple(fields)
        self._lower: dict[str, str] = {}
        for name, value in self._fields:
            self._lower.setdefault(name.lower(), value)
        self.encoded = self.base = None

    @classmethod
    def of_known(cls, fields: tuple[tuple[str, str], ...], first: dict[str, str]) -> Self:
        """Return fields with a given look-up table.

        Args:
            fields: The fields in order.
            first: The first value of each name, by the name in lower case. It belongs to the new object.
        """
        made = cls.__new__(cls)
        made._fields, made._lower, made.encoded, made.base = fields, first, None, None
        return made

    def with_field(self, name: str, value: str) -> Headers:
        """Return these fields and one more behind them. The bytes that this object keeps serve the new one, too."""
        first = dict(self._lower)
        first.setdefault(name.lower(), value)
        made = Headers.of_known((*self._fields, (name, value)), first)
        made.base = self
        return made

    def get(self, name: str) -> str | None:
        """Return the first value of the field `name`, or None."""
        return self._lower.get(name.lower())

    def values_of(self, names: Iterable[str]) -> list[str | None]:
        """Return the first value of each of these names, which are in lower case; None for a field that is absent."""
        return list(map(self._lower.get, names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in lower case, each once, in the order of their first appearance."""
        return tuple(self._lower)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of the field `name`, in order."""
        lower = name.lower()
        if lower not in self._lower:
            return ()
        return tuple(value for key, value in self._fields if key.lower() == lower)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[str, str], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | tuple[tuple[str, str], ...]:
        return self._fields[index]

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        shown = [(name, "***" if _is_secret(name) else value) for name, value in self._fields]
        return f"Headers({shown!r})"


NO_HEADERS = Headers()
"""No fields, for an object that has none yet."""


def _is_secret(name: str) -> bool:
    return name.lower() in SECRET_HEADERS or (SECRET_NAME.search(name) is not None and "ratelimit" not in name.lower())


def _headers(fields: Headers | Iterable[tuple[str, str]]) -> Headers:
    return fields if isinstance(fields, Headers) else Headers(fields)


def shown_url(url: str, instead: str = "***") -> str:
    """Return the URL for display: without the values of parameters that carry a credential, and without a user."""

    def hide(parameter: re.Match[str]) -> str:
        name, value = parameter.groups()
        return f"{name}={instead if value and unquote_plus(name).lower() in SECRET_QUERY else value}"

    return _PARAMETER.sub(hide, _USER.sub("", url))


def _url_repr(url: str) -> str:
    return repr(shown_url(url))


def _body_repr(body: bytes) -> str:
    return f"<{len(body)} bytes>"


@attrs.frozen
class HttpRequest:
    """A request to send unchanged: absolute URL, header fields, body bytes.

    `headers` has all fields except those that framing needs (Host, Content-Length, Connection). The transport adds
    these. If `auth` is set, the driver calls it just before sending, and sends the request that it returns. It is for
    credentials that need I/O or wall time, such as an OAuth token or a request signature. With an async driver it may
    return an awaitable.

    If `new_connection` is set, a transport that reports reused connections must not send it over one.
    """

    method: str
    url: str = attrs.field(repr=_url_repr)
    headers: Headers = attrs.field(converter=_headers, factory=Headers)
    body: bytes = attrs.field(default=b"", repr=_body_repr)
    auth: Auth | None = attrs.field(default=None, kw_only=True, eq=False, repr=False)
    new_connection: bool = attrs.field(default=False, kw_only=True)

    def with_field(self, name: str, value: str) -> HttpRequest:
        """Return the request with one more header field."""
        headers = self.headers.with_field(name, value)
        return HttpRequest(
            self.method, self.url, headers, self.body, auth=self.auth, new_connection=self.new_connection
        )


Auth: TypeAlias = Callable[[HttpRequest], "HttpRequest | Awaitable[HttpRequest]"]


@attrs.frozen(kw_only=True)
class TransportTimeouts:
    """The time limits of `open`, in seconds. None means no limit. They never exceed the remaining time of the call.

    Attributes:
        connect: The time until the connection can be used: name look-up, TCP, proxy and TLS together.
        response_headers: The time from the start of `open` until the head of the response is complete. It includes
            connecting and sending.
    """

    connect: float | None = None
    response_headers: float | None = None
