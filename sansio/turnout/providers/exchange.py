"""The machine that every dialect's exchanges are: the order of calls, content decoding, error bodies.

What a good body means is the dialect's: it gives a `Reader`, which is fed the decoded bytes. The body of an error
status is collected whole and given to the dialect's `read_error`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import attrs

from turnout.chat import RateLimit
from turnout.errors import LocalProtocolError, ProviderError, RemoteProtocolError, TurnoutError
from turnout.events import Event
from turnout.http import Headers, HttpRequest
from turnout.providers.decoding.content_coding import ENCODINGS, ContentDecoder

__all__ = ["DocumentReader", "HttpExchange", "ReadError", "Reader"]

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

# An error body is read to its end for its code, but no further than this: what follows says nothing more.
ERROR_BODY_LIMIT = 256 * 1024
# One JSON document. A batch of 2,048 vectors of 3,072 floats in text is about 140 MB; nothing real is larger.
DOCUMENT_LIMIT = 256 * 1024 * 1024

ReadError = Callable[[int, Headers, bytes], ProviderError]


class Reader(Protocol[ResultT_co]):
    """What a dialect makes of the decoded body of a response that is no error."""

    def receive_data(self, data: bytes) -> tuple[Event, ...]: ...

    def receive_end(self) -> tuple[Event, ...]: ...

    @property
    def failure(self) -> TurnoutError | None: ...

    @property
    def complete(self) -> bool: ...

    @property
    def result(self) -> ResultT_co: ...


class State(enum.Enum):
    """NEW -> READING | REFUSED -> ENDED; a failure moves to FAILED, from where only more input is ignored."""

    NEW = "waiting for the head"
    READING = "reading the answer"
    REFUSED = "reading the body of an error"
    ENDED = "ended"
    FAILED = "failed"


@attrs.define(eq=False)
class HttpExchange(Generic[ResultT]):
    """One request and its response (`turnout.providers.protocol.Exchange`).

    read_error(status, headers, body)  the dialect's reading of an error
    make_reader(headers)               the dialect's reading of an answer; called once the head is there
    dropped                            settings that the model refuses and that were left out, as was asked
    clean(text)                        a text of the server without secrets: it may repeat what it was sent
    """

    request: HttpRequest
    _make_reader: Callable[[Headers], Reader[ResultT]]
    _read_error: ReadError
    dropped: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    _clean: Callable[[str], str] | None = attrs.field(default=None, kw_only=True)
    status: int = attrs.field(default=0, init=False)
    headers: Headers = attrs.field(factory=Headers, init=False)
    state: State = attrs.field(default=State.NEW, init=False)
    _reader: Reader[ResultT] | None = attrs.field(default=None, init=False)
    _failure: TurnoutError | None = attrs.field(default=None, init=False)
    _decoder: ContentDecoder | None = attrs.field(default=None, init=False)
    _error_body: list[bytes] = attrs.field(factory=list, init=False)
    _error_size: int = attrs.field(default=0, init=False)

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        if self.state is not State.NEW:
            raise LocalProtocolError(f"receive_head came while this exchange was {self.state.value}")
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        encoding = (self.headers.get("content-encoding") or "identity").strip().lower()
        if encoding in ENCODINGS:
            self._decoder = ContentDecoder(encoding)
        elif encoding not in ("", "identity"):
            self._fail(
                RemoteProtocolError(
                    f"the answer is encoded as {encoding!r}, which was not asked for and cannot be read"
                )
            )
            return
        if 200 <= status < 300:
            self._reader = self._make_reader(self.headers)
            self.state = State.READING
        else:
            self.state = State.REFUSED

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        if self.state is State.FAILED:
            return ()
        if self.state is State.NEW or self.state is State.ENDED:
            raise LocalProtocolError(f"receive_data came while this exchange was {self.state.value}")
        if not data:
            raise LocalProtocolError('receive_data takes some bytes; the end is receive_end(), not b""')
        if self._decoder is None:
            return self._reader.receive_data(data) if self._reader is not None else self._collect_error(data)
        if self._reader is None:
            # The status has decided already: a body that cannot be decoded to its end says what it says until there.
            for piece in self._decoder.decode(data) if self._error_size < ERROR_BODY_LIMIT else ():
                self._collect_error(piece)
            return ()
        events: list[Event] = []
        for piece in self._decoder.decode(data):
            events += self._reader.receive_data(piece)
        # What the provider told of itself says more than that its body broke off after it.
        if self._decoder.failure is not None and self._reader.failure is None:
            self._fail(self._decoder.failure)
        return tuple(events)

    def receive_end(self) -> tuple[Event, ...]:
        if self.state is State.FAILED:
            return ()
        if self.state is State.NEW or self.state is State.ENDED:
            raise LocalProtocolError(f"receive_end came while this exchange was {self.state.value}")
        if self._reader is None:
            self._fail(self._read_error(self.status, self.headers, b"".join(self._error_body)))
            return ()
        unfinished = self._decoder is not None and not self._decoder.finished
        if unfinished and not self._reader.complete and self._reader.failure is None:
            self._fail(RemoteProtocolError("the compressed body ended before its end"))
            return ()
        self.state = State.ENDED
        return self._reader.receive_end()

    @property
    def failure(self) -> TurnoutError | None:
        if self._failure is None and self._reader is not None:
            failure = self._reader.failure
            if failure is not None:
                self._failure = self._cleaned(failure)
        return self._failure

    @property
    def status_error(self) -> TurnoutError | None:
        """The error of an error status, as far as its body arrived; None for any other response.

        The status and the code that arrived decide, however the body ends.
        """
        if self.state is not State.REFUSED:
            return None
        return self._read_error(self.status, self.headers, b"".join(self._error_body))

    @property
    def complete(self) -> bool:
        return self._reader is not None and self._reader.complete

    @property
    def skipped(self) -> int:
        """How many events of the answer could not be read and were passed over."""
        return getattr(self._reader, "skipped", 0)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the head of a stream says of the provider's limits."""
        return getattr(self._reader, "rate_limit", None)

    @property
    def result(self) -> ResultT:
        if self._reader is None:
            raise LocalProtocolError(f"there is no result: this exchange is {self.state.value}")
        return self._reader.result

    def _collect_error(self, data: bytes) -> tuple[Event, ...]:
        room = ERROR_BODY_LIMIT - self._error_size
        if room > 0:
            self._error_body.append(data[:room])
            self._error_size += len(data)
        return ()

    def _cleaned(self, error: TurnoutError) -> TurnoutError:
        """Return the error, its message without secrets. Those of a provider's own errors are clean already."""
        if self._clean is not None and error.args and not isinstance(error, ProviderError):
            error.args = (self._clean(str(error.args[0])), *error.args[1:])
        return error

    def _fail(self, error: TurnoutError) -> None:
        self._failure = self._cleaned(error)
        self.state = State.FAILED


