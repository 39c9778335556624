"""The key by which a provider recognizes a request that it has received before.

It is the same for the retries of one request at one candidate, and another one for every other candidate, request and
call. After a whole answer it is another one too: a call that sends the same request again wants another answer. It is
made of what is known already, so that a call needs no further random number.
"""

from __future__ import annotations

import hashlib
import zlib

from turnout.http import HttpRequest
from turnout.trace import Trace

__all__ = ["with_idempotency_key"]

_END = 4096  # bytes of each end of a large body


def with_idempotency_key(request: HttpRequest, header: str, trace: Trace, candidate: str, answers: int) -> HttpRequest:
    """Return the request with its key.

    Args:
        request: The request. One that has the header already, such as that of the user, is returned as it is.
        header: The name of the header field.
        trace: Of the call: its seed and its time of start tell it from every other call.
        candidate: The name of the candidate.
        answers: How many whole answers the call has received.
    """
    if request.method != "POST" or request.headers.get(header) is not None:
        return request
    # The seed tells calls apart, and the answers tell the parts of one call apart. Between two answers, only the few
    # sizes of a batch differ, for which the size and a checksum of both ends are enough.
    content = request.body
    ends = content if len(content) <= 2 * _END else content[:_END] + content[-_END:]
    body = f"{len(content)}|{zlib.crc32(ends)}"
    digest = hashlib.sha256(f"{trace.seed}|{trace.started_at}|{candidate}|{answers}|{request.url}|{body}".encode())
    return request.with_field(header, f"turnout-{digest.hexdigest()[:32]}")
