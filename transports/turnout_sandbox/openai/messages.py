"""Checks the messages of a chat completions request, and reads the parts that an answer depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from turnout_sandbox.dialect import string_of
from turnout_sandbox.errors import RequestRejected, invalid
from turnout_sandbox.prose import words_in

__all__ = ["ReadMessages", "read_messages"]

_IMAGE_TOKENS = 85  # what OpenAI counts for an image at low detail
_FRAME_TOKENS = 4  # for each message, its role and marks


@attrs.frozen
class ReadMessages:
    """prompt: the last user text; text: all texts; tool_results: of the tool messages that end the conversation."""

    prompt: str
    text: str
    tool_results: tuple[str, ...]
    tokens: int
    has_user: bool


def read_messages(messages: object, roles: Collection[str], part_types: Collection[str]) -> ReadMessages:
    """Raises RequestRejected, with the parameter spelled as OpenAI does."""
    if messages is None:
        raise invalid(
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects")
    if not messages:
        raise invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    reader = _ChatMessages(roles, part_types)
    for index, message in enumerate(messages):
        reader.take(message, index)
    return reader.end()


def _wrong_type(where: str, wanted: str) -> RequestRejected:
    return invalid(f"Invalid type for '{where}': expected {wanted}.", param=where, code="invalid_type")


@attrs.define
class _ChatMessages:
    roles: Collection[str]
    part_types: Collection[str]
    open_calls: dict[str, int] = attrs.field(factory=dict)  # ids of calls without a result, and the message of each
    known_calls: set[str] = attrs.field(factory=set)  # ids of the assistant message that tool messages now answer
    prompt: str = ""
    texts: list[str] = attrs.field(factory=list)
    results: list[str] = attrs.field(factory=list)
    tokens: int = 0
    has_user: bool = False

    def take(self, message: object, index: int) -> None:
        where = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise _wrong_type(where, "an object")
        role = str(message.get("role"))
        if role not in self.roles:
            known = ", ".join(f"'{name}'" for name in sorted(self.roles))
            raise invalid(
                f"Invalid value: '{role}'. Supported values are: {known}.",
                param=f"{where}.role",
                code="invalid_value",
            )
        if role != "tool":
            self._must_be_answered(index)
            self.known_calls.clear()
            self.results.clear()
        content = message.get("content")
        self._check_content(role, message, where)
        text = string_of(content)
        self.tokens += words_in(text) + _FRAME_TOKENS
        self.texts.append(text)
        match role:
            case "user":
                self.prompt, self.has_user = text, True
            case "assistant":
                self._take_calls(message.get("tool_calls"), where, index)
            case "tool":
                self._take_result(message, text, where, index)
            case _:
                pass

    def end(self) -> ReadMessages:
        self._must_be_answered(-1)
        return ReadMessages(self.prompt, "\n".join(self.texts), tuple(self.results), self.tokens, self.has_user)

    def _must_be_answered(self, index: int) -> None:
        if self.open_calls:
            asked_at = next(iter(self.open_calls.values()))
            raise invalid(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                + ", ".join(self.open_calls),
                param=f"messages.[{asked_at + 1 if index >= 0 else asked_at}].role",
            )

    def _check_content(self, role: str, message: Mapping[str, Any], where: str) -> None:
        content = message.get("content")
        if content is None:
            if role == "assistant" and (message.get("tool_calls") or message.get("function_call")):
                return
            raise invalid(
                f"Invalid value for '{where}.content': a string is expected, but it is null.",
                param=f"{where}.content",
            )
        if isinstance(content, str):
            return
        if not isinstance(content, list) or not content:
            raise _wrong_type(f"{where}.content", "one of a string or array of objects")
        allowed = self.part_types if role == "user" else ("text", "refusal") if role == "assistant" else ("text",)
        for number, part in enumerate(content):
            spot = f"{where}.content[{number}]"
            kind = str(part.get("type") if isinstance(part, Mapping) else None)
            if kind not in allowed:
                raise invalid(
                    f"Invalid value: '{kind}'. Supported values are: {', '.join(sorted(allowed))}.",
                    param=f"{spot}.type",
                    code="invalid_value",
                )
            self._check_part(kind, part, spot)

    def _check_part(self, kind: str, part: Mapping[str, Any], spot: str) -> None:
        if kind == "text" and not isinstance(part.get("text"), str):
            raise _wrong_type(f"{spot}.text", "a string")
        if kind == "image_url":
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, Mapping) else None
            if not isinstance(url, str) or not url.startswith(("http://", "https://", "data:image/")):
                raise invalid(
                    f"Invalid value for '{spot}.image_url.url': a URL or a data URL is expected.",
                    param=f"{spot}.image_url.url",
                    code="invalid_image_url",
                )
            self.tokens += _IMAGE_TOKENS

    def _take_calls(self, calls: object, where: str, index: int) -> None:
        if calls is None:
            return
        if not isinstance(calls, list) or not calls:
            raise invalid(
                f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1.",
                param=f"{where}.tool_calls",
                code="empty_array",
            )
        for number, call in enumerate(calls):
            spot = f"{where}.tool_calls[{number}]"
            function = call.get("function") if isinstance(call, Mapping) else None
            if not isinstance(function, Mapping) or call.get("type") != "function":
                raise invalid(
                    f"Missing required parameter: '{spot}.type'.",
                    param=f"{spot}.type",
                    code="missing_required_parameter",
                )
            if not isinstance(function.get("name"), str) or not function["name"]:
                raise _wrong_type(f"{spot}.function.name", "a string")
            if not isinstance(function.get("arguments"), str):
                raise _wrong_type(f"{spot}.function.arguments", "a string")
            identity = call.get("id")
            if not isinstance(identity, str) or not identity:
                raise _wrong_type(f"{spot}.id", "a string")
            self.open_calls[identity] = index
            self.known_calls.add(identity)
            self.tokens += words_in(function["arguments"]) + _FRAME_TOKENS

    def _take_result(self, message: Mapping[str, Any], text: str, where: str, index: int) -> None:
        if not self.known_calls:
            raise invalid(
                "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                "'tool_calls'.",
                param=f"messages.[{index}].role",
            )
        identity = message.get("tool_call_id")
        if not isinstance(identity, str):
            raise invalid(
                f"Missing required parameter: '{where}.tool_call_id'.",
                param=f"{where}.tool_call_id",
                code="missing_required_parameter",
            )
        if identity not in self.known_calls:
            raise invalid(
                f"Invalid parameter: 'tool_call_id' of '{identity}' not found in 'tool_calls' of previous message.",
                param=f"messages.[{index}].tool_call_id",
            )
        self.open_calls.pop(identity, None)
        self.results.append(text)
