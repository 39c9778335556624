"""Which SDK runs against which provider of the sandbox, and with which models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox import Sandbox
from turnout_sandbox.dialects import PROVIDERS
from turnout_sandbox.openai.chat import OpenAIChatServer

__all__ = ["OPERATIONS", "WITHOUT_HTTP", "Site", "all_sites"]

OPERATIONS = (
    "chat",
    "stream",
    "tools",
    "structured output",
    "several choices",
    "generate",
    "embeddings",
    "models",
    "responses",
    "responses stream",
    "count tokens",
    "rerank",
)
"""The columns of the matrix."""

WITHOUT_HTTP = ("xai-sdk",)
"""SDKs that speak another protocol (xai-sdk: gRPC), so that the sandbox has nothing for them."""

_TEXTS: Mapping[str, Any] = {
    "prompt": "Why do points freeze in winter?",
    "tool_prompt": "What is the weather in Oslo?",
    "tool": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["city", "degrees"],
        "additionalProperties": False,
    },
    "query": "frozen points",
    "documents": ["a train to the coast", "points that are frozen in winter", "tickets"],
}

_NATIVE = (
    ("openai", "openai", "openai_compatible"),
    ("anthropic", "anthropic", "anthropic_messages"),
    ("google-genai", "gemini", "google_genai"),
    ("mistralai", "mistral", "mistral"),
    ("cohere", "cohere", "cohere_v2"),
    ("groq", "groq", "openai_compatible"),
    ("cerebras-cloud-sdk", "cerebras", "openai_compatible"),
    ("together", "together", "openai_compatible"),
    ("ollama", "ollama", "ollama_native"),
    ("zai-sdk", "zai", "openai_compatible"),
    ("botocore", "bedrock", "bedrock_runtime"),
)


# Operations that a provider lacks, or has in a form that the client of OpenAI cannot read (a bare list of models).
_WITHOUT: Mapping[str, Mapping[str, bool]] = {
    "perplexity": {"tools": False, "models": False},
    "together": {"models": False},
}
# What the requests to a provider must hold besides OpenAI's fields.
_EXTRA_CHAT: Mapping[str, Any] = {
    "modelscope": {"enable_thinking": False},
    "minimax": {"reasoning_split": True},
}
_EXTRA_EMBEDDINGS: Mapping[str, Any] = {"nvidia": {"input_type": "query"}}


@attrs.frozen
class Site:
    """One row of the matrix.

    Attributes:
        sdk: The name of the package.
        provider: The provider of the sandbox.
        probes: The module of `benchmarks.sdks.probes` with the operations.
    """

    sdk: str
    provider: str
    probes: str

    def described(self, sandbox: Sandbox) -> dict[str, Any]:
        """Return what the probes need: the URL, the key, the models, the environment and the texts."""
        server = PROVIDERS[self.provider]
        return {
            **_TEXTS,
            "sdk": self.sdk,
            "url": sandbox.url(self.provider),
            "key": sandbox.key(self.provider),
            "environ": sandbox.sdk_environ(),
            "from_environment": (self.sdk, self.provider, self.probes) in _NATIVE,
            "model": next((model for model in server.models if not _is_special(model)), "some-model"),
            "embedding_model": next((model for model in server.models if _embeds(model)), "text-embedding-3-small"),
            "rerank_model": next((model for model in server.models if "rerank" in model.lower()), "rerank-v4.0-pro"),
            "operations": _operations(server),
            "extra_chat": _EXTRA_CHAT.get(self.provider),
            "extra_embeddings": _EXTRA_EMBEDDINGS.get(self.provider),
        }


def all_sites() -> list[Site]:
    """Return every SDK at its own provider, then the openai SDK at every other compatible provider."""
    native = [Site(*each) for each in _NATIVE]
    own = {site.provider for site in native if site.sdk == "openai"}
    others = [name for name, server in PROVIDERS.items() if isinstance(server, OpenAIChatServer) and name not in own]
    return [*native, *(Site("openai", name, "openai_compatible") for name in others)]


def _operations(server: object) -> list[str]:
    """Return what an OpenAI-compatible provider offers; the probes of other SDKs know it themselves."""
    if not isinstance(server, OpenAIChatServer):
        return []
    found = {
        "tools": True,
        "models": bool(server.models),
        "embeddings": server.embeddings is not None,
        "responses": server.responses,
        "count tokens": server.counts_tokens,
        "several choices": server.rules.max_choices > 2,
        "schema": "json_schema" in server.rules.formats,
        "base64": server.embeddings is not None and server.embeddings.base64,
        "rerank": server.reranking is not None,
        **_WITHOUT.get(server.name, {}),
    }
    return [name for name, offered in found.items() if offered]


def _embeds(model: str) -> bool:
    return any(mark in model.lower() for mark in ("embed", "bge", "e5-", "gte"))


def _is_special(model: str) -> bool:
    return _embeds(model) or "rerank" in model.lower()
