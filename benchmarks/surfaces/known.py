"""Turnout's own tables, as the code has them, by the names that surfaces.toml uses.

A table is read from the code, never written down a second time: the constants that a dialect looks values up in, the
fields of its wire types, the rules of the catalog, and where a dialect has no table the literals of its module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from types import ModuleType
from typing import Any

import attrs
import msgspec

from turnout.errors import ServerError
from turnout.messages import Role
from turnout.providers import CATALOG
from turnout.providers.decoding.error_bodies import ErrorDetails
from turnout.providers.decoding.error_mapping import classify_error

__all__ = ["TABLES", "fields_of", "literals_of"]

_PROVIDERS = "turnout.providers"


@attrs.frozen
class _Known(Container[str]):
    """A table that decides by a function, because the code decides by rules."""

    _knows: Callable[[str], bool]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and self._knows(value)


def literals_of(*modules: str) -> frozenset[str]:
    """Return the texts that the code of modules compares with or looks up; docstrings and messages do not count."""
    return frozenset(text for name in modules for text in _literals(importlib.import_module(f"{_PROVIDERS}.{name}")))


def _literals(module: ModuleType) -> Iterable[str]:
    tree = ast.parse(inspect.getsource(module))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def fields_of(*modules: str) -> frozenset[str]:
    """Return the names on the wire of all fields that the types of modules read."""
    found: set[str] = set()
    for name in modules:
        for value in vars(importlib.import_module(f"{_PROVIDERS}.{name}")).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__struct_fields__:
                found.update(field.encode_name for field in msgspec.structs.fields(value))
    return frozenset(found)


def _constant(module: str, *names: str) -> frozenset[str]:
    source = importlib.import_module(f"{_PROVIDERS}.{module}")
    return frozenset(value for name in names for value in getattr(source, name))


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
    events, exceptions = literals_of("bedrock.stream"), _constant("bedrock.stream", "_STATUSES")
    return _Known(lambda event: event in events or event.lower() in exceptions)


TABLES: Mapping[str, Container[str]] = {
    "efforts": _efforts(),
    "openai-chat.finish-reasons": _constant("openai_chat.dialect", "FINISH_REASONS"),
    "openai-chat.wire": fields_of("openai_chat.wire"),
    "openai-chat.parts": literals_of("openai_chat.dialect"),
    "openai-chat.requests": literals_of("openai_chat.request", "catalog.spec") | frozenset(Role),
    "openai.models": _models("openai"),
    "openai.error-codes": _codes("openai"),
    "responses.events": literals_of("openai_responses.stream") | _constant("openai_responses.stream", "_ENDS"),
    "responses.items": literals_of("openai_responses.stream", "openai_responses.items", "openai_responses.wire"),
    "responses.finish-reasons": _constant("openai_responses.dialect", "FINISH_REASONS"),
    "responses.requests": literals_of("openai_responses.items"),
    "responses.wire": fields_of("openai_responses.wire"),
    "anthropic.events": literals_of("anthropic.stream"),
    "anthropic.blocks": literals_of("anthropic.stream"),
    "anthropic.deltas": literals_of("anthropic.stream"),
    "anthropic.finish-reasons": _constant("anthropic.dialect", "FINISH_REASONS"),
    "anthropic.error-codes": _codes("anthropic"),
    "anthropic.requests": literals_of("anthropic.turns"),
    "anthropic.models": _models("anthropic"),
    "anthropic.wire": fields_of("anthropic.wire"),
    "claude.thinking": literals_of("anthropic.reasoning", "catalog.claude", "catalog.spec"),
    "gemini.finish-reasons": _constant("gemini.dialect", "FINISH_REASONS"),
    "gemini.parts": fields_of("gemini.wire") | literals_of("gemini.request", "gemini.dialect"),
    "gemini.wire": fields_of("gemini.wire"),
    "gemini.thinking-levels": literals_of("gemini.request"),
    "gemini.requests": literals_of("gemini.request"),
    "cohere.events": literals_of("cohere.dialect"),
    "cohere.finish-reasons": _constant("cohere.dialect", "FINISH_REASONS"),
    "cohere.parts": literals_of("cohere.dialect"),
    "cohere.requests": literals_of("cohere.request"),
    "cohere.wire": fields_of("cohere.wire"),
    "groq.models": _models("groq"),
    "xai.models": _models("xai"),
    "rerank.wire": fields_of("decoding.rankings"),
    "ollama.wire": fields_of("ollama.dialect"),
    "ollama.requests": literals_of("ollama.dialect"),
    "bedrock.events": _bedrock_events(),
    "bedrock.finish-reasons": _constant("bedrock.dialect", "FINISH_REASONS"),
    "bedrock.blocks": fields_of("bedrock.wire") | literals_of("bedrock.stream", "bedrock.turns"),
    "bedrock.error-codes": _codes("bedrock"),
    "bedrock.wire": fields_of("bedrock.wire"),
    "bedrock.requests": literals_of("bedrock.turns", "bedrock.request"),
}
