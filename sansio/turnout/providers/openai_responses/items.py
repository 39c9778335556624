"""A conversation as the Responses API takes it: a list of items, beside its instructions.

Source: the OpenAI API reference, "Create a model response", and its guides on conversation state and reasoning.

- A system prompt that leads the conversation is its instructions; every other one is an item in its place.
- A call is one item, and its result is another. Calls of tools that take free text have another type.
- An assistant's turn that this family made gets back every item that it was made of, in its place: the `Opaque` of a
  message or a call is the place of one, and its words or its call are those that the turn holds now; all
  others are sent as they came. Nobody else's are sent.
- Reasoning that the provider cannot read again is left out: with neither its encrypted content nor its text it is only
  the name of something that was not stored. So is reasoning that nothing follows, which is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from turnout.chat import ChatRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import (
    Audio,
    Commentary,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
)
from turnout.providers.catalog.spec import ProviderAccount
from turnout.providers.encoding.call_ids import CallIds
from turnout.providers.json_codec import LenientDecoder, decode_any
from turnout.providers.openai_chat.turns import data_url
from turnout.providers.openai_responses.wire import WORDS

__all__ = ["conversation", "family_of"]


def family_of(account: ProviderAccount) -> str:
    """Return the family that understands the items of this account's answers; chat completions are not in it."""
    return f"{account.spec.name}-responses"


def conversation(
    request: ChatRequest, account: ProviderAccount, *, stored: bool = False
) -> tuple[str | None, list[dict[str, Any] | msgspec.Raw]]:
    """Return the instructions and the items. If `stored`, the provider keeps answers, so their ids are enough.

    Raises:
        CapabilityUnsupported: If a part has no form in this API.
    """
    instructions: str | None = None
    messages = request.messages
    first = messages[0]
    if first.role is Role.SYSTEM and len(messages) > 1 and not first.extra and _plain(first.content):
        instructions, messages = first.text, messages[1:]
    items: list[dict[str, Any] | msgspec.Raw] = []
    ids = CallIds()
    custom: set[str | None] = set()  # the ids of calls of tools that take free text
    for message in messages:
        match message.role:
            case Role.ASSISTANT:
                turn = _assistant(message, account, stored, ids)
                custom |= {
                    one["call_id"] for one in turn if isinstance(one, dict) and one.get("type") == "custom_tool_call"
                }
                items += turn
            case Role.TOOL:
                call_id = ids.of_result(message)
                kind = "custom_tool_call" if call_id in custom else "function_call"
                output = {"type": f"{kind}_output", "call_id": call_id}
                items.append({**output, "output": _content(message.content, account), **message.extra})
            case Role.SYSTEM | Role.DEVELOPER | Role.USER:
                role = message.role
                if role is Role.DEVELOPER and not account.spec.openai_compat.developer_role:
                    role = Role.SYSTEM
                content = _content(message.content, account)
                items.append({"role": role.value, "content": content, **message.extra})
    return instructions, items


# -- users, systems and tools -----------------------------------------------------------------------------------------


def _plain(parts: Iterable[Part]) -> bool:
    return all(isinstance(part, Text) and not part.extra for part in parts)


def _content(parts: tuple[Part, ...], account: ProviderAccount) -> str | list[dict[str, Any]]:
    if len(parts) <= 1 and _plain(parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part, account) for part in parts]


def _part(part: Part, account: ProviderAccount) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **part.extra}
        case Image():
            url = part.url if part.url is not None else data_url(part.data or b"", part.media_type)
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto", **part.extra}
        case File():
            return {"type": "input_file", **_file(part), **part.extra}
        case _:
            raise CapabilityUnsupported(f"{account.name}: a {type(part).__name__} cannot be sent to the Responses API")


def _file(part: File) -> dict[str, Any]:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    if part.url is not None:
        return {"file_url": part.url}
    return {"filename": part.filename or "file", "file_data": data_url(part.data or b"", part.media_type)}


# -- assistants -------------------------------------------------------------------------------------------------------


class _Head(msgspec.Struct):
    """The fields of an opaque part that decide its place, and whether it can be read again."""

    type: str = ""
    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    encrypted_content: str | None = None
    content: list[Any] | None = None


_HEAD = LenientDecoder(_Head)


