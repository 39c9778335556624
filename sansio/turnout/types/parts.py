"""The parts of a message: text, images, sound, files, and data that only its provider understands."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

import attrs

from turnout._utils.names import Advised, Elsewhere
from turnout._utils.serialization import to_plain
from turnout._utils.validation import CheckedFields, deep_copy, json_values, string

if TYPE_CHECKING:
    from typing import Protocol

    class PathLike(Protocol):
        """A path of any library."""

        def __fspath__(self) -> str: ...


__all__ = [
    "PARTS",
    "Audio",
    "Commentary",
    "File",
    "Image",
    "Opaque",
    "Part",
    "Refusal",
    "Text",
    "Thinking",
    "extra_fields",
]


# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:").match


def _extra(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return deep_copy(value, "extra must be a mapping such as {'anthropic': {…}}")


def extra_fields() -> Any:
    """Return the field `extra` of a class of the vocabulary."""
    return attrs.field(factory=dict, converter=_extra, validator=json_values, kw_only=True)


def _media(instance: Image | Audio | File) -> None:
    kind = type(instance).__name__
    url = None if isinstance(instance, Audio) else instance.url
    if url is not None and not isinstance(url, str):
        raise TypeError(f"{kind}.url must be a str, not {type(url).__name__}: {kind}.from_path reads a file")
    if url is not None and not _URL(url):
        raise ValueError(f"{kind}.url must begin with https: or another scheme; {kind}.from_path({url!r}) reads a file")
    if instance.data is not None and not isinstance(instance.data, bytes):
        raise TypeError(f"{type(instance).__name__}.data must be bytes, not {type(instance.data).__name__}")
    if instance.data is not None and not instance.media_type:
        raise ValueError(f"{type(instance).__name__}.media_type must be the type of `data`, for example 'image/png'")


class _Part:
    __slots__ = ()

    def to_dict(self: Any) -> dict[str, Any]:
        """Return plain values for JSON, with the kind of the part as `type`. Bytes become base64."""
        return {"type": type(self).__name__.lower(), **to_plain(self)}


class _MediaPart(_Part, Advised, CheckedFields):
    __slots__ = ()

    _media_kind: ClassVar[str]

    @classmethod
    def from_path(cls, path: str | PathLike, **fields: Any) -> Self:
        """Return the part of a file. `media_type` follows from its bytes or its name, if it is not given.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If its media type is not known.
        """
        # The package of I/O reads the file, because the core does none.
        read = importlib.import_module("turnout_io.media_files").read_media(path, cls._media_kind, fields)
        return cls(**read)


@attrs.frozen
class Text(_Part):
    """Plain text.

    Attributes:
        text: The text, verbatim.
        signature: A provider's proof that goes back with this part (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = extra_fields()

    @classmethod
    def of(cls, text: str) -> Self:
        """Return a text and nothing else. Its type is not checked: the caller knows it."""
        made = object.__new__(cls)
        put = object.__setattr__
        put(made, "text", text)
        put(made, "signature", None)
        put(made, "extra", {})
        return made


@attrs.frozen
class Thinking(_Part):
    """Reasoning text that a model showed. It goes back only to the provider family that made it.

    Attributes:
        text: The text, verbatim.
        signature: A provider's proof that goes back with this part (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = extra_fields()


@attrs.frozen
class Commentary(_Part):
    """Text of an assistant's turn that is not the final answer: the model's next steps, for the user to read.

    OpenAI marks it with the phase `commentary`. `Message.text` leaves it out.

    Attributes:
        text: The text, verbatim.
        extra: Fields that the provider gets with this part.
    """

    text: str = attrs.field(validator=string)
    extra: Mapping[str, Any] = extra_fields()


@attrs.frozen
class Refusal(_Part):
    """The model's reason not to answer, in its own words."""

    text: str = attrs.field(validator=string)


