"""The request of `turnout chat`: text from the command line and stdin, attachments, settings and a schema."""

from __future__ import annotations

import json
import mimetypes
import os
import re
import shlex
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import click

from turnout._utils.documents import DocumentError, decode_text, parse_json
from turnout._utils.names import nearest
from turnout.chat import ModelConfig, ResponseFormat
from turnout.messages import Audio, File, Image, Message, Part, Text
from turnout.providers.decoding.media import media_type_of

__all__ = ["read_question", "read_stdin", "response_format_of", "with_settings"]

# Beside the file types that the standard library knows.
_MEDIA_TYPES = {".webp": "image/webp", ".heic": "image/heic", ".m4a": "audio/mp4", ".flac": "audio/flac"}
_URL = re.compile(r"(https?|data):", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def read_question(prompt: str | None, attachments: Iterable[str]) -> Message:
    """Return the user's message: stdin, then PROMPT, then the attachments.

    Args:
        prompt: PROMPT; "-" or None for stdin alone.
        attachments: Paths, URLs, or "-" for stdin.

    Raises:
        click.UsageError: If there is no question, or an attachment cannot be read.
    """
    names = list(attachments)
    if names.count("-") + (prompt == "-") > 1:
        raise click.UsageError('stdin can be read only once: give "-" only once')
    data = _stdin_data(is_wanted="-" in names or prompt == "-", can_wait=prompt is None and not names)
    parts = [_attachment(name, data if name == "-" else None) for name in names]
    piped = "" if "-" in names else _text_of(data)
    typed = prompt if prompt is not None and prompt != "-" else ""
    text = "\n\n".join(piece for piece in (piped.strip("\n"), typed) if piece.strip())
    if not text and not parts:
        if prompt is None and not data and sys.stdin is not None and sys.stdin.isatty():
            raise click.UsageError("give a PROMPT, or pipe text into the command")
        raise click.UsageError("the question is empty: PROMPT and stdin have no text")
    return Message.user(*([text] if text else []), *parts)


def read_stdin() -> str:
    """Return all of stdin as text.

    Raises:
        click.UsageError: If it is not UTF-8.
    """
    return _text_of(sys.stdin.buffer.read())


def _stdin_data(*, is_wanted: bool, can_wait: bool) -> bytes:
    """Return the bytes of stdin if an argument is "-", or if stdin is a file or a pipe.

    A terminal is read only for "-", because the user would have to end it with Ctrl-D.
    """
    if sys.stdin is None:
        return b""
    if not is_wanted:
        try:
            mode = os.fstat(sys.stdin.fileno()).st_mode
        except (OSError, ValueError):
            return sys.stdin.buffer.read()  # no file descriptor: the text of a program that runs this command
        if stat.S_ISCHR(mode) and (sys.stdin.isatty() or not can_wait):
            return b""
    return sys.stdin.buffer.read()


def _text_of(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"stdin is not UTF-8 text (byte {error.start}); to send it as a file, give -a - and PROMPT"
        ) from None


def _attachment(name: str, stdin: bytes | None) -> Part:
    if stdin is None and _URL.match(name):
        return _linked(name)
    if stdin is None and (scheme := _SCHEME.match(name)) is not None:
        if scheme[0].lower() == "file://":
            raise click.UsageError(f"-a {name}: give a file by its path: -a {unquote(urlsplit(name).path)}")
        raise click.UsageError(f"-a {name}: of URLs, only http and https can be attached")
    if stdin is not None:
        data, label = stdin, "stdin"
    else:
        path = Path(name).expanduser()
        try:
            data, label = path.read_bytes(), path.name
        except OSError as error:
            raise click.UsageError(f"-a {name}: {error.strerror or error}") from None
    if not data:
        raise click.UsageError(f"-a {name}: it is empty")
    media_type = media_type_of(data, "application/pdf" if data.startswith(b"%PDF-") else _guess(label))
    if media_type.startswith("image/"):
        return Image(data=data, media_type=media_type)
    if media_type.startswith("audio/"):
        return Audio(data=data, media_type=media_type)
    if media_type == "application/pdf":  # one that is all ASCII is no text either
        return File(data=data, media_type=media_type, filename=label)
    try:
        return Text(f"{label}:\n\n{data.decode('utf-8-sig')}")
    except UnicodeDecodeError:
        return File(data=data, media_type=media_type, filename=label)


def _linked(url: str) -> Part:
    if url[:5].lower() == "data:":
        media_type = url[5:].partition(",")[0].partition(";")[0]
    else:
        media_type = _guess(urlsplit(url).path)
    if media_type.startswith("audio/"):
        raise click.UsageError(f"-a {url[:80]}: providers take no URLs of sound; download it and attach the file")
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        return Image(url)
    return File(url=url, media_type=media_type)


def _guess(name: str) -> str:
    extension = os.path.splitext(name)[1].lower()
    return _MEDIA_TYPES.get(extension) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def with_settings(models: Iterable[ModelConfig], options: Iterable[tuple[str, str]]) -> list[ModelConfig]:
    """Return the models with the settings of `-o KEY VALUE`. A value is JSON, or else text.

    Raises:
        click.UsageError: If there is no such setting, or its value cannot be used.
    """
    known = [field.name for field in attrs.fields(ModelConfig)[2:]]
    configured = list(models)
    for key, value in options:
        name = key.replace("-", "_")
        if name not in known:
            raise click.UsageError(f"-o {key}: {_no_setting(key, value, known)}")
        setting: dict[str, Any] = {name: value if name == "reasoning_effort" else _json_or_text(value)}
        try:
            configured = [attrs.evolve(model, **setting) for model in configured]
        except (ValueError, TypeError) as error:
            raise click.UsageError(f"-o {key} {value}: {str(error).removeprefix(f'ModelConfig.{name} ')}") from None
    return configured


# What is no setting of the model, and what does the same.
_NO_SETTINGS: Final = {
    **dict.fromkeys(("response_format", "format", "json", "json_mode", "json_schema"), "JSON is --schema SCHEMA"),
    **dict.fromkeys(("tools", "tool_choice", "functions"), "only programs can give tools: router.run(…, tools=[…])"),
    **dict.fromkeys(("model", "provider"), "the model is -m PROVIDER/MODEL"),
    **dict.fromkeys(("system", "instructions"), "instructions are --system TEXT"),
    "stream": "the answer is streamed, unless --no-stream is given",
}


def _no_setting(key: str, value: str, known: Sequence[str]) -> str:
    name = key.replace("-", "_").lower().strip("_")
    if name in _NO_SETTINGS:
        return f"no such setting; {_NO_SETTINGS[name]}"
    if near := nearest(name, known, 1, 0.8):
        return f"no such setting; did you mean {near[0]}?"
    field = shlex.quote(json.dumps({key: _json_or_text(value)}, ensure_ascii=False))
    return f"no such setting; known are {', '.join(known)}; a field that only the provider knows is -o extra {field}"


def _json_or_text(value: str) -> Any:
    try:
        return parse_json(value)
    except DocumentError:
        return value


def response_format_of(text: str | None, *, strict: bool = True) -> ResponseFormat | None:
    """Return the format of `--schema`: JSON, the path of a JSON file, or a short list of fields.

    The short list is `name, age int, tags`: fields with `str` (the default), `int`, `float` or `bool`, and optionally
    a description after a colon.

    Raises:
        click.UsageError: If it is none of them.
    """
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        return ResponseFormat(_schema(text, "--schema"), strict=strict)
    if os.path.isdir(text) and not _FIELD_NAME.fullmatch(text):
        raise click.UsageError(f"--schema {text}: it is a folder")
    if os.path.exists(text) and not os.path.isdir(text):  # False also for a text that is too long for a path
        return ResponseFormat(_schema_of_file(Path(text), f"--schema {text}"), strict=strict)
    if _SCHEME.match(text):
        raise click.UsageError(f"--schema {text}: a schema is not read from a URL; download it, and give the file")
    if text.endswith(".json"):
        raise click.UsageError(f"--schema {text}: there is no such file")
    return ResponseFormat(_short_schema(text), strict=strict)


def _schema_of_file(path: Path, where: str) -> Mapping[str, Any]:
    try:
        text = decode_text(path.read_bytes())
    except (OSError, DocumentError) as error:
        raise click.UsageError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    return _schema(text, where)


def _schema(text: str, where: str) -> Mapping[str, Any]:
    try:
        schema = parse_json(text)
    except DocumentError as error:
        raise click.UsageError(f"{where}: {error}") from None
    if not isinstance(schema, dict):
        raise click.UsageError(f"{where}: a JSON Schema is an object")
    return schema


_FIELD_NAME = re.compile(r"[\w-]+")
_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def _short_schema(text: str) -> Mapping[str, Any]:
    properties: dict[str, Any] = {}
    for field in re.split(r"\n", text) if "\n" in text else text.split(","):
        head, _, description = field.partition(":")
        words = head.split()
        if not words and not description:
            continue
        is_field = 1 <= len(words) <= 2 and _FIELD_NAME.fullmatch(words[0]) and words[-1] in (words[0], *_TYPES)
        if not is_field:
            raise click.UsageError(
                f"--schema: {field.strip()!r} is no field, and no file; give JSON, a file, or a list such as "
                f"'name, age int' with the types {', '.join(_TYPES)}"
            )
        properties[words[0]] = {"type": _TYPES[words[1] if len(words) == 2 else "str"]}
        if description.strip():
            properties[words[0]]["description"] = description.strip()
    if not properties:
        raise click.UsageError("--schema: it is empty")
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
