"""A plausible value for a JSON Schema: for the arguments of tool calls and for structured answers.

Covers the keywords that the providers accept: types, properties, enum, const, bounds, lengths, anyOf/oneOf/allOf and
local $ref.
It does not solve `pattern` or `not`; a schema with them gets a value that may not satisfy it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

__all__ = ["sample"]

# Limits for the value of one request.
_DEPTH_LIMIT = 8
_VALUES_LIMIT = 4096
_ITEMS_LIMIT = 64
_LENGTH_LIMIT = 4096
_LARGEST = 10**300  # so that no sum or product of two bounds overflows a float
_OPTIONAL_DEPTH = 3  # below it only required properties are filled, so that recursive schemas end
_NAMES = ("Ada", "Grace", "Lin", "Omar", "Ines", "Tomas")
_PLACES = ("Lisbon", "Kyoto", "Oslo", "Nairobi", "Quito", "Graz")
_BY_NAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"city|place|location|town|where|destination|origin", _PLACES),
    (r"country", ("Portugal", "Japan", "Norway", "Kenya")),
    (r"mail", ("ada@example.org", "lin@example.org")),
    (r"ur[li]|link|href", ("https://example.org/page",)),
    (r"date|day$", ("2025-06-01", "2025-11-15")),
    (r"time", ("09:30:00", "18:05:00")),
    (r"zone", ("Europe/Lisbon", "Asia/Tokyo")),
    (r"lang", ("en", "pt", "ja")),
    (r"currency", ("EUR", "JPY")),
    (r"expression|formula", ("6 * 7", "12 / 4")),
    (r"name|person|author|user|owner", _NAMES),
)
_FORMATS = {
    "date": "2025-06-01",
    "date-time": "2025-06-01T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT15M",
    "email": "ada@example.org",
    "uri": "https://example.org/page",
    "uuid": "5f0c9a1e-7d3b-4c58-9a51-2f6f0e8f9b11",
    "hostname": "example.org",
    "ipv4": "192.0.2.10",
    "ipv6": "2001:db8::10",
}
_PROPER = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*")


def sample(schema: Mapping[str, Any], rng: random.Random, prompt: str = "") -> Any:
    """A value for `schema`. Capitalised words of the prompt are used for texts such as places and names."""
    return _Sampler(schema, rng, _PROPER.findall(prompt)).value(schema, "", 0)


@attrs.define
class _Sampler:
    root: Mapping[str, Any]
    rng: random.Random
    proper: Sequence[str]
    left: int = _VALUES_LIMIT

    def value(self, schema: object, name: str, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            return None
        schema = self._resolved(schema)
        if depth > _DEPTH_LIMIT or not isinstance(schema, Mapping):
            return None
        if "const" in schema:
            return schema["const"]
        if isinstance(options := schema.get("enum"), Sequence) and options:
            return self.rng.choice(list(options))
        for key in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(key), Sequence) and options:
                return self.value(self._best(options), name, depth + 1)
        if isinstance(parts := schema.get("allOf"), Sequence) and parts:
            return self.value(self._joined(schema, parts), name, depth + 1)
        if "default" in schema and schema["default"] is not None:
            return schema["default"]
        match self._type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number" as kind:
                return self._number(schema, kind)
            case "boolean":
                return self.rng.random() < 0.5
            case "null":
                return None
            case _:
                return self._text(schema, name)

    def _resolved(self, schema: object) -> object:
        for _ in range(_DEPTH_LIMIT):
            if not isinstance(schema, Mapping) or not isinstance(pointer := schema.get("$ref"), str):
                return schema
            target: object = self.root
            for part in pointer.removeprefix("#").strip("/").split("/"):
                step = part.replace("~1", "/").replace("~0", "~")
                if step:
                    target = target.get(step) if isinstance(target, Mapping) else None
            schema = target
        return None

    def _best(self, options: Sequence[Any]) -> Any:
        """The first alternative that is not null: an optional value is more useful when it is there."""
        resolved = [self._resolved(option) for option in options]
        return next(
            (option for option in resolved if isinstance(option, Mapping) and option.get("type") != "null"),
            resolved[0],
        )

    def _joined(self, schema: Mapping[str, Any], parts: Sequence[Any]) -> dict[str, Any]:
        joined: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            resolved = self._resolved(part)
            if not isinstance(resolved, Mapping):
                continue
            for key, value in resolved.items():
                if key == "properties" and isinstance(joined.get(key), Mapping):
                    joined[key] = {**joined[key], **value}
                elif key == "required" and isinstance(joined.get(key), list):
                    joined[key] = [*joined[key], *value]
                else:
                    joined.setdefault(key, value)
        return joined

    def _type(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, Sequence) and not isinstance(kind, str):
            kind = next((option for option in kind if option != "null"), "null")
        if isinstance(kind, str):
            return kind.lower()  # Gemini's own schemas write STRING
        if "properties" in schema:
            return "object"
        return "array" if "items" in schema else "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        needed = required if isinstance(required, Sequence) else ()
        if not isinstance(properties, Mapping):
            return {}
        return {
            name: self.value(part, name, depth + 1)
            for name, part in properties.items()
            if name in needed or depth < _OPTIONAL_DEPTH
        }

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        least = schema.get("minItems")
        most = schema.get("maxItems")
        count = max(least if isinstance(least, int) else 1, 1 if depth < _OPTIONAL_DEPTH else 0)
        count = min(count, most) if isinstance(most, int) else count
        prefix = schema.get("prefixItems")
        if isinstance(prefix, Sequence) and prefix:
            return [self.value(part, name, depth + 1) for part in prefix]
        count = min(count, _ITEMS_LIMIT, max(self.left, 0))
        return [self.value(schema.get("items", {}), name.rstrip("s"), depth + 1) for _ in range(count)]

    def _number(self, schema: Mapping[str, Any], kind: str) -> int | float:
        low, high = _bound(schema, "minimum", "exclusiveMinimum", 1), _bound(schema, "maximum", "exclusiveMaximum", -1)
        step = _number_of(schema.get("multipleOf"))
        if kind == "integer":
            return self._integer(low, high, step)
        floor = low if low is not None else (min(0.0, high) if high is not None else 0.0)
        ceiling = high if high is not None else floor + 100
        if step is not None and step > 0:
            multiple = -(-floor // step) * step
            return multiple if abs(multiple) <= _LARGEST else floor
        return round(floor + (ceiling - floor) * 0.5, 2) if ceiling > floor + 0.05 else (floor + ceiling) / 2

    def _integer(self, low: float | None, high: float | None, step: int | float | None) -> int:
        least = int(-(-low // 1)) if low is not None else (min(1, int(high)) if high is not None else 1)
        most = int(high // 1) if high is not None else least + 99
        value = self.rng.randint(least, max(least, min(most, least + 999)))
        if not isinstance(step, int) or step <= 0:
            return value
        up = -(-value // step) * step
        return up if up <= most else value // step * step

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        if (known := _FORMATS.get(str(schema.get("format")))) is not None:
            return known
        text = next((words for pattern, words in _BY_NAME if re.search(pattern, name.lower())), None)
        if text in (_PLACES, _NAMES) and self.proper:
            value = self.proper[0]
        elif text is not None:
            value = self.rng.choice(text)
        else:
            value = f"{name.replace('_', ' ') or 'value'} {self.rng.randint(1, 9)}"
        least, most = schema.get("minLength"), schema.get("maxLength")
        if isinstance(least, int):
            value = value.ljust(max(0, min(least, _LENGTH_LIMIT)), "x")
        return value[: max(most, 0)] if isinstance(most, int) else value


def _bound(schema: Mapping[str, Any], inclusive: str, exclusive: str, inward: int) -> float | None:
    """Return the bound as an inclusive one.

    An exclusive bound is moved inward by one, or by a little between fractions.
    """
    value, strict = _number_of(schema.get(inclusive)), _number_of(schema.get(exclusive))
    if strict is None:
        return value
    nearer = strict + (inward if _type_is_integer(schema) else inward * 0.01)
    if value is None:
        return nearer
    return max(value, nearer) if inward > 0 else min(value, nearer)


def _number_of(value: object) -> int | float | None:
    """Return a number of a schema; None if it is none, or not finite, or has hundreds of digits."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def _type_is_integer(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "integer"
