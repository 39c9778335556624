"""Rows of a pipe. A thread waits for them, so a run can serve the rows in flight meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from turnout.batch.rows import BatchRow

__all__ = ["PipedRows"]

READ_AHEAD = 256  # rows
LOOK_EVERY = 0.5  # seconds between two looks of the thread at whether the rows are still wanted


class PipedRows:
    """An iterator of rows that also tells if the next one is there."""

    def __init__(self, rows: Iterator[BatchRow]) -> None:
        """Draw the rows in a thread, which begins with the first use.

        Args:
            rows: It may block.
        """
        self._rows = rows
        self._drawn: queue.Queue[BatchRow | Exception | None] = queue.Queue(READ_AHEAD)
        self._thread: threading.Thread | None = None
        self._ended = False
        self._closed = False

    def ready(self) -> bool:
        """True if the next row can be drawn, or the end be found, without a wait."""
        self._start()
        return self._ended or not self._drawn.empty()

    def close(self) -> None:
        """Draw no further row. A thread that waits for the pipe ends with the process."""
        self._closed = True

    def __iter__(self) -> PipedRows:
        return self

    def __next__(self) -> BatchRow:
        self._start()
        drawn = self._drawn.get() if not self._ended else None
        if isinstance(drawn, BatchRow):
            return drawn
        self._ended = True
        if drawn is not None:
            raise drawn
        raise StopIteration

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._draw, name="turnout-batch-input", daemon=True)
            self._thread.start()

    def _draw(self) -> None:
        try:
            for row in self._rows:
                if not self._put(row):
                    return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, drawn: BatchRow | Exception | None) -> bool:
        """Hand one over. Returns False if nobody wants it any more."""
        while not self._closed:
            try:
                self._drawn.put(drawn, timeout=LOOK_EVERY)
            except queue.Full:
                continue
            return True
        return False
