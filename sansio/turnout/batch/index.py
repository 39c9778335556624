"""The rows in an output: answered ones, failed ones, and those whose request has changed since.

A million rows take some 20 MB: identities are 8-byte hashes. (Two different identities may share one, once in 10⁷
batches of a million rows; the second of them would count as answered if its checksum were equal too.)
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter, eq, xor

import attrs

from turnout.batch.output import OutputHead, prints_of, read_heads

__all__ = ["ResumeIndex", "RowState", "all_differ", "sort_hashes"]

SMALL = 400_000
"""Up to so many rows are kept in a set, which is faster; beyond that in a sorted array, which is smaller."""


_custom_id, _error, _own = attrgetter("custom_id"), attrgetter("error"), attrgetter("turnout")


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
        priced: Lines whose cost is known.
    """

    rows: int = attrs.field(default=0, init=False)
    broken: int = attrs.field(default=0, init=False)
    superseded: int = attrs.field(default=0, init=False)
    cost: float = attrs.field(default=0.0, init=False)
    priced: int = attrs.field(default=0, init=False)
    _ids: array[int] = attrs.field(factory=lambda: array("q"), init=False, repr=False)
    _ordered: bool = attrs.field(default=False, init=False, repr=False)
    _marks: array[int] = attrs.field(factory=lambda: array("q"), init=False, repr=False)
    _done: Callable[[int], bool] = attrs.field(default=lambda mark: False, init=False, repr=False)
    _exact: dict[int, _Exact] = attrs.field(factory=dict, init=False, repr=False)
    _failures: dict[int, _Exact] = attrs.field(factory=dict, init=False, repr=False)

    def add_block(self, block: bytes) -> None:
        """Read whole lines of the output."""
        heads, broken = read_heads(block)
        self.broken += broken
        self.rows += len(heads)
        costs = [own.cost for own in map(_own, heads) if own is not None and own.cost is not None]
        self.cost += sum(costs)
        self.priced += len(costs)
        rows = list(map(hash, map(_custom_id, heads)))
        self._ids.extend(rows)
        answered = heads
        if any(map(_error, heads)):
            answered = [head for head in heads if head.error is None]
            rows = list(map(hash, map(_custom_id, answered)))
        self._marks.extend(_marks(rows, prints_of(answered)))
        if len(answered) < len(heads):
            for head in heads:
                if head.error is not None:
                    row = hash(head.custom_id)
                    self._failures[row] = _Exact(head.print, done=False, temporary=head.error.temporary)

    def finish(self, reread: Callable[[Callable[[OutputHead], None]], None]) -> None:
        """Note the end of the output.

        Args:
            reread: Gives each line once more, in order. It is called only if a row has several lines.
        """
        if not all_differ(self._ids):
            ordered = self._sorted_ids()
            repeated = {one for one, other in zip(ordered, islice(ordered, 1, None), strict=False) if one == other}
            self.superseded = sum(map(eq, ordered, islice(ordered, 1, None)))

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
        """True if this very row is answered."""
        return self._done(_mark(hash(custom_id), fingerprint)) and (
            not self._exact or self._exact_done(custom_id, fingerprint)
        )

    def are_done(self, custom_ids: Sequence[str], fingerprints: Sequence[int]) -> list[bool]:
        """Return the same for many rows: the fast path for rows that were not touched."""
        if self._exact:
            return list(map(self.is_done, custom_ids, fingerprints))
        return list(map(self._done, _marks(map(hash, custom_ids), fingerprints)))

    def state(self, custom_id: str, fingerprint: int) -> RowState:
        """Return the state of a row in the output.

        `CHANGED` means that its bytes differ. The keys show if its content differs too (`turnout.batch.rows`).
        """
        row = hash(custom_id)
        known = self._exact.get(row) or self._failures.get(row)
        if known is None:
            if self._done(_mark(row, fingerprint)):
                return RowState.DONE
            ids = self._sorted_ids()
            at = bisect_left(ids, row)
            return RowState.CHANGED if at < len(ids) and ids[at] == row else RowState.NEW
        if known.print != fingerprint:
            return RowState.CHANGED
        if known.done:
            return RowState.DONE
        return RowState.FAILED if known.temporary else RowState.FINAL

    def _sorted_ids(self) -> array[int]:
        """Return the identities in order. A run whose rows are all answered never needs it."""
        if not self._ordered:
            self._ids, self._ordered = sort_hashes(self._ids), True
        return self._ids

    def _exact_done(self, custom_id: str, fingerprint: int) -> bool:
        exact = self._exact.get(hash(custom_id))
        return exact is None or (exact.done and exact.print == fingerprint)


def _mark(row: int, fingerprint: int) -> int:
    """Return one number of 64 bits for the hash of an identity and the checksum of its row."""
    return hash(row ^ fingerprint)


def _marks(rows: Iterable[int], fingerprints: Iterable[int]) -> Iterator[int]:
    """Return the same for many rows."""
    return map(hash, map(xor, rows, fingerprints))


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


def all_differ(hashes: array[int]) -> bool:
    """True if no number is there twice."""
    if len(hashes) <= SMALL:
        return len(set(hashes)) == len(hashes)
    ordered = sort_hashes(hashes)
    return not any(map(eq, ordered, islice(ordered, 1, None)))
