"""One run over files: reads the output, the rows to send, and puts the output in order at the end."""

from __future__ import annotations

import itertools
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from turnout.batch.index import ResumeIndex
from turnout.batch.output import OutputHead, find_foreign, read_heads
from turnout.batch.rows import BYTE_ORDER_MARK, BatchRow, RowReader, numbered
from turnout_io.batch.input_file import read_input
from turnout_io.batch.output_file import OutputFile, read_blocks, refuse

__all__ = ["pending_rows", "put_in_order", "read_index"]

READ_AHEAD = 64  # rows


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


def pending_rows(
    path: str | os.PathLike[str], reader: RowReader, pending: bytearray, answered_blocks: Sequence[int] = ()
) -> Iterator[BatchRow]:
    """Return the rows that are to be sent, in order; the file is read as they are drawn, some rows ahead.

    Args:
        path: The input.
        reader: A fresh reader, because it counts the rows without an id.
        pending: One byte for each row.
        answered_blocks: As in `CheckedInput`.
    """
    rows = _pending_rows(path, reader, pending, answered_blocks)
    # Many at once: a row that is read alone, between two responses, costs twice as much.
    while ahead := list(itertools.islice(rows, READ_AHEAD)):
        yield from ahead


def _pending_rows(
    path: str | os.PathLike[str], reader: RowReader, pending: bytearray, answered_blocks: Sequence[int]
) -> Iterator[BatchRow]:
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
