"""The parts of a conversation: messages, their parts, tools and tool calls."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, TypeAlias

import attrs

from turnout._serialization import as_mapping, each, from_plain, to_plain
from turnout._validation import as_tuple, deep_copy, instances, non_empty, string, where

__all__ = [
    "Audio",
    "Commentary",
    "File",
    "Image",
    "Message",
    "Opaque",
    "Part",
    "Refusal",
    "Role",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolChoice",
]


class Role(enum.StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


def _extra() -> Any:
    return attrs.field(factory=dict, converter=deep_copy, kw_only=True)


def _media(instance: Image | Audio | File) -> None:
    if instance.data is not None and not isinstance(instance.data, bytes):
        raise TypeError(f"{type(instance).__name__}.data must be bytes, not {type(instance.data).__name__}")
    if instance.data is not None and not instance.media_type:
        raise ValueError(f"{type(instance).__name__}.media_type must say what `data` is, for example 'image/png'")


@attrs.frozen
class Text:
    """Plain text.

    Attributes:
        text: The text, verbatim.
        signature: A provider's proof that goes back with this part (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class Thinking:
    """Reasoning text that a model showed. It goes back only to the provider family that made it.

    Attributes:
        text: The text, verbatim.
        signature: A provider's proof that goes back with this part (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class Commentary:
    """Text of an assistant's turn that is not the final answer: what the model is about to do, for the user to read.

    OpenAI marks it with the phase `commentary`. `Message.text` leaves it out.

    Attributes:
        text: The text, verbatim.
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class Refusal:
    """The model's reason not to answer, in its own words."""

    text: str = attrs.field(validator=string)


@attrs.frozen
class Image:
    """An image: by its URL, or by its bytes and their media type.

    Attributes:
        url: A URL of the scheme http, https or data, or a provider's URI of a file.
        data: The bytes of the image.
        media_type: The media type of the bytes, such as `image/png`.
        detail: How closely the model looks at the image.
        signature: A provider's proof that goes back with an image that its model made (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    url: str | None = None
    data: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    media_type: str | None = attrs.field(default=None, kw_only=True)
    detail: Literal["auto", "low", "high"] | None = attrs.field(default=None, kw_only=True)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = _extra()

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise ValueError("Image needs either url or data, and not both")
        _media(self)


@attrs.frozen(kw_only=True)
class Audio:
    """Sound.

    Attributes:
        data: The bytes of the sound.
        media_type: The media type of the bytes, such as `audio/wav`.
        transcript: The words of sound that a model made.
        id: The id under which a provider keeps sound that its model made; OpenAI takes it back in place of the bytes.
        signature: A provider's proof that goes back with sound that its model made (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    data: bytes = attrs.field(repr=False)
    media_type: str
    transcript: str | None = None
    id: str | None = None
    signature: str | None = attrs.field(default=None, repr=False)
    extra: Mapping[str, Any] = _extra()

    def __attrs_post_init__(self) -> None:
        _media(self)


@attrs.frozen(kw_only=True)
class File:
    """A document: by its bytes and media type, by URL, or by the id under which a provider keeps it."""

    data: bytes | None = attrs.field(default=None, repr=False)
    media_type: str | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    extra: Mapping[str, Any] = _extra()

    def __attrs_post_init__(self) -> None:
        if sum(given is not None for given in (self.data, self.url, self.file_id)) != 1:
            raise ValueError("File needs exactly one of data, url and file_id")
        _media(self)


@attrs.frozen
class Opaque:
    """A piece of an answer that the vocabulary has no word for, kept as raw JSON and sent back unchanged.

    Only the provider family named in the message's `origin` gets it back; others never see it.
    """

    json: bytes = attrs.field(repr=lambda value: f"<{len(value)} bytes>")


Part: TypeAlias = Text | Thinking | Commentary | Refusal | Image | Audio | File | Opaque
_PARTS = (Text, Thinking, Commentary, Refusal, Image, Audio, File, Opaque)
_BY_NAME: dict[str, type[Part]] = {kind.__name__.lower(): kind for kind in _PARTS}


