"""The traces of calls in a file, one line of JSON each, for `turnout explain` and `turnout replay`."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from turnout._utils.documents import parse_json_line
from turnout.trace import Trace, TraceError
from turnout_io.process_lock import process_lock

__all__ = ["TraceRecorder", "read_traces"]


class TraceRecorder:
    """Appends each trace to the file at `path`.

        with TraceRecorder("calls.jsonl") as recorder, Router.from_env(on_trace=recorder) as router: ...

    Each line is one write to a file that is open for appending, so several threads and processes may share it. The
    operating system has received a line when the call returns. Metadata that JSON cannot represent is stored as its
    `repr`.

    Raises:
        OSError: If the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # closed by `close`
        self._lock = process_lock()
        self._writers: set[int] = set()  # the threads that are in `__call__`
        self._lines: deque[bytes] = deque()
        self._is_torn = False  # the last line may have no end

    def __call__(self, trace: Trace) -> None:
        """Write one line. Raises OSError, and ValueError after `close`."""
        self._lines.append(
            json.dumps(trace.to_dict(), ensure_ascii=True, separators=(",", ":"), default=repr).encode() + b"\n"
        )
        thread = threading.get_ident()
        if thread in self._writers:
            return  # a finaliser or a signal handler interrupted this thread below, which writes this line too
        try:
            self._writers.add(thread)
            with self._lock:
                while self._lines:
                    self._write(self._lines.popleft())
        finally:
            self._writers.discard(thread)

    def _write(self, line: bytes) -> None:
        if self._is_torn:
            line = b"\n" + line  # otherwise two calls would be lost, and not one
        self._is_torn = True
        written = self._file.write(line)
        while written < len(line):  # the disk is nearly full, or a signal arrived
            written += self._file.write(line[written:])
        self._is_torn = False

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_traces(path: str | Path) -> Iterator[tuple[int, Trace]]:
    """Yield each trace of a file with the number of its line, from 1. Skips empty lines.

    Raises:
        TraceError: If a line is not a trace. The message names the file and the line.
        OSError: If the file cannot be read.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                recorded = parse_json_line(line)
                yield number, Trace.from_dict(recorded)
            except ValueError as error:  # also of JSON and its encoding
                raise TraceError(f"{path}, line {number}: {error}") from error
