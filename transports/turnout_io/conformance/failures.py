"""Describes the failure of a check: the condition, the values in it, the file and the line."""

from __future__ import annotations

import ast
import enum
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

__all__ = ["describe_failure"]

_LENGTH = 120


def describe_failure(fault: BaseException) -> str:
    """Return the expected and the actual result in one line."""
    found = _in_checks(fault.__traceback__)
    where = f" ({Path(found[0].f_code.co_filename).name}:{found[1]})" if found else ""
    if not isinstance(fault, AssertionError):
        return f"expected no error, but got {type(fault).__name__}: {fault}{where}"
    if str(fault):
        return f"{fault}{where}"
    return f"{_condition(*found) if found else 'an assertion failed'}{where}"


def _in_checks(trace: TracebackType | None) -> tuple[FrameType, int] | None:
    """Return the innermost frame of a check and its line."""
    found = None
    while trace is not None:
        if "checks_" in Path(trace.tb_frame.f_code.co_filename).name:
            found = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    return found


def _condition(frame: FrameType, line: int) -> str:
    """Return the condition of the assertion in a line, with the values of the names in it."""
    condition = next(
        (test for first, last, test in _assertions(frame.f_code.co_filename) if first <= line <= last), None
    )
    if condition is None:
        return "an assertion failed"
    values = dict(_values(condition, frame.f_locals))
    got = ", ".join(f"{name} is {_shortened(value)}" for name, value in values.items())
    return f"expected {ast.unparse(condition)}" + (f", but {got}" if got else "")


@functools.cache
def _assertions(file: str) -> tuple[tuple[int, int, ast.expr], ...]:
    """Return the assertions of a file: the first line, the last line, the condition."""
    try:
        tree = ast.parse(Path(file).read_text("utf-8"))
    except (OSError, SyntaxError):  # installed without sources
        return ()
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return tuple((node.lineno, node.end_lineno or node.lineno, node.test) for node in found)


def _values(condition: ast.expr, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each name or attribute of the condition, with its value, unless it needs a call."""
    inner = {id(node.value) for node in ast.walk(condition) if isinstance(node, ast.Attribute)}
    called = {id(node.func) for node in ast.walk(condition) if isinstance(node, ast.Call)}
    for node in ast.walk(condition):
        if id(node) in inner or id(node) in called or not isinstance(node, ast.Name | ast.Attribute):
            continue
        path = ast.unparse(node)
        root, *attributes = path.split(".")
        if root not in names:
            continue
        value = names[root]
        try:
            for attribute in attributes:
                value = getattr(value, attribute)
        except Exception:  # a property of the transport that is checked may raise anything
            continue
        yield path, value


def _shortened(value: object) -> str:
    text = f"{type(value).__name__}.{value.name}" if isinstance(value, enum.Enum) else repr(value)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
