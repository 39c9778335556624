"""Messages. The parts, tools and tool calls that they hold can be imported from here too."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs

from turnout._utils.names import Advised, Elsewhere
from turnout._utils.serialization import from_plain, to_plain
from turnout._utils.signatures import written_as
from turnout._utils.validation import CheckedFields, as_tuple, instances, quoted
from turnout.types.parts import (
    PARTS,
    Audio,
    Commentary,
    File,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    extra_fields,
)
from turnout.types.tools import Tool, ToolCall, ToolChoice

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


def _content(value: str | Part | Iterable[Part] | None) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if isinstance(value, PARTS):
        return (value,)
    parts = as_tuple(value)
    if any(isinstance(part, Mapping) for part in parts):
        raise TypeError(
            "Message.content must be a text or parts such as Text('…'): to read dicts, "
            "write Message.from_dict({'role': 'user', 'content': […]})"
        )
    return parts


class _Kept:
    """Keeps derived values of a message, so that a conversation that is sent again costs less.

    They are not fields: comparisons, copies and stored messages ignore them.

    Attributes:
        kept_json: The provider spec that the JSON is for, compared by identity, and the JSON. Absent until encoded.
        kept_tokens: The estimated number of tokens. Absent until it is computed.
    """

    __slots__ = ("_is_plain_text", "kept_json", "kept_tokens")

    _is_plain_text: bool
    kept_json: tuple[object, Any]
    kept_tokens: int


def _role(value: Role | str) -> Role:
    if type(value) is Role:
        return value
    try:
        return Role(value)
    except ValueError:
        from turnout._utils.hints.values import form_of_role

        known = ", ".join(Role)
        raise ValueError(f"Message.role must be one of {known}, not {quoted(value)}{form_of_role(value)}") from None


@attrs.frozen
class Message(_Kept, CheckedFields, Advised):
    """One turn of a conversation.

    Attributes:
        content: A text, or parts in order. It is stored as a tuple of parts.
        tool_calls: The calls that an assistant turn requests.
        tool_call_id: The id of the call that a tool turn answers.
        name: The name of the tool on a tool turn. Gemini needs it. If it is missing, it is taken from the call in the
            conversation.
        is_error: True on a tool turn if the tool failed.
        extra: Fields of one vendor (`turnout.types.extras`): `extra={"anthropic": {"cache_control": {…}}}`. Parts,
            calls and tools have the same field. Fields without a vendor's name go to every provider. Those of a
            response go only to the provider family that sent it.
        origin: The provider family that made an assistant turn. Signatures, thinking and opaque parts go back
            unchanged to this family, and to no other. None if the caller wrote the turn: its thinking goes to every
            provider that takes thinking without a signature.
    """

    role: Role = attrs.field(converter=_role)
    content: tuple[Part, ...] = attrs.field(default=(), converter=_content, validator=instances(*PARTS))
    tool_calls: tuple[ToolCall, ...] = attrs.field(
        default=(), converter=as_tuple, validator=instances(ToolCall), kw_only=True
    )
    tool_call_id: str | None = attrs.field(default=None, kw_only=True)
    name: str | None = attrs.field(default=None, kw_only=True)
    is_error: bool = attrs.field(default=False, kw_only=True)
    origin: str | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] = extra_fields()

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
            raise ValueError(f"Message.content must be a text, which may be '', or parts, for role {role.value!r}")

    @classmethod
    def of_response(cls, content: tuple[Part, ...], tool_calls: tuple[ToolCall, ...], origin: str | None) -> Self:
        """Return the message of a response. Nothing is validated: dialects make valid parts and calls."""
        return cls._of(Role.ASSISTANT, content, tool_calls, origin)

    @classmethod
    def _of(
        cls, role: Role, content: tuple[Part, ...], tool_calls: tuple[ToolCall, ...] = (), origin: str | None = None
    ) -> Self:
        """Return a message of values that are known to be valid."""
        made = object.__new__(cls)
        put = object.__setattr__
        put(made, "role", role)
        put(made, "content", content)
        put(made, "tool_calls", tool_calls)
        put(made, "tool_call_id", None)
        put(made, "name", None)
        put(made, "is_error", False)
        put(made, "origin", origin)
        put(made, "extra", {})
        return made

    if not TYPE_CHECKING:
        human = Elsewhere("write Message.user('…')")
        ai = Elsewhere("write Message.assistant('…')")
        tool_result = Elsewhere("write Message.tool(call, '…')")

        def __getitem__(self, name: object) -> Any:
            raise TypeError(f"a Message has no item {name!r}: write message.text, or message.to_dict()['content']")

    @classmethod
    def system(cls, content: str | Part | Iterable[Part]) -> Message:
        return cls(Role.SYSTEM, content)

    @classmethod
    @written_as("Message.user('…'), or Message.user('…', Image.from_path('yard.jpg'))")
    def user(cls, *content: str | Part) -> Message:
        """Return a user message of texts and parts in order: `Message.user("Describe this:", Image(url=…))`."""
        if len(content) == 1 and type(content[0]) is str:
            message = cls._of(Role.USER, (Text.of(content[0]),))
            object.__setattr__(message, "_is_plain_text", True)
            return message
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
        content: str | Part | Iterable[Part] | Mapping[str, Any],
        *,
        name: str | None = None,
        is_error: bool = False,
    ) -> Message:
        """Return the result of a tool call.

        Args:
            call: The call, or its id.
            content: The result of the tool. A mapping becomes JSON.
            name: The name of the tool, if `call` is an id.
            is_error: True if the tool failed.
        """
        if isinstance(content, Mapping):
            content = json.dumps(dict(content), ensure_ascii=False)
        if isinstance(call, ToolCall):
            return cls(Role.TOOL, content, tool_call_id=call.id, name=name or call.name, is_error=is_error)
        if isinstance(call, str) and any(map(str.isspace, call)):
            raise ValueError(
                f"Message.tool_call_id must be the id of a call, not {call!r}: "
                "the call comes first, as in Message.tool(call, 'the result')"
            )
        return cls(Role.TOOL, content, tool_call_id=call, name=name, is_error=is_error)

    @property
    def is_plain_text(self) -> bool:
        """True if the message is text and nothing else: no other parts, no tool calls, no extra fields."""
        try:
            return self._is_plain_text
        except AttributeError:
            plain = not self.tool_calls and not self.extra
            for part in self.content:
                plain = plain and type(part) is Text and not part.extra
            object.__setattr__(self, "_is_plain_text", plain)
            return plain

    @property
    def text(self) -> str:
        """The text parts joined, verbatim."""
        content = self.content
        if len(content) == 1 and type(content[0]) is Text:
            return content[0].text
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
        """Return plain values for JSON, to store and later resume a conversation. They include all provider data."""
        plain = to_plain(self)
        plain["role"] = str(self.role)
        if self.content:
            plain["content"] = [part.to_dict() for part in self.content]
        if self.tool_calls:
            plain["tool_calls"] = [to_plain(call) for call in self.tool_calls]
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Message:
        """Return the message of a dict: of `to_dict`, also after a way through JSON, or in the form of OpenAI.

        Raises:
            ValueError: If something does not fit. The error names the field.
        """
        from turnout.inputs.message_fields import message_fields

        return from_plain(cls, message_fields(stored, "the message"), "the message")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
