"""Cohere's stream events and whole responses, read into a `ResponseAccumulator`.

Source: Cohere's API reference, "Chat" and "Chat with Streaming" (version 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from turnout.chat import FinishReason, Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.cohere.request import PLAN
from turnout.providers.cohere.wire import Answer, Content, Delta, StreamEvent, Tokens, ToolCallWire, UsageWire
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, is_shallow

__all__ = ["ANSWER", "FINISH_REASONS", "CohereReader"]

FINISH_REASONS = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "ERROR_LIMIT": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
    "ERROR": FinishReason.ERROR,
    "TIMEOUT": FinishReason.ERROR,
}

ANSWER = LenientDecoder(Answer)
_CONTENT = LenientDecoder(Content)
_EVENT = LenientDecoder(StreamEvent)
_NOTHING = Delta()
_UNCOUNTED = Tokens()


@attrs.define(eq=False)
class CohereReader:
    """Reads events, or a whole response (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        done: Whether `message-end` or `[DONE]` was read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _in_plan: bool = False  # whether the open part is the plan for tools

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        if data.strip() == b"[DONE]":
            self.done = True  # it follows `message-end`, which a gateway may have swallowed
            return None
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        kind = chunk.type or event
        if chunk.error or kind == "error":
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        if kind == "message-end":
            return self._end(chunk.delta or _NOTHING, data, events)
        if kind == "message" and chunk.type is None:
            details = parse_error(decode_any(data))
            return self.dialect.error(details, self.headers, data) if details.message else None
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, chunk, data, events)
            self.accumulator.raw = data
        return None  # else the end of a call or a citation, or an event of a later date

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        answer = ANSWER.decode(data)
        if answer is None or answer.error or answer.message is None:
            return self.dialect.in_band_error(document, data, self.headers)
        self.accumulator.raw = data
        self.apply(answer, events)
        return None

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`: nothing is held back."""

    def apply(self, answer: Answer, events: list[Event]) -> None:
        """Read a whole response."""
        accumulator, message = self.accumulator, answer.message
        accumulator.response_id = accumulator.response_id or answer.id
        if message is not None:
            for raw in message.content or ():
                self._whole_part(bytes(raw), events)
            self._add_plan(message.tool_plan, events)
            for index, call in enumerate(message.tool_calls or ()):
                self._add_fragment(call, index, events, starts_call=True)
            self._cite(message.citations)
        if answer.logprobs:
            accumulator.add_logprobs(answer.logprobs, events)
        accumulator.finish(answer.finish_reason)
        if answer.usage is not None:
            accumulator.usage = _usage(answer.usage)

    # -- events -------------------------------------------------------------------------------------------------

    def _message_started(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        self.accumulator.response_id = self.accumulator.response_id or chunk.id

    def _content_started(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._end_part()
        self._content(chunk, data, events)
        message = chunk.delta.message if chunk.delta is not None else None
        content = message.content if message is not None else None
        if content is not None and content.type not in ("text", "thinking", None):
            # A part of an unknown type: it goes back to Cohere as it began.
            fields = decode_any(data)["delta"]["message"]["content"]
            if is_shallow(fields):
                self.accumulator.opaque(encode(fields), events)

    def _content(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        message = chunk.delta.message if chunk.delta is not None else None
        content = message.content if message is not None else None
        if content is not None and content.thinking:
            if self._in_plan:
                self._end_part()
            self.accumulator.reasoning(content.thinking, events)
        if content is not None and content.text:
            self._in_plan = False
            self.accumulator.text(content.text, events)
        if chunk.logprobs:
            self.accumulator.add_logprobs(chunk.logprobs, events)

    def _content_ended(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        self._end_part()

    def _plan(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        message = chunk.delta.message if chunk.delta is not None else None
        self._add_plan(message.tool_plan if message is not None else None, events)

    def _call_started(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        message = chunk.delta.message if chunk.delta is not None else None
        if message is not None and message.tool_calls is not None:
            self._add_fragment(message.tool_calls, chunk.index, events, starts_call=True)

    def _call_continued(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        message = chunk.delta.message if chunk.delta is not None else None
        if message is not None and message.tool_calls is not None:
            self._add_fragment(message.tool_calls, chunk.index, events, starts_call=False)

    def _cited(self, chunk: StreamEvent, data: bytes, events: list[Event]) -> None:
        message = chunk.delta.message if chunk.delta is not None else None
        self._cite(message.citations if message is not None else None)

    # -- pieces -------------------------------------------------------------------------------------------------

    def _whole_part(self, raw: bytes, events: list[Event]) -> None:
        part = _CONTENT.decode(raw)
        if part is None:
            self.accumulator.skipped += 1
            return
        self._end_part()
        if part.type not in ("text", "thinking"):
            self.accumulator.opaque(raw, events)
            return
        self.accumulator.reasoning(part.thinking or "", events)
        self.accumulator.text(part.text or "", events)
        self._end_part()

    def _add_plan(self, plan: str | None, events: list[Event]) -> None:
        if not plan:
            return
        if not self._in_plan:
            self._end_part()
        self.accumulator.reasoning(plan, events)
        if not self._in_plan:
            self.accumulator.set_extra({PLAN: True})
            self._in_plan = True

    def _add_fragment(self, call: ToolCallWire, index: int | None, events: list[Event], *, starts_call: bool) -> None:
        function = call.function
        self.accumulator.tool_fragment(
            events,
            id=call.id,
            index=index,
            name=function.name if function is not None else None,
            arguments=function.arguments if function is not None else None,
            starts_call=starts_call,
        )

    def _cite(self, citations: Any) -> None:
        """Add one citation, or several."""
        if citations:
            self.accumulator.cite(citations if isinstance(citations, list) else [citations])

    def _end_part(self) -> None:
        self._in_plan = False
        self.accumulator.end_part()

    # -- the end ------------------------------------------------------------------------------------------------

    def _end(self, delta: Delta, data: bytes, events: list[Event]) -> ProviderError | None:
        accumulator = self.accumulator
        accumulator.raw = data
        accumulator.finish(delta.finish_reason)
        if delta.usage is not None:
            accumulator.usage = _usage(delta.usage)
        if delta.error:
            return self.dialect.error(parse_error({"error": delta.error}), self.headers, data)
        self.done = True
        return None


Handler = Callable[[CohereReader, StreamEvent, bytes, list[Event]], None]
_HANDLERS: dict[str, Handler] = {
    "content-delta": CohereReader._content,
    "content-start": CohereReader._content_started,
    "content-end": CohereReader._content_ended,
    "tool-plan-delta": CohereReader._plan,
    "tool-call-start": CohereReader._call_started,
    "tool-call-delta": CohereReader._call_continued,
    "citation-start": CohereReader._cited,
    "message-start": CohereReader._message_started,
}


def _usage(wire: UsageWire) -> Usage:
    """Return the tokens that the model read and wrote; each count that is missing is the billed one."""
    tokens, billed = wire.tokens or _UNCOUNTED, wire.billed_units or _UNCOUNTED
    if wire.tokens is None and wire.billed_units is None:
        return Usage(source="absent")

    def first(count: int | None, other: int | None) -> int | None:
        return count if count is not None else other

    return Usage(
        prompt_tokens=first(tokens.input_tokens, billed.input_tokens),
        completion_tokens=first(tokens.output_tokens, billed.output_tokens),
        cached_tokens=wire.cached_tokens,
        reasoning_tokens=first(tokens.reasoning_tokens, billed.reasoning_tokens),
        billed_prompt_tokens=billed.input_tokens,
        billed_completion_tokens=billed.output_tokens,
        search_units=billed.search_units,
    )
