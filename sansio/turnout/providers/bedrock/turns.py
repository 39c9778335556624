"""A conversation as Bedrock's Converse takes it: a system prompt beside turns of two roles, each a list of blocks.

Source: the Amazon Bedrock API reference, "Converse" and "ContentBlock", and the service's own model in botocore.

- System and developer messages go to the system prompt from every place; what turns and ids are like is in
  `turnout.providers.encoding.alternating_turns`.
- Text that is blank is refused in a turn, and models do write it before they call a tool: it is left out.
- An assistant's turn gets back its reasoning with the signatures, and its opaque blocks, if a model of the same
  maker wrote it on Bedrock: another's would be refused.
- A `cachePoint` in the `extra` of a part, a message or a tool becomes a block behind it; so does Anthropic's
  `cache_control`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from turnout.chat import ChatRequest
from turnout.errors import CapabilityUnsupported
from turnout.messages import Audio, File, Image, Message, Opaque, Part, Refusal, Role, Text, Thinking, ToolCall
from turnout.providers.encoding.alternating_turns import Turns
from turnout.providers.encoding.call_ids import CallIds
from turnout.providers.encoding.tool_arguments import arguments_object

__all__ = ["Conversation", "begins_with_thinking", "family_of", "with_cache_point"]

FAMILY = "bedrock"
# Ids are `maker.model`, behind a region's prefix if they name an inference profile; ARNs end with one of these.
_MAKER = re.compile(r"(?:.*/)?(?:(?:[a-z]{2}(?:-gov)?|apac|global)\.)?([a-z0-9]+)\.")
_ID_LENGTH = 64
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_VIDEOS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_SOUNDS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/webm": "webm",
}
# The kinds of blocks that hold media, each with its formats.
_MEDIA = {"image": _IMAGES, "document": _DOCUMENTS, "video": _VIDEOS, "audio": _SOUNDS}
_NO_NAME = re.compile(r"[^a-zA-Z0-9\s\-()\[\]]")
_SPACES = re.compile(r"\s+")


def family_of(model_id: str) -> str:
    """Return the family that understands answers of this model: its maker's models on Bedrock, or the model alone."""
    maker = _MAKER.match(model_id)
    return f"{FAMILY}/{maker[1] if maker else model_id}"


def begins_with_thinking(message: Message, family: str) -> bool:
    """Whether the turn that is sent for this message to `family` starts with reasoning."""
    if message.origin != family or not message.content:
        return False
    match message.content[0]:
        case Thinking(signature=signature):
            return signature is not None
        case Opaque(json=json):
            return json.lstrip().startswith(b'{"reasoningContent"')
        case _:
            return False


