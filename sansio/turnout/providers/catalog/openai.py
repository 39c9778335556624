"""OpenAI's own API, Azure's, and any server that has taken over OpenAI's chat completions."""

from __future__ import annotations

import attrs

from turnout.providers.catalog.hosted_models import KIMI_REPLAY
from turnout.providers.catalog.openai_models import OPENAI_CONTEXT_WINDOWS, OPENAI_MODELS
from turnout.providers.catalog.parts import COUNTS, EMBEDS, HEARS, RANKS, READS, SEES
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec
from turnout.providers.schemas.subsets import OPENAI_SCHEMAS

__all__ = ["AZURE", "OPENAI", "OPENAI_COMPATIBLE"]

OPENAI = ProviderSpec(
    name="openai",
    title="OpenAI",
    dialect="openai-chat",
    base_url="https://api.openai.com/v1",
    key_env=("OPENAI_API_KEY",),
    base_url_env=("OPENAI_ENDPOINT", "OPENAI_BASE_URL", "OPENAI_API_BASE"),
    option_env={
        "organization": ("OPENAI_ORG", "OPENAI_ORG_ID"),
        "project": ("OPENAI_PROJECT", "OPENAI_PROJECT_ID"),
    },
    apis=("chat", "responses"),
    schemas=OPENAI_SCHEMAS,
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | READS | COUNTS,
    embedding_batch=2048,
    embedding_tokens=300_000,
    openai_compat=OpenAICompat(
        max_tokens="max_completion_tokens",
        developer_role=True,
        embeddings_base64=True,
        unsupported=frozenset({"top_k"}),
    ),
    models=OPENAI_MODELS,
    context_windows=OPENAI_CONTEXT_WINDOWS,
    # Source: developers.openai.com/api/docs/guides/rate-limits. For Azure: "Azure OpenAI 429: token and request rate
    # limits explained", learn.microsoft.com.
    counts_max_tokens=True,
    # OpenAI's SDK for Python (3.57, openai/lib/_tool_lifecycle.py) replaces such a key before each further request of
    # a tool loop, because a request with a key that was sent before counts as the same. The SDKs of other providers
    # know none for answers (anthropic 2.14, groq 1.7, cohere 7.3, mistralai 3.7, together 3.1, cerebras 1.91).
    idempotency_header="Idempotency-Key",
)

AZURE = attrs.evolve(
    OPENAI,
    name="azure",
    title="Azure OpenAI",
    base_url="",  # of the user's resource
    key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    base_url_env=("AZURE_OPENAI_ENDPOINT", "AZURE_ENDPOINT", "AZURE_API_BASE"),
    option_env={"api_version": ("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION")},
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS,
    idempotency_header=None,
    # By the name of the deployment, which most people call after its model. Mistral's refuse the newer ceiling.
    models=(ModelRule(pattern=r"(mi|mini|code|pix)stral", max_tokens="max_tokens"), *OPENAI.models),
)

OPENAI_COMPATIBLE = ProviderSpec(
    name="openai-compatible",
    title="Any OpenAI-compatible server",
    dialect="openai-chat",
    base_url="",  # wherever the user runs it
    key_env=("OPENAI_COMPATIBLE_API_KEY",),
    base_url_env=("OPENAI_COMPATIBLE_ENDPOINT",),
    reasoning_replay=KIMI_REPLAY,
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | RANKS,
)