@attrs.frozen
class Image(_MediaPart):
    """An image: by its URL, or by its bytes and their media type.

    Attributes:
        url: A URL of the scheme http, https or data, or a provider's URI of a file.
        data: The bytes of the image.
        media_type: The media type of the bytes, such as `image/png`.
        detail: How closely the model looks at the image.
        signature: A provider's proof that goes back with an image that its model made (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    _media_kind: ClassVar[str] = "image"

    url: str | None = None
    data: bytes | None = attrs.field(default=None, kw_only=True, repr=False)
    media_type: str | None = attrs.field(default=None, kw_only=True)
    detail: Literal["auto", "low", "high"] | None = attrs.field(default=None, kw_only=True)
    signature: str | None = attrs.field(default=None, kw_only=True, repr=False)
    extra: Mapping[str, Any] = extra_fields()

    if not TYPE_CHECKING:
        from_url = Elsewhere("write Image('https://…')")
        from_file = Elsewhere("write Image.from_path('yard.jpg')")
        open = Elsewhere("write Image.from_path('yard.jpg')")
        from_bytes = Elsewhere("write Image(data=…, media_type='image/png')")
        from_base64 = Elsewhere("write Image(data=base64.b64decode(…), media_type='image/png')")

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise ValueError("Image needs either url or data, and not both")
        _media(self)


@attrs.frozen(kw_only=True)
class Audio(_MediaPart):
    """Sound.

    Attributes:
        data: The bytes of the sound.
        media_type: The media type of the bytes, such as `audio/wav`.
        transcript: The words of sound that a model made.
        id: The id under which a provider keeps sound that its model made; OpenAI takes it back in place of the bytes.
        signature: A provider's proof that goes back with sound that its model made (see `Message.origin`).
        extra: Fields that the provider gets with this part.
    """

    _media_kind: ClassVar[str] = "audio"

    data: bytes = attrs.field(repr=False)
    media_type: str
    transcript: str | None = None
    id: str | None = None
    signature: str | None = attrs.field(default=None, repr=False)
    extra: Mapping[str, Any] = extra_fields()

    if not TYPE_CHECKING:
        from_url = Elsewhere("write Audio(data=…, media_type='audio/wav')")
        from_file = Elsewhere("write Audio.from_path('call.wav')")
        open = Elsewhere("write Audio.from_path('call.wav')")
        from_bytes = Elsewhere("write Audio(data=…, media_type='audio/wav')")
        from_base64 = Elsewhere("write Audio(data=base64.b64decode(…), media_type='audio/wav')")

    def __attrs_post_init__(self) -> None:
        _media(self)


@attrs.frozen(kw_only=True)
class File(_MediaPart):
    """A document: by its bytes and media type, by URL, or by the id under which a provider keeps it.

    `from_path` also takes over the name of the file.
    """

    _media_kind: ClassVar[str] = ""

    data: bytes | None = attrs.field(default=None, repr=False)
    media_type: str | None = None
    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    extra: Mapping[str, Any] = extra_fields()

    if not TYPE_CHECKING:
        from_url = Elsewhere("write File(url='https://…')")
        from_file = Elsewhere("write File.from_path('plan.pdf')")
        open = Elsewhere("write File.from_path('plan.pdf')")
        from_bytes = Elsewhere("write File(data=…, media_type='application/pdf')")
        from_base64 = Elsewhere("write File(data=base64.b64decode(…), media_type='application/pdf')")

    def __attrs_post_init__(self) -> None:
        if sum(given is not None for given in (self.data, self.url, self.file_id)) != 1:
            raise ValueError("File needs exactly one of data, url and file_id")
        _media(self)


@attrs.frozen
class Opaque(_Part):
    """A part of a response that no other class describes. It is kept as raw JSON and sent back unchanged.

    Only the provider family in the message's `origin` receives it, and no other.
    """

    json: bytes = attrs.field(repr=lambda value: f"<{len(value)} bytes>")


Part: TypeAlias = Text | Thinking | Commentary | Refusal | Image | Audio | File | Opaque
PARTS = (Text, Thinking, Commentary, Refusal, Image, Audio, File, Opaque)
