"""Reads requests of Messages.

Source: the Messages API reference (platform.claude.com), "Create a Message".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from turnout.chat import ResponseFormat
from turnout.messages import File, Image, Message, Opaque, Role, Text, Thinking, Tool, ToolChoice
from turnout.serving.continuity import unpack_call_id
from turnout.serving.fields import Fields
from turnout.serving.inbound import InboundChat, ReadOptions, Resolve, build_request, vocabulary_error
from turnout.serving.leftovers import Leftovers
from turnout.serving.media import data_url, decode_base64
from turnout.serving.messages.assistant import assistant_message
from turnout.serving.opaque_parts import MESSAGES_FAMILY, opaque_type
from turnout.serving.openai_fields import hosted_tool
from turnout.serving.request_json import decode_object

__all__ = ["read_messages_request"]

_KNOWN: Final = frozenset(
    (
        "model", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream",
        "tools", "tool_choice", "thinking", "output_config", "output_format", "metadata",
    )
)  # fmt: skip
_TEXT: Final = frozenset(("type", "text"))
_MEDIA: Final = frozenset(("type", "source", "title"))
_RESULT: Final = frozenset(("type", "tool_use_id", "content", "is_error"))
_TOOL: Final = frozenset(("type", "name", "description", "input_schema", "strict"))
# Tokens of thinking up to which an effort is the nearest one.
_EFFORTS: Final = ((1_024, "minimal"), (4_096, "low"), (12_288, "medium"), (20_000, "high"))


def read_messages_request(
    body: bytes, resolve: Resolve, options: ReadOptions, *, counting: bool = False
) -> InboundChat:
    """Read the body of a request.

    Args:
        body: The request body.
        resolve: Finds the models of the model name.
        options: How strictly the request is read.
        counting: True for a request that only counts tokens, which has no `max_tokens`.

    Raises:
        RequestRejected: The request cannot be served. Its error names the field.
    """
    fields = Fields(decode_object(body))
    if not counting and not fields.has("max_tokens"):
        raise fields.missing("max_tokens")
    return _Reader(fields, Leftovers(MESSAGES_FAMILY, not options.ignore_unknown), options).read(resolve)


@attrs.define
class _Reader:
    fields: Fields
    leftovers: Leftovers
    options: ReadOptions

    def read(self, resolve: Resolve) -> InboundChat:
        fields = self.fields
        extra = self.leftovers.extra(fields, _KNOWN)
        messages = [*self._system(), *self._messages()]
        tools = self._tools()
        choice, parallel = self._tool_choice()
        metadata = fields.object("metadata")
        request = build_request(
            fields,
            resolve,
            {**self._settings(), "extra": self._own_fields(extra, messages)},
            messages,
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            response_format=self._response_format(),
            metadata={"user": user} if metadata is not None and (user := metadata.text("user_id")) else {},
        )
        return InboundChat(
            request=request,
            model_name=fields.required_text("model"),
            stream=bool(fields.flag("stream")),
            include_usage=True,
            ignored=self.leftovers.ignored,
            scoped=self.leftovers.scoped,
        )

    def _settings(self) -> dict[str, Any]:
        fields = self.fields
        return {
            "max_tokens": fields.integer("max_tokens", 1),
            "temperature": fields.number("temperature", 0),
            "top_p": fields.number("top_p", 0, 1),
            "top_k": fields.integer("top_k", 0),
            "stop": fields.texts("stop_sequences"),
            "reasoning_effort": self._effort(),
        }

    def _effort(self) -> str | None:
        output = self.fields.object("output_config")
        effort = output.text("effort") if output is not None else None
        thinking = self.fields.object("thinking")
        if thinking is None or not thinking.values:
            return effort
        match thinking.one_of("type", ("enabled", "disabled", "adaptive")):
            case "disabled":
                return "none"
            case "adaptive":
                return effort or "high"
            case "enabled":
                budget = thinking.integer("budget_tokens", 1)
                if budget is None:
                    raise thinking.missing("budget_tokens")
                return effort or next((word for most, word in _EFFORTS if budget <= most), "xhigh")
            case _:
                raise thinking.missing("type")

    def _own_fields(self, extra: dict[str, Any], messages: list[Message]) -> dict[str, Any]:
        """Return the fields for Anthropic alone: thinking exactly as in the request, and beta features."""
        own = dict(extra.get(MESSAGES_FAMILY, {}))
        thinking = self.fields.object("thinking")
        if thinking is not None and thinking.values and (thinking.get("type") == "disabled" or _may_think(messages)):
            own["thinking"] = thinking.values
        if self.options.betas:
            own["betas"] = list(self.options.betas)
        return {**extra, MESSAGES_FAMILY: own} if own else extra

    def _response_format(self) -> ResponseFormat | None:
        output = self.fields.object("output_config")
        format = output.object("format") if output is not None else None
        format = format or self.fields.object("output_format")
        if format is None or not format.values:
            return None
        format.one_of("type", ("json_schema",))
        schema = format.schema("schema")
        if schema is None:
            raise format.missing("schema")
        try:
            return ResponseFormat(schema)
        except (ValueError, TypeError) as error:
            raise vocabulary_error(error, format.path("schema")) from None

    # -- tools --------------------------------------------------------------------------------------------------

    def _tools(self) -> list[Tool]:
        tools = []
        for tool in self.fields.objects("tools"):
            kind = tool.text("type") or "custom"
            if kind != "custom":
                tools.append(hosted_tool(tool, kind, self.leftovers))
                continue
            extra = self.leftovers.extra(tool, _TOOL)
            try:
                tools.append(
                    Tool(
                        tool.required_text("name"),
                        tool.text("description") or "",
                        tool.schema("input_schema"),
                        strict=tool.flag("strict"),
                        extra=extra,
                    )
                )
            except (ValueError, TypeError) as error:
                raise vocabulary_error(error, tool.path()) from None
        return tools

    def _tool_choice(self) -> tuple[ToolChoice | None, bool | None]:
        """Return the choice, and whether the model may call several tools at once."""
        choice = self.fields.object("tool_choice")
        if choice is None or not choice.values:
            return None, None
        disabled = choice.flag("disable_parallel_tool_use")
        parallel = None if disabled is None else not disabled
        match choice.one_of("type", ("auto", "any", "tool", "none")):
            case "auto":
                return ToolChoice("auto"), parallel
            case "any":
                return ToolChoice("required"), parallel
            case "none":
                return ToolChoice("none"), parallel
            case "tool":
                return ToolChoice.named(choice.required_text("name")), parallel
            case _:
                raise choice.missing("type")

    # -- messages -----------------------------------------------------------------------------------------------

    def _system(self) -> list[Message]:
        fields = self.fields
        if isinstance(fields.get("system"), str):
            return [Message.system(text)] if (text := fields.text("system")) else []
        try:
            parts = [self._text(block) for block in fields.objects("system")]
            return [Message.system(parts)] if parts else []
        except (ValueError, TypeError) as error:
            raise vocabulary_error(error, "system") from None

    def _messages(self) -> list[Message]:
        messages: list[Message] = []
        for message in self.fields.objects("messages"):
            self.leftovers.ignore(message, ("role", "content"))
            try:
                messages += self._message(message)
            except (ValueError, TypeError) as error:
                raise vocabulary_error(error, message.path()) from None
        if not messages:
            raise self.fields.rejected("messages", "must hold at least one message")
        return messages

    def _message(self, message: Fields) -> list[Message]:
        content = message.get("content")
        if content is None:
            raise message.missing("content")
        match message.one_of("role", ("user", "assistant", "system")):
            case None:
                raise message.missing("role")
            case "assistant":
                return [assistant_message(_blocks(message), self.leftovers)]
            case "system":
                return [Message.system([self._text(block) for block in _blocks(message)])]
            case _:
                return self._user(message)

    def _user(self, message: Fields) -> list[Message]:
        """Return the messages of a user's turn: each tool result is a separate one."""
        messages: list[Message] = []
        parts: list[Text | Image | File] = []
        for block in _blocks(message):
            if block.get("type") == "tool_result":
                if parts:
                    messages.append(Message.user(*parts))
                    parts = []
                messages.append(self._tool_result(block))
            else:
                parts.append(self._part(block))
        if parts:
            messages.append(Message.user(*parts))
        if not messages:
            raise message.rejected("content", "must hold at least one block")
        return messages

    def _tool_result(self, block: Fields) -> Message:
        content = [self._part(part) for part in _blocks(block)] if block.has("content") else ""
        call = unpack_call_id(block.required_text("tool_use_id"))
        return Message(
            Role.TOOL,
            content,
            tool_call_id=call.value,
            is_error=bool(block.flag("is_error")),
            extra=self.leftovers.extra(block, _RESULT),
        )

    def _part(self, block: Fields) -> Text | Image | File:
        match kind := block.required_text("type"):
            case "text":
                return self._text(block)
            case "image":
                return _image(block.required_object("source"), self.leftovers.extra(block, _MEDIA))
            case "document":
                extra = self.leftovers.extra(block, _MEDIA)
                return _document(block.required_object("source"), {"filename": block.text("title"), "extra": extra})
            case _:
                raise block.rejected("type", f"{kind!r} is not supported here", "unsupported_parameter")

    def _text(self, block: Fields) -> Text:
        if block.required_text("type") != "text":
            raise block.rejected("type", "must be text here", "unsupported_parameter")
        text = block.text("text")
        if text is None:
            raise block.missing("text")
        return Text(text, extra=self.leftovers.extra(block, _TEXT))


