"""One run over files: check the input, find the rows to send, and put the output in order at the end."""

from __future__ import annotations

import functools
import itertools
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import attrs

from turnout.batch.index import ResumeIndex, RowState, all_differ, sort_hashes
from turnout.batch.output import OutputHead, find_foreign, read_heads
from turnout.batch.rows import BYTE_ORDER_MARK, BatchInputError, BatchRow, InputLine, RowReader, numbered
from turnout_io.batch.input_file import read_input
from turnout_io.batch.output_file import OutputFile, read_blocks, refuse

__all__ = ["Changed", "CheckedInput", "RetryFailed", "check_input", "pending_rows", "put_in_order", "read_index"]

RetryFailed: TypeAlias = Literal["temporary", "all", "none"]
Changed: TypeAlias = Literal["refuse", "rerun", "keep"]

MOST_EXAMPLES: Final = 3
_custom_id: Final = attrgetter("custom_id")


@attrs.define(eq=False)
class CheckedInput:
    """The result of the first pass over an input.

    Attributes:
        rows: Rows in all.
        pending: One byte for each row: 1 if it is to be sent.
        answered_blocks: For each block of the file its number of rows if all have an id and are answered, else 0.
        done: Rows that are answered.
        failed: Rows that failed before, and are not sent again in this run.
        changed: Rows that are another request than the one that the output answers.
    """

    rows: int = 0
    pending: bytearray = attrs.field(factory=bytearray, repr=False)
    answered_blocks: list[int] = attrs.field(factory=list, repr=False)
    done: int = 0
    failed: int = 0
    changed: int = 0

    @property
    def left(self) -> int:
        """Rows that are to be sent."""
        return self.pending.count(1)

    def note(self, state: RowState, *, sent: bool) -> None:
        """Count a row."""
        if not sent and state is RowState.DONE:
            self.done += 1
        elif not sent and state in (RowState.FAILED, RowState.FINAL):
            self.failed += 1


def read_index(path: str | os.PathLike[str]) -> ResumeIndex:
    """Read the index of an output.

    Raises:
        OutputRefused: If a line is no result of a batch, so the file is something else.
    """
    index = ResumeIndex()
    line = 1
    with open(path, "rb", buffering=0) as file:
        if file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK:
            raise refuse(path, "line 1")  # an editor wrote the file; no place of a line would be right
    for block in read_blocks(path):
        before = index.broken
        index.add_block(block)
        if index.broken > before and (foreign := find_foreign(block)) is not None:
            raise refuse(path, f"line {line + foreign}")
        line += block.count(b"\n")

    def reread(note: Callable[[OutputHead], None]) -> None:
        for block in read_blocks(path):
            for head in read_heads(block)[0]:
                note(head)

    index.finish(reread)
    return index


def check_input(
    path: str | os.PathLike[str],
    reader: RowReader,
    index: ResumeIndex,
    output: str | os.PathLike[str],
    *,
    retry_failed: RetryFailed = "temporary",
    changed: Changed = "refuse",
    limit: int | None = None,
) -> CheckedInput:
    """Read the whole input, before anything is sent.

    Args:
        path: The input.
        reader: Reads its rows.
        index: The index of the output.
        output: The output, with the keys of rows that have changed.
        retry_failed: Which of the rows that failed are sent again.
        changed: What becomes of rows that are another request now.
        limit: Send at most so many rows.

    Raises:
        BatchInputError: If a line is not a row, two rows have one custom_id, or rows have changed and `changed` is
            "refuse".
    """
    check = _Check(reader, index, retry_failed)
    line = 1
    for block in read_input(path):
        check.block(block, line)
        line += block.count(b"\n")
    checked = check.checked
    checked.rows = len(checked.pending)
    _refuse_duplicates(path, reader, check.ids)
    _settle_touched(checked, check.touched, output, retry_failed, changed)
    if limit is not None:
        _keep_first(checked.pending, limit)
    return checked


