"""OpenAI's Responses API: items in and out, and typed events.

A request is put in the words of chat completions first, so that both are read by the same rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import Turn
from turnout_sandbox.dialect import Context, dumps, string_of, token_of
from turnout_sandbox.errors import invalid
from turnout_sandbox.prose import pieces_of

__all__ = ["ResponsesFormat", "as_chat"]

_SAME = ("model", "stream", "temperature", "top_p", "parallel_tool_calls", "metadata", "service_tier", "top_logprobs")
_ROLES = frozenset({"system", "developer", "user", "assistant"})
_REASONS = {"length": "max_output_tokens"}


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request as a chat completions request. Raises RequestRejected for what is none."""
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


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {dumps({'type': kind, **fields})}\n\n".encode("utf-8", "surrogatepass")


@attrs.define
class ResponsesFormat:
    """One answer in the making. Where the model reasons, a summary of it is sent, and the thought itself is sealed."""

    turn: Turn
    model: str
    context: Context
    identity: str = attrs.field(init=False)
    items: list[dict[str, Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        rng, turn = self.context.rng, self.turn
        self.identity = f"resp_{token_of(rng, 48)}"
        self.items = []
        if turn.reasoning:
            summary = [{"type": "summary_text", "text": turn.whole_reasoning}]
            sealed = {"summary": summary, "encrypted_content": token_of(rng, 60)}
            self.items.append({"id": f"rs_{token_of(rng, 48)}", "type": "reasoning", **sealed})
        if turn.text:
            part = {"type": "output_text", "text": turn.whole_text, "annotations": [], "logprobs": []}
            spoken = {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
            self.items.append({"id": f"msg_{token_of(rng, 48)}", **spoken})
        for call in turn.calls:
            ids = {"id": f"fc_{token_of(rng, 48)}", "call_id": f"call_{token_of(rng, 24)}"}
            called = {"type": "function_call", "status": "completed", "name": call.name, "arguments": call.text}
            self.items.append({**called, **ids})

    def whole(self) -> dict[str, Any]:
        """The response as it is in the end."""
        turn = self.turn
        reason = _REASONS.get(turn.finish)
        response = self._response("incomplete" if reason else "completed", self.items)
        response["incomplete_details"] = {"reason": reason} if reason else None
        if self.context.fault.usage:
            response["usage"] = {
                "input_tokens": turn.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": turn.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
                "total_tokens": turn.prompt_tokens + turn.completion_tokens,
            }
        return response

    def failed(self, error: Mapping[str, Any]) -> bytes:
        return _event("response.failed", response={**self._response("failed", []), "error": error})

    def opening(self) -> tuple[bytes, ...]:
        begun = self._response("in_progress", [])
        return _event("response.created", response=begun), _event("response.in_progress", response=begun)

    def closing(self) -> tuple[bytes, ...]:
        whole = self.whole()
        return (_event(f"response.{whole['status']}", response=whole),)

    def tokens(self) -> Iterator[bytes]:
        """One write a piece: an item's prefix comes with its first delta, its end with its last."""
        for place, item in enumerate(self.items):
            where = {"output_index": place, "item_id": item["id"]}
            kind, pieces, empty = self._parts(item)
            begun = _event("response.output_item.added", output_index=place, item={**item, **empty})
            done = _event("response.output_item.done", output_index=place, item=item)
            for number, piece in enumerate(pieces):
                delta = _event(f"response.{kind}.delta", delta=piece, **where, **self._index(kind))
                yield (begun if number == 0 else b"") + delta + (done if number == len(pieces) - 1 else b"")

    def _parts(self, item: Mapping[str, Any]) -> tuple[str, list[str], dict[str, Any]]:
        """What its deltas are called, what they hold, and how it is before them."""
        if item["type"] == "reasoning":
            return "reasoning_summary_text", list(self.turn.reasoning), {"summary": []}
        if item["type"] == "message":
            return "output_text", list(self.turn.text), {"content": [], "status": "in_progress"}
        pieces = list(pieces_of(item["arguments"])) or [""]
        return "function_call_arguments", pieces, {"arguments": "", "status": "in_progress"}

    def _index(self, kind: str) -> dict[str, int]:
        if kind == "output_text":
            return {"content_index": 0}
        return {"summary_index": 0} if kind == "reasoning_summary_text" else {}

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": "response",
            "created_at": self.context.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": output,
            "store": False,
            "usage": None,
        }
