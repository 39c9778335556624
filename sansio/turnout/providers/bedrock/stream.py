"""Converse's stream messages and whole responses, read into a `ResponseAccumulator`.

Source: the Amazon Bedrock API reference, "ConverseStream", and the service's own model in botocore.

Text, reasoning and calls go to the caller as they are received. All other blocks (redacted reasoning, tools that run at
the provider, images) are collected until their end. Usage follows the stop reason, and is the last message.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import attrs

from turnout._utils.growing_text import GrowingText
from turnout.chat import Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.messages import Image
from turnout.providers.bedrock.frames import EXCEPTION
from turnout.providers.bedrock.wire import Answer, Block, CacheDetail, Delta, Reasoning, StreamEvent
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import aws_error_type, parse_error
from turnout.providers.decoding.media import image_of
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, is_shallow, raw_bytes, raw_text

__all__ = ["ANSWER", "ConverseReader"]

ANSWER = LenientDecoder(Answer)
_BLOCK = LenientDecoder(Block)
_EVENT = LenientDecoder(StreamEvent)
# Characters that a text of its own is worth in memory, beside its characters.
_TEXT_SIZE = 60
# The statuses that the service's model gives to exceptions.
_STATUSES = {
    "validationexception": 400,
    "modelstreamerrorexception": 424,
    "throttlingexception": 429,
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
}


@attrs.define(eq=False)
class _OpenBlock:
    """A block that the vocabulary lacks, without its end.

    Attributes:
        kind: The block's only field.
        fields: The fields in it.
        pieces: The text of its input, if that is received in pieces.
        results: The results of a tool that runs at the provider.
    """

    kind: str
    fields: dict[str, Any]
    pieces: GrowingText = attrs.field(factory=GrowingText)
    results: list[Any] = attrs.field(factory=list)

    def extend(self, delta: Any) -> None:
        """Take a delta."""
        if isinstance(delta, list):
            self.results += [result for result in delta if is_shallow(result)]
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if name == "input" and isinstance(value, str):
                self.pieces.add(value)
            elif is_shallow(value):
                self.fields[name] = value

    def build(self) -> dict[str, Any] | None:
        """Return the block as it goes back; None if its input is not whole."""
        fields = dict(self.fields)
        if self.results:
            fields["content"] = _with_joined_texts([*_listed(fields.get("content")), *self.results])
        if self.pieces:
            try:
                fields["input"] = decode_any(str(self.pieces).encode())
            except ValueError:
                return None
        elif self.kind == "toolUse":
            fields.setdefault("input", {})
        return {self.kind: fields} if is_shallow(fields) else None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _with_joined_texts(results: list[Any]) -> list[Any]:
    """Return the results of a tool, with neighbouring texts joined: a stream cuts them."""
    joined: list[Any] = []
    pieces: list[str] = []
    for result in [*results, None]:
        text = result.get("text") if isinstance(result, dict) else None
        if isinstance(text, str):
            pieces.append(text)
            continue
        if pieces:
            joined.append({"text": "".join(pieces)})
            pieces = []
        if result is not None:
            joined.append(result)
    return joined


@attrs.define(eq=False)
class ConverseReader:
    """Reads events, or a whole response (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        done: Whether the stop reason and the usage were read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _at: int | None = None
    _open: dict[int | None, _OpenBlock] = attrs.field(factory=dict)
    _redacted: dict[int | None, list[str]] = attrs.field(factory=dict)
    _stopped: bool = False
    _counted: bool = False

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        if event == EXCEPTION:
            return self._exception(data)
        chunk = _EVENT.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        if event == "contentBlockDelta":
            if chunk.delta is not None:
                self._delta(chunk.content_block_index, chunk.delta, data, events)
        elif (handle := _HANDLERS.get(event)) is not None:
            handle(self, chunk, events)
        else:
            return None  # the start, which has only the role, or an event of a later date
        self.accumulator.raw = data
        self.done = self._stopped and self._counted
        return None

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        answer = ANSWER.decode(data)
        if answer is None or answer.output is None:
            return self.dialect.in_band_error(document, data, self.headers)
        self.accumulator.raw = data
        self.apply(answer, events)
        return None

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`."""
        for index in {**self._open, **self._redacted}:
            self._stop(index, events)

    def apply(self, answer: Answer, events: list[Event]) -> None:
        """Read a whole response."""
        message = answer.output.message if answer.output is not None else None
        for index, raw in enumerate((message.content if message is not None else None) or ()):
            self._whole_block(index, bytes(raw), events)
        self.accumulator.finish(answer.stop_reason)
        self._keep_fields(answer)
        self._report_usage(answer)

    def _exception(self, data: bytes) -> ProviderError:
        details = parse_error(decode_any(data))
        status = next((_STATUSES.get(aws_error_type(code).lower()) for code in details.codes), None)
        return self.dialect.error(attrs.evolve(details, status=status or details.status), self.headers, data)

    # -- events -------------------------------------------------------------------------------------------------

    def _block_started(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._start(chunk.content_block_index, chunk.start or {}, events)

    def _block_stopped(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._stop(chunk.content_block_index, events)

    def _message_stopped(self, chunk: StreamEvent, events: list[Event]) -> None:
        self.accumulator.finish(chunk.stop_reason)
        self._keep_fields(chunk)
        self._stopped = True

    def _metadata(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._keep_fields(chunk)
        self._report_usage(chunk)
        self._counted = True

    # -- blocks of a whole response -----------------------------------------------------------------------------

    def _whole_block(self, index: int, raw: bytes, events: list[Event]) -> None:
        block, accumulator = _BLOCK.decode(raw), self.accumulator
        if block is None:
            accumulator.skipped += 1
            return
        accumulator.end_part()
        reasoning, call = block.reasoning_content, block.tool_use
        if block.text is not None:
            accumulator.text(block.text, events)
        elif call is not None and call.type != "server_tool_use":
            arguments = (raw_bytes(call.input) or b"").decode("utf-8", "replace")
            accumulator.tool_fragment(
                events, id=call.tool_use_id, index=index, name=call.name, arguments=arguments, starts_call=True
            )
        elif reasoning is not None and reasoning.redacted_content is None:
            self._reasoning(index, reasoning, events)
        elif block.citations_content is not None:
            for cited in block.citations_content.content or ():
                accumulator.text(cited.text or "", events)
            if block.citations_content.citations:
                accumulator.cite(block.citations_content.citations)
        elif (image := _image(decode_any(raw))) is not None:
            accumulator.whole_part(image, events)
        else:
            accumulator.opaque(raw, events)
        accumulator.end_part()

    # -- blocks of a stream -------------------------------------------------------------------------------------

    def _start(self, index: int | None, start: dict[str, Any], events: list[Event]) -> None:
        self._stop(index, events)
        self._move(index)
        for kind, value in start.items():
            fields = value if isinstance(value, dict) and is_shallow(value) else {}
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
            self.accumulator.opaque_size.add(len(data))
            block.extend(wire.get(block.kind) if isinstance(wire, dict) else None)
        elif delta.tool_use is not None:
            accumulator.tool_fragment(events, index=index, arguments=raw_text(delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._reasoning(index, delta.reasoning_content, events)
        elif delta.citation:
            accumulator.cite([delta.citation])
        else:
            self._begin_unknown(index, data)

    def _begin_unknown(self, index: int | None, data: bytes) -> None:
        """Begin a block that starts with a delta: an image, or a block of a later date."""
        wire = decode_any(data).get("delta")
        for kind, value in wire.items() if isinstance(wire, dict) else ():
            if isinstance(value, dict | list) and kind not in ("toolUse", "reasoningContent", "citation"):
                block = self._open[index] = _OpenBlock(kind, {})
                block.extend(value)
                return

    def _reasoning(self, index: int | None, wire: Reasoning, events: list[Event]) -> None:
        """Read reasoning: a delta, or all of it."""
        reasoning = wire.reasoning_text or wire
        self.accumulator.reasoning(reasoning.text or "", events)
        if reasoning.signature:
            self.accumulator.set_signature("reasoning", reasoning.signature, events)
        if wire.redacted_content:
            self.accumulator.opaque_size.add(len(wire.redacted_content) + _TEXT_SIZE)
            self._redacted.setdefault(index, []).append(wire.redacted_content)

    def _stop(self, index: int | None, events: list[Event]) -> None:
        block, redacted = self._open.pop(index, None), self._redacted.pop(index, None)
        kept = block.build() if block is not None else None
        if redacted is not None:
            kept = {"reasoningContent": {"redactedContent": _joined(redacted)}}
        if kept is not None:
            image = _image(kept)
            if image is not None:
                self.accumulator.whole_part(image, events)
            else:
                self.accumulator.opaque(encode(kept), events)
        if index == self._at:
            self.accumulator.end_part()

    def _move(self, index: int | None) -> None:
        self.accumulator.end_part()
        self._at = index

    # -- the end ------------------------------------------------------------------------------------------------

    def _keep_fields(self, answer: Answer | StreamEvent) -> None:
        """Keep the fields of the response that no part holds, and the model that a router chose."""
        fields = {"trace": answer.trace, "additionalModelResponseFields": answer.additional_model_response_fields}
        self.accumulator.extra |= {name: value for name, value in fields.items() if value and is_shallow(value)}
        router = answer.trace.get("promptRouter") if answer.trace is not None else None
        model = router.get("invokedModelId") if isinstance(router, dict) else None
        if isinstance(model, str):
            self.accumulator.served_model = model

    def _report_usage(self, answer: Answer | StreamEvent) -> None:
        wire, tier = answer.usage, answer.service_tier
        if wire is None:
            return
        # `inputTokens` leaves out the tokens that the cache read and wrote.
        parts = (wire.input_tokens, wire.cache_read_input_tokens, wire.cache_write_input_tokens)
        self.accumulator.usage = Usage(
            prompt_tokens=None if wire.input_tokens is None else sum(part or 0 for part in parts),
            completion_tokens=wire.output_tokens,
            cached_tokens=wire.cache_read_input_tokens,
            cache_write_tokens=wire.cache_write_input_tokens,
            cache_write_1h_tokens=_kept_for("1h", wire.cache_details),
            service_tier=tier.type if tier is not None else None,
        )


Handler = Callable[[ConverseReader, StreamEvent, list[Event]], None]
_HANDLERS: dict[str, Handler] = {
    "contentBlockStart": ConverseReader._block_started,
    "contentBlockStop": ConverseReader._block_stopped,
    "messageStop": ConverseReader._message_stopped,
    "metadata": ConverseReader._metadata,
}


def _image(block: dict[str, Any]) -> Image | None:
    """Return the image of a block; None if the block is none, or has its image elsewhere."""
    fields = block.get("image")
    source = fields.get("source") if isinstance(fields, dict) else None
    data = source.get("bytes") if isinstance(source, dict) else None
    if not isinstance(fields, dict) or not isinstance(data, str):
        return None
    return image_of(data, f"image/{fields['format']}" if isinstance(fields.get("format"), str) else None)


def _kept_for(ttl: str, writes: list[CacheDetail] | None) -> int | None:
    """Return the tokens that the cache keeps for this time; None if the response does not list its writes."""
    return None if writes is None else sum(write.input_tokens or 0 for write in writes if write.ttl == ttl)


def _joined(pieces: list[str]) -> str:
    """Return the base64 of all bytes: each piece is base64 for itself."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except binascii.Error:
        return "".join(pieces)
