"""Writes streamed answers of Responses.

Source: the OpenAI API reference, "Streaming events".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

import attrs

from turnout.chat import ChatResponse, FinishReason
from turnout.events import End, Event, Token
from turnout.messages import Audio, Image, Message, Opaque
from turnout.serving.blocks import BlockClosed, BlockDelta, BlockKind, BlockOpened, BlockSequencer, Step, WholePart
from turnout.serving.chat_completions.stream import build_chat_error
from turnout.serving.errors import ServedError
from turnout.serving.inbound import Answerer, InboundChat, Partial
from turnout.serving.opaque_parts import OpaqueParts, position_of
from turnout.serving.request_json import encode, encode_text
from turnout.serving.responses.response import (
    FAILED,
    ItemIds,
    call_item,
    image_item,
    message_item,
    opaque_item,
    reasoning_item,
    refusal_part,
    response_object,
    text_part,
)

__all__ = ["ResponsesStreamWriter"]

_PING: Final = b": keep-alive\n\n"
_PHASES: Final = {BlockKind.COMMENTARY: "commentary"}


@attrs.define(eq=False)
class ResponsesStreamWriter:
    """Writes the events of one answer (`turnout.serving.inbound.StreamWriter`).

    An opaque part that no event has brought is taken from the answer at the end.
    """

    _inbound: InboundChat
    _answerer: Answerer
    _ids: ItemIds = attrs.field(init=False)
    _blocks: BlockSequencer = attrs.field(factory=BlockSequencer, init=False)
    _opaque_parts: OpaqueParts = attrs.field(factory=OpaqueParts, init=False)
    _output: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _sequence: int = attrs.field(default=0, init=False)
    _item_id: str = attrs.field(default="", init=False)
    _pieces: list[str] = attrs.field(factory=list, init=False)
    _before_delta: bytes = attrs.field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        self._ids = ItemIds(self._answerer.id)

    def opening(self) -> bytes:
        """Return `response.created` and `response.in_progress`."""
        response = response_object(self._inbound, self._answerer, [], None)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def events(self, events: Iterable[Event], partial: Partial) -> bytes:
        pieces: list[bytes] = []
        blocks = self._blocks
        for event in events:
            if type(event) is Token and blocks.open is BlockKind.TEXT:
                pieces.append(self._delta(event.delta))  # most events, without the detour
                continue
            pieces += [self._step(step, partial) for step in blocks.receive(event)]
            if type(event) is End:
                pieces.append(self._end(event, partial()))
        return b"".join(pieces)

    def ping(self) -> bytes:
        return _PING

    def error(self, error: ServedError, request_id: str) -> bytes:
        # Both events: the SDK for Python raises nothing for `response.failed` alone, and others read only that.
        failed = response_object(self._inbound, self._answerer, self._output, None)
        failed |= {"status": "failed", "error": {"code": error.code, "message": error.message}}
        return self._event("response.failed", response=failed) + b"event: error\ndata: %b\n\n" % (
            b'{"type":"error",' + build_chat_error(error)[1:]
        )

    def _event(self, type: str, **fields: Any) -> bytes:
        data = encode({"type": type, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (type.encode(), data)

    # -- items --------------------------------------------------------------------------------------------------

    def _step(self, step: Step, partial: Partial) -> bytes:
        match step:
            case BlockDelta(delta):
                return self._delta(delta)
            case BlockOpened(kind, call):
                return self._open(kind, call, partial().message)
            case BlockClosed():
                return self._close(step, partial().message)
            case WholePart(part):
                return self._part(part, partial().message)
            case _:
                assert_never(step)

    def _delta(self, delta: str) -> bytes:
        self._pieces.append(delta)
        written = self._before_delta % (self._sequence, encode_text(delta))
        self._sequence += 1
        return written

    def _prepare(self, type: str, **fields: Any) -> None:
        """Prepare the event of a delta, so that each one costs its JSON string only."""
        head = encode({"type": type, "item_id": self._item_id, "output_index": len(self._output), **fields})
        head = head.replace(b"%", b"%%")
        self._before_delta = b"event: %b\ndata: " % type.encode() + head[:-1] + b',"sequence_number":%d,"delta":%b}\n\n'

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": len(self._output)}

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _done(self, item: dict[str, Any]) -> bytes:
        written = self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return written

    def _open(self, kind: BlockKind, call: int, message: Message) -> bytes:
        self._pieces = []
        match kind:
            case BlockKind.TEXT | BlockKind.COMMENTARY:
                self._item_id = self._ids.next("msg")
                self._prepare("response.output_text.delta", content_index=0, logprobs=[])
                added = self._added(message_item(self._item_id, [], "in_progress", phase=_PHASES.get(kind)))
                return added + self._event(
                    "response.content_part.added", **self._place(), content_index=0, part=text_part("")
                )
            case BlockKind.REFUSAL:
                self._item_id = self._ids.next("msg")
                self._prepare("response.refusal.delta", content_index=0)
                added = self._added(message_item(self._item_id, [], "in_progress"))
                return added + self._event(
                    "response.content_part.added", **self._place(), content_index=0, part=refusal_part("")
                )
            case BlockKind.REASONING:
                self._item_id = self._ids.next("rs")
                self._prepare("response.reasoning_summary_text.delta", summary_index=0)
                added = self._added(reasoning_item(self._item_id, "", None, None))
                part = {"type": "summary_text", "text": ""}
                return added + self._event(
                    "response.reasoning_summary_part.added", **self._place(), summary_index=0, part=part
                )
            case BlockKind.CALL:
                self._item_id = self._ids.next("fc")
                self._prepare("response.function_call_arguments.delta")
                made = attrs.evolve(message.tool_calls[call], arguments="")
                return self._added(call_item(self._item_id, made, message, "in_progress"))
            case _:
                assert_never(kind)

    def _close(self, step: BlockClosed, message: Message) -> bytes:
        text, place = "".join(self._pieces), self._place()
        match step.kind:
            case BlockKind.TEXT | BlockKind.COMMENTARY:
                place["content_index"] = 0
                part = text_part(text)
                return (
                    self._event("response.output_text.done", **place, text=text, logprobs=[])
                    + self._event("response.content_part.done", **place, part=part)
                    + self._done(message_item(self._item_id, [part], phase=_PHASES.get(step.kind)))
                )
            case BlockKind.REFUSAL:
                place["content_index"] = 0
                part = refusal_part(text)
                return (
                    self._event("response.refusal.done", **place, refusal=text)
                    + self._event("response.content_part.done", **place, part=part)
                    + self._done(message_item(self._item_id, [part]))
                )
            case BlockKind.REASONING:
                place["summary_index"] = 0
                item = reasoning_item(self._item_id, text, step.signature, message.origin)
                part = {"type": "summary_text", "text": text}
                return (
                    self._event("response.reasoning_summary_text.done", **place, text=text)
                    + self._event("response.reasoning_summary_part.done", **place, part=part)
                    + self._done(item)
                )
            case BlockKind.CALL:
                made = attrs.evolve(message.tool_calls[step.call], arguments=text)
                return self._event(
                    "response.function_call_arguments.done", **place, name=made.name, arguments=text
                ) + self._done(call_item(self._item_id, made, message))
            case _:
                assert_never(step.kind)

    def _part(self, part: Image | Audio | Opaque, message: Message) -> bytes:
        """Write a part that is a separate item."""
        match part:
            case Image():
                item = image_item(self._ids.next("ig"), part)
            case Audio():
                item = None  # this protocol has no item for sound
            case Opaque():
                self._opaque_parts.note(part)
                is_position = position_of(part, message.origin) is not None
                item = None if is_position else opaque_item(part, message.origin, self._ids)
            case _:
                assert_never(part)
        return self._added(item) + self._done(item) if item is not None else b""

    def _opaque(self, message: Message) -> bytes:
        """Write the opaque parts that no event has brought."""
        written = b""
        for part in self._opaque_parts.rest(message):
            item = opaque_item(part, message.origin, self._ids)
            if item is not None:
                written += self._added(item) + self._done(item)
        return written

    # -- the end ------------------------------------------------------------------------------------------------

    def _end(self, end: End, response: ChatResponse) -> bytes:
        written = self._opaque(response.message)
        final = attrs.evolve(
            response, finish_reason=end.finish_reason, raw_finish_reason=end.raw_finish_reason, usage=end.usage
        )
        document = response_object(self._inbound, self._answerer, self._output, final)
        written += self._event(f"response.{document['status']}", response=document)
        if end.finish_reason is FinishReason.ERROR:
            error = encode({"type": "error", "error": {**FAILED, "type": "server_error", "param": None}})
            written += b"event: error\ndata: %b\n\n" % error
        return written
