"""What can go wrong with one answer, as a value that a script is made of."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from turnout.errors import LocalProtocolError
from turnout_sandbox.errors import ErrorKind

__all__ = ["Cut", "Fault", "Garble"]


class Cut(enum.StrEnum):
    """How an answer stops before its end."""

    CLOSE = "close"  # the connection is closed in good order, but inside the framed body
    RESET = "reset"  # the connection is reset (RST)
    HANG = "hang"  # nothing more comes; the connection stays open until the client goes
    END = "end"  # the HTTP body ends as it should, but the answer in it is incomplete
    ERROR = "error"  # the provider reports an error inside the 200


class Garble(enum.StrEnum):
    """What is broken in the bytes."""

    JSON = "json"  # one more event, well framed, whose JSON does not parse; all others still come
    CHUNK = "chunk"  # a chunk of the HTTP body whose size line is no number


_Member = TypeVar("_Member", bound=enum.StrEnum)


def _member(kind: type[_Member], value: object, field: str) -> _Member | None:
    if value is None:
        return None
    try:
        return kind(str(value))
    except ValueError:
        known = ", ".join(repr(member.value) for member in kind)
        raise LocalProtocolError(f"Fault({field}={value!r}) is not known; use one of {known}") from None


def _cut(value: Cut | str | None) -> Cut | None:
    return _member(Cut, value, "cut")


def _garble(value: Garble | str | None) -> Garble | None:
    return _member(Garble, value, "garble")


def _error(value: ErrorKind | str | None) -> ErrorKind | None:
    return _member(ErrorKind, value, "error")


def _headers(value: Mapping[str, object] | Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((str(name), str(text)) for name, text in pairs)


def _seconds(fault: Fault, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0):
        raise LocalProtocolError(f"Fault({attribute.name}={value!r}): give seconds, zero or more")


def _count(fault: Fault, attribute: attrs.Attribute[Any], value: object) -> None:
    least = 1 if attribute.name == "fragment" else 0
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise LocalProtocolError(f"Fault({attribute.name}={value!r}): give a whole number, {least} or more")


@attrs.frozen(kw_only=True, repr=False)
class Fault:
    """How the sandbox answers one request. `Fault()` is a healthy answer; fields combine.

    Instead of the answer:
      status            HTTP status, 200 to 599; an error status has the provider's own body for it
      error             why (see `ErrorKind`), for the provider's own body, and its own status where none is given:
                        Fault(error="quota") is a 429 of OpenAI, a 402 of OpenRouter, a 403 of SiliconFlow
      body              this body instead: a mapping or list is sent as JSON, text and bytes as they are
      headers           more header fields, or other values for those there are: {"retry-after": "2"}

    When (seconds):
      delay             before the head of the response
      first_token_delay between the head and the first event
      token_interval    between tokens, instead of the sandbox's own
      stall             of silence once `after` tokens have come (of a unary answer: half of its body); then it goes on

    How it stops:
      cut               see `Cut`
      after             tokens (of a unary answer: the first half of its body) that come before the stall, the cut or
                        the garbled bytes; None means that nothing of the body comes, and for close, reset and hang no
                        head either
      partial           the first half of the next event comes too, so that the cut is inside an event

    What is wrong in it:
      garble            see `Garble`
      usage             False leaves the token counts out
      done              False leaves only the dialect's last marker out ([DONE], message_stop); the finish reason comes
      fragment          the response comes in writes of so many bytes; 1 is byte by byte
      gzip              the body is gzip-encoded whatever the client asked for, flushed after each event
    """

    status: int | None = None
    error: ErrorKind | None = attrs.field(default=None, converter=_error)
    body: bytes | str | Mapping[str, Any] | Sequence[Any] | None = attrs.field(default=None)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_headers)
    delay: float = attrs.field(default=0.0, validator=_seconds)
    first_token_delay: float = attrs.field(default=0.0, validator=_seconds)
    token_interval: float | None = attrs.field(default=None, validator=_seconds)
    stall: float = attrs.field(default=0.0, validator=_seconds)
    cut: Cut | None = attrs.field(default=None, converter=_cut)
    after: int | None = attrs.field(default=None, validator=_count)
    partial: bool = False
    garble: Garble | None = attrs.field(default=None, converter=_garble)
    usage: bool = True
    done: bool = True
    fragment: int | None = attrs.field(default=None, validator=_count)
    gzip: bool = False

    def __attrs_post_init__(self) -> None:
        if self.status is not None and not (isinstance(self.status, int) and 200 <= self.status <= 599):
            raise LocalProtocolError(f"Fault(status={self.status!r}): give an HTTP status from 200 to 599")
        for name in ("partial", "usage", "done", "gzip"):
            if not isinstance(getattr(self, name), bool):
                raise LocalProtocolError(f"Fault({name}={getattr(self, name)!r}): give True or False")
        if self.cut is Cut.ERROR and self.status not in (None, 200):
            raise LocalProtocolError("Fault(cut='error') is an error inside a 200; leave status out")
        if self.cut is not None and self.garble is not None:
            raise LocalProtocolError("Fault: cut and garble exclude each other; script two faults")
        if self.stall and (self.after is None or self.cut is not None or self.garble is not None):
            raise LocalProtocolError("Fault(stall=…) needs after=…, and excludes cut and garble; script two faults")
        if self.after is not None and self.cut is None and self.garble is None and not self.stall:
            raise LocalProtocolError("Fault(after=…) says where a stall, cut or garble strikes; give one of them")
        if self.partial and (self.cut in (None, Cut.ERROR) or self.after is None):
            raise LocalProtocolError("Fault(partial=True) needs a cut (not 'error') and after=…")
        for name, text in self.headers:
            if not name or any(mark in name + text for mark in "\r\n\0") or ":" in name:
                raise LocalProtocolError(f"Fault: {name!r} is no header field that can be sent")
        if isinstance(self.body, Mapping | list | tuple):
            _json_text(self.body)

    def __repr__(self) -> str:
        """Only what is not usual; the body is left out, as it may be long."""
        shown = []
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if value != field.default:
                told = "…" if field.name == "body" else repr(str(value) if isinstance(value, enum.Enum) else value)
                shown.append(f"{field.name}={told}")
        return f"Fault({', '.join(shown)})"

    @classmethod
    def gateway_page(cls, status: int = 502) -> Fault:
        """An HTML page from a proxy in front of the provider, as content delivery networks send it."""
        page = f"<html>\r\n<head><title>{status} Bad Gateway</title></head>\r\n<body>\r\n<center><h1>{status} Bad "
        page += "Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        return cls(status=status, body=page, headers={"content-type": "text/html", "server": "cloudflare"})

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> Fault:
        """A fault from plain data, as a script file gives it. Raises LocalProtocolError for an unknown field."""
        known = {field.name for field in attrs.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise LocalProtocolError(f"a fault has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
        return cls(**fields)

    @property
    def refuses(self) -> bool:
        """True where an error stands in place of the answer."""
        if self.cut is Cut.ERROR or self.body is not None:
            return False
        return self.error is not None or (self.status is not None and self.status >= 300)

    def encoded_body(self) -> tuple[bytes, str] | None:
        """The body given and its content type, or None."""
        match self.body:
            case None:
                return None
            case bytes():
                return self.body, "application/octet-stream"
            case str():
                kind = "text/html" if self.body.lstrip().startswith("<") else "text/plain"
                return self.body.encode("utf-8", "surrogatepass"), f"{kind}; charset=utf-8"
            case _:
                return _json_text(self.body).encode(), "application/json"


def _json_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"Fault(body=…) cannot be sent as JSON: {error}") from error
