"""Ollama's responses, whole or as the lines of a stream, read into a `ResponseAccumulator`.

Source: Ollama's API documentation (docs/api.md in its repository).
"""

from __future__ import annotations

import attrs

from turnout.chat import FinishReason, Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.media import image_of
from turnout.providers.dialect import Dialect
from turnout.providers.json_codec import LenientDecoder, raw_text
from turnout.providers.ollama.wire import Answer, ToolCallWire

__all__ = ["FINISH_REASONS", "OllamaReader"]

FINISH_REASONS = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
# The server loaded the model, or unloaded it, and generated nothing.
_NOTHING_GENERATED = frozenset({"load", "unload"})
_ANSWER = LenientDecoder(Answer)


@attrs.define(eq=False)
class OllamaReader:
    """Reads lines, or a whole response (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        done: Whether the line with `done` was read.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        answer = _ANSWER.decode(data)
        if answer is None:
            raise ValueError("no JSON object")
        accumulator = self.accumulator
        accumulator.raw = data
        if answer.error:
            return self.dialect.error(parse_error({"error": answer.error}), self.headers, data)
        accumulator.served_model = accumulator.served_model or answer.model
        thinking, text, message = answer.thinking, answer.response, answer.message
        if message is not None:
            thinking, text = message.thinking, message.content
        if thinking:
            accumulator.reasoning(thinking, events)
        if text:
            accumulator.text(text, events)
        if message is not None or answer.image:
            images = (message.images if message is not None else None) or ([answer.image] if answer.image else [])
            for image in filter(None, map(image_of, images)):
                accumulator.whole_part(image, events)
            for call in (message.tool_calls if message is not None else None) or ():
                self._tool_call(call, events)
        if answer.logprobs:
            accumulator.add_logprobs(answer.logprobs, events)
        if answer.done:
            self.done = True
            accumulator.finish(answer.done_reason)
            accumulator.is_answer = answer.done_reason not in _NOTHING_GENERATED
        if answer.prompt_eval_count is not None or answer.eval_count is not None:
            # A count of zero is left out on the wire, and so is one that is not known: both stay unknown.
            accumulator.usage = Usage(prompt_tokens=answer.prompt_eval_count, completion_tokens=answer.eval_count)
        return None

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        return self.read_chunk("", data, events)

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`: nothing is held back."""

    def _tool_call(self, call: ToolCallWire, events: list[Event]) -> None:
        function = call.function
        if function is None or not function.name:
            return
        arguments = raw_text(function.arguments)
        self.accumulator.tool_fragment(
            events,
            starts_call=True,
            name=function.name,
            arguments="{}" if arguments is None else arguments,
            id=call.id,
        )
