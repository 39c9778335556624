"""The kinds of errors, the same for all dialects. Each dialect has its own body for each kind."""

from __future__ import annotations

import enum

__all__ = ["ErrorKind", "RequestRejected", "invalid", "kind_of_status"]


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
    """Return the most likely reason for a status, for a fault that has only the status."""
    return _KINDS.get(status, ErrorKind.INVALID if status < 500 else ErrorKind.SERVER)


class RequestRejected(Exception):
    """The request breaks a rule of the provider. The dialect turns it into the provider's error body.

    Attributes:
        kind: The reason.
        message: The message; "" for the provider's usual one.
        status: The HTTP status, if it differs from the kind's usual one.
        code: The error code, if it differs from the kind's usual one.
        param: The field with the error, as OpenAI writes it.
        model: The model of the request.
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


def invalid(
    message: str = "", *, param: str | None = None, code: str | None = None, status: int | None = None
) -> RequestRejected:
    """Return the error of a request with an invalid field."""
    return RequestRejected(ErrorKind.INVALID, message, param=param, code=code, status=status)