def with_cache_point(block: dict[str, Any], extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the block, and behind it the cache point of `extra`, if it has one."""
    point = _cache_point(dict(extra))
    return [block] if point is None else [block, point]


def _cache_point(extra: dict[str, Any]) -> dict[str, Any] | None:
    """Return the cache point in these fields, and remove it from them."""
    own, other = extra.pop("cachePoint", None), extra.pop("cache_control", None)
    if own is not None:
        return {"cachePoint": own}
    if not isinstance(other, Mapping):
        return None
    return {"cachePoint": {"type": "default", **({"ttl": other["ttl"]} if "ttl" in other else {})}}


@attrs.define
class Conversation:
    """The blocks of the system prompt and the turns so far.

    family  of the model (`family_of`)
    called  whether some turn holds a call of a tool, or its result

    Raises:
        CapabilityUnsupported: If a part has no form in this API.
    """

    family: str
    system: list[dict[str, Any]] = attrs.field(factory=list)
    turns: Turns = attrs.field(factory=Turns)
    called: bool = False
    _ids: CallIds = attrs.field(factory=lambda: CallIds(_ID_LENGTH, restricted=True))
    _names: set[str] = attrs.field(factory=set)

    @classmethod
    def of(cls, request: ChatRequest, family: str) -> Conversation:
        made = cls(family)
        for message in request.messages:
            made.add(message)
        made.turns.strip_prefill()
        if not made.turns.turns:
            raise CapabilityUnsupported(f"{request.model}: a system prompt alone cannot be sent; add a user's message")
        return made

    def add(self, message: Message) -> None:
        extra = dict(message.extra)
        point = _cache_point(extra)
        behind = [point] if point is not None else []
        match message.role:
            case Role.SYSTEM | Role.DEVELOPER:
                blocks = [block for part in message.content for block in self._system_blocks(part)]
                self.system += blocks + (behind if blocks else [])
            case Role.TOOL:
                self.called = True
                result = {"toolResult": self._tool_result(message) | extra}
                self.turns.add("user", [result, *behind], {}, results=True)
            case Role.USER:
                blocks = [block for part in message.content for block in self._blocks(part)]
                self.turns.add("user", blocks + (behind if blocks else []), extra)
            case Role.ASSISTANT:
                blocks = self._assistant_blocks(message)
                self.turns.add("assistant", blocks + (behind if blocks else []), extra)

    def _assistant_blocks(self, message: Message) -> list[Any]:
        own = message.origin == self.family
        blocks: list[Any] = []
        for part in message.content:
            match part:
                case Thinking():
                    if own and part.signature is not None:
                        text = {"text": part.text, "signature": part.signature}
                        blocks.append({"reasoningContent": {"reasoningText": text}})
                case Opaque():
                    if own:
                        blocks.append(msgspec.Raw(part.json))
                case Refusal():
                    if part.text.strip():
                        blocks.append({"text": part.text})
                case _:
                    blocks += self._blocks(part)
        self._ids.begin(message.tool_calls)
        self.called = self.called or bool(message.tool_calls)
        return blocks + [{"toolUse": self._tool_use(call)} for call in message.tool_calls]

    def _tool_use(self, call: ToolCall) -> dict[str, Any]:
        return {
            "toolUseId": self._ids.new(call),
            "name": call.name,
            "input": arguments_object(call),
            **call.extra,
        }

    def _tool_result(self, message: Message) -> dict[str, Any]:
        content = [block for part in message.content for block in self._blocks(part)]
        result: dict[str, Any] = {"toolUseId": self._ids.of_result(message), "content": content}
        if message.is_error:
            # Not every model takes the field, so success has none; and an error without a word is refused.
            result |= {"content": content or [{"text": "error"}], "status": "error"}
        return result

    def _system_blocks(self, part: Part) -> list[dict[str, Any]]:
        if not isinstance(part, Text):
            raise CapabilityUnsupported(f"{FAMILY}: a system prompt can only hold text, not a {type(part).__name__}")
        return self._blocks(part)

    def _blocks(self, part: Part) -> list[dict[str, Any]]:
        """The block that a part becomes, and the cache point behind it; nothing for a blank text."""
        match part:
            case Text():
                if not part.text.strip():
                    return []
                block: dict[str, Any] = {"text": part.text}
            case Image():
                block = self._media("image", part)
            case Audio():
                block = self._media("audio", part)
            case File():
                if part.file_id is not None:
                    raise CapabilityUnsupported(f"{FAMILY}: keeps no files; give their bytes, or where they are on S3")
                block = self._media(_kind_of(part), part)
            case _:
                raise CapabilityUnsupported(f"{FAMILY}: a {type(part).__name__} cannot be sent in a message")
        extra = dict(part.extra)
        point = _cache_point(extra)
        if isinstance(part, Text):
            block |= extra
        else:
            block = {kind: fields | extra for kind, fields in block.items()}
        return [block] if point is None else [block, point]

    def _media(self, kind: str, part: Image | Audio | File) -> dict[str, Any]:
        url = None if isinstance(part, Audio) else part.url
        media_type, data = part.media_type or "", part.data
        if data is None and url is not None and url.startswith("data:"):
            media_type, _, encoded = url.removeprefix("data:").partition(";base64,")
            source: dict[str, Any] = {"bytes": encoded}
        elif data is not None:
            source = {"bytes": base64.b64encode(data).decode()}
        elif url is not None and url.startswith("s3://"):
            source = {"s3Location": {"uri": url}}
        else:
            raise CapabilityUnsupported(f"{FAMILY}: takes {kind}s by their bytes or from S3; fetch {url}")
        fields: dict[str, Any] = {"format": _format(kind, media_type, url), "source": source}
        if kind == "document":
            fields["name"] = self._new_name(part.filename if isinstance(part, File) else None)
        return {kind: fields}

    def _new_name(self, filename: str | None) -> str:
        """A name for a document: in the letters that are allowed, and no two alike in one conversation."""
        stem = (filename or "").rpartition("/")[2].rpartition(".")
        wanted = made = _SPACES.sub(" ", _NO_NAME.sub("-", stem[0] or stem[2])).strip()[:190] or "document"
        count = 1
        while made in self._names:
            count += 1
            made = f"{wanted}-{count}"
        self._names.add(made)
        return made


def _kind_of(part: File) -> str:
    family = (part.media_type or "").partition("/")[0]
    return family if family in ("image", "video", "audio") else "document"


def _format(kind: str, media_type: str, url: str | None) -> str:
    formats = _MEDIA[kind]
    plain = media_type.partition(";")[0].strip().lower()
    if plain in formats:
        return formats[plain]
    ending = (url or "").rpartition(".")[2].lower().replace("jpg", "jpeg")
    if not plain and ending in formats.values():
        return ending
    if kind == "document" and plain.startswith("text/"):
        return "txt"
    told = media_type or f"a file ending in {ending!r}"
    raise CapabilityUnsupported(
        f"{FAMILY}: takes a {kind} as {', '.join(sorted(set(formats.values())))}, not as {told}"
    )
