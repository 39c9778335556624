"""Turnout's own tables, as the code has them, by the names that surfaces.toml uses.

A table is read from the code (`source.py`), never written down a second time: the constants that a dialect looks values
up in, the fields of its wire types, the rules of the catalog, and where a dialect has no table the literals of its
modules.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

import attrs

from benchmarks.surfaces.source import constants_of, fields_of, literals_of, read_by, sent_by
from turnout.errors import ServerError
from turnout.messages import Role
from turnout.providers import CATALOG
from turnout.providers.decoding.error_bodies import ErrorDetails
from turnout.providers.decoding.error_mapping import classify_error

__all__ = ["TABLES"]


@attrs.frozen
class _Known(Container[str]):
    """A table that decides by a function, because the code decides by rules."""

    _knows: Callable[[str], bool]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and self._knows(value)


def _codes(provider: str) -> _Known:
    """Return the error codes that have a class of their own: by the provider's table, or by the common one."""
    own: Mapping[str, Any] = CATALOG[provider].error_codes

    def knows(code: str) -> bool:
        return code.lower() in own or classify_error(None, ErrorDetails(codes=(code,))) is not ServerError

    return _Known(knows)


def _models(provider: str) -> _Known:
    """Return the models that a rule of the catalog matches."""
    return _Known(lambda model: CATALOG[provider].rule(model) is not None)


def _efforts() -> frozenset[str]:
    """Return every effort that some model of the catalog takes, and the one that turns reasoning off."""
    return frozenset({"none"}).union(*(rule.reasoning_efforts for spec in CATALOG.values() for rule in spec.models))


def _bedrock_events() -> _Known:
    """Return the events of a stream, and the exceptions that may end it, which the code compares in lower case."""
    events, exceptions = read_by("bedrock"), constants_of("bedrock", "_STATUSES")
    return _Known(lambda event: event in events or event.lower() in exceptions)


TABLES: Mapping[str, Container[str]] = {
    "efforts": _efforts(),
    "openai-chat.finish-reasons": constants_of("openai_chat", "FINISH_REASONS"),
    "openai-chat.wire": fields_of("openai_chat"),
    "openai-chat.parts": read_by("openai_chat"),
    "openai-chat.requests": sent_by("openai_chat") | frozenset(Role),
    "openai.models": _models("openai"),
    "openai.error-codes": _codes("openai"),
    "responses.events": read_by("openai_responses") | constants_of("openai_responses", "_ENDS"),
    "responses.items": read_by("openai_responses") | sent_by("openai_responses"),
    "responses.finish-reasons": constants_of("openai_responses", "FINISH_REASONS"),
    "responses.requests": sent_by("openai_responses"),
    "responses.wire": fields_of("openai_responses"),
    "anthropic.events": read_by("anthropic"),
    "anthropic.blocks": read_by("anthropic"),
    "anthropic.deltas": read_by("anthropic"),
    "anthropic.finish-reasons": constants_of("anthropic", "FINISH_REASONS"),
    "anthropic.error-codes": _codes("anthropic"),
    "anthropic.requests": sent_by("anthropic"),
    "anthropic.models": _models("anthropic"),
    "anthropic.wire": fields_of("anthropic"),
    "claude.thinking": sent_by("anthropic") | literals_of("catalog.claude") | literals_of("catalog.spec"),
    "gemini.finish-reasons": constants_of("gemini", "FINISH_REASONS"),
    "gemini.parts": fields_of("gemini") | read_by("gemini") | sent_by("gemini"),
    "gemini.wire": fields_of("gemini"),
    "gemini.thinking-levels": sent_by("gemini"),
    "gemini.requests": sent_by("gemini"),
    "cohere.events": read_by("cohere"),
    "cohere.finish-reasons": constants_of("cohere", "FINISH_REASONS"),
    "cohere.parts": read_by("cohere"),
    "cohere.requests": sent_by("cohere"),
    "cohere.wire": fields_of("cohere"),
    "groq.models": _models("groq"),
    "xai.models": _models("xai"),
    "rerank.wire": fields_of("decoding.rankings"),
    "ollama.wire": fields_of("ollama"),
    "ollama.requests": sent_by("ollama"),
    "bedrock.events": _bedrock_events(),
    "bedrock.finish-reasons": constants_of("bedrock", "FINISH_REASONS"),
    "bedrock.blocks": fields_of("bedrock") | read_by("bedrock") | sent_by("bedrock"),
    "bedrock.error-codes": _codes("bedrock"),
    "bedrock.wire": fields_of("bedrock"),
    "bedrock.requests": sent_by("bedrock"),
}
