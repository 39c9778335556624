"""Azure OpenAI as the sandbox plays it: two kinds of URLs, another header for keys, and results of filters."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from turnout_sandbox.dialect import Context, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.errors import ErrorResponse, openai_errors
from turnout_sandbox.openai.format import OpenAIFormat
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Fields, Response

__all__ = ["AzureFormat", "AzureServer", "azure_errors", "azure_headers"]

_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_CLASSIC = re.compile(r"/openai(?:/deployments/(?P<deployment>[^/]+))?(?P<path>/.+)\Z")
_DATED = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")


def azure_errors(refused: RequestRejected, rng: random.Random) -> ErrorResponse:
    error_response = openai_errors(refused, rng)
    error = dict(error_response.body["error"])
    match refused.kind:
        case ErrorKind.AUTH:
            text = "Access denied due to invalid subscription key or wrong API endpoint."
            error = {"code": "401", "message": text}
        case ErrorKind.NO_SUCH_MODEL:
            text = "The API deployment for this resource does not exist."
            error = {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": text}
        case ErrorKind.NO_SUCH_PATH:
            error = {"code": "404", "message": "Resource not found"}
        case ErrorKind.RATE_LIMIT:
            error = {"code": "429", "message": "Your requests have exceeded the call rate limit of this tier."}
        case ErrorKind.CONTENT_FILTER:
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _SAFE}
            error = {**error, "code": "content_filter", "param": "prompt", "status": 400, "innererror": inner}
        case _:
            pass
    return ErrorResponse(error_response.status, {"error": error}, error_response.headers)


@attrs.define
class AzureFormat(OpenAIFormat):
    """The result of the filter for the prompt is in an extra first chunk, for the answer in every choice."""

    def opening(self) -> list[bytes]:
        filters = [{"prompt_index": 0, "content_filter_results": _SAFE}]
        blank = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return [self.event({**blank, "prompt_filter_results": filters}), *OpenAIFormat.opening(self)]

    def choice(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"content_filter_results": {}, **OpenAIFormat.choice(self, delta, finish)}

    def closing(self) -> list[bytes]:
        # The result of the filter for the text can be late, in a choice without a delta.
        late = {"index": self.index, "finish_reason": None, "content_filter_results": _SAFE}
        side = {"id": "", "object": "", "created": 0, "model": "", "choices": [late]}
        return [*OpenAIFormat.closing(self), self.event(side)]


def azure_headers(context: Context) -> Fields:
    return (
        ("apim-request-id", token_of(context.rng, 32, "0123456789abcdef")),
        ("x-ms-region", "Loopback"),
        ("x-ratelimit-limit-requests", "-1"),
        ("x-ratelimit-remaining-requests", str(100 - context.number % 100)),
        ("x-ratelimit-limit-tokens", "100000"),
        ("x-ratelimit-remaining-tokens", "99000"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-reset-tokens", "6"),
    )


@attrs.frozen(kw_only=True)
class AzureServer(OpenAIChatServer):
    """`/openai/v1` names the deployment in the body, `/openai/deployments/…` in the path, with an `api-version`."""

    def respond(self, received: Received, context: Context) -> Response:
        classic = _CLASSIC.match(received.path)
        if received.path.startswith("/openai/v1/") or classic is None:
            return super().respond(received, context)
        if not _DATED.fullmatch(received.query.get("api-version", "")):
            raise RequestRejected(ErrorKind.NO_SUCH_PATH)
        body, path = received.body, classic["path"]
        if classic["deployment"] and isinstance(body, Mapping):
            body = {**body, "model": unquote(classic["deployment"])}
        elif path in ("/chat/completions", "/embeddings"):
            raise RequestRejected(ErrorKind.NO_SUCH_PATH)
        return super().respond(attrs.evolve(received, path=self.base + path, body=body), context)

    def _authenticate(self, received: Received, context: Context) -> None:
        bearer = received.headers.get("authorization", "").removeprefix("Bearer ")
        key = received.headers.get("api-key", "") or bearer
        if not key or (context.key is not None and key != context.key):
            raise RequestRejected(ErrorKind.AUTH)