@attrs.define
class _Turn:
    """The items of one assistant's turn. `place` is that of the message that collects words."""

    extra: Mapping[str, Any]
    items: list[dict[str, Any] | msgspec.Raw] = attrs.field(factory=list)
    place: Mapping[str, Any] = attrs.field(factory=dict)
    words: list[Text | Refusal] = attrs.field(factory=list)
    _reasoning: int = 0  # how many items of reasoning are at the end

    def add(self, item: dict[str, Any] | msgspec.Raw, *, reasoning: bool = False) -> None:
        self.end_message()
        self.items.append(item)
        self._reasoning = self._reasoning + 1 if reasoning else 0

    def end_message(self) -> None:
        words, place = self.words, self.place
        self.words, self.place = [], {}
        if not words:
            return
        if isinstance(place.get("id"), str):
            self.add({**place, "content": _spoken(place.get("content"), words), **self.extra})
        else:
            # llama.cpp refuses an assistant's message without its type.
            text = "".join(part.text for part in words)
            phase = {"phase": place["phase"]} if isinstance(place.get("phase"), str) else {}
            self.add({"type": "message", "role": "assistant", "content": text, **phase, **self.extra})

    def end(self) -> list[dict[str, Any] | msgspec.Raw]:
        self.end_message()
        return self.items[: len(self.items) - self._reasoning]


def _assistant(
    message: Message, account: ProviderAccount, stored: bool, ids: CallIds
) -> list[dict[str, Any] | msgspec.Raw]:
    own = message.origin == family_of(account)
    turn = _Turn(message.extra)
    ids.begin(message.tool_calls)
    calls = [(call, ids.new(call)) for call in message.tool_calls]
    for part in message.content:
        match part:
            case Text() | Refusal():
                if part.text:
                    turn.words.append(part)
            case Commentary():
                if part.text:
                    turn.words.append(Text(part.text, extra=part.extra))
            case Thinking():
                pass  # the opaque item of this family's reasoning has it
            case Image() | Audio() if own:
                pass  # and so do the items of images and sound
            case Opaque():
                if own:
                    _opaque(part, turn, calls, stored)
            case _:
                raise CapabilityUnsupported(
                    f"{account.name}: an assistant's message can only hold text, not a {type(part).__name__}"
                )
    for call, call_id in calls:
        turn.add(_call(call, call_id))
    return turn.end()


def _opaque(part: Opaque, turn: _Turn, calls: list[tuple[ToolCall, str]], stored: bool) -> None:
    head = _HEAD.decode(part.json)
    if head is None:
        return
    match head.type:
        case "message":
            turn.end_message()
            turn.place = decode_any(part.json)
        # One that still has its name is no place but the whole: the call of a tool that runs at the provider.
        case "function_call" | "custom_tool_call" if head.name is None:
            called = head.call_id or head.id
            at = next((at for at, (call, _) in enumerate(calls) if call.id == called), None)
            if at is not None:  # else it was taken out of the message since
                call, call_id = calls.pop(at)
                turn.add({**decode_any(part.json), **_call(call, call_id, custom=head.type == "custom_tool_call")})
        case "reasoning":
            if stored or head.encrypted_content or head.content:
                turn.add(msgspec.Raw(part.json), reasoning=True)
        case _:
            turn.add(msgspec.Raw(part.json))


def _call(call: ToolCall, call_id: str, *, custom: bool = False) -> dict[str, Any]:
    fields = {"call_id": call_id, "name": call.name}
    if custom:
        return {"type": "custom_tool_call", **fields, "input": call.arguments, **call.extra}
    return {"type": "function_call", **fields, "arguments": call.arguments or "{}", **call.extra}


def _spoken(kept: Any, words: list[Text | Refusal]) -> list[dict[str, Any]]:
    """Return the parts of a message as they were received, with its present words; if they do not fit, only these."""
    left = list(words)
    parts: list[dict[str, Any]] = []
    for part in kept if isinstance(kept, list) else ():
        field = WORDS.get(str(part.get("type")) if isinstance(part, dict) else "")
        if field is None:
            parts.append(part)
        elif left and isinstance(left[0], Text if field == "text" else Refusal):
            parts.append({**part, **_said(left.pop(0))})
        else:
            return [{"annotations": [], **_said(part)} if isinstance(part, Text) else _said(part) for part in words]
    return parts + [{"annotations": [], **_said(part)} if isinstance(part, Text) else _said(part) for part in left]


def _said(part: Text | Refusal) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "output_text", "text": part.text, **part.extra}
    return {"type": "refusal", "refusal": part.text}
