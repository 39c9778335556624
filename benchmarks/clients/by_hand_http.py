"""HTTP/1.1 and the decoding of replies, by hand: without I/O, so that every session can use them.

The HTTP is either a few lines that know this server's replies, or h11. JSON is decoded by msgspec into just the fields
that are used.
"""

from __future__ import annotations

import time
from typing import Protocol

import h11
import msgspec

from benchmarks.clients.interface import KEY, Streamed

__all__ = [
    "Collected",
    "Events",
    "Exchange",
    "H11Exchange",
    "OwnExchange",
    "Sink",
    "decode",
    "decode_embeddings",
    "decode_text_embeddings",
]


class _Text(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Text | None = None
    message: _Text | None = None


class _Reply(msgspec.Struct, gc=False):
    choices: list[_Choice] = []


class _Embedding(msgspec.Struct, gc=False):
    embedding: bytes  # msgspec decodes base64 for this type


class _Embeddings(msgspec.Struct, gc=False):
    data: list[_Embedding] = []


class _TextEmbedding(msgspec.Struct, gc=False):
    embedding: list[float]


class _TextEmbeddings(msgspec.Struct, gc=False):
    data: list[_TextEmbedding] = []


decode = msgspec.json.Decoder(_Reply).decode
decode_embeddings = msgspec.json.Decoder(_Embeddings).decode
decode_text_embeddings = msgspec.json.Decoder(_TextEmbeddings).decode


class Events:
    """Splits an event stream, and adds up the text of its chunks."""

    def __init__(self) -> None:
        self.characters = 0
        self.first_at = 0.0
        self._held = b""

    def receive(self, data: bytes) -> None:
        *events, self._held = (self._held + data).split(b"\n\n")
        for event in events:
            if event == b"data: [DONE]":
                continue
            choices = decode(event[6:]).choices
            if choices and (delta := choices[0].delta) is not None and delta.content:
                if not self.characters:
                    self.first_at = time.perf_counter()
                self.characters += len(delta.content)

    def result(self) -> Streamed:
        return Streamed(self.characters, self.first_at)


class Collected:
    """Keeps the body of a reply that is one document."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def receive(self, data: bytes) -> None:
        self.pieces.append(data)


class Sink(Protocol):
    def receive(self, data: bytes) -> None: ...


class _Chunked:
    """The chunked coding, as far as this server uses it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held = b""
        self.ended = False

    def receive(self, data: bytes) -> None:
        data = self._held + data
        position, pieces = 0, []
        while True:
            line = data.find(b"\r\n", position)
            if line < 0:
                break
            size = int(data[position:line], 16)
            end = line + 2 + size
            if end + 2 > len(data):
                break
            if not size:
                self.ended = True
                break
            pieces.append(data[line + 2 : end])
            position = end + 2
        self._held = data[position:]
        if pieces:
            self._sink.receive(b"".join(pieces))


class _Whole:
    """A body of known length."""

    def __init__(self, sink: Sink, length: int) -> None:
        self._sink = sink
        self._left = length
        self.ended = False

    def receive(self, data: bytes) -> None:
        self._left -= len(data)
        self.ended = self._left <= 0
        self._sink.receive(data)


class Exchange(Protocol):
    """A request and its reply, without I/O."""

    outgoing: bytes
    ended: bool

    def receive(self, data: bytes) -> None: ...


class OwnExchange:
    """HTTP/1.1 in a few lines."""

    def __init__(self, target: bytes, content: bytes, sink: Sink) -> None:
        head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % (target, KEY.encode())
        fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
        self.outgoing = head + fields + content
        self.ended = False
        self._sink = sink
        self._held = b""
        self._body: _Chunked | _Whole | None = None

    def receive(self, data: bytes) -> None:
        if self._body is None:
            self._held += data
            head, ended, data = self._held.partition(b"\r\n\r\n")
            if not ended:
                return
            status, *lines = head.split(b"\r\n")
            if status[9:12] != b"200":
                raise RuntimeError(status.decode())
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            if b"transfer-encoding" in fields:
                self._body = _Chunked(self._sink)
            else:
                self._body = _Whole(self._sink, int(fields[b"content-length"]))
        if data:
            self._body.receive(data)
            self.ended = self._body.ended


class H11Exchange:
    """HTTP/1.1 by h11."""

    def __init__(self, target: bytes, content: bytes, sink: Sink) -> None:
        fields = [
            (b"Host", b"localhost"),
            (b"Authorization", f"Bearer {KEY}".encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(content)),
        ]
        self._connection = connection = h11.Connection(h11.CLIENT)
        pieces = (
            connection.send(h11.Request(method=b"POST", target=target, headers=fields)),
            connection.send(h11.Data(content)),
            connection.send(h11.EndOfMessage()),
        )
        self.outgoing = b"".join(piece for piece in pieces if piece)
        self.ended = False
        self._sink = sink

    def receive(self, data: bytes) -> None:
        self._connection.receive_data(data)
        while (event := self._connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                self._sink.receive(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.ended = True
                return
            elif isinstance(event, h11.Response) and event.status_code != 200:
                raise RuntimeError(str(event.status_code))
