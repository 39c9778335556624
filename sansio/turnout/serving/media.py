"""Media inside requests: data URLs and base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from turnout.messages import Audio, File, Image
from turnout.serving.fields import Fields

__all__ = ["audio_of", "data_url", "decode_base64", "encoded_image", "file_of_data_url", "image_of", "image_url"]

_AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_DETAILS: Final = ("auto", "low", "high")


def data_url(media_type: str, encoded: str) -> str:
    """Return the data URL of bytes that are in base64 already."""
    return f"data:{media_type};base64,{encoded}"


def encoded_image(image: Image) -> str | None:
    """Return the base64 of an image, None if only its URL is known."""
    if image.data is not None:
        return base64.b64encode(image.data).decode()
    head, comma, encoded = (image.url or "").partition(";base64,")
    return encoded if comma and head.startswith("data:") else None


def image_url(image: Image) -> str:
    """Return the URL of an image, a data URL for its bytes."""
    if image.data is not None:
        return data_url(image.media_type or "", base64.b64encode(image.data).decode())
    return image.url or ""


def decode_base64(fields: Fields, name: str) -> bytes:
    """Return the bytes of a field in base64."""
    return _decode(fields, name, fields.required_text(name))


def _decode(fields: Fields, name: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise fields.rejected(name, "must be base64") from None


def image_of(fields: Fields, name: str, extra: Mapping[str, Any]) -> Image:
    """Return the image of a URL and its `detail`. A data URL is kept as it is."""
    detail = fields.one_of("detail", _DETAILS)
    url = fields.required_text(name)
    match detail:
        case "low" | "high" | "auto":
            return Image(url, detail=detail, extra=extra)
        case _:
            return Image(url, extra=extra)


def audio_of(fields: Fields, extra: Mapping[str, Any]) -> Audio:
    """Return the sound of `data` and `format`, as chat completions and Responses have it."""
    format = fields.one_of("format", _AUDIO_TYPES)
    if format is None:
        raise fields.missing("format")
    return Audio(data=decode_base64(fields, "data"), media_type=_AUDIO_TYPES[format], extra=extra)


def file_of_data_url(fields: Fields, name: str, filename: str | None, extra: Mapping[str, Any]) -> File:
    """Return the file of a field that holds a data URL, or another URL."""
    url = fields.required_text(name)
    if not url.startswith("data:"):
        return File(url=url, filename=filename, extra=extra)
    media_type, comma, encoded = url.removeprefix("data:").partition(",")
    media_type, _, coding = media_type.partition(";")
    if not comma or coding.split(";")[-1] != "base64" or not media_type:
        raise fields.rejected(name, "must be a data URL such as data:application/pdf;base64,…")
    return File(data=_decode(fields, name, encoded), media_type=media_type, filename=filename, extra=extra)
