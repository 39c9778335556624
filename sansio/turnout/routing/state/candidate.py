"""A candidate of one call."""

from __future__ import annotations

import attrs

from turnout.chat import ModelConfig
from turnout.prices import Price
from turnout.providers.protocol import Provider
from turnout.routing.state.candidate_state import CandidateState

__all__ = ["Candidate"]


@attrs.frozen
class Candidate:
    """A model that may answer, and the provider that offers it.

    standing  what all calls share of it
    """

    model: ModelConfig
    provider: Provider
    standing: CandidateState
    price: Price | None = None

    def __str__(self) -> str:
        return str(self.model)
