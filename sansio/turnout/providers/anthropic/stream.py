"""Anthropic's stream events and whole messages, read into a `ResponseAccumulator`.

Source: the Messages API reference, "Streaming Messages" and "Create a Message".

Text, thinking and calls go to the caller as they are received. All other blocks (redacted thinking, tools that run at
the provider, blocks of a later date) are collected until their end and kept opaque, because the next turn must hold
them unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from turnout._utils.growing_text import GrowingText
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.anthropic.usage import UsageCounter
from turnout.providers.anthropic.wire import Block, Delta, StreamEvent, UsageWire, WholeMessage
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, is_shallow, raw_bytes

__all__ = ["MESSAGE", "MessageReader"]

MESSAGE = LenientDecoder(WholeMessage)
_EVENT = LenientDecoder(StreamEvent)
_BLOCK = LenientDecoder(Block)
# The field `caller` of a call that the model itself made. Other calls are made by code that the model wrote.
_DIRECT = {"type": "direct"}
_KNOWN_BLOCKS = frozenset({"text", "thinking", "tool_use"})


@attrs.define(eq=False)
class _OpenBlock:
    """A block without its end.

    Attributes:
        kind: Its type.
        raw: Its JSON at its beginning.
        input: The JSON of its input at its beginning.
        citations: The sources of its text.
        has_arguments: Whether a piece of its input was received.
        pieces: The input of an opaque block, in pieces.
        changes: The fields that deltas of an unknown type changed, each in pieces if it is a text.
    """

    kind: str
    raw: bytes
    input: bytes | None
    citations: list[Any]
    has_arguments: bool = False
    pieces: GrowingText = attrs.field(factory=GrowingText)
    changes: dict[str, Any] = attrs.field(factory=dict)

    def extend(self, delta: object) -> None:
        """Take a delta of an unknown type: texts grow, and other values are replaced."""
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "type" or value is None:
                continue
            known = self.changes.get(name)
            if isinstance(value, str):
                if not isinstance(known, GrowingText):
                    known = self.changes[name] = GrowingText()
                known.add(value)
            elif is_shallow(value):
                self.changes[name] = value

    def build(self) -> bytes | None:
        """Return the block as it goes back; None if its input is not whole, or too deep."""
        if not self.pieces and not self.changes:
            return self.raw
        fields = decode_any(self.raw)
        for name, value in self.changes.items():
            known = fields.get(name)
            if isinstance(value, GrowingText):
                fields[name] = (known if isinstance(known, str) else "") + str(value)
            else:
                fields[name] = value
        try:
            if self.pieces:
                fields["input"] = decode_any(str(self.pieces).encode())
            return encode(fields)
        except ValueError:
            return None


@attrs.define(eq=False)
class MessageReader:
    """Reads events, or a whole message (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        done: Whether `message_stop` was read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _started: bool = False
    _open: dict[int | None, _OpenBlock] = attrs.field(factory=dict)
    _at: int | None = None
    _usage: UsageCounter = attrs.field(factory=UsageCounter)
    # The positions of calls, until another block follows them: the message has its calls behind its parts.
    _places: list[dict[str, Any]] = attrs.field(factory=list)
    _places_say_more: bool = False  # whether one of them has more than the position

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        kind = chunk.type or event
        if chunk.error or kind == "error":
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        if kind == "content_block_delta":
            if chunk.delta is not None:
                self._delta(chunk.index, chunk.delta, data, events)
        elif kind == "message_stop":
            self.done = True
            return None
        elif kind == "message":
            return self.read_document(None, data, events)
        elif (handle := _HANDLERS.get(kind)) is not None:
            handle(self, chunk, events)
        else:
            return None  # a ping, or an event of a later date
        self.accumulator.raw = data
        if chunk.usage is not None:
            self._report_usage(chunk.usage)
        return None

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        message = MESSAGE.decode(data)
        if message is None or message.error or message.content is None:
            return self.dialect.in_band_error(decode_any(data), data, self.headers)
        self.accumulator.raw = data
        self.apply(message, events)
        return None

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`."""
        for index in list(self._open):
            self._stop(index, events)
        if self._places_say_more:
            self._put_places()

    def apply(self, message: WholeMessage, events: list[Event]) -> None:
        """Read a message, or the beginning of one."""
        accumulator = self.accumulator
        accumulator.response_id = accumulator.response_id or message.id
        accumulator.served_model = accumulator.served_model or message.model
        if message.usage is not None:
            self._report_usage(message.usage)
        if not self._started:  # some servers send the beginning twice
            self._started = True
            for index, raw in enumerate(message.content or ()):
                self._start(index, bytes(raw), events)
                self._stop(index, events, whole=True)
        self._finish(message, events)

    # -- events -------------------------------------------------------------------------------------------------

    def _block_started(self, chunk: StreamEvent, events: list[Event]) -> None:
        if block := raw_bytes(chunk.content_block):
            self._start(chunk.index, block, events)

    def _block_stopped(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._stop(chunk.index, events)

    def _message_started(self, chunk: StreamEvent, events: list[Event]) -> None:
        if chunk.message is not None:
            self.apply(chunk.message, events)

    def _message_changed(self, chunk: StreamEvent, events: list[Event]) -> None:
        if chunk.delta is not None:
            self._finish(chunk.delta, events)

    # -- blocks -------------------------------------------------------------------------------------------------

    def _start(self, index: int | None, raw: bytes, events: list[Event]) -> None:
        block = _BLOCK.decode(raw)
        if block is None or not block.type:
            self.accumulator.skipped += 1
            return
        accumulator, kind = self.accumulator, block.type
        again = index in self._open
        if again:
            self._stop(index, events)
        if kind != "tool_use":
            self._put_places()
        accumulator.end_part()
        self._at = index
        citations = list(block.citations or ()) if kind == "text" else []
        if citations:
            accumulator.cite(citations)
        self._open[index] = _OpenBlock(kind, raw, raw_bytes(block.input), citations)
        if kind == "text":
            accumulator.text(block.text or "", events)
        elif kind == "thinking":
            accumulator.reasoning(block.thinking or "", events)
            if block.signature:
                accumulator.set_signature("reasoning", block.signature, events)
        elif kind == "tool_use":
            accumulator.tool_fragment(events, id=block.id, index=index, name=block.name, starts_call=not again)
            self._remember_place(raw)

    def _delta(self, index: int | None, delta: Delta, data: bytes, events: list[Event]) -> None:
        accumulator = self.accumulator
        if index != self._at:
            accumulator.end_part()
            self._at = index
        match delta.type:
            case "text_delta":
                accumulator.text(delta.text or "", events)
            case "thinking_delta":
                accumulator.reasoning(delta.thinking or "", events)
            case "input_json_delta":
                self._add_input(index, delta.partial_json, events)
            case "signature_delta":
                if delta.signature:
                    accumulator.set_signature("reasoning", delta.signature, events)
            case "citations_delta":
                if delta.citation:
                    accumulator.cite([delta.citation])
                    if (block := self._open.get(index)) is not None:
                        block.citations.append(delta.citation)
            case _:
                block = self._open.get(index)
                if block is not None and block.kind not in _KNOWN_BLOCKS:
                    accumulator.opaque_size.add(len(data))
                    block.extend(decode_any(data).get("delta"))

    def _add_input(self, index: int | None, piece: str | None, events: list[Event]) -> None:
        block = self._open.get(index)
        if block is None or not piece:
            return
        block.has_arguments = True
        if block.kind == "tool_use":
            self.accumulator.tool_fragment(events, index=index, arguments=piece)
        else:
            self.accumulator.opaque_size.add(len(piece))
            block.pieces.add(piece)

    def _stop(self, index: int | None, events: list[Event], *, whole: bool = False) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind == "text":
            if block.citations and is_shallow(block.citations):
                # They go back with their text: those of a search let the model cite it again.
                self.accumulator.set_extra({"citations": block.citations})
        elif block.kind == "tool_use":
            # A stream opens a call with an empty object, and its real input follows in pieces.
            given = (block.input or b"").strip()
            if not block.has_arguments and given and (whole or given != b"{}"):
                self.accumulator.tool_fragment(events, index=index, arguments=given.decode("utf-8", "replace"))
        elif block.kind != "thinking":
            kept = block.build()
            if kept is not None:
                self.accumulator.opaque(kept, events)
        self.accumulator.end_part()

    def _remember_place(self, raw: bytes) -> None:
        """Note the position of a call among the blocks, and the other fields of its block."""
        fields = decode_any(raw)
        place = {name: value for name, value in fields.items() if name not in ("name", "input")}
        if not isinstance(place.get("id"), str):
            return
        if not is_shallow(place):
            place = {"type": "tool_use", "id": place["id"]}
        if place.get("caller") == _DIRECT:
            del place["caller"]
        self._places.append(place)
        self._places_say_more = self._places_say_more or set(place) != {"type", "id"}

    def _put_places(self) -> None:
        for place in self._places:
            self.accumulator.reserve_part()(encode(place))
        self._places.clear()
        self._places_say_more = False

    # -- the end ------------------------------------------------------------------------------------------------

    def _finish(self, end: WholeMessage | Delta, events: list[Event]) -> None:
        accumulator, details = self.accumulator, end.stop_details
        accumulator.finish(end.stop_reason)
        explanation = details.get("explanation") if details is not None else None
        if isinstance(explanation, str) and accumulator.raw_finish_reason == "refusal":
            accumulator.refusal(explanation, events)
        fields = {"stop_sequence": end.stop_sequence, "stop_details": details, "container": end.container}
        accumulator.extra |= {name: value for name, value in fields.items() if value and is_shallow(value)}

    def _report_usage(self, wire: UsageWire) -> None:
        self.accumulator.usage = self._usage.add(wire)


Handler = Callable[[MessageReader, StreamEvent, list[Event]], None]
_HANDLERS: dict[str, Handler] = {
    "content_block_start": MessageReader._block_started,
    "content_block_stop": MessageReader._block_stopped,
    "message_start": MessageReader._message_started,
    "message_delta": MessageReader._message_changed,
}