def pending_rows(
    path: str | os.PathLike[str], reader: RowReader, pending: bytearray, answered_blocks: Sequence[int] = ()
) -> Iterator[BatchRow]:
    """Return the rows that are to be sent, in order; the file is read as they are drawn.

    Args:
        path: The input.
        reader: A fresh reader, because it counts the rows without an id.
        pending: One byte for each row.
        answered_blocks: As in `CheckedInput`.
    """
    if 1 not in pending:
        return
    position, line = 0, 1
    for answered, block in itertools.zip_longest(answered_blocks, read_input(path), fillvalue=0):
        if not isinstance(block, bytes):
            return  # the file is shorter now
        lines = block.count(b"\n")
        if answered:
            position += answered
            line += lines
            continue
        for number, text in numbered(block, line):
            if position < len(pending) and pending[position]:
                yield reader.row(text, number)
            elif b'"custom_id"' not in text:
                reader.row(text, number)  # counted among its equals
            position += 1
        line += lines


def put_in_order(output: OutputFile, ordered_like: str | os.PathLike[str] | None, reader: RowReader) -> None:
    """Keep the last line of each row only, in the order of the input if that is given.

    Args:
        output: The output.
        ordered_like: The input; None for the order of completion.
        reader: A fresh reader for the rows of the input.
    """
    ids, offsets = array("q"), array("q")
    at = 0
    for block in read_blocks(output.path):
        for text in block.split(b"\n"):
            heads, _ = read_heads(text) if text else ([], 0)
            if heads:
                ids.append(hash(heads[0].custom_id))
                offsets.append(at)
            at += len(text) + 1
        at -= 1 if block.endswith(b"\n") else 0
    by_id = sorted(range(len(ids)), key=ids.__getitem__)  # stable: of one row the last line is the last here
    last = [n for i, n in enumerate(by_id) if i + 1 == len(by_id) or ids[by_id[i + 1]] != ids[n]]
    known = array("q", (ids[n] for n in last))

    def positions() -> Iterator[int]:
        if ordered_like is None:
            yield from sorted(offsets[n] for n in last)
            return
        taken = bytearray(len(last))
        line = 1
        for block in read_input(ordered_like):
            for number, text in numbered(block, line):
                head = reader.head(text, number)
                custom_id = head.custom_id or reader.content_id(text, number)
                place = bisect_left(known, hash(custom_id))
                if place < len(known) and known[place] == hash(custom_id):
                    taken[place] = 1
                    yield offsets[last[place]]
            line += block.count(b"\n")
        # Rows that the input has no more stay, behind the others.
        yield from sorted(offsets[n] for place, n in enumerate(last) if not taken[place])

    def lines() -> Iterator[bytes]:
        with open(output.path, "rb") as file:
            for offset in positions():
                file.seek(offset)
                yield file.readline()

    output.replace(lines())


# -- inside -------------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a block that are not empty, with their numbers. Most blocks need none of them."""

    def __init__(self, block: bytes, first_line: int) -> None:
        self._block, self._first_line = block, first_line

    @functools.cached_property
    def _lines(self) -> list[tuple[int, bytes]]:
        return list(numbered(self._block, self._first_line))

    def __getitem__(self, offset: int) -> tuple[int, bytes]:
        return self._lines[offset]


@attrs.define(eq=False)
class _Check:
    """The first pass over an input.

    Attributes:
        checked: Its result.
        ids: A hash of the identity of each row.
        touched: Rows with other bytes than in the output: position, line, custom_id and key.
    """

    reader: RowReader
    index: ResumeIndex
    retry_failed: RetryFailed
    checked: CheckedInput = attrs.field(factory=CheckedInput)
    ids: array[int] = attrs.field(factory=lambda: array("q"))
    touched: list[tuple[int, int, str, str]] = attrs.field(factory=list)

    def block(self, block: bytes, first_line: int) -> None:
        """Check the rows of a block of whole lines. One whose rows are all answered is done at once."""
        checked, heads = self.checked, self.reader.heads(block, first_line)
        custom_ids = list(map(_custom_id, heads))
        if None in custom_ids:
            are_done = [False] * len(heads)
        else:
            known = cast("list[str]", custom_ids)
            self.ids.extend(map(hash, known))
            are_done = self.index.are_done(known, self.reader.prints(heads))
        if are_done and all(are_done):
            checked.pending.extend(bytes(len(heads)))
            checked.done += len(heads)
            checked.answered_blocks.append(len(heads))
            return
        checked.answered_blocks.append(0)
        lines = _Lines(block, first_line)
        for offset, (head, is_done) in enumerate(zip(heads, are_done, strict=True)):
            if is_done:
                checked.pending.append(0)
                checked.done += 1
            elif None in custom_ids:
                self._row_of_mixed_block(*lines[offset])
            else:
                self._row(head, lines, offset)

    def _row_of_mixed_block(self, number: int, text: bytes) -> None:
        """Check a row of a block in which a row has no id, so that all must be read to know their identities."""
        row = self.reader.row(text, number)
        self.ids.append(hash(row.custom_id))
        self._note(self.index.state(row.custom_id, row.print), row)

    def _row(self, head: InputLine, lines: _Lines, offset: int) -> None:
        """Check a row that is not answered, and read no more of it than its state needs."""
        state = self.index.state(head.custom_id or "", head.print(self.reader.salt))
        row = None
        if state is RowState.CHANGED:
            number, text = lines[offset]
            row = self.reader.row(text, number)
        elif _is_pending(state, self.retry_failed):
            number, text = lines[offset]
            self.reader.fields(head, text, number)
        self._note(state, row)

    def _note(self, state: RowState, row: BatchRow | None) -> None:
        """Note the state of the next row. A changed one is given."""
        checked = self.checked
        if state is RowState.CHANGED:
            assert row is not None
            self.touched.append((len(checked.pending), row.line, row.custom_id, row.key))
        sent = _is_pending(state, self.retry_failed)
        checked.pending.append(sent)
        checked.note(state, sent=sent)


