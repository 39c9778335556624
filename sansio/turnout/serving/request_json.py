"""JSON of a gateway: request bodies as clients send them, and text for answers.

msgspec is fast and strict. Two things that it rejects are valid in practice: a lone surrogate in an escaped string,
which Python's own `json` writes, and a byte order mark. One slower path through the standard library reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from turnout.serving.errors import invalid_request

__all__ = ["decode_object", "decode_value", "encode", "encode_text"]

# RecursionError: the nesting is deeper than the interpreter's stack. ValueError: bad JSON, bad UTF-8, huge numbers.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_encode_fast: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request body.

    Raises:
        RequestRejected: The body is not JSON, or not an object.
    """
    if not body.strip():
        raise invalid_request("the request has no body; it must be a JSON object", code="invalid_json")
    try:
        value = decode_value(body)
    except ValueError as error:
        raise invalid_request(f"the request body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise invalid_request("the request body must be a JSON object", code="invalid_json")
    return value


def decode_value(text: bytes | str) -> Any:
    """Return the value of a JSON text. A lone surrogate becomes U+FFFD.

    Raises:
        ValueError: The text is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except _UNREADABLE as error:
        try:
            return _decode_leniently(text)
        except _UNREADABLE:
            problem = "the value is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ValueError(problem) from None


def _decode_leniently(text: bytes | str) -> Any:
    if isinstance(text, bytes):
        text = text.removeprefix(_BYTE_ORDER_MARK).decode()
    return _without_surrogates(json.loads(text, parse_constant=_reject_constant))


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def encode(value: object) -> bytes:
    """Return a value as JSON in UTF-8. A lone surrogate is written as an escape."""
    try:
        return _encode_fast(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Raw):
        return decode_value(bytes(value))
    return list(value) if isinstance(value, tuple) else msgspec.to_builtins(value)


def encode_text(text: str) -> bytes:
    """Return a string as JSON in UTF-8.

    A provider can cut a stream between the two halves of a surrogate pair. Each half then passes as the escape that
    it was, and the client joins them.
    """
    try:
        return _encode_fast(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()
