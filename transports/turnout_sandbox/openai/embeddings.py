"""The embeddings endpoint of the OpenAI-shaped providers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.prose import words_in
from turnout_sandbox.vectors import as_base64, as_floats, vector_of

__all__ = ["EmbeddingRules", "embed", "native_dimensions"]

_NATIVE = (
    (r"text-embedding-3-large", 3072),
    (r"text-embedding-(3-small|ada-002)", 1536),
    (r"gemini-embedding", 3072),
    (r"embed-v4", 1536),
    (r"text-embedding-004|embedding-001", 768),
    (r"qwen3-embedding[-:]?8b", 4096),
    (r"qwen3-embedding[-:]?4b", 2560),
    (r"^embedding-3", 2048),
    (r"nomic-embed", 768),
    (r"all-minilm", 384),
)


def native_dimensions(model: str) -> int:
    """Return the length of the model's vectors; 1024 for an unknown model, as for most models."""
    low = model.lower().rpartition("/")[2]
    return next((size for pattern, size in _NATIVE if re.search(pattern, low)), 1024)


@attrs.frozen(kw_only=True)
class EmbeddingRules:
    """batch: maximum inputs per request; tokens: maximum tokens per input; base64: whether it is supported."""

    size_field: str = "dimensions"  # the name of the field
    batch: int = 2048
    tokens: int = 8192
    total_tokens: int = 300_000  # of all inputs together
    base64: bool = True
    sizes: frozenset[int] | None = None  # the only values of `dimensions`; None: up to the model's own
    resizable: str = ""  # pattern of models that take `dimensions`
    counts_completion: bool = False  # usage has completion_tokens, which is 0
    priced: bool = False  # the response has the cost and the provider (OpenRouter)


def embed(body: Mapping[str, Any], rules: EmbeddingRules) -> dict[str, Any]:
    """The answer to an embeddings request that names a model. Raises RequestRejected."""
    model = str(body["model"])
    texts = _inputs(body.get("input"), rules)
    native = native_dimensions(model)
    dimensions = _dimensions(body, rules, model, native)
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64") or (encoding == "base64" and not rules.base64):
        raise invalid(
            f"Invalid value: '{encoding}'. Supported values are: 'float' and 'base64'.",
            param="encoding_format",
            code="invalid_value",
        )
    vectors = [vector_of(model, text, dimensions, native) for text in texts]
    shown = as_base64 if encoding == "base64" else as_floats
    tokens = sum(words_in(text) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": shown(vector)} for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {**usage, **_extras(rules, tokens)},
        **({"provider": "Sandbox", "id": f"gen-emb-{model.rpartition('/')[2]}-{tokens}"} if rules.priced else {}),
    }


def _extras(rules: EmbeddingRules, tokens: int) -> dict[str, Any]:
    if rules.priced:
        cost = round(2e-8 * tokens, 12)
        names = ("upstream_inference_cost", "upstream_inference_prompt_cost", "upstream_inference_completions_cost")
        return {"cost": cost, "is_byok": False, "cost_details": dict(zip(names, (cost, cost, 0), strict=True))}
    return {"completion_tokens": 0} if rules.counts_completion else {}


def _inputs(value: object, rules: EmbeddingRules) -> list[str]:
    if value is None:
        raise invalid("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    items = [value] if isinstance(value, str) else value
    if isinstance(items, list) and items and all(isinstance(item, int) for item in items):
        items = [items]
    if not isinstance(items, list) or not items or not all(isinstance(item, str | list) for item in items):
        raise invalid("'$.input' is invalid: a text or an array of texts is expected.", param="input")
    if len(items) > rules.batch:
        raise invalid(
            f"Invalid 'input': array too long. Expected an array with maximum length {rules.batch}, but got an array "
            f"with length {len(items)} instead.",
            param="input",
            code="array_above_max_length",
        )
    texts = [item if isinstance(item, str) else " ".join(map(str, item)) for item in items]
    if "" in texts:
        raise invalid("'$.input' is invalid: an input is an empty text.", param="input")
    if sum(map(words_in, texts)) > rules.total_tokens:
        raise invalid(
            f"Invalid 'input': maximum request size is {rules.total_tokens} tokens per request.",
            param="input",
            code="max_tokens_per_request",
        )
    if any(words_in(text) > rules.tokens for text in texts):
        raise RequestRejected(
            ErrorKind.CONTEXT_LENGTH,
            f"This model's maximum context length is {rules.tokens} tokens; an input is longer.",
            param="input",
        )
    return texts


def _dimensions(body: Mapping[str, Any], rules: EmbeddingRules, model: str, native: int) -> int:
    name = rules.size_field
    wanted = body.get(name)
    if wanted is None:
        return native
    allowed = rules.sizes is None or wanted in rules.sizes
    resizable = not rules.resizable or re.search(rules.resizable, model)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 < wanted <= native or not allowed:
        raise invalid(f"Invalid value for '{name}': this model gives up to {native}.", param=name)
    if not resizable:
        raise invalid("This model does not support specifying dimensions.", param=name)
    return wanted
