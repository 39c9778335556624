"""The shapes that providers give their errors, read into one: `ErrorDetails`.

{"error": {"message", "type", "code", "param", …}}     OpenAI and most others; Google with `details`
{"error": {"message", "type", "details": {…}}}         Anthropic
{"error": "text"}   {"code": "…", "error": "text"}     Ollama; xAI
{"errors": {"message"}, "request_id"}                  ModelScope
{"code", "message", "data"}   {"object": "error", …}   SiliconFlow, Cerebras, Mistral
{"detail": "text"}   {"detail": [{"loc", "msg"}]}      Mistral, FastAPI servers
{"detail": {"error": {…}}}   {"error": {"error": {…}}} servers behind one of the others
{"message"}   {"__type", "Message"}                    Bedrock
{"id", "message", "error_type"}                        Cohere
"text"   [{"error": {…}}]                              SiliconFlow; Google without alt=sse
{"base_resp": {"status_code", "status_msg"}}           MiniMax
data: {"error": {…}}                                   gateways that frame errors as an event stream
XML, HTML, plain text, nothing                         whatever is before the provider

A body of an error status that has no known shape shows the texts that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout.framing.sse import SseParser
from turnout.providers.decoding.error_pages import TEXT_LIMIT, one_line, words_of_page, xml_fields
from turnout.providers.json_codec import decode_any

__all__ = ["ErrorDetails", "aws_error_type", "parse_error", "read_error_body"]

# The fields that hold an error, or another holder of one.
_HOLDERS = ("error", "errors", "Error", "detail", "exception", "fault")
MAX_LAYERS = 4
# The fields of codes, the most precise first.
_CODE_FIELDS = (
    "code",
    "error_type",
    "type",
    "status",
    "reason",
    "limit_source",
    "error_code",
    "status_code",
    "__type",
    "name",
)
_CODE_NAMES = frozenset(_CODE_FIELDS)
_STATUS_FIELDS = ("status_code", "code", "status", "http_status_code")
_STATUS_NAMES = frozenset(_STATUS_FIELDS)
_MESSAGE_FIELDS = (
    "message",
    "Message",
    "msg",
    "detail",
    "error_description",
    "error_msg",
    "status_msg",
    "error_message",
    "errorMessage",
    "errmsg",
    "faultstring",
    "description",
    "title",
)
_WAIT_FIELDS = (
    "retry_after_ms",
    "retryAfterMs",
    "retry_after",
    "retryAfter",
    "retry_after_seconds",
    "retryAfterSeconds",
    "retry_after_sec",
    "retry_in",
    "retry_in_seconds",
    "retryDelay",
    "retry_delay",
    "resets_in_seconds",
    "reset_in_seconds",
    "reset_seconds",
    "reset_after_seconds",
    "cooldown_seconds",
    "reset_after",
    "resets_in",
    "reset_in",
    "wait_seconds",
    "resets_at",
    "reset_at",
    "resetsAt",
    "reset_time",
    "quotaResetDelay",
    "quotaResetTimeStamp",
)
_WAIT_NAMES = frozenset(_WAIT_FIELDS)
_NO_CODES = frozenset({"", "error", "none", "null"})
# Fields of unknown documents that echo the request.
_ECHOES = frozenset({"input", "request", "prompt", "messages", "body", "url", "headers", "ctx"})


@attrs.frozen(kw_only=True)
class ErrorDetails:
    """The contents of an error.

    Attributes:
        message: Its words.
        text: Its words and those of the error behind it (a gateway's `metadata.raw`).
        codes: Codes, types and reasons as text, the most precise first. Bare HTTP numbers are left out.
        status: The HTTP status that the body implies, 400 to 599.
        details: Google's typed details.
        waits: The fields with a time to wait, by name.
        headers: The header fields of the error behind it.
        request_id: The provider's id for the request.
        body: The body as text.
    """

    message: str = ""
    text: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None
    details: tuple[Any, ...] = ()
    waits: Mapping[str, Any] = attrs.field(factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None
    body: str = ""


def read_error_body(body: bytes) -> ErrorDetails:
    """Read any body of an error status; never raises."""
    text = body.decode("utf-8", "replace")
    document = _document(body, text)
    if document is not None:
        details = parse_error(document, text)
        if not details.text and isinstance(document, dict):
            words = _any_words(document)[:TEXT_LIMIT]
            details = attrs.evolve(details, message=words, text=words)
        return details
    fields = xml_fields(text)
    if fields:
        return parse_error(fields, text)
    words = words_of_page(text)
    return ErrorDetails(message=words, text=words, body=text)


def parse_error(value: Any, body: str = "") -> ErrorDetails:
    """Read an error as a JSON value: the whole document, or the content of an event.

    Args:
        value: The decoded JSON value.
        body: The document as text, if it is a whole one.
    """
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        words = value[:TEXT_LIMIT] if isinstance(value, str) else ""
        return ErrorDetails(message=words, text=words, body=body)
    layers, words = _layers(value)
    error = layers[0]
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    raw = _text_of(metadata.get("raw"))[:TEXT_LIMIT]
    message = next((text for layer in layers if (text := _message_of(layer))), "") or words
    details = error.get("details")
    message = message[:TEXT_LIMIT]
    codes = _codes(layers, metadata)
    return ErrorDetails(
        message=message,
        text=(f"{message}: {raw}" if raw and message else message or raw)[:TEXT_LIMIT],
        codes=tuple(dict.fromkeys((*codes, *_codes_behind(raw)) if raw else codes)),
        status=_status_of(layers),
        details=tuple(details) if isinstance(details, list) else (),
        waits={
            name: layer[name]
            for layer in (metadata, *_details_of(error), *reversed(layers))
            if not _WAIT_NAMES.isdisjoint(layer)
            for name in _WAIT_FIELDS
            if isinstance(layer.get(name), int | float | str)
        },
        headers=_headers_of(metadata.get("headers")),
        request_id=next((id for layer in layers if isinstance(id := layer.get("request_id"), str)), None),
        body=body,
    )


def _details_of(error: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the objects beside an error's words: its `details` or `data`, or the metadata of Google's typed ones."""
    details = error.get("details") or error.get("data")
    if isinstance(details, dict):
        return (details,)
    entries = details[:16] if isinstance(details, list) else []
    metadata = [entry.get("metadata") for entry in entries if isinstance(entry, dict)]
    return tuple(value for value in metadata if isinstance(value, dict))


# -- documents ------------------------------------------------------------------------------------------------------


def _document(body: bytes, text: str) -> Any:
    """Return the JSON value that the body holds, also inside an event stream; None if it holds none."""
    try:
        return decode_any(body)
    except ValueError:
        pass
    if text.lstrip("\ufeff \r\n\t").startswith(("data:", "event:", "error:", ":")):
        for data in _event_data(body):
            try:
                return decode_any(data)
            except ValueError:
                continue
    return None


def _event_data(body: bytes) -> Iterator[bytes]:
    parser = SseParser()
    for event in (*parser.receive_data(body), *parser.receive_end()):
        yield event.data
    for line in parser.stray.splitlines():
        yield line.removeprefix(b"error:").strip()


def _layers(value: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Return the error and what holds it, the innermost first, and the text if the error is one."""
    layers = [value]
    while len(layers) <= MAX_LAYERS:
        outer = layers[0]
        inner = next((outer[name] for name in _HOLDERS if outer.get(name)), None) or _failed_outcome(outer)
        if isinstance(inner, list):
            if not isinstance(inner[0], dict) or "loc" in inner[0]:
                return layers, _text_of(inner)
            inner = inner[0]
        if isinstance(inner, str):
            embedded = _embedded(inner)
            if embedded is None:
                return layers, inner
            inner = embedded
        if inner is None or isinstance(inner, bool):
            message = outer.get("message")
            inner = _embedded(message) if isinstance(message, str) else message
        if not isinstance(inner, dict):
            break
        layers.insert(0, inner)
    return layers, ""


def _embedded(text: str) -> dict[str, Any] | None:
    """Return the error that a text is as JSON: gateways pass errors on as text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = decode_any(text.encode("utf-8", "replace"))
    except ValueError:
        return None
    return document if isinstance(document, dict) and document else None


def _failed_outcome(value: dict[str, Any]) -> Any:
    """Return MiniMax's outcome, which is beside every response; 0 is success."""
    outcome = value.get("base_resp")
    return outcome if isinstance(outcome, dict) and outcome.get("status_code") else None


# -- words ----------------------------------------------------------------------------------------------------------


def _message_of(layer: dict[str, Any]) -> str:
    for name in _MESSAGE_FIELDS:
        if text := _text_of(layer.get(name)):
            return text
    return ""


def _text_of(value: Any, depth: int = 0) -> str:
    """Return the words of a string, of an object around one, or of a list of complaints."""
    if isinstance(value, str):
        return value
    if depth >= MAX_LAYERS:
        return ""
    if isinstance(value, dict):
        return next((text for name in _MESSAGE_FIELDS[:4] if (text := _text_of(value.get(name), depth + 1))), "")
    if isinstance(value, list):
        return "; ".join(text for item in value[:8] if (text := _complaint(item, depth + 1)))
    return ""


def _complaint(item: Any, depth: int) -> str:
    """Return one complaint of FastAPI: the place and the words. Its `input` echoes the request and is left out."""
    text = _text_of(item, depth)
    where = item.get("loc") if isinstance(item, dict) else None
    if text and isinstance(where, list):
        return f"{'.'.join(str(step) for step in where)}: {text}"
    return text


def _any_words(document: dict[str, Any]) -> str:
    """Return the texts of a document of no known shape, each behind its field."""
    found: list[str] = []
    left: list[tuple[str, Any, int]] = [(str(name), value, 0) for name, value in document.items()][::-1]
    while left and len(found) < 12:
        name, value, depth = left.pop()
        if name.lower() in _ECHOES:
            continue
        if isinstance(value, str) and value.strip():
            found.append(f"{name}: {one_line(value)[:400]}")
        elif isinstance(value, dict) and depth < MAX_LAYERS:
            left += [(str(key), item, depth + 1) for key, item in value.items()][:20][::-1]
        elif isinstance(value, list) and depth < MAX_LAYERS:
            left += [(name, item, depth + 1) for item in value[:8]][::-1]
    return "; ".join(found)


# -- codes and statuses ---------------------------------------------------------------------------------------------


def _codes(layers: list[dict[str, Any]], metadata: dict[str, Any]) -> list[str]:
    """Return all codes of an error, the most precise first. They may repeat."""
    error = layers[0]
    details = error.get("details")
    found: list[tuple[str, Any]] = []
    if isinstance(details, dict):  # Anthropic
        found.append(("error_code", details.get("error_code")))
    for holder in (*layers, metadata):
        if not _CODE_NAMES.isdisjoint(holder):
            found += [(name, holder[name]) for name in _CODE_FIELDS if name in holder]
    for inner in (error.get("innererror"), error.get("inner_error")):  # Azure
        if isinstance(inner, dict):
            found.append(("code", inner.get("code")))
    if isinstance(details, list):  # Google
        entries = [entry for entry in details if isinstance(entry, dict)]
        found += [("reason", entry.get("reason")) for entry in entries]
        violations = [entry["violations"] for entry in entries if isinstance(entry.get("violations"), list)]
        found += [("quotaId", item.get("quotaId")) for each in violations for item in each if isinstance(item, dict)]
    return [code for name, value in found if (code := _code(name, value))]


def _code(name: str, value: Any) -> str:
    """Return the value of a field as a code; "" if it is none."""
    if isinstance(value, str):
        if value.lower() in _NO_CODES or _is_http_number(value):
            return ""
        return aws_error_type(value) if name == "__type" else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some gateways write every number as a fraction
    if isinstance(value, int) and not isinstance(value, bool) and not 100 <= value <= 599:
        return str(value)  # GLM's and SiliconFlow's own numbers
    return ""


def _codes_behind(raw: str) -> tuple[str, ...]:
    """Return the codes of the error that a gateway passes on as text."""
    embedded = _embedded(raw)
    return parse_error(embedded).codes if embedded is not None else ()


def aws_error_type(text: str) -> str:
    """Return the bare name of an error of Amazon: `namespace#ThrottlingException:http://…/`."""
    return text.partition(":")[0].rpartition("#")[2]


def _is_http_number(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


def _status_of(layers: list[dict[str, Any]]) -> int | None:
    for layer in layers:
        if _STATUS_NAMES.isdisjoint(layer):
            continue
        for name in _STATUS_FIELDS:
            value = layer.get(name)
            if isinstance(value, str) and _is_http_number(value):
                value = int(value)
            if isinstance(value, int | float) and 400 <= value <= 599:
                return int(value)
    return None


def _headers_of(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((str(name), str(text)) for name, text in value.items() if isinstance(text, str | int | float))
