"""Anthropic's stream events and whole messages, read into an accumulator.

Source: the Messages API reference (platform.claude.com), "Streaming Messages", and the guides on thinking, citations
and tools that run at the provider.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from turnout.chat import Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.anthropic.wire import Block, Delta, StopDetails, StreamEvent, UsageWire, WholeMessage
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, raw_bytes

__all__ = ["MESSAGE", "MessageReader"]

MESSAGE = LenientDecoder(WholeMessage)
_EVENT = LenientDecoder(StreamEvent)
_BLOCK = LenientDecoder(Block)
# What a call made by the model itself says of who made it; others were made by code that the model wrote.
_DIRECT = {"type": "direct"}


@attrs.define(eq=False)
class _OpenBlock:
    """A block whose end has not come.

    kind       its type
    raw        its first form
    argued     whether a piece of its input came
    pieces     the input of a block that is kept opaque
    extended   its fields, where a delta of an unknown type changed them
    """

    kind: str
    raw: bytes
    input: bytes | None
    citations: list[Any]
    argued: bool = False
    pieces: list[str] = attrs.field(factory=list)
    extended: dict[str, Any] | None = None


@attrs.define(eq=False)
class MessageReader:
    """Reads events, or a whole message, into an accumulator (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Text, thinking and calls go out as they come. All other blocks (redacted thinking, tools that run at the provider,
    what will be invented) are collected until their end and kept opaque, for the next turn must hold them unchanged.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _started: bool = False
    _open: dict[int | None, _OpenBlock] = attrs.field(factory=dict)
    _at: int | None = None
    _usage: UsageWire = attrs.field(factory=UsageWire)
    _places: list[dict[str, Any]] = attrs.field(factory=list)  # of calls, as long as nothing stands behind them
    _telling: bool = False  # whether one of the places says more than where

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        kind = chunk.type or event
        if chunk.error or kind == "error":
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        match kind:
            case "content_block_delta":
                if chunk.delta is not None:
                    self._delta(chunk.index, chunk.delta, data, events)
            case "content_block_start":
                if block := raw_bytes(chunk.content_block):
                    self._start(chunk.index, block, events)
            case "content_block_stop":
                self._stop(chunk.index, events)
            case "message_start":
                if chunk.message is not None:
                    self.take(chunk.message, events)
            case "message_delta":
                if chunk.delta is not None:
                    self._finish(chunk.delta.stop_reason, chunk.delta.stop_details, events)
            case "message_stop":
                self.done = True
                return None
            case "message":
                return self.read_whole(None, data, events)
            case _:
                return None  # a ping, or what will be invented
        self.accumulator.raw = data
        if chunk.usage is not None:
            self._count(chunk.usage)
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        message = MESSAGE.decode(data)
        if message is None or message.error or message.content is None:
            facts = parse_error(decode_any(data))
            return self.dialect.error(facts, self.headers, data) if facts.message or facts.codes else None
        self.accumulator.raw = data
        self.take(message, events)
        return None

    def flush(self, events: list[Event]) -> None:
        for index in list(self._open):
            self._stop(index, events)
        if self._telling:
            self._put_places()

    def take(self, message: WholeMessage, events: list[Event]) -> None:
        """Put a message, or the beginning of one, into the accumulator."""
        accumulator = self.accumulator
        accumulator.response_id = accumulator.response_id or message.id
        accumulator.served_model = accumulator.served_model or message.model
        if message.usage is not None:
            self._count(message.usage)
        if not self._started:  # the beginning is sometimes sent twice
            self._started = True
            for index, raw in enumerate(message.content or ()):
                self._start(index, bytes(raw), events)
                self._stop(index, events, whole=True)
        self._finish(message.stop_reason, message.stop_details, events)

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
        accumulator.citations += citations
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
        block = self._open.get(index)
        match delta.type:
            case "text_delta":
                accumulator.text(delta.text or "", events)
            case "thinking_delta":
                accumulator.reasoning(delta.thinking or "", events)
            case "signature_delta":
                if delta.signature:
                    accumulator.set_signature("reasoning", delta.signature, events)
            case "citations_delta":
                if delta.citation:
                    accumulator.citations.append(delta.citation)
                    if block is not None:
                        block.citations.append(delta.citation)
            case "input_json_delta":
                if block is None or not delta.partial_json:
                    return
                block.argued = True
                if block.kind == "tool_use":
                    accumulator.tool_fragment(events, index=index, arguments=delta.partial_json)
                else:
                    block.pieces.append(delta.partial_json)
            case _:
                if block is not None and block.kind not in ("text", "thinking", "tool_use"):
                    _extend(block, data)

    def _stop(self, index: int | None, events: list[Event], *, whole: bool = False) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind == "text":
            if block.citations:
                # They go back with their text: those of a search hold what the model needs to cite it again.
                self.accumulator.set_extra({"citations": block.citations})
        elif block.kind == "tool_use":
            # A stream opens a call with an empty object, and its real input follows in pieces.
            given = (block.input or b"").strip()
            if not block.argued and given and (whole or given != b"{}"):
                self.accumulator.tool_fragment(events, index=index, arguments=given.decode("utf-8", "replace"))
        elif block.kind != "thinking":
            kept = _rebuilt(block)
            if kept is not None:
                self.accumulator.opaque(kept, events)
        self.accumulator.end_part()

    def _remember_place(self, raw: bytes) -> None:
        """Where a call stood among the blocks, and what else was said of it."""
        fields = decode_any(raw)
        place = {name: value for name, value in fields.items() if name not in ("name", "input")}
        if not isinstance(place.get("id"), str):
            return
        if place.get("caller") == _DIRECT:
            del place["caller"]
        self._places.append(place)
        self._telling = self._telling or set(place) != {"type", "id"}

    def _put_places(self) -> None:
        for place in self._places:
            self.accumulator.reserve_part()(encode(place))
        self._places.clear()
        self._telling = False

    # -- the rest -----------------------------------------------------------------------------------------------

    def _finish(self, stop_reason: str | None, details: StopDetails | None, events: list[Event]) -> None:
        self.accumulator.finish(stop_reason)
        if details is not None and details.explanation and self.accumulator.raw_finish_reason == "refusal":
            self.accumulator.refusal(details.explanation, events)

    def _count(self, told: UsageWire) -> None:
        """Counters are cumulative, and each holds until it is told again. `input_tokens` leaves out the cache's."""
        known = self._usage
        for name in msgspec.structs.fields(UsageWire):
            value = getattr(told, name.name)
            if value is not None:
                setattr(known, name.name, value)
        parts = (known.input_tokens, known.cache_read_input_tokens, known.cache_creation_input_tokens)
        details, created, used = known.output_tokens_details, known.cache_creation, known.server_tool_use
        self.accumulator.usage = Usage(
            prompt_tokens=None if known.input_tokens is None else sum(part or 0 for part in parts),
            completion_tokens=known.output_tokens,
            cached_tokens=known.cache_read_input_tokens,
            cache_write_tokens=known.cache_creation_input_tokens,
            reasoning_tokens=details.thinking_tokens if details is not None else None,
            cache_write_1h_tokens=created.ephemeral_1h_input_tokens if created is not None else None,
            web_searches=used.web_search_requests if used is not None else None,
            # The fast mode is a price of its own, as a tier is.
            service_tier="fast" if known.speed == "fast" else known.service_tier,
        )


def _extend(block: _OpenBlock, data: bytes) -> None:
    """A delta of a type that is not known, for a block that is not: texts grow, and other values are replaced."""
    delta = decode_any(data).get("delta")
    fields = block.extended if block.extended is not None else decode_any(block.raw)
    for name, value in delta.items() if isinstance(delta, dict) else ():
        known = fields.get(name)
        if name == "type" or value is None:
            continue
        fields[name] = known + value if isinstance(known, str) and isinstance(value, str) else value
    block.extended = fields


def _rebuilt(block: _OpenBlock) -> bytes | None:
    """A block as it is to be sent back; None where its input broke off."""
    if not block.pieces and block.extended is None:
        return block.raw
    fields = block.extended if block.extended is not None else decode_any(block.raw)
    if block.pieces:
        try:
            fields["input"] = decode_any("".join(block.pieces).encode())
        except ValueError:
            return None
    return encode(fields)
