"""xAI as the sandbox plays it: its models that think refuse much, and its errors are two strings."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.dialect import Context
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.errors import ErrorResponse, text_of
from turnout_sandbox.openai.format import ChatFormat
from turnout_sandbox.openai.requests import Rules
from turnout_sandbox.server.responses import Fields

__all__ = ["XAI"]

_INVALID = "Client specified an invalid argument"
_NO_PERMISSION = "The caller does not have permission to execute the specified operation"
_ERRORS = {
    ErrorKind.INVALID: (400, _INVALID),
    ErrorKind.AUTH: (400, _INVALID),
    ErrorKind.PERMISSION: (403, _NO_PERMISSION),
    ErrorKind.NO_SUCH_MODEL: (404, "Some requested entity was not found"),
    ErrorKind.NO_SUCH_PATH: (404, "Some requested entity was not found"),
    ErrorKind.CONTEXT_LENGTH: (400, _INVALID),
    ErrorKind.CONTENT_FILTER: (403, _NO_PERMISSION),
    ErrorKind.RATE_LIMIT: (429, "Some resource has been exhausted"),
    ErrorKind.QUOTA: (402, "Some resource has been exhausted"),
    ErrorKind.OVERLOADED: (503, "The service is currently unavailable"),
    ErrorKind.SERVER: (500, "Internal error"),
    ErrorKind.TIMEOUT: (504, "The operation was not finished in time"),
}
_TEXTS = {
    ErrorKind.CONTEXT_LENGTH: "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    ErrorKind.CONTENT_FILTER: "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
}


def xai_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    status, code = _ERRORS[refused.kind]
    text = refused.message or _TEXTS.get(refused.kind) or text_of(refused)
    return ErrorResponse(refused.status or status, {"code": code, "error": text})


@attrs.define
class XaiFormat(ChatFormat):
    """No finish_reason until the end; what was thought is beside the completion's tokens, not among them; an empty
    chunk after the usage."""

    def usage(self) -> dict[str, Any]:
        turn = self.turn
        return {
            "prompt_tokens": turn.prompt_tokens,
            "completion_tokens": turn.completion_tokens - turn.reasoning_tokens,
            "total_tokens": turn.prompt_tokens + turn.completion_tokens,
            "prompt_tokens_details": {"text_tokens": turn.prompt_tokens, "cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
            "num_sources_used": 0,
        }

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, **({} if finish is None else {"finish_reason": finish})}

    def opening(self) -> list[bytes]:
        return [self.event(self.chunk([self.choice({"role": "assistant", "content": ""})]))]

    def closing(self) -> list[bytes]:
        events = [self.event(self.chunk([self.choice({}, self.turn.finish)]))]
        if self.usage_requested and self.usage_sent:
            events += [self.event(self.chunk([], usage=self.usage())), self.event(self.chunk([]))]
        return events


def _headers(context: Context) -> Fields:
    return (
        ("x-ratelimit-limit-requests", "480"),
        ("x-ratelimit-remaining-requests", str(480 - context.number % 480)),
        ("x-ratelimit-limit-tokens", "4000000"),
        ("x-ratelimit-remaining-tokens", "3999000"),
    )


def _reasons(body: Mapping[str, Any]) -> bool:
    return body.get("reasoning_effort") not in (None, "none")


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    plain = re.match(r"grok-(2|3(?!-mini))|.*non-reasoning", request.model) is not None
    steered = re.match(r"grok-(3-mini|4\.[3-9])", request.model) is not None
    always = not plain and not re.match(r"grok-4\.3", request.model)
    if body.get("reasoning_effort") is not None and not steered:
        raise invalid(f"Model {request.model} does not support parameter reasoningEffort.")
    if always or request.reasoning:
        for name in ("presence_penalty", "frequency_penalty", "stop"):
            if body.get(name) is not None:
                raise invalid(f"Model {request.model} does not support parameter {name}.")


XAI = OpenAIChatServer(
    name="xai",
    base="/v1",
    models=("grok-4.3", "grok-4-fast-non-reasoning", "grok-3-mini"),
    shape=XaiFormat,
    errors=xai_errors,
    rules=Rules(context_window=131_072, max_choices=128, refused=frozenset({"top_k"})),
    reasons=_reasons,
    check=_check,
    headers=_headers,
    responses=True,
)
