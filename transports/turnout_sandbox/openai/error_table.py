"""Error bodies as data: an envelope, and one row for each kind of error."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from turnout_sandbox.errors import ErrorKind, RequestRejected
from turnout_sandbox.openai.errors import ErrorResponse, text_of
from turnout_sandbox.templates import fill

__all__ = ["ErrorRow", "ErrorTable"]


@attrs.frozen
class ErrorRow:
    """How a provider reports one kind of error.

    Attributes:
        status: The HTTP status. A 200 is a response that only its body calls an error.
        type: The value of `{type}`.
        code: The value of `{code}`.
        text: The message, unless the check that found the error wrote one.
        body: The body for this kind, if it differs from the table's. A plain `str` is sent as text, not as JSON.
        headers: Header fields of this kind.
        fixed: Whether `text` replaces even the message of the check.
    """

    status: int
    type: str | None = None
    code: str | int | None = None
    text: str = ""
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    fixed: bool = False


@attrs.frozen(kw_only=True)
class ErrorTable:
    """The errors of one provider.

    Attributes:
        body: The template of a body: `{message} {type} {code} {param} {model} {status}`, and random characters.
        rows: One row for each kind.
        event: The template of an error inside a stream, if it differs from `body`.
    """

    body: Any
    rows: Mapping[ErrorKind, ErrorRow]
    event: Any = None

    def __call__(self, refused: RequestRejected, rng: random.Random) -> ErrorResponse:
        row = self.rows[refused.kind]
        status = refused.status or row.status
        message = row.text if row.fixed else refused.message or row.text or text_of(refused)
        values = {
            "type": row.type,
            "code": row.code if refused.code is None or isinstance(row.code, int) else refused.code,
            "param": refused.param,
            "model": refused.model or "this-model",
            "status": status,
        }
        values["message"] = fill(message, values, rng) if message is row.text else message
        body = fill(self.body if row.body is None else row.body, values, rng)
        event = None if self.event is None else fill(self.event, values, rng)
        return ErrorResponse(status, body, row.headers, event, plain=isinstance(row.body, str))
