"""The output of a batch: a file that only grows while a run writes it, and that one run at a time may write.

A line is one `write` on a descriptor in append mode, so a killed process leaves whole lines and at most one torn one at
the end. The kernel keeps every line; a thread writes them to the disk once a second.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from turnout.batch.output import is_own, read_heads
from turnout.batch.rows import split_lines
from turnout.errors import TurnoutError
from turnout_io.file_lock import FileLocked, lock_file

__all__ = ["BatchOutputError", "OutputFile", "OutputLocked", "OutputRefused", "is_same_file", "read_blocks", "refuse"]

BLOCK: Final = 1 << 20
SYNC_EVERY: Final = 1.0  # seconds


class BatchOutputError(TurnoutError):
    """The output cannot be written. All earlier lines are valid, and the same command resumes."""


class OutputLocked(BatchOutputError):
    """Another run writes the output."""


class OutputRefused(BatchOutputError):
    """The output is a file that is not the run's to write: it holds something else. It is as it was."""


def read_blocks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Return the whole lines of a file, in blocks of about a megabyte."""

    def blocks() -> Iterator[bytes]:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                yield block

    return split_lines(blocks())


def is_same_file(one: str | os.PathLike[str] | int, other: str | os.PathLike[str] | int) -> bool:
    """Return whether two paths or descriptors are one file, also through links.

    Devices and pipes are not compared: nothing is lost if one is both read and written.
    """
    try:
        status = os.stat(one)
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(other))
    except OSError:
        return False


def refuse(path: str | os.PathLike[str], where: str) -> OutputRefused:
    """Return the error for an output that holds something else than results.

    Args:
        path: The output.
        where: The first line that is none.
    """
    return OutputRefused(
        f"{path} holds something else than results of `turnout batch`: {where} is none. Nothing was changed; name "
        "another OUTPUT, or move the file away"
    )


class OutputFile:
    """The output, locked for this run.

    Attributes:
        path: The file.
        is_file: False for a device, which is only written.
        torn: Bytes of an unfinished last line that `mend` cut off.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, make it if it does not exist, and lock it. What it holds is left as it is.

        Raises:
            OutputLocked: If another run writes it.
            OutputRefused: If it is a pipe.
            BatchOutputError: If it cannot be opened.
        """
        self.path = Path(path)
        self.is_file = _is_file(self.path)
        self._is_new = not self.path.exists()
        try:
            self._descriptor = _open_locked(self.path)
        except OSError as error:
            raise BatchOutputError(f"{self.path} cannot be written: {error.strerror}") from error
        self.torn = 0
        self._failure: OSError | None = None
        self._dirty = False
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None

    def write(self, line: bytes) -> None:
        """Append one line.

        Raises:
            BatchOutputError: If the disk is full, or fails.
        """
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync, name="turnout-batch-sync", daemon=True)
            self._syncer.start()
        try:
            if self._failure is not None:
                raise self._failure
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            raise BatchOutputError(
                f"{self.path} cannot be written: {error.strerror}; the same command resumes"
            ) from error
        self._dirty = True

    def discard_if_new(self) -> None:
        """Remove the file if this run made it and wrote nothing. It is still locked, so no other run writes it."""
        if self._is_new and self._descriptor >= 0 and not os.fstat(self._descriptor).st_size:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def close(self) -> None:
        """Put everything on the disk, and let others write the file.

        Raises:
            BatchOutputError: If the disk failed. The file is closed all the same.
        """
        self._stop.set()
        if self._syncer is not None:
            self._syncer.join()
        if self._descriptor < 0:
            return
        try:
            if self._failure is not None:
                raise self._failure
            _sync_all(os.fsync, self._descriptor)
        except OSError as error:
            raise BatchOutputError(
                f"{self.path}: the last lines may not be on the disk: {error.strerror}; the same command resumes"
            ) from error
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        # The first failure says more than a second one of the same disk.
        with contextlib.suppress(BatchOutputError) if kind is not None else contextlib.nullcontext():
            self.close()

    def replace(self, lines: Iterator[bytes]) -> None:
        """Replace the content by these lines, at once or not at all. The file is still locked after it.

        Raises:
            BatchOutputError: If the new content cannot be written. The old one is untouched.
        """
        place = Path(os.path.realpath(self.path))  # a link stays one
        beside = place.with_name(f"{place.name}.{secrets.token_hex(4)}.new")
        try:
            with open(beside, "xb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            fresh = os.open(beside, os.O_RDWR | os.O_APPEND)
            try:
                _lock(fresh, self.path)
                os.replace(beside, place)
            except BaseException:
                os.close(fresh)
                raise
        except BaseException as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            if isinstance(error, OSError):
                raise BatchOutputError(f"{self.path} cannot be rewritten: {error.strerror}") from error
            raise
        replaced, self._descriptor = self._descriptor, fresh  # in this order, because a thread syncs what is there
        os.close(replaced)
        _sync_folder(place.parent)

    def is_same_file(self, other: str | os.PathLike[str] | int) -> bool:
        """Return whether a path, also one through links, or a descriptor is this very file."""
        return is_same_file(self._descriptor, other)

    def mend(self) -> None:
        """End the file with the end of a line. A last line that is whole is kept, another is cut off.

        Raises:
            OutputRefused: If no run has written that line. It is as it was.
        """
        size = os.fstat(self._descriptor).st_size
        tail = b""
        at = size
        while at > 0 and b"\n" not in tail:
            start = max(0, at - BLOCK)
            tail = os.pread(self._descriptor, at - start, start) + tail
            at = start
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn:
            return
        if not is_own(torn, whole=False):
            raise refuse(self.path, "its last line")
        if read_heads(torn)[0]:
            os.write(self._descriptor, b"\n")
            return
        os.ftruncate(self._descriptor, size - len(torn))
        self.torn = len(torn)

    # -- inside -------------------------------------------------------------------------------------------------

    def _sync(self) -> None:
        while not self._stop.wait(SYNC_EVERY):
            if self._dirty:
                self._dirty = False
                try:
                    _sync_all(getattr(os, "fdatasync", os.fsync), self._descriptor)
                except OSError as error:
                    self._failure = error
                    return


def _is_file(path: Path) -> bool:
    """Return whether a path is that of a file, which may not exist yet, and not that of a device.

    Raises:
        OutputRefused: If it is a pipe. To open it could block, and nobody could read it again.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return True
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        raise OutputRefused(f"{path} is no file that a run can resume; - is standard output")
    return stat.S_ISREG(mode)


def _open_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _lock(descriptor, path)
            # A run that ended a moment ago may have put another file in its place.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        lock_file(descriptor)
    except FileLocked as locked:
        owner = f" (process {locked.owner})" if locked.owner else ""
        raise OutputLocked(f"another run writes {path}{owner}") from None


def _sync_all(sync: Callable[[int], None], descriptor: int) -> None:
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe or a device, such as /dev/null, has no disk
            raise


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not possible on every system
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
