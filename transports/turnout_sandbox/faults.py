"""The faults of a script. Each fault changes one response."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs

from turnout._utils.validation import quoted
from turnout.errors import LocalProtocolError
from turnout_sandbox.errors import ErrorKind

__all__ = ["Abort", "Corruption", "Fault"]


class Abort(enum.StrEnum):
    """How a response stops before its end."""

    CLOSE = "close"  # the connection closes in order, but inside the framed body
    RESET = "reset"  # the connection is reset (RST)
    HANG = "hang"  # the server sends nothing more; the connection stays open until the client closes it
    END = "end"  # the HTTP body ends correctly, but the completion in it is incomplete
    ERROR = "error"  # the provider reports an error inside the 200


class Corruption(enum.StrEnum):
    """Which bytes are invalid."""

    JSON = "json"  # one more event, framed correctly, with invalid JSON; all other events follow
    CHUNK = "chunk"  # an HTTP chunk with a size line that is not a number


_Member = TypeVar("_Member", bound=enum.StrEnum)


def _member(kind: type[_Member], value: object, field: str) -> _Member | None:
    if value is None:
        return None
    try:
        return kind(str(value))
    except ValueError:
        known = ", ".join(repr(member.value) for member in kind)
        raise LocalProtocolError(f"Fault({field}={quoted(value)}) is unknown; use one of {known}") from None


def _abort(value: Abort | str | None) -> Abort | None:
    return _member(Abort, value, "abort")


def _corruption(value: Corruption | str | None) -> Corruption | None:
    return _member(Corruption, value, "corruption")


def _error(value: ErrorKind | str | None) -> ErrorKind | None:
    return _member(ErrorKind, value, "error")


def _headers(value: Mapping[str, object] | Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple((str(name), str(text)) for name, text in pairs)


def _seconds(fault: Fault, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0):
        raise LocalProtocolError(f"Fault({attribute.name}={quoted(value)}): give seconds, zero or more")


def _count(fault: Fault, attribute: attrs.Attribute[Any], value: object) -> None:
    least = 1 if attribute.name == "fragment" else 0
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise LocalProtocolError(f"Fault({attribute.name}={quoted(value)}): give a whole number, {least} or more")


@attrs.frozen(kw_only=True, repr=False)
class Fault:
    """How the sandbox answers one request. `Fault()` is a healthy response; fields combine.

    A response without a stream has no tokens: `after_tokens` then means the first half of its body.

    Attributes:
        status: HTTP status, 200 to 599. An error status sends the provider's own error body.
        error: The reason (see `ErrorKind`). It selects the provider's error body, and its status if `status` is not
            set: `Fault(error="quota")` is a 429 of OpenAI, a 402 of OpenRouter and a 403 of SiliconFlow.
        body: A body to send instead. A mapping or list is sent as JSON, text and bytes unchanged.
        headers: Further header fields. They replace fields of the same name: {"retry-after": "2"}.
        delay: Seconds before the response headers.
        first_token_delay: Seconds between the headers and the first event.
        token_interval: Seconds between tokens, instead of the sandbox's own interval.
        stall: Seconds of silence after `after_tokens` tokens. Then the response continues.
        abort: How the response stops early; see `Abort`.
        after_tokens: Tokens that are sent before the stall, the abort or the corrupt bytes. None sends no body; for
            close, reset and hang it sends no headers either.
        partial: Whether the first half of the next event is sent, too, so that the abort is inside an event.
        corruption: Which bytes are invalid; see `Corruption`.
        usage: False omits the token counts.
        done: False omits only the end marker of the dialect ([DONE], message_stop). The finish reason is sent.
        fragment: Bytes in each write of the response; 1 sends single bytes.
        gzip: Whether the body is compressed with gzip, whatever the client accepts, and flushed after each event.
    """

    status: int | None = None
    error: ErrorKind | None = attrs.field(default=None, converter=_error)
    body: bytes | str | Mapping[str, Any] | Sequence[Any] | None = attrs.field(default=None)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_headers)
    delay: float = attrs.field(default=0.0, validator=_seconds)
    first_token_delay: float = attrs.field(default=0.0, validator=_seconds)
    token_interval: float | None = attrs.field(default=None, validator=_seconds)
    stall: float = attrs.field(default=0.0, validator=_seconds)
    abort: Abort | None = attrs.field(default=None, converter=_abort)
    after_tokens: int | None = attrs.field(default=None, validator=_count)
    partial: bool = False
    corruption: Corruption | None = attrs.field(default=None, converter=_corruption)
    usage: bool = True
    done: bool = True
    fragment: int | None = attrs.field(default=None, validator=_count)
    gzip: bool = False

    def __attrs_post_init__(self) -> None:
        if self.status is not None and not (isinstance(self.status, int) and 200 <= self.status <= 599):
            raise LocalProtocolError(f"Fault(status={quoted(self.status)}): give an HTTP status from 200 to 599")
        for name in ("partial", "usage", "done", "gzip"):
            if not isinstance(getattr(self, name), bool):
                raise LocalProtocolError(f"Fault({name}={quoted(getattr(self, name))}): give True or False")
        if self.abort is Abort.ERROR and self.status not in (None, 200):
            raise LocalProtocolError("Fault(abort='error') is an error inside a 200; remove status")
        if self.abort is not None and self.corruption is not None:
            raise LocalProtocolError("Fault: abort and corruption exclude each other; script two faults")
        if self.stall and (self.after_tokens is None or self.abort is not None or self.corruption is not None):
            raise LocalProtocolError(
                "Fault(stall=…) needs after_tokens=…, and excludes abort and corruption; script two faults"
            )
        if self.after_tokens is not None and self.abort is None and self.corruption is None and not self.stall:
            raise LocalProtocolError("Fault(after_tokens=…) needs one of stall, abort and corruption")
        if self.partial and (self.abort in (None, Abort.ERROR) or self.after_tokens is None):
            raise LocalProtocolError("Fault(partial=True) needs after_tokens=… and an abort other than 'error'")
        for name, text in self.headers:
            if not name or any(mark in name + text for mark in "\r\n\0") or ":" in name:
                raise LocalProtocolError(f"Fault: {name!r} is not a valid header field")
        if isinstance(self.body, Mapping | list | tuple):
            _json_text(self.body)

    def __repr__(self) -> str:
        """Show the fields that differ from the defaults. The body is left out, because it may be long."""
        shown = []
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if value != field.default:
                text = "…" if field.name == "body" else repr(str(value) if isinstance(value, enum.Enum) else value)
                shown.append(f"{field.name}={text}")
        return f"Fault({', '.join(shown)})"

    @classmethod
    def gateway_page(cls, status: int = 502) -> Fault:
        """Return an HTML page of a proxy in front of the provider, such as content delivery networks send."""
        page = f"<html>\r\n<head><title>{status} Bad Gateway</title></head>\r\n<body>\r\n<center><h1>{status} Bad "
        page += "Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        return cls(status=status, body=page, headers={"content-type": "text/html", "server": "cloudflare"})

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> Fault:
        """Return a fault from plain data, such as a script file has.

        Raises:
            LocalProtocolError: A field is unknown or has a wrong value.
        """
        known = {field.name for field in attrs.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise LocalProtocolError(f"a fault has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
        return cls(**fields)

    @property
    def is_error(self) -> bool:
        """True if the provider sends an error instead of a completion."""
        if self.abort is Abort.ERROR or self.body is not None:
            return False
        return self.error is not None or (self.status is not None and self.status >= 300)

    def encoded_body(self) -> tuple[bytes, str] | None:
        """Return the scripted body and its content type, or None if there is none."""
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
