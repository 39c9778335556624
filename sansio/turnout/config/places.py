"""Finds the line of a setting in a YAML file, for the message of an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from turnout._utils.documents import compose_yaml
from turnout.config.values import snake_case

__all__ = ["line_of", "spelled"]

_INDEX = re.compile(r"\[(\d+)\]")


def line_of(text: str, place: str) -> int | None:
    """Return the line of a setting, or of the deepest section on the way to it; None if nothing of it is there.

    Args:
        text: A YAML document that can be read. Needs PyYAML.
        place: Names and positions, such as `serve.keys[0].name`. One that does not begin at the top is searched below.
    """
    root = compose_yaml(text)
    if root is None:
        return None
    line, _ = _follow(root, place)
    if line is not None:
        return line
    return next((found for node in _nodes(root) for found, rest in [_follow(node, place)] if found and not rest), None)


def spelled(text: str, place: str) -> str:
    """Return a place with the names as the file writes them, such as `runtime.router.maxRetries`.

    Args:
        text: A YAML document that can be read. Needs PyYAML.
        place: Names and positions in snake_case, from the top of the document.
    """
    node, rest, written = compose_yaml(text), place, ""
    while rest and node is not None:
        found = _step(node, rest)
        if found is None:
            break
        _, key, value, after = found
        written, node, rest = _joined(written, key), value, after
    return _joined(written, rest) if rest else written


def _joined(place: str, part: str) -> str:
    return f"{place}.{part}" if place and not part.startswith("[") else f"{place}{part}"


def _follow(node: Any, place: str) -> tuple[int | None, str]:
    """Return the line of the last part of a place that a node has, and the parts that it has not."""
    line, rest = None, place
    while rest:
        found = _step(node, rest)
        if found is None:
            break
        line, _, node, rest = found
    return line, rest


def _step(node: Any, rest: str) -> tuple[int, str, Any, str] | None:
    """Return the first part of a place (line, spelling, value), and the other parts; None if a node has it not."""
    if node.id == "sequence":
        index = _INDEX.match(rest)
        if index is None or int(index[1]) >= len(node.value):
            return None
        item = node.value[int(index[1])]
        return item.start_mark.line + 1, index[0], item, rest[index.end() :].removeprefix(".")
    if node.id != "mapping":
        return None
    # A name may have dots, such as that of a model: the longest one counts.
    for key, value in sorted(node.value, key=lambda pair: -len(str(pair[0].value))):
        for name in (str(key.value), snake_case(str(key.value))):
            if rest == name or rest.startswith((f"{name}.", f"{name}[")):
                return key.start_mark.line + 1, str(key.value), value, rest[len(name) :].removeprefix(".")
    return None


def _nodes(node: Any, depth: int = 0) -> Iterator[Any]:
    """Yield a node and all nodes below it, as far as settings can be."""
    yield node
    if depth < 8 and node.id == "mapping":
        for _, value in node.value:
            yield from _nodes(value, depth + 1)
