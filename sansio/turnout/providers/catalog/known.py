"""The providers that Turnout knows by name. Data only: a new OpenAI-shaped one is one entry.

Sources: each provider's API reference; if a provider differs from its reference, the behaviour that was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from turnout.providers.catalog.claude import ANTHROPIC, BEDROCK
from turnout.providers.catalog.hosts import (
    CEREBRAS,
    DEEPINFRA,
    FIREWORKS,
    GITHUB,
    GROQ,
    HUGGINGFACE,
    MODELSCOPE,
    NEBIUS,
    NVIDIA,
    OPENROUTER,
    SAMBANOVA,
    SILICONFLOW,
    TOGETHER,
    VERCEL,
)
from turnout.providers.catalog.local import LLAMA_CPP, LM_STUDIO, VLLM
from turnout.providers.catalog.makers import (
    DASHSCOPE,
    DEEPSEEK,
    GLM4,
    MINIMAX,
    MISTRAL,
    MOONSHOT,
    PERPLEXITY,
    XAI,
    ZAI,
)
from turnout.providers.catalog.native import COHERE, GEMINI, OLLAMA
from turnout.providers.catalog.openai import AZURE, OPENAI, OPENAI_COMPATIBLE
from turnout.providers.catalog.spec import ProviderSpec

__all__ = ["CATALOG"]

CATALOG: Mapping[str, ProviderSpec] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            OPENAI,
            GEMINI,
            GLM4,
            OPENROUTER,
            SILICONFLOW,
            CEREBRAS,
            MODELSCOPE,
            GROQ,
            OLLAMA,
            ANTHROPIC,
            MISTRAL,
            DEEPSEEK,
            AZURE,
            XAI,
            TOGETHER,
            COHERE,
            BEDROCK,
            ZAI,
            MOONSHOT,
            DASHSCOPE,
            MINIMAX,
            PERPLEXITY,
            FIREWORKS,
            DEEPINFRA,
            NEBIUS,
            SAMBANOVA,
            HUGGINGFACE,
            NVIDIA,
            VERCEL,
            GITHUB,
            LM_STUDIO,
            VLLM,
            LLAMA_CPP,
            OPENAI_COMPATIBLE,
        )
    }
)
