"""One HTTP/1.1 exchange of a client, as a state machine: the bytes to send, and the response.

h11 writes the request and reads the head of the response, after any interim responses (1xx). The bytes that it has read
after the head are in its `trailing_data`. h11 is not called again: `http1_body` reads the body. Nearly all heads are
simple. For those, `http1_head` gives the same result at a tenth of the cost, and no `h11.Connection` is made.

    exchange = Http1Exchange(request, origin, target)
    while (piece := exchange.next_chunk()) is not None:   # send it; the response may begin before the last piece
        ...
    body = exchange.receive_data(data)                    # until `head_received`, and then for every read
    exchange.receive_eof()                                # the peer closed the connection
    exchange.ended, exchange.failure, exchange.reusable

Rules:

* `receive_*` never raises an error for invalid bytes of the peer. It returns the body bytes before them, and sets
  `failure`.
* Each head, also that of an interim response, has at most `MAX_HEAD` bytes. The split of the bytes does not matter.
* An early response is read, not lost: after `head_received` the caller stops sending. `reusable` is then False.
* `reusable` is True only if the whole request was sent, the body has a framing and ended, no further bytes arrived, and
  neither side sent `Connection: close`.
"""

from __future__ import annotations

from typing import Final

import attrs
import h11

from turnout._utils.transitions import refuse_transition
from turnout.errors import Disconnected, LocalProtocolError, Phase, RemoteProtocolError, TransportError
from turnout.http import NO_HEADERS, Headers, HttpRequest
from turnout.http.http1_body import BodyReader, ChunkedBody, LengthBody, UntilCloseBody
from turnout.http.http1_head import MAX_HEAD, check_fields, encode_plain_request, read_plain_head
from turnout.http.origin import Origin, split_url
from turnout.http.states import EXCHANGE_TRANSITIONS, ExchangeState

__all__ = ["Http1Exchange"]

MAX_INTERIM: Final = 32
# A head and a body up to this size are sent in one piece, larger ones in chunks, so that an early response is noticed.
CHUNK_SIZE: Final = 262144

