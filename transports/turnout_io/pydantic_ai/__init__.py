"""A model of Pydantic AI that answers through a router: `Agent(TurnoutModel(router, "openai/gpt-4o-mini"))`.

The extra is `turnout[pydantic-ai]`.
"""

from __future__ import annotations

from turnout_io.pydantic_ai.model import TurnoutModel

__all__ = ["TurnoutModel"]
