"""The messages of Converse's binary stream as named events."""

from __future__ import annotations

import attrs

from turnout.framing.eventstream import EventStreamMessage, EventStreamParser
from turnout.framing.parser import FrameParser
from turnout.framing.sse import SseEvent
from turnout.providers.json_codec import decode_any, encode, is_shallow

__all__ = ["EXCEPTION", "ConverseFrames", "converse_frames"]

EXCEPTION = "exception"
"""The name of an event that reports an error."""


@attrs.define(eq=False)
class ConverseFrames(FrameParser[SseEvent]):
    """Splits an AWS event stream into named events.

    An exception is an event of that name. Its data has the type of the exception in `__type`, as the body of an error
    has.
    """

    _parser: EventStreamParser = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._parser = EventStreamParser(max_frame=self.max_frame)

    @property
    def complete(self) -> bool:
        return self._parser.complete

    def receive_data(self, data: bytes) -> list[SseEvent]:
        events = [_named(message) for message in self._parser.receive_data(data)]
        self.failure = self._parser.failure
        return events

    def receive_end(self) -> list[SseEvent]:
        self._parser.receive_end()
        return []


def converse_frames(max_frame: int) -> ConverseFrames:
    """Return a parser for messages of at most so many bytes."""
    return ConverseFrames(max_frame=max_frame)


def _named(message: EventStreamMessage) -> SseEvent:
    kind = message.text(":message-type")
    if kind == "exception":
        return SseEvent(_exception(message.text(":exception-type"), message.payload), EXCEPTION)
    if kind == "error":
        error = {"__type": message.text(":error-code"), "message": message.text(":error-message")}
        return SseEvent(encode(error), EXCEPTION)
    return SseEvent(message.payload, message.text(":event-type"))


def _exception(kind: str, payload: bytes) -> bytes:
    try:
        fields = decode_any(payload) if payload else {}
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not is_shallow(fields):
        fields = {"message": payload.decode("utf-8", "replace")}
    return encode({"__type": kind, **fields})
