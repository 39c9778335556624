"""The values that the code of Turnout has: literals, fields of wire types and constants.

A dialect is read as a whole folder, so its tables follow the code when a module in it is moved or split. `request.py`
and what it imports from the folder make requests; the other modules read answers. A table without a value is an error:
the code is no longer where the table looks for it, and every value of the SDKs would seem unknown.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import msgspec

__all__ = ["NothingFound", "constants_of", "fields_of", "literals_of", "read_by", "sent_by"]

PROVIDERS = "turnout.providers"
"""The package that names of modules, and of folders of dialects, are relative to."""


class NothingFound(LookupError):
    """The code has no value where a table looks for it."""


def literals_of(name: str) -> frozenset[str]:
    """Return the texts that a module, or all modules of a folder, compare with or look up.

    Docstrings and messages do not count.

    Raises:
        ModuleNotFoundError: If there is no such module.
        NothingFound: If it has no literal.
    """
    return _found("literals", name, _literals(_modules(name)))


def sent_by(dialect: str) -> frozenset[str]:
    """Return the literals of the modules that make a dialect's requests.

    Raises:
        ModuleNotFoundError: If the dialect has no `request.py`.
        NothingFound: If they have no literal.
    """
    return _found("literals for requests", dialect, _literals(_request_modules(dialect)))


def read_by(dialect: str) -> frozenset[str]:
    """Return the literals of the modules that read a dialect's answers, and of its wire types.

    Raises:
        ModuleNotFoundError: If the dialect has no `request.py` or no `wire.py`.
        NothingFound: If they have no literal.
    """
    for_requests = {module.__name__ for module in _request_modules(dialect)}
    readers = [module for module in _modules(dialect) if module.__name__ not in for_requests]
    return _found("literals for answers", dialect, _literals([*readers, *_modules(f"{dialect}.wire")]))


def fields_of(name: str) -> frozenset[str]:
    """Return the names on the wire of all fields that the types of a module, or of a folder, have.

    Raises:
        ModuleNotFoundError: If there is no such module.
        NothingFound: If it has no type with fields.
    """
    return _found("fields of wire types", name, _fields(_modules(name)))


def constants_of(dialect: str, constant: str) -> frozenset[str]:
    """Return the values (the keys of a mapping) of a constant, in whichever module of a dialect it is.

    Raises:
        NothingFound: If no module has the constant, or if it is empty.
    """
    values = (value for module in _modules(dialect) for value in getattr(module, constant, ()))
    return _found(f"values of {constant}", dialect, values)


def _found(what: str, name: str, values: Iterable[str]) -> frozenset[str]:
    found = frozenset(values)
    if not found:
        raise NothingFound(f"no {what} in {PROVIDERS}.{name}: name the place of this code in known.py")
    return found


def _modules(name: str) -> list[ModuleType]:
    """Return a module alone, or all modules of a folder, however deep."""
    start = importlib.import_module(f"{PROVIDERS}.{name}")
    names = {start.__name__}
    for folder in getattr(start, "__path__", ()):
        for file in Path(folder).rglob("*.py"):
            inside = file.relative_to(folder).with_suffix("").parts
            names.add(".".join((start.__name__, *inside)).removesuffix(".__init__"))
    return [importlib.import_module(module) for module in sorted(names)]


def _request_modules(dialect: str) -> list[ModuleType]:
    """Return `request.py` of a dialect and all modules of its folder that it needs."""
    folder = {module.__name__: module for module in _modules(dialect)}
    reached: dict[str, ModuleType] = {}
    ahead = _modules(f"{dialect}.request")
    while ahead:
        module = ahead.pop()
        if module.__name__ not in reached:
            reached[module.__name__] = module
            ahead.extend(folder[name] for name in _imports(module) if name in folder)
    return list(reached.values())


def _imports(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _literals(modules: Iterable[ModuleType]) -> Iterator[str]:
    for tree in map(_tree, modules):
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                yield node.value


def _fields(modules: Iterable[ModuleType]) -> Iterator[str]:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__:
                yield from (field.encode_name for field in msgspec.structs.fields(value))


def _tree(module: ModuleType) -> ast.Module:
    # A folder without `__init__.py` has no file of its own.
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8") if module.__file__ else "")
