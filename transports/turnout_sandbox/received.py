"""The requests that the sandbox received, for assertions."""

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
    """One request, and the outcome of its response.

    provider    the name in the path; "" where the path names none
    path        the path after the provider's name, without the query: "/v1/chat/completions"
    query       the last value of each query parameter
    headers     field names in lower case; not in the repr, since they hold keys
    raw, body   the bytes of the body, and the JSON in them (None for other bytes)
    at          seconds from the start of the sandbox to the end of the request
    connection  number of the TCP connection: equal for requests that share one
    status      the status of the response; 0 before it, and if none was sent
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
        """The model of the request, from the body or a path of Gemini; "" if there is none."""
        if isinstance(self.body, Mapping) and isinstance(self.body.get("model"), str):
            return str(self.body["model"])
        _, found, rest = self.path.partition("/models/")
        return rest.partition(":")[0] if found else ""

    @property
    def streamed(self) -> bool:
        """True if the request is for a stream."""
        if ":streamGenerateContent" in self.path:
            return True
        return isinstance(self.body, Mapping) and self.body.get("stream") is True
