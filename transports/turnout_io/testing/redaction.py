"""Removes secrets from recordings: credentials by the name of their field, and known values wherever they occur.

A value is found as it is, as JSON and URLs escape it and in base64, also if it is split over several pieces of a body,
and inside a compressed body. It is not found if it is spelled token by token over the events of a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote, unquote_plus

from turnout.errors import LocalProtocolError
from turnout.http import SECRET_HEADERS, SECRET_QUERY, Headers, HttpRequest, shown_url
from turnout.providers.content_coding import ENCODINGS, ContentDecoder
from turnout.redaction import SECRET_NAME, secret_forms
from turnout_io.testing.playback import copy_error
from turnout_io.testing.replies import BodyStep, TransportFault

__all__ = ["REMOVED", "Redaction"]

REMOVED: Final = "REMOVED"
# A shorter part of a credential is a word like "Bearer", or a key without protection value.
_LEAST = 8
_PARAMETER = re.compile(r"[?&;]([^=&;#]+)=([^&;#]+)")


class Redaction:
    """Removes secrets from requests and responses.

    Args:
        values: Secrets to remove wherever they occur.
        headers: Names of further header fields with secret values, in requests and responses.
    """

    def __init__(self, values: Iterable[str] = (), headers: Iterable[str] = ()) -> None:
        self._values = frozenset(_strings(values, "secrets"))
        self._names = frozenset(name.lower() for name in _strings(headers, "secret_headers"))
        self._pattern = _any_of(self._values)

    def with_credentials_of(self, *requests: HttpRequest) -> Redaction:
        """Return a redaction that also removes the credentials of these requests, because a response may quote them."""
        found = set(self._values)
        for request in requests:
            values = [value for name, value in request.headers if self._is_secret(name, of_request=True)]
            shown = [value for name, value in _PARAMETER.findall(request.url) if name.lower() in SECRET_QUERY]
            values += [*shown, *map(unquote, shown), *map(unquote_plus, shown)]
            for value in values:
                words = [word for part in re.split(r"[\s,;]+", value) for word in (part, part.partition("=")[2])]
                found.update(word for word in (value, *words) if len(word) >= _LEAST)
        return Redaction(found, self._names)

    def request(self, request: HttpRequest) -> HttpRequest:
        return HttpRequest(
            self.text(request.method),
            self.text(shown_url(request.url, REMOVED)),
            self._fields(request.headers, of_request=True),
            self.data(request.body),
        )

    def response(self, headers: Headers, steps: Sequence[BodyStep]) -> tuple[Headers, tuple[BodyStep, ...]]:
        """Return the fields and the body of a response. Pieces of the body without a secret stay the same."""
        body = b"".join(step for step in steps if isinstance(step, bytes))
        kept = self._fields(headers, of_request=False)
        encoding = (headers.get("content-encoding") or "").strip().lower()
        if encoding in ENCODINGS:
            decoded = b"".join(ContentDecoder(encoding).decode(body))
            clear = self.data(decoded)
            if clear != decoded:
                kept = Headers(field for field in kept if field[0].lower() != "content-encoding")
                rest = (step for step in self._steps(steps, body) if not isinstance(step, bytes))
                return _with_length(kept, len(clear)), (clear, *rest)
        clear_moves = self._steps(steps, body)
        length = sum(len(step) for step in clear_moves if isinstance(step, bytes))
        return (kept if length == len(body) else _with_length(kept, length)), clear_moves

    def text(self, text: str) -> str:
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        return self._pattern.sub(REMOVED.encode(), data)

    def fault(self, fault: TransportFault) -> TransportFault:
        """Return a copy of the error, with a message without secrets."""
        clear = copy_error(fault)
        clear.args = (self.text(fault.message),)
        return clear

    def _steps(self, steps: Sequence[BodyStep], body: bytes) -> tuple[BodyStep, ...]:
        spans = [found.span() for found in self._pattern.finditer(body)]
        clear: list[BodyStep] = []
        start, first = 0, 0
        for step in steps:
            if not isinstance(step, bytes):
                clear.append(step if isinstance(step, float | int) else self.fault(step))
                continue
            stop = start + len(step)
            piece, at = [], start
            while first < len(spans) and spans[first][0] < stop:
                begin, end = spans[first]
                if begin >= start:  # the replacement goes into the piece in which the secret begins
                    piece += [body[at:begin], REMOVED.encode()]
                at = min(end, stop)
                if end > stop:
                    break
                first += 1
            piece.append(body[at:stop])
            start = stop
            if whole := b"".join(piece):
                clear.append(whole)
        return tuple(clear)

    def _fields(self, headers: Headers, *, of_request: bool) -> Headers:
        return Headers(
            (name, REMOVED if self._is_secret(name, of_request=of_request) else self.text(value))
            for name, value in headers
        )

    def _is_secret(self, name: str, *, of_request: bool) -> bool:
        low = name.lower()
        # Responses keep fields such as "x-ratelimit-remaining-tokens".
        return low in SECRET_HEADERS or low in self._names or (of_request and bool(SECRET_NAME.search(name)))


def _any_of(values: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern that finds these values in every form. Without values it finds nothing."""
    forms = {form.encode("utf-8", "surrogatepass") for value in values for form in secret_forms(value)}
    # The longest first, because one secret may begin like another.
    return re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)) or rb"(?!)")


def _strings(values: Iterable[str], what: str) -> Iterable[str]:
    if isinstance(values, str):
        raise LocalProtocolError(f"{what} is a list of texts, not one text")
    for value in values:
        if not isinstance(value, str) or not value:
            raise LocalProtocolError(f"{what} holds {type(value).__name__} or an empty text; pass texts")
        yield value


def _with_length(headers: Headers, length: int) -> Headers:
    """Return the fields with the length of the body after redaction."""
    return Headers((name, str(length) if name.lower() == "content-length" else value) for name, value in headers)
