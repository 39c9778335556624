"""Images and sound in responses, as the parts of a message."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import attrs

from turnout._utils.growing_text import GrowingText
from turnout.messages import Audio, Image

__all__ = ["AUDIO_TYPES", "AudioBuilder", "audio_of", "audio_of_url", "image_of", "image_of_url", "media_type_of"]

AUDIO_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "pcm16": "audio/pcm",
}
"""The media types of sound, by OpenAI's names of the formats."""

# The first bytes of the formats that models make. Sources: the W3C's PNG specification, JFIF, RFC 9649 (WebP), GIF89a,
# RFC 2361 and RFC 3003, RFC 3533 (Ogg), RFC 9639 (FLAC).
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def media_type_of(data: bytes, otherwise: str) -> str:
    """Return the media type that the first bytes show; `otherwise` if they show none."""
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), otherwise)


def image_of(data: str, media_type: str | None = None, *, signature: str | None = None) -> Image | None:
    """Return the image of a base64 text; None if it is no base64."""
    decoded = _decoded(data)
    if not decoded:
        return None
    return Image(data=decoded, media_type=media_type or media_type_of(decoded, "image/png"), signature=signature)


def image_of_url(url: str) -> Image | None:
    """Return the image of a URL: its bytes if the URL holds them. None if it is no URL that could be sent back."""
    if not url.startswith("data:"):
        try:
            return Image(url)
        except ValueError:  # a path without a host, or nothing
            return None
    media_type, data = _of_data_url(url)
    return image_of(data, media_type or None) or Image(url)


def _of_data_url(url: str) -> tuple[str, str]:
    """Return the media type and the base64 text of a `data:` URL; "" for a text that is no base64."""
    head, _, data = url.removeprefix("data:").partition(",")
    return head.removesuffix(";base64").partition(";")[0], data if head.endswith(";base64") else ""


def audio_of_url(url: str) -> Audio | None:
    """Return the sound that a URL holds; None if it holds none."""
    media_type, data = _of_data_url(url) if url.startswith("data:") else ("", "")
    return audio_of(data, media_type or None)


def audio_of(data: str, media_type: str | None = None, *, signature: str | None = None) -> Audio | None:
    """Return the sound of a base64 text; None if it is no base64."""
    decoded = _decoded(data)
    if not decoded:
        return None
    return Audio(data=decoded, media_type=media_type or media_type_of(decoded, "audio/pcm"), signature=signature)


@attrs.define(eq=False)
class AudioBuilder:
    """Sound that is received in pieces, with its transcript.

    Attributes:
        media_type: The media type of the request; None if the bytes decide.
        id: The id under which the provider keeps the sound.
    """

    media_type: str | None = None
    id: str | None = None
    _data: bytearray = attrs.field(factory=bytearray)
    _transcript: GrowingText = attrs.field(factory=GrowingText)
    _rest: str = ""  # characters of base64 that are no whole group of four yet

    @property
    def size(self) -> int:
        """The bytes of sound so far, and the characters of the transcript."""
        return len(self._data) + self._transcript.size

    def add(self, piece: Mapping[str, Any]) -> tuple[bytes, str]:
        """Take a piece, and return its sound and its text."""
        id, data, transcript = piece.get("id"), piece.get("data"), piece.get("transcript")
        if isinstance(id, str) and id:
            self.id = id
        sound, text = self._decode(data) if isinstance(data, str) else b"", ""
        if isinstance(transcript, str):
            text = transcript
            self._transcript.add(text)
        self._data += sound
        return sound, text

    def build(self) -> Audio:
        """Return the sound as far as it was received."""
        data = bytes(self._data)
        return Audio(
            data=data,
            media_type=self.media_type or media_type_of(data, "audio/pcm"),
            transcript=str(self._transcript) or None,
            id=self.id,
        )

    def _decode(self, piece: str) -> bytes:
        text = self._rest + piece
        whole = len(text) - len(text) % 4
        # Each piece may be padded for itself: then it ends with a group of four, as all others do.
        self._rest = text[whole:]
        return _decoded(text[:whole])


def _decoded(text: str) -> bytes:
    """Return the bytes of a base64 text, in either alphabet; b"" if it is none. Padding may end any group of four."""
    if "-" in text or "_" in text:
        text = text.replace("-", "+").replace("_", "/")
    try:
        return b"".join(
            base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True) for piece in text.split("=") if piece
        )
    except (binascii.Error, ValueError):
        return b""