def _blocks(fields: Fields) -> list[Fields]:
    """Return the blocks of `content`, which can be a string."""
    content = fields.get("content")
    if isinstance(content, str):
        return [Fields({"type": "text", "text": content}, fields, "content")]
    return fields.objects("content")


def _may_think(messages: list[Message]) -> bool:
    """Return True if an answer to these messages can begin with thinking.

    A turn that called its tools without thinking goes on without it, as after an answer of another vendor. Turnout
    leaves out an effort then, but not a setting that a client gives for Anthropic exactly.
    """
    if messages[-1].role is Role.ASSISTANT:
        return False
    if messages[-1].role is not Role.TOOL:
        return True
    caller = next((message for message in reversed(messages) if message.role is Role.ASSISTANT), None)
    if caller is None or not caller.content or caller.origin != MESSAGES_FAMILY:
        return False
    match caller.content[0]:
        case Thinking(signature=signature):
            return signature is not None
        case Opaque() as part:
            return opaque_type(part) == "redacted_thinking"
        case _:
            return False


def _image(source: Fields, extra: Mapping[str, Any]) -> Image:
    match kind := source.required_text("type"):
        case "base64":
            # Not decoded: providers take a data URL, or the same base64.
            return Image(data_url(source.required_text("media_type"), source.required_text("data")), extra=extra)
        case "url":
            return Image(source.required_text("url"), extra=extra)
        case _:
            raise source.rejected("type", f"{kind!r} is not supported", "unsupported_parameter")


def _document(source: Fields, more: Mapping[str, Any]) -> File:
    match kind := source.required_text("type"):
        case "base64":
            media_type = source.required_text("media_type")
            return File(data=decode_base64(source, "data"), media_type=media_type, **more)
        case "text":
            text = source.required_text("data").encode("utf-8", "replace")
            return File(data=text, media_type="text/plain", **more)
        case "url":
            return File(url=source.required_text("url"), **more)
        case "file":
            return File(file_id=source.required_text("file_id"), **more)
        case _:
            raise source.rejected("type", f"{kind!r} is not supported", "unsupported_parameter")
