"""Several messages in one choice: the use of tools that run at the provider, and then the answer.

Mistral sends them with its connectors: as a list in a whole response, and in a stream as deltas with the index of their
message. Source: `ChatCompletionChoice.messages` and `DeltaMessage.index` of mistralai 3.7.

A call with a result in the list was run by the provider, so it is none of the caller's. A result is no text of the
answer. All messages are in `ChatResponse.extra["messages"]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from turnout._utils.growing_text import GrowingText
from turnout.events import Event
from turnout.providers.decoding.accumulator import ResponseAccumulator
from turnout.providers.decoding.tool_call_fragments import made_id
from turnout.providers.json_codec import LenientDecoder
from turnout.providers.openai_chat.message.prefix_filter import PrefixFilter
from turnout.providers.openai_chat.message.reader import MessageReader
from turnout.providers.openai_chat.wire import Message

__all__ = ["MessageSequence"]

_MESSAGE = LenientDecoder(Message)
_TEXT_FIELDS = frozenset({"index", "role", "content"})


@attrs.define(eq=False)
class _StreamedMessage:
    """A message of a stream, as far as it was received."""

    calls: ResponseAccumulator  # for its tool calls alone
    fields: dict[str, Any] = attrs.field(factory=dict)
    _content: list[object] = attrs.field(factory=list)  # in pieces, because to join each one takes quadratic time

    @property
    def role(self) -> str:
        return str(self.fields.get("role") or ("tool" if self.fields.get("tool_call_id") else "assistant"))

    def add(self, delta: Mapping[str, Any]) -> None:
        given = {name: value for name, value in delta.items() if name != "index" and value is not None}
        if "content" in given:
            self._add_content(given.pop("content"))
        self.fields |= given

    def _add_content(self, content: object) -> None:
        if isinstance(content, str):
            text = self._content[-1] if self._content else None
            if not isinstance(text, GrowingText):
                text = GrowingText()
                self._content.append(text)
            text.add(content)
        else:
            self._content.append(content)

    def build(self) -> dict[str, Any]:
        fields = {**self.fields, "content": _joined(self._content)} if self._content else self.fields
        calls = self.calls.finished_calls()
        if not calls:
            return fields
        written = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
        return {**fields, "tool_calls": written}


@attrs.define(eq=False)
class MessageSequence:
    """Reads the messages of one choice.

    Attributes:
        reader: Reads the messages that are the answer's.
        is_stream: Whether deltas of several messages are received.
    """

    reader: MessageReader
    is_stream: bool = False
    _streamed: dict[int, _StreamedMessage] = attrs.field(factory=dict)
    _newest: int = -1

    def read_list(self, messages: list[dict[str, Any]], events: list[Event]) -> None:
        """Read the messages of a whole response. The last one of the assistant is the answer."""
        executed = _executed(messages)
        answers = [position for position, message in enumerate(messages) if message.get("role") == "assistant"]
        for position in answers:
            message = messages[position]
            calls = message.get("tool_calls")
            if isinstance(calls, list):
                own = [call for call in calls if not _is_executed(_id_of(call), position, executed)]
                message = {**message, "tool_calls": own}
            fitted = _MESSAGE.fit({**message, "phase": "final_answer" if position == answers[-1] else "commentary"})
            if fitted is not None:
                self.reader.read(fitted, events, whole=True)
        self.reader.set_response_field("messages", messages)

    def read_delta(self, given: dict[str, Any], events: list[Event]) -> None:
        """Read a delta of one of several messages. Calls wait for the end, because a result may still follow."""
        self.is_stream = True
        key = self._key(given)
        message = self._streamed.get(key)
        begins = message is None
        if message is None:
            message = self._streamed[key] = _StreamedMessage(self._scratch())
        self._newest = key
        message.add({name: value for name, value in given.items() if name != "tool_calls"})
        if begins or message.role != "assistant" or not _is_text(given):
            self.reader.accumulator.kept += 1  # events have only the text, and the limit of the output counts events
        if message.role != "assistant":
            self.reader.accumulator.end_part()
            return
        fitted = _MESSAGE.fit(given)
        if fitted is None:
            return
        if fitted.tool_calls:
            only_calls = Message(tool_calls=fitted.tool_calls)
            MessageReader(message.calls, PrefixFilter("")).read(only_calls, [], whole=False)
            fitted.tool_calls = None
        self.reader.read(fitted, events, whole=False)

    def flush(self, events: list[Event]) -> None:
        """Give the caller the calls that no result of the stream is for."""
        if not self._streamed:
            return
        streamed = list(self._streamed.values())
        messages = [message.build() for message in streamed]
        executed = _executed(messages)
        for position, message in enumerate(streamed):
            for place, call in enumerate(message.calls.finished_calls()):
                if not _is_executed(call.id, position, executed):
                    self.reader.accumulator.tool_fragment(
                        events,
                        id=None if call.id == made_id(message.calls.turn, place) else call.id,
                        name=call.name,
                        arguments=call.arguments,
                        extra=call.extra,
                        starts_call=True,
                    )
        if len(messages) > 1:
            self.reader.set_response_field("messages", messages)

    def _key(self, given: Mapping[str, Any]) -> int:
        index = given.get("index")
        if isinstance(index, int):
            return index
        newest = self._streamed.get(self._newest)
        role = given.get("role")
        begins = newest is None or (isinstance(role, str) and role != newest.role)
        return self._newest + 1 if begins else self._newest

    def _scratch(self) -> ResponseAccumulator:
        whole = self.reader.accumulator
        return ResponseAccumulator(whole.model, whole.origin, {}, whole.turn)


def _is_text(given: Mapping[str, Any]) -> bool:
    """True if a delta has nothing but text."""
    return given.keys() <= _TEXT_FIELDS and isinstance(given.get("content", ""), str)


def _joined(pieces: list[object]) -> object:
    """Return the content of a message: texts or lists joined. A piece of another kind replaces those before it."""
    kind, run = type(pieces[-1]), [pieces[-1]]
    for piece in reversed(pieces[:-1]):
        if type(piece) is not kind:
            break
        run.append(piece)
    run.reverse()
    if kind is GrowingText:
        return str(run[-1])
    return [item for piece in run if isinstance(piece, list) for item in piece] if kind is list else run[-1]


def _executed(messages: Iterable[Mapping[str, Any]]) -> dict[str | None, int]:
    """Return the position of the last result for each call; that of results without an id under None."""
    executed: dict[str | None, int] = {}
    for position, message in enumerate(messages):
        if message.get("role") == "tool" or message.get("tool_call_id"):
            id = message.get("tool_call_id")
            executed[id if isinstance(id, str) and id else None] = position
    return executed


def _is_executed(id: str | None, position: int, executed: Mapping[str | None, int]) -> bool:
    return position < max(executed.get(id, -1), executed.get(None, -1))


def _id_of(call: object) -> str | None:
    id = call.get("id") if isinstance(call, dict) else None
    return id if isinstance(id, str) else None