@attrs.define(eq=False)
class DocumentReader(Generic[ResultT]):
    """The reader of a body that is one document: collected, and parsed at its end.

    `parse(body)` may raise ProviderError (an error told inside a 200) or RemoteProtocolError.
    """

    _parse: Callable[[bytes], ResultT]
    failure: TurnoutError | None = attrs.field(default=None, init=False)
    complete: bool = attrs.field(default=False, init=False)
    _pieces: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _result: tuple[ResultT] | None = attrs.field(default=None, init=False)

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        if self.failure is None:
            self._size += len(data)
            self._pieces.append(data)
            if self._size > DOCUMENT_LIMIT:
                self._pieces.clear()
                self.failure = RemoteProtocolError(f"the answer is larger than {DOCUMENT_LIMIT >> 20} MiB")
        return ()

    def receive_end(self) -> tuple[Event, ...]:
        if self.failure is None:
            body = b"".join(self._pieces)
            self._pieces.clear()
            try:
                self._result = (self._parse(body),)
                self.complete = True
            except (ProviderError, RemoteProtocolError) as error:
                self.failure = error
        return ()

    @property
    def result(self) -> ResultT:
        if self._result is None:
            raise LocalProtocolError("there is no result: the answer has not come, or was no answer")
        return self._result[0]
