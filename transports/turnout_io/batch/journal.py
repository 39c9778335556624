"""Answers of rows that several processes of one job write down, so that a repeated row is not paid twice.

A journal is a folder. Each process appends to a file with a random name and reads the files of the others. Nobody locks
anything, so the folder can be on a network file system. Lines have the form of a batch's output.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final, Self

import attrs
import msgspec

from turnout.batch.output import Answered, RowFailure, encode_output
from turnout.batch.rows import BatchRow

__all__ = ["Journal", "JournalEntry"]

_BLOCK: Final = 1 << 20


class _Response(msgspec.Struct):
    body: msgspec.Raw


class _Error(msgspec.Struct):
    code: str
    message: str
    temporary: bool = False


class _Own(msgspec.Struct):
    key: str
    model: str | None = None
    cost: float | None = None
    attempts: int = 1


class JournalEntry(msgspec.Struct):
    """One line: the outcome of a row."""

    custom_id: str
    turnout: _Own
    response: _Response | None = None
    error: _Error | None = None

    @property
    def is_final(self) -> bool:
        """True if the row need not be sent again."""
        return self.error is None or not self.error.temporary


@attrs.define(eq=False)
class Journal:
    """The journal of a job, as one process uses it.

    Args:
        folder: All processes of the job use the same one.
    """

    folder: Path
    _descriptor: int = attrs.field(default=-1, init=False)
    _offsets: dict[str, int] = attrs.field(factory=dict, init=False)
    _places: dict[tuple[str, str], tuple[str, int, int]] = attrs.field(factory=dict, init=False)
    _lines: msgspec.json.Decoder[JournalEntry] = attrs.field(
        factory=lambda: msgspec.json.Decoder(JournalEntry), init=False
    )

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Make the folder if it does not exist, and a file of this process in it.

        Raises:
            OSError: If the folder cannot be written.
        """
        journal = cls(Path(folder))
        journal.folder.mkdir(parents=True, exist_ok=True)
        name = journal.folder / f"{secrets.token_hex(8)}.jsonl"
        journal._descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        return journal

    def write(self, row: BatchRow, outcome: Answered | RowFailure) -> None:
        """Append the outcome of a row. A line is one write, so a killed process leaves at most one torn line.

        Raises:
            OSError: If the disk is full, or fails.
        """
        line = encode_output(row, outcome, secrets.token_hex(12))
        while line:
            line = line[os.write(self._descriptor, line) :]

    def refresh(self) -> None:
        """Read what all processes have written since the last time."""
        for path in sorted(self.folder.glob("*.jsonl")):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                self._read(path.name, file.fileno())

    def find(self, row: BatchRow) -> JournalEntry | None:
        """Return the outcome of this very row; None if it must be sent."""
        place = self._places.get((row.custom_id, row.key))
        if place is None:
            return None
        name, offset, size = place
        with (self.folder / name).open("rb") as file:
            return self._lines.decode(os.pread(file.fileno(), size, offset))

    def close(self) -> None:
        """Close the file of this process. It can be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, name: str, descriptor: int) -> None:
        while True:
            offset = self._offsets.get(name, 0)
            size = _BLOCK
            while True:
                data = os.pread(descriptor, size, offset)
                end = data.rfind(b"\n") + 1
                if end or len(data) < size:
                    break
                size *= 2  # one line is longer than the block
            if not end:
                return  # a line that is still being written, or that a killed process left
            for line in data[:end].splitlines(keepends=True):
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    entry = self._lines.decode(line)
                    if entry.is_final:
                        self._places[entry.custom_id, entry.turnout.key] = (name, offset, len(line))
                offset += len(line)
            self._offsets[name] = offset