@attrs.frozen
class ToolCall:
    """A model's wish to call a tool.

    id         ties the call to its result; made by Turnout where the provider sent none
    arguments  JSON text exactly as the model wrote it ("" and the like become "{}"); it may be cut or not be JSON
    signature  a provider's proof that goes back with this call (see `Message.origin`)
    """

    id: str = attrs.field(validator=non_empty)
    name: str = attrs.field(validator=non_empty)
    arguments: str = attrs.field(default="{}", validator=string)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = _extra()

    def parsed(self) -> Any:
        """Return the arguments as Python values.

        Raises:
            ValueError: The arguments are not JSON (an answer was cut, for example), or are nested too deeply.
        """
        try:
            return json.loads(self.arguments, strict=False)  # models write raw line breaks into their strings
        except RecursionError:
            raise ValueError(f"the arguments of tool call {self.name!r} are nested too deeply") from None
        except ValueError as error:
            raise ValueError(
                f"the arguments of tool call {self.name!r} are not JSON ({error}): {self.arguments[:200]!r}"
            ) from None


# What the Model Context Protocol allows. A name that a provider does not accept is replaced on the way there and back.
_TOOL_NAME = re.compile(r"[A-Za-z0-9_./:-]{1,128}\Z")


def _tool_name(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not _TOOL_NAME.match(value):
        raise ValueError(f"{where(instance, attribute)} must be 1 to 128 letters, digits or '_-.:/', not {value!r}")


def _object_schema(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    if value and value.get("type", "object") != "object":
        raise ValueError(f"{where(instance, attribute)} must be the schema of an object, not of {value['type']!r}")


@attrs.frozen
class Tool:
    """A function that the model can call, or a tool that runs at a provider.

    Attributes:
        name: 1 to 128 letters, digits and `_-.:/`. A provider that accepts fewer gets another name; its tool calls
            come back with this one.
        description: What it does, for the model.
        parameters: The JSON Schema of one object.
        strict: Whether the provider must hold the arguments to the schema.
        extra: Fields of one vendor (`turnout.extras`). A whole definition of the vendor's own makes it a tool that
            runs there: `Tool("search", extra={"anthropic": {"type": "web_search_20250305"}})`. Without description
            and parameters, providers without a definition do not receive it.
    """

    name: str = attrs.field(validator=[non_empty, _tool_name])
    description: str = attrs.field(default="", validator=string)
    parameters: Mapping[str, Any] = attrs.field(factory=dict, converter=deep_copy, validator=_object_schema)
    strict: bool | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = _extra()


@attrs.frozen
class ToolChoice:
    """Whether the model may, must or must not call tools: `ToolChoice("auto")`, or `ToolChoice.named("search")`."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.mode not in ("auto", "none", "required", "named"):
            raise ValueError(f"ToolChoice.mode must be auto, none, required or named, not {self.mode!r}")
        if (self.mode == "named") != bool(self.name):
            raise ValueError("ToolChoice.name goes with the mode 'named', and only with it")

    @classmethod
    def named(cls, name: str) -> ToolChoice:
        return cls("named", name)


def _content(value: str | Part | Iterable[Part] | None) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if isinstance(value, _PARTS):
        return (value,)
    return as_tuple(value)


class _Kept:
    """Places for what is known about a message, so that a conversation that is sent again costs less.

    They are no fields: they do not count in comparisons, and are not copied or stored.

    Attributes:
        kept_json: What the message was encoded for, compared by identity, and its JSON; absent before.
        kept_tokens: The estimate of its tokens; absent before.
    """

    __slots__ = ("_is_plain_text", "kept_json", "kept_tokens")

    _is_plain_text: bool
    kept_json: tuple[object, Any]
    kept_tokens: int


def _role(value: Role | str) -> Role:
    return value if type(value) is Role else Role(value)


@attrs.frozen
class Message(_Kept):
    """One turn of a conversation.

    content       text, or parts in order; kept as a tuple of parts
    tool_calls    what an assistant turn asked for
    tool_call_id  on a tool turn, the call that it answers; `name` is then that tool's name (Gemini wants it; it is
                  looked up in the conversation where it is not given)
    is_error      on a tool turn, whether the tool failed
    extra         fields of one vendor (`turnout.extras`): `extra={"anthropic": {"cache_control": {…}}}`; the same of
                  parts, calls and tools. Without a vendor's name they are sent to every provider, those of a response
                  to its maker
    origin        the provider family that made an assistant turn: signatures, thinking and opaque parts go back to
                  this family unchanged, and to no other
    """

    role: Role = attrs.field(converter=_role)
    content: tuple[Part, ...] = attrs.field(default=(), converter=_content, validator=instances(*_PARTS))
    tool_calls: tuple[ToolCall, ...] = attrs.field(
        default=(), converter=as_tuple, validator=instances(ToolCall), kw_only=True
    )
    tool_call_id: str | None = attrs.field(default=None, kw_only=True)
    name: str | None = attrs.field(default=None, kw_only=True)
    is_error: bool = attrs.field(default=False, kw_only=True)
    origin: str | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = _extra()

    def __attrs_post_init__(self) -> None:
        role = self.role
        if role is Role.TOOL:
            if not self.tool_call_id:
                raise ValueError("Message.tool_call_id must name the call that a tool message answers")
        elif self.tool_call_id is not None:
            raise ValueError(f"Message.tool_call_id is for tool messages, not for role {role.value!r}")
        if self.tool_calls:
            if role is not Role.ASSISTANT:
                raise ValueError(f"Message.tool_calls is for assistant messages, not for role {role.value!r}")
        elif not self.content and role in (Role.SYSTEM, Role.DEVELOPER, Role.USER):
            raise ValueError(f"Message.content must not be empty for role {role.value!r}")

    @classmethod
    def of_response(cls, content: tuple[Part, ...], tool_calls: tuple[ToolCall, ...], origin: str | None) -> Self:
        """Return the message of a response. Nothing is validated: dialects make valid parts and calls."""
        made = object.__new__(cls)
        put = object.__setattr__
        put(made, "role", Role.ASSISTANT)
        put(made, "content", content)
        put(made, "tool_calls", tool_calls)
        put(made, "tool_call_id", None)
        put(made, "name", None)
        put(made, "is_error", False)
        put(made, "origin", origin)
        put(made, "extra", {})
        return made

    @classmethod
    def system(cls, content: str | Part | Iterable[Part]) -> Message:
        return cls(Role.SYSTEM, content)

    @classmethod
    def user(cls, *content: str | Part) -> Message:
        """`Message.user("What is this?", Image(url=…))`: texts and parts in order."""
        return cls(Role.USER, tuple(Text(part) if isinstance(part, str) else part for part in content))

    @classmethod
    def assistant(
        cls, content: str | Part | Iterable[Part] | None = None, *, tool_calls: Iterable[ToolCall] = ()
    ) -> Message:
        return cls(Role.ASSISTANT, content, tool_calls=tool_calls)

    @classmethod
    def tool(
        cls,
        call: ToolCall | str,
        content: str | Part | Iterable[Part],
        *,
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """The result of a tool call, which is given whole or by its id."""
        if isinstance(call, ToolCall):
            return cls(Role.TOOL, content, tool_call_id=call.id, name=name or call.name, is_error=is_error)
        return cls(Role.TOOL, content, tool_call_id=call, name=name, is_error=is_error)

    @property
    def is_plain_text(self) -> bool:
        """True if the message is text and nothing else: no other parts, no tool calls, no extra fields."""
        try:
            return self._is_plain_text
        except AttributeError:
            texts = all(type(part) is Text and not part.extra for part in self.content)
            plain = texts and not self.tool_calls and not self.extra
            object.__setattr__(self, "_is_plain_text", plain)
            return plain

    @property
    def text(self) -> str:
        """The text parts joined, verbatim."""
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        """The thinking parts joined, verbatim."""
        return "".join(part.text for part in self.content if isinstance(part, Thinking))

    @property
    def commentary(self) -> str:
        """The commentary parts joined, verbatim."""
        return "".join(part.text for part in self.content if isinstance(part, Commentary))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, to store a conversation and go on with it. What a provider must get back is there."""
        plain = to_plain(self)
        plain["role"] = str(self.role)
        if self.content:
            plain["content"] = [{"type": type(part).__name__.lower(), **to_plain(part)} for part in self.content]
        if self.tool_calls:
            plain["tool_calls"] = [to_plain(call) for call in self.tool_calls]
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Message:
        """The message that gave this `to_dict`, also by way of JSON. ValueError says where something does not fit."""
        plain = as_mapping(stored, "the message")
        if not isinstance(plain.get("content"), str):
            plain["content"] = [_part(*told) for told in each(plain, "content")]
        plain["tool_calls"] = [from_plain(ToolCall, *told) for told in each(plain, "tool_calls")]
        return from_plain(cls, plain, "the message")


def _part(plain: dict[str, Any], where: str) -> Part:
    kind = _BY_NAME.get(str(name := plain.pop("type", None)))
    if kind is None:
        raise ValueError(f"{where}.type must be one of {', '.join(_BY_NAME)}, not {name!r}")
    return from_plain(kind, plain, where)
