"""What a provider refuses, named without regard to any dialect. Each dialect knows its own body for each kind."""

from __future__ import annotations

import enum

__all__ = ["ErrorKind", "Refused", "kind_of_status"]


class ErrorKind(enum.StrEnum):
    """The reason of an error, whatever status and code a provider gives it."""

    INVALID = "invalid"
    AUTH = "auth"
    PERMISSION = "permission"
    NO_SUCH_MODEL = "no-such-model"
    NO_SUCH_PATH = "no-such-path"
    CONTEXT_LENGTH = "context-length"
    CONTENT_FILTER = "content-filter"
    RATE_LIMIT = "rate-limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"


_KINDS = {
    401: ErrorKind.AUTH,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NO_SUCH_MODEL,
    408: ErrorKind.TIMEOUT,
    429: ErrorKind.RATE_LIMIT,
    498: ErrorKind.OVERLOADED,  # Groq: no capacity on the flex tier
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,  # Anthropic
}


def kind_of_status(status: int) -> ErrorKind:
    """What a bare status most likely means, for a fault that names only the status."""
    return _KINDS.get(status, ErrorKind.INVALID if status < 500 else ErrorKind.SERVER)


class Refused(Exception):
    """The request breaks the provider's rules. Raised while a dialect reads it, turned into that dialect's body.

    `param` is the offending field as OpenAI spells it; `code` overrides the code that the kind would give.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        model: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.model = model
