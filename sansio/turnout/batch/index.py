"""The rows in an output: answered ones, failed ones, and those whose request has changed since.

A million rows take some 20 MB: identities are 8-byte hashes. (Two different identities may share one, once in 10⁷
batches of a million rows; the second of them would count as answered if its checksum were equal too.)
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import islice
from operator import eq

import attrs

from turnout.batch.output import OutputHead, read_heads

__all__ = ["ResumeIndex", "RowState", "sort_hashes"]

SMALL = 400_000
"""Up to so many rows are kept in a set, which is faster; beyond that in a sorted array, which is smaller."""

_MASK = (1 << 63) - 1


class RowState(enum.Enum):
    """The state of a row in an output."""

    NEW = "new"
    DONE = "done"
    FAILED = "failed"  # a temporary failure
    FINAL = "final"  # failed, and fails in every attempt
    CHANGED = "changed"  # the output has another request under this identity


@attrs.define(eq=False)
class _Exact:
    """The last line of one identity."""

    print: int
    done: bool
    temporary: bool


@attrs.define(eq=False)
class ResumeIndex:
    """Built from the lines of an output in their order. The last line of a row holds.

    Attributes:
        rows: Lines that were read.
        broken: Lines that are not valid; their rows are sent again.
        superseded: Lines that a later one of the same row replaces.
        cost: The cost of all lines.
    """

    rows: int = attrs.field(default=0, init=False)
    broken: int = attrs.field(default=0, init=False)
    superseded: int = attrs.field(default=0, init=False)
    cost: float = attrs.field(default=0.0, init=False)
    _ids: array[int] = attrs.field(factory=lambda: array("q"), init=False, repr=False)
    _marks: array[int] = attrs.field(factory=lambda: array("q"), init=False, repr=False)
    _done: Callable[[int], bool] = attrs.field(default=lambda mark: False, init=False, repr=False)
    _exact: dict[int, _Exact] = attrs.field(factory=dict, init=False, repr=False)
    _failures: dict[int, _Exact] = attrs.field(factory=dict, init=False, repr=False)

    def add_block(self, block: bytes) -> None:
        """Read whole lines of the output."""
        heads, broken = read_heads(block)
        self.broken += broken
        self.rows += len(heads)
        ids, marks, failures = self._ids, self._marks, self._failures
        cost = 0.0
        for head in heads:
            row = hash(head.custom_id)
            ids.append(row)
            own = head.turnout
            if own is not None and own.cost is not None:
                cost += own.cost
            if head.error is None:
                marks.append(_mark(row, head.print))
            else:
                failures[row] = _Exact(head.print, done=False, temporary=head.error.temporary)
        self.cost += cost

    def finish(self, reread: Callable[[Callable[[OutputHead], None]], None]) -> None:
        """Note the end of the output.

        Args:
            reread: Gives each line once more, in order. It is called only if a row has several lines.
        """
        ordered = self._ids = sort_hashes(self._ids)
        repeated = {first for first, second in zip(ordered, islice(ordered, 1, None), strict=False) if first == second}
        if repeated:
            self.superseded = sum(map(eq, self._ids, islice(self._ids, 1, None)))

            def note(head: OutputHead) -> None:
                row = hash(head.custom_id)
                if row in repeated:
                    error = head.error
                    temporary = error is not None and error.temporary
                    self._exact[row] = _Exact(head.print, done=error is None, temporary=temporary)

            reread(note)
        if len(self._marks) <= SMALL:
            self._done = frozenset(self._marks).__contains__
        else:
            marks = sort_hashes(self._marks)
            size = len(marks)

            def done(mark: int) -> bool:
                at = bisect_left(marks, mark)
                return at < size and marks[at] == mark

            self._done = done
        self._marks = array("q")

    def is_done(self, custom_id: str, fingerprint: int) -> bool:
        """True if this very row is answered: the fast path for a row that was not touched."""
        row = hash(custom_id)
        return self._done(_mark(row, fingerprint)) and (not self._exact or self._exact_done(row, fingerprint))

    def state(self, custom_id: str, fingerprint: int) -> RowState:
        """Return the state of a row in the output.

        `CHANGED` means that its bytes differ. The keys show if its content differs too (`turnout.batch.rows`).
        """
        row = hash(custom_id)
        known = self._exact.get(row) or self._failures.get(row)
        if known is None:
            if self._done(_mark(row, fingerprint)):
                return RowState.DONE
            at = bisect_left(self._ids, row)
            return RowState.CHANGED if at < len(self._ids) and self._ids[at] == row else RowState.NEW
        if known.print != fingerprint:
            return RowState.CHANGED
        if known.done:
            return RowState.DONE
        return RowState.FAILED if known.temporary else RowState.FINAL

    def _exact_done(self, row: int, fingerprint: int) -> bool:
        exact = self._exact.get(row)
        return exact is None or (exact.done and exact.print == fingerprint)


def sort_hashes(hashes: array[int]) -> array[int]:
    """Return numbers of 64 bits in ascending order.

    A list takes 40 bytes for each number, an array 8. So many numbers are sorted in four ranges, one after the other.
    """
    if len(hashes) <= SMALL:
        return array("q", sorted(hashes))
    ordered = array("q")
    for top in (-2, -1, 0, 1):
        ordered.extend(sorted(number for number in hashes if number >> 62 == top))
    return ordered


def _mark(row: int, fingerprint: int) -> int:
    """Mix an identity and a checksum into one number of 63 bits."""
    return (row ^ (fingerprint * 0x9E3779B97F4A7C15 & _MASK)) & _MASK
