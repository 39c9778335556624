"""The lines of a batch's output: OpenAI's form, with one field of our own.

    {"id": …, "custom_id": …, "response": {"status_code": 200, "request_id": …, "body": {…}}, "error": null,
     "turnout": {"key": …, "print": …, "model": …, "cost": …, "attempts": …, "seconds": …}}

Source: the OpenAI API reference, "The request output object" of the Batch API.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import attrs
import msgspec

from turnout.batch.rows import BatchRow, has_one_per_line

__all__ = ["Answered", "OutputHead", "RowFailure", "encode_output", "find_foreign", "is_own", "prints_of", "read_heads"]

_encode: Final = msgspec.json.Encoder().encode
_print: Final = attrgetter("turnout.print")

OWN_START: Final = b'{"id":"batch_req_'
"""The first bytes of every line that `encode_output` makes: a line that was cut off is known by them."""


@attrs.frozen(kw_only=True)
class Answered:
    """The answer of one row.

    Attributes:
        body: The response, as JSON in the dialect of the row's endpoint.
        request_id: The provider's name for this answer.
        model: Which candidate answered, as provider/model.
        cost: The cost, in the currency of the prices; None if unknown.
        attempts: Requests that were sent for it.
        seconds: From the first attempt to the answer.
    """

    body: bytes
    request_id: str = ""
    model: str = ""
    cost: float | None = None
    attempts: int = 1
    seconds: float = 0.0


@attrs.frozen(kw_only=True)
class RowFailure:
    """Why one row has no answer.

    Attributes:
        code: The class of the failure, such as `rate-limit`.
        message: The failure, and advice for the reader.
        temporary: True if the same row may be answered in a later run.
        status: The provider's HTTP status, if it gave one.
        request_id: The provider's name for its answer.
        model: The candidate that failed last.
        cost: The cost of the attempts, if it is known.
    """

    code: str
    message: str
    temporary: bool
    status: int | None = None
    request_id: str = ""
    model: str = ""
    cost: float | None = None
    attempts: int = 0
    seconds: float = 0.0


class _Response(msgspec.Struct):
    status_code: int
    request_id: str
    body: msgspec.Raw


class _Error(msgspec.Struct):
    code: str
    message: str
    temporary: bool


class _Own(msgspec.Struct, omit_defaults=True):
    key: str
    print: str
    model: str | None = None
    cost: float | None = None
    attempts: int = 0
    seconds: float = 0.0
    fields: dict[str, Any] | None = None


class _Line(msgspec.Struct):
    id: str
    custom_id: str
    response: _Response | None
    error: _Error | None
    turnout: _Own


def encode_output(row: BatchRow, outcome: Answered | RowFailure, line_id: str) -> bytes:
    """Return the line of one row, with its line break.

    Args:
        row: The row.
        outcome: The answer or the failure of the row.
        line_id: A random text that names this line.
    """
    own = _Own(
        row.key,
        f"{row.print:x}",
        outcome.model or None,
        outcome.cost,
        outcome.attempts,
        round(outcome.seconds, 3),
        row.kept or None,
    )
    response: _Response | None
    error: _Error | None = None
    if isinstance(outcome, Answered):
        response = _Response(200, outcome.request_id, msgspec.Raw(outcome.body))
    else:
        error = _Error(outcome.code, outcome.message, outcome.temporary)
        body = _encode({"error": {"message": outcome.message, "type": outcome.code, "code": outcome.code}})
        response = (
            _Response(outcome.status, outcome.request_id, msgspec.Raw(body)) if outcome.status is not None else None
        )
    return _encode(_Line(f"batch_req_{line_id}", row.custom_id, response, error, own)) + b"\n"


class _ErrorHead(msgspec.Struct, gc=False):
    temporary: bool = False


class _OwnHead(msgspec.Struct, gc=False):
    key: str = ""
    print: str = ""
    cost: float | None = None


class OutputHead(msgspec.Struct, gc=False):
    """The fields of an output line that a later run needs; the rest is not decoded."""

    custom_id: str = ""
    error: _ErrorHead | None = None
    turnout: _OwnHead | None = None

    @property
    def is_own(self) -> bool:
        """True if a batch has written the line."""
        return bool(self.custom_id) and self.turnout is not None and bool(self.turnout.key)

    @property
    def print(self) -> int:
        """The checksum of the row; -1 if the line has none."""
        own = self.turnout
        try:
            return int(own.print, 16) if own is not None else -1
        except ValueError:
            return -1


def prints_of(heads: list[OutputHead]) -> list[int]:
    """Return the checksums of many lines."""
    try:
        return [int(text, 16) for text in map(_print, heads)]
    except (AttributeError, ValueError):
        return [head.print for head in heads]


_heads: Final = msgspec.json.Decoder(OutputHead)


def read_heads(block: bytes) -> tuple[list[OutputHead], int]:
    """Return the heads of the results in a block, and how many lines are no results of a batch.

    Args:
        block: Whole lines.
    """
    try:
        decoded = _heads.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_each(block)
    if not has_one_per_line(block, len(decoded)):
        return _read_each(block)
    heads = [head for head in decoded if head.is_own]
    return heads, len(decoded) - len(heads)


def _read_each(block: bytes) -> tuple[list[OutputHead], int]:
    heads, broken = [], 0
    for line in block.split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            head = _heads.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            broken += 1
            continue
        if head.is_own:
            heads.append(head)
        else:
            broken += 1
    return heads, broken


def is_own(line: bytes, *, whole: bool) -> bool:
    """Return whether a batch has written a line. A damaged one counts if it begins as all do.

    Args:
        line: The line, without its line break.
        whole: False for an unfinished line, which may have been cut off within its first bytes.
    """
    try:
        return _heads.decode(line).is_own
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return line.startswith(OWN_START) or (not whole and OWN_START.startswith(line))


def find_foreign(block: bytes) -> int | None:
    """Return how many lines of a block stand before the first one that no batch has written; None if there is none.

    Args:
        block: Lines. Only the last one may be unfinished.
    """
    lines = block.split(b"\n")
    last = len(lines) - 1
    for number, line in enumerate(lines):
        if line and not (number < last and line.isspace()) and not is_own(line, whole=number < last):
            return number
    return None
