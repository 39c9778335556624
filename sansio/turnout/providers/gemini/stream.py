"""Gemini's responses, whole or as the chunks of a stream, read into a `ResponseAccumulator`.

Source: the Gemini API reference (ai.google.dev), "GenerateContentResponse" and "Content", and Vertex AI's.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from turnout.chat import FinishReason, Usage
from turnout.errors import ProviderError
from turnout.events import Event
from turnout.http import Headers
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.error_bodies import parse_error
from turnout.providers.decoding.media import audio_of, image_of
from turnout.providers.dialect import Dialect
from turnout.providers.gemini.partial_args import PartialArguments
from turnout.providers.gemini.wire import Answer, Candidate, FunctionCall, ModalityCount, Part, UsageWire
from turnout.providers.json_codec import LenientDecoder, decode_any, encode, is_shallow, raw_bytes, raw_text

__all__ = ["FINISH_REASONS", "GeminiReader"]

_FILTERED = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "LANGUAGE", "ESCALATION", "PUP_LIMITED_DISABLED",
)  # fmt: skip
_BROKEN = (
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "OTHER",
)  # fmt: skip
# Some servers send the number of the enum's value.
FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "1": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "2": FinishReason.LENGTH,
    # Half an answer: the server continues it for the token that it sends beside this word.
    "CONTINUATION": FinishReason.LENGTH,
    "3": FinishReason.CONTENT_FILTER,
    "4": FinishReason.CONTENT_FILTER,
    "5": FinishReason.ERROR,
    **dict.fromkeys(_FILTERED, FinishReason.CONTENT_FILTER),
    **dict.fromkeys(_BROKEN, FinishReason.ERROR),
}

# The tiers by Vertex AI's names, each with AI Studio's.
_TIERS = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}
_ANSWER = LenientDecoder(Answer)
_PART = LenientDecoder(Part)
_USAGE_FIELDS = tuple(field.name for field in msgspec.structs.fields(UsageWire))
# The fields of a part that are no content.
_BESIDE = frozenset({"thought", "thoughtSignature"})
_READ = _BESIDE | {"inlineData"}
_KEPT = ("executableCode", "codeExecutionResult", "fileData", "functionResponse", "toolCall", "toolResponse")


@attrs.define(eq=False)
class GeminiReader:
    """Reads responses, whole or in chunks (`turnout.providers.decoding.stream_reader.ChunkReader`).

    Attributes:
        dialect: Makes the errors.
        accumulator: The response.
        headers: The header fields of the response.
        done: Always false: this protocol has no terminator.
    """

    dialect: Dialect
    accumulator: ResponseAccumulator
    headers: Headers
    done: bool = False
    _index: int | None = None  # of the candidate that is the answer
    _open: PartialArguments | None = None
    _usage: UsageWire = attrs.field(factory=UsageWire)

    def read_chunk(self, event: str, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_chunk`."""
        if data.lstrip()[:1] in (b'"', b"["):
            # An error as a bare string, or inside a list of one.
            return self.dialect.error(parse_error(decode_any(data)), self.headers, data)
        answer = _ANSWER.decode(data)
        if answer is None:
            raise ValueError("no JSON object")
        accumulator = self.accumulator
        accumulator.raw = data
        accumulator.served_model = accumulator.served_model or answer.modelVersion
        accumulator.response_id = accumulator.response_id or answer.responseId
        if answer.usageMetadata is not None:
            self._report_usage(answer.usageMetadata)
        candidate = self._pick(answer.candidates or [])
        if candidate is not None:
            self._candidate(candidate, events)
        feedback = answer.promptFeedback
        if feedback is not None and feedback.blockReason and not answer.candidates:
            accumulator.finish(feedback.blockReason, FinishReason.CONTENT_FILTER)
            if feedback.blockReasonMessage:
                accumulator.extra["blockReasonMessage"] = feedback.blockReasonMessage
            self._keep_ratings(feedback.safetyRatings)
        if answer.error:
            return self.dialect.error(parse_error({"error": answer.error}), self.headers, data)
        return None

    def read_document(self, document: object, data: bytes, events: list[Event]) -> ProviderError | None:
        """See `ChunkReader.read_document`."""
        if isinstance(document, dict) and not document.get("error"):
            return self.read_chunk("", data, events)
        return self.dialect.error(parse_error(document), self.headers, data)

    def flush(self, events: list[Event]) -> None:
        """See `ChunkReader.flush`. A call without its last piece goes out as far as it was received."""
        if self._open is not None:
            call, self._open = self._open, None
            self.accumulator.tool_fragment(
                events,
                starts_call=True,
                name=call.name,
                arguments=call.arguments(),
                id=call.id,
                signature=call.signature,
            )

    def _pick(self, candidates: list[Candidate]) -> Candidate | None:
        """Return the candidate that is the answer: that of the index 0, or of the first index if no chunk has a 0."""
        if self._index is None and candidates:
            indexes = [candidate.index or 0 for candidate in candidates]
            self._index = 0 if 0 in indexes else indexes[0]
        return next((candidate for candidate in candidates if (candidate.index or 0) == self._index), None)

    def _candidate(self, candidate: Candidate, events: list[Event]) -> None:
        accumulator = self.accumulator
        for raw in (candidate.content.parts if candidate.content is not None else None) or ():
            part = _PART.decode(bytes(raw))
            if part is None:
                accumulator.skipped += 1
                continue
            self._part(part, bytes(raw), events)
        accumulator.finish(candidate.finishReason)
        if candidate.finishMessage:
            accumulator.extra["finishMessage"] = candidate.finishMessage
        if candidate.continuationToken:
            accumulator.extra["continuationToken"] = candidate.continuationToken
        self._keep_ratings(candidate.safetyRatings)
        if candidate.logprobsResult:
            accumulator.add_logprobs(candidate.logprobsResult, events)
        for source in (candidate.citationMetadata, candidate.groundingMetadata, candidate.urlContextMetadata):
            if source:
                accumulator.cite([source])

    def _keep_ratings(self, ratings: Any) -> None:
        """Keep the ratings by which a filter decides; each chunk has those of the answer so far."""
        if ratings and is_shallow(ratings):
            self.accumulator.extra["safetyRatings"] = ratings

    # -- parts --------------------------------------------------------------------------------------------------

    def _part(self, part: Part, raw: bytes, events: list[Event]) -> None:
        """Read a part. Content of several kinds in one part is read as several parts."""
        text, call, signature = part.text, part.functionCall, part.thoughtSignature
        has_other = part.inlineData is not None or any(raw_bytes(getattr(part, name)) for name in _KEPT)
        if text is not None and (text or not has_other) and call is None:
            self._text(part, text, None if has_other else signature, events)
        elif call is not None:
            if text:
                self._text(part, text, None, events)
            self._function_call(call, signature, events)
        if has_other or (text is None and call is None):
            self._other_part(part, raw, signature if call is None else None, events)

    def _text(self, part: Part, text: str, signature: str | None, events: list[Event]) -> None:
        accumulator = self.accumulator
        add = accumulator.reasoning if part.thought else accumulator.text
        if signature is None:
            add(text, events)
            return
        # A signature is for its own part, which is kept apart from its neighbours.
        accumulator.end_part()
        add(text, events)
        accumulator.set_signature("reasoning" if part.thought else "text", signature, events)

    def _other_part(self, part: Part, raw: bytes, signature: str | None, events: list[Event]) -> None:
        accumulator, inline = self.accumulator, part.inlineData
        fields = decode_any(raw)
        read = [name for name in ("text", "functionCall") if name in fields]
        if read and is_shallow(fields):
            read += ["thoughtSignature"] if part.functionCall is not None else []  # it is that of the call
            fields = {name: value for name, value in fields.items() if name not in read}
            raw = encode(fields)
        if inline is not None and not part.thought and set(fields) <= _READ:
            media_type = inline.mimeType or ""
            make = {"image": image_of, "audio": audio_of}.get(media_type.partition("/")[0])
            medium = make(inline.data or "", media_type, signature=signature) if make is not None else None
            if medium is not None:
                accumulator.whole_part(medium, events)
                return
        if set(fields) <= _BESIDE:
            # Nothing but a signature, or not even that: Gemini refuses to get such a part back.
            if signature is not None:
                accumulator.end_part()
                accumulator.set_signature("reasoning" if part.thought else "text", signature, events)
            return
        accumulator.opaque(raw, events)

    def _function_call(self, call: FunctionCall, signature: str | None, events: list[Event]) -> None:
        if call.name:
            self.flush(events)
            if not (call.willContinue or call.partialArgs):
                arguments = raw_text(call.args) or "{}"
                self.accumulator.tool_fragment(
                    events, starts_call=True, name=call.name, arguments=arguments, id=call.id, signature=signature
                )
                return
            self._open = PartialArguments(call.name, call.id, signature)
        if self._open is not None:
            self.accumulator.opaque_size.add(self._open.add(call.partialArgs))
            if not call.willContinue:
                self.flush(events)

    # -- usage --------------------------------------------------------------------------------------------------

    def _report_usage(self, wire: UsageWire) -> None:
        """Take a report. Counters are cumulative, and each one holds until it is reported again."""
        known, reported = self._usage, False
        for name in _USAGE_FIELDS:
            value = getattr(wire, name)
            if value is not None:
                setattr(known, name, value)
                reported = True
        if not reported:
            return
        tools, thoughts = known.toolUsePromptTokenCount, known.thoughtsTokenCount
        prompt, written = known.promptTokenCount, known.candidatesTokenCount
        if written is None:
            written = known.responseTokenCount
        details: dict[str, Any] = {"tool_prompt_tokens": tools} if tools else {}
        self.accumulator.usage = Usage(
            # The results of tools that run at the provider are billed as a prompt, beside the caller's own.
            prompt_tokens=None if prompt is None and tools is None else (prompt or 0) + (tools or 0),
            completion_tokens=None if written is None and thoughts is None else (written or 0) + (thoughts or 0),
            cached_tokens=known.cachedContentTokenCount,
            reasoning_tokens=thoughts,
            audio_prompt_tokens=_of_modality(known.promptTokensDetails, "AUDIO"),
            audio_completion_tokens=_of_modality(known.candidatesTokensDetails, "AUDIO"),
            image_completion_tokens=_of_modality(known.candidatesTokensDetails, "IMAGE"),
            service_tier=self.headers.get("x-gemini-service-tier") or _TIERS.get(known.trafficType or ""),
            details=details,
        )


def _of_modality(counts: list[ModalityCount] | None, modality: str) -> int | None:
    """Return the tokens of one kind; None if none of the counts is of this kind."""
    found = [count.tokenCount or 0 for count in counts or () if count.modality == modality]
    return sum(found) if found else None
