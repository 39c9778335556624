"""What a dialect answers to one request under one fault: its answer, its refusal, or the script's own body."""

from __future__ import annotations

import attrs

from turnout_sandbox.dialect import Context, Dialect
from turnout_sandbox.errors import ErrorKind, Refused, kind_of_status
from turnout_sandbox.faults import Cut
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response, Unary

__all__ = ["respond"]


def respond(dialect: Dialect, received: Received, context: Context) -> Response:
    """The answer, before `plan` lays the fault over its bytes. Raises what a scripted function raises."""
    fault = context.fault
    given = fault.encoded_body()
    if given is not None:
        body, kind = given
        return Unary(200, (("content-type", kind),), body)
    if fault.refuses:
        kind_of_error = fault.error or kind_of_status(fault.status or 500)
        return dialect.refusal(Refused(kind_of_error, status=fault.status), context, received)
    try:
        response = dialect.respond(received, context)
    except Refused as refused:
        return dialect.refusal(refused, context, received)
    if fault.cut is Cut.ERROR and isinstance(response, Unary) and response.status < 300:
        told = dialect.refusal(Refused(fault.error or ErrorKind.SERVER), context, received)
        return attrs.evolve(told, status=200)
    return response
