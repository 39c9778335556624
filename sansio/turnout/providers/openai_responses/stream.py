"""The stream events and whole bodies of the Responses API, read into a `ResponseAccumulator`.

Source: the OpenAI API reference, "Responses" and its streaming events.

A response is a list of items: messages, reasoning, calls, and what ran at the provider. The same words may be sent up
to four times: in deltas, at the end of their part, at the end of their item, and in the terminal event. Nothing goes
to the caller twice, and whatever a later event adds does: a server that sends no deltas loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from turnout.chat import FinishReason
from turnout.errors import InvalidRequest, RemoteProtocolError, TurnoutError
from turnout.events import AudioDelta, Event, PartReady
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import ErrorDetails, parse_error
from turnout.providers.decoding.media import AudioBuilder, image_of
from turnout.providers.decoding.tool_call_fragments import known_id
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, raw_bytes
from turnout.providers.openai_responses.kept_items import EMPTY_MESSAGE, kept_item, waits_for_caller
from turnout.providers.openai_responses.output_items import (
    MAX_ITEMS,
    Kind,
    OutputItem,
    OutputItems,
    Words,
    arguments_of,
)
from turnout.providers.openai_responses.wire import CALLS, Content, Item, StreamEvent, WholeResponse, usage_of

__all__ = ["RESPONSE", "ResponseReader"]

RESPONSE = LenientDecoder(WholeResponse)
_EVENT = LenientDecoder(StreamEvent)
_ITEM = LenientDecoder(Item)

# The type of the item that a text belongs to.
_ITEM_OF: dict[Kind, str] = {
    "text": "message",
    "refusal": "message",
    "summary": "reasoning",
    "content": "reasoning",
    "arguments": "function_call",
    "input": "custom_tool_call",
}
_DELTAS: dict[str, Kind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "content",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
_ENDS: dict[str, Kind] = {f"{name.removesuffix('delta')}done": kind for name, kind in _DELTAS.items()}
_OF_PART: dict[str, Kind] = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "content",
    "summary_text": "summary",
}
# Those of a message: there `text` can only be its words.
_OF_MESSAGE: dict[str, Kind] = {"output_text": "text", "text": "text", "refusal": "refusal"}
_FAILED = frozenset({"failed", "cancelled"})
_UNFINISHED = frozenset({"queued", "in_progress"})


@attrs.define(eq=False)
class ResponseReader:
    """Reads events, or a whole response (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        ceiling: The tokens that the request allows for the answer, if it has a limit.
        in_background: Whether the request is for a response in the background.
        done: Whether the terminal event was read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    ceiling: int | None = None
    in_background: bool = False
    done: bool = False
    _items: OutputItems = attrs.field(factory=OutputItems)
    _at: object = None  # the part that gets text now
    _waiting: dict[str, None] = attrs.field(factory=dict)  # the tasks of the caller, by the ids of the calls
    _is_cut: bool = False  # whether an item is marked as incomplete
    _audio: AudioBuilder | None = None

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> TurnoutError | None:
        """See `ChunkReader.read_chunk`."""
        chunk = _EVENT.decode(data)
        if chunk is None:
            if data.strip() == b"[DONE]":
                return None  # OpenRouter's; the response has ended with its terminal event, or was cut
            raise ValueError("no JSON object")
        kind = chunk.type or event
        delta = _DELTAS.get(kind)
        if delta is not None and self._is_for_caller(_ITEM_OF[delta]):
            if chunk.delta:
                self._add(self._item_of(chunk, _ITEM_OF[delta]), delta, _index(chunk), chunk.delta, events)
            if chunk.logprobs:
                self._add_logprobs(self._item_of(chunk, _ITEM_OF[delta]), chunk, events, more=True)
            self.accumulator.raw = data
            return None
        if chunk.error or kind == "error":
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        end = _ENDS.get(kind)
        if end is not None and self._is_for_caller(_ITEM_OF[end]):
            self._end_of_part(chunk, end, events)
            return None
        if kind in _TERMINAL:
            self.done = True
            response = chunk.response if chunk.response is not None else WholeResponse()
            if response.status is None or response.status in _UNFINISHED:
                response.status = _TERMINAL[kind]
            return self.apply(response, data, events)
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, chunk, events)
        elif chunk.response is not None and kind.startswith("response."):
            self.accumulator.raw = data
            self._read_life(chunk.response)
        return None

    def read_document(self, document: object, data: bytes, events: list[Event]) -> TurnoutError | None:
        """See `ChunkReader.read_document`."""
        if isinstance(document, dict) and isinstance(document.get("output"), list):
            response = RESPONSE.fit(document)
            return self.apply(response, data, events) if response is not None else None
        return self.dialect.in_band_error(document, data, self.headers)

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`."""
        if self._audio is not None:
            events.append(PartReady(self._audio.build()))
            self._audio = None

    def apply(self, response: WholeResponse, data: bytes, events: list[Event]) -> TurnoutError | None:
        """Read a whole response. The caller gets only the pieces that no event had."""
        self.accumulator.raw = data
        self._read_life(response)
        raws = [bytes(raw) for raw in response.output or ()][:MAX_ITEMS]
        entries = [_ITEM.decode(raw) for raw in raws]
        for entry, raw, item in zip(entries, raws, self._items.of_output(entries), strict=True):
            if entry is None or not entry.type:
                self.accumulator.skipped += 1
                continue
            item = item or self._begin(entry, entry.type, None)
            item.claimed = True
            self._end_item(item, entry, raw, events)
        return self._finish(response, data)

    def _finish(self, response: WholeResponse, data: bytes) -> TurnoutError | None:
        """Note how the response ended, and return an error if it did not."""
        accumulator, status = self.accumulator, response.status
        if status in _UNFINISHED and not response.error:
            if self.in_background:
                return InvalidRequest(
                    f"the provider runs the response in the background (it is {status}), and Turnout does not wait for "
                    "it; leave out `background`",
                    provider=self.dialect.name,
                    code=status,
                )
            return RemoteProtocolError(f"{self.dialect.name}: the response is not finished: it is {status}")
        details = response.incomplete_details
        reason = details.reason if details is not None and status == "incomplete" else None
        meaning = None
        if status == "completed":
            ceiling = response.max_output_tokens or self.ceiling
            written = accumulator.usage.completion_tokens
            if self._is_cut or (ceiling and written is not None and written >= ceiling and not accumulator.calls):
                meaning = FinishReason.LENGTH
            elif self._waiting:
                meaning = FinishReason.TOOL_CALLS
        accumulator.finish(reason or status, meaning)
        if response.error:
            return self.dialect.error(parse_error({"error": response.error}), self.headers, data)
        if status in _FAILED:
            message = f"the response is {status}, and does not say why"
            return self.dialect.error(ErrorDetails(message=message, text=message), self.headers, data)
        return None

    def _read_life(self, response: WholeResponse) -> None:
        """Read the fields that every event of a response's life has."""
        accumulator = self.accumulator
        accumulator.response_id = accumulator.response_id or response.id
        accumulator.served_model = accumulator.served_model or response.model
        if response.usage is not None:
            accumulator.usage = usage_of(response.usage, response.service_tier)

    # -- events -------------------------------------------------------------------------------------------------

    def _part(self, chunk: StreamEvent, events: list[Event]) -> None:
        part = chunk.part
        if part is not None and (kind := _OF_PART.get(part.type or "")) is not None:
            words = _words(part, kind)
            if words:
                self._complete(self._item_of(chunk, _ITEM_OF[kind]), kind, _index(chunk), words, events)

    def _item_added(self, chunk: StreamEvent, events: list[Event]) -> None:
        decoded = self._decoded(chunk)
        if decoded is None:
            return
        item, kind, _ = decoded
        known = self._items.of_beginning(item, chunk.output_index) or self._begin(item, kind, chunk.output_index)
        self._items.note_ids(known, (item.id,), item.call_id)
        if kind in CALLS and self._is_for_caller(kind):
            self._name_call(known, item, item.call_id, events)

    def _item_done(self, chunk: StreamEvent, events: list[Event]) -> None:
        decoded = self._decoded(chunk)
        if decoded is None:
            return
        item, kind, raw = decoded
        known = self._items.of_end(item, chunk.output_index) or self._begin(item, kind, chunk.output_index)
        self._end_item(known, item, raw, events)

    def _annotation_added(self, chunk: StreamEvent, events: list[Event]) -> None:
        if chunk.annotation:
            item, index = self._item_of(chunk, "message"), _index(chunk)
            item.cited[index] = item.cited.get(index, 0) + 1
            self.accumulator.cite([chunk.annotation])

    def _audio_delta(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._add_audio({"data": chunk.delta}, events)

    def _transcript_delta(self, chunk: StreamEvent, events: list[Event]) -> None:
        self._add_audio({"transcript": chunk.delta}, events)

    def _add_audio(self, piece: dict[str, Any], events: list[Event]) -> None:
        if self._audio is None:
            self._audio = AudioBuilder()
            self.accumulator.growing_part(self._audio)
        sound, text = self._audio.add(piece)
        if sound or text:
            events.append(AudioDelta(sound, text))

    # -- items --------------------------------------------------------------------------------------------------

    def _decoded(self, chunk: StreamEvent) -> tuple[Item, str, bytes] | None:
        raw = raw_bytes(chunk.item)
        item = _ITEM.decode(raw) if raw else None
        if raw is None or item is None or not item.type:
            self.accumulator.skipped += raw is not None
            return None
        return item, item.type, raw

    def _is_for_caller(self, kind: str) -> bool:
        """Return whether an item of this type is the caller's; calls of tools that run at the provider are not."""
        return kind != "custom_tool_call" or self.dialect.account.spec.openai_compat.custom_tool_calls

    def _begin(self, item: Item | None, kind: str, index: int | None, id: str | None = None) -> OutputItem:
        if len(self._items) >= MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS} items")
        self.accumulator.end_part()
        self._at = None
        keep = self.accumulator.reserve_part()
        if item is None:
            made = self._items.begin(kind, keep, index, (id,))
        else:
            made = self._items.begin(kind, keep, index, (item.id, item.item_id), item.call_id)
            made.is_commentary = item.phase == "commentary"
        if kind == "message":
            keep(EMPTY_MESSAGE)
        return made

    def _item_of(self, chunk: StreamEvent, kind: str) -> OutputItem:
        index, id = chunk.output_index, chunk.item_id or chunk.id
        return self._items.of_delta(kind, index, id) or self._begin(None, kind, index, id)

    def _end_item(self, known: OutputItem, item: Item, raw: bytes, events: list[Event]) -> None:
        """Read an item that is whole."""
        self._items.note_ids(known, (item.id,), item.call_id)
        kind, is_for_caller = known.kind, self._is_for_caller(known.kind)
        if kind in CALLS and is_for_caller:
            self._name_call(known, item, known_id(item.call_id) or item.id, events)
            self._complete_call(known, item, events)
        adds_proof = item.encrypted_content is not None and not known.is_sealed
        is_repeated, known.is_sealed = known.whole, known.is_sealed or adds_proof
        if not is_repeated:
            self._items.end(known)
            self._is_cut = self._is_cut or item.status == "incomplete"
        if kind == "message":
            self._end_message(known, item, events)
        elif kind == "reasoning":
            for index, part in enumerate(item.parts):
                self._complete(known, "content", index, part.text, events)
            for index, part in enumerate(item.summary or ()):
                self._complete(known, "summary", index, part.text, events)
        elif waits_for_caller(kind, item.execution):
            self._waiting[item.call_id or item.id or ""] = None
        elif kind.endswith("_output") and item.call_id:
            self._waiting.pop(item.call_id, None)
        if is_repeated and not adds_proof:
            return
        call_id = self.accumulator.call_id(known.position) if known.position is not None else None
        kept = kept_item(kind, raw, call_id) if is_for_caller else raw
        known.keep(kept)
        if kept is raw:
            self.accumulator.announce_opaque(raw, events)
        if kind == "image_generation_call" and isinstance(item.result, str):
            image = image_of(item.result, f"image/{item.output_format}" if item.output_format else None)
            if image is not None:
                self.accumulator.whole_part(image, events)

    def _end_message(self, known: OutputItem, item: Item, events: list[Event]) -> None:
        if item.phase == "commentary" and not known.length:
            known.is_commentary = True
        for index, part in enumerate(item.parts):
            if (kind := _OF_MESSAGE.get(part.type or "")) is not None:
                self._complete(known, kind, index, _words(part, kind), events)
                taken = known.cited.get(index, 0)
                if part.annotations and len(part.annotations) > taken:
                    self.accumulator.cite(part.annotations[taken:])
                    known.cited[index] = len(part.annotations)
                if part.logprobs and index not in known.with_logprobs:
                    known.with_logprobs.add(index)
                    self.accumulator.add_logprobs_list(part.logprobs, events)

    # -- calls --------------------------------------------------------------------------------------------------

    def _name_call(self, known: OutputItem, item: Item, id: str | None, events: list[Event]) -> None:
        """Note the id and the name of a call, and the fields that go back with it."""
        known.name = known.name or item.name or None
        if known.position is None:
            extra = {"namespace": item.namespace, "caller": item.caller}
            known.position = self.accumulator.tool_fragment(
                events,
                id=id,
                name=item.name,
                extra={name: value for name, value in extra.items() if value},
                starts_call=True,
                is_custom_tool=known.kind == "custom_tool_call",
            )
        else:
            self.accumulator.complete_call(known.position, events, id=id, name=item.name)

    def _complete_call(self, known: OutputItem, item: Item, events: list[Event]) -> None:
        assert known.position is not None
        whole = item.input if known.kind == "custom_tool_call" else arguments_of(item.arguments)
        self.accumulator.complete_call(known.position, events, arguments=whole)
        if whole and not known.words:
            known.words["arguments", 0] = words = Words()  # they tell this call from others with its id
            words.add(whole)

    # -- words --------------------------------------------------------------------------------------------------

    def _add(self, item: OutputItem, kind: Kind, index: int, delta: str, events: list[Event]) -> None:
        """Add a piece of a text to its item, and to the response."""
        if kind in ("summary", "content"):
            item.voice = item.voice or kind
            if item.voice != kind:
                return
        item.words.setdefault((kind, index), Words()).add(delta)
        accumulator = self.accumulator
        if kind in ("arguments", "input"):
            if item.position is None:
                item.position = accumulator.tool_fragment(events, starts_call=True, is_custom_tool=kind == "input")
            accumulator.add_arguments(item.position, delta, events)
            return
        at = (item.number, kind, index)
        if self._at != at:
            accumulator.end_part()
            self._at = at
        if kind == "refusal":
            accumulator.refusal(delta, events)
        elif kind != "text":
            accumulator.reasoning(delta, events)
        elif item.is_commentary:
            accumulator.commentary(delta, events)
        else:
            accumulator.text(delta, events)

    def _complete(self, item: OutputItem, kind: Kind, index: int, whole: str | None, events: list[Event]) -> None:
        """Add the rest of a whole text behind its deltas. If it differs from them, they hold."""
        words = item.words.get((kind, index))
        rest = (whole if words is None else words.rest_of(whole)) if whole else None
        if rest:
            self._add(item, kind, index, rest, events)

    def _end_of_part(self, chunk: StreamEvent, kind: Kind, events: list[Event]) -> None:
        whole: str | None
        match kind:
            case "arguments":
                whole = arguments_of(chunk.arguments)
            case "input":
                whole = chunk.input
            case "refusal":
                whole = chunk.refusal
            case _:
                whole = chunk.text
        item = self._item_of(chunk, _ITEM_OF[kind])
        self._complete(item, kind, _index(chunk), whole, events)
        self._add_logprobs(item, chunk, events)

    def _add_logprobs(self, item: OutputItem, chunk: StreamEvent, events: list[Event], *, more: bool = False) -> None:
        """Add log probabilities. They are sent with each delta, and all of them again at the end."""
        index = _index(chunk)
        if chunk.logprobs and (more or index not in item.with_logprobs):
            item.with_logprobs.add(index)
            self.accumulator.add_logprobs_list(chunk.logprobs, events)


Handler = Callable[[ResponseReader, StreamEvent, list[Event]], None]
_HANDLERS: dict[str, Handler] = {
    "response.content_part.added": ResponseReader._part,
    "response.content_part.done": ResponseReader._part,
    "response.reasoning_summary_part.added": ResponseReader._part,
    "response.reasoning_summary_part.done": ResponseReader._part,
    "response.output_item.added": ResponseReader._item_added,
    "response.output_item.done": ResponseReader._item_done,
    "response.output_text.annotation.added": ResponseReader._annotation_added,
    "response.audio.delta": ResponseReader._audio_delta,
    "response.audio.transcript.delta": ResponseReader._transcript_delta,
}
# The terminal events, each with the status of a response that does not have one. `response.done` is OpenRouter's.
_TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
    "response.done": "completed",
}


def _index(chunk: StreamEvent) -> int:
    return chunk.content_index or chunk.summary_index or 0


def _words(part: Content, kind: Kind) -> str | None:
    return part.refusal if kind == "refusal" else part.text
