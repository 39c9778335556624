"""The interface of the dialects, and the small functions that they share."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from turnout_sandbox.answers import AnswerScript
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.faults import Fault
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response, UnaryResponse

__all__ = ["Context", "DialectServer", "dumps", "in_turns", "sse", "string_of", "token_of", "whole_number"]


@attrs.frozen
class Context:
    """The state that a dialect may use besides the request.

    rng        for ids
    number     how many requests this provider has had, this one included
    fault      the fault to play; the dialect reads its `usage`, and its `error` for a stream that is cut
    key        the only key that is let in; None lets every key in
    models     the models that exist; None: all except ids such as "no-such-model"
    scripted   the answer to give
    """

    rng: random.Random
    number: int
    fault: Fault
    key: str | None
    models: frozenset[str] | None
    scripted: AnswerScript | None

    @property
    def created(self) -> int:
        return int(time.time())

    def knows(self, model: str) -> bool:
        if self.models is not None:
            return model in self.models
        low = model.lower()
        return bool(model) and not any(mark in low for mark in ("no-such", "nonexist", "non-exist", "not-exist"))

    def stream_error(self) -> ErrorKind:
        return self.fault.error or ErrorKind.SERVER


class DialectServer(Protocol):
    """One provider as the sandbox plays it.

    name         in paths, scripts and `Sandbox.requests`
    base         the part of the URL between the provider's name and the paths of the dialect
    models       some models it lists
    """

    @property
    def name(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def models(self) -> tuple[str, ...]: ...

    def respond(self, received: Received, context: Context) -> Response:
        """Answer one request. Raises RequestRejected."""
        ...

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        """The provider's own answer to a request that is refused."""
        ...


def dumps(value: object) -> str:
    """Compact JSON, as most providers send it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def in_turns(streams: Sequence[Iterator[bytes]]) -> Iterator[bytes]:
    """Yield one event of each stream in turn, until all have ended."""
    for events in itertools.zip_longest(*streams, fillvalue=b""):
        yield from filter(None, events)


def sse(data: str) -> bytes:
    """One event of a stream of server-sent events."""
    return f"data: {data}\n\n".encode("utf-8", "surrogatepass")


def token_of(
    rng: random.Random, length: int, alphabet: str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
) -> str:
    """An id of random characters."""
    return "".join(rng.choices(alphabet, k=length))


def string_of(value: object, type_name: str = "text", text_key: str = "text") -> str:
    """The text of a message's content: a string, or the text parts of a list, joined."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return "".join(
            str(part[text_key]) for part in value if isinstance(part, Mapping) and isinstance(part.get(text_key), str)
        )
    return ""


def whole_number(body: Mapping[str, Any], name: str) -> int | None:
    """A positive whole number of the request, or None. Raises RequestRejected."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"Invalid type for '{name}': an integer is expected.", param=name)
    if value < 1:
        raise invalid(f"Invalid value for '{name}': it is less than 1.", param=name)
    return value
