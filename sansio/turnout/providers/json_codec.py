"""JSON as servers really send it: a fast typed decoder, and one lenient path behind it.

Wire shapes are private `msgspec.Struct` types whose every field has a default. msgspec is strict where servers are
not: a lone surrogate, NaN, a raw control character in a string, `1.0` for an integer, an object where a string is
usual. Whatever it refuses is decoded again by the standard library, and a field of a wrong type is taken as absent.
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin

import msgspec

__all__ = ["NULL", "LenientDecoder", "decode_any", "encode", "raw_bytes", "raw_text"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

# RecursionError: nesting deeper than the interpreter's stack. ValueError: bad JSON, bad UTF-8, digits without end.
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = b"\xef\xbb\xbf"


NULL: Final = msgspec.Raw(b"null")
"""What a field of raw JSON holds where it is absent: with `Raw | None` msgspec would take nothing but null."""


class _Unfit:
    """What a value of a wrong type becomes: nothing."""


UNFIT: Final = _Unfit()


class LenientDecoder(Generic[StructT]):
    """The decoder of one wire shape.

    decode(data)  the value, or None where the bytes are no JSON object at all; never raises
    """

    __slots__ = ("_decode", "_type")

    def __init__(self, kind: type[StructT]) -> None:
        self._type = kind
        self._decode: Callable[[bytes], StructT] = msgspec.json.Decoder(kind).decode

    def decode(self, data: bytes) -> StructT | None:
        try:
            return self._decode(data)
        except UNREADABLE:
            return self.decode_leniently(data)

    def decode_leniently(self, data: bytes) -> StructT | None:
        try:
            return self.fit(_loads(data))
        except UNREADABLE:
            return None

    def fit(self, value: object) -> StructT | None:
        """A JSON value that is decoded already, made to fit."""
        fitted = _fit(value, self._type)
        return None if fitted is UNFIT else fitted


def raw_bytes(value: msgspec.Raw) -> bytes | None:
    """The JSON of a field as it came, None where it is null or absent."""
    given = bytes(value)
    return None if given == b"null" else given


def raw_text(value: msgspec.Raw) -> str | None:
    """The text of a field that is a string with JSON in it, or that JSON itself, which then stays as it was written."""
    given = raw_bytes(value)
    if given is None:
        return None
    text = decode_any(given) if given.startswith(b'"') else None
    return text if isinstance(text, str) else given.decode("utf-8", "replace")


def decode_any(data: bytes) -> Any:
    """Any JSON value. Raises ValueError where there is none."""
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        try:
            return _loads(data)
        except UNREADABLE as error:
            raise ValueError(f"this is not JSON: {error}") from None


def encode(value: object) -> bytes:
    """JSON as UTF-8. Raises TypeError or ValueError where `value` holds what JSON cannot."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # A lone surrogate in the caller's text. Through UTF-16 the halves of a pair find each other; one that stays
        # alone becomes U+FFFD.
        text = json.dumps(value, ensure_ascii=False, default=_decoded_raw)
        return _without_surrogates(text).encode()
    except OverflowError:
        return json.dumps(value, ensure_ascii=False, default=_decoded_raw).encode()  # whole numbers of over 64 bits
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None


def _decoded_raw(value: object) -> Any:
    """What the standard library encodes in place of JSON that is encoded already."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def _loads(data: bytes) -> Any:
    # strict=False: raw control characters inside strings, which some open models write into arguments.
    value = json.loads(data.removeprefix(_BOM).decode("utf-8", "replace"), strict=False)
    return _clean(value) if b"\\u" in data else value


def _clean(value: Any) -> Any:
    """Without lone surrogates, which no text can carry on its way out again."""
    if isinstance(value, str):
        return _without_surrogates(value) if _SURROGATE.search(value) else value
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fit(value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _fit_struct(value, kind)
    if kind is msgspec.Raw:
        return msgspec.Raw(json.dumps(value).encode())
    origin = get_origin(kind)
    if origin is types.UnionType or origin is Union:
        return _fit_first(value, get_args(kind))
    if origin is list:
        if not isinstance(value, list):
            return UNFIT
        (item_kind,) = get_args(kind)
        fitted = [each for item in value if (each := _fit(item, item_kind)) is not UNFIT]
        # A vector that lacks one of its numbers is another vector.
        return UNFIT if item_kind is float and len(fitted) != len(value) else fitted
    if origin is dict:
        return value if isinstance(value, dict) else UNFIT
    if kind is int or kind is float:
        return _fit_number(value, kind)
    if kind is types.NoneType:
        return None if value is None else UNFIT
    return value if isinstance(value, kind) else UNFIT


def _fit_first(value: Any, kinds: Iterable[Any]) -> Any:
    for kind in kinds:
        fitted = _fit(value, kind)
        if fitted is not UNFIT:
            return fitted
    return UNFIT


def _fit_number(value: Any, kind: type[int] | type[float]) -> Any:
    if isinstance(value, str) and _DIGITS.match(value):
        value = int(value)  # how the JSON of protocol buffers writes a 64-bit number
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return UNFIT
    if kind is int and value != int(value):
        return UNFIT
    return kind(value)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)  # which works the annotations out anew each time


def _fit_struct(value: Any, kind: type[msgspec.Struct]) -> Any:
    if not isinstance(value, dict):
        return UNFIT
    fields = {}
    for field in _fields(kind):
        if field.encode_name in value:
            fitted = _fit(value[field.encode_name], field.type)
            if fitted is not UNFIT:
                fields[field.name] = fitted
    return kind(**fields)
