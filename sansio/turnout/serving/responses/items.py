"""Reads the items of a Responses request: a list becomes a conversation.

Source: the OpenAI API reference, "Create a model response", the field `input`.
"""

from __future__ import annotations

from typing import Final

import attrs

from turnout.messages import Commentary, File, Image, Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall
from turnout.serving.assistant_turn import AssistantTurn
from turnout.serving.continuity import unpack, unpack_call_id
from turnout.serving.fields import Fields
from turnout.serving.inbound import vocabulary_error
from turnout.serving.leftovers import Leftovers
from turnout.serving.media import audio_of, file_of_data_url, image_of
from turnout.serving.opaque_parts import RESPONSES_FAMILY, opaque_of_client
from turnout.serving.request_json import encode

__all__ = ["conversation_of"]

_ROLES: Final = ("user", "assistant", "system", "developer")
_MESSAGE: Final = frozenset(("type", "role", "content", "id", "status", "phase"))
_CALL: Final = frozenset(("type", "id", "call_id", "name", "arguments", "input", "status"))
_OUTPUT: Final = frozenset(("type", "id", "call_id", "output", "status"))
_OUTPUTS: Final = frozenset(("function_call_output", "custom_tool_call_output"))
_TEXT: Final = frozenset(("type", "text", "annotations", "logprobs"))


def conversation_of(items: list[Fields], leftovers: Leftovers) -> list[Message]:
    """Return the messages of the items.

    Raises:
        RequestRejected: An item cannot be read. Its error names the field.
    """
    conversation = _Conversation(leftovers)
    for item in items:
        try:
            conversation.add(item)
        except (ValueError, TypeError) as error:
            raise vocabulary_error(error, item.path()) from None
    conversation.end_turn()
    return conversation.messages


@attrs.define
class _Conversation:
    leftovers: Leftovers
    messages: list[Message] = attrs.field(factory=list)
    _turn: AssistantTurn | None = None

    def end_turn(self) -> None:
        """End the assistant's turn, if there is one."""
        if self._turn is not None:
            self.messages.append(self._turn.message())
            self._turn = None

    def add(self, item: Fields) -> None:
        kind = item.text("type") or "message"
        if kind == "message" and item.one_of("role", _ROLES) != "assistant":
            self.end_turn()
            self.messages.append(self._message(item))
        elif kind in _OUTPUTS:
            self.end_turn()
            self.messages.append(self._output(item))
        elif kind == "item_reference":
            _check_reference(item)
        else:
            self._turn = self._turn or AssistantTurn()
            self._add_to_turn(kind, item, self._turn)

    def _add_to_turn(self, kind: str, item: Fields, turn: AssistantTurn) -> None:
        match kind:
            case "message":
                self.leftovers.ignore(item, _MESSAGE)
                is_commentary = item.get("phase") == "commentary"
                for part in self._content(item):
                    turn.add(Commentary(part.text) if is_commentary and isinstance(part, Text) else part)
            case "reasoning":
                _add_reasoning(item, turn)
            case "function_call" | "custom_tool_call":
                self.leftovers.ignore(item, _CALL)
                carried = unpack_call_id(item.required_text("call_id"))
                arguments = item.text("arguments") or "{}"
                if kind == "custom_tool_call":
                    arguments = encode({"input": item.text("input") or ""}).decode()
                call = ToolCall(carried.value, item.required_text("name"), arguments, signature=carried.signature)
                turn.add_call(call, carried.origin)
            case _:
                # The call of a tool that runs at OpenAI, its result, or a type that is new.
                turn.add(Opaque(encode(item.values)), RESPONSES_FAMILY)

    def _message(self, item: Fields) -> Message:
        extra = self.leftovers.extra(item, _MESSAGE)
        role = item.text("role")
        if role is None:
            raise item.missing("role")
        content = self._content(item)
        if not content:
            raise item.missing("content")
        return Message(Role(role), content, extra=extra)

    def _output(self, item: Fields) -> Message:
        self.leftovers.ignore(item, _OUTPUT)
        call = unpack_call_id(item.required_text("call_id"))
        return Message.tool(call.value, self._content(item, "output") or "")

    def _content(self, item: Fields, name: str = "content") -> tuple[Part, ...]:
        value = item.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return (Text(value),) if value or item.get("role") != "assistant" else ()
        return tuple(self._part(part) for part in item.objects(name))

    def _part(self, part: Fields) -> Part:
        match kind := part.required_text("type"):
            case "input_text" | "output_text" | "text":
                extra = self.leftovers.extra(part, _TEXT)
                text = part.text("text")
                if text is None:
                    raise part.missing("text")
                return Text(text, extra=extra)
            case "refusal":
                return Refusal(part.text("refusal") or "")
            case "input_image":
                extra = self.leftovers.extra(part, ("type", "image_url", "detail", "file_id"))
                if (id := part.text("file_id")) is not None:
                    return File(file_id=id, media_type="image/*", extra=extra)
                return image_of(part, "image_url", extra)
            case "input_audio":
                extra = self.leftovers.extra(part, ("type", "input_audio"))
                return audio_of(part.required_object("input_audio"), extra)
            case "input_file":
                return self._file(part)
            case _:
                raise part.rejected("type", f"{kind!r} is not supported", "unsupported_parameter")

    def _file(self, part: Fields) -> File | Image:
        extra = self.leftovers.extra(part, ("type", "file_id", "file_url", "file_data", "filename"))
        filename = part.text("filename")
        if (id := part.text("file_id")) is not None:
            return File(file_id=id, filename=filename, extra=extra)
        if part.has("file_url"):
            return File(url=part.required_text("file_url"), filename=filename, extra=extra)
        return file_of_data_url(part, "file_data", filename, extra)


def _add_reasoning(item: Fields, turn: AssistantTurn) -> None:
    """Add a reasoning item: our own carries its origin, others are OpenAI's.

    Reasoning without encrypted content was stored with a provider, and only its summary is here.
    """
    encrypted = item.text("encrypted_content")
    text = "".join(part.text("text") or "" for part in (*item.objects("content"), *item.objects("summary")))
    carried = unpack(encrypted) if encrypted else None
    if carried is not None and carried.origin is not None:
        part = opaque_of_client(carried.value)
        if part is not None:
            turn.add(part, carried.origin)
        else:
            turn.add(Thinking(text, signature=carried.value or None), carried.origin)
    elif encrypted:
        turn.add(Opaque(encode(item.values)), RESPONSES_FAMILY)
    elif text:
        turn.add(Thinking(text))


def _check_reference(item: Fields) -> None:
    """Pass over a reference to reasoning, which is of no use without its content. Reject all other references."""
    if not item.required_text("id").startswith("rs_"):
        raise item.rejected(
            "id",
            "this gateway stores nothing and cannot find an earlier item; send the items themselves (`store: false`)",
            "unsupported_parameter",
        )
