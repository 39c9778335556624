"""How OpenAI writes chat completions: chunks, whole answers, usage. The other providers' shapes derive from it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from turnout_sandbox.answers import ScriptedCall, Turn
from turnout_sandbox.dialect import dumps, sse, token_of
from turnout_sandbox.prose import pieces_of

__all__ = ["ChatFormat", "OpenAIFormat"]

_TEXT_MARK = "\ue000text\ue000"  # a placeholder in templates, from the private-use area of Unicode
_FILLER = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@attrs.define
class ChatFormat:
    """Writes one choice of an answer. Subclasses override the differences of a provider.

    usage_requested   stream_options.include_usage
    usage_sent    False if a fault omits the token counts
    padding       stream_options.include_obfuscation
    request       the body of the request
    """

    reasoning_key: ClassVar[str] = "reasoning_content"
    done: ClassVar[bytes] = b"data: [DONE]\n\n"

    turn: Turn
    model: str
    created: int
    rng: random.Random
    usage_requested: bool = False
    usage_sent: bool = True
    padding: bool = True
    request: Mapping[str, Any] = attrs.field(factory=dict)
    index: int = 0
    more_choices: Sequence[ChatFormat] = ()
    identity: str = attrs.field(init=False)
    calls: tuple[tuple[str, ScriptedCall], ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.identity = self.new_id()
        self.calls = tuple((self.new_call_id(), call) for call in self.turn.calls)

    # Ids and counts

    def new_id(self) -> str:
        return f"chatcmpl-{token_of(self.rng, 29)}"

    def new_call_id(self) -> str:
        return f"call_{token_of(self.rng, 24)}"

    def usage(self) -> dict[str, Any]:
        turn = self.turn
        return {
            "prompt_tokens": turn.prompt_tokens,
            "completion_tokens": turn.completion_tokens,
            "total_tokens": turn.prompt_tokens + turn.completion_tokens,
        }

    # A stream

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.identity,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "finish_reason": finish}

    def opening(self) -> list[bytes]:
        return [self.event(self.chunk([self.choice({"role": "assistant", "content": ""})]))]

    def text_delta(self, piece: str) -> dict[str, Any]:
        return {"content": piece}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {self.reasoning_key: piece}

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        """A call in fragments; a provider that sends calls whole gives one delta."""
        function = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}
        for piece in pieces_of(call.text):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

    def tokens(self) -> Iterator[bytes]:
        """The events that carry content. Lazy: a paced stream is written as it goes."""
        yield from self.pieces(self.turn.reasoning, self.reasoning_delta)
        yield from self.pieces(self.turn.text, self.text_delta)
        for index, (identity, call) in enumerate(self.calls):
            for delta in self.call_deltas(index, identity, call):
                yield self.event(self.chunk([self.choice(delta)]))

    def pieces(self, pieces: tuple[str, ...], delta: Any) -> Iterator[bytes]:
        """One event a piece, from a template: a load test must not be a test of this server's JSON encoder."""
        if not pieces:
            return
        before, mark, after = self.template(delta)
        for piece in pieces:
            quoted = json.dumps(piece, ensure_ascii=False).encode("utf-8", "surrogatepass")
            # OpenRouter's reasoning has the piece twice.
            yield before + quoted + after.replace(mark, quoted)

    def template(self, delta: Any) -> tuple[bytes, bytes, bytes]:
        mark = json.dumps(_TEXT_MARK, ensure_ascii=False).encode()
        before, _, after = self.event(self.chunk([self.choice(delta(_TEXT_MARK))])).partition(mark)
        return before, mark, after

    def closing(self) -> list[bytes]:
        """Return the finish chunk, and the usage in its position at this provider."""
        more = {"usage": self.usage()} if self.usage_sent else {}
        return [self.event(self.chunk([self.choice({}, self.turn.finish)], **more))]

    def event(self, payload: Mapping[str, Any]) -> bytes:
        return sse(dumps(payload))

    def broken(self) -> bytes:
        whole = dumps(self.chunk([self.choice({"content": "lost"})]))
        return sse(whole[: len(whole) * 2 // 3])

    # A whole answer

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.turn.whole_text if not self.calls else None}
        if self.turn.reasoning:
            message[self.reasoning_key] = self.turn.whole_reasoning
        if self.calls:
            message["tool_calls"] = [
                {"id": identity, "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for identity, call in self.calls
            ]
        return message

    def completion(self) -> dict[str, Any]:
        usage = {"usage": self.usage()} if self.usage_sent else {}
        choice = {"index": self.index, "message": self.message(), "finish_reason": self.turn.finish}
        return {
            "id": self.identity,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [choice],
            **usage,
        }

    def document(self) -> dict[str, Any]:
        """Return the whole response, with the choices of the other formats."""
        whole = self.completion()
        others = [choice for other in self.more_choices for choice in other.completion()["choices"]]
        return {**whole, "choices": [*whole["choices"], *others]} if others else whole

    def encoded(self) -> bytes:
        return dumps(self.document()).encode("utf-8", "surrogatepass")


@attrs.define
class OpenAIFormat(ChatFormat):
    """OpenAI: usage in a separate chunk and only on request, padding in every chunk, no reasoning text."""

    def usage(self) -> dict[str, Any]:
        return {
            **ChatFormat.usage(self),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.turn.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        usage = {"usage": None} if self.usage_requested else {}
        return {
            "id": self.identity,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": choices,
            **usage,
            **more,
        }

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def opening(self) -> list[bytes]:
        content = None if self.calls else ""
        return [self.event(self.chunk([self.choice({"role": "assistant", "content": content, "refusal": None})]))]

    def tokens(self) -> Iterator[bytes]:
        yield from self.pieces(self.turn.text, self.text_delta)  # thinking is counted, and never shown here
        for index, (identity, call) in enumerate(self.calls):
            for delta in self.call_deltas(index, identity, call):
                yield self.event(self.chunk([self.choice(delta)]))

    def pieces(self, pieces: tuple[str, ...], delta: Any) -> Iterator[bytes]:
        for event in ChatFormat.pieces(self, pieces, delta):
            # `}` and an empty line end an event; the filler goes before them.
            yield event[:-3] + f',"obfuscation":"{self._filler()}"}}\n\n'.encode() if self.padding else event

    def template(self, delta: Any) -> tuple[bytes, bytes, bytes]:
        padding, self.padding = self.padding, False
        parts = ChatFormat.template(self, delta)
        self.padding = padding
        return parts

    def event(self, payload: Mapping[str, Any]) -> bytes:
        return sse(dumps({**payload, "obfuscation": self._filler()} if self.padding else payload))

    def closing(self) -> list[bytes]:
        events = [self.event(self.chunk([self.choice({}, self.turn.finish)]))]
        if self.usage_requested and self.usage_sent:
            events.append(self.event(self.chunk([], usage=self.usage())))
        return events

    def message(self) -> dict[str, Any]:
        message = ChatFormat.message(self)
        message.pop(self.reasoning_key, None)
        return {**message, "refusal": None, "annotations": []}

    def completion(self) -> dict[str, Any]:
        whole = ChatFormat.completion(self)
        choice = {"index": self.index, "message": self.message(), "logprobs": None, "finish_reason": self.turn.finish}
        return {**whole, "choices": [choice], "service_tier": "default", "system_fingerprint": None}

    def encoded(self) -> bytes:
        return (json.dumps(self.document(), ensure_ascii=False, indent=2) + "\n").encode("utf-8", "surrogatepass")

    def _filler(self) -> str:
        return _FILLER[: self.rng.randrange(16)]
