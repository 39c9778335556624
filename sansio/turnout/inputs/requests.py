"""Makes the request of a call from the arguments of a router's method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs

from turnout._utils.validation import labels
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.inputs.keywords import ARGUMENT_OF, CALL, MODEL, REQUEST, unknown_keyword
from turnout.reranking import RerankRequest

__all__ = ["chat_request", "embedding_request", "rerank_request"]

RequestT = TypeVar("RequestT", ChatRequest, EmbeddingRequest, RerankRequest)

_CHAT = "{0}(\"openai/gpt-4o-mini\", 'Why do points freeze?')"
_EMBED = '{0}("openai/text-embedding-3-small", ["a text", "another"])'
_RERANK = '{0}("cohere/rerank-v4.0-pro", "a question", ["a text", "another"])'


def chat_request(method: str, given: tuple[Any, ...], settings: dict[str, Any]) -> ChatRequest:
    """Return the request of `router.chat(*given, **settings)`.

    Args:
        method: The name of the method, for errors.
        given: A request, or a model and messages. A dict has the fields of a request.
        settings: The fields of the request, and the settings of its models.

    Raises:
        TypeError: If a keyword is not known, or something is missing.
        ValueError: If a value does not fit.
    """
    request, fields = _read(f"router.{method}()", ChatRequest, ("model", "messages"), given, settings)
    own = tuple(name for name, owner in ARGUMENT_OF.items() if owner == method)
    _check_keywords(f"router.{method}()", fields, (*MODEL, *REQUEST), (*CALL, *own))
    if request is not None:
        return _with_settings(request, fields)
    _check_complete(f"router.{method}", _CHAT, ("model", "messages"), fields)
    return ChatRequest(**fields)


def embedding_request(given: tuple[Any, ...], settings: dict[str, Any]) -> EmbeddingRequest:
    """Return the request of `router.embed(*given, **settings)`.

    Raises:
        TypeError: If a keyword is not known, or something is missing.
        ValueError: If a value does not fit.
    """
    return _plain_request("embed", EmbeddingRequest, ("model", "input"), given, settings, _EMBED)


def rerank_request(given: tuple[Any, ...], settings: dict[str, Any]) -> RerankRequest:
    """Return the request of `router.rerank(*given, **settings)`.

    Raises:
        TypeError: If a keyword is not known, or something is missing.
        ValueError: If a value does not fit.
    """
    names = ("model", "query", "documents")
    return _plain_request("rerank", RerankRequest, names, given, settings, _RERANK)


def _plain_request(
    method: str,
    kind: type[RequestT],
    names: tuple[str, ...],
    given: tuple[Any, ...],
    settings: dict[str, Any],
    form: str,
) -> RequestT:
    request, fields = _read(f"router.{method}()", kind, names, given, settings)
    known: list[str] = [field.name for field in attrs.fields(kind) if field.name not in names]
    _check_keywords(f"router.{method}()", fields, (*known, "extra"), CALL, names)
    extra = fields.pop("extra", None)
    if request is None:
        _check_complete(f"router.{method}", form, names, fields)
        request = kind(**fields)
    else:
        request = _with_settings(request, fields)
    return _with_extra(request, extra) if extra else request


def _read(
    where: str, kind: type[RequestT], names: tuple[str, ...], given: tuple[Any, ...], settings: dict[str, Any]
) -> tuple[RequestT | None, dict[str, Any]]:
    """Return the request, None if there is none yet, and the fields that were given beside it."""
    settings = dict(settings)
    if "request" in settings and not given:
        given = (settings.pop("request"),)
    first = given[0] if given else None
    if len(given) == 1 and isinstance(first, Mapping):
        return None, {**first, **settings}
    if isinstance(first, kind):
        if len(given) > 1 or any(name in settings for name in names):
            raise TypeError(f"{where} takes either a {kind.__name__}, or {_list(names)}")
        return first, settings
    if "model" in settings and len(given) < len(names):
        names = names[1:]  # router.chat("hi", model="openai/gpt-4o-mini")
    if len(given) > len(names):
        raise TypeError(f"{where} takes {_list(names)} by position, and everything else by keyword")
    for name, value in zip(names, given, strict=False):
        if name in settings:
            raise TypeError(f"{where} got {name!r} twice")
        settings[name] = value
    return None, settings


def _check_keywords(
    where: str,
    fields: Mapping[str, Any],
    known: Iterable[str],
    call: tuple[str, ...],
    names: tuple[str, ...] = ("model", "messages"),
) -> None:
    unknown = sorted(fields.keys() - set(known) - set(names))
    if unknown:
        raise unknown_keyword(where, unknown[0], (*known, *call, *names))


def _check_complete(method: str, form: str, names: tuple[str, ...], fields: Mapping[str, Any]) -> None:
    missing = [name for name in names if fields.get(name) is None]
    if missing:
        raise TypeError(
            f"{method}() needs {_list(names)}, and {_list(missing)} is missing: write {form.format(method)}"
        )


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _with_settings(request: RequestT, settings: Mapping[str, Any]) -> RequestT:
    """Return the request with other fields, and with settings for its model and every fallback."""
    if not settings:
        return request
    changed = dict(settings)
    if "metadata" in changed:
        changed["metadata"] = {**request.metadata, **labels(changed["metadata"])}
    return attrs.evolve(request, **changed)


def _with_extra(request: RequestT, extra: Mapping[str, Any]) -> RequestT:
    over = ModelConfig("any", "any", extra=extra)
    fallbacks = [over.over(other) for other in request.fallbacks]
    return attrs.evolve(request, model=over.over(request.model), fallbacks=fallbacks)
