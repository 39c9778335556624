"""The key by which a provider recognizes a request that it has received before.

It is the same for the retries of one request at one candidate, and another one for every other candidate, request and
call. It is made of what is known already, so that a call needs no further random number.
"""

from __future__ import annotations

import hashlib

import attrs

from turnout.http import Headers, HttpRequest
from turnout.trace import Trace

__all__ = ["with_idempotency_key"]


def with_idempotency_key(request: HttpRequest, header: str, trace: Trace, candidate: str) -> HttpRequest:
    """Return the request with its key.

    Args:
        request: The request. One that has the header already, such as that of the user, is returned as it is.
        header: The name of the header field.
        trace: Of the call: its seed and its time of start tell it from every other call.
        candidate: The name of the candidate.
    """
    if request.method != "POST" or request.headers.get(header) is not None:
        return request
    digest = hashlib.sha256(f"{trace.seed}|{trace.started_at}|{candidate}|{request.url}|".encode())
    digest.update(request.body)
    headers = Headers((*request.headers, (header, f"turnout-{digest.hexdigest()[:32]}")))
    return attrs.evolve(request, headers=headers)
