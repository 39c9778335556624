"""Servers that users run themselves, with chat completions, and without a key unless one was set.

Sources: the documentation of LM Studio (lmstudio.ai/docs), vLLM (docs.vllm.ai) and llama.cpp (tools/server).
"""

from __future__ import annotations

from turnout.providers.catalog.hosted_models import KIMI_REPLAY
from turnout.providers.catalog.parts import EMBEDS, HEARS, MINUTES, RANKS, SEES
from turnout.providers.catalog.spec import ALL_CHAT, ModelRule, OpenAICompat, ProviderSpec

__all__ = ["LLAMA_CPP", "LM_STUDIO", "VLLM"]

# A local model may be loaded before its first token, and a long prompt takes its time without a large GPU.
_SLOW_START = (ModelRule(pattern=r"", first_token=MINUTES),)

LM_STUDIO = ProviderSpec(
    name="lm-studio",
    title="LM Studio",
    dialect="openai-chat",
    base_url="http://localhost:1234/v1",
    key_env=("LM_STUDIO_API_KEY", "LM_API_TOKEN"),
    base_url_env=("LM_STUDIO_ENDPOINT", "LM_STUDIO_BASE_URL", "LM_STUDIO_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES,
    # It refuses `json_object`, and a tool choice of one tool.
    openai_compat=OpenAICompat(
        json_object=False,
        tool_choices=frozenset({"auto", "none", "required"}),
        max_stop_sequences=None,
    ),
    models=_SLOW_START,
)

VLLM = ProviderSpec(
    name="vllm",
    title="vLLM",
    dialect="openai-chat",
    base_url="http://localhost:8000/v1",
    key_env=("VLLM_API_KEY",),
    base_url_env=("VLLM_ENDPOINT", "VLLM_BASE_URL", "VLLM_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | RANKS,
    openai_compat=OpenAICompat(max_stop_sequences=None, embeddings_base64=True),
    models=_SLOW_START,
)

LLAMA_CPP = ProviderSpec(
    name="llama-cpp",
    title="llama.cpp",
    dialect="openai-chat",
    base_url="http://127.0.0.1:8080/v1",
    key_env=("LLAMA_API_KEY",),
    base_url_env=("LLAMA_CPP_ENDPOINT", "LLAMA_CPP_BASE_URL", "LLAMA_CPP_API_BASE"),
    reasoning_replay=KIMI_REPLAY,
    needs_key=False,
    apis=("chat", "responses"),
    capabilities=ALL_CHAT | EMBEDS | SEES | HEARS | RANKS,
    openai_compat=OpenAICompat(
        max_stop_sequences=None,
        embeddings_base64=True,
        tool_choices=frozenset({"auto", "none", "required"}),
    ),
    models=_SLOW_START,
)
