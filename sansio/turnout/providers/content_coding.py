"""Content-Encoding gzip and deflate, undone piece by piece, with bounds on the size of the result.

A kilobyte of deflate can hold a megabyte, so a small answer could fill the memory. Two bounds stop that, both at
the same place however the body was cut into reads:

* never more than `Expansion.limit` bytes for one answer;
* after the first `free` bytes, never more than `ratio` times what came in. This is looked at whenever another `BLOCK`
  of input is through, counted from the beginning of the body: what zlib has given after so many bytes does not depend
  on how they came, while what it has given at the end of a read would.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import attrs

from turnout.errors import RemoteProtocolError

__all__ = ["BLOCK", "ENCODINGS", "ContentDecoder", "Expansion"]

ENCODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
# Bytes of input between two looks at the ratio. Deflate's own limit is 1,032 to 1, so one block gives at most 4 MB.
BLOCK: Final = 4096
# Bytes that are decoded at a time: the most that is held beside the bytes that the reader keeps.
_PIECE: Final = 65536
# With it another member of a gzip body begins (RFC 1952, section 2.2); what begins otherwise is padding.
_MAGIC: Final = b"\x1f\x8b"


@attrs.frozen(kw_only=True)
class Expansion:
    """What decompression may make of one body.

    limit  bytes, for input of any size: the size of the largest document that is read (see `exchange.DOCUMENT_LIMIT`)
    free   bytes up to which the ratio does not matter
    ratio  bytes for each byte of input. Recorded streams reach 44 to 1, and so do vectors that are zero but for one
           number in fifty; hostile input reaches nearly 1,000 to 1.
    """

    limit: int = 256 * 1024 * 1024
    free: int = 4 * 1024 * 1024
    ratio: int = 200


_USUAL = Expansion()


class ContentDecoder:
    """One compressed body. `encoding` is one of `ENCODINGS`; deflate may have the zlib head or lack it.

    `failure` stands once the body is broken or has grown out of bounds; `finished` once its compressed end has come,
    and no further member of a gzip body has begun.
    """

    def __init__(self, encoding: str, bounds: Expansion = _USUAL) -> None:
        self.failure: RemoteProtocolError | None = None
        self._name = encoding
        self._bounds = bounds
        # 47 takes a gzip or a zlib head; a raw deflate stream has none and is tried once the head has failed.
        self._zlib = zlib.decompressobj(47)
        self._begun = b"" if encoding == "deflate" else None
        self._behind: bytes | None = None  # after the end of a member, the bytes so far; None within one
        self._padding = False
        self._taken = 0
        self._given = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes, in pieces that are to be taken one after the other. After them `failure` may be set."""
        if self._begun is not None:
            data, self._begun = self._begun + data, None
            if len(data) < 2:
                self._begun = data
                return
            # RFC 1950: the two head bytes are a multiple of 31 and name method 8; raw deflate has neither.
            if data[0] & 15 != 8 or int.from_bytes(data[:2]) % 31:
                self._zlib = zlib.decompressobj(-15)
        start = 0
        while start < len(data) and self.failure is None and not self._padding:
            block = data[start : start + BLOCK - self._taken % BLOCK]
            start += len(block)
            self._taken += len(block)
            for piece in self._inflate(self._member(block)):
                room = self._bounds.limit - self._given
                self._given += len(piece)
                if len(piece) > room:
                    self._fail(f"is larger than {self._bounds.limit >> 20} MiB once it is decoded")
                    piece = piece[:room]
                if piece:
                    yield piece
                if self._given > self._bounds.limit:
                    return
            if self._taken % BLOCK == 0 and self._given > self._bounds.free + self._bounds.ratio * self._taken:
                self._fail(f"grows to more than {self._bounds.ratio} times its size when it is decoded")

    @property
    def finished(self) -> bool:
        return self._behind is not None

    def _member(self, data: bytes) -> bytes:
        """Return the bytes of `data` to inflate; none if it is padding, or may still be."""
        if self._behind is None:
            return data
        behind = self._behind = self._behind + data
        if self._name == "deflate" or not _MAGIC.startswith(behind[:2]):
            self._padding = True
        elif len(behind) >= 2:
            self._behind = None
            self._zlib = zlib.decompressobj(31)
            return behind
        return b""

    def _inflate(self, block: bytes) -> Iterator[bytes]:
        """Inflate member by member: the rest of a block behind the end of one begins the next."""
        while block and self.failure is None:
            yield from self._inflate_member(block)
            if not self._zlib.eof:
                return
            self._behind = b""
            block = self._member(self._zlib.unused_data)

    def _inflate_member(self, block: bytes) -> Iterator[bytes]:
        while True:
            before = self._zlib.copy()
            try:
                piece = self._zlib.decompress(block, _PIECE)
            except zlib.error:
                yield from self._inflate_slowly(before, block)
                return
            yield piece
            # If it returns less than the limit, zlib holds nothing back; else it may, though it took the whole block.
            if self._zlib.eof or len(piece) < _PIECE:
                return
            block = self._zlib.unconsumed_tail

    def _inflate_slowly(self, machine: zlib._Decompress, block: bytes) -> Iterator[bytes]:
        """Byte by byte up to the broken place: zlib gives nothing of a call in which it fails."""
        for place in range(len(block)):
            try:
                yield machine.decompress(block[place : place + 1])
            except zlib.error as error:
                self._fail(f"is broken: {error}")
                return

    def _fail(self, told: str) -> None:
        if self.failure is None:
            self.failure = RemoteProtocolError(f"the {self._name} body {told}")
