"""Print the values that the types of an installed SDK allow, as JSON.

A script of its own, because it runs in the environment of the SDK, which holds neither Turnout nor its dependencies:

    python -I -S read_sdk.py FOLDER < surfaces.json

`FOLDER` holds the SDK and its dependencies (`pip install --target`). The input is a list of `{"name", "type", "key"}`
objects. A type is `module:Name`, or `module:Name.field` for the type of a field, or `botocore:service:Shape`. With a
`key` the values are those of this field, in each member of the union; the key `*` stands for the names of the fields.
The output maps each name to a sorted list of values, or to `{"error": reason}`.
"""

from __future__ import annotations

import enum
import importlib
import json
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

_FIELDS = "*"


def main() -> None:
    """Read the surfaces from the standard input and print their values."""
    sys.path.insert(0, sys.argv[1])
    found: dict[str, Any] = {}
    for surface in json.load(sys.stdin):
        try:
            found[surface["name"]] = sorted(set(read_values(surface["type"], surface.get("key"))))
        except Exception as error:
            found[surface["name"]] = {"error": f"{type(error).__name__}: {error}"}
    json.dump(found, sys.stdout)


def read_values(path: str, key: str | None) -> Iterator[str]:
    """Return the values of one surface.

    Args:
        path: The type, as the head of this module describes.
        key: The field whose values count; `*` for the names of the fields; None for the type itself.

    Raises:
        LookupError: If the SDK has no such type, or the type allows no values, so that a renamed type is noticed.
    """
    if path.startswith("botocore:"):
        _, service, shape = path.split(":")
        values = list(_botocore_values(service, shape))
    else:
        module, _, name = path.partition(":")
        names = name.split(".")
        start = getattr(importlib.import_module(module), names.pop(0))
        while isinstance(start, types.ModuleType):
            start = getattr(start, names.pop(0))
        annotations = [start]
        for field in names:
            annotations = [_fields(member)[field] for found in annotations for member in _members(found, field)]
        values = [value for found in annotations for value in _values_at(found, key)]
    if not values:
        raise LookupError(f"{path} allows no values")
    return iter(values)


def _values_at(annotation: Any, key: str | None) -> Iterator[str]:
    if key is None:
        yield from _literals(annotation)
    elif key == _FIELDS:
        for member in _members(annotation):
            yield from _fields(member)
    else:
        for member in _members(annotation, key):
            yield from _literals(_fields(member)[key])


def _literals(annotation: Any) -> Iterator[str]:
    """Return the texts that an annotation allows: those of its literals and of its enums."""
    annotation = _unwrapped(annotation)
    if typing.get_origin(annotation) is typing.Literal or _is_literal(annotation):
        yield from (value for value in typing.get_args(annotation) if isinstance(value, str))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from (str(member.value) for member in annotation)
    elif hasattr(annotation, "DESCRIPTOR") and hasattr(annotation, "keys"):  # an enum of protobuf
        yield from annotation.keys()
    else:
        for argument in typing.get_args(annotation):
            if not isinstance(argument, str):
                yield from _literals(argument)


def _is_literal(annotation: Any) -> bool:
    """Return whether it is the literal of `typing_extensions`, which may be a type of its own."""
    return type(annotation).__name__ == "_LiteralGenericAlias"


def _members(annotation: Any, field: str | None = None) -> Iterator[Any]:
    """Return the classes of a union, however deep; with a field, only those that have it."""
    annotation = _unwrapped(annotation)
    arguments = typing.get_args(annotation)
    if isinstance(annotation, type) and not (arguments and not _fields(annotation)):
        if field is None or field in _fields(annotation):
            yield annotation
        return
    for argument in arguments:
        yield from _members(argument, field)


def _unwrapped(annotation: Any) -> Any:
    """Return the annotation without `Annotated`, `Required`, and names for types."""
    while True:
        if hasattr(annotation, "__value__") and not typing.get_args(annotation):  # TypeAliasType
            annotation = annotation.__value__
        elif hasattr(annotation, "__metadata__") or getattr(typing.get_origin(annotation), "_name", "") in (
            "Required",
            "NotRequired",
        ):
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation


def _fields(member: Any) -> dict[str, Any]:
    """Return the fields of a class by their names on the wire, and their annotations."""
    if not isinstance(member, type) or typing.get_origin(member) is not None:
        return {}
    if hasattr(member, "model_fields"):
        return {field.alias or name: field.annotation for name, field in member.model_fields.items()}
    if hasattr(member, "DESCRIPTOR") and hasattr(member.DESCRIPTOR, "fields_by_name"):  # a message of protobuf
        return dict.fromkeys(member.DESCRIPTOR.fields_by_name, str)
    return typing.get_type_hints(member) if "__annotations__" in vars(member) else {}


def _botocore_values(service: str, name: str) -> Iterator[str]:
    session = importlib.import_module("botocore.session").get_session()
    model = session.get_service_model(service)
    if name in model.operation_names:  # its errors
        yield from (shape.name for shape in model.operation_model(name).error_shapes)
        return
    shape = model.shape_for(name)
    yield from getattr(shape, "enum", None) or shape.members


if __name__ == "__main__":
    main()
