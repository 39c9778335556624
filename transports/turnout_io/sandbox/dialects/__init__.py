"""The dialects that the sandbox speaks, one object a provider."""

from __future__ import annotations

from collections.abc import Mapping

from turnout_io.sandbox.dialects.anthropic import Anthropic
from turnout_io.sandbox.dialects.base import Dialect
from turnout_io.sandbox.dialects.bedrock import Bedrock
from turnout_io.sandbox.dialects.cohere import Cohere
from turnout_io.sandbox.dialects.gemini import Gemini
from turnout_io.sandbox.dialects.ollama import Ollama
from turnout_io.sandbox.dialects.openai_vendors import OPENAI_SHAPED

__all__ = ["PROVIDERS"]

_DIALECTS: tuple[Dialect, ...] = (*OPENAI_SHAPED, Gemini(), Ollama(), Anthropic(), Cohere(), Bedrock())
PROVIDERS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in _DIALECTS}
