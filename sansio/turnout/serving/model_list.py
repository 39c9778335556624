"""The lists of models for clients, and counts of tokens.

Sources: the OpenAI API reference, "List models"; the Anthropic API reference, "List Models" and "Count tokens".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from turnout.serving.request_json import encode

__all__ = ["build_model", "build_models", "build_token_count"]


def _model(name: str, created: int, *, messages: bool) -> dict[str, Any]:
    if messages:
        moment = datetime.datetime.fromtimestamp(created, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"type": "model", "id": name, "display_name": name, "created_at": moment}
    return {"id": name, "object": "model", "created": created, "owned_by": "turnout"}


def build_model(name: str, created: int, *, messages: bool) -> bytes:
    """Return one model, in the form of Messages or in OpenAI's."""
    return encode(_model(name, created, messages=messages))


def build_models(names: Iterable[str], created: int, *, messages: bool) -> bytes:
    """Return the list of models, in the form of Messages or in OpenAI's."""
    models = [_model(name, created, messages=messages) for name in names]
    if not messages:
        return encode({"object": "list", "data": models})
    first, last = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    return encode({"data": models, "has_more": False, "first_id": first, "last_id": last})


def build_token_count(tokens: int) -> bytes:
    """Return a count of tokens, in the form of Messages."""
    return encode({"input_tokens": tokens})
