"""One reader of bytes that others wrote, as a function that accepts any bytes.

A target fails if it raises an error without a type of Turnout's, or if the same bytes in other pieces give another
result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs

__all__ = ["Finding", "Run", "Target", "in_file"]

Run = Callable[[list[bytes]], object]


class Finding(AssertionError):
    """A target returned another result for other pieces of the same bytes."""


@attrs.frozen
class Target:
    """One reader.

    Attributes:
        name: Its name on the command line.
        run: Reads pieces of bytes and returns what must not depend on where the pieces are cut.
        seeds: Valid inputs, which the search changes.
    """

    name: str
    run: Run
    seeds: tuple[bytes, ...]

    def check(self, data: bytes, pieces: list[bytes]) -> None:
        """Read the bytes as a whole and in pieces.

        Raises:
            Finding: If the results differ.
            Exception: If the reader raises an error that it must not raise.
        """
        whole, cut = self.run([data] if data else []), self.run([piece for piece in pieces if piece])
        if whole != cut:
            raise Finding(f"{self.name}: {whole!r:.500} as a whole, {cut!r:.500} in pieces")


def in_file(read: Callable[[Path], object], *errors: type[Exception], suffix: str = "") -> Run:
    """Return the target of a reader of files, which may raise these errors."""
    folder = tempfile.TemporaryDirectory(prefix="turnout-fuzz-")
    path = Path(folder.name) / f"input{suffix}"

    def run(pieces: list[bytes]) -> object:
        assert folder.name  # it is removed with this function
        path.write_bytes(b"".join(pieces))
        try:
            read(path)
        except errors as error:
            return type(error)
        return None

    return run
