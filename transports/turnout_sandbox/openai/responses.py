"""Writes responses of OpenAI's Responses API: items, and typed events with numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from turnout_sandbox.answers import Turn
from turnout_sandbox.dialect import Context, dumps, token_of
from turnout_sandbox.prose import pieces_of

__all__ = ["ResponsesFormat"]

_Event: TypeAlias = tuple[str, Mapping[str, Any]]
_REASONS = {"length": "max_output_tokens"}
# The settings that a response repeats, with their defaults.
_SETTINGS: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


@attrs.define
class ResponsesFormat:
    """One response. For a model that reasons it holds a summary of the reasoning, and the reasoning encrypted.

    Attributes:
        turn: The text, the reasoning and the calls.
        model: The id of the model.
        context: Its random numbers make the ids.
        request: The body of the request.
    """

    turn: Turn
    model: str
    context: Context
    request: Mapping[str, Any]
    identity: str = attrs.field(init=False)
    items: list[dict[str, Any]] = attrs.field(init=False)
    _numbers: Iterator[int] = attrs.field(init=False, factory=itertools.count)

    def __attrs_post_init__(self) -> None:
        rng, turn = self.context.rng, self.turn
        self.identity = f"resp_{token_of(rng, 48)}"
        self.items = []
        if turn.reasoning:
            summary = [{"type": "summary_text", "text": turn.whole_reasoning}]
            sealed = {"summary": summary, "encrypted_content": token_of(rng, 60)}
            self.items.append({"id": f"rs_{token_of(rng, 48)}", "type": "reasoning", **sealed})
        if turn.text:
            message = {"type": "message", "status": "completed", "role": "assistant"}
            content = [_text_part(turn.whole_text)]
            self.items.append({"id": f"msg_{token_of(rng, 48)}", **message, "content": content})
        for call in turn.calls:
            ids = {"id": f"fc_{token_of(rng, 48)}", "call_id": f"call_{token_of(rng, 24)}"}
            called = {"type": "function_call", "status": "completed", "name": call.name, "arguments": call.text}
            self.items.append({**called, **ids})

    def whole(self) -> dict[str, Any]:
        """Return the response as it is in the end."""
        turn = self.turn
        reason = _REASONS.get(turn.finish)
        response = self._response("incomplete" if reason else "completed", self.items)
        response["incomplete_details"] = {"reason": reason} if reason else None
        if self.context.fault.usage:
            response["usage"] = {
                "input_tokens": turn.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": turn.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
                "total_tokens": turn.prompt_tokens + turn.completion_tokens,
            }
        return response

    def failed(self, error: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the event of a response that failed. Lazy, because its number follows the events before it."""
        yield self._event("response.failed", response={**self._response("failed", []), "error": error})

    def opening(self) -> tuple[bytes, ...]:
        begun = self._response("in_progress", [])
        return self._event("response.created", response=begun), self._event("response.in_progress", response=begun)

    def closing(self) -> Iterator[bytes]:
        """Yield the last event. Lazy, because its number follows the events before it."""
        whole = self.whole()
        yield self._event(f"response.{whole['status']}", response=whole)

    def tokens(self) -> Iterator[bytes]:
        """Yield one write for each piece of text, reasoning or arguments."""
        for place, item in enumerate(self.items):
            writer = {"reasoning": self._reasoning, "message": self._message, "function_call": self._call}[item["type"]]
            yield from writer(place, item)

    def _reasoning(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        at = {"item_id": item["id"], "output_index": place, "summary_index": 0}
        kind, (part,) = "response.reasoning_summary", item["summary"]
        yield from self._writes(
            [
                _added(place, {**item, "summary": [], "encrypted_content": ""}),
                (f"{kind}_part.added", {**at, "part": {**part, "text": ""}}),
            ],
            [(f"{kind}_text.delta", {**at, "delta": piece}) for piece in self.turn.reasoning],
            [
                (f"{kind}_text.done", {**at, "text": part["text"]}),
                (f"{kind}_part.done", {**at, "part": part}),
                _done(place, item),
            ],
        )

    def _message(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        at = {"item_id": item["id"], "output_index": place, "content_index": 0}
        (part,) = item["content"]
        yield from self._writes(
            [
                _added(place, {**item, "content": [], "status": "in_progress"}),
                ("response.content_part.added", {**at, "part": _text_part("")}),
            ],
            [("response.output_text.delta", {**at, "delta": piece, "logprobs": []}) for piece in self.turn.text],
            [
                ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}),
                ("response.content_part.done", {**at, "part": part}),
                _done(place, item),
            ],
        )

    def _call(self, place: int, item: Mapping[str, Any]) -> Iterator[bytes]:
        at = {"item_id": item["id"], "output_index": place}
        kind = "response.function_call_arguments"
        yield from self._writes(
            [_added(place, {**item, "arguments": "", "status": "in_progress"})],
            [(f"{kind}.delta", {**at, "delta": piece}) for piece in pieces_of(item["arguments"]) or [""]],
            [
                (f"{kind}.done", {**at, "name": item["name"], "arguments": item["arguments"]}),
                _done(place, item),
            ],
        )

    def _writes(self, before: list[_Event], deltas: list[_Event], after: list[_Event]) -> Iterator[bytes]:
        """Yield one write for each delta; the first has the events before it, the last the events after it."""
        for number, delta in enumerate(deltas):
            events = [*(before if number == 0 else ()), delta, *(after if number == len(deltas) - 1 else ())]
            yield b"".join(self._event(kind, **fields) for kind, fields in events)

    def _event(self, kind: str, **fields: Any) -> bytes:
        payload = dumps({"type": kind, "sequence_number": next(self._numbers), **fields})
        return f"event: {kind}\ndata: {payload}\n\n".encode("utf-8", "surrogatepass")

    def _response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        given = {name: self.request[name] for name in _SETTINGS if self.request.get(name) is not None}
        return {
            "id": self.identity,
            "object": "response",
            "created_at": self.context.created,
            "completed_at": self.context.created if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            **_SETTINGS,
            **given,
            "model": self.model,
            "output": output,
            "usage": None,
        }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _added(place: int, item: Mapping[str, Any]) -> _Event:
    return "response.output_item.added", {"output_index": place, "item": item}


def _done(place: int, item: Mapping[str, Any]) -> _Event:
    return "response.output_item.done", {"output_index": place, "item": item}
