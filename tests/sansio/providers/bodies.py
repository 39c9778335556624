"""Bodies as servers write them: event streams and lines of JSON."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ndjson", "sse"]


def sse(*documents: Any, newline: str = "\n", ascii: bool = True, event: str | None = None) -> bytes:
    """One event for each document; a string goes out as it is, all else as JSON."""
    name = f"event: {event}{newline}" if event is not None else ""
    return "".join(
        f"{name}data: {each if isinstance(each, str) else json.dumps(each, ensure_ascii=ascii)}{newline * 2}"
        for each in documents
    ).encode()


def ndjson(*documents: Any, newline: str = "\n") -> bytes:
    return "".join(json.dumps(document) + newline for document in documents).encode()
