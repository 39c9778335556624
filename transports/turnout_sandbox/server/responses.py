"""The responses of a dialect, before any fault changes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

__all__ = ["Response", "StreamedResponse", "UnaryResponse"]

Fields: TypeAlias = tuple[tuple[str, str], ...]


@attrs.frozen
class UnaryResponse:
    """A whole body."""

    status: int
    headers: Fields
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class StreamedResponse:
    """A streamed body, as the events of its dialect, each already framed.

    prelude   the first bytes of the body, also before an error (the bracket of a JSON array)
    opening   the events before the first token (role chunks, comments)
    tokens    one event for each piece of text, reasoning or tool call; may be lazy, is read once
    closing   finish reason and usage; may be lazy too
    done      the last marker of the dialect, b"" where it has none
    broken    an event with correct framing and invalid JSON
    error     the events that report `Fault.error` inside the stream
    """

    headers: Fields
    opening: tuple[bytes, ...] = attrs.field(repr=False)
    tokens: Iterable[bytes] = attrs.field(repr=False)
    closing: Iterable[bytes] = attrs.field(repr=False)
    done: bytes
    broken: bytes
    error: Iterable[bytes] = ()
    prelude: bytes = b""


Response: TypeAlias = UnaryResponse | StreamedResponse
