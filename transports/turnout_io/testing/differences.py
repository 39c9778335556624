"""Describes the differences of two requests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from turnout.http import HttpRequest

__all__ = ["differences"]

_SHOWN = 5  # differences that are listed for one body


def differences(recorded: HttpRequest, asked: HttpRequest) -> tuple[str, ...]:
    """Return the differences in method, URL and body; () if there are none. Bodies of JSON are compared as JSON."""
    found = []
    for what, one, other in (("method", recorded.method, asked.method), ("URL", recorded.url, asked.url)):
        if one != other:
            found.append(f"{what}: recorded {_cut(one)}, sent {_cut(other)}")
    if recorded.body != asked.body:
        found += _in_bodies(recorded.body, asked.body)
    return tuple(found)


def _in_bodies(recorded: bytes, asked: bytes) -> list[str]:
    try:
        one, other = json.loads(recorded), json.loads(asked)
        told = list(itertools.islice(_in_values(one, other, ""), _SHOWN + 1))
    except (ValueError, RecursionError):
        return [f"body: recorded {_cut(recorded)}, sent {_cut(asked)}"]
    return told if len(told) <= _SHOWN else [*told[:_SHOWN], "body: and more"]


def _in_values(recorded: object, asked: object, path: str) -> Iterator[str]:
    match recorded, asked:
        case dict(), dict():
            for key in (*recorded, *(key for key in asked if key not in recorded)):
                place = f"{path}.{key}" if path else str(key)
                if key not in asked:
                    yield f"body, {place}: recorded {_cut(recorded[key])}, not sent"
                elif key not in recorded:
                    yield f"body, {place}: not recorded, sent {_cut(asked[key])}"
                else:
                    yield from _in_values(recorded[key], asked[key], place)
        case list(), list():
            if len(recorded) != len(asked):
                yield f"body, {path or 'the list'}: recorded {len(recorded)} entries, sent {len(asked)}"
            for index, (one, other) in enumerate(zip(recorded, asked, strict=False)):
                yield from _in_values(one, other, f"{path}[{index}]")
        case _:
            # True == 1 in Python, and not in JSON; 1 and 1.0 are one number in both.
            if recorded != asked or isinstance(recorded, bool) is not isinstance(asked, bool):
                yield f"body{f', {path}' if path else ''}: recorded {_cut(recorded)}, sent {_cut(asked)}"


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]} … {text[-30:]} ({len(text)} characters)"
