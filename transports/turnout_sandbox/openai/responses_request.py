"""Reads requests of OpenAI's Responses API, in the words of chat completions, so that both follow the same rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from turnout_sandbox.dialect import string_of
from turnout_sandbox.errors import invalid

__all__ = ["as_chat"]

_SAME = ("model", "stream", "temperature", "top_p", "parallel_tool_calls", "metadata", "service_tier", "top_logprobs")
_ROLES = frozenset({"system", "developer", "user", "assistant"})


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request as a chat completions request.

    Raises:
        RequestRejected: The input is missing, or an item of it has the wrong form.
    """
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list):
        raise invalid("Missing required parameter: 'input'.", param="input")
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    chat: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    chat["messages"] = [*messages, *_messages(items)]
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if chat.pop("top_logprobs", None) is not None:
        chat["logprobs"] = True
    reasoning = body.get("reasoning")
    if isinstance(reasoning, Mapping) and reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    if body.get("tools"):
        functions = [_function(tool) for tool in body["tools"] if isinstance(tool, Mapping)]
        chat["tools"] = [function for function in functions if function is not None]
    choice = body.get("tool_choice")
    if choice is not None and chat.get("tools"):
        named = isinstance(choice, Mapping)
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}} if named else choice
    text = body.get("text")
    format = text.get("format") if isinstance(text, Mapping) else None
    if isinstance(format, Mapping):
        rest = {name: value for name, value in format.items() if name != "type"}
        chat["response_format"] = {"type": format.get("type"), **({"json_schema": rest} if rest else {})}
    return chat


def _function(tool: Mapping[str, Any]) -> dict[str, Any] | None:
    if tool.get("type") != "function":
        return None  # one that runs at the provider
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _messages(items: list[Any]) -> Iterator[dict[str, Any]]:
    """One message for each run of an assistant's items, and for each other."""

    def of_assistant(item: Any) -> bool:
        return isinstance(item, Mapping) and (
            item.get("role") == "assistant" or item.get("type") in ("function_call", "reasoning")
        )

    for assistant, run in itertools.groupby(items, of_assistant):
        if not assistant:
            yield from (_message(item, index) for index, item in enumerate(run))
            continue
        spoken = list(run)
        calls = [
            {
                "id": item.get("call_id"),
                "type": "function",
                "function": {"name": item.get("name"), "arguments": item.get("arguments")},
            }
            for item in spoken
            if item.get("type") == "function_call"
        ]
        text = "".join(string_of(item.get("content") or "") for item in spoken if item.get("role") == "assistant")
        yield {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}


def _message(item: Any, index: int) -> dict[str, Any]:
    where = f"input[{index}]"
    if not isinstance(item, Mapping):
        raise invalid(f"Invalid type for '{where}': expected an object.", param=where)
    if item.get("type") == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": string_of(item.get("output"))}
    if item.get("role") not in _ROLES:
        raise invalid(f"Invalid value for '{where}.role'.", param=f"{where}.role")
    said: Any = item.get("content")
    if isinstance(said, list):
        said = [_part(part) for part in said if isinstance(part, Mapping)]
    return {"role": item["role"], "content": said}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if part.get("type") == "input_file":
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    return {"type": "text", "text": part.get("text")}
