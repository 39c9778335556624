"""The dialects that the sandbox speaks, one object a provider."""

from __future__ import annotations

from collections.abc import Mapping

from turnout_sandbox.anthropic.dialect import AnthropicServer
from turnout_sandbox.bedrock.dialect import BedrockServer
from turnout_sandbox.cohere.dialect import CohereServer
from turnout_sandbox.dialect import DialectServer
from turnout_sandbox.gemini.dialect import GeminiServer
from turnout_sandbox.ollama.dialect import OllamaServer
from turnout_sandbox.openai.vendors.dashscope import DASHSCOPE
from turnout_sandbox.openai.vendors.gateways import GITHUB, HUGGINGFACE, VERCEL
from turnout_sandbox.openai.vendors.hosts import DEEPINFRA, FIREWORKS, NEBIUS, NVIDIA, SAMBANOVA
from turnout_sandbox.openai.vendors.local import LLAMA_CPP, LM_STUDIO, VLLM
from turnout_sandbox.openai.vendors.minimax import MINIMAX
from turnout_sandbox.openai.vendors.moonshot import MOONSHOT
from turnout_sandbox.openai.vendors.openai import OPENAI_SERVERS
from turnout_sandbox.openai.vendors.perplexity import PERPLEXITY

__all__ = ["HOST_FOLDERS", "PROVIDERS"]

_DIALECTS: tuple[DialectServer, ...] = (
    *OPENAI_SERVERS,
    DASHSCOPE,
    MINIMAX,
    MOONSHOT,
    PERPLEXITY,
    DEEPINFRA,
    FIREWORKS,
    NEBIUS,
    NVIDIA,
    SAMBANOVA,
    GITHUB,
    HUGGINGFACE,
    VERCEL,
    LLAMA_CPP,
    LM_STUDIO,
    VLLM,
    GeminiServer(),
    OllamaServer(),
    AnthropicServer(),
    CohereServer(),
    BedrockServer(),
)
PROVIDERS: Mapping[str, DialectServer] = {dialect.name: dialect for dialect in _DIALECTS}
HOST_FOLDERS: Mapping[str, str] = {"compatible-api": "dashscope"}
"""Folders at the root of the host that belong to a provider, because its clients leave the base URL for them."""
