"""Reads requests of chat completions.

Source: the OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from turnout.messages import File, Message, Part, Refusal, Role, Text, Thinking, Tool, ToolCall, ToolChoice
from turnout.serving.assistant_turn import AssistantTurn
from turnout.serving.chat_completions.carried_reasoning import CarriedCall, read_call_id
from turnout.serving.fields import Fields
from turnout.serving.inbound import InboundChat, ReadOptions, Resolve, build_request, vocabulary_error
from turnout.serving.leftovers import Leftovers
from turnout.serving.media import audio_of, file_of_data_url, image_of
from turnout.serving.openai_fields import (
    RestrictedChoice,
    choice_of_mode,
    choice_of_word,
    hosted_tool,
    metadata_of,
    response_format_of,
    tool_of,
)
from turnout.serving.request_json import decode_object, encode

__all__ = ["SCOPE", "read_chat_request"]

SCOPE: Final = "openai-chat"
"""The scope of this protocol's own fields."""

# Fields that this module reads, rejects or answers by itself.
_KNOWN: Final = frozenset(
    (
        "model", "messages", "stream", "stream_options", "n", "temperature", "top_p", "top_k", "seed",
        "presence_penalty", "frequency_penalty", "stop", "max_tokens", "max_completion_tokens", "logprobs",
        "top_logprobs", "reasoning_effort", "reasoning", "response_format", "tools", "tool_choice",
        "parallel_tool_calls", "metadata", "user", "safety_identifier", "modalities", "functions", "function_call",
        "audio", "best_of",
    )
)  # fmt: skip
# Fields that change the answer, so that every candidate must receive them.
_REQUIRED: Final = ("logit_bias",)
# Fields that would change the answer, and that no candidate can receive.
_REJECTED: Final = {
    "functions": "use `tools`",
    "function_call": "use `tool_choice`",
    "audio": "this gateway returns no audio",
    "best_of": "this gateway returns one choice",
}
_CHECKED: Final = frozenset((*_REJECTED, "n", "modalities"))
# Fields of a request that sets nothing. Rows of a batch often have no others.
_PLAIN: Final = frozenset(("model", "messages", "stream", "stream_options", "tools", "tool_choice"))
_SETTINGS: Final = (
    ("temperature", 0, None),
    ("top_p", 0, 1),
    ("presence_penalty", -2, 2),
    ("frequency_penalty", -2, 2),
)
_MESSAGE: Final = frozenset(("role", "content", "name"))
_ASSISTANT: Final = frozenset(
    ("role", "content", "name", "refusal", "tool_calls", "reasoning_content", "reasoning", "annotations", "audio",
     "function_call")
)  # fmt: skip
_TOOL_MESSAGE: Final = frozenset(("role", "content", "name", "tool_call_id"))
_PARTS: Final = {
    "text": frozenset(("type", "text")),
    "refusal": frozenset(("type", "refusal")),
    "image_url": frozenset(("type", "image_url")),
    "input_audio": frozenset(("type", "input_audio")),
    "file": frozenset(("type", "file")),
}
_ROLES: Final = frozenset(role.value for role in Role) | {"function"}


