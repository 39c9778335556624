"""The dialects that the sandbox speaks, one object a provider."""

from __future__ import annotations

from collections.abc import Mapping

from turnout_sandbox.anthropic.dialect import Anthropic
from turnout_sandbox.bedrock.dialect import Bedrock
from turnout_sandbox.cohere.dialect import Cohere
from turnout_sandbox.dialect import Dialect
from turnout_sandbox.gemini.dialect import Gemini
from turnout_sandbox.ollama.dialect import Ollama
from turnout_sandbox.openai.vendors import OPENAI_SHAPED

__all__ = ["PROVIDERS"]

_DIALECTS: tuple[Dialect, ...] = (*OPENAI_SHAPED, Gemini(), Ollama(), Anthropic(), Cohere(), Bedrock())
PROVIDERS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _DIALECTS}
