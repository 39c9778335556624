"""Standard input and output that are closed, cannot be written, or have another encoding than UTF-8."""

from __future__ import annotations

import contextlib
import io
import os
import sys

__all__ = ["discard_output", "is_text", "prepare_standard_files", "reason_of"]


def prepare_standard_files() -> None:
    """Open a closed stdin, stdout or stderr as the null device, and let stdout write every character.

    The system would give the number of a closed one to the next file, such as the file of conversations.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # the lowest free number is used first
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the encoding lacks, and halves of surrogate pairs, are written as \\uXXXX, as JSON has them.
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Let the interpreter flush stdout and stderr at its exit into the null device, because that must not fail."""
    for file in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            file.flush()
            continue
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def reason_of(error: OSError) -> str:
    """Return what failed and why, without Python's form of it.

    A write to an open file, such as stdout on a full disk, fails without a name.
    """
    if error.strerror is None:
        return str(error)
    if error.filename is None:
        return f"the output cannot be written: {error.strerror}" if _is_write(error) else error.strerror
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _is_write(error: OSError) -> bool:
    import errno

    return error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT)


def is_text(argument: str) -> bool:
    """True if the bytes of an argument were text in the encoding of the terminal."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
