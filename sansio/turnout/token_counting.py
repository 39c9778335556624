"""The token count of a chat request, which a provider returns without generating a response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from turnout._utils.serialization import Plain
from turnout.responses import RateLimit, or_empty
from turnout.types.models import ModelConfig

if TYPE_CHECKING:
    from turnout.trace import Trace

__all__ = ["TokenCount"]


@attrs.frozen(kw_only=True)
class TokenCount(Plain):
    """The tokens of a prompt: messages, tools, images and schema together, as the provider counts them.

    Attributes:
        prompt_tokens: All tokens of the prompt.
        cached_tokens: Those of them in the provider's cache; None if the provider does not report it.
        model: The candidate that counted, as it was in the request.
    """

    prompt_tokens: int
    model: ModelConfig
    cached_tokens: int | None = None
    request_id: str | None = None
    rate_limit: RateLimit | None = None
    _trace: Trace | None = attrs.field(default=None, repr=False, eq=False, alias="trace")

    @property
    def trace(self) -> Trace:
        """The record of the call; `Trace()` if no router made it."""
        return or_empty(self._trace)