def read_chat_request(body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
    """Read the body of a request.

    Raises:
        RequestRejected: The request cannot be served. Its error names the field.
    """
    fields = Fields(decode_object(body))
    return _Reader(fields, Leftovers(SCOPE, not options.ignore_unknown)).read(resolve)


@attrs.define
class _Reader:
    fields: Fields
    leftovers: Leftovers

    def read(self, resolve: Resolve) -> InboundChat:
        fields = self.fields
        if not _CHECKED.isdisjoint(fields.values):
            self._check()
        required = tuple(name for name in _REQUIRED if fields.says_something(name))
        # SDKs write an empty `logit_bias` for none. No candidate needs to receive that.
        extra = self.leftovers.extra(fields, _KNOWN.union(_REQUIRED).difference(required))
        stream_options = fields.object("stream_options")
        tools, choice = self._tools(), self._tool_choice()
        if choice is not None:
            tools = choice.restrict(tools)
        request = build_request(
            fields,
            resolve,
            {} if _PLAIN.issuperset(fields.values) else {**self._settings(), "extra": extra},
            self._messages(),
            tools=tools,
            tool_choice=choice.choice if choice is not None else None,
            parallel_tool_calls=fields.flag("parallel_tool_calls"),
            response_format=response_format_of(fields.object("response_format"), nested="json_schema"),
            metadata=metadata_of(fields),
        )
        return InboundChat(
            request=request,
            model_name=fields.required_text("model"),
            stream=bool(fields.flag("stream")),
            include_usage=bool(stream_options is not None and stream_options.flag("include_usage")),
            ignored=self.leftovers.ignored,
            scoped=self.leftovers.scoped,
            required=required,
        )

    def _check(self) -> None:
        """Reject the fields that no candidate can receive."""
        fields = self.fields
        for name, advice in _REJECTED.items():
            if fields.says_something(name):
                raise fields.rejected(name, f"not supported; {advice}", "unsupported_parameter")
        if fields.integer("n", 1) not in (None, 1):
            raise fields.rejected("n", "this gateway returns one choice", "unsupported_parameter")
        if any(kind != "text" for kind in fields.texts("modalities")):
            raise fields.rejected("modalities", "this gateway returns text only", "unsupported_parameter")

    def _settings(self) -> dict[str, Any]:
        fields = self.fields
        settings: dict[str, Any] = {name: fields.number(name, low, high) for name, low, high in _SETTINGS}
        settings |= {"top_k": fields.integer("top_k", 0), "seed": fields.integer("seed")}
        ceiling = "max_completion_tokens" if fields.has("max_completion_tokens") else "max_tokens"
        settings["max_tokens"] = fields.integer(ceiling, 1)
        settings["stop"] = fields.texts("stop") if isinstance(fields.get("stop"), list) else fields.text("stop") or None
        if fields.flag("logprobs"):
            settings["logprobs"] = fields.integer("top_logprobs", 0, 20) or 0
        elif fields.integer("top_logprobs", 0, 20):
            raise fields.rejected("top_logprobs", "needs `logprobs: true`")
        effort = fields.text("reasoning_effort")
        if effort is None and isinstance(fields.get("reasoning"), dict):
            effort = fields.required_object("reasoning").text("effort")
        settings["reasoning_effort"] = effort or None
        return settings

    # -- tools --------------------------------------------------------------------------------------------------

    def _tools(self) -> list[Tool]:
        tools = []
        for tool in self.fields.objects("tools"):
            kind = tool.required_text("type")
            if kind == "custom":
                self.leftovers.leave_out(self.fields, "tools.custom")  # it takes free text
            elif kind != "function":
                tools.append(hosted_tool(tool, kind, self.leftovers))
            else:
                function = tool.required_object("function")
                self.leftovers.ignore(function, ("name", "description", "parameters", "strict"))
                tools.append(tool_of(function, self.leftovers.extra(tool, ("type", "function"))))
        return tools

    def _tool_choice(self) -> RestrictedChoice | None:
        fields = self.fields
        if not isinstance(fields.get("tool_choice"), dict) or not fields.says_something("tool_choice"):
            return choice_of_word(fields)
        choice = fields.required_object("tool_choice")
        match kind := choice.required_text("type"):
            case "function":
                name = choice.required_object("function").required_text("name")
                return RestrictedChoice(ToolChoice.named(name))
            case "allowed_tools":
                allowed = choice.required_object("allowed_tools")
                names = (tool.required_object("function").required_text("name") for tool in allowed.objects("tools"))
                return choice_of_mode(allowed, names)
            case _:
                raise choice.rejected("type", f"{kind!r} cannot be forced here", "unsupported_parameter")

    # -- messages -----------------------------------------------------------------------------------------------

    def _messages(self) -> list[Message]:
        messages = [self._message(message) for message in self.fields.objects("messages")]
        if not messages:
            raise self.fields.rejected("messages", "must hold at least one message")
        return messages

    def _message(self, message: Fields) -> Message:
        role = message.one_of("role", _ROLES)
        try:
            match role:
                case None:
                    raise message.missing("role")
                case "function":
                    raise message.rejected("role", "not supported; use role `tool`", "unsupported_parameter")
                case "assistant":
                    return self._assistant(message)
                case "tool":
                    call = read_call_id(message.required_text("tool_call_id"))
                    return Message(
                        Role.TOOL,
                        self._content(message) or "",
                        tool_call_id=call.id,
                        name=message.text("name"),
                        extra=self.leftovers.extra(message, _TOOL_MESSAGE),
                    )
                case _:
                    content = self._content(message)
                    if not content:
                        raise message.missing("content")
                    extra = self.leftovers.extra(message, _MESSAGE)
                    return Message(Role(role), content, name=message.text("name"), extra=extra)
        except (ValueError, TypeError) as error:
            raise vocabulary_error(error, message.path()) from None

    def _assistant(self, message: Fields) -> Message:
        for name in ("audio", "function_call"):
            if message.has(name):
                raise message.rejected(name, "not supported", "unsupported_parameter")
        calls = [self._tool_call(call) for call in message.objects("tool_calls")]
        turn = AssistantTurn()
        for thinking, origin in self._reasoning(message, calls[0][1] if calls else CarriedCall("")):
            turn.add(thinking, origin)
        for part in self._content(message):
            turn.add(part)
        if refusal := message.text("refusal"):
            turn.add(Refusal(refusal))
        for index, (call, carried) in enumerate(calls):
            for part in carried.with_text(None) if index else ():
                turn.add(part, carried.origin)
            turn.add_call(call, carried.origin)
        made = turn.message()
        extra = self.leftovers.extra(message, _ASSISTANT)
        return attrs.evolve(made, name=message.text("name"), extra=extra) if message.has("name") or extra else made

    def _reasoning(self, message: Fields, first: CarriedCall) -> Iterator[tuple[Part, str | None]]:
        """Yield the reasoning before the words of a turn, each part with the family that it belongs to."""
        text = message.get("reasoning_content") or message.get("reasoning")
        parts = first.with_text(text if isinstance(text, str) else None)
        if isinstance(text, str) and not any(isinstance(part, Thinking) for part in parts):
            yield Thinking(text), None
        for part in parts:
            yield part, first.origin

    def _tool_call(self, call: Fields) -> tuple[ToolCall, CarriedCall]:
        """Return the call, and what its id carries."""
        carried = read_call_id(call.required_text("id"))
        if call.get("type") == "custom":
            custom = call.required_object("custom")
            name, arguments = custom.required_text("name"), encode({"input": custom.text("input") or ""}).decode()
        else:
            function = call.required_object("function")
            name, arguments = function.required_text("name"), function.text("arguments") or "{}"
        return ToolCall(carried.id, name, arguments, signature=carried.signature), carried

    def _content(self, message: Fields) -> tuple[Part, ...]:
        value = message.get("content")
        if value is None:
            return ()
        if isinstance(value, str):
            # An assistant's empty text beside its calls has no meaning.
            return (Text(value),) if value or message.get("role") != "assistant" else ()
        return tuple(self._part(part) for part in message.objects("content"))

    def _part(self, part: Fields) -> Part:
        kind = part.required_text("type")
        if kind not in _PARTS:
            raise part.rejected("type", f"{kind!r} is not supported", "unsupported_parameter")
        if kind == "refusal":
            return Refusal(part.text("refusal") or "")
        extra = self.leftovers.extra(part, _PARTS[kind])
        match kind:
            case "text":
                text = part.text("text")
                if text is None:
                    raise part.missing("text")
                return Text(text, extra=extra)
            case "image_url":
                if isinstance(part.get("image_url"), str):  # some clients leave out the object
                    return image_of(part, "image_url", extra)
                return image_of(part.required_object("image_url"), "url", extra)
            case "input_audio":
                return audio_of(part.required_object("input_audio"), extra)
            case _:
                file = part.required_object("file")
                if (id := file.text("file_id")) is not None:
                    return File(file_id=id, extra=extra)
                return file_of_data_url(file, "file_data", file.text("filename"), extra)
