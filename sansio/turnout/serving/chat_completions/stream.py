"""Writes streamed answers of chat completions.

Source: the OpenAI API reference, "The chat completion chunk object". A token costs one JSON string between two
prepared texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

import attrs

from turnout.chat import ChatResponse
from turnout.events import (
    AudioDelta,
    CommentaryDelta,
    End,
    Event,
    LogprobsDelta,
    PartReady,
    PartSigned,
    Reasoning,
    RefusalDelta,
    Restarted,
    Token,
    ToolCallDelta,
    ToolCallReady,
)
from turnout.messages import Image
from turnout.serving.chat_completions.carried_reasoning import reasoning_call_id
from turnout.serving.chat_completions.response import finish_fields, image_part, logprobs_of
from turnout.serving.errors import ServedError, restart_not_possible
from turnout.serving.held_arguments import HeldArguments
from turnout.serving.inbound import Answerer, InboundChat, Partial
from turnout.serving.request_json import encode, encode_text
from turnout.serving.usage import chat_usage

__all__ = ["ChatStreamWriter", "build_chat_error"]

_DONE: Final = b"data: [DONE]\n\n"
_PING: Final = b": keep-alive\n\n"


def build_chat_error(error: ServedError) -> bytes:
    """Return the body of an error."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return encode({"error": fields})


@attrs.define(eq=False)
class ChatStreamWriter:
    """Writes the chunks of one answer (`turnout.serving.inbound.StreamWriter`)."""

    _inbound: InboundChat
    _answerer: Answerer
    _before_delta: bytes = attrs.field(init=False)
    _after_delta: bytes = attrs.field(init=False)
    _before_text: bytes = attrs.field(init=False)
    _after_text: bytes = attrs.field(init=False)
    _images: int = attrs.field(default=0, init=False)
    _logprobs_written: bool = attrs.field(default=False, init=False)
    _calls: dict[int, HeldArguments] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        answerer = self._answerer
        shared = {"id": f"chatcmpl-{answerer.id}", "object": "chat.completion.chunk", "created": answerer.created}
        head = encode({**shared, "model": answerer.model})
        self._before_delta = b"data: " + head[:-1] + b',"choices":[{"index":0,"delta":'
        # With `include_usage`, every chunk but the last has a usage of null.
        usage = b',"usage":null' if self._inbound.include_usage else b""
        self._after_delta = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._before_text = self._before_delta + b'{"content":'
        self._after_text = b"}" + self._after_delta

    def opening(self) -> bytes:
        """Return the chunk with the role."""
        return self._chunk(b'{"role":"assistant","content":""}')

    def events(self, events: Iterable[Event], partial: Partial) -> bytes:
        pieces: list[bytes] = []
        before, after = self._before_text, self._after_text
        for event in events:
            if type(event) is Token:  # most events
                pieces += (before, encode_text(event.delta), after)
            else:
                pieces.append(self._event(event, partial))
        return b"".join(pieces)

    def _event(self, event: Event, partial: Partial) -> bytes:
        match event:
            case Token(delta) | CommentaryDelta(delta):
                return self._before_text + encode_text(delta) + self._after_text
            case Reasoning(delta):
                return self._chunk(b'{"reasoning_content":' + encode_text(delta) + b"}")
            case RefusalDelta(delta):
                return self._chunk(b'{"refusal":' + encode_text(delta) + b"}")
            case LogprobsDelta(logprobs):
                return self._logprobs(logprobs)
            case PartReady(part):
                if not isinstance(part, Image):
                    return b""  # this gateway requests no sound, and this protocol has no opaque parts
                self._images += 1
                return self._chunk(encode({"images": [{**image_part(part), "index": self._images - 1}]}))
            case PartSigned() | AudioDelta():
                return b""
            case ToolCallDelta(index, delta):
                return self._call_delta(index, delta, partial)
            case ToolCallReady(index, call):
                begun = b"" if index in self._calls else self._call_delta(index, "", partial)
                return begun + self._arguments(index, self._calls[index].rest(call.arguments))
            case End() as end:
                return self._end(end, partial())
            case Restarted():
                raise restart_not_possible()
            case _:
                assert_never(event)

    def ping(self) -> bytes:
        return _PING

    def error(self, error: ServedError, request_id: str) -> bytes:
        # No [DONE]: a client must not take what arrived for the whole answer.
        return b"data: " + build_chat_error(error) + b"\n\n"

    def _chunk(self, delta: bytes) -> bytes:
        return self._before_delta + delta + self._after_delta

    def _call_delta(self, index: int, delta: str, partial: Partial) -> bytes:
        held = self._calls.get(index)
        if held is not None:
            return self._arguments(index, held.receive(delta))
        held = self._calls[index] = HeldArguments()
        message = partial().message
        call = message.tool_calls[index]
        function = {"name": call.name, "arguments": held.receive(delta)}
        return self._chunk(
            encode(
                {
                    "tool_calls": [
                        {
                            "index": index,
                            "id": reasoning_call_id(call, message),
                            "type": "function",
                            "function": function,
                        }
                    ]
                }
            )
        )

    def _arguments(self, index: int, delta: str) -> bytes:
        if not delta:
            return b""
        return self._chunk(b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (index, encode_text(delta)))

    def _fields(self, choices: list[Any]) -> dict[str, Any]:
        answerer = self._answerer
        fields: dict[str, Any] = {
            "id": f"chatcmpl-{answerer.id}",
            "object": "chat.completion.chunk",
            "created": answerer.created,
            "model": answerer.model,
            "choices": choices,
        }
        return {**fields, "usage": None} if self._inbound.include_usage else fields

    def _logprobs(self, logprobs: Any) -> bytes:
        joined = logprobs_of(logprobs)
        if joined is None:
            return b""
        self._logprobs_written = True
        choice = {"index": 0, "delta": {}, "logprobs": joined, "finish_reason": None}
        return b"data: " + encode(self._fields([choice])) + b"\n\n"

    def _end(self, end: End, response: ChatResponse) -> bytes:
        logprobs = None if self._logprobs_written else logprobs_of(response.logprobs)
        finish = finish_fields(end.finish_reason, end.raw_finish_reason)
        last = self._fields([{"index": 0, "delta": {}, "logprobs": logprobs, **finish}])
        if response.citations:
            last["citations"] = response.citations
        written = b"data: " + encode(last) + b"\n\n"
        if self._inbound.include_usage:
            usage = chat_usage(end.usage)
            if usage is not None:  # clients fail on a usage of null in the chunk that is for the usage
                written += b"data: " + encode({**self._fields([]), "usage": usage}) + b"\n\n"
        return written + _DONE
