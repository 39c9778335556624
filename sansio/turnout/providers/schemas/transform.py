"""Translate a schema into a provider's subset (`turnout.providers.schemas.subset`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import unquote

import attrs

from turnout.providers.json_codec import encode
from turnout.providers.schemas.branches import exclusive, kind_of, merged_enum_type
from turnout.providers.schemas.keywords import (
    ANNOTATIONS,
    DEMANDS,
    LISTS,
    MAPPINGS,
    NOT_DEMANDS,
    ONE,
    demands,
    for_type,
    is_idle,
    misshapen,
)
from turnout.providers.schemas.subset import SchemaSubset, SchemaUnsupported

__all__ = ["transform"]

_BOUNDS = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
_MOST_INLINED = 10_000  # references of a small schema that fan out can be endless without being recursive


def transform(schema: Mapping[str, Any], subset: SchemaSubset, what: str, advice: str = "") -> dict[str, Any]:
    """The schema in the provider's words. Errors (SchemaUnsupported) name it as `what`, and end with `advice`."""
    return _SchemaTransformer(subset, schema, what, advice).whole()


@attrs.define
class _SchemaTransformer:
    """One schema on its way into a subset.

    what  names it in errors, as "openai/gpt-4o: the schema of the answer"
    advice  ends errors: how the request works with this schema
    """

    subset: SchemaSubset
    root: Mapping[str, Any]
    what: str
    advice: str = ""
    _defs: dict[str, Any] = attrs.field(factory=dict, init=False)
    _names: dict[str, str] = attrs.field(factory=dict, init=False)
    _inside: list[str] = attrs.field(factory=lambda: ["#"], init=False)
    _properties: int = attrs.field(default=0, init=False)
    _said: int = attrs.field(default=0, init=False)

    def whole(self) -> dict[str, Any]:
        schema, pointer = self.root, "#"
        seen: set[str] = set()
        while "$ref" in schema and not demands(schema) - {"$ref"}:
            # A reference for the whole is replaced by its target: many providers require an object there.
            pointer = str(schema["$ref"])
            if pointer in seen or pointer == "#":
                self._refuse("$ref", "#", "it refers to itself")
            seen.add(pointer)
            found = self._find(pointer, "#")
            schema = {**{name: schema[name] for name in schema if name in ANNOTATIONS}, **found}
        said = self._say(schema, pointer, 0)
        if self.subset.root_object and said.get("type") != "object":
            self._refuse("type", "#", "the whole must be an object, and no choice of several")
        if self._defs:
            said["$defs"] = self._defs
        limit = self.subset.length
        if limit is not None and (length := len(encode(said).decode())) > limit:
            self._refuse("", "#", f"it is {length:,} characters long, and may be {limit:,}")
        return said

    def _say(self, schema: Any, pointer: str, depth: int) -> dict[str, Any]:
        self._said += 1
        if self._said > _MOST_INLINED:
            self._refuse("$ref", pointer, "its references fan out too far")
        if schema is True:
            schema = {}
        if not isinstance(schema, Mapping):
            self._refuse("false" if schema is False else "schema", pointer, "no value can match it")
        if "$id" in schema and pointer != "#":
            self._refuse("$id", pointer, "a schema within a schema cannot have an address of its own")
        schema = self._reshaped(schema, pointer)
        if "$ref" in schema:
            return self._reference(schema, pointer, depth)
        self._check_shape(schema, pointer)
        said: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword in self.subset.keywords:
                said[keyword] = self._value(keyword, value, f"{pointer}/{_escaped(keyword)}", depth)
            elif keyword in DEMANDS:
                self._refuse(keyword, f"{pointer}/{_escaped(keyword)}")
        return self._closed(said, pointer)

    # -- the same in other words ----------------------------------------------------------------------------------

    def _reshaped(self, schema: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        """Return the schema with other keywords in place of those that are not taken, if these mean the same."""
        for keyword, wanted in misshapen(schema):
            self._refuse(keyword, f"{pointer}/{_escaped(keyword)}", f"it must be {wanted}")
        takes = self.subset.keywords
        made = {name: value for name, value in schema.items() if name not in NOT_DEMANDS or name in takes}
        for name in [name for name in made if name not in takes and is_idle(name, made[name])]:
            del made[name]
        if "allOf" in made and "allOf" not in takes and isinstance(made["allOf"], list) and len(made["allOf"]) == 1:
            (only,) = made["allOf"]
            if isinstance(only, Mapping) and not demands(made) - {"allOf"}:
                del made["allOf"]
                return self._reshaped({**only, **made}, pointer)
        if "const" in made and "const" not in takes and "enum" not in made:
            made["enum"] = [made.pop("const")]
        if "oneOf" in made and "oneOf" not in takes and "anyOf" not in made:
            branches = [self._resolved(branch, pointer) for branch in made["oneOf"]]
            if not exclusive(branches):
                self._refuse("oneOf", f"{pointer}/oneOf", "its branches are not plainly exclusive, and anyOf is looser")
            made["anyOf"] = made.pop("oneOf")
        for keyword, (other, step) in _BOUNDS.items():
            bound = made.get(keyword)
            if keyword in takes or other not in takes or other in made or made.get("type") != "integer":
                continue
            if isinstance(bound, int) and not isinstance(bound, bool):
                made[other] = made.pop(keyword) + step
        if isinstance(made.get("type"), list) and (len(made["type"]) == 1 or not self.subset.type_lists):
            made = self._single_types(made, pointer)
        if "enum" in made:
            made = self._enumerated(made, pointer)
        if self.subset.typed and "const" in made and not {"type", "anyOf"} & set(made):
            made = {"type": kind_of(made["const"]), **made}
        return made

    def _single_types(self, schema: dict[str, Any], pointer: str) -> dict[str, Any]:
        types = schema.pop("type")
        if len(types) == 1:
            return {"type": types[0], **schema}
        if "anyOf" in schema:
            self._refuse("type", f"{pointer}/type", "a list of types beside anyOf")
        apart = {name: schema.pop(name) for name in list(schema) if name in ANNOTATIONS}
        return {"anyOf": [{"type": one, **for_type(schema, one)} for one in types], **apart}

    def _enumerated(self, schema: dict[str, Any], pointer: str) -> dict[str, Any]:
        """Replace values that may not be enumerated by their types, if these have no other values."""
        values = schema["enum"]
        if not isinstance(values, list):
            self._refuse("enum", f"{pointer}/enum", "it is no list")
        kinds = {kind_of(value) for value in values}
        if kinds <= self.subset.enums:
            return self._typed_enum(schema, values) if self.subset.typed and "type" not in schema else schema
        rest = [value for value in values if kind_of(value) in self.subset.enums]
        others = [value for value in values if kind_of(value) not in self.subset.enums]
        types = []
        if any(value is None for value in others):
            types.append("null")
        if {value for value in others if isinstance(value, bool)} == {True, False}:
            types.append("boolean")
        covered = all(value is None or isinstance(value, bool) for value in others)
        if not covered or (any(isinstance(value, bool) for value in others) and "boolean" not in types):
            self._refuse("enum", f"{pointer}/enum", f"only {', '.join(sorted(self.subset.enums))} can be enumerated")
        if "anyOf" in schema or demands(schema) - {"enum", "type"}:
            self._refuse("enum", f"{pointer}/enum", "it stands beside other demands")
        allowed = schema.get("type", ["null", "boolean", "string", "number", "integer"])
        allowed = [allowed] if isinstance(allowed, str) else allowed
        branches: list[dict[str, Any]] = [{"type": one} for one in types if one in allowed]
        rest = [value for value in rest if _is_of(value, allowed)]
        if rest:
            branches.insert(0, {"type": merged_enum_type(rest), "enum": rest})
        if not branches:
            self._refuse("enum", f"{pointer}/enum", "none of its values is of its type")
        apart = {name: value for name, value in schema.items() if name in ANNOTATIONS}
        return {"anyOf": branches, **apart} if len(branches) != 1 else {**branches[0], **apart}

    def _typed_enum(self, schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
        types = merged_enum_type(values)
        if isinstance(types, str) or self.subset.type_lists or "anyOf" in schema:
            return {"type": types, **schema}
        apart = {name: value for name, value in schema.items() if name in ANNOTATIONS}
        rest = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
        return {
            "anyOf": [{"type": one, **rest, "enum": [v for v in values if kind_of(v) == one]} for one in types],
            **apart,
        }

    # -- references -----------------------------------------------------------------------------------------------

    def _reference(self, schema: Mapping[str, Any], pointer: str, depth: int) -> dict[str, Any]:
        target, subset = str(schema["$ref"]), self.subset
        beside = demands(schema) - {"$ref"}
        if beside:
            self._refuse("$ref", f"{pointer}/$ref", f"{', '.join(sorted(beside))} beside it")
        apart = {name: value for name, value in schema.items() if name in ANNOTATIONS and name in subset.keywords}
        found = self._find(target, pointer)
        if target in self._inside and subset.references != "recursive":
            self._refuse("$ref", f"{pointer}/$ref", f"{target} refers to itself")
        if subset.references == "inline":
            self._inside.append(target)
            said = self._say(found, target, depth)
            self._inside.pop()
            return {**said, **apart}
        if target != "#" and target not in self._names:
            name = self._name(target)
            self._names[target] = name
            self._inside.append(target)
            self._defs[name] = {}
            self._defs[name] = self._say(found, target, depth)
            self._inside.pop()
        reference = {"$ref": "#" if target == "#" else f"#/$defs/{_escaped(self._names[target])}"}
        if apart and subset.lone_references:
            return {"anyOf": [reference], **apart}
        return {**reference, **apart}

    def _name(self, target: str) -> str:
        tail = unquote(target.rpartition("/")[2])
        name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in tail)
        taken = set(self._names.values())
        while not name or name in taken:
            name += "_"
        return name

    def _find(self, target: str, pointer: str) -> Mapping[str, Any]:
        if not (target == "#" or target.startswith("#/")):
            self._refuse("$ref", f"{pointer}/$ref", f"{target!r} is not in this schema")
        found: Any = self.root
        for part in target[2:].split("/") if target != "#" else ():
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and len(name) < 10 and int(name) < len(found):
                found = found[int(name)]
            else:
                self._refuse("$ref", f"{pointer}/$ref", f"{target!r} is not in this schema")
        if found is True:
            return {}
        if not isinstance(found, Mapping):
            self._refuse("$ref", f"{pointer}/$ref", f"{target!r} is no schema")
        return found

    def _resolved(self, schema: Any, pointer: str) -> Any:
        """Return a schema, or the schema that it refers to."""
        for _ in range(16):
            if not (isinstance(schema, Mapping) and "$ref" in schema):
                return schema
            schema = self._find(str(schema["$ref"]), pointer)
        return schema

    # -- demands on every schema ----------------------------------------------------------------------------------

    def _check_shape(self, schema: Mapping[str, Any], pointer: str) -> None:
        subset = self.subset
        if subset.typed and "type" not in schema and "anyOf" not in schema:
            self._refuse("type", pointer, "each schema must say its type")
        if "format" in schema and "format" in subset.keywords and schema["format"] not in subset.formats:
            self._refuse("format", f"{pointer}/format", f"it knows {', '.join(sorted(subset.formats))}")
        least = schema.get("minItems")
        if subset.min_items is not None and least is not None and least not in subset.min_items:
            self._refuse("minItems", f"{pointer}/minItems", f"it knows {sorted(subset.min_items)}")

    def _closed(self, said: dict[str, Any], pointer: str) -> dict[str, Any]:
        subset = self.subset
        types = said.get("type", ())
        if not (subset.closed or subset.all_required) or "object" not in ([types] if isinstance(types, str) else types):
            return said
        names = said.get("properties")
        if names is None:
            self._refuse("additionalProperties", pointer, "an object must name its properties")
        if subset.closed and said.setdefault("additionalProperties", False) is not False:
            self._refuse(
                "additionalProperties", f"{pointer}/additionalProperties", "an object can have no others than it names"
            )
        unnamed = [name for name in said.get("required", ()) if name not in names]
        if unnamed:
            self._refuse("required", f"{pointer}/required", f"{', '.join(unnamed)} is none of its properties")
        missing = [name for name in names if name not in said.get("required", ())]
        if subset.all_required and missing:
            told = f"{', '.join(missing)} must be required too; let it be null where it may be absent"
            self._refuse("required", f"{pointer}/required", told)
        if subset.all_required:
            said.setdefault("required", [])
        return said

    def _value(self, keyword: str, value: Any, pointer: str, depth: int) -> Any:
        if keyword in MAPPINGS:
            if keyword == "properties":
                self._properties += len(value)
                self._limit(self._properties, self.subset.properties, "properties", pointer, "properties in all")
            deeper = self._deeper(depth, pointer)
            return {name: self._say(schema, f"{pointer}/{_escaped(name)}", deeper) for name, schema in value.items()}
        if keyword in LISTS:
            return [self._say(schema, f"{pointer}/{place}", depth) for place, schema in enumerate(value)]
        if keyword == "additionalProperties" and isinstance(value, bool):
            return value
        if keyword == "items" and value is False:
            return value
        if keyword in ONE:
            return self._say(value, pointer, self._deeper(depth, pointer))
        return list(value) if isinstance(value, tuple) else value

    def _deeper(self, depth: int, pointer: str) -> int:
        self._limit(depth + 1, self.subset.depth, "properties", pointer, "levels of objects and arrays")
        return depth + 1

    def _limit(self, count: int, limit: int | None, keyword: str, pointer: str, what: str) -> None:
        if limit is not None and count > limit:
            self._refuse(keyword, pointer, f"more than {limit:,} {what}")

    def _refuse(self, keyword: str, pointer: str, why: str = "") -> NoReturn:
        what = f"{self.what}: `{keyword}` at {pointer}" if keyword else self.what
        reason = f": {why}" if why else ""
        advice = f"; {self.advice}" if self.advice else ""
        raise SchemaUnsupported(f"{what} cannot be held to{reason}{advice}", keyword=keyword, pointer=pointer)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _is_of(value: Any, types: list[str]) -> bool:
    kind = kind_of(value)
    whole = kind == "number" and float(value).is_integer()
    return kind in types or (whole and "integer" in types)
