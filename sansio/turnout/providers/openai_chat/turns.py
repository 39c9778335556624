"""The messages of an OpenAI chat-completions request, and how a model gets its own reasoning back.

Source: the OpenAI API reference, "Create chat completion"; the guides on reasoning of Moonshot, DeepSeek, Z.ai,
Mistral, Groq and Together. Which field a model needs is data in the catalog (`ProviderAccount.replays_reasoning`).
"""

from __future__ import annotations

import base64
import hashlib
import operator
from collections.abc import Iterable, Sequence
from typing import Any

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
from turnout.providers.catalog.spec import ProviderAccount, ReasoningReplay
from turnout.providers.encoding.prefill import without_trailing_blanks
from turnout.providers.encoding.tool_results import answered_results, results_as_text
from turnout.providers.json_codec import encode
from turnout.providers.openai_chat.message.opaque_fields import opaque_fields
from turnout.providers.openai_chat.message.prefix_filter import is_prefill

__all__ = ["chat_messages", "data_url", "tool_call"]

_NOT_KEPT: tuple[object, Any] = (None, None)
_kept_json = operator.attrgetter("kept_json")
_role = operator.attrgetter("role")
_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def chat_messages(request: ChatRequest, account: ProviderAccount) -> list[dict[str, Any] | msgspec.Raw]:
    """Return the messages.

    Raises:
        CapabilityUnsupported: A part has no form in this dialect.
    """
    messages = request.messages
    if Role.TOOL in map(_role, messages):
        messages = _with_tool_results(messages, account)
    if Role.ASSISTANT not in map(_role, messages):
        return _unchanged(messages, account)
    if is_prefill(messages[-1]):
        last = without_trailing_blanks(messages[-1])
        # A request needs a message, so a prefill of blanks alone is left out only if others are before it.
        messages = ((*messages[:-1], last) if last is not None else messages[:-1]) or messages
    replay = account.replays_reasoning(request.model.model_id)
    if replay == "none":
        return _unchanged(messages, account)
    in_tool_turns = _messages_of_tool_turns(messages) if replay.endswith("_of_calls") else None
    wires = _unchanged(messages, account)
    for index, message in enumerate(messages):
        if message.role is Role.ASSISTANT and (in_tool_turns is None or index in in_tool_turns):
            fields = _reasoning_fields(message, account, replay)
            if fields:
                wires[index] = {**_message(message, account), **fields}
    return wires


def _with_tool_results(messages: Sequence[Message], account: ProviderAccount) -> tuple[Message, ...]:
    messages = results_as_text(messages)
    if not account.spec.openai_compat.user_after_tool:
        messages = answered_results(messages)
    return tuple(messages)


# -- reasoning ------------------------------------------------------------------------------------------------------


def _messages_of_tool_turns(messages: tuple[Message, ...]) -> set[int]:
    """Return the indices of the assistant's messages in turns with calls. A turn ends with a message of the user."""
    found: set[int] = set()
    turn: list[int] = []
    has_calls = False
    for index, message in enumerate(messages):
        if message.role is Role.ASSISTANT:
            turn.append(index)
            has_calls = has_calls or bool(message.tool_calls)
        elif message.role is Role.USER:
            found.update(turn if has_calls else ())
            turn, has_calls = [], False
    return found.union(turn if has_calls else ())


def _reasoning_fields(message: Message, account: ProviderAccount, replay: ReasoningReplay) -> dict[str, Any]:
    """Return the fields in which an assistant's message returns its reasoning."""
    own = message.origin == account.spec.name
    # A caller that writes the turns itself, as for the provider's own API, gives them no origin.
    reasoning = message.reasoning if own or message.origin is None else ""
    match replay:
        case "reasoning_content_of_calls":
            # DeepSeek and Moonshot refuse a message of a tool turn without the field, also one that another model made,
            # which has no reasoning. They take an empty one.
            return {"reasoning_content": reasoning}
        case "reasoning_content" if reasoning:
            return {"reasoning_content": reasoning}
        case "reasoning_of_calls" if reasoning:
            return {"reasoning": reasoning}
        case "thinking" if own:
            return _thinking_content(message)
        case _:
            return {}


def _thinking_content(message: Message) -> dict[str, Any]:
    """Return the content with the reasoning that Mistral signed, in its place; {} if it signed none."""
    if not any(isinstance(part, Thinking) and part.signature for part in message.content):
        return {}
    content: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case Thinking(signature=str() as signature):
                text = [{"type": "text", "text": part.text}]
                content.append({"type": "thinking", "thinking": text, "signature": signature})
            case Text() | Refusal():
                if part.text:
                    content.append({"type": "text", "text": part.text})
    return {"content": content}


# -- messages -------------------------------------------------------------------------------------------------------


def _unchanged(messages: Sequence[Message], account: ProviderAccount) -> list[dict[str, Any] | msgspec.Raw]:
    """Return the messages without their reasoning. Those of text are encoded once, for later calls, too."""
    spec = account.spec
    if getattr(messages[-1], "kept_json", None) is None:
        _encoded(messages[-1], account)  # the new one of a conversation that is sent again
    try:
        wires: list[dict[str, Any] | msgspec.Raw]
        wires = [encoded for owner, encoded in map(_kept_json, messages) if owner is spec]
    except AttributeError:
        wires = []
    if len(wires) == len(messages):
        return wires
    kept = [getattr(message, "kept_json", _NOT_KEPT) for message in messages]
    return [
        encoded if owner is spec else _encoded(message, account)
        for message, (owner, encoded) in zip(messages, kept, strict=True)
    ]


