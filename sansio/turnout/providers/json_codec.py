"""JSON as servers really send it: a fast typed decoder, and one lenient path behind it.

Wire shapes are private `msgspec.Struct` types, and every field has a default. msgspec is strict where servers are
not: a lone surrogate, NaN, a raw control character in a string, `1.0` for an integer, an object in place of a string.
The standard library decodes again whatever msgspec refuses, and a field of a wrong type is then taken as absent.

The lenient path takes many times the memory of its input, so it reads small documents only. `fits_memory` bounds the
memory of the fast one.
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

__all__ = [
    "LENIENT_LIMIT",
    "MAX_DEPTH",
    "NULL",
    "UNREADABLE",
    "LenientDecoder",
    "decode_any",
    "encode",
    "fits_memory",
    "is_shallow",
    "raw_bytes",
    "raw_text",
]

StructT = TypeVar("StructT", bound=msgspec.Struct)

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What decoding raises: RecursionError for nesting deeper than the interpreter's stack, ValueError for bad JSON, bad
UTF-8 and endless digits, OverflowError for numbers beyond a float."""

LENIENT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of the largest document that the standard library decodes: it may take 50 times as many of memory."""

MAX_DEPTH: Final = 100
"""How deeply a JSON value may be nested that is kept as Python values, for copies of it recurse."""

# Bytes of memory of the smallest value in a list or an object, with its pointer. Measured on CPython 3.11: an empty
# list takes 64, an empty object 72, a field with a short name about 100.
_VALUE_SIZE = 64
_DIGITS = re.compile(r"[0-9]{1,19}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
# The first bytes of characters that widen their whole string to 4 bytes a character.
_WIDE = re.compile(rb"[\xf0-\xf4]")
_BOM = b"\xef\xbb\xbf"


NULL: Final = msgspec.Raw(b"null")
"""The default of a field of raw JSON: with `Raw | None` msgspec would accept nothing but null."""


class _Unfit:
    """The result for a value of a wrong type."""


UNFIT: Final = _Unfit()


class LenientDecoder(Generic[StructT]):
    """The decoder of one wire shape. It never raises."""

    __slots__ = ("_decode", "_type")

    def __init__(self, kind: type[StructT]) -> None:
        self._type = kind
        self._decode: Callable[[bytes], StructT] = msgspec.json.Decoder(kind).decode

    def decode(self, data: bytes) -> StructT | None:
        """Return the value; None if the bytes are no JSON object."""
        try:
            return self._decode(data)
        except UNREADABLE:
            return self.decode_leniently(data)

    def decode_leniently(self, data: bytes) -> StructT | None:
        """Do the same with the standard library; None also for a document above `LENIENT_LIMIT`."""
        try:
            return self.fit(_loads(data))
        except UNREADABLE:
            return None

    def fit(self, value: object) -> StructT | None:
        """Return a decoded JSON value as this shape, without the fields of a wrong type; None if it is no object."""
        fitted = _fit(value, self._type)
        return None if fitted is UNFIT else fitted


def raw_bytes(value: msgspec.Raw) -> bytes | None:
    """Return the JSON of a field as it was received; None if it is null or absent."""
    given = bytes(value)
    return None if given == b"null" else given


def raw_text(value: msgspec.Raw) -> str | None:
    """Return the text of a field that is a string, or the JSON of any other field as it was received."""
    given = raw_bytes(value)
    if given is None:
        return None
    text = decode_any(given) if given.startswith(b'"') else None
    return text if isinstance(text, str) else given.decode("utf-8", "replace")


def decode_any(data: bytes) -> Any:
    """Return any JSON value.

    Raises:
        ValueError: The bytes are no JSON.
    """
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        try:
            return _loads(data)
        except UNREADABLE as error:
            raise ValueError(f"this is not JSON: {error}") from None


def encode(value: object) -> bytes:
    """Return the value as JSON in UTF-8.

    Raises:
        TypeError: The value holds an object that JSON does not have.
        ValueError: The value is nested too deeply, or holds a number that JSON does not have.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # A lone surrogate in the caller's text. UTF-16 joins the halves of a pair; a half that stays alone becomes
        # U+FFFD.
        text = json.dumps(value, ensure_ascii=False, default=_decoded_raw)
        return _without_surrogates(text).encode()
    except OverflowError:
        return json.dumps(value, ensure_ascii=False, default=_decoded_raw).encode()  # whole numbers of over 64 bits
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None


def _decoded_raw(value: object) -> Any:
    """Return the value of JSON that is encoded already, for the standard library."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    raise TypeError(f"JSON has no {type(value).__name__}")


def fits_memory(data: bytes, limit: int) -> bool:
    """Return whether the values of this JSON take at most `limit` bytes of memory, together with the JSON.

    It counts separators and looks for characters that widen a string. Only a document that could be too large is
    searched: that costs less than a hundredth of decoding it.
    """
    size = len(data)
    if size * _VALUE_SIZE <= limit:
        return True
    width = 1
    if not data.isascii():
        width = 4 if _WIDE.search(data) else 2
    if b"\\u" in data:
        width = 4
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    return size * (1 + width) + values * _VALUE_SIZE <= limit


def is_shallow(value: object) -> bool:
    """Return whether a JSON value is nested at most `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return False


def _loads(data: bytes) -> Any:
    if len(data) > LENIENT_LIMIT:
        raise ValueError(f"no strict JSON, and larger than {LENIENT_LIMIT >> 20} MiB")
    # strict=False: raw control characters inside strings, which some open models write into arguments. NaN and
    # Infinity are taken as null: they cannot be sent back.
    text = data.removeprefix(_BOM).decode("utf-8", "replace")
    value = json.loads(text, strict=False, parse_constant=_no_number)
    return _clean(value) if b"\\u" in data else value


def _no_number(_: str) -> None:
    """Return the value of NaN and Infinity."""


def _clean(value: Any) -> Any:
    """Return the value without lone surrogates, which UTF-8 cannot encode."""
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
        # A vector without one of its numbers is another vector.
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
        value = int(value)  # the JSON of protocol buffers writes a 64-bit number as text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNFIT
    if not (math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**64):
        return UNFIT
    if kind is int and value != int(value):
        return UNFIT
    return kind(value)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)  # which evaluates the annotations each time


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
