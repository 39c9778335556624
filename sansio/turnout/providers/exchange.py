"""The state machine behind every dialect's exchanges: the order of calls, content decoding, error bodies.

The dialect reads the body of a success with a `Reader`, which receives the decoded bytes. The body of an error is
collected and given to the dialect's `read_error`. The body of a redirect is not read at all.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Generic, Protocol, TypeVar

import attrs

from turnout.chat import RateLimit
from turnout.errors import LocalProtocolError, ProviderError, RemoteProtocolError, TurnoutError
from turnout.events import Event
from turnout.http import NO_HEADERS, Headers, HttpRequest
from turnout.providers.content_coding import ENCODINGS, ContentDecoder, Expansion
from turnout.providers.json_codec import fits_memory
from turnout.providers.limits import ResponseLimits, how_to_raise

__all__ = ["DocumentReader", "HttpExchange", "ReadError", "Reader"]

ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

ReadError = Callable[[int, Headers, bytes], ProviderError]

LIMITS = ResponseLimits()
# Blanks before a page that are looked past.
_BLANKS = 1024


class Reader(Protocol[ResultT_co]):
    """Reads the decoded body of a response that is no error, in the words of one dialect.

    A reader may have a property `can_end` (see `turnout.providers.protocol.Exchange`); without it, only a clean end of
    the body completes the response.
    """

    def receive_data(self, data: bytes) -> tuple[Event, ...]: ...

    def receive_end(self) -> tuple[Event, ...]: ...

    @property
    def failure(self) -> TurnoutError | None: ...

    @property
    def complete(self) -> bool: ...

    @property
    def result(self) -> ResultT_co: ...


class State(enum.Enum):
    """NEW -> READING | REFUSED | LABELLED -> ENDED. LABELLED -> READING or PAGE -> FAILED, where input is ignored.

    LABELLED is a success with the content type of an HTML page. Some servers label JSON so, therefore the first byte
    decides. No API sends a page: it is of a proxy, of a portal, or of a website with a similar address.
    """

    NEW = "waiting for the head"
    READING = "reading the response"
    REFUSED = "reading the body of an error"
    LABELLED = "reading the start of the response"
    PAGE = "reading a page"
    ENDED = "ended"
    FAILED = "failed"


@attrs.define(eq=False)
class HttpExchange(Generic[ResultT]):
    """One request and its response (`turnout.providers.protocol.Exchange`).

    Attributes:
        request: The request to send.
        dropped: Settings that the model refuses. The account has them left out.
        status: The HTTP status; 0 before the head.
        headers: The header fields of the response.
        state: How far the exchange is.
    """

    request: HttpRequest
    _make_reader: Callable[[Headers], Reader[ResultT]]
    _read_error: ReadError
    dropped: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    # Removes secrets from a text of the server, which may repeat the request.
    _clean: Callable[[str], str] | None = attrs.field(default=None, kw_only=True, alias="clean")
    _limits: ResponseLimits = attrs.field(default=LIMITS, kw_only=True, alias="limits")
    status: int = attrs.field(default=0, init=False)
    headers: Headers = attrs.field(default=NO_HEADERS, init=False)
    state: State = attrs.field(default=State.NEW, init=False)
    _reader: Reader[ResultT] | None = attrs.field(default=None, init=False)
    _failure: TurnoutError | None = attrs.field(default=None, init=False)
    _decoder: ContentDecoder | None = attrs.field(default=None, init=False)
    _error_body: bytes | bytearray = attrs.field(default=b"", init=False)
    _is_unreadable: bool = attrs.field(default=False, init=False)  # the body of an error, in an unknown encoding

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Receive the status and the header fields; once.

        Raises:
            LocalProtocolError: The head was received before.
        """
        if self.state is not State.NEW:
            raise LocalProtocolError(f"receive_head was called while this exchange was {self.state.value}")
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        encoding = self.headers.get("content-encoding")
        if encoding is not None:
            encoding = encoding.strip().lower()
            if encoding in ENCODINGS:
                self._decoder = ContentDecoder(encoding, Expansion(limit=self._limits.decoded))
            elif encoding not in ("", "identity"):
                if 200 <= status < 300:
                    self._fail(RemoteProtocolError(f"the response has the encoding {encoding!r}, which cannot be read"))
                    return
                self._is_unreadable = True  # the status of an error decides without its body
        if 200 <= status < 300 and "html" in (self.headers.get("content-type") or "").lower():
            self.state = State.LABELLED
        elif 200 <= status < 300:
            self._reader = self._make_reader(self.headers)
            self.state = State.READING
        else:
            self.state = State.REFUSED

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        """Receive the next bytes of the body, and return the events that they complete.

        Raises:
            LocalProtocolError: There was no head yet, the body has ended, or `data` is empty.
        """
        if self.state is State.READING and self._decoder is None and self._reader is not None and data:
            return self._reader.receive_data(data)  # the usual case: a chunk of a stream
        if self.state is State.FAILED:
            return ()
        if self.state is State.NEW or self.state is State.ENDED:
            raise LocalProtocolError(f"receive_data was called while this exchange was {self.state.value}")
        if not data:
            raise LocalProtocolError('receive_data takes some bytes; the end is receive_end(), not b""')
        if self._reader is None:
            return self._receive_unread(data)
        assert self._decoder is not None
        events: list[Event] = []
        for piece in self._decoder.decode(data):
            events += self._reader.receive_data(piece)
            if self._reader.failure is not None:
                break
        # A failure that the provider reported is of more use than the end of the body after it.
        if self._decoder.failure is not None and self._reader.failure is None:
            self._fail(self._decoder.failure)
        return tuple(events)

    def receive_end(self) -> tuple[Event, ...]:
        """Receive the end of the body, and return the events that it completes.

        If `can_end` is true, a driver may call it for any end of the connection.

        Raises:
            LocalProtocolError: There was no head yet, or the body has ended before.
        """
        if self.state is State.FAILED:
            return ()
        if self.state is State.NEW or self.state is State.ENDED:
            raise LocalProtocolError(f"receive_end was called while this exchange was {self.state.value}")
        if self.state is State.LABELLED:
            self._read_as_response(bytes(self._error_body))
        if self._reader is None:
            self._end_error()
            return ()
        unfinished = self._decoder is not None and not self._decoder.finished
        if unfinished and not self._reader.complete and self._reader.failure is None and not self.can_end:
            self._fail(RemoteProtocolError("the compressed body ended before its end"))
            return ()
        self.state = State.ENDED
        return self._reader.receive_end()

    @property
    def failure(self) -> TurnoutError | None:
        """The error that ended the exchange; None if there is none."""
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
        return self._read_error(self.status, self.headers, bytes(self._error_body))

    @property
    def complete(self) -> bool:
        """Whether nothing that may still be received matters."""
        return self._reader is not None and self._reader.complete

    @property
    def can_end(self) -> bool:
        """Whether any end of the connection ends this exchange as well as a clean one (see `Exchange.can_end`)."""
        return self.state is State.READING and getattr(self._reader, "can_end", False)

    @property
    def skipped(self) -> int:
        """How many events of the response could not be read and were skipped."""
        return getattr(self._reader, "skipped", 0)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The provider's limits, as the head of a stream reports them."""
        return getattr(self._reader, "rate_limit", None)

    @property
    def result(self) -> ResultT:
        """The response; of a stream at any time, as far as it was received.

        Raises:
            LocalProtocolError: There is none.
        """
        if self._reader is None:
            raise LocalProtocolError(f"there is no result: this exchange is {self.state.value}")
        return self._reader.result

    def _receive_unread(self, data: bytes) -> tuple[Event, ...]:
        """Receive bytes of a response that has no reader, or none yet."""
        if self.state is not State.LABELLED:
            self._collect_error(data)
            return ()
        events: list[Event] = []
        for piece in (data,) if self._decoder is None else self._decoder.decode(data):
            events += self._read_labelled(piece)
        if self._decoder is not None and self._decoder.failure is not None and self.failure is None:
            self._fail(self._decoder.failure)
        return tuple(events)

    def _read_labelled(self, piece: bytes) -> tuple[Event, ...]:
        """Read decoded bytes, once it is known whether they are of a page."""
        if self._reader is not None:
            return self._reader.receive_data(piece) if self._reader.failure is None else ()
        start = bytes(self._error_body) + piece if self._error_body else piece
        first = start[:_BLANKS].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if first == b"<" or self.state is State.PAGE:
            self.state, self._error_body = State.PAGE, bytearray(start[: self._limits.error_body])
        elif first or len(start) >= _BLANKS:
            return self._read_as_response(start)
        else:
            self._error_body = start
        return ()

    def _read_as_response(self, start: bytes) -> tuple[Event, ...]:
        """Read a response that is no page, although its content type is that of one."""
        self._reader, self.state, self._error_body = self._make_reader(self.headers), State.READING, b""
        return self._reader.receive_data(start) if start else ()

    def _collect_error(self, data: bytes) -> None:
        """Keep the start of an error's body. The status decides, so a body that cannot be decoded breaks nothing."""
        if 300 <= self.status < 400 or self._is_unreadable:
            return
        if isinstance(self._error_body, bytes):
            self._error_body = bytearray()
        room = self._limits.error_body - len(self._error_body)
        for piece in (data,) if self._decoder is None else self._decoder.decode(data):
            if room <= 0:
                break
            self._error_body += piece[:room]
            room -= len(piece)
        if room <= 0:
            self._end_error()  # the rest says nothing more, and a body without end would be read until a timer ends it

    def _end_error(self) -> None:
        """Fail with the error of a status, or of a page in place of a response, as far as its body was read."""
        error = self._read_error(self.status, self.headers, bytes(self._error_body))
        self._fail(_page_error(error) if self.state is State.PAGE else error)

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
    """Reads a body that is one document: collects it, and parses it at its end.

    Attributes:
        limit: The bytes that the document may have.
        setting: The field of `ResponseLimits` with this limit.
        failure: The error that ended the reading; None if there is none.
        complete: Whether the document was parsed.
    """

    # It may raise ProviderError for an error that a success reports, and RemoteProtocolError.
    _parse: Callable[[bytes], ResultT]
    limit: int = LIMITS.document
    setting: str = "document"
    failure: TurnoutError | None = attrs.field(default=None, init=False)
    complete: bool = attrs.field(default=False, init=False)
    # One piece, or several, of which it makes one document without a copy. A list of the pieces would take 40 bytes for
    # each piece, and a peer may send one byte at a time.
    _body: bytes | BytesIO = attrs.field(default=b"", init=False)
    _result: tuple[ResultT] | None = attrs.field(default=None, init=False)

    def receive_data(self, data: bytes) -> tuple[Event, ...]:
        """Keep the bytes."""
        if self.failure is not None:
            return ()
        if not self._body:
            self._body, size = data, len(data)
        else:
            if isinstance(self._body, bytes):
                first, self._body = self._body, BytesIO()
                self._body.write(first)
            self._body.write(data)
            size = self._body.tell()
        if size > self.limit:
            self._body = b""
            self.failure = RemoteProtocolError(
                f"the response is larger than {_size(self.limit)}{how_to_raise(self.setting)}"
            )
        return ()

    def receive_end(self) -> tuple[Event, ...]:
        """Parse the document."""
        if self.failure is None:
            body = self._body if isinstance(self._body, bytes) else self._body.getvalue()
            self._body = b""
            if not fits_memory(body, 4 * self.limit):
                size = _size(self.limit)
                self.failure = RemoteProtocolError(
                    f"the response holds too many values for its limit, {size}{how_to_raise(self.setting)}"
                )
                return ()
            try:
                self._result = (self._parse(body),)
                self.complete = True
            except (ProviderError, RemoteProtocolError) as error:
                self.failure = error
        return ()

    @property
    def result(self) -> ResultT:
        """The parsed document.

        Raises:
            LocalProtocolError: There is none.
        """
        if self._result is None:
            raise LocalProtocolError("there is no result: the response is not whole, or is none")
        return self._result[0]


def _page_error(error: ProviderError) -> RemoteProtocolError:
    """Return the error for a page in place of a response, from the error that reads it."""
    return RemoteProtocolError(
        f"{error.provider}: the response is {error.message}; check the base URL, and what is between you and it"
    )


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
