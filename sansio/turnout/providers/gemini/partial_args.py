"""Arguments of a function call that come piece by piece, each with the JSON path of its place (Vertex AI)."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs

__all__ = ["PartialArguments"]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[['\"]([^'\"]*)['\"]\]")
_LONGEST = 10_000  # a list longer than this is no argument but a mistake in a path


@attrs.define(eq=False)
class PartialArguments:
    """One call whose arguments are being put together: strings of one path are joined, other values replaced."""

    name: str
    id: str | None = None
    signature: str | None = None
    _document: dict[str, Any] = attrs.field(factory=dict)

    def add(self, pieces: object) -> None:
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and isinstance(path := piece.get("jsonPath"), str):
                for kind in ("stringValue", "numberValue", "boolValue", "nullValue"):
                    if kind in piece:
                        self._put(path, None if kind == "nullValue" else piece[kind])

    def arguments(self) -> str:
        return json.dumps(self._document, ensure_ascii=False)

    def _put(self, path: str, value: Any) -> None:
        steps: list[str | int] = [int(m[2]) if m[2] else (m[1] or m[3]) for m in _STEP.finditer(path)]
        place: Any = self._document
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if isinstance(step, int) != isinstance(place, list):
                return  # the paths contradict each other: what came first stands
            if isinstance(step, int):
                if step > _LONGEST:
                    return
                place.extend([None] * (step + 1 - len(place)))
            known = place[step] if isinstance(step, int) else place.get(step)
            if following is None:
                joined = isinstance(known, str) and isinstance(value, str)
                place[step] = known + value if joined else value
                return
            if not isinstance(known, dict | list):
                known = place[step] = [] if isinstance(following, int) else {}
            place = known
