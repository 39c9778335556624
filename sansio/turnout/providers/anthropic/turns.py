"""A conversation as Anthropic takes it: a system prompt beside turns of two roles, each a list of blocks.

Source: the Messages API reference (platform.claude.com), and its guides on tool use, vision, PDF and thinking.

- System and developer messages at the beginning are the system prompt. Later ones keep their place if the model
  takes that and the API allows the position; otherwise they are put into the system prompt.
- Text that is blank is left out, because the API refuses it.
- An assistant's turn that this family made gets back its thinking with the signatures, and its opaque blocks, each in
  its place. Nobody else's thinking is sent, nor this family's where its signature never came: it would be refused.
- An `Opaque` of the type `tool_use` is no block but the place of one: the call of its id stands there, with the other
  fields that the opaque piece holds.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from turnout.chat import ChatRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import File, Image, Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall
from turnout.providers.encoding.alternating_turns import Turns
from turnout.providers.encoding.call_ids import CallIds
from turnout.providers.encoding.tool_arguments import arguments_object
from turnout.providers.json_codec import LenientDecoder, decode_any

__all__ = ["FAMILY", "begins_with_thinking", "conversation"]

FAMILY = "anthropic"


def conversation(
    request: ChatRequest, *, system_in_turns: bool = False
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the blocks of the system prompt, and the turns.

    Args:
        request: The conversation.
        system_in_turns: Whether the model takes system messages between turns.

    Raises:
        CapabilityUnsupported: A part has no form in this dialect, or no turn remains.
    """
    conversation = _Conversation(system_in_turns)
    for message in request.messages:
        conversation.add(message)
    conversation.end()
    conversation.turns.strip_prefill()
    if not conversation.turns.turns:
        raise CapabilityUnsupported(f"{request.model}: there is no text beside the system prompt; add a user's message")
    return conversation.system, conversation.turns.turns


def begins_with_thinking(message: Message) -> bool:
    """Whether the turn that is sent for this message starts with thinking."""
    if message.origin != FAMILY or not message.content:
        return False
    match message.content[0]:
        case Thinking(signature=signature):
            return signature is not None
        case Opaque(json=json):
            head = _HEAD.decode(json)
            return head is not None and head.type == "redacted_thinking"
        case _:
            return False


class _Head(msgspec.Struct):
    type: str = ""
    id: str = ""


_HEAD = LenientDecoder(_Head)


@attrs.define
class _Conversation:
    """The system prompt and the turns that were added so far.

    The API takes a system message only directly behind a user's turn, and only as the last one or before an
    assistant's turn. An earlier one waits in `_later` for the end of the user's turn.
    """

    system_in_turns: bool = False
    system: list[dict[str, Any]] = attrs.field(factory=list)
    turns: Turns = attrs.field(factory=Turns)
    _later: list[dict[str, Any]] = attrs.field(factory=list)
    _later_fields: dict[str, Any] = attrs.field(factory=dict)
    _ids: CallIds = attrs.field(factory=lambda: CallIds(restricted=True))

    def add(self, message: Message) -> None:
        extra = dict(message.extra)
        match message.role:
            case Role.SYSTEM | Role.DEVELOPER:
                blocks = [_system_block(part) for part in message.content if not is_blank(part)]
                if self.system_in_turns and self.turns.turns:
                    self._later += _marked(blocks, _of_block(extra))
                    self._later_fields |= extra
                else:
                    self.system += _marked(blocks, extra)
            case Role.TOOL:
                self.turns.add("user", [self._tool_result(message) | extra], {}, results=True)
            case Role.USER:
                blocks = [_block(part) for part in message.content if not is_blank(part)]
                self.turns.add("user", _marked(blocks, _of_block(extra)), extra)
            case Role.ASSISTANT:
                blocks = self._assistant_blocks(message)
                if blocks:
                    self.end()
                self.turns.add("assistant", _marked(blocks, _of_block(extra)), extra)

    def end(self) -> None:
        """Put the system messages that wait behind the user's turn; into the system prompt if there is none."""
        if not self._later:
            return
        if self.turns.turns[-1]["role"] == "user":
            self.turns.add("system", self._later, self._later_fields)
        else:
            self.system += self._later
        self._later, self._later_fields = [], {}

    def _assistant_blocks(self, message: Message) -> list[dict[str, Any]]:
        own = message.origin == FAMILY
        self._ids.begin(message.tool_calls)
        calls = [(call.id, self._tool_use(call)) for call in message.tool_calls]
        blocks: list[Any] = []
        for part in message.content:
            match part:
                case Thinking():
                    if own and part.signature is not None:
                        thinking = {"type": "thinking", "thinking": part.text, "signature": part.signature}
                        blocks.append(thinking)
                case Opaque():
                    if own:
                        blocks += _opaque(part, calls)
                case Refusal():
                    # This family's explains the platform's refusal, and was never the model's own word.
                    if not own and part.text.strip():
                        blocks.append({"type": "text", "text": part.text})
                case _:
                    if not is_blank(part):
                        blocks.append(_block(part))
        return blocks + [block for _, block in calls]

    def _tool_use(self, call: ToolCall) -> dict[str, Any]:
        return {
            "type": "tool_use",
            "id": self._ids.new(call),
            "name": call.name,
            "input": arguments_object(call),
            **call.extra,
        }

    def _tool_result(self, message: Message) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._ids.of_result(message)}
        content = [_block(part) for part in message.content if not is_blank(part)]
        if content:
            result["content"] = content
        if message.is_error:
            result["is_error"] = True
        return result


