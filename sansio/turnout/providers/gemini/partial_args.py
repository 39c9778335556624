"""Arguments of a function call in pieces, each with the JSON path of its position (Vertex AI)."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

from turnout._utils.growing_text import GrowingText

__all__ = ["PartialArguments"]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[['\"]([^'\"]*)['\"]\]")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
_MAX_STEPS = 50
# Entries of lists that a path may skip, in one call: a larger gap is a mistake in a path.
_MAX_GAPS = 10_000
# Characters that a value is worth in memory, with its name.
_VALUE_SIZE = 100


@attrs.define(eq=False)
class PartialArguments:
    """One call and its arguments so far: strings of one path are joined, other values are replaced.

    Attributes:
        name: The name of the function.
        id: The id of the call.
        signature: The provider's proof for the call.
    """

    name: str
    id: str | None = None
    signature: str | None = None
    _document: dict[str, Any] = attrs.field(factory=dict)
    _gaps: int = _MAX_GAPS

    def add(self, pieces: object) -> int:
        """Take pieces of the arguments. Return their characters, or what the memory of other values is worth."""
        size = 0
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and isinstance(path := piece.get("jsonPath"), str):
                for kind in _VALUES:
                    if kind in piece:
                        value = None if kind == "nullValue" else piece[kind]
                        size += self._put(path, value)
        return size

    def arguments(self) -> str:
        """Return the arguments as JSON text, as far as they were received."""
        return json.dumps(self._document, ensure_ascii=False, default=_text_of)

    def _put(self, path: str, value: Any) -> int:
        steps: list[str | int] = [int(m[2]) if m[2] else (m[1] or m[3]) for m in _STEP.finditer(path)]
        if len(steps) > _MAX_STEPS or isinstance(value, dict | list):
            return 0
        container: Any = self._document
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if isinstance(step, int) != isinstance(container, list):
                return 0  # the paths contradict each other: the first one holds
            if isinstance(step, int):
                gap = step + 1 - len(container)
                if gap > 0:
                    self._gaps -= gap - 1
                    if self._gaps < 0:
                        return 0
                    container.extend([None] * gap)
            known = container[step] if isinstance(step, int) else container.get(step)
            if following is None:
                if isinstance(value, str):
                    text = container[step] = known if isinstance(known, GrowingText) else GrowingText()
                    text.add(value)
                    return len(value) + (_VALUE_SIZE if text is not known else 0)
                container[step] = value
                return _VALUE_SIZE
            if not isinstance(known, dict | list):
                known = container[step] = [] if isinstance(following, int) else {}
            container = known
        return 0


def _text_of(value: object) -> str:
    if isinstance(value, GrowingText):
        return str(value)
    raise TypeError(f"JSON has no {type(value).__name__}")
