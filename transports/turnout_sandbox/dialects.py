"""The dialects that the sandbox speaks, one object a provider."""

from __future__ import annotations

from collections.abc import Mapping

from turnout_sandbox.anthropic.dialect import Anthropic
from turnout_sandbox.bedrock.dialect import Bedrock
from turnout_sandbox.cohere.dialect import Cohere
from turnout_sandbox.dialect import Dialect
from turnout_sandbox.gemini.dialect import Gemini
from turnout_sandbox.ollama.dialect import Ollama
from turnout_sandbox.openai.vendors.gateways import GITHUB, HUGGINGFACE, VERCEL
from turnout_sandbox.openai.vendors.hosts import DEEPINFRA, FIREWORKS, NEBIUS, NVIDIA, SAMBANOVA
from turnout_sandbox.openai.vendors.local import LLAMA_CPP, LM_STUDIO, VLLM
from turnout_sandbox.openai.vendors.makers import DASHSCOPE, MINIMAX, MOONSHOT, PERPLEXITY
from turnout_sandbox.openai.vendors.openai import OPENAI_SHAPED

__all__ = ["PROVIDERS"]

_DIALECTS: tuple[Dialect, ...] = (
    *OPENAI_SHAPED,
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
    Gemini(),
    Ollama(),
    Anthropic(),
    Cohere(),
    Bedrock(),
)
PROVIDERS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _DIALECTS}
