"""Reads an Anthropic Messages request as strictly as the server does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest, ToolSpec
from turnout_sandbox.dialect import string_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.prose import words_in

__all__ = ["read_messages_request"]

_WINDOW = 200_000
_FIELDS = frozenset(
    {
        "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences",
        "tools", "tool_choice", "thinking", "metadata", "service_tier", "output_config", "output_format", "container",
        "mcp_servers", "context_management", "cache_control", "inference_geo",
    }
)  # fmt: skip
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# Claude 4.6 and all later models want the last message to be the user's.
_NO_PREFILL = re.compile(r"claude-([a-z]+-4-[6-9]|[a-z]+-([5-9]|\d\d)(-|$))")
_BLOCKS = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use"},
}


def _invalid(message: str) -> RequestRejected:
    return invalid(message)


def read_messages_request(body: Mapping[str, Any]) -> ParsedRequest:
    """Raises RequestRejected."""
    for name in body:
        if name not in _FIELDS:
            raise _invalid(f"{name}: Extra inputs are not permitted")
    for name in ("model", "messages", "max_tokens"):
        if body.get(name) is None:
            raise _invalid(f"{name}: Field required")
    model, limit = body["model"], body["max_tokens"]
    if not isinstance(model, str) or not model:
        raise _invalid("model: Input should be a valid string")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise _invalid("max_tokens: Input should be greater than or equal to 1")
    thinking = _thinking(body, limit)
    _sampling(body, thinking)
    messages = _AnthropicMessages()
    messages.read(body["messages"])
    if messages.last_role == "assistant" and _NO_PREFILL.match(model):
        raise _invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if messages.last_role == "assistant" and (thinking or messages.last_text[-1:].isspace()):
        raise _invalid(
            "Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is enabled, a final "
            "`assistant` message must start with a thinking block."
            if thinking
            else "messages: final assistant content cannot end with trailing whitespace"
        )
    tools = _tools(body.get("tools"))
    choice, forced, parallel = _choice(body.get("tool_choice"), tools)
    if thinking and choice == "required":
        raise _invalid("Thinking may not be enabled when tool_choice forces tool use.")
    tokens = messages.tokens + words_in(string_of(body.get("system") or ""))
    tokens += sum(words_in(json.dumps(tool.schema)) + 4 for tool in tools)
    if tokens > _WINDOW:
        raise RequestRejected(ErrorKind.CONTEXT_LENGTH, f"prompt is too long: {tokens} tokens > {_WINDOW} maximum")
    return ParsedRequest(
        model=model,
        prompt=messages.prompt,
        prompt_tokens=tokens,
        stream=body.get("stream") is True,
        tool_results=tuple(messages.results),
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
        parallel_tool_calls=parallel,
        schema=_schema(body.get("output_config")),
        reasoning=thinking,
        prefix=messages.last_text if messages.last_role == "assistant" else "",
        max_tokens=limit,
        stop=tuple(body.get("stop_sequences") or ()),
    )


def _thinking(body: Mapping[str, Any], limit: int) -> bool:
    thinking = body.get("thinking")
    if thinking is None:
        return False
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        raise _invalid("thinking: Input tag does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise _invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= limit:
            raise _invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return bool(kind != "disabled")


def _sampling(body: Mapping[str, Any], thinking: bool) -> None:
    temperature = body.get("temperature")
    if temperature is not None:
        if not isinstance(temperature, int | float) or not 0 <= temperature <= 1:
            raise _invalid("temperature: range: 0..1")
        if thinking and temperature != 1:
            raise _invalid("`temperature` may only be set to 1 when thinking is enabled.")
    stops = body.get("stop_sequences")
    if stops is not None and not (isinstance(stops, list) and all(isinstance(text, str) for text in stops)):
        raise _invalid("stop_sequences: Input should be a valid list of strings")


def _schema(config: object) -> Mapping[str, Any] | None:
    wanted = config.get("format") if isinstance(config, Mapping) else None
    schema = wanted.get("schema") if isinstance(wanted, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _tools(tools: object) -> tuple[ToolSpec, ...]:
    found = []
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, Mapping) and str(tool.get("type", "custom")) != "custom":
            continue  # a tool of Anthropic's own: the sandbox runs none
        name = tool.get("name") if isinstance(tool, Mapping) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _invalid(f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        schema = tool.get("input_schema")
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            raise _invalid(f"tools.{index}.custom.input_schema.type: Field required")
        found.append(ToolSpec(name, schema))
    return tuple(found)


def _choice(choice: object, tools: tuple[ToolSpec, ...]) -> tuple[str, str | None, bool]:
    if choice is None:
        return "auto", None, True
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or kind not in ("auto", "any", "tool", "none"):
        raise _invalid("tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
    if not tools:
        raise _invalid("tool_choice may only be specified while providing tools")
    parallel = choice.get("disable_parallel_tool_use") is not True
    if kind == "tool":
        if choice.get("name") not in [tool.name for tool in tools]:
            raise _invalid(f"Tool '{choice.get('name')}' not found in provided tools")
        return "required", str(choice["name"]), parallel
    return {"auto": "auto", "none": "none", "any": "required"}[str(kind)], None, parallel


@attrs.define
class _AnthropicMessages:
    prompt: str = ""
    results: list[str] = attrs.field(factory=list)
    tokens: int = 0
    last_role: str = ""
    last_text: str = ""
    _open: set[str] = attrs.field(factory=set)

    def read(self, messages: object) -> None:
        if not isinstance(messages, list):
            raise _invalid("messages: Input should be a valid list")
        if not messages:
            raise _invalid("messages: at least one message is required")
        for index, message in enumerate(messages):
            self._take(message, index)
        if self._open:
            raise _invalid(self._unanswered(len(messages) - 1))

    def _unanswered(self, index: int) -> str:
        ids = ", ".join(sorted(self._open))
        return f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}."

    def _take(self, message: object, index: int) -> None:
        role = str(message.get("role")) if isinstance(message, Mapping) else ""
        if not isinstance(message, Mapping) or role not in _BLOCKS:
            raise _invalid(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')
        content = message.get("content")
        self.last_role = role
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, Mapping) for block in blocks):
            raise _invalid(f"messages.{index}.content: Input should be a valid list")
        if not blocks or (isinstance(content, str) and not content):
            raise _invalid(f"messages.{index}: all messages must have non-empty content")
        self.tokens += 4
        self.results.clear()
        request, self._open = self._open, set()
        texts: list[str] = []
        for number, block in enumerate(blocks):
            spot = f"messages.{index}.content.{number}"
            if str(block.get("type")) not in _BLOCKS[role]:
                raise _invalid(f"{spot}.type: Input tag '{block.get('type')}' does not match any of the expected tags")
            self._block(block, spot, texts, request)
        if request:
            self._open = request
            raise _invalid(self._unanswered(index - 1))
        self.last_text = "".join(texts)
        if role == "user" and not self.results:
            self.prompt = self.last_text

    def _block(self, block: Mapping[str, Any], spot: str, texts: list[str], request: set[str]) -> None:
        match block["type"]:
            case "text":
                if not isinstance(block.get("text"), str) or not block["text"]:
                    raise _invalid(f"{spot}.text: text content blocks must be non-empty")
                texts.append(block["text"])
                self.tokens += words_in(block["text"])
            case "tool_use":
                if not isinstance(block.get("input"), Mapping) or not isinstance(block.get("id"), str):
                    raise _invalid(f"{spot}.tool_use.input: Input should be a valid dictionary")
                self._open.add(block["id"])
                self.tokens += words_in(json.dumps(block["input"]))
            case "tool_result":
                if str(block.get("tool_use_id")) not in request:
                    raise _invalid(
                        f"{spot}: unexpected `tool_use_id` found in `tool_result` blocks: {block.get('tool_use_id')}. "
                        "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                    )
                request.discard(str(block["tool_use_id"]))
                error_response = string_of(block.get("content") or "")
                self.results.append(error_response)
                self.tokens += words_in(error_response)
            case "thinking":
                if not isinstance(block.get("signature"), str):
                    raise _invalid(f"{spot}.thinking.signature: Field required")
            case "image" | "document":
                if not isinstance(block.get("source"), Mapping):
                    raise _invalid(f"{spot}.source: Field required")
                self.tokens += 256
            case _:
                pass
