"""The first pass over an input: finds what is wrong with it, and the rows to send."""

from __future__ import annotations

import functools
import itertools
import os
from array import array
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import attrs

from turnout.batch.index import ResumeIndex, RowState, all_differ, sort_hashes
from turnout.batch.output import OutputHead, read_heads
from turnout.batch.rows import (
    BatchInputError,
    BatchRow,
    Endpoint,
    InputLine,
    InputProblems,
    RowReader,
    numbered,
    request_of,
)
from turnout_io.batch.input_file import read_input
from turnout_io.batch.output_file import read_blocks

__all__ = ["Changed", "CheckRequest", "CheckedInput", "RetryFailed", "check_input"]

RetryFailed: TypeAlias = Literal["temporary", "all", "none"]
Changed: TypeAlias = Literal["refuse", "rerun", "keep"]
CheckRequest: TypeAlias = Callable[[Endpoint, dict[str, Any]], str]
"""Returns why a request can never be answered; "" if it may be."""

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
        kept: How many rows to send have a field that is not for the model, by its name.
    """

    rows: int = 0
    pending: bytearray = attrs.field(factory=bytearray, repr=False)
    answered_blocks: list[int] = attrs.field(factory=list, repr=False)
    done: int = 0
    failed: int = 0
    changed: int = 0
    kept: Counter[str] = attrs.field(factory=Counter)

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


def check_input(
    path: str | os.PathLike[str],
    reader: RowReader,
    index: ResumeIndex,
    output: str | os.PathLike[str],
    *,
    retry_failed: RetryFailed = "temporary",
    changed: Changed = "refuse",
    limit: int | None = None,
    check_request: CheckRequest | None = None,
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
        check_request: Checks the requests of the rows to send.

    Raises:
        BatchInputError: If lines are not rows, rows can never be answered or have one custom_id, or rows have changed
            and `changed` is "refuse". The message has the first of them, and their number.
    """
    check = _Check(reader, index, retry_failed, check_request)
    line = 1
    for block in read_input(path):
        check.block(block, line)
        line += block.count(b"\n")
    checked = check.checked
    checked.rows = len(checked.pending)
    _find_duplicates(path, reader, check.ids, check.problems)
    check.problems.refuse()
    _settle_touched(checked, check.touched, output, retry_failed, changed)
    if limit is not None:
        _keep_first(checked.pending, limit)
    return checked


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
        problems: What is wrong with it.
        ids: A hash of the identity of each row.
        touched: Rows with other bytes than in the output: position, line, custom_id and key.
    """

    reader: RowReader
    index: ResumeIndex
    retry_failed: RetryFailed
    check_request: CheckRequest | None = None
    checked: CheckedInput = attrs.field(factory=CheckedInput)
    problems: InputProblems = attrs.field(factory=InputProblems)
    ids: array[int] = attrs.field(factory=lambda: array("q"))
    touched: list[tuple[int, int, str, str]] = attrs.field(factory=list)

    def block(self, block: bytes, first_line: int) -> None:
        """Check the rows of a block of whole lines. One whose rows are all answered is done at once."""
        try:
            heads = self.reader.heads(block, first_line)
        except BatchInputError:
            for number, text in numbered(block, first_line):
                self._line_of_wrong_block(number, text)
            return
        checked, custom_ids = self.checked, list(map(_custom_id, heads))
        is_mixed = None in custom_ids
        if is_mixed:
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
                continue
            try:
                if is_mixed:
                    self._row_of_mixed_block(*lines[offset])
                else:
                    self._row(head, lines, offset)
            except BatchInputError as error:
                self.problems.note(error.message)

    def _line_of_wrong_block(self, number: int, text: bytes) -> None:
        """Note what is wrong with a line. Nothing will be sent, so the state of its row does not matter."""
        try:
            head = self.reader.head(text, number)
            if head.custom_id is not None:
                self.ids.append(hash(head.custom_id))
            self._check(head, self.reader.fields(head, text, number), number)
        except BatchInputError as error:
            self.problems.note(error.message)

    def _row_of_mixed_block(self, number: int, text: bytes) -> None:
        """Check a row of a block in which a row has no id, so that all must be read to know their identities."""
        row = self.reader.row(text, number)
        self.ids.append(hash(row.custom_id))
        state = self.index.state(row.custom_id, row.print)
        if _is_pending(state, self.retry_failed):
            self._check_row(row)
        self._note(state, row)

    def _row(self, head: InputLine, lines: _Lines, offset: int) -> None:
        """Check a row that is not answered, and read no more of it than its state needs."""
        state = self.index.state(head.custom_id or "", head.print(self.reader.salt))
        row = None
        if state is RowState.CHANGED:
            number, text = lines[offset]
            row = self.reader.row(text, number)
            self._check_row(row)
        elif _is_pending(state, self.retry_failed):
            number, text = lines[offset]
            self._check(head, self.reader.fields(head, text, number), number)
        self._note(state, row)

    def _check(self, head: InputLine, fields: dict[str, Any], number: int) -> None:
        self._check_parts(*request_of(head, fields), number)

    def _check_row(self, row: BatchRow) -> None:
        self._check_parts(row.endpoint, row.body, row.kept, row.line)

    def _check_parts(self, endpoint: Endpoint, body: dict[str, Any], kept: dict[str, Any], number: int) -> None:
        """Note what is wrong with a row that is to be sent, and its fields that are not for the model."""
        if kept:
            self.checked.kept.update(kept.keys())
        problem = self.check_request(endpoint, body) if self.check_request is not None else ""
        if problem:
            self.problems.note(problem, number)

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


def _find_duplicates(path: str | os.PathLike[str], reader: RowReader, ids: array[int], problems: InputProblems) -> None:
    if all_differ(ids):
        return
    ordered = sort_hashes(ids)
    repeated = {one for one, other in itertools.pairwise(ordered) if one == other}
    first: dict[str, int] = {}
    line = 1
    for block in read_input(path):
        for number, text in numbered(block, line):
            try:
                custom_id = reader.head(text, number).custom_id
            except BatchInputError:
                continue  # it is noted already
            if custom_id is not None and hash(custom_id) in repeated:
                if custom_id in first:
                    problems.note(f"lines {first[custom_id]} and {number} have the same custom_id {custom_id!r}")
                first.setdefault(custom_id, number)
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
