"""Chunks of an OpenAI-shaped stream, as JSON values."""

from __future__ import annotations

from typing import Any

__all__ = ["DONE", "choice", "delta", "finish", "whole"]

DONE = "[DONE]"


def choice(**fields: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "model": "served", "choices": [{"index": 0, **fields}]}


def delta(**fields: Any) -> dict[str, Any]:
    return choice(delta=fields, finish_reason=None)


def finish(reason: Any = "stop", **top: Any) -> dict[str, Any]:
    return choice(delta={}, finish_reason=reason) | top


def whole(reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A completion that is no stream."""
    return choice(message={"role": "assistant", **message}, finish_reason=reason)
