"""What the sandbox was sent, for assertions."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Received", "ResponseOutcome"]


class ResponseOutcome(enum.StrEnum):
    """What became of the answer to one request."""

    PENDING = "pending"  # being answered
    COMPLETE = "complete"  # sent to its end
    CUT = "cut"  # a fault of the script ended it
    LEFT = "left"  # the client went away before the end


@attrs.define(eq=False)
class Received:
    """One request as it came, and what became of it.

    provider    the name in the path; "" where the path names none
    path        what follows the provider's name, without the query: "/v1/chat/completions"
    query       the last value of each query parameter
    headers     field names in lower case; not in the repr, since they hold keys
    raw, body   the bytes of the body, and the JSON in them (None where they hold none)
    at          seconds from the start of the sandbox to the end of the request
    connection  number of the TCP connection: equal for requests that share one
    status      what was answered; 0 until then, and where no head was sent
    outcome, ended   what became of the answer, and when; seconds, None while it is pending
    """

    provider: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    raw: bytes = attrs.field(repr=False)
    body: Any = attrs.field(repr=False)
    at: float
    connection: int
    status: int = 0
    outcome: ResponseOutcome = ResponseOutcome.PENDING
    ended: float | None = None

    @property
    def model(self) -> str:
        """The model request for, in the body or in a Gemini path; "" where there is none."""
        if isinstance(self.body, Mapping) and isinstance(self.body.get("model"), str):
            return str(self.body["model"])
        _, found, rest = self.path.partition("/models/")
        return rest.partition(":")[0] if found else ""

    @property
    def streamed(self) -> bool:
        """True where a stream was request for."""
        if ":streamGenerateContent" in self.path:
            return True
        return isinstance(self.body, Mapping) and self.body.get("stream") is True
