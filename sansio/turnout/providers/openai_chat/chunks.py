"""The chunks of chat completions, and whole responses, read into a `ResponseAccumulator`.

Source: the OpenAI API reference, "Chat completions" and its streaming chunks. Vendors add fields and leave others out;
all of that is read for every provider, because a server behind a gateway may send any vendor's fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import msgspec

from turnout.chat import FinishReason
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ABSENT_USAGE, ResponseAccumulator, billed_usage
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.stream_reader import Frame, TextReader
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, decode_any
from turnout.providers.openai_chat.choices import ChoicePicker
from turnout.providers.openai_chat.message.content_parts import audio_in
from turnout.providers.openai_chat.message.reader import MessageReader
from turnout.providers.openai_chat.message.sequence import MessageSequence
from turnout.providers.openai_chat.text_chunks import read_texts
from turnout.providers.openai_chat.text_template import TextTemplate
from turnout.providers.openai_chat.usage import usage_of
from turnout.providers.openai_chat.wire import Choice, Chunk, Message, UsageWire

__all__ = ["CHUNK", "FINISH_REASONS", "ChatChunkReader"]

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "time_limit": FinishReason.LENGTH,  # xAI
    "max_context": FinishReason.LENGTH,  # xAI
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "network_error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
    "abort": FinishReason.ERROR,  # vLLM, SGLang
    # The words of other protocols, from gateways.
    "eos_token": FinishReason.STOP,  # text-generation-inference
    "stop_sequence": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "pause_turn": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "malformed_function_call": FinishReason.ERROR,
    **dict.fromkeys(
        ("content_filtered", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
        FinishReason.CONTENT_FILTER,
    ),
}

CHUNK = LenientDecoder(Chunk)
_EMPTY = Message()


@attrs.define(eq=False)
class ChatChunkReader(TextReader):
    """Reads chunks (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        messages: Reads the messages in the chunks.
        sequence: Reads the messages of a choice that has several.
        choices: Picks the choice that is the answer.
        done: Whether the terminator `[DONE]` was read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    messages: MessageReader
    choices: ChoicePicker = attrs.field(factory=ChoicePicker)
    sequence: MessageSequence = attrs.field(init=False)
    done: bool = False
    _usage_seen: bool = False
    _newest: Sequence[Choice] = attrs.field(default=(), init=False)  # the choices of the newest chunk
    _template: TextTemplate = attrs.field(factory=TextTemplate)
    _reads_text: bool = False  # text was read, and nothing else since then
    _sources: list[Any] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.sequence = MessageSequence(self.messages)

    def read_texts(self, frames: Sequence[Frame], events: list[Event]) -> int:
        """See `TextReader.read_texts`."""
        if self._reads_text:
            return read_texts(frames, self.accumulator, events, self._template)
        reader = self.messages
        if reader.prefix.prefix or reader.is_commentary or self.sequence.is_stream or not self.choices.takes_zero:
            return 0
        before = len(events)
        count = read_texts(frames, self.accumulator, events, self._template)
        if count:
            self._reads_text = len(events) != before
            self.choices.begin(has_content=self._reads_text)
        return count

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        if data.lstrip().startswith(b"[DONE]"):
            self.done = True
            return None
        chunk = CHUNK.decode(data)
        if chunk is None:
            raise ValueError("no JSON object")
        failure = self.apply(chunk, data, events)
        if failure is None and event == "error":
            failure = self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        return failure

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        if isinstance(document, dict) and document.get("choices"):
            chunk = CHUNK.fit(document)
            return self.apply(chunk, data, events, whole=True) if chunk is not None else None
        return self.dialect.in_band_error(document, data, self.headers)

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`."""
        self._reads_text = False
        for choice in self.choices.flush():
            self._choice(choice, events, False)
        self.sequence.flush(events)
        self.messages.flush(events)

    def apply(self, chunk: Chunk, data: bytes, events: list[Event], *, whole: bool = False) -> ProviderError | None:
        """Read one chunk, or a whole response, and return the error that it reports."""
        self._reads_text = False
        accumulator = self.accumulator
        accumulator.raw = data
        if accumulator.response_id is None:
            accumulator.response_id = chunk.id or None
        if accumulator.served_model is None:
            accumulator.served_model = chunk.model or None
        if chunk.usage is not None:
            self._report_usage(chunk.usage, chunk.service_tier)
        if chunk.citations or chunk.search_results:
            self._cite(chunk)
        error = chunk.error or chunk.errors
        if chunk.modality == "audio":
            _take_sounds(chunk)
        self._newest = chunk.choices or ()
        for choice in self.choices.pick(chunk.choices, data) if chunk.choices else ():
            self._choice(choice, events, whole)
            error = error or choice.error
        if chunk.x_groq is not None:
            if chunk.x_groq.usage is not None and not self._usage_seen:
                accumulator.usage = usage_of(chunk.x_groq.usage)
            error = error or chunk.x_groq.error
        if error:
            return self.dialect.error(parse_error({"error": error, "code": chunk.code}), self.headers, data)
        if chunk.choices is None and not whole:
            # An error without an envelope: SiliconFlow, DashScope, Cerebras and many gateways.
            details = parse_error(decode_any(data))
            return self.dialect.error(details, self.headers, data) if details.message else None
        return None

    def _choice(self, choice: Choice, events: list[Event], whole: bool) -> None:
        accumulator, delta, message = self.accumulator, choice.delta, choice.message
        if choice.messages:
            given_messages = [decode_any(bytes(raw)) for raw in choice.messages]
            self.sequence.read_list([one for one in given_messages if isinstance(one, dict)], events)
        elif whole:
            if (given := message or delta) is not None:
                self.messages.read(given, events, whole=True)
        else:
            if delta is not None:
                if self._is_one_of_several(delta):
                    self.sequence.read_delta(self._whole_delta(choice, delta), events)
                else:
                    self.messages.read(delta, events, whole=False)
            # Perplexity sends the answer so far beside each delta, others the whole answer behind the deltas.
            if message is not None and (delta is None or delta == _EMPTY or choice.finish_reason is not None):
                self.messages.repeat(message, events)
        if choice.finish_reason is not None:
            accumulator.finish(choice.finish_reason, _meaning(choice.finish_reason))
        if choice.logprobs:
            accumulator.add_logprobs(choice.logprobs, events)
        if choice.usage is not None and not self._usage_seen:
            accumulator.usage = usage_of(choice.usage)

    def _is_one_of_several(self, delta: Message) -> bool:
        return self.sequence.is_stream or delta.index is not None or delta.tool_call_id is not None

    def _whole_delta(self, choice: Choice, delta: Message) -> dict[str, Any]:
        """Return a delta with the fields that `Message` does not have. One of a chunk before this one has none."""
        place = next((place for place, one in enumerate(self._newest) if one is choice), None)
        document = decode_any(self.accumulator.raw or b"") if place is not None else None
        choices = document.get("choices") if isinstance(document, dict) else None
        if place is not None and isinstance(choices, list) and len(choices) == len(self._newest):
            given = choices[place].get("delta") if isinstance(choices[place], dict) else None
            if isinstance(given, dict):
                return given
        plain: dict[str, Any] = msgspec.to_builtins(delta)
        return {name: value for name, value in plain.items() if value is not None}

    def _report_usage(self, wire: UsageWire, service_tier: str | None) -> None:
        usage = usage_of(wire, service_tier)
        is_placeholder = self._usage_seen and billed_usage(usage) is ABSENT_USAGE
        if usage.source == "reported" and not is_placeholder:
            self.accumulator.usage = usage
            self._usage_seen = True

    def _cite(self, chunk: Chunk) -> None:
        """Keep the sources of the newest chunk: each chunk has those of the answer so far."""
        sources = [*(chunk.citations or ()), *(chunk.search_results or ())]
        if sources == self._sources:
            return
        annotations = self.accumulator.citations[len(self._sources) :]
        self.accumulator.citations = list(sources)
        self.accumulator.cite(annotations)
        self._sources = sources
        if chunk.search_results:
            self.messages.set_response_field("search_results", chunk.search_results)


def _take_sounds(chunk: Chunk) -> None:
    """Make sound in the place of a text a part; each is a whole file."""
    for choice in chunk.choices or ():
        if choice.delta is not None and isinstance(choice.delta.content, str):
            part = {"type": "audio", "audio": {"data": choice.delta.content}}
            if audio_in(part) is not None:
                choice.delta.content = [part]


def _meaning(finish_reason: str | int) -> FinishReason | None:
    """Return the meaning of a finish reason that is more than a word, or is written in capitals."""
    if not isinstance(finish_reason, str):
        return None
    # Gemini's OpenAI-compatible endpoint appends its own word: "content_filter: PROHIBITED_CONTENT".
    if finish_reason.startswith("content_filter:"):
        return FinishReason.CONTENT_FILTER
    return FINISH_REASONS.get(finish_reason.removeprefix("REASON_").lower())
