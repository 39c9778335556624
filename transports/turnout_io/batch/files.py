"""A batch from a file to a file: the same call again resumes the run.

with BatchFiles("in.jsonl", "out.jsonl", settings=describe_models(router, models)) as files:
    summary = run(router, files.rows(), files.write, models=models)
    files.finish(ordered=True)
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from turnout.batch.index import ResumeIndex
from turnout.batch.output import Answered, RowFailure, encode_output
from turnout.batch.rows import BatchInputError, BatchRow, RowReader, numbered, split_lines
from turnout.chat import ModelConfig
from turnout_io.batch.input_check import Changed, CheckedInput, CheckRequest, RetryFailed, check_input
from turnout_io.batch.job import pending_rows, put_in_order, read_index
from turnout_io.batch.output_file import BLOCK, BatchOutputError, OutputFile, OutputRefused, is_same_file
from turnout_io.batch.piped_rows import PipedRows
from turnout_io.drivers.router_base import RouterBase

__all__ = ["BatchFiles", "describe_models", "is_pipe"]


class BatchFiles:
    """The input and the output of one run.

    Attributes:
        checked: The result of the first pass; None if the input is a pipe.
        index: The rows in the output before the run.
        torn: Bytes of an unfinished line that a killed run left, and that were cut off.
        cost: The cost of all answers in the output, with those of this run.
        priced: True if the cost of any of them is known.
        changed: What becomes of rows that are another request than before.
    """

    def __init__(
        self,
        source: str | Path,
        target: str | Path,
        *,
        settings: str = "",
        retry_failed: RetryFailed = "temporary",
        changed: Changed = "refuse",
        limit: int | None = None,
        check_request: CheckRequest | None = None,
    ) -> None:
        """Lock the output, read it, and check the whole input. Nothing is sent.

        Args:
            source: The input; "-" for standard input. A pipe is read once, so its lines are checked as they come.
            target: The output; "-" for standard output, which cannot be resumed.
            settings: What decides an answer besides its row; see `describe_models`.
            retry_failed: Which rows that failed before are sent again.
            changed: What becomes of rows that are another request than the one that the output answers.
            limit: Send at most so many rows.
            check_request: Checks the requests of the rows to send; see `request_check`.

        Raises:
            BatchInputError: If the input is wrong. The message has the first problems with their lines.
            OutputLocked: If another run writes the output.
            OutputRefused: If the output is the input, or holds something else than results of a batch.
            BatchOutputError: If the output cannot be opened.
        """
        self._source, self._settings, self._limit = source, settings, limit
        self._check_request = check_request
        self.changed: Changed = changed
        self._ids = random.Random()
        self.index = ResumeIndex()
        self.checked: CheckedInput | None = None
        self.cost, self.priced = 0.0, False
        self.torn = 0
        self._is_pipe = is_pipe(source)
        self._piped_rows: PipedRows | None = None
        self._output: OutputFile | None = None
        if str(target) == "-":
            self._refuse_same_file(None)
            self.index = _empty_index()
        else:
            self._output = OutputFile(target)
        try:
            if self._output is not None:
                self._refuse_same_file(self._output)
                self.index = read_index(self._output.path) if self._output.is_file else _empty_index()
                self.cost, self.priced = self.index.cost, self.index.priced > 0
            if not self._is_pipe:
                self.checked = self._check(retry_failed, changed)
            if self._output is not None:
                if self._output.is_file:
                    self._output.mend()
                self.torn = self._output.torn
        except BaseException as error:
            self.__exit__(type(error))
            raise

    def rows(self) -> Iterator[BatchRow]:
        """Return the rows to send, in order. They are read as they are drawn."""
        reader = RowReader(self._settings)
        if self.checked is not None:
            return pending_rows(self._source, reader, self.checked.pending, self.checked.answered_blocks)
        if self._piped_rows is None:
            self._piped_rows = PipedRows(self._piped(reader))
        return self._piped_rows

    def write(self, row: BatchRow, outcome: Answered | RowFailure) -> None:
        """Append the outcome of a row.

        Raises:
            BatchOutputError: If the disk is full, or fails.
        """
        self.cost += outcome.cost or 0.0
        self.priced = self.priced or outcome.cost is not None
        line = encode_output(row, outcome, f"{self._ids.getrandbits(96):024x}")
        if self._output is None:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        else:
            self._output.write(line)

    def finish(self, *, ordered: bool = False) -> None:
        """Put the output in order: the last line of each row, by completion or as in the input.

        Raises:
            BatchOutputError: If it cannot be rewritten; the lines are all there then, in the order of completion.
        """
        output = self._output
        if output is None or not output.is_file:
            return
        asked_again = self.index.superseded or self.index.rows
        if ordered and self.checked is not None:
            put_in_order(output, self._source, RowReader(self._settings))
        elif asked_again and self._repeats():
            put_in_order(output, None, RowReader(self._settings))

    def discard_if_new(self) -> None:
        """Remove an output that this run made and wrote nothing to."""
        if self._output is not None:
            self._output.discard_if_new()

    def close(self) -> None:
        """Put everything on the disk, and unlock the output.

        Raises:
            BatchOutputError: If the disk failed. The output is unlocked all the same.
        """
        if self._piped_rows is not None:
            self._piped_rows.close()
        if self._output is not None:
            self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if kind is None:
            self.close()
            return
        self.discard_if_new()
        with contextlib.suppress(BatchOutputError):  # the first failure says more
            self.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _refuse_same_file(self, output: OutputFile | None) -> None:
        source: str | Path | int = 0 if str(self._source) == "-" else self._source
        if is_same_file(source, 1) if output is None else output.is_same_file(source):
            target = "-" if output is None else output.path
            raise OutputRefused(
                f"INPUT {self._source} and OUTPUT {target} are the same file, where answers would mix with rows; "
                "name another OUTPUT"
            )

    def _check(self, retry_failed: RetryFailed, changed: Changed) -> CheckedInput:
        output = self._output.path if self._output is not None else os.devnull
        try:
            return check_input(
                self._source,
                RowReader(self._settings),
                self.index,
                output,
                retry_failed=retry_failed,
                changed=changed,
                limit=self._limit,
                check_request=self._check_request,
            )
        except OSError as error:
            raise BatchInputError(f"{self._source} cannot be read: {error.strerror}") from error

    def _piped(self, reader: RowReader) -> Iterator[BatchRow]:
        def blocks() -> Iterator[bytes]:
            with contextlib.ExitStack() as stack:
                if str(self._source) == "-":
                    descriptor = sys.stdin.fileno()
                else:
                    descriptor = stack.enter_context(open(self._source, "rb", buffering=0)).fileno()
                while block := os.read(descriptor, BLOCK):
                    yield block

        seen: set[int] = set()
        line, sent = 1, 0
        for block in split_lines(blocks()):
            for number, text in numbered(block, line):
                row = reader.row(text, number)
                if hash(row.custom_id) in seen:
                    raise BatchInputError(f"line {number}: the custom_id {row.custom_id!r} came before")
                seen.add(hash(row.custom_id))
                if self.index.is_done(row.custom_id, row.print):
                    continue
                if self._limit is not None and sent >= self._limit:
                    return
                problem = self._check_request(row.endpoint, row.body) if self._check_request is not None else ""
                if problem:
                    raise BatchInputError(f"line {number}: {problem}")
                sent += 1
                yield row
            line += block.count(b"\n")

    def _repeats(self) -> bool:
        """True if a row has several lines now."""
        if self.index.superseded:
            return True
        assert self._output is not None
        return read_index(self._output.path).superseded > 0


def is_pipe(path: str | Path) -> bool:
    """True if an input can be read once only, as standard input and pipes with a name."""
    if str(path) == "-":
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False  # the check of the input reports it


def _empty_index() -> ResumeIndex:
    index = ResumeIndex()
    index.finish(lambda note: None)
    return index


def describe_models(router: RouterBase[Any, Any], models: Iterable[ModelConfig]) -> str:
    """Return what decides an answer besides its row, as text: if it changes, rows are other requests.

    Args:
        router: The router, for the models of routes and aliases.
        models: What answers every row.
    """
    parts = []
    for model in models:
        named = router._core.models_named(model)
        choices = [repr(choice) for choice in named if choice != model]
        parts.append(" ".join((repr(model), *choices)))
    return "\n".join(parts)
