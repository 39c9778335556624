"""The stream events and whole answers of the Responses API, read into an accumulator.

Source: the OpenAI API reference, "Responses" and its streaming events.

An answer is a list of items: messages, reasoning, calls, and what ran at the provider. The same words may come up to
four times: in deltas, at the end of their part, at the end of their item, and in the terminal event. What was told
already is not told again, and what a later place adds is told there: a server that sends no deltas loses nothing.

Every item leaves an opaque piece in the message, in its place, for the next turn must hold it unchanged: of a message
and a call all but what parts and calls of the vocabulary hold (`turnout.providers.openai_responses.items`),
of all others the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import attrs

from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import ErrorDetails, parse_error
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, raw_bytes
from turnout.providers.openai_responses.wire import CALLS, WORDS, Content, Item, StreamEvent, WholeResponse, usage_of

__all__ = ["RESPONSE", "ResponseReader"]

RESPONSE = LenientDecoder(WholeResponse)
_EVENT = LenientDecoder(StreamEvent)
_ITEM = LenientDecoder(Item)

Kind = Literal["text", "refusal", "summary", "content", "arguments", "input"]
# What is known of an item by a delta for it, where its beginning did not come.
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
_OF_PART: dict[str, Kind] = {"output_text": "text", "refusal": "refusal", "reasoning_text": "content"}
_TERMINAL = frozenset(
    # The last is OpenRouter's word for any end: the response has a status of its own.
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
)
_FAILED = frozenset({"failed", "cancelled"})


@attrs.define(eq=False)
class _OpenItem:
    """An item of the answer, from its first sign on.

    number     among the items of the answer
    keep       puts the opaque piece into the item's place in the message
    told       what was told of each of its parts
    voice      of reasoning: whether its summary is told, or its content; never both, for they say the same
    cited      how many annotations of each part were taken
    weighed    the parts whose log probabilities were taken
    called     of a call: whether anything of it is in the accumulator
    claimed    whether the terminal event told of it, too
    """

    number: int
    kind: str
    keep: Callable[[bytes], None]
    told: dict[tuple[Kind, int], list[str]] = attrs.field(factory=dict)
    voice: Kind | None = None
    cited: dict[int, int] = attrs.field(factory=dict)
    weighed: set[int] = attrs.field(factory=set)
    called: bool = False
    whole: bool = False
    claimed: bool = False


@attrs.define(eq=False)
class ResponseReader:
    """Reads events, or a whole response, into a response (`turnout.providers.decoding.stream_reader.ChunkReader`)."""

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _items: dict[object, _OpenItem] = attrs.field(factory=dict)  # by the place in the output, else by id
    _ids: dict[str, _OpenItem] = attrs.field(factory=dict)
    _unplaced: list[_OpenItem] = attrs.field(factory=list)  # those with neither: an event is for the last of a kind
    _count: int = 0
    _at: object = None

    def read(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        chunk = _EVENT.decode(data)
        if chunk is None:
            if data.strip() == b"[DONE]":
                return None  # OpenRouter's; the answer has ended with its terminal event, or was cut
            raise ValueError("no JSON object")
        kind = chunk.type or event
        delta = _DELTAS.get(kind)
        if delta is not None and self._for_the_caller(_ITEM_OF[delta]):
            if chunk.delta:
                self._tell(self._item_of(chunk, delta), delta, _index(chunk), chunk.delta, events)
            if chunk.logprobs:
                self._weigh(self._item_of(chunk, delta), _index(chunk), chunk.logprobs, more=True)
            self.accumulator.raw = data
            return None
        if chunk.error or kind == "error":
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        if kind in _ENDS and self._for_the_caller(_ITEM_OF[_ENDS[kind]]):
            self._end_of_part(chunk, _ENDS[kind], events)
        elif kind == "response.content_part.added":
            if chunk.part is not None and (part := _OF_PART.get(chunk.part.type or "")) is not None:
                self._rest(self._item_of(chunk, part), part, _index(chunk), _words(chunk.part, part), events)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            if raw := raw_bytes(chunk.item):
                self._item(raw, chunk.output_index, kind.endswith("done"), events)
        elif kind == "response.output_text.annotation.added":
            if chunk.annotation:
                item, index = self._item_of(chunk, "text"), _index(chunk)
                item.cited[index] = item.cited.get(index, 0) + 1
                self.accumulator.citations.append(chunk.annotation)
        elif kind in _TERMINAL:
            self.done = True
            response = chunk.response if chunk.response is not None else WholeResponse()
            response.status = response.status or _status_of(kind)
            return self.take(response, data, events)
        elif chunk.response is not None and kind.startswith("response."):
            self.accumulator.raw = data
            self._life(chunk.response)
        return None

    def read_whole(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        if isinstance(document, dict) and isinstance(document.get("output"), list):
            response = RESPONSE.fit(document)
            return self.take(response, data, events) if response is not None else None
        facts = parse_error(document)
        return self.dialect.error(facts, self.headers, data) if facts.message or facts.codes else None

    def flush(self, events: list[Event]) -> None:
        """Nothing is held back."""

    def take(self, response: WholeResponse, data: bytes, events: list[Event]) -> ProviderError | None:
        """Put a whole response into the accumulator, but for what its events told already."""
        self.accumulator.raw = data
        self._life(response)
        for place, raw in enumerate(response.output or ()):
            self._item(bytes(raw), place, True, events, last=True)
        reason = response.incomplete_details.reason if response.incomplete_details is not None else None
        self.accumulator.finish(reason if response.status == "incomplete" and reason else response.status)
        if response.error:
            return self.dialect.error(parse_error({"error": response.error}), self.headers, data)
        if response.status in _FAILED:
            told = f"the response is {response.status}, and does not say why"
            return self.dialect.error(ErrorDetails(message=told, text=told), self.headers, data)
        return None

    def _life(self, response: WholeResponse) -> None:
        """What every event of a response's life says of it."""
        accumulator = self.accumulator
        accumulator.response_id = accumulator.response_id or response.id
        accumulator.served_model = accumulator.served_model or response.model
        if response.usage is not None:
            accumulator.usage = usage_of(response.usage, response.service_tier)

    # -- items --------------------------------------------------------------------------------------------------

    def _item(self, raw: bytes, place: int | None, whole: bool, events: list[Event], *, last: bool = False) -> None:
        item = _ITEM.decode(raw)
        if item is None or not item.type:
            self.accumulator.skipped += 1
            return
        known = self._known(item, place, whole, last)
        if known is None or known.kind != item.type or (known.whole and not whole):
            known = self._open(item.type, item.id if place is None or last else place, item.id)
        known.claimed = known.claimed or last
        mine = self._for_the_caller(item.type)
        if item.type in CALLS and mine:
            self._call(known, item, whole, events)
        if not whole or known.whole:
            return
        known.whole = True
        if item.type == "message":
            for index, part in enumerate(item.content or ()):
                if (kind := _OF_PART.get(part.type or "")) is not None:
                    self._rest(known, kind, index, _words(part, kind), events)
                    self._cite(known, index, part.annotations)
                    self._weigh(known, index, part.logprobs)
        elif item.type == "reasoning":
            for index, part in enumerate(item.content or ()):
                self._rest(known, "content", index, part.text, events)
            for index, part in enumerate(item.summary or ()):
                self._rest(known, "summary", index, part.text, events)
        known.keep(_kept(item.type, raw) if mine else raw)

    def _for_the_caller(self, kind: str) -> bool:
        """Not so are the calls of tools that run at the provider."""
        return kind != "custom_tool_call" or self.dialect.account.spec.openai_compat.custom_tool_calls

    def _known(self, item: Item, place: int | None, whole: bool, last: bool) -> _OpenItem | None:
        """By its place first, for some servers invent a new id for each event. In the terminal event by its id, for
        some leave items out of the stream; and there, too, some ids are new."""
        by_id = self._ids.get(item.id or "")
        if last:
            unclaimed = (one for one in self._unplaced if one.kind == item.type and not one.claimed)
            return by_id or self._items.get(place) or next(unclaimed, None)
        if place is not None:
            return self._items.get(place)
        return by_id or (self._unplaced_of(item.type or "") if whole and item.id is None else None)

    def _unplaced_of(self, kind: str) -> _OpenItem | None:
        return next((one for one in reversed(self._unplaced) if one.kind == kind and not one.whole), None)

    def _open(self, kind: str, place: object, id: str | None) -> _OpenItem:
        self.accumulator.end_part()
        self._at = None
        self._count += 1
        item = _OpenItem(self._count, kind, self.accumulator.reserve_part())
        if kind == "message":
            # A place without more: where this message never ends, its words are still not those of the one before.
            item.keep(b'{"type":"message"}')
        if place is not None:
            self._items[place] = item
        else:
            self._unplaced.append(item)
        if id is not None:
            self._ids[id] = item
        return item

    def _item_of(self, chunk: StreamEvent, kind: Kind) -> _OpenItem:
        place = chunk.output_index if chunk.output_index is not None else chunk.item_id
        known = self._items.get(place) if place is not None else self._unplaced_of(_ITEM_OF[kind])
        if known is None and chunk.item_id is not None:
            known = self._ids.get(chunk.item_id)
        return known or self._open(_ITEM_OF[kind], place, chunk.item_id)

    def _call(self, item: _OpenItem, wire: Item, whole: bool, events: list[Event]) -> None:
        id, begins, free_text = wire.call_id or wire.id, not item.called, wire.type == "custom_tool_call"
        self.accumulator.tool_fragment(
            events, id=id, index=item.number, name=wire.name, starts_call=begins, is_custom_tool=free_text
        )
        item.called = True
        if whole and free_text:
            self._rest(item, "input", 0, wire.input, events)
        elif whole:
            self._rest(item, "arguments", 0, _arguments(wire.arguments), events)

    # -- words --------------------------------------------------------------------------------------------------

    def _tell(self, item: _OpenItem, kind: Kind, index: int, delta: str, events: list[Event]) -> None:
        if kind in ("summary", "content"):
            item.voice = item.voice or kind
            if item.voice != kind:
                return
        item.told.setdefault((kind, index), []).append(delta)
        accumulator = self.accumulator
        if kind in ("arguments", "input"):
            accumulator.tool_fragment(events, index=item.number, arguments=delta, is_custom_tool=kind == "input")
            item.called = True
            return
        at = (item.number, kind, index)
        if self._at != at:
            accumulator.end_part()
            self._at = at
        if kind == "text":
            accumulator.text(delta, events)
        elif kind == "refusal":
            accumulator.refusal(delta, events)
        else:
            accumulator.reasoning(delta, events)

    def _rest(self, item: _OpenItem, kind: Kind, index: int, whole: str | None, events: list[Event]) -> None:
        """Tell what the whole of a part has more than was told of it. Where it differs from that, the deltas hold."""
        if not whole:
            return
        told = "".join(item.told.get((kind, index), ()))
        if len(whole) > len(told) and whole.startswith(told):
            self._tell(item, kind, index, whole[len(told) :], events)

    def _end_of_part(self, chunk: StreamEvent, kind: Kind, events: list[Event]) -> None:
        item, index = self._item_of(chunk, kind), _index(chunk)
        if kind in ("arguments", "input"):
            whole = chunk.input if kind == "input" else _arguments(chunk.arguments)
            self._rest(item, kind, index, whole, events)
            return
        self._rest(item, kind, index, chunk.refusal if kind == "refusal" else chunk.text, events)
        self._weigh(item, index, chunk.logprobs)

    def _cite(self, item: _OpenItem, index: int, annotations: list[Any] | None) -> None:
        self.accumulator.citations += (annotations or [])[item.cited.get(index, 0) :]
        item.cited[index] = max(item.cited.get(index, 0), len(annotations or ()))

    def _weigh(self, item: _OpenItem, index: int, logprobs: list[Any] | None, *, more: bool = False) -> None:
        """Log probabilities come with each delta, and all of them again at the end."""
        if logprobs and (more or index not in item.weighed):
            item.weighed.add(index)
            self.accumulator.logprobs += logprobs


def _index(chunk: StreamEvent) -> int:
    return chunk.content_index or chunk.summary_index or 0


def _words(part: Content, kind: Kind) -> str | None:
    return part.refusal if kind == "refusal" else part.text


def _status_of(terminal: str) -> str:
    name = terminal.removeprefix("response.")
    return "completed" if name == "done" else name


def _arguments(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kept(kind: str, raw: bytes) -> bytes:
    """What of an item its place in the message keeps."""
    if kind != "message" and kind not in CALLS:
        return raw
    fields = decode_any(raw)
    if kind in CALLS:
        return encode({name: value for name, value in fields.items() if name not in ("name", CALLS[kind])})
    content = fields.get("content")
    kept = []
    for part in content if isinstance(content, list) else ():
        words = WORDS.get(str(part.get("type")) if isinstance(part, dict) else "")
        if words is None:
            kept.append(part)
        elif part.get(words):
            # Log probabilities say nothing to the model, and are longer than its words.
            kept.append({name: value for name, value in part.items() if name not in (words, "logprobs")})
    return encode({**fields, "content": kept})
