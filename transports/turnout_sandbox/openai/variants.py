"""How the OpenAI-shaped providers differ from OpenAI on the wire. Each class is one provider's habits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import attrs

from turnout_sandbox.answers import ScriptedCall
from turnout_sandbox.dialect import token_of
from turnout_sandbox.openai.format import ChatFormat

__all__ = [
    "CerebrasFormat",
    "CompatibleFormat",
    "GlmFormat",
    "GroqFormat",
    "ModelScopeFormat",
    "OpenRouterFormat",
    "SiliconFlowFormat",
]

_HEX = "0123456789abcdef"
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def _uuid(shape: ChatFormat) -> str:
    return str(uuid.UUID(int=shape.rng.getrandbits(128), version=4))


@attrs.define
class GlmFormat(ChatFormat):
    """GLM: the role in every delta, no finish_reason until the end, calls whole, usage in the finish chunk."""

    def new_id(self) -> str:
        return time.strftime("%Y%m%d%H%M%S", time.gmtime(self.created)) + token_of(self.rng, 18, _HEX)

    def usage(self) -> dict[str, Any]:
        return {
            **ChatFormat.usage(self),
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.turn.reasoning_tokens},
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": self.identity, "created": self.created, "object": "chat.completion.chunk", "model": self.model}
        return {**head, "choices": choices, **more}

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": self.index, **({} if finish is None else {"finish_reason": finish}), "delta": delta}

    def opening(self) -> list[bytes]:
        return []

    def text_delta(self, piece: str) -> dict[str, Any]:
        return {"role": "assistant", "content": piece}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {"role": "assistant", "reasoning_content": piece}

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        function = {"name": call.name, "arguments": call.text}
        yield {"tool_calls": [{"id": identity, "index": index, "type": "function", "function": function}]}

    def closing(self) -> list[bytes]:
        more = {"usage": self.usage()} if self.usage_sent else {}
        delta = {"role": "assistant", "content": ""}
        return [self.event(self.chunk([self.choice(delta, self.turn.finish)], **more))]

    def message(self) -> dict[str, Any]:
        return {**ChatFormat.message(self), "content": self.turn.whole_text}

    def completion(self) -> dict[str, Any]:
        return {**ChatFormat.completion(self), "request_id": self.identity}


@attrs.define
class OpenRouterFormat(ChatFormat):
    """OpenRouter: comments while it waits, role and content in every delta, the finish repeated beside the usage."""

    reasoning_key: ClassVar[str] = "reasoning"

    upstream: ClassVar[str] = "Sandbox"

    def new_id(self) -> str:
        return f"gen-{self.created}-{token_of(self.rng, 20)}"

    def usage(self) -> dict[str, Any]:
        return {
            **ChatFormat.usage(self),
            "cost": round(1e-7 * self.turn.prompt_tokens + 4e-7 * self.turn.completion_tokens, 9),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": self.turn.reasoning_tokens, "image_tokens": 0},
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": self.identity, "provider": self.upstream, "model": self.model}
        return {**head, "object": "chat.completion.chunk", "created": self.created, "choices": choices, **more}

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        finishes = {"finish_reason": finish, "native_finish_reason": finish}
        return {"index": self.index, "delta": delta, **finishes, "logprobs": None}

    def opening(self) -> list[bytes]:
        comment = b": OPENROUTER PROCESSING\n\n"
        return [comment, comment, self.event(self.chunk([self.choice({"role": "assistant", "content": ""})]))]

    def text_delta(self, piece: str) -> dict[str, Any]:
        return {"role": "assistant", "content": piece}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        detail = {"type": "reasoning.text", "text": piece, "format": "unknown", "index": 0}
        return {"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": [detail]}

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        for number, delta in enumerate(ChatFormat.call_deltas(self, index, identity, call)):
            (fragment,) = delta["tool_calls"]
            if number:
                fragment = {"index": index, "id": None, "type": "function", "function": fragment["function"]}
            yield {"role": "assistant", "content": None, "tool_calls": [fragment]}

    def closing(self) -> list[bytes]:
        last = self.choice({"role": "assistant", "content": ""}, self.turn.finish)
        events = [self.event(self.chunk([last]))]
        if self.usage_sent:
            events.append(self.event(self.chunk([last], usage=self.usage())))
        return events

    def message(self) -> dict[str, Any]:
        message = {**ChatFormat.message(self), "refusal": None}
        message.setdefault("reasoning", None)
        if self.turn.reasoning:
            detail = {"type": "reasoning.text", "text": self.turn.whole_reasoning, "format": "unknown", "index": 0}
            message["reasoning_details"] = [detail]
        for index, call in enumerate(message.get("tool_calls", ())):
            call["index"] = index
        return message

    def completion(self) -> dict[str, Any]:
        whole = ChatFormat.completion(self)
        finishes = {"finish_reason": self.turn.finish, "native_finish_reason": self.turn.finish}
        choice = {"logprobs": None, **finishes, "index": self.index, "message": self.message()}
        return {**whole, "provider": self.upstream, "choices": [choice]}

    def encoded(self) -> bytes:
        # It sends blank lines while it waits for the provider of the model.
        return b"\n         \n\n         \n" + ChatFormat.encoded(self)


@attrs.define
class SiliconFlowFormat(ChatFormat):
    """SiliconFlow: usage on every chunk, growing; ids of 32 hexadecimal digits."""

    sent: int = 0  # pieces sent so far

    def new_id(self) -> str:
        return token_of(self.rng, 32, _HEX)

    def new_call_id(self) -> str:
        return token_of(self.rng, 32, _HEX)

    def usage(self) -> dict[str, Any]:
        return self._counted(self.turn.completion_tokens)

    def _counted(self, completion: int) -> dict[str, Any]:
        prompt = self.turn.prompt_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "completion_tokens_details": {"reasoning_tokens": min(self.turn.reasoning_tokens, completion)},
            "prompt_tokens_details": {"cached_tokens": 0},
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": prompt,
        }

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        usage = {"usage": self._counted(min(self.sent, self.turn.completion_tokens))} if self.usage_sent else {}
        return {**ChatFormat.chunk(self, choices), "system_fingerprint": "", **usage, **more}

    def opening(self) -> list[bytes]:
        delta = {"content": "", "reasoning_content": None, "role": "assistant"}
        return [self.event(self.chunk([self.choice(delta)]))]

    def text_delta(self, piece: str) -> dict[str, Any]:
        return {"content": piece, "reasoning_content": None}

    def reasoning_delta(self, piece: str) -> dict[str, Any]:
        return {"content": None, "reasoning_content": piece}

    def pieces(self, pieces: tuple[str, ...], delta: Any) -> Iterator[bytes]:
        for piece in pieces:  # no template: the counts change
            self.sent += 1
            yield self.event(self.chunk([self.choice(delta(piece))]))

    def completion(self) -> dict[str, Any]:
        return {**ChatFormat.completion(self), "system_fingerprint": ""}


@attrs.define
class CerebrasFormat(ChatFormat):
    """Cerebras: no [DONE], no finish_reason until the end, content absent beside calls, time_info with the usage."""

    reasoning_key: ClassVar[str] = "reasoning"
    done: ClassVar[bytes] = b""

    def new_id(self) -> str:
        return f"chatcmpl-{_uuid(self)}"

    def new_call_id(self) -> str:
        return token_of(self.rng, 9, _HEX)

    def usage(self) -> dict[str, Any]:
        return {**ChatFormat.usage(self), "prompt_tokens_details": {"cached_tokens": 0}}

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": self.identity, "choices": choices, "created": self.created, "model": self.model}
        return {**head, "system_fingerprint": "fp_5a4db0c1e2", "object": "chat.completion.chunk", **more}

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"delta": delta, **({} if finish is None else {"finish_reason": finish}), "index": self.index}

    def opening(self) -> list[bytes]:
        return [self.event(self.chunk([self.choice({"role": "assistant"})]))]

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        function = {"name": call.name, "arguments": call.text}
        yield {"tool_calls": [{"function": function, "type": "function", "id": identity, "index": index}]}

    def closing(self) -> list[bytes]:
        more = {"usage": self.usage(), "time_info": self._time_info()} if self.usage_sent else {}
        return [self.event(self.chunk([self.choice({}, self.turn.finish)], **more))]

    def message(self) -> dict[str, Any]:
        message = ChatFormat.message(self)
        if message["content"] is None:
            del message["content"]
        return message

    def completion(self) -> dict[str, Any]:
        more = {"time_info": self._time_info()} if self.usage_sent else {}
        return {**ChatFormat.completion(self), "system_fingerprint": "fp_5a4db0c1e2", **more}

    def _time_info(self) -> dict[str, Any]:
        spent = self.turn.completion_tokens / 2000
        return {
            "queue_time": 0.0004,
            "prompt_time": 0.002,
            "completion_time": spent,
            "total_time": spent + 0.003,
            "created": self.created,
        }


@attrs.define
class CompatibleFormat(ChatFormat):
    """A server such as vLLM or llama.cpp: OpenAI's shape without its extras; usage on request, in its own chunk."""

    def closing(self) -> list[bytes]:
        events = [self.event(self.chunk([self.choice({}, self.turn.finish)]))]
        if self.usage_requested and self.usage_sent:
            events.append(self.event(self.chunk([], usage=self.usage())))
        return events


