"""One answer while it is received: dialects put pieces in, and take events and the response out.

The rules here hold for every dialect:

- Deltas are verbatim, and only an empty string is no delta.
- A finish reason is not the end: the last non-empty one holds, and null never clears it.
- `turnout.providers.decoding.tool_call_fragments` decides which call a fragment belongs to.
- No call is ready before the end, because arguments that parse may still grow.
- The usage that was received last is the usage.
- An answer with neither content nor a finish reason is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from turnout.chat import ChatResponse, FinishReason, ModelConfig, RateLimit, Usage
from turnout.errors import RemoteProtocolError, StreamTruncated
from turnout.events import (
    CommentaryDelta,
    End,
    Event,
    LogprobsDelta,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import Audio, Image, Message, Opaque, ToolCall
from turnout.providers.decoding.parts import NO_PART, GrowingPart, Kind, PartBuilder
from turnout.providers.decoding.tool_call_fragments import CallBuilder, ToolCallFragments, known_id, made_id
from turnout.providers.demands import unmet_demands
from turnout.providers.limits import OpaqueSize

__all__ = ["ABSENT_USAGE", "MAX_ITEMS", "ResponseAccumulator", "billed_usage"]

MAX_ITEMS = 10_000
"""How many parts and tool calls one answer may have. Each takes some 500 bytes of memory, also without a character."""

ABSENT_USAGE = Usage(source="absent")
"""The usage of a response that reports none."""


def billed_usage(usage: Usage) -> Usage:
    """Return the usage that is reported beside an answer; absent if it counts no token: that is a placeholder."""
    return ABSENT_USAGE if usage.prompt_tokens == 0 == usage.completion_tokens else usage


@attrs.define(eq=False)
class ResponseAccumulator:
    """Collects one answer.

    Attributes:
        model: The candidate, as the request has it.
        origin: The provider family; the message keeps it, so that opaque parts go back to this family only.
        finish_map: The dialect's finish reasons in Turnout's words; every other value is `unknown`.
        turn: The number of messages in the request. It makes the ids of calls that have none unique in a conversation.
        wants_json: Whether the request demands JSON as the text.
        wants_call: Whether the request demands a tool call.
        known_blanks: White space of a prefill that was not sent. Text that begins with it repeats what the caller has.
        failed: Whether the provider reported an error inside the answer.
        is_answer: Whether a finish reason alone makes an answer; false if nothing was generated on purpose.
        skipped: How many events of the wire could not be read.
        kept: How often JSON values were added that are kept as they are, such as log probabilities and citations.
        caller_names: The caller's names of tools, by the names that were sent instead.
        opaque_size: Counts what no event shows.
        parts: The parts so far.
        replay: Makes the fields that go back with the message and that no part holds, as JSON.
    """

    model: ModelConfig
    origin: str
    finish_map: Mapping[str, FinishReason]
    turn: int = 0
    wants_json: bool = False
    wants_call: bool = False
    known_blanks: str = attrs.field(default="", init=False)
    raw_finish_reason: str | None = attrs.field(default=None, init=False)
    failed: bool = attrs.field(default=False, init=False)
    is_answer: bool = attrs.field(default=True, init=False)
    usage: Usage = attrs.field(default=Usage(source="absent"), init=False)
    response_id: str | None = attrs.field(default=None, init=False)
    served_model: str | None = attrs.field(default=None, init=False)
    request_id: str | None = attrs.field(default=None, init=False)
    rate_limit: RateLimit | None = attrs.field(default=None, init=False)
    logprobs: list[Any] = attrs.field(factory=list, init=False)
    citations: list[Any] = attrs.field(factory=list, init=False)
    extra: dict[str, Any] = attrs.field(factory=dict, init=False)
    raw: bytes | None = attrs.field(default=None, init=False)
    skipped: int = attrs.field(default=0, init=False)
    kept: int = attrs.field(default=0, init=False)
    caller_names: Mapping[str, str] = attrs.field(factory=dict, init=False)
    opaque_size: OpaqueSize = attrs.field(factory=OpaqueSize, init=False)
    replay: Callable[[], bytes | None] | None = attrs.field(default=None, init=False)
    _meaning: FinishReason | None = attrs.field(default=None, init=False)
    _unmet: tuple[str, ...] = attrs.field(default=(), init=False)
    parts: list[PartBuilder] = attrs.field(factory=list, init=False)
    _part: PartBuilder = attrs.field(default=NO_PART, init=False)
    _calls: ToolCallFragments = attrs.field(factory=ToolCallFragments, init=False)

    # -- content ------------------------------------------------------------------------------------------------

    def text(self, delta: str, events: list[Event]) -> None:
        """Add a piece of the answer's text."""
        if self.known_blanks:
            delta = self._without_known_blanks(delta)
        if delta:
            part = self._part if self._part.kind == "text" else self._open("text")
            part.pieces.append(delta)
            events.append(Token(delta))

    def texts(self, deltas: list[str], events: list[Event]) -> None:
        """Add several pieces of text, none of them empty."""
        if self.known_blanks:
            for delta in deltas:
                self.text(delta, events)
        elif deltas:
            part = self._part if self._part.kind == "text" else self._open("text")
            part.pieces += deltas
            events += map(Token, deltas)

    def _without_known_blanks(self, delta: str) -> str:
        known, same = self.known_blanks, 0
        while same < min(len(known), len(delta)) and known[same] == delta[same]:
            same += 1
        self.known_blanks = known[same:] if same == len(delta) else ""
        return delta[same:]

    def reasoning(self, delta: str, events: list[Event]) -> None:
        """Add a piece of the model's reasoning."""
        if delta:
            part = self._part if self._part.kind == "reasoning" else self._open("reasoning")
            part.pieces.append(delta)
            events.append(Reasoning(delta))

    def commentary(self, delta: str, events: list[Event]) -> None:
        """Add a piece of text for the user that is not the final answer."""
        if delta:
            part = self._part if self._part.kind == "commentary" else self._open("commentary")
            part.pieces.append(delta)
            events.append(CommentaryDelta(delta))

    def refusal(self, delta: str, events: list[Event]) -> None:
        """Add a piece of the model's reason not to answer."""
        if delta:
            part = self._part if self._part.kind == "refusal" else self._open("refusal")
            part.pieces.append(delta)
            events.append(RefusalDelta(delta))

    def whole_part(self, part: Opaque | Image | Audio, events: list[Event]) -> None:
        """Add a part that is received whole."""
        self._open("whole").whole = part
        self.end_part()
        events.append(PartReady(part))

    def opaque(self, json: bytes, events: list[Event]) -> None:
        """Add a part that only its own provider understands."""
        self.whole_part(Opaque(json), events)

    def announce_opaque(self, json: bytes, events: list[Event]) -> None:
        """Give the caller an opaque part that has a reserved position."""
        events.append(PartReady(Opaque(json)))

    def growing_part(self, part: GrowingPart) -> None:
        """Add a part that is received in pieces; its `PartReady` is the caller's to add at its end."""
        self._open("whole").whole = part
        self.end_part()

    def reserve_part(self) -> Callable[[bytes], None]:
        """Keep a position for an opaque part that is not whole yet.

        Returns:
            A function that puts its JSON there. Until it is called, the message has no part at this position.
        """
        part = self._open("whole")
        self.end_part()

        def fill(json: bytes) -> None:
            part.whole = Opaque(json)

        return fill

    def set_signature(self, kind: Literal["text", "reasoning"], signature: str, events: list[Event]) -> None:
        """Sign the open part of this kind and end it. If no such part is open, sign a new one without text."""
        part = self._part if self._part.kind == kind else self._open(kind)
        part.signature = signature
        self.end_part()
        events.append(PartSigned(kind, signature))

    def sign_newest(self, kind: Literal["text", "reasoning"], signature: str, events: list[Event]) -> None:
        """Sign the newest part of this kind that has no signature, also if other parts follow it."""
        part = next((part for part in reversed(self.parts) if part.kind == kind and part.signature is None), None)
        if part is None or part is self._part:
            self.set_signature(kind, signature, events)
            return
        part.signature = signature
        events.append(PartSigned(kind, signature))

    def set_extra(self, extra: Mapping[str, Any]) -> None:
        """Keep these fields with the open part, if one is open: they go back to the provider with it."""
        if self._part is not NO_PART:
            self._part.extra = {**self._part.extra, **extra}

    def end_part(self) -> None:
        """End the open part: the next piece begins another one."""
        self._part = NO_PART

    def add_logprobs(self, logprobs: Any, events: list[Event]) -> None:
        """Add log probabilities of the newest tokens."""
        self.kept += 1
        self.logprobs.append(logprobs)
        events.append(LogprobsDelta(logprobs))

    def add_logprobs_list(self, logprobs: list[Any], events: list[Event]) -> None:
        """Add a list of log probabilities, one for each of the newest tokens."""
        self.kept += 1
        self.logprobs += logprobs
        events.append(LogprobsDelta(logprobs))

    def cite(self, citations: list[Any]) -> None:
        """Add sources of the answer."""
        self.kept += 1
        self.citations += citations

    def _open(self, kind: Kind) -> PartBuilder:
        self._count_item()
        self._part = PartBuilder(kind)
        self.parts.append(self._part)
        return self._part

    def _count_item(self) -> None:
        if len(self.parts) + len(self._calls.calls) >= MAX_ITEMS:
            raise RemoteProtocolError(f"{self.model}: the answer has more than {MAX_ITEMS:,} parts and tool calls")

    # -- tool calls ---------------------------------------------------------------------------------------------

    def tool_fragment(
        self,
        events: list[Event],
        *,
        id: str | None = None,
        index: int | None = None,
        name: str | None = None,
        arguments: str | None = None,
        signature: str | None = None,
        extra: Mapping[str, Any] | None = None,
        starts_call: bool = False,
        is_custom_tool: bool = False,
    ) -> int:
        """Add a fragment of a call that is received in pieces; "" and None mean that the fragment lacks the field.

        Args:
            events: Gets the events for the caller.
            id: The id of the call.
            index: The provider's number of the call.
            name: The name of the tool.
            arguments: A piece of the arguments.
            signature: The provider's proof for the call.
            extra: Fields that go back to the provider with the call.
            starts_call: Whether the protocol begins a call here: it is a new one, even with a known id.
            is_custom_tool: Whether the tool takes text and not JSON: then the arguments stay as they are.

        Returns:
            The position of the call among the calls of this answer.
        """
        id, name = known_id(id), name if name and not name.isspace() else None
        if name is not None and self.caller_names:
            name = self.caller_names.get(name, name)
        position = None if starts_call else self._calls.find(id, index, name, arguments)
        if position is None:
            self._count_item()
            call = CallBuilder(id, name, index, is_custom_tool=is_custom_tool)
            position = self._calls.begin(call)
            announce = True
        else:
            call = self._calls.calls[position]
            if name is not None and self._calls.repeats(position, id, name, arguments):
                arguments = None
            announce = name is not None and call.name is None
            if id is not None and id != call.id:
                announce = self._calls.set_id(position, id) or announce
            call.name = call.name or name
        if signature:
            call.signature = signature
        if extra:
            call.extra |= extra
        if arguments:
            call.append(arguments)
        if announce:
            events.append(ToolCallDelta(position, arguments or "", call.id, call.name))
        elif arguments:
            events.append(ToolCallDelta(position, arguments))
        return position

    def add_arguments(self, position: int, arguments: str, events: list[Event]) -> None:
        """Add a piece of the arguments of a known call."""
        self._calls.calls[position].append(arguments)
        events.append(ToolCallDelta(position, arguments))

    def call_id(self, position: int) -> str:
        """Return the id of a call, which is made here if the provider sent none."""
        return self._calls.calls[position].id or made_id(self.turn, position)

    def complete_call(
        self,
        position: int,
        events: list[Event],
        *,
        id: str | None = None,
        name: str | None = None,
        arguments: str | None = None,
    ) -> None:
        """Add the rest of a known call that is repeated whole. If it differs from the fragments, they hold."""
        call, id = self._calls.calls[position], known_id(id)
        announce = (id is not None and self._calls.set_id(position, id)) or bool(name and call.name is None)
        if name and call.name is None:
            call.name = self.caller_names.get(name, name)
        rest = call.rest_of(arguments or "")
        if rest:
            call.append(rest)
        if announce:
            events.append(ToolCallDelta(position, rest, call.id, call.name))
        elif rest:
            events.append(ToolCallDelta(position, rest))

    def join_pieces(self) -> None:
        """Join the pieces so far: many small ones take far more memory than one text."""
        builders: list[PartBuilder | CallBuilder] = [*self.parts, *self._calls.calls]
        for builder in builders:
            builder.join()

    @property
    def calls(self) -> int:
        """How many tool calls have begun."""
        return len(self._calls.calls)

    def finished_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls as far as they were received, as the message has them."""
        return self._calls.finished(self.turn, cut=self._reported_reason is FinishReason.LENGTH)

    # -- the end ------------------------------------------------------------------------------------------------

    @property
    def has_content(self) -> bool:
        """Whether any part of an answer was received."""
        return bool(self.parts or self._calls.calls)

    @property
    def size(self) -> int:
        """The characters of all texts and arguments, and the bytes of all other parts."""
        calls = self._calls.calls
        return sum(part.size for part in self.parts) + sum(call.size for call in calls)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received that makes an answer: no content, and no reason why there is none."""
        return not self.has_content and (self.raw_finish_reason is None or not self.is_answer)

    def finish(self, raw: object, meaning: FinishReason | None = None) -> None:
        """Note a finish reason; null and "" are none.

        Args:
            raw: The provider's word.
            meaning: Its meaning, if `finish_map` does not have it.
        """
        if raw is not None and raw != "":
            self.raw_finish_reason = str(raw)
            self._meaning = meaning

    @property
    def finish_reason(self) -> FinishReason:
        """Why the answer ended, as far as is known."""
        return FinishReason.ERROR if self.failed else self._reported_reason

    @property
    def _reported_reason(self) -> FinishReason:
        if self.raw_finish_reason is None:
            return FinishReason.TOOL_CALLS if self._calls.calls else FinishReason.UNKNOWN
        reason = self._meaning or self.finish_map.get(self.raw_finish_reason, FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and self._calls.calls:
            return FinishReason.TOOL_CALLS
        return reason

    def end(self, events: list[Event]) -> None:
        """Announce the calls and the end: the answer is whole."""
        if self.replay is not None and (replayed := self.replay()) is not None:
            events.append(PartReady(Opaque(replayed)))
        for position, call in enumerate(self.finished_calls()):
            events.append(ToolCallReady(position, call))
        self.check_demands()
        events.append(
            End(
                finish_reason=self.finish_reason,
                raw_finish_reason=self.raw_finish_reason,
                usage=self._final_usage(),
                skipped=self.skipped,
                unmet=self._unmet,
            )
        )

    def check_demands(self) -> None:
        """Compare the whole answer with the demands of the request."""
        if self._calls.calls or not (self.wants_json or self.wants_call):
            return
        self._unmet = unmet_demands(
            "".join(piece for part in self.parts if part.kind == "text" for piece in part.pieces),
            wants_json=self.wants_json,
            wants_call=self.wants_call,
            has_calls=False,
            refused=any(part.kind == "refusal" for part in self.parts),
        )

    def _final_usage(self) -> Usage:
        return billed_usage(self.usage) if self.has_content else self.usage

    def truncated(self, provider: str) -> StreamTruncated:
        """Return the error for a stream that ended too early, or that held nothing."""
        if self.is_empty:
            reason = f"the stream ended without content (finish reason: {self.raw_finish_reason or 'none'})"
        else:
            reason = "the stream ended with neither a finish reason nor its terminator; the answer may be incomplete"
        return StreamTruncated(f"{provider}: {reason}", partial=self.response())

    def response(self) -> ChatResponse:
        """Return the answer as far as it was received."""
        parts = [part for builder in self.parts if (part := builder.build()) is not None]
        if self.replay is not None and (replayed := self.replay()) is not None:
            parts.append(Opaque(replayed))
        return ChatResponse(
            message=Message.of_response(tuple(parts), self.finished_calls(), self.origin),
            model=self.model,
            finish_reason=self.finish_reason,
            raw_finish_reason=self.raw_finish_reason,
            usage=self._final_usage(),
            response_id=self.response_id,
            served_model=self.served_model,
            request_id=self.request_id,
            rate_limit=self.rate_limit,
            logprobs=list(self.logprobs) or None,
            citations=tuple(self.citations),
            unmet=self._unmet,
            extra=dict(self.extra),
            raw=self.raw,
        )