def _encoded(message: Message, account: ProviderAccount) -> dict[str, Any] | msgspec.Raw:
    if not message.is_plain_text:
        return _message(message, account)
    if message.role is Role.USER and len(message.content) == 1 and message.name is None:
        wire: dict[str, Any] = {"role": "user", "content": message.text}
    else:
        wire = _message(message, account)
    encoded = msgspec.Raw(encode(wire))
    object.__setattr__(message, "kept_json", (account.spec, encoded))
    return encoded


def _message(message: Message, account: ProviderAccount) -> dict[str, Any]:
    role = message.role
    if role is Role.DEVELOPER and not account.spec.openai_compat.developer_role:
        role = Role.SYSTEM
    wire: dict[str, Any] = {"role": role.value}
    if role is Role.ASSISTANT:
        wire |= _assistant(message, account)
    elif role is Role.TOOL:
        wire |= {
            "tool_call_id": _call_id(message.tool_call_id or "", account),
            "content": _text_only(message.content, "a tool's result"),
        }
    else:
        wire["content"] = _content(message.content, account)
        if message.name is not None and not account.spec.openai_compat.name_on_tool_messages_only:
            wire["name"] = message.name
    return wire | dict(message.extra)


def _assistant(message: Message, account: ProviderAccount) -> dict[str, Any]:
    own = message.origin == account.spec.name
    texts: list[Part] = []
    refusals, images = [], []
    wire: dict[str, Any] = {}
    for part in message.content:
        match part:
            case Thinking() | Opaque():
                continue  # see `_reasoning_fields` and `opaque_fields`
            case Refusal():
                refusals.append(part.text)
            case Image() if own:
                images.append(_part(part, account))
            case Audio() if own:
                if part.id is not None:
                    wire["audio"] = {"id": part.id}
            case Commentary():
                texts.append(Text(part.text))
            case _:
                texts.append(part)
    text, refusal = _text_only(texts, "an assistant's message"), "".join(refusals)
    # An empty content beside tool calls or sound is null: some servers refuse "".
    wire = {"content": text if text or not (message.tool_calls or wire) else None, **wire}
    if refusal and not text:
        wire["refusal"] = refusal
    returned = opaque_fields(message) if own else {}
    custom = returned.pop("custom_calls", ())
    if account.reasoning_replay == "none":
        returned = {}  # all of them are about reasoning
    if message.tool_calls:
        wire["tool_calls"] = [
            tool_call(call, account, own=own, custom=call.id in custom) for call in message.tool_calls
        ]
    if own:
        if images:
            wire["images"] = images
        if (signature := _text_signature(message)) is not None:
            wire["extra_content"] = _google(signature)
    return wire | returned


def _text_signature(message: Message) -> str | None:
    """Return the newest signature of a text: Google's OpenAI-compatible endpoint has one for a whole message."""
    signatures = [part.signature for part in message.content if isinstance(part, Text) and part.signature is not None]
    return signatures[-1] if signatures else None


def _google(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}


def tool_call(call: ToolCall, account: ProviderAccount, *, own: bool = True, custom: bool = False) -> dict[str, Any]:
    """Return a call as it goes back.

    Args:
        call: The call.
        account: The account that it is sent to.
        own: Whether this provider made it, and so may get back what only it understands.
        custom: Whether it is of a tool that takes free text.
    """
    id = _call_id(call.id, account)
    if custom:
        return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    wire: dict[str, Any] = {
        "id": id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }
    if own and call.signature is not None:
        wire["extra_content"] = _google(call.signature)
    return wire | dict(call.extra)


def _call_id(id: str, account: ProviderAccount) -> str:
    """Return the id as it is sent. One that would be refused is replaced, and the same for the call and its result."""
    length = account.spec.openai_compat.call_id_length
    if length is None or (len(id) == length and id.isascii() and id.isalnum()):
        return id
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=length).hexdigest()[:length]


def _content(parts: tuple[Part, ...], account: ProviderAccount) -> str | list[dict[str, Any]]:
    plain = all(isinstance(part, Text) and not part.extra for part in parts)
    if plain and (len(parts) == 1 or account.spec.openai_compat.string_content_only):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part, account) for part in parts]


def _part(part: Part, account: ProviderAccount) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text, **part.extra}
        case Image():
            url = part.url if part.url is not None else data_url(part.data or b"", part.media_type)
            image: dict[str, Any] = {"url": url}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image, **part.extra}
        case Audio():
            format = _AUDIO_FORMATS.get(part.media_type)
            if format is None:
                raise CapabilityUnsupported(f"{account.name}: takes audio as wav or mp3, not {part.media_type}")
            sound = {"data": base64.b64encode(part.data).decode(), "format": format}
            return {"type": "input_audio", "input_audio": sound, **part.extra}
        case File():
            return {"type": "file", "file": _file(part, account), **part.extra}
        case _:
            raise CapabilityUnsupported(f"{account.name}: a {type(part).__name__} cannot be sent in a user's message")


def _file(part: File, account: ProviderAccount) -> dict[str, Any]:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    if part.url is not None:
        if account.spec.name != "openrouter":
            raise CapabilityUnsupported(f"{account.name}: takes a file by its bytes or its id, not by URL")
        return {"filename": part.filename or "file", "file_data": part.url}
    return {"filename": part.filename or "file", "file_data": data_url(part.data or b"", part.media_type)}


def data_url(data: bytes, media_type: str | None) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _text_only(parts: Iterable[Part], where: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, Text):
            raise CapabilityUnsupported(f"{where} can only hold text in this dialect, not a {type(part).__name__}")
        texts.append(part.text)
    return "".join(texts)
