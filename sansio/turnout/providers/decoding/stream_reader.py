"""Reads a streamed response, for every dialect that has JSON in its frames.

The reader knows the ends and accidents of the framing: frames that cannot be read, errors inside the stream, JSON in
place of a stream, a body that breaks off, an answer without an end. The dialect's `ChunkReader` knows what a frame
means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import attrs

from turnout.chat import ChatResponse, RateLimit
from turnout.errors import RemoteProtocolError, TurnoutError
from turnout.events import AudioDelta, Event, PartReady, ToolCallReady, commits
from turnout.framing.json_array import JsonArrayParser
from turnout.framing.parser import FrameParser, JsonText
from turnout.framing.sse import SseEvent, SseParser
from turnout.messages import Audio, Image, Opaque
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.json_codec import decode_any, fits_memory
from turnout.providers.limits import ResponseLimits, how_to_raise

__all__ = ["MAX_UNREADABLE", "ChunkReader", "StreamReader", "TextReader"]

MAX_UNREADABLE = 100
"""How many unreadable frames may follow each other: more of them are no stream of this protocol."""

# Bytes of a frame from which the memory of its values is estimated before they are made.
_LARGE_FRAME = 1024 * 1024
# Bytes of the body after which the pieces of its texts are joined.
_JOIN_EVERY = 1024 * 1024
# Bytes of memory of a JSON value that is kept, for each byte of its frame.
_KEPT_FACTOR = 16

Frame: TypeAlias = SseEvent | JsonText | bytes
LIMITS = ResponseLimits()


class ChunkReader(Protocol):
    """Reads the frames of one response into a `ResponseAccumulator`, in the words of one dialect.

    Attributes:
        done: Whether the terminator of the protocol was read.
    """

    done: bool

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> TurnoutError | None:
        """Read one frame.

        Args:
            event: The name of the event; "" if the framing has none.
            data: The bytes of the frame.
            events: Gets the events for the caller.

        Returns:
            The error that the frame reports, if it does.

        Raises:
            ValueError: The frame cannot be read.
        """
        ...

    def read_document(self, document: object, data: bytes, events: list[Event]) -> TurnoutError | None:
        """Read a JSON document that was received in place of a stream, or after one.

        Args:
            document: The decoded document.
            data: Its bytes.
            events: Gets the events for the caller.

        Returns:
            The error that the document reports, if it does.
        """
        ...

    def flush(self, events: list[Event]) -> None:
        """Put the pieces that are held back into the response: nothing more will be received."""
        ...


class TextReader:
    """Base of a `ChunkReader` that can read frames with nothing but text at less cost than others."""

    __slots__ = ()

    def read_texts(self, frames: Sequence[Frame], events: list[Event]) -> int:
        """Read frames from the first one on, up to one that holds anything else than text.

        Returns:
            How many frames were read. The others are for `ChunkReader.read_chunk`.
        """
        raise NotImplementedError


@attrs.define(eq=False)
class StreamReader:
    """Reads one streamed response (`turnout.providers.exchange.Reader`).

    Attributes:
        accumulator: The response as far as it was received.
        provider: The provider's name, for errors.
        chunks: The dialect's reader of frames.
        failure: The error that ended the reading; None if there is none.
        complete: Whether the response is whole.
    """

    accumulator: ResponseAccumulator
    provider: str
    chunks: ChunkReader
    # None until the first byte shows whether it is an event stream, or the JSON array that some servers send instead.
    _parser: FrameParser[Any] | None = None
    _limits: ResponseLimits = LIMITS
    failure: TurnoutError | None = attrs.field(default=None, init=False)
    complete: bool = attrs.field(default=False, init=False)
    _stopped: bool = attrs.field(default=False, init=False)  # a limit was reached: nothing more is read
    # White space before the first byte that shows the framing.
    _blank: bytes = attrs.field(default=b"", init=False)
    # Events that are no content, until content follows them: a failure before it can be retried unseen.
    _held: list[Event] = attrs.field(factory=list, init=False)
    _committed: bool = attrs.field(default=False, init=False)
    # Whether no content was received in or after the first chunk with a finish reason.
    _nothing_after_finish: bool = attrs.field(default=True, init=False)
    _unreadable: int = attrs.field(default=0, init=False)  # frames, since the last that could be read
    # Bytes of the body, and those that the next frames may have been received in.
    _received: int = attrs.field(default=0, init=False)
    _pending: int = attrs.field(default=0, init=False)
    # Bytes of the body above which the pieces are joined next, and above which this or a limit needs attention.
    _join_at: int = attrs.field(default=0, init=False)
    _attention: int = attrs.field(default=0, init=False)
    _output: int | None = attrs.field(default=None, init=False)  # what `limits.output` is about, once it is counted
    _kept: int = attrs.field(default=0, init=False)
    _kept_memory: int = attrs.field(default=0, init=False)

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        """Read the next bytes of the body."""
        if self.complete or self._stopped:
            return ()
        parser = self._parser
        if parser is None:
            start = data.lstrip()
            self._blank = _shortened(self._blank + data[: len(data) - len(start)])
            if not start:
                return ()
            kind = JsonArrayParser if start.startswith(b"[") else SseParser
            parser = self._parser = kind(max_frame=self._limits.event)
            data = self._blank + start
        frames = parser.receive_frames(data) if type(parser) is SseParser else parser.receive_data(data)
        size = len(data)
        self._received += size
        self._pending += size
        events: list[Event] = []
        if frames:
            try:
                if self._pending > _LARGE_FRAME or self._received > self._attention:
                    self._read_with_attention(frames, events)
                else:
                    self._read_frames(frames, events)
            except RemoteProtocolError as error:
                self._stop(error)
            self._pending = size
        if parser.failure is not None and self.failure is None and not self.complete:
            self.failure = self._broken_framing(parser)
        return tuple(events) if self._committed else self._with_content(events)

    def receive_end(self) -> tuple[Event, ...]:
        """Read the end of the body."""
        if self.complete or self._stopped:
            return ()
        events: list[Event] = []
        try:
            self._receive_end(events)
        except RemoteProtocolError as error:
            self._stop(error)
        return tuple(events) if self._committed else self._with_content(events)

    @property
    def can_end(self) -> bool:
        """Whether the answer is whole even if the connection breaks: only usage may follow its finish reason.

        Some servers repeat a finish reason in every chunk, so one beside content, or before it, proves nothing.
        """
        accumulator = self.accumulator
        if accumulator.raw_finish_reason is None or not self._nothing_after_finish:
            return False
        return accumulator.has_content and self.failure is None and not self.complete

    @property
    def skipped(self) -> int:
        """How many frames could not be read."""
        return self.accumulator.skipped

    @property
    def rate_limit(self) -> RateLimit | None:
        """The provider's limits, as the head of the response reports them."""
        return self.accumulator.rate_limit

    @property
    def result(self) -> ChatResponse:
        """The response as far as it was received."""
        return self.accumulator.response()

    def _receive_end(self, events: list[Event]) -> None:
        parser = self._parser if self._parser is not None else SseParser()
        can_end = self.can_end
        # A last frame that the framing did not end is read too: a server that dies reports the cause there.
        self._read_closely(parser.receive_end(), events)
        stray = parser.stray if isinstance(parser, SseParser) else b""
        if stray and self.failure is None and not self.complete and parser.failure is None:
            self._read_stray(stray, events)
        if self.failure is not None or self.complete:
            return
        self.chunks.flush(events)  # a finish reason may be among the pieces that are held back
        if parser.failure is not None and not can_end:
            self.failure = self._broken_framing(parser)
        elif self.accumulator.raw_finish_reason is not None or (
            isinstance(parser, JsonArrayParser) and parser.complete
        ):
            self._complete(events)
        else:
            self.failure = self.accumulator.truncated(self.provider)

    def _with_content(self, events: list[Event]) -> tuple[Event, ...]:
        """Return the events with those held back, if content is among them or nothing follows; else hold them back."""
        self._held += events
        if not self.complete and self.failure is None and not any(map(commits, events)):
            return ()
        self._committed = True
        held, self._held = tuple(self._held), []
        return held

    # -- frames -------------------------------------------------------------------------------------------------

    def _read_frames(self, frames: Sequence[Frame], events: list[Event]) -> None:
        chunks, accumulator = self.chunks, self.accumulator
        if isinstance(chunks, TextReader) and self.failure is None and not chunks.done:
            before = len(events)
            count = chunks.read_texts(frames, events)
            if count:
                self._unreadable = 0
                if accumulator.raw_finish_reason is not None and len(events) != before:
                    self._nothing_after_finish = False
                if count == len(frames):
                    return
                frames = frames[count:]
        for frame in frames:
            over = chunks.done or self._stopped  # nothing behind the terminator is read, also after an error
            if over:
                return
            data = frame if isinstance(frame, bytes) else frame.data
            if not data or data.isspace():
                continue
            # After an error inside the stream no event goes out any more. The rest is still read, because
            # usage does (seen at OpenRouter).
            sent = events if self.failure is None else []
            before = len(sent)
            try:
                failure = chunks.read_chunk(_name_of(frame), data, sent)
            except ValueError:
                self._skip(frame, data, events)
                continue
            self._unreadable = 0
            if accumulator.raw_finish_reason is not None and len(sent) != before:
                self._nothing_after_finish = False
            if accumulator.kept != self._kept:
                self._count_kept(len(data))
            if failure is not None and self.failure is None:
                self._fail(failure)
            elif chunks.done:
                if self.failure is None:
                    self._end(events)
                return

    def _read_with_attention(self, frames: Sequence[Frame], events: list[Event]) -> None:
        """Read frames, and do what is not worth the time for each of them."""
        if self._received > self._join_at:
            self._join_at = self._received + min(_JOIN_EVERY, self._limits.output)
            self._attention = min(self._join_at, self._limits.output)
            self.accumulator.join_pieces()
        if self._pending > _LARGE_FRAME or self._received > self._limits.output:
            self._read_closely(frames, events)
        else:
            self._read_frames(frames, events)

    def _read_closely(self, frames: Sequence[Frame], events: list[Event]) -> None:
        """Read frames one by one and look at limits that a short response cannot reach."""
        if self._output is None and self._received > self._limits.output:
            self._output = self.accumulator.size
        for frame in frames:
            data = frame if isinstance(frame, bytes) else frame.data
            if len(data) > _LARGE_FRAME and not fits_memory(data, 4 * self._limits.event):
                self._break(f"one event holds too many values for its limit{how_to_raise('event')}")
            if self._stopped:
                return
            before = len(events)
            self._read_frames((frame,), events)
            if self._output is not None and self.failure is None:
                self._output += sum(map(_size_of, events[before:]))
                if self._output > self._limits.output:
                    self._break(f"the answer is larger than {self._limits.output} characters{how_to_raise('output')}")

    def _skip(self, frame: Frame, data: bytes, events: list[Event]) -> None:
        """Read a frame that holds several, or count one that cannot be read."""
        if type(frame) is SseEvent and _holds_several(data):
            self._read_frames([SseEvent(line, frame.event) for line in data.split(b"\n")], events)
            return
        self.accumulator.skipped += 1
        self._unreadable += 1
        if self._unreadable > MAX_UNREADABLE:
            self._break(f"more than {MAX_UNREADABLE} events in a row cannot be read")

    def _count_kept(self, size: int) -> None:
        """Count the memory of a frame with JSON values that are kept, such as log probabilities and citations."""
        self._kept = self.accumulator.kept
        self._kept_memory += _KEPT_FACTOR * size
        if self._kept_memory > 4 * self._limits.output:
            what = "log probabilities and other values take more memory than the limit of one answer"
            self._break(f"{what}{how_to_raise('output')}")

    def _read_stray(self, stray: bytes, events: list[Event]) -> None:
        """Read lines that are no event stream: JSON in place of a stream, or after it."""
        # llama.cpp and others report an error in a field of that name.
        stray = stray.strip().removeprefix(b"error:")
        try:
            document = decode_any(stray)
        except ValueError:
            if self.accumulator.raw_finish_reason is None and not self.accumulator.has_content:
                shown = stray[:200].decode("utf-8", "replace").strip()
                self._break(f"the response to a request for a stream is no stream: {shown!r}")
            return
        failure = self.chunks.read_document(document, stray, events)
        if failure is not None:
            self._fail(failure)

    # -- ends ---------------------------------------------------------------------------------------------------

    def _broken_framing(self, parser: FrameParser[Any]) -> RemoteProtocolError | None:
        if not parser.is_over_limit:
            return parser.failure
        return RemoteProtocolError(
            f"{self.provider}: one event is larger than {self._limits.event} bytes{how_to_raise('event')}"
        )

    def _break(self, reason: str) -> None:
        self._stop(RemoteProtocolError(f"{self.provider}: {reason}"))

    def _stop(self, failure: RemoteProtocolError) -> None:
        self._stopped = True
        if self.failure is None:
            self.failure = failure

    def _fail(self, failure: TurnoutError) -> None:
        self.accumulator.failed = True
        self.failure = failure

    def _end(self, events: list[Event]) -> None:
        self.chunks.flush(events)
        self._complete(events)

    def _complete(self, events: list[Event]) -> None:
        if self.accumulator.is_empty:
            self.failure = self.accumulator.truncated(self.provider)
            return
        self.accumulator.end(events)
        self.complete = True


