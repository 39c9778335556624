"""What a router tells `on_trace` beside the trace: the metadata of the response, and its content on request."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import attrs

from turnout.chat import ModelConfig
from turnout.routing.call.machine import Call

__all__ = ["CallContent", "outcome_of"]

_COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
)
_SETTINGS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)
_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class CallContent:
    """The content of a call, for an `on_trace` whose attribute `wants_content` is true.

    Attributes:
        request: The request of the caller, with its messages.
        result: The response; None if the call has none.
    """

    request: Any = attrs.field(repr=False)
    result: Any = attrs.field(repr=False)


def outcome_of(call: Call) -> dict[str, Any]:
    """Return the metadata of a call that has ended, without its content. See `Trace.outcome`."""
    result, request = call.result, call.request
    usage = getattr(result, "usage", None)
    counted = _COUNTS if not call.trace.from_cache else ()
    outcome = {name: getattr(usage, name, None) for name in counted}
    outcome |= {name: getattr(result, name, None) for name in ("response_id", "served_model")}
    reason = getattr(result, "finish_reason", None)
    if reason is not None:
        outcome["finish_reason"] = reason.value
    model = call.model or getattr(result, "model", None) or getattr(request, "model", None)
    if isinstance(model, ModelConfig):
        settings = {name: value for name in _SETTINGS if (value := getattr(model, name)) not in (None, ())}
        outcome["settings"] = settings or None
    if getattr(request, "response_format", None) is not None:
        outcome["output_type"] = "json"
    outcome["dimensions"] = getattr(request, "dimensions", None)
    outcome |= _server(call)
    return {name: value for name, value in outcome.items() if value is not None}


def _server(call: Call) -> dict[str, Any]:
    """Return the host and the port of the provider that answered, or that was tried last."""
    url = getattr(getattr(call.provider, "account", None), "base_url", "")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return {}
    return {"server_address": parts.hostname, "server_port": port} if parts.hostname else {}