_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@attrs.define(eq=False, init=False)
class Http1Exchange:
    """One request and its response over one connection.

    Args:
        request: The request.
        origin: The origin of its URL, as `split_url` returns it.
        target: The request target, as `split_url` returns it; over a proxy, the whole URL.
        reused: True if the connection has served another exchange before.
        proxy_fields: Header fields for a proxy only, such as Proxy-Authorization.
    """

    state: ExchangeState
    status: int | None
    headers: Headers
    failure: RemoteProtocolError | TransportError | None
    ended: bool
    reused: bool
    _request: tuple[HttpRequest, Origin, str, tuple[tuple[str, str], ...]] = attrs.field(repr=False)
    _h11: h11.Connection | None  # None while both heads are plain
    _body: BodyReader | None
    _chunks: list[bytes | memoryview] = attrs.field(repr=False)  # the first one holds the key
    _sent: bool
    _received: int
    _unread: int
    _interim: int
    _framed: bool
    _closes: bool

    def __init__(
        self,
        request: HttpRequest,
        origin: Origin,
        target: str,
        *,
        reused: bool = False,
        proxy_fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.state = ExchangeState.NEW
        self.status = None
        self.headers = NO_HEADERS
        self.failure = None
        self.ended = False
        self._request = request, origin, target, proxy_fields
        self._h11 = None
        self._body = None
        self.reused = reused
        self._sent = False
        self._received = 0
        self._unread = 0
        self._interim = 0
        self._framed = False
        self._closes = False
        headers = request.headers if not proxy_fields else Headers((*request.headers, *proxy_fields))
        size = len(request.body)
        length = size if size or request.method in _METHODS_WITH_BODY else None
        head = encode_plain_request(request.method, target, origin.host_field, headers, length)
        if head is None:
            self._h11, head = _h11_for(request, origin, target, proxy_fields)
        self._chunks = _in_chunks(head, request.body)

    @classmethod
    def to_url(cls, request: HttpRequest, *, reused: bool = False) -> Http1Exchange:
        """Return the exchange for a request that is sent directly to the host of its URL."""
        origin, target = split_url(request.url)
        return cls(request, origin, target, reused=reused)

    @property
    def head_received(self) -> bool:
        return self.status is not None

    @property
    def request_sent(self) -> bool:
        """True if the whole request was sent: `next_chunk` has returned None."""
        return self._sent

    @property
    def is_unanswered(self) -> bool:
        """True if the connection was reused, and no byte of the response has arrived."""
        return self.reused and not self._received

    @property
    def has_trailing_bytes(self) -> bool:
        """True if bytes arrived after the end of the response."""
        return self._body is not None and self._body.has_trailing_bytes

    @property
    def phase(self) -> Phase:
        """The progress of the exchange."""
        return self.state.phase

    @property
    def reusable(self) -> bool:
        """True if the connection may serve another exchange."""
        return (
            self.ended
            and self.failure is None
            and self._sent
            and not self.has_trailing_bytes
            and self._framed
            and not self._closes
        )

    def next_chunk(self) -> bytes | memoryview | None:
        """Return the next bytes of the request, or None after the last ones.

        A call means that the bytes of the previous call were sent.
        """
        if not self._chunks:
            self._sent = True
            return None
        if self.state is ExchangeState.NEW:
            self._move(ExchangeState.SENT)
        return self._chunks.pop()

    def receive_data(self, data: bytes) -> bytes:
        """Take bytes from the connection, and return the body bytes in them.

        Raises:
            LocalProtocolError: If `data` is b"". The end of the connection is `receive_eof`.
        """
        if not data:
            raise LocalProtocolError("receive_data() needs bytes; the end of the connection is receive_eof()")
        if self.failure is not None:
            return b""
        reader = self._body
        if reader is None:
            data = self._read_head(data)
            reader = self._body
            if reader is None or not data:
                return b""
        body = reader.receive_data(data)
        if body and self.state is ExchangeState.HEAD:
            self._move(ExchangeState.BODY)
        self.failure = reader.failure
        if reader.ended and not self.ended:
            self._move(ExchangeState.ENDED)
        return body

    def receive_eof(self) -> None:
        """Record that the peer closed its side. This ends a body without framing; else it is a `failure`."""
        if self.failure is not None or self.ended:
            return
        if self._body is None:
            missing = "the peer closed the connection " + (
                "inside the head of its response" if self._received else "without a response"
            )
        else:
            gap = self._body.receive_eof()
            if self._body.ended:
                self._move(ExchangeState.ENDED)
            if gap is None:
                return
            missing = f"the response ended early: {gap}"
        self.failure = self.disconnected(missing)

    def disconnected(self, message: str) -> Disconnected:
        """Return the error for a connection that broke now, with the current phase of this exchange."""
        return Disconnected(message, reused=self.is_unanswered, phase=self.phase)

    def _read_head(self, data: bytes) -> bytes:
        """Read until the end of the final head, and return the bytes after it. Set `_body`, or `failure`."""
        first = not self._received
        self._received += len(data)
        if self._h11 is None:
            head = read_plain_head(data) if first else None
            if head is not None:
                self.status, self.headers, self._closes = head.status, head.headers, head.closes
                self._start_body(head.length, head.chunked)
                return data[head.size :] if head.size < len(data) else b""
            self._h11, _ = _h11_for(*self._request)
        return self._read_with_h11(self._h11, data)

    def _read_with_h11(self, connection: h11.Connection, data: bytes) -> bytes:
        self._unread += len(data)
        connection.receive_data(data)
        try:
            while True:
                event = connection.next_event()
                if not isinstance(event, h11.InformationalResponse | h11.Response):
                    return b""  # NEED_DATA: no other event is possible before the final head
                rest = connection.trailing_data[0]
                # h11 applies its limit only to a head that is not complete yet.
                if self._unread - len(rest) > MAX_HEAD:
                    raise h11.RemoteProtocolError("Receive buffer too long")
                self._unread = len(rest)
                if isinstance(event, h11.Response):
                    break
                self._interim += 1
                if self._interim > MAX_INTERIM:
                    raise h11.RemoteProtocolError("too many interim responses")
        except h11.RemoteProtocolError as fault:
            self.failure = RemoteProtocolError(f"the peer sent no valid HTTP/1.1 response: {str(fault)[:200]}")
            return b""
        self.status = event.status_code
        self.headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers.raw_items()
        )
        # h11 changes from DONE to MUST_CLOSE if either side sent `Connection: close`, or the peer speaks 1.0.
        self._closes = connection.our_state is not h11.DONE
        # h11 has checked both fields: the only coding is "chunked", and the lengths agree.
        fields = dict(event.headers)
        length = fields.get(b"content-length")
        self._start_body(int(length) if length is not None else None, b"transfer-encoding" in fields)
        return rest

    def _start_body(self, length: int | None, chunked: bool) -> None:
        assert self.status is not None
        self._body, self._framed = _body_reader(self._request[0].method, self.status, length, chunked)
        self._move(ExchangeState.HEAD)
        if self._body.ended:
            self._move(ExchangeState.ENDED)

    def _move(self, to: ExchangeState) -> None:
        """Change the state, if the table of transitions allows it. Each read looks at `ended`, so that it is kept."""
        if to not in EXCHANGE_TRANSITIONS[self.state]:
            refuse_transition("an exchange", self.state, to)
        self.state = to
        self.ended = to is ExchangeState.ENDED


