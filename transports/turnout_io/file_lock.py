"""A lock on an open file, which another process cannot have too. It ends with the process, however that ends."""

from __future__ import annotations

import contextlib
import os

__all__ = ["FileLocked", "lock_file"]


class FileLocked(Exception):
    """Another descriptor holds the lock.

    Args:
        owner: The process that holds it; None if the system does not report it.
    """

    def __init__(self, owner: int | None) -> None:
        super().__init__(f"process {owner}" if owner is not None else "another process")
        self.owner = owner


def lock_file(descriptor: int) -> None:
    """Lock an open file until the descriptor is closed.

    Raises:
        FileLocked: The file is locked already.
        OSError: The file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # on Windows, a byte far behind the end represents the file
        import msvcrt

        try:
            os.lseek(descriptor, 1 << 40, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            raise FileLocked(None) from None
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileLocked(_owner(descriptor)) from None


def _owner(descriptor: int) -> int | None:
    status = os.fstat(descriptor)
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError, ValueError), open("/proc/locks", encoding="ascii") as locks:
        for lock in locks:
            fields = lock.split()
            if "FLOCK" in fields and wanted in fields:
                return int(fields[fields.index(wanted) - 1])
    return None