@attrs.define
class ModelScopeFormat(CompatibleFormat):
    """ModelScope, from its documentation and the code of gateways: there was no recorded traffic."""

    def usage(self) -> dict[str, Any]:
        details = {"reasoning_tokens": self.turn.reasoning_tokens}
        return {**ChatFormat.usage(self), "completion_tokens_details": details}

    def opening(self) -> list[bytes]:
        return [self.event(self.chunk([self.choice({"role": "assistant", "content": "", "reasoning_content": None})]))]


@attrs.define
class GroqFormat(ChatFormat):
    """Groq: x_groq in the first and the finish chunk, usage there and beside it, calls whole."""

    reasoning_key: ClassVar[str] = "reasoning"

    request_id: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        ChatFormat.__attrs_post_init__(self)
        self.request_id = f"req_01{token_of(self.rng, 24, _CROCKFORD)}"

    def new_id(self) -> str:
        return f"chatcmpl-{_uuid(self)}"

    def new_call_id(self) -> str:
        return token_of(self.rng, 9, _LOWER)

    def usage(self) -> dict[str, Any]:
        spent = self.turn.completion_tokens / 600
        usage: dict[str, Any] = {
            "queue_time": 0.05,
            "prompt_tokens": self.turn.prompt_tokens,
            "prompt_time": 0.002,
            "completion_tokens": self.turn.completion_tokens,
            "completion_time": spent,
            "total_tokens": self.turn.prompt_tokens + self.turn.completion_tokens,
            "total_time": spent + 0.002,
        }
        if self.turn.reasoning_tokens:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.turn.reasoning_tokens}
        return usage

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        head = {"id": self.identity, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        return {**head, "system_fingerprint": "fp_3f8d1b7c90", "choices": choices, **more}

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def opening(self) -> list[bytes]:
        content = None if self.calls else ""
        first = self.chunk([self.choice({"role": "assistant", "content": content})], x_groq={"id": self.request_id})
        return [self.event(first)]

    def call_deltas(self, index: int, identity: str, call: ScriptedCall) -> Iterator[dict[str, Any]]:
        function = {"name": call.name, "arguments": call.text}
        yield {"tool_calls": [{"id": identity, "type": "function", "function": function, "index": index}]}

    def closing(self) -> list[bytes]:
        mine: dict[str, Any] = {"id": self.request_id}
        more: dict[str, Any] = {"x_groq": mine}
        if self.usage_sent:
            mine["usage"] = more["usage"] = self.usage()
        events = [self.event(self.chunk([self.choice({}, self.turn.finish)], **more))]
        if self.usage_sent and self.usage_requested:  # and once more: adding the counts up would be wrong
            events.append(self.event(self.chunk([], usage=self.usage(), service_tier="on_demand")))
        return events

    def message(self) -> dict[str, Any]:
        message = ChatFormat.message(self)
        if message["content"] is None:
            del message["content"]
        return message

    def completion(self) -> dict[str, Any]:
        whole = ChatFormat.completion(self)
        choice = {"index": self.index, "message": self.message(), "logprobs": None, "finish_reason": self.turn.finish}
        more = {"usage_breakdown": None, "system_fingerprint": "fp_3f8d1b7c90", "x_groq": {"id": self.request_id}}
        return {**whole, "choices": [choice], **more, "service_tier": "on_demand"}