def _name_of(frame: Frame) -> str:
    if type(frame) is SseEvent:
        return frame.event
    return "message" if type(frame) is bytes else ""


def _size_of(event: Event) -> int:
    """Return the characters or bytes of an event."""
    match event:
        case PartReady(part=Opaque(json=data)):
            return len(data)
        case PartReady(part=Audio(data=sound)):
            return len(sound)
        case PartReady(part=Image(data=data, url=url)):
            return len(data or url or "")
        case AudioDelta(data=data, transcript=transcript):
            return len(data) + len(transcript)
        case ToolCallReady():
            return 0
        case _:
            return len(getattr(event, "delta", ""))


def _holds_several(data: bytes) -> bool:
    """Return whether these are the data lines of several events, between which a server forgot the empty lines."""
    first, _, more = data.partition(b"\n")
    if not more:
        return False
    try:
        decode_any(first)
    except ValueError:
        return False
    return True


def _shortened(blank: bytes) -> bytes:
    """Return white space before the first event with one line end for all of its lines and one space after them.

    That something was there matters, because a byte order mark after it is none. How much it was does not matter, and
    a server may send blank lines for minutes (DeepSeek).
    """
    begun = blank.replace(b"\r", b"\n").rpartition(b"\n")
    return begun[1] + (b" " if begun[2] else b"")
