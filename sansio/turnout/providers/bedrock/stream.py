"""Converse's stream messages and whole answers, read into an accumulator.

Source: the Amazon Bedrock API reference, "ConverseStream", and the service's own model in botocore.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import attrs

from turnout.chat import Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.framing.eventstream import EventStreamMessage, EventStreamParser
from turnout.framing.parser import FrameParser
from turnout.framing.sse import SseEvent
from turnout.http import Headers
from turnout.providers.bedrock.wire import Answer, Block, CacheDetail, Delta, Reasoning, StreamEvent
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import aws_error_type, parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, raw_bytes, raw_text

__all__ = ["ANSWER", "ConverseFrames", "ConverseReader"]

ANSWER = LenientDecoder(Answer)
_BLOCK = LenientDecoder(Block)
_EVENT = LenientDecoder(StreamEvent)
_EXCEPTION = "exception"
# What the service's model says that each would have been as a status.
_STATUSES = {
    "validationexception": 400,
    "modelstreamerrorexception": 424,
    "throttlingexception": 429,
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
}


@attrs.define(eq=False)
class ConverseFrames(FrameParser[SseEvent]):
    """Messages of the AWS event stream as named events.

    An exception is an event of that name, whose data has the exception's type in `__type`, as the body of an error has.
    """

    _parser: EventStreamParser = attrs.field(factory=EventStreamParser, init=False, repr=False)

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


def _named(message: EventStreamMessage) -> SseEvent:
    kind = message.text(":message-type")
    if kind == "exception":
        return SseEvent(_told(message.text(":exception-type"), message.payload), _EXCEPTION)
    if kind == "error":
        told = {"__type": message.text(":error-code"), "message": message.text(":error-message")}
        return SseEvent(encode(told), _EXCEPTION)
    return SseEvent(message.payload, message.text(":event-type"))


def _told(kind: str, payload: bytes) -> bytes:
    try:
        fields = decode_any(payload) if payload else {}
    except ValueError:
        fields = payload.decode("utf-8", "replace")
    return encode({"__type": kind, **(fields if isinstance(fields, dict) else {"message": str(fields)})})


@attrs.define(eq=False)
class _OpenBlock:
    """A block of a kind that the vocabulary has no word for, whose end has not come.

    kind    the block's only field
    fields  what is in it
    pieces  the text of its input, where that comes in pieces
    """

    kind: str
    fields: dict[str, Any]
    pieces: list[str] = attrs.field(factory=list)

    def extend(self, delta: Any) -> None:
        if isinstance(delta, list):  # what a tool that runs at the provider gives
            self._add_results(delta)
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "input" and isinstance(value, str):
                self.pieces.append(value)
            else:
                self.fields[name] = value

    def _add_results(self, results: list[Any]) -> None:
        content = self.fields.setdefault("content", [])
        for result in results:
            text = result.get("text") if isinstance(result, dict) else None
            last = content[-1] if content else None
            if isinstance(text, str) and isinstance(last, dict) and isinstance(last.get("text"), str):
                last["text"] += text
            else:
                content.append(result)

    def json(self) -> bytes | None:
        """The block as it goes back; None where its input broke off."""
        if self.pieces:
            try:
                self.fields["input"] = decode_any("".join(self.pieces).encode())
            except ValueError:
                return None
        elif self.kind == "toolUse":
            self.fields.setdefault("input", {})
        return encode({self.kind: self.fields})


@attrs.define(eq=False)
class ConverseReader:
    """Reads events, or a whole answer, into an accumulator (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Usage follows the stop reason, and is the last word. Text, reasoning and calls go out as they come; all other
    blocks (redacted reasoning, tools that run at the provider, images) are collected until their end and kept opaque.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _at: int | None = None
    _open: dict[int | None, _OpenBlock] = attrs.field(factory=dict)
    _redacted: dict[int | None, list[str]] = attrs.field(factory=dict)
    _stopped: bool = False
    _measured: bool = False

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        if event == _EXCEPTION:
            return self._exception(data)
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        index = chunk.content_block_index
        match event:
            case "contentBlockDelta":
                if chunk.delta is not None:
                    self._delta(index, chunk.delta, data, events)
            case "contentBlockStart":
                self._start(index, chunk.start or {}, events)
            case "contentBlockStop":
                self._stop(index, events)
            case "messageStop":
                self.accumulator.finish(chunk.stop_reason)
                self._stopped = True
            case "metadata":
                self._measure(chunk)
                self._measured = True
            case _:
                return None  # the start, which tells only the role, and what will be invented
        self.accumulator.raw = data
        self.done = self._stopped and self._measured
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        answer = ANSWER.decode(data)
        if answer is None or answer.output is None:
            facts = parse_error(document)
            return self.dialect.error(facts, self.headers, data) if facts.message or facts.codes else None
        self.accumulator.raw = data
        self.take(answer, events)
        return None

    def flush(self, events: list[Event]) -> None:
        for index in {**self._open, **self._redacted}:
            self._stop(index, events)

    def take(self, answer: Answer, events: list[Event]) -> None:
        """Put a whole answer into the accumulator."""
        message = answer.output.message if answer.output is not None else None
        for index, raw in enumerate((message.content if message is not None else None) or ()):
            self._block(index, bytes(raw), events)
        self.accumulator.finish(answer.stop_reason)
        self._measure(answer)

    def _exception(self, data: bytes) -> ProviderError:
        facts = parse_error(decode_any(data))
        status = next((_STATUSES.get(aws_error_type(code).lower()) for code in facts.codes), None)
        return self.dialect.error(attrs.evolve(facts, status=status or facts.status), self.headers, data)

    # -- blocks of a whole answer -------------------------------------------------------------------------------

    def _block(self, index: int, raw: bytes, events: list[Event]) -> None:
        block, accumulator = _BLOCK.decode(raw), self.accumulator
        if block is None:
            accumulator.skipped += 1
            return
        accumulator.end_part()
        if block.text is not None:
            accumulator.text(block.text, events)
        elif block.tool_use is not None and block.tool_use.type != "server_tool_use":
            call = block.tool_use
            arguments = (raw_bytes(call.input) or b"").decode("utf-8", "replace")
            accumulator.tool_fragment(
                events, id=call.tool_use_id, index=index, name=call.name, arguments=arguments, starts_call=True
            )
        elif block.reasoning_content is not None and block.reasoning_content.redacted_content is None:
            told = block.reasoning_content.reasoning_text or block.reasoning_content
            accumulator.reasoning(told.text or "", events)
            if told.signature:
                accumulator.set_signature("reasoning", told.signature, events)
        elif block.citations_content is not None:
            for cited in block.citations_content.content or ():
                accumulator.text(cited.text or "", events)
            accumulator.citations += block.citations_content.citations or ()
        else:
            accumulator.opaque(raw, events)
        accumulator.end_part()

    # -- blocks of a stream -------------------------------------------------------------------------------------

    def _start(self, index: int | None, start: dict[str, Any], events: list[Event]) -> None:
        self._stop(index, events)
        self._move(index)
        for kind, fields in start.items():
            fields = fields if isinstance(fields, dict) else {}
            if kind == "toolUse" and fields.get("type") != "server_tool_use":
                id, name = fields.get("toolUseId"), fields.get("name")
                self.accumulator.tool_fragment(
                    events,
                    id=id if isinstance(id, str) else None,
                    index=index,
                    name=name if isinstance(name, str) else None,
                    starts_call=True,
                )
            else:
                self._open[index] = _OpenBlock(kind, fields)

    def _delta(self, index: int | None, delta: Delta, data: bytes, events: list[Event]) -> None:
        if index != self._at:
            self._move(index)
        accumulator, block = self.accumulator, self._open.get(index)
        if delta.text is not None:
            accumulator.text(delta.text, events)
        elif block is not None:
            wire = decode_any(data)["delta"]
            block.extend(wire.get(block.kind) if isinstance(wire, dict) else None)
        elif delta.tool_use is not None:
            accumulator.tool_fragment(events, index=index, arguments=raw_text(delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._reasoning(index, delta.reasoning_content, events)
        elif delta.citation:
            accumulator.citations.append(delta.citation)

    def _reasoning(self, index: int | None, told: Reasoning, events: list[Event]) -> None:
        self.accumulator.reasoning(told.text or "", events)
        if told.signature:
            self.accumulator.set_signature("reasoning", told.signature, events)
        if told.redacted_content:
            self._redacted.setdefault(index, []).append(told.redacted_content)

    def _stop(self, index: int | None, events: list[Event]) -> None:
        block, redacted = self._open.pop(index, None), self._redacted.pop(index, None)
        kept = block.json() if block is not None else None
        if redacted is not None:
            kept = encode({"reasoningContent": {"redactedContent": _joined(redacted)}})
        if kept is not None:
            self.accumulator.opaque(kept, events)
        if index == self._at:
            self.accumulator.end_part()

    def _move(self, index: int | None) -> None:
        self.accumulator.end_part()
        self._at = index

    # -- the end ------------------------------------------------------------------------------------------------

    def _measure(self, answer: Answer | StreamEvent) -> None:
        told, tier = answer.usage, answer.service_tier
        if answer.trace is not None and answer.trace.prompt_router is not None:
            self.accumulator.served_model = answer.trace.prompt_router.invoked_model_id
        if told is None:
            return
        # `inputTokens` leaves out what the cache read and wrote.
        parts = (told.input_tokens, told.cache_read_input_tokens, told.cache_write_input_tokens)
        self.accumulator.usage = Usage(
            prompt_tokens=None if told.input_tokens is None else sum(part or 0 for part in parts),
            completion_tokens=told.output_tokens,
            cached_tokens=told.cache_read_input_tokens,
            cache_write_tokens=told.cache_write_input_tokens,
            cache_write_1h_tokens=_kept_for("1h", told.cache_details),
            service_tier=tier.type if tier is not None else None,
        )


def _kept_for(ttl: str, writes: list[CacheDetail] | None) -> int | None:
    """Return the tokens that the cache keeps for this time; None if the answer does not list its writes."""
    return None if writes is None else sum(write.input_tokens or 0 for write in writes if write.ttl == ttl)


def _joined(pieces: list[str]) -> str:
    """Base64 of all bytes: each piece is base64 for itself."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except binascii.Error:
        return "".join(pieces)
