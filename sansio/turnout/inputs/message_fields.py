"""Reads the fields of a message from a dict: of `Message.to_dict`, or in the form of OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout._utils.hints.values import form_of_part
from turnout._utils.serialization import as_mapping, each, from_plain
from turnout._utils.validation import quoted
from turnout.types.parts import PARTS, Audio, File, Image, Part, Refusal, Text, Thinking
from turnout.types.tools import ToolCall

__all__ = ["message_fields"]

_KINDS: dict[str, type[Part]] = {kind.__name__.lower(): kind for kind in PARTS}
_OPENAI_KINDS = ("image_url", "input_audio")
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
# Fields of one vendor that are written beside the others. They go into `extra`.
_VENDOR_FIELDS = ("cache_control",)
# Fields of an answer in OpenAI's form that do not go back to a provider.
_NOT_SENT_BACK = ("annotations", "audio")


def message_fields(stored: object, where: str) -> dict[str, Any]:
    """Return the fields of `Message` that a dict describes: one of `Message.to_dict`, or one in the form of OpenAI.

    Raises:
        ValueError: If something does not fit. The error names the field, and begins with `where`.
    """
    plain = _without_none(as_mapping(stored, where))
    for name in _NOT_SENT_BACK:
        plain.pop(name, None)
    if plain.get("role") == "function" or "function_call" in plain:
        raise ValueError(f"{where} calls a function in the old form of OpenAI: use tool_calls and the role 'tool'")
    _move_vendor_fields(plain)
    prefix = where if "." in where else ""
    if not isinstance(plain.get("content"), str):
        plain["content"] = [_part(*item) for item in each(plain, "content", prefix)]
    plain["content"] = _with_own_fields(plain)
    plain["tool_calls"] = [_tool_call(*item) for item in each(plain, "tool_calls", prefix)]
    return plain


def _without_none(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if value is not None}


def _move_vendor_fields(plain: dict[str, Any]) -> None:
    moved = {name: plain.pop(name) for name in _VENDOR_FIELDS if name in plain}
    if moved:
        plain["extra"] = {**plain.get("extra", {}), **moved}


def _with_own_fields(plain: dict[str, Any]) -> Any:
    """Return the content with the parts that OpenAI and compatible providers write as fields of the message."""
    reasoning = plain.pop("reasoning_content", None)
    refusal = plain.pop("refusal", None)
    content = plain.get("content")
    if not isinstance(reasoning, str) and not isinstance(refusal, str):
        # An empty text beside tool calls has no meaning.
        return () if content == "" and plain.get("role") == "assistant" else content
    parts: list[Part] = [Thinking(reasoning)] if isinstance(reasoning, str) else []
    if isinstance(content, str):
        parts += [Text(content)] if content else []
    else:
        parts += content or ()
    return [*parts, Refusal(refusal)] if isinstance(refusal, str) else parts


def _tool_call(call: object, where: str) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    plain = _without_none(as_mapping(call, where))
    function = plain.get("function")
    if function is None:
        return from_plain(ToolCall, plain, where)
    function = as_mapping(function, f"{where}.function")
    plain = {name: value for name, value in plain.items() if name not in ("function", "type", "index")}
    return from_plain(ToolCall, {**plain, **_without_none(function)}, where)


def _part(part: object, where: str) -> Part:
    if isinstance(part, PARTS):
        return part
    plain = _without_none(as_mapping(part, where))
    kind = str(name := plain.pop("type", None))
    _move_vendor_fields(plain)
    if kind == "image_url":
        return _image(plain, where)
    if kind == "input_audio":
        return _audio(plain, where)
    if kind == "file" and "file" in plain:
        return _file(plain, where)
    if kind == "refusal" and "refusal" in plain:
        plain["text"] = plain.pop("refusal")
    if kind not in _KINDS:
        known = ", ".join((*_KINDS, *_OPENAI_KINDS))
        raise ValueError(f"{where}.type must be one of {known}, not {quoted(name)}{form_of_part(name)}")
    return from_plain(_KINDS[kind], plain, where)


def _image(plain: dict[str, Any], where: str) -> Part:
    given = plain.pop("image_url", None)
    fields = {"url": given} if isinstance(given, str) else as_mapping(given, f"{where}.image_url")
    return from_plain(Image, {**plain, **_without_none(fields)}, where)


def _audio(plain: dict[str, Any], where: str) -> Part:
    sound = as_mapping(plain.pop("input_audio", None), f"{where}.input_audio")
    format = str(sound.pop("format", None))
    if format not in _AUDIO_TYPES:
        raise ValueError(f"{where}.input_audio.format must be wav or mp3, not {format!r}")
    return from_plain(Audio, {**plain, **sound, "media_type": _AUDIO_TYPES[format]}, where)


def _file(plain: dict[str, Any], where: str) -> Part:
    file = _without_none(as_mapping(plain.pop("file"), f"{where}.file"))
    url = file.pop("file_data", None)
    if isinstance(url, str):
        head, comma, encoded = url.partition(";base64,")
        if not (comma and head.startswith("data:")):
            raise ValueError(f"{where}.file.file_data must be a data URL: data:application/pdf;base64,…")
        file |= {"data": encoded, "media_type": head.removeprefix("data:")}
    return from_plain(File, {**plain, **file}, where)
