"""The reader of a streamed answer, for every dialect whose frames hold JSON.

It knows the framing's ends and accidents: frames that cannot be read, errors told in the stream, JSON where a stream
was asked for, a body that breaks off. What a frame means is the dialect's, in its `ChunkReader`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from turnout.chat import ChatResponse, RateLimit
from turnout.errors import RemoteProtocolError, TurnoutError
from turnout.events import Event, commits
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.parser import FrameParser, JsonText
from turnout.framing.sse import SseEvent, SseParser
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.json_codec import decode_any

__all__ = ["ChunkReader", "StreamReader", "TextReader"]


class ChunkReader(Protocol):
    """What a dialect makes of the frames of one answer.

    read        puts what a frame holds into the accumulator, and the events for the caller into `events`; returns the
                error that the frame tells of, if it does; ValueError where its data cannot be read
    read_whole  the same for a JSON document that came instead of a stream, or after it
    flush       nothing more will come: what is held back goes into the accumulator now
    done        whether the protocol's own last word was read
    """

    done: bool

    def read(self, event: str, data: bytes, events: list[Event]) -> TurnoutError | None: ...

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> TurnoutError | None: ...

    def flush(self, events: list[Event]) -> None: ...


class TextReader:
    """Base of a `ChunkReader` that can read frames with nothing but text at less cost than others."""

    __slots__ = ()

    def read_texts(self, frames: Sequence[SseEvent | JsonText | bytes], events: list[Event]) -> int:
        """Read frames from the first one on, up to one that holds anything else than text.

        Returns:
            How many frames were read. The others are for `ChunkReader.read`.
        """
        raise NotImplementedError


@attrs.define(eq=False)
class StreamReader:
    """Reads one streamed answer (`turnout.providers.exchange.Reader`).

    parser  the framing; None finds out by the first byte whether it is an event stream, or the JSON array that some
            servers send where an event stream was asked for
    """

    accumulator: ResponseAccumulator
    provider: str
    chunks: ChunkReader
    _parser: FrameParser[Any] | None = None
    _blank: bytes = attrs.field(default=b"", init=False)  # what stood before the first byte that tells the framing
    failure: TurnoutError | None = attrs.field(default=None, init=False)
    complete: bool = attrs.field(default=False, init=False)
    # Events that are no content, until content follows them: a failure before it can be retried unseen.
    _held: list[Event] = attrs.field(factory=list, init=False)
    _committed: bool = attrs.field(default=False, init=False)

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        if self.complete:
            return ()
        parser = self._parser
        if parser is None:
            start = data.lstrip()
            self._blank = _shortened(self._blank + data[: len(data) - len(start)])
            if not start:
                return ()
            parser = self._parser = JsonArrayParser() if start.startswith(b"[") else SseParser()
            data = self._blank + start
        frames = parser.receive_frames(data) if type(parser) is SseParser else parser.receive_data(data)
        events: list[Event] = []
        if frames:
            self._read_frames(frames, events)
        if parser.failure is not None and self.failure is None and not self.complete:
            self.failure = parser.failure
        return tuple(events) if self._committed else self._with_content(events)

    def receive_end(self) -> tuple[Event, ...]:
        if self.complete:
            return ()
        events = self._receive_end()
        return tuple(events) if self._committed else self._with_content(events)

    def _receive_end(self) -> list[Event]:
        events: list[Event] = []
        parser = self._parser if self._parser is not None else SseParser()
        # A last frame that the framing did not end is read too: a server that dies tells the most there.
        self._read_frames(parser.receive_end(), events)
        stray = parser.stray if isinstance(parser, SseParser) else b""
        if stray and self.failure is None and not self.complete and parser.failure is None:
            self._read_stray(stray, events)
        if self.failure is not None or self.complete:
            return events
        if parser.failure is not None:
            self.failure = parser.failure
        elif self.accumulator.raw_finish_reason is not None or (
            isinstance(parser, JsonArrayParser) and parser.complete
        ):
            self._end(events)
        else:
            self.chunks.flush(events)
            self.failure = self.accumulator.truncated(self.provider)
        return events

    def _with_content(self, events: list[Event]) -> tuple[Event, ...]:
        """Return the events with those held back, if content is among them or nothing follows; else hold them back."""
        self._held += events
        if not self.complete and self.failure is None and not any(map(commits, events)):
            return ()
        self._committed = True
        held, self._held = tuple(self._held), []
        return held

    @property
    def skipped(self) -> int:
        return self.accumulator.skipped

    @property
    def rate_limit(self) -> RateLimit | None:
        return self.accumulator.rate_limit

    @property
    def result(self) -> ChatResponse:
        return self.accumulator.response()

    def _read_frames(self, frames: Sequence[SseEvent | JsonText | bytes], events: list[Event]) -> None:
        chunks = self.chunks
        if isinstance(chunks, TextReader) and self.failure is None and not chunks.done:
            frames = frames[chunks.read_texts(frames, events) :]
        for frame in frames:
            over = chunks.done  # the last word was said, be it after an error: what is behind it is not read
            if over:
                return
            data = frame if isinstance(frame, bytes) else frame.data
            if not data or data.isspace():
                continue
            # After an error told in the stream no event is given out any more, but what still comes is taken in:
            # usage follows it (seen at OpenRouter).
            told = events if self.failure is None else []
            try:
                failure = chunks.read(_name_of(frame), data, told)
            except ValueError:
                if type(frame) is SseEvent and _several(data):
                    self._read_frames([SseEvent(line, frame.event) for line in data.split(b"\n")], events)
                else:
                    self.accumulator.skipped += 1
                continue
            if failure is not None and self.failure is None:
                self._fail(failure)
            elif chunks.done:
                if self.failure is None:
                    self._end(events)
                return

    def _read_stray(self, stray: bytes, events: list[Event]) -> None:
        """Lines that are no event stream: JSON that came instead of a stream, or after it."""
        # llama.cpp and others tell an error in a field of that name.
        stray = stray.strip().removeprefix(b"error:")
        try:
            document = decode_any(stray)
        except ValueError:
            if self.accumulator.raw_finish_reason is None and not self.accumulator.has_content:
                shown = stray[:200].decode("utf-8", "replace").strip()
                self.failure = RemoteProtocolError(f"{self.provider}: a stream was asked for, and this came: {shown!r}")
            return
        failure = self.chunks.read_whole(document, stray, events)
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: TurnoutError) -> None:
        self.accumulator.failed = True
        self.failure = failure

    def _end(self, events: list[Event]) -> None:
        self.chunks.flush(events)
        self.accumulator.end(events)
        self.complete = True


def _name_of(frame: SseEvent | JsonText | bytes) -> str:
    if type(frame) is SseEvent:
        return frame.event
    return "message" if type(frame) is bytes else ""


def _several(data: bytes) -> bool:
    """Whether these are the data lines of several events, between which a server forgot the empty lines."""
    first, _, more = data.partition(b"\n")
    if not more:
        return False
    try:
        decode_any(first)
    except ValueError:
        return False
    return True


def _shortened(blank: bytes) -> bytes:
    """Space before the first event, with one line end for all of its lines and one space for a beginning line.

    That something stood there matters, for a byte order mark after it is none; how much does not, and a server may
    send blank lines for minutes (DeepSeek).
    """
    begun = blank.replace(b"\r", b"\n").rpartition(b"\n")
    return begun[1] + (b" " if begun[2] else b"")
