"""One answer as it comes together: what dialects put in, the events that come out, the response at any time.

The rules here hold for every dialect:

- deltas are verbatim, and only an empty string is no delta;
- a finish reason is not the end: the last non-empty one wins, and null never clears it;
- a tool-call fragment belongs to the call whose id it bears, else to the newest call of its index, else to the
  newest call; a new id starts a call even on a used index; id and name are set once and never concatenated;
- no call is ready before the end, for a prefix that parses may still grow;
- usage that came last is the usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from turnout.chat import ChatResponse, FinishReason, ModelConfig, RateLimit, Usage
from turnout.errors import StreamTruncated
from turnout.events import End, Event, Reasoning, Token, ToolCallDelta, ToolCallReady
from turnout.messages import Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall

__all__ = ["ResponseAccumulator"]

Kind = Literal["text", "reasoning", "refusal", "opaque"]


@attrs.define(eq=False)
class _Run:
    """Neighbouring pieces of one kind: they become one part."""

    kind: Kind
    pieces: list[str] = attrs.field(factory=list)
    signature: str | None = None
    json: bytes = b""
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    def part(self) -> Part:
        text = "".join(self.pieces)
        if self.kind == "text":
            return Text(text, signature=self.signature, extra=self.extra)
        if self.kind == "reasoning":
            return Thinking(text, signature=self.signature, extra=self.extra)
        if self.kind == "refusal":
            return Refusal(text)
        return Opaque(self.json)


@attrs.define(eq=False)
class _Call:
    """A tool call as far as it came."""

    id: str | None
    name: str | None = None
    pieces: list[str] = attrs.field(factory=list)
    signature: str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    free_text: bool = False


_CLOSED = _Run("opaque")


@attrs.define(eq=False)
class ResponseAccumulator:
    """Collects one answer.

    origin         the provider family, kept on the message so that replayed pieces find their way home
    finish_map     the dialect's finish reasons in Turnout's words; a value outside it is `unknown`
    turn           the number of messages in the request: it makes the ids of calls that came without one unique
                   in a conversation
    """

    model: ModelConfig
    origin: str
    finish_map: Mapping[str, FinishReason]
    turn: int = 0
    raw_finish_reason: str | None = attrs.field(default=None, init=False)
    failed: bool = attrs.field(default=False, init=False)
    usage: Usage = attrs.field(default=Usage(source="absent"), init=False)
    response_id: str | None = attrs.field(default=None, init=False)
    served_model: str | None = attrs.field(default=None, init=False)
    request_id: str | None = attrs.field(default=None, init=False)
    rate_limit: RateLimit | None = attrs.field(default=None, init=False)
    logprobs: list[Any] = attrs.field(factory=list, init=False)
    citations: list[Any] = attrs.field(factory=list, init=False)
    raw: bytes | None = attrs.field(default=None, init=False)
    skipped: int = attrs.field(default=0, init=False)
    # The caller's names of tools by those that were sent instead.
    caller_names: Mapping[str, str] = attrs.field(factory=dict, init=False)
    # What the provider must get back with this message and no part holds, as JSON: asked for when a response is made.
    replay: Callable[[], bytes | None] | None = attrs.field(default=None, init=False)
    _meaning: FinishReason | None = attrs.field(default=None, init=False)
    _runs: list[_Run] = attrs.field(factory=list, init=False)
    _run: _Run = attrs.field(default=_CLOSED, init=False)
    _calls: list[_Call] = attrs.field(factory=list, init=False)
    # The place of the newest call of each id, and of each index.
    _by_id: dict[str, int] = attrs.field(factory=dict, init=False)
    _by_index: dict[int, int] = attrs.field(factory=dict, init=False)

    # -- content ------------------------------------------------------------------------------------------------

    def text(self, delta: str, events: list[Event]) -> None:
        if delta:
            run = self._run if self._run.kind == "text" else self._open("text")
            run.pieces.append(delta)
            events.append(Token(delta))

    def texts(self, deltas: list[str], events: list[Event]) -> None:
        """Several deltas, none of them empty."""
        if deltas:
            run = self._run if self._run.kind == "text" else self._open("text")
            run.pieces += deltas
            events += map(Token, deltas)

    def reasoning(self, delta: str, events: list[Event]) -> None:
        if delta:
            run = self._run if self._run.kind == "reasoning" else self._open("reasoning")
            run.pieces.append(delta)
            events.append(Reasoning(delta))

    def refusal(self, delta: str) -> None:
        """The model's words for not answering. They are no token: `response.refusal` has them."""
        if delta:
            run = self._run if self._run.kind == "refusal" else self._open("refusal")
            run.pieces.append(delta)

    def opaque(self, json: bytes) -> None:
        """A piece that only its own provider understands, kept in its place."""
        self._open("opaque").json = json
        self.close_part()

    def place(self) -> Callable[[bytes], None]:
        """A place for an opaque piece that is not whole yet: what this gives is called with its JSON. Until then,
        nothing stands there."""
        run = self._open("opaque")
        self.close_part()

        def fill(json: bytes) -> None:
            run.json = json

        return fill

    def sign(self, kind: Literal["text", "reasoning"], signature: str) -> None:
        """Put a signature on the open part of this kind (a new, empty one where none is open), and close it."""
        run = self._run if self._run.kind == kind else self._open(kind)
        run.signature = signature
        self.close_part()

    def annotate(self, extra: Mapping[str, Any]) -> None:
        """Keep these fields with the open part, if one is open: they go back to the provider with it."""
        if self._run is not _CLOSED:
            self._run.extra = {**self._run.extra, **extra}

    def close_part(self) -> None:
        """The next piece begins a part of its own."""
        self._run = _CLOSED

    def _open(self, kind: Kind) -> _Run:
        self._run = _Run(kind)
        self._runs.append(self._run)
        return self._run

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
        begins: bool = False,
        free_text: bool = False,
    ) -> int:
        """A fragment of a call that comes in pieces; "" and None mean that the fragment does not say.

        begins     the protocol says that a call begins here: it is a new one, even with the id of another
        free_text  the tool takes text and no JSON: what came is what is meant, also where it is nothing

        Returns the place of its call among the calls of this answer.
        """
        if name and self.caller_names:
            name = self.caller_names.get(name, name)
        place = None if begins else self._place(id or None, index, name or None)
        if place is None:
            call = _Call(id or None, name or None, free_text=free_text)
            place = self._begin(call, index)
            announce = True
        else:
            call = self._calls[place]
            announce = bool((name and not call.name) or (id and not call.id))
            if id and not call.id:
                call.id = id
                self._by_id[id] = place
            call.name = call.name or name or None
        if signature:
            call.signature = signature
        if arguments:
            call.pieces.append(arguments)
        if announce:
            events.append(ToolCallDelta(place, arguments or "", call.id, call.name))
        elif arguments:
            events.append(ToolCallDelta(place, arguments))
        return place

    def tool_call(
        self,
        events: list[Event],
        *,
        name: str,
        arguments: str,
        id: str | None = None,
        signature: str | None = None,
    ) -> None:
        """A call that comes whole: always a new one."""
        name = self.caller_names.get(name, name)
        call = _Call(id or None, name, [arguments], signature)
        events.append(ToolCallDelta(self._begin(call), arguments, call.id, name))

    @property
    def calls(self) -> int:
        return len(self._calls)

    @property
    def begun(self) -> bool:
        """Whether anything of an answer came."""
        return bool(self._runs or self._calls)

    def _begin(self, call: _Call, index: int | None = None) -> int:
        """The place of a call that is new."""
        place = len(self._calls)
        self._calls.append(call)
        if call.id is not None:
            self._by_id[call.id] = place
        if index is not None:
            self._by_index[index] = place
        return place

    def _place(self, id: str | None, index: int | None, name: str | None) -> int | None:
        """The place of the call that a fragment belongs to; None where it begins one."""
        if id is not None and id in self._by_id:
            return self._by_id[id]
        if index is not None:
            place = self._by_index.get(index)
            # An id that comes late belongs to the call of its index that has none yet.
            return None if place is None or (id and self._calls[place].id) else place
        if id is not None or name is not None or not self._calls:
            return None
        return len(self._calls) - 1

    # -- the end ------------------------------------------------------------------------------------------------

    def finish(self, raw: object, meaning: FinishReason | None = None) -> None:
        """A finish reason came; null and "" are none. `meaning` says what it means where the map does not."""
        if raw is not None and raw != "":
            self.raw_finish_reason = str(raw)
            self._meaning = meaning

    @property
    def finish_reason(self) -> FinishReason:
        if self.failed:
            return FinishReason.ERROR
        if self.raw_finish_reason is None:
            return FinishReason.TOOL_CALLS if self._calls else FinishReason.UNKNOWN
        reason = self._meaning or self.finish_map.get(self.raw_finish_reason, FinishReason.UNKNOWN)
        if reason is FinishReason.STOP and self._calls:
            return FinishReason.TOOL_CALLS
        return reason

    def end(self, events: list[Event]) -> None:
        """The answer is whole: announce its calls, and its end."""
        for place, call in enumerate(self.finished_calls()):
            events.append(ToolCallReady(place, call))
        events.append(
            End(
                finish_reason=self.finish_reason,
                raw_finish_reason=self.raw_finish_reason,
                usage=self.usage,
                skipped=self.skipped,
            )
        )

    def truncated(self, provider: str) -> StreamTruncated:
        """The error for a stream that ended with neither a finish reason nor its terminator."""
        return StreamTruncated(
            f"{provider}: the stream ended with neither a finish reason nor its terminator; "
            "the answer may be incomplete",
            partial=self.response(),
        )

    def response(self) -> ChatResponse:
        """The answer as far as it came."""
        parts = [run.part() for run in self._runs if run.json or run.kind != "opaque"]
        replayed = self.replay() if self.replay is not None else None
        if replayed is not None:
            parts.append(Opaque(replayed))
        return ChatResponse(
            message=Message(Role.ASSISTANT, tuple(parts), tool_calls=self.finished_calls(), origin=self.origin),
            model=self.model,
            finish_reason=self.finish_reason,
            raw_finish_reason=self.raw_finish_reason,
            usage=self.usage,
            response_id=self.response_id,
            served_model=self.served_model,
            request_id=self.request_id,
            rate_limit=self.rate_limit,
            logprobs=list(self.logprobs) or None,
            citations=tuple(self.citations),
            raw=self.raw,
        )

    def finished_calls(self) -> tuple[ToolCall, ...]:
        """The calls as far as they came, as the message has them."""
        cut = self.finish_map.get(self.raw_finish_reason or "") is FinishReason.LENGTH
        calls = []
        for place, call in enumerate(self._calls):
            arguments = "".join(call.pieces)
            # No arguments at all are an empty object, but for an answer that was cut: there they never came.
            empty = arguments.strip() in ("", "null") and not call.free_text
            if empty and not (cut and not arguments):
                arguments = "{}"
            calls.append(
                ToolCall(
                    call.id or f"call_{self.turn}_{place}",
                    call.name or "unnamed",
                    arguments,
                    signature=call.signature,
                    extra=call.extra,
                )
            )
        return tuple(calls)