def _is_pending(state: RowState, retry_failed: RetryFailed) -> bool:
    match state:
        case RowState.FAILED:
            return retry_failed != "none"
        case RowState.FINAL:
            return retry_failed == "all"
        case RowState.DONE:
            return False
        case _:
            return True


def _refuse_duplicates(path: str | os.PathLike[str], reader: RowReader, ids: array[int]) -> None:
    if all_differ(ids):
        return
    ordered = sort_hashes(ids)
    repeated = {one for one, other in itertools.pairwise(ordered) if one == other}
    first: dict[str, int] = {}
    line = 1
    for block in read_input(path):
        for number, text in numbered(block, line):
            custom_id = reader.head(text, number).custom_id
            if custom_id is not None and hash(custom_id) in repeated:
                if custom_id in first:
                    raise BatchInputError(
                        f"lines {first[custom_id]} and {number} have the same custom_id {custom_id!r}"
                    )
                first[custom_id] = number
        line += block.count(b"\n")


def _settle_touched(
    checked: CheckedInput,
    touched: list[tuple[int, int, str, str]],
    output: str | os.PathLike[str],
    retry_failed: RetryFailed,
    changed: Changed,
) -> None:
    """Decide on the rows with other bytes than in the output: their content may be the same."""
    if not touched:
        return
    wanted = {custom_id for _, _, custom_id, _ in touched}
    keys: dict[str, tuple[str, RowState]] = {}
    for block in read_blocks(output):
        for head in read_heads(block)[0]:
            if head.custom_id in wanted and head.turnout is not None:
                keys[head.custom_id] = head.turnout.key, _state_of(head)
    examples: list[int] = []
    for position, line, custom_id, key in touched:
        known, state = keys.get(custom_id, ("", RowState.NEW))
        if known == key or state is not RowState.DONE:
            # Another request than one that failed is a new one: there is no answer that could be kept or lost.
            state = state if known == key else RowState.FAILED
            checked.pending[position] = _is_pending(state, retry_failed)
            checked.note(state, sent=bool(checked.pending[position]))
        else:
            checked.changed += 1
            checked.pending[position] = changed == "rerun"
            checked.done += changed == "keep"
            examples.append(line)
    if checked.changed and changed == "refuse":
        where = ", ".join(str(line) for line in examples[:MOST_EXAMPLES])
        raise BatchInputError(
            f"{checked.changed} of {checked.rows} rows are other requests than those that {Path(output).name} answers "
            f"(line {where}{', …' if len(examples) > MOST_EXAMPLES else ''}): the row, the model or a setting has "
            "changed. Use --changed rerun to send them again, --changed keep to keep the old answers, or another output"
        )


def _state_of(head: OutputHead) -> RowState:
    if head.error is None:
        return RowState.DONE
    return RowState.FAILED if head.error.temporary else RowState.FINAL


def _keep_first(pending: bytearray, limit: int) -> None:
    left = limit
    at = pending.find(1)
    while at >= 0:
        if left <= 0:
            pending[at] = 0
        left -= 1
        at = pending.find(1, at + 1)
