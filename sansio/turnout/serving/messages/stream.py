"""Writes streamed answers of Messages.

Source: the Messages API reference (platform.claude.com), "Streaming Messages".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

import attrs

from turnout.chat import ChatResponse, FinishReason
from turnout.events import End, Event, Token
from turnout.messages import Message, Opaque
from turnout.serving.blocks import BlockClosed, BlockDelta, BlockKind, BlockOpened, BlockSequencer, Step, WholePart
from turnout.serving.continuity import client_call_id
from turnout.serving.errors import ServedError
from turnout.serving.inbound import Answerer, InboundChat, Partial
from turnout.serving.messages.response import (
    FAILED_ANSWER,
    opaque_block,
    signature_of,
    stop_reason,
)
from turnout.serving.opaque_parts import OpaqueParts, position_of
from turnout.serving.request_json import encode, encode_text
from turnout.serving.usage import messages_usage

__all__ = ["MessagesStreamWriter", "build_messages_error"]

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_BEFORE_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{%b'
_AFTER_DELTA: Final = b"}}\n\n"
_DELTA_FIELDS: Final = {
    BlockKind.TEXT: b'"type":"text_delta","text":',
    BlockKind.COMMENTARY: b'"type":"text_delta","text":',
    BlockKind.REFUSAL: b'"type":"text_delta","text":',
    BlockKind.REASONING: b'"type":"thinking_delta","thinking":',
    BlockKind.CALL: b'"type":"input_json_delta","partial_json":',
}


def build_messages_error(error: ServedError, request_id: str) -> bytes:
    """Return the body of an error."""
    fields = {"type": error.messages_type, "message": error.message}
    return encode({"type": "error", "error": fields, "request_id": request_id or None})


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode({"type": name, **fields}))


@attrs.define(eq=False)
class MessagesStreamWriter:
    """Writes the events of one answer (`turnout.serving.inbound.StreamWriter`).

    An opaque part that no event has brought is taken from the answer at the end.
    """

    _inbound: InboundChat
    _answerer: Answerer
    _blocks: BlockSequencer = attrs.field(factory=BlockSequencer, init=False)
    _index: int = attrs.field(default=-1, init=False)  # of the newest block
    _before_delta: bytes = attrs.field(default=b"", init=False)
    _opaque_parts: OpaqueParts = attrs.field(factory=OpaqueParts, init=False)

    def opening(self) -> bytes:
        """Return `message_start`. The tokens of the prompt are not known yet."""
        message: dict[str, Any] = {
            "id": f"msg_{self._answerer.id}",
            "type": "message",
            "role": "assistant",
            "model": self._inbound.model_name,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return _event("message_start", {"message": message})

    def events(self, events: Iterable[Event], partial: Partial) -> bytes:
        pieces: list[bytes] = []
        blocks = self._blocks
        for event in events:
            if type(event) is Token and blocks.open is BlockKind.TEXT:  # most events, without the detour
                pieces += (self._before_delta, encode_text(event.delta), _AFTER_DELTA)
                continue
            pieces += [self._step(step, partial) for step in blocks.receive(event)]
            if type(event) is End:
                pieces.append(self._end(event, partial()))
        return b"".join(pieces)

    def ping(self) -> bytes:
        return _PING

    def error(self, error: ServedError, request_id: str) -> bytes:
        return b"event: error\ndata: %b\n\n" % build_messages_error(error, request_id)

    # -- blocks -------------------------------------------------------------------------------------------------

    def _step(self, step: Step, partial: Partial) -> bytes:
        match step:
            case BlockDelta(delta):
                return self._delta(delta)
            case BlockOpened(kind, call):
                message = partial().message
                written = self._start(_opened(kind, call, message))
                self._prepare(_DELTA_FIELDS[kind])
                return written
            case BlockClosed(kind, _, signature):
                signed = self._signature(signature, partial().message) if kind is BlockKind.REASONING else b""
                return signed + self._stop()
            case WholePart(part):
                if not isinstance(part, Opaque):
                    return b""  # this protocol has no block for media of a model
                self._opaque_parts.note(part)
                origin = partial().message.origin
                block = opaque_block(part, origin) if position_of(part, origin) is None else None
                return self._whole(block) if block is not None else b""
            case _:
                assert_never(step)

    def _delta(self, delta: str) -> bytes:
        return self._before_delta + encode_text(delta) + _AFTER_DELTA

    def _prepare(self, fields: bytes) -> None:
        """Prepare the deltas of the newest block, so that each one costs its JSON string only."""
        self._before_delta = _BEFORE_DELTA % (self._index, fields)

    def _start(self, block: object) -> bytes:
        self._index += 1
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _stop(self) -> bytes:
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index

    def _whole(self, block: object) -> bytes:
        return self._start(block) + self._stop()

    def _signature(self, signature: str | None, message: Message) -> bytes:
        """Write the signature of the reasoning that ends, with its origin if that is not Anthropic."""
        packed = signature_of(signature, message.origin)
        if not packed:
            return b""
        self._prepare(b'"type":"signature_delta","signature":')
        return self._delta(packed)

    def _opaque(self, message: Message) -> bytes:
        """Write the opaque parts that no event has brought."""
        parts = self._opaque_parts.rest(message)
        blocks = (opaque_block(part, message.origin) for part in parts)
        return b"".join(self._whole(block) for block in blocks if block is not None)

    # -- the end ------------------------------------------------------------------------------------------------

    def _end(self, end: End, response: ChatResponse) -> bytes:
        if end.finish_reason is FinishReason.ERROR:
            return self.error(FAILED_ANSWER, "")
        written = self._opaque(response.message)
        delta = {"stop_reason": stop_reason(end.finish_reason, end.raw_finish_reason), "stop_sequence": None}
        written += _event("message_delta", {"delta": delta, "usage": messages_usage(end.usage)})
        return written + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def _opened(kind: BlockKind, call: int, message: Message) -> dict[str, Any]:
    match kind:
        case BlockKind.TEXT | BlockKind.COMMENTARY | BlockKind.REFUSAL:
            return {"type": "text", "text": ""}
        case BlockKind.REASONING:
            return {"type": "thinking", "thinking": "", "signature": ""}
        case BlockKind.CALL:
            made = message.tool_calls[call]
            return {"type": "tool_use", "id": client_call_id(made, message), "name": made.name, "input": {}}
        case _:
            assert_never(kind)
