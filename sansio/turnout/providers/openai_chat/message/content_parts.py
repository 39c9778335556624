"""The parts of a content that is a list: their texts, and the images and the sound in them.

Sources: the OpenAI API reference, Mistral's (thinking, files and references), Databricks' (summaries with signatures),
and gateways that pass on the blocks of Anthropic or the media of Gemini.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnout.messages import Audio, Image
from turnout.providers.decoding.media import AUDIO_TYPES, audio_of, audio_of_url, image_of, image_of_url

__all__ = ["audio_in", "image_in", "signed_texts", "texts_in"]


def signed_texts(value: object) -> Iterator[tuple[str, str | None]]:
    """Yield the texts of a text, of a part with one, or of a list of either, each with the signature beside it."""
    for piece in value if isinstance(value, list) else [value]:
        text, signature = (piece.get("text"), piece.get("signature")) if isinstance(piece, dict) else (piece, None)
        if isinstance(text, str):
            yield text, signature if isinstance(signature, str) and signature else None


def texts_in(value: object) -> list[str]:
    """Return the texts of a text, of a part with one, or of a list of either."""
    return [text for text, _ in signed_texts(value)]


def image_in(value: object) -> Image | None:
    """Return the image of an entry of `images` or of a content part; None if it is something else."""
    if isinstance(value, str):
        return image_of_url(value)
    if not isinstance(value, dict):
        return None
    for name in ("image_url", "image", "url"):
        given = value.get(name)
        url = given.get("url") if isinstance(given, dict) else given
        if isinstance(url, str) and (name != "url" or "image" in str(value.get("type", "image"))):
            return image_of_url(url)
    data, source = value.get("b64_json"), value.get("source")
    if isinstance(data, str):
        return image_of(data)
    return _image_of_source(source) if isinstance(source, dict) and value.get("type") == "image" else None


def _image_of_source(source: dict[str, Any]) -> Image | None:
    """Return the image of a block of Anthropic's."""
    data, url, media_type = source.get("data"), source.get("url"), source.get("media_type")
    if isinstance(data, str):
        return image_of(data, media_type if isinstance(media_type, str) else None)
    return image_of_url(url) if isinstance(url, str) else None


def audio_in(part: dict[str, Any]) -> Audio | None:
    """Return the sound of a content part; None if it is something else."""
    for name in ("input_audio", "audio"):
        given = part.get(name)
        data = given.get("data") if isinstance(given, dict) else None
        if isinstance(given, dict) and isinstance(data, str):
            return audio_of(data, AUDIO_TYPES.get(str(given.get("format"))))
    given = part.get("audio_url")
    url = given.get("url") if isinstance(given, dict) else given
    return audio_of_url(url) if isinstance(url, str) else None
