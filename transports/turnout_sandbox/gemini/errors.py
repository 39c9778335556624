"""The error bodies of the Gemini API: google.rpc.Status as JSON, with its details."""

from __future__ import annotations

from typing import Any

from turnout_sandbox.errors import ErrorKind, RequestRejected

__all__ = ["gemini_error"]

_DOMAIN = "googleapis.com"
_SERVICE = "generativelanguage.googleapis.com"

_KINDS = {
    ErrorKind.INVALID: (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    ErrorKind.AUTH: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    ErrorKind.PERMISSION: (403, "PERMISSION_DENIED", "The caller does not have permission."),
    ErrorKind.NO_SUCH_MODEL: (404, "NOT_FOUND", ""),
    ErrorKind.NO_SUCH_PATH: (404, "NOT_FOUND", "Requested entity was not found."),
    ErrorKind.CONTEXT_LENGTH: (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
    ),
    ErrorKind.CONTENT_FILTER: (400, "INVALID_ARGUMENT", "The prompt was blocked by a policy."),
    ErrorKind.RATE_LIMIT: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 2.5s."),
    ErrorKind.QUOTA: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 34.4s."),
    ErrorKind.OVERLOADED: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    ErrorKind.SERVER: (500, "INTERNAL", "An internal error has occurred."),
    ErrorKind.TIMEOUT: (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}


def gemini_error(refused: RequestRejected, method: str = "generateContent") -> tuple[int, dict[str, Any]]:
    """Return status and body. A wrong key is a 400 here; only `quotaId` distinguishes the limits of minute and day."""
    status, name, text = _KINDS[refused.kind]
    status = refused.status or status
    if refused.kind is ErrorKind.NO_SUCH_MODEL:
        text = (
            f"models/{refused.model or 'this-model'} is not found for API version v1beta, or is not supported for "
            f"{method}. Call ListModels to see the list of available models and their supported methods."
        )
    error: dict[str, Any] = {"code": status, "message": refused.message or text, "status": name}
    if details := _details(refused):
        error["details"] = details
    return status, {"error": error}


def _details(refused: RequestRejected) -> list[dict[str, Any]]:
    match refused.kind:
        case ErrorKind.AUTH:
            info = {"reason": "API_KEY_INVALID", "domain": _DOMAIN, "metadata": {"service": _SERVICE}}
            return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
        case ErrorKind.RATE_LIMIT:
            return _quota(refused.model, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "15", "2.5s")
        case ErrorKind.QUOTA:  # RetryInfo is sent here too, although waiting does not help
            return _quota(refused.model, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "1500", "34.4s")
        case _:
            return []


def _quota(model: str, quota: str, value: str, wait: str) -> list[dict[str, Any]]:
    violation = {
        "quotaMetric": f"{_SERVICE}/generate_content_free_tier_requests",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": model or "this-model"},
        "quotaValue": value,
    }
    return [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait},
    ]
