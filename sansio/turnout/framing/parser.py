"""What all framing parsers have in common: their shape, their limit, and how they stop."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import attrs
import msgspec

from turnout.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_FRAME", "FrameParser", "JsonText"]

MAX_FRAME = 64 * 1024 * 1024
"""Bytes that one frame may have: the default of `max_frame`.

Real frames reach several MiB: a whole reasoning trace, or an image in base64, in one event. 64 MiB leaves room for the
largest image or video still that a provider sends inline, and is small enough that one broken peer cannot
take the memory of a service.
"""

Frame = TypeVar("Frame")


class JsonText(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one JSON text in a body that holds several: a line, or an element of an array.

    data        as they came, without the separators around them; not decoded, not validated
    terminated  false where the body ended before the framing said that this text is whole
    """

    data: bytes
    terminated: bool = True


@attrs.define(eq=False)
class FrameParser(abc.ABC, Generic[Frame]):
    """Splits one response body into frames. Make one for each body; see `turnout.framing` for the rules.

    max_frame  the bytes that one frame may have before the parser fails
    failure    None, or the error that stands: the frames returned up to then are good, no more will come
    """

    max_frame: int = attrs.field(default=MAX_FRAME, kw_only=True)
    failure: RemoteProtocolError | None = attrs.field(default=None, init=False)
    # One flag for "failed or ended", so that a read in the hot path asks one question.
    _stopped: bool = attrs.field(default=False, init=False, repr=False)
    _ended: bool = attrs.field(default=False, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Not a validator: one of those gives the class a __setattr__ in Python, and every read pays for it.
        if self.max_frame < 1:
            raise ValueError(f"max_frame is a number of bytes, at least 1, not {self.max_frame!r}")

    @abc.abstractmethod
    def receive_data(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the body and return every frame that they complete.

        Raises LocalProtocolError after `receive_end`.
        """

    @abc.abstractmethod
    def receive_end(self) -> list[Frame]:
        """Note that the body is over, and return what it cut off: at most one frame, `terminated=False`.

        Raises LocalProtocolError when called a second time.
        """

    @property
    @abc.abstractmethod
    def complete(self) -> bool:
        """Whether what came so far is a whole body: not in the middle of a frame, and closed where it has to be."""

    def _fail(self, message: str) -> None:
        self.failure = RemoteProtocolError(message)
        self._stopped = True

    def _too_large(self, what: str) -> str:
        # The same words for every split of the body, so no word of how much had come.
        return (
            f"{what} is larger than {self.max_frame} bytes, so the rest of the body is not read; "
            f"if the peer means to send that much, make the {type(self).__name__} with a larger max_frame"
        )

    def _receive_stopped(self) -> list[Frame]:
        """The answer to data that comes when nothing can come of it any more."""
        if self._ended:
            raise LocalProtocolError(f"{type(self).__name__}.receive_data was called after receive_end")
        return []

    def _end(self) -> bool:
        """Note the end; true where no failure stands, so that what is held may still be handed on."""
        if self._ended:
            raise LocalProtocolError(f"{type(self).__name__}.receive_end was called twice")
        self._ended = self._stopped = True
        return self.failure is None