def _opaque(part: Opaque, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    head = _HEAD.decode(part.json)
    if head is None or head.type != "tool_use":
        return [msgspec.Raw(part.json)]
    place = next((place for place, (id, _) in enumerate(calls) if id == head.id), None)
    if place is None:
        return []  # the call was taken out of the message since
    return [{**decode_any(part.json), **calls.pop(place)[1]}]


def is_blank(part: Part) -> bool:
    """Return whether the part is a text of white space alone, which the API refuses."""
    return isinstance(part, Text) and not part.text.strip()


def _of_block(extra: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message that belong to a block here, taken out of `extra`."""
    return {"cache_control": extra.pop("cache_control")} if "cache_control" in extra else {}


def _marked(blocks: list[dict[str, Any]], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With these fields on the last block, if that is one of ours."""
    if fields and blocks and isinstance(blocks[-1], dict):
        blocks[-1] |= fields
    return blocks


def _system_block(part: Part) -> dict[str, Any]:
    if not isinstance(part, Text):
        raise CapabilityUnsupported(f"{FAMILY}: a system prompt can only hold text, not a {type(part).__name__}")
    return _block(part)


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extra}
        case Image():
            return {"type": "image", "source": _source(part), **part.extra}
        case File():
            if (part.media_type or "").startswith("image/"):
                return {"type": "image", "source": _source(part), **part.extra}
            document: dict[str, Any] = {"type": "document", "source": _document_source(part)}
            if part.filename is not None:
                document["title"] = part.filename
            return document | dict(part.extra)
        case _:
            raise CapabilityUnsupported(f"{FAMILY}: a {type(part).__name__} cannot be sent in a message")


def _source(part: Image | File) -> dict[str, Any]:
    if isinstance(part, File) and part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.data is not None:
        return _base64(part.media_type or "", base64.b64encode(part.data).decode())
    url = part.url or ""
    if url.startswith("data:"):
        media_type, _, data = url.removeprefix("data:").partition(";base64,")
        return _base64(media_type, data)
    return {"type": "url", "url": url}


def _base64(media_type: str, data: str) -> dict[str, Any]:
    # The name that many write for image/jpeg is refused.
    return {"type": "base64", "media_type": media_type.replace("image/jpg", "image/jpeg"), "data": data}


def _document_source(part: File) -> dict[str, Any]:
    media_type = part.media_type or ""
    if part.data is not None and media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": part.data.decode("utf-8", "replace")}
    if part.data is not None and media_type != "application/pdf":
        raise CapabilityUnsupported(f"{FAMILY}: takes files that are PDF, plain text or images, not {media_type}")
    return _source(part)
