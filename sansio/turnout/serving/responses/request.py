"""Reads requests of Responses.

Source: the OpenAI API reference, "Create a model response". The gateway stores nothing, so every request must hold
the whole conversation.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from turnout.messages import Message, Tool, ToolChoice
from turnout.serving.fields import Fields
from turnout.serving.inbound import InboundChat, ReadOptions, Resolve, build_request
from turnout.serving.leftovers import Leftovers
from turnout.serving.openai_fields import (
    RestrictedChoice,
    choice_of_mode,
    choice_of_word,
    hosted_tool,
    metadata_of,
    response_format_of,
    tool_of,
)
from turnout.serving.request_json import decode_object
from turnout.serving.responses.items import conversation_of

__all__ = ["SCOPE", "read_responses_request"]

SCOPE: Final = "openai-responses"
"""The scope of this protocol's own fields."""

_KNOWN: Final = frozenset(
    (
        "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice",
        "parallel_tool_calls", "reasoning", "text", "stream", "stream_options", "store", "include", "metadata",
        "user", "safety_identifier", "top_logprobs", "background", "previous_response_id", "conversation", "prompt",
    )
)  # fmt: skip
_STATELESS: Final = "this gateway stores nothing; send the whole conversation in `input`"
_REJECTED: Final = {
    "previous_response_id": _STATELESS,
    "conversation": _STATELESS,
    "prompt": "this gateway stores no prompts; send `instructions` and `input`",
}
# Fields of its request that an answer repeats.
_ECHOED: Final = (
    "instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls",
    "reasoning", "text", "metadata", "user", "truncation",
)  # fmt: skip
_TOOL: Final = frozenset(("type", "name", "description", "parameters", "strict"))


def read_responses_request(body: bytes, resolve: Resolve, options: ReadOptions) -> InboundChat:
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
        for name, advice in _REJECTED.items():
            if fields.says_something(name):
                raise fields.rejected(name, advice, "unsupported_parameter")
        if fields.flag("background"):
            raise fields.rejected("background", _STATELESS, "unsupported_parameter")
        if fields.flag("store"):
            raise fields.rejected("store", "this gateway stores nothing; send `store: false`", "unsupported_parameter")
        text, reasoning = fields.object("text"), fields.object("reasoning")
        extra = self._own_fields(text, reasoning)
        tools, choice = self._tools(), self._tool_choice()
        if choice is not None:
            tools = choice.restrict(tools)
        request = build_request(
            fields,
            resolve,
            {**self._settings(reasoning), "extra": extra},
            self._messages(),
            tools=tools,
            tool_choice=choice.choice if choice is not None else None,
            parallel_tool_calls=fields.flag("parallel_tool_calls"),
            response_format=response_format_of(text.object("format") if text is not None else None),
            metadata=metadata_of(fields),
        )
        return InboundChat(
            request=request,
            model_name=fields.required_text("model"),
            stream=bool(fields.flag("stream")),
            include_usage=True,
            ignored=self.leftovers.ignored,
            scoped=self.leftovers.scoped,
            echo={name: fields.get(name) for name in _ECHOED if fields.has(name)},
        )

    def _own_fields(self, text: Fields | None, reasoning: Fields | None) -> dict[str, Any]:
        """Return the fields for providers of this protocol alone, also those inside `text` and `reasoning`."""
        own = dict(self.leftovers.extra(self.fields, _KNOWN).get(SCOPE, {}))
        for name, fields, known in (("text", text, ("format",)), ("reasoning", reasoning, ("effort",))):
            if fields is not None and (inner := self.leftovers.extra(fields, known).get(SCOPE)):
                own[name] = inner
        return {SCOPE: own} if own else {}

    def _settings(self, reasoning: Fields | None) -> dict[str, Any]:
        fields = self.fields
        return {
            "max_tokens": fields.integer("max_output_tokens", 1),
            "temperature": fields.number("temperature", 0),
            "top_p": fields.number("top_p", 0, 1),
            "logprobs": fields.integer("top_logprobs", 0, 20) or None,
            "reasoning_effort": (reasoning.text("effort") if reasoning is not None else None) or None,
        }

    def _tools(self) -> list[Tool]:
        tools = []
        for tool in self.fields.objects("tools"):
            kind = tool.required_text("type")
            if kind == "function":
                tools.append(tool_of(tool, self.leftovers.extra(tool, _TOOL)))
            elif kind in ("custom", "namespace"):
                # A tool of free text, and a group of tools: neither is one that a provider runs.
                self.leftovers.leave_out(self.fields, f"tools.{kind}")
            else:
                tools.append(hosted_tool(tool, kind, self.leftovers))
        return tools

    def _tool_choice(self) -> RestrictedChoice | None:
        fields = self.fields
        if not isinstance(fields.get("tool_choice"), dict) or not fields.says_something("tool_choice"):
            return choice_of_word(fields)
        choice = fields.required_object("tool_choice")
        match kind := choice.required_text("type"):
            case "function":
                return RestrictedChoice(ToolChoice.named(choice.required_text("name")))
            case "allowed_tools":
                return choice_of_mode(choice, (tool.text("name") or "" for tool in choice.objects("tools")))
            case _:
                raise choice.rejected("type", f"{kind!r} cannot be forced here", "unsupported_parameter")

    def _messages(self) -> list[Message]:
        fields = self.fields
        instructions = fields.text("instructions")
        leading = [Message.system(instructions)] if instructions else []
        if isinstance(fields.get("input"), str):
            return [*leading, Message.user(fields.required_text("input"))]
        if not fields.has("input"):
            raise fields.missing("input")
        messages = conversation_of(fields.objects("input"), self.leftovers)
        if not messages:
            raise fields.rejected("input", "must hold at least one item")
        return [*leading, *messages]
