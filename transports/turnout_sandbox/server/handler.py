"""Returns the response of a dialect to one request under one fault: an answer, an error, or a scripted body."""

from __future__ import annotations

import attrs

from turnout_sandbox.dialect import Context, DialectServer
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid, kind_of_status
from turnout_sandbox.faults import Abort
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response, UnaryResponse

__all__ = ["respond"]


def respond(dialect: DialectServer, received: Received, context: Context) -> Response:
    """Return the response before the fault changes its bytes. Exceptions of a scripted function pass through."""
    fault = context.fault
    given = fault.encoded_body()
    if given is not None:
        body, kind = given
        return UnaryResponse(200, (("content-type", kind),), body)
    if fault.is_error:
        kind_of_error = fault.error or kind_of_status(fault.status or 500)
        return dialect.error_response(RequestRejected(kind_of_error, status=fault.status), context, received)
    try:
        response = dialect.respond(received, context)
    except RequestRejected as refused:
        return dialect.error_response(refused, context, received)
    except RecursionError:
        return dialect.error_response(invalid("The body of the request is nested too deeply."), context, received)
    if fault.abort is Abort.ERROR and isinstance(response, UnaryResponse) and response.status < 300:
        error_response = dialect.error_response(RequestRejected(fault.error or ErrorKind.SERVER), context, received)
        return attrs.evolve(error_response, status=200)
    return response
