"""Reads the files of images, sound and documents. `Image.from_path` and its siblings call it."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path
from typing import Any

__all__ = ["read_media"]

# The first bytes of a file, for files with a wrong name or none.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# The names that providers accept, if Python's table has a different one.
_USUAL = {"audio/x-wav": "audio/wav", "audio/vnd.wave": "audio/wav", "audio/x-flac": "audio/flac"}


def read_media(path: str | os.PathLike[str], kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a part: the bytes of the file, their media type, and the name of a document.

    Args:
        path: The file.
        kind: `image`, `audio`, or "" for any document.
        fields: The fields that the caller gave. They are kept.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the media type is not known, or is of another kind.
    """
    file = Path(path).expanduser()
    data = file.read_bytes()
    media_type = fields.get("media_type") or _media_type(file, data)
    if media_type is None:
        raise ValueError(f"the media type of {file} is not known: give it, as in from_path(path, media_type='…')")
    if kind and not media_type.startswith(f"{kind}/"):
        raise ValueError(f"{file} is of the type {media_type}, which is not {kind}")
    named = {} if kind else {"filename": file.name}
    return {**named, **fields, "data": data, "media_type": media_type}


def _media_type(file: Path, data: bytes) -> str | None:
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    guessed = mimetypes.guess_type(file.name)[0]
    return _USUAL.get(guessed, guessed) if guessed is not None else None