def _body_reader(method: str, status: int, length: int | None, chunked: bool) -> tuple[BodyReader, bool]:
    """Return the reader for the body of this response, and whether its framing allows reuse of the connection.

    The rules are in RFC 9112 section 6.3. If Transfer-Encoding and Content-Length are both present, the former
    applies, and the connection must be closed, because this is a way to smuggle responses.
    """
    if status in (204, 304) or method == "HEAD" or (method == "CONNECT" and 200 <= status < 300):
        return LengthBody(0), True
    if chunked:
        return ChunkedBody(), length is None
    if length is not None:
        return LengthBody(length), True
    return UntilCloseBody(), False


def _h11_for(
    request: HttpRequest, origin: Origin, target: str, proxy_fields: tuple[tuple[str, str], ...]
) -> tuple[h11.Connection, bytes]:
    """A connection of h11 that has sent this request, and the head that it wrote.

    Raises LocalProtocolError for a request that cannot be sent.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    fields = [*request.headers, *proxy_fields]
    check_fields(fields)
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", origin.host_field))
    if "content-length" not in names and (request.body or request.method in _METHODS_WITH_BODY):
        fields.append(("Content-Length", str(len(request.body))))
    try:
        head = connection.send(
            h11.Request(
                method=request.method,
                target=target,
                headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in fields],
            )
        )
        if request.body:
            connection.send_with_data_passthrough(h11.Data(data=request.body))
        connection.send(h11.EndOfMessage())
    except (h11.LocalProtocolError, UnicodeEncodeError) as fault:
        # No cause and no value in the message: h11 quotes the text that it refuses, which might be a key.
        raise LocalProtocolError(
            f"the request cannot be sent over HTTP/1.1: {type(fault).__name__}, method "
            f"{request.method!r}, {len(request.body)} bytes of body"
        ) from None
    return connection, head


def _in_chunks(head: bytes, body: bytes) -> list[bytes | memoryview]:
    """Return the chunks to send, the last one first."""
    if len(body) <= CHUNK_SIZE:
        return [head + body]
    view = memoryview(body)
    chunks: list[bytes | memoryview] = [
        head,
        *(view[start : start + CHUNK_SIZE] for start in range(0, len(view), CHUNK_SIZE)),
    ]
    chunks.reverse()
    return chunks
