"""Chat completions of vendors, with their differences from OpenAI as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs

from turnout_sandbox.answers import ScriptedCall
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.templates import fill

__all__ = ["FormatRecord", "RecordFormat", "format_of"]


@attrs.frozen(kw_only=True)
class FormatRecord:
    """How the answers of one vendor differ from OpenAI's. Mappings are templates (see `turnout_sandbox.templates`).

    Attributes:
        identity: The id of an answer.
        call_identity: The id of a tool call; `{name}` and `{index}` are the call's.
        reasoning: The field of the reasoning, in a delta and in a message.
        chunk: Further fields of each chunk.
        whole: Further fields of an answer that is not streamed.
        choice: Further fields of each choice of a chunk.
        message_choice: Further fields of the choice of a whole answer.
        message: Further fields of a whole message.
        first_delta: The delta of the first chunk; None if there is no such chunk.
        delta: Further fields of each delta with text or reasoning; the other one of the two is None there if
            `alternates`.
        alternates: Whether a delta has both text and reasoning, one of them None.
        finish_always: Whether each choice has a `finish_reason`, None before the end.
        whole_calls: Whether a tool call arrives in one delta.
        fragment: Further fields of each later fragment of a tool call.
        empty_content: Whether the content beside tool calls is "" and not None.
        usage_in: Where a stream has its usage: a chunk of its own on request (`own`) or always (`own_always`), the
            chunk with the finish reason (`finish`), the choice of that chunk (`choice`), or each chunk (`each`).
        usage_null: Whether the chunks before it have `usage: null`.
        usage: Further fields of the usage.
        last: Further fields of the last chunk before the end marker.
        done: The end marker.
        comments: Bytes before the first event.
    """

    identity: str = "chatcmpl-{hex:32}"
    call_identity: str = "call_{alnum:24}"
    reasoning: str = "reasoning_content"
    chunk: Mapping[str, Any] = attrs.field(factory=dict)
    whole: Mapping[str, Any] = attrs.field(factory=dict)
    choice: Mapping[str, Any] = attrs.field(factory=dict)
    message_choice: Mapping[str, Any] = attrs.field(factory=dict)
    message: Mapping[str, Any] = attrs.field(factory=dict)
    first_delta: Mapping[str, Any] | None = attrs.field(factory=lambda: {"role": "assistant", "content": ""})
    delta: Mapping[str, Any] = attrs.field(factory=dict)
    alternates: bool = False
    finish_always: bool = True
    whole_calls: bool = False
    fragment: Mapping[str, Any] = attrs.field(factory=dict)
    empty_content: bool = False
    usage_in: Literal["own", "own_always", "finish", "choice", "each"] = "own"
    usage_null: bool = False
    usage: Mapping[str, Any] = attrs.field(factory=dict)
    last: Mapping[str, Any] = attrs.field(factory=dict)
    done: bytes = b"data: [DONE]\n\n"
    comments: bytes = b""


@attrs.define
class RecordFormat(ChatFormat):
    """An answer in the form that `record` describes."""

    record: ClassVar[FormatRecord] = FormatRecord()

    def new_id(self) -> str:
        return str(self._filled(self.record.identity))

    def new_call_id(self) -> str:
        return str(self._filled(self.record.call_identity))

    def __attrs_post_init__(self) -> None:
        ChatFormat.__attrs_post_init__(self)
        if "{name}" in self.record.call_identity:  # such an id names the tool
            self.calls = tuple(
                (self._filled(self.record.call_identity, name=call.name, index=index), call)
                for index, call in enumerate(self.turn.calls)
            )

    def usage(self) -> dict[str, Any]:
        return {**ChatFormat.usage(self), **self._filled(self.record.usage)}

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        record = self.record
        each = {"usage": self.usage() if record.usage_in == "each" and self.usage_sent else None}
        usage = each if record.usage_in == "each" or record.usage_null else {}
        return ChatFormat.chunk(self, choices, **{**self._filled(record.chunk), **usage, **more})

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        finishes = {"finish_reason": finish} if self.record.finish_always or finish is not None else {}
        return {"index": self.index, "delta": delta, **self.record.choice, **finishes}

    def opening(self) -> list[bytes]:
        record = self.record
        events = [record.comments] if record.comments else []
        if record.first_delta is not None:
            events.append(self.event(self.chunk([self.choice(record.first_delta)])))
        return events

    def text_delta(self, piece: str) -> dict[str, Any]:
        other = {self.record.reasoning: None} if self.record.alternates else {}
        return {**self.record.delta, "content": piece, **other}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        other = {"content": None} if self.record.alternates else {}
        return {**self.record.delta, **other, self.record.reasoning: piece}

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        if self.record.whole_calls:
            function = {"name": call.name, "arguments": call.text}
            fragment = {"index": index, "id": identity, "type": "function", "function": function}
            yield {**self.record.delta, "tool_calls": [fragment]}
            return
        for number, delta in enumerate(ChatFormat.call_deltas(self, index, identity, call)):
            (fragment,) = delta["tool_calls"]
            yield {**self.record.delta, "tool_calls": [{**fragment, **(self.record.fragment if number else {})}]}

    def closing(self) -> list[bytes]:
        record, turn = self.record, self.turn
        where = record.usage_in if self.usage_sent else "none"
        own = where == "own_always" or (where == "own" and self.usage_requested)
        choice = self.choice(dict(record.delta), turn.finish)
        if where == "choice":
            choice["usage"] = self.usage()
        last = self._filled(record.last)
        more = {"usage": self.usage()} if where == "finish" else {}
        events = [self.chunk([choice], **more, **({} if own else last))]
        if own or (where == "choice" and self.usage_requested):
            events.append(self.chunk([], usage=self.usage(), **last))
        return [self.event(payload) for payload in events]

    def message(self) -> dict[str, Any]:
        message = ChatFormat.message(self)
        if self.record.empty_content and message["content"] is None:
            message["content"] = ""
        reasoning = message.pop(ChatFormat.reasoning_key, None)
        if reasoning is not None:
            message[self.record.reasoning] = reasoning
        return {**self.record.message, **message}

    def completion(self) -> dict[str, Any]:
        whole = ChatFormat.completion(self)
        choice = {"index": self.index, "message": self.message(), **self.record.message_choice}
        return {**whole, "choices": [{**choice, "finish_reason": self.turn.finish}], **self._filled(self.record.whole)}

    def _filled(self, template: Any, **more: Any) -> Any:
        turn = self.turn
        values = {
            "created": self.created,
            "model": self.model,
            "prompt": turn.prompt_tokens,
            "completion": turn.completion_tokens,
            "total": turn.prompt_tokens + turn.completion_tokens,
            "reasoning": turn.reasoning_tokens,
            "identity": getattr(self, "identity", ""),
            "name": "",
            "index": 0,
        }
        return fill(template, {**values, **more}, self.rng)


def format_of(record: FormatRecord, base: type[RecordFormat] = RecordFormat) -> type[RecordFormat]:
    """Return the class of answers that a record describes; `base` adds the rest."""
    return type(base.__name__, (base,), {"record": record, "done": record.done, "__slots__": ()})
