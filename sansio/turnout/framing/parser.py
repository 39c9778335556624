"""The base class of all framing parsers: their interface, their limit, and how they stop."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import attrs
import msgspec

from turnout.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_FRAME", "FrameParser", "JsonText"]

MAX_FRAME = 64 * 1024 * 1024
"""The largest size of a frame in bytes: the default of `max_frame`.

Real frames reach several MiB: a whole reasoning trace, or an image in base64, in one event. 64 MiB are enough for the
largest image that a provider sends inline. They are few enough that one faulty peer cannot exhaust the memory of a
service.
"""

Frame = TypeVar("Frame")


class JsonText(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one JSON text in a body that holds several: a line, or an element of an array.

    Attributes:
        data: The bytes as received, without the separators around them. They are not decoded or validated.
        terminated: False if the body ended before the framing marked the end of this text.
    """

    data: bytes
    terminated: bool = True


@attrs.define(eq=False)
class FrameParser(abc.ABC, Generic[Frame]):
    """Splits one response body into frames. Make one for each body; see `turnout.framing` for the rules.

    Attributes:
        max_frame: The largest size of a frame, in bytes. If a frame is larger, the parser fails.
        failure: None, or the permanent error. The frames before it are valid; no further ones follow.
        is_over_limit: Whether it failed because a frame is larger than `max_frame`.
    """

    max_frame: int = attrs.field(default=MAX_FRAME, kw_only=True)
    failure: RemoteProtocolError | None = attrs.field(default=None, init=False)
    is_over_limit: bool = attrs.field(default=False, init=False)
    # One flag for "failed or ended", so that the hot path checks only one condition.
    _stopped: bool = attrs.field(default=False, init=False, repr=False)
    _ended: bool = attrs.field(default=False, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Not a validator: with one, attrs gives the class a __setattr__ in Python, which makes every read slower.
        if self.max_frame < 1:
            raise ValueError(f"max_frame is a number of bytes, at least 1, not {self.max_frame!r}")

    @abc.abstractmethod
    def receive_data(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body and return every frame that they complete.

        Raises LocalProtocolError after `receive_end`.
        """

    @abc.abstractmethod
    def receive_end(self) -> list[Frame]:
        """Record the end of the body, and return the frame that it cut, if there is one, with `terminated=False`.

        Raises LocalProtocolError when called a second time.
        """

    @property
    @abc.abstractmethod
    def complete(self) -> bool:
        """True if the bytes so far are a complete body: no frame is unfinished, and the body is closed if required."""

    def _fail(self, message: str) -> None:
        self.failure = RemoteProtocolError(message)
        self._stopped = True

    def _too_large(self, what: str) -> str:
        self.is_over_limit = True
        # The same message for every split of the body, so it does not contain the number of received bytes.
        return (
            f"{what} is larger than {self.max_frame} bytes, so the rest of the body is not read; "
            f"if the peer means to send that much, make the {type(self).__name__} with a larger max_frame"
        )

    def _receive_stopped(self) -> list[Frame]:
        """Return no frames for data after a failure. Raise LocalProtocolError after the end."""
        if self._ended:
            raise LocalProtocolError(f"{type(self).__name__}.receive_data was called after receive_end")
        return []

    def _end(self) -> bool:
        """Record the end. Return True if there is no failure, so that the held bytes may still be returned."""
        if self._ended:
            raise LocalProtocolError(f"{type(self).__name__}.receive_end was called twice")
        self._ended = self._stopped = True
        return self.failure is None
