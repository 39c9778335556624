"""The providers that Turnout knows by name. Data only: a new OpenAI-shaped one is one entry.

Sources: each provider's API reference; where a provider does otherwise than it says, what it was seen to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from turnout.providers.catalog.claude import ANTHROPIC, BEDROCK
from turnout.providers.catalog.native import COHERE, GEMINI, OLLAMA
from turnout.providers.catalog.openai import (
    AZURE,
    CEREBRAS,
    DEEPSEEK,
    GLM4,
    GROQ,
    MISTRAL,
    MODELSCOPE,
    OPENAI,
    OPENAI_COMPATIBLE,
    OPENROUTER,
    SILICONFLOW,
    TOGETHER,
    XAI,
    ZAI,
)
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
            OPENAI_COMPATIBLE,
        )
    }
)
