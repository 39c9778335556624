"""The parts of which the entries of the catalog are made."""

from __future__ import annotations

from collections.abc import Mapping

from turnout.chat import Capability
from turnout.errors import ProviderError

__all__ = ["COUNTS", "EMBEDS", "HEARS", "MINUTES", "PENALTIES", "RANKS", "READS", "SAMPLING", "SEES", "codes"]

EMBEDS = frozenset({Capability.EMBEDDINGS})
SEES = frozenset({Capability.VISION})
HEARS = frozenset({Capability.AUDIO})
COUNTS = frozenset({Capability.COUNT_TOKENS})
RANKS = frozenset({Capability.RERANK})
READS = frozenset({Capability.FILES})

SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs"})
# Seconds that a model which reasons may take before its first token.
MINUTES = 180.0

PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})


def codes(*groups: tuple[type[ProviderError], str]) -> Mapping[str, type[ProviderError]]:
    """A provider's error codes, by the class that each means."""
    return {code: kind for kind, names in groups for code in names.split()}
