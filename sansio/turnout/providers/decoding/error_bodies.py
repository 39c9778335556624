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
# The places of codes, the most precise first. A path has steps; `*` is each member of a list, `|` is between names.
_CODE_FIELDS = "code|error_type|type|status|reason|limit_source|error_code|status_code|__type|name"
_CODE_PATHS = (
    "error.details.error_code",  # Anthropic
    f"layers.*.{_CODE_FIELDS}",
    f"metadata.{_CODE_FIELDS}",
    "error.innererror|inner_error.code",  # Azure
    "error.details.*.reason",  # Google
    "error.details.*.violations.*.quotaId",
)
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
    "resets_in_seconds",
    "reset_in_seconds",
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
        details = parse_error(document)
        if not details.text and isinstance(document, Mapping):
            words = _any_words(document)[:TEXT_LIMIT]
            details = attrs.evolve(details, message=words, text=words)
        return attrs.evolve(details, body=text)
    fields = xml_fields(text)
    if fields:
        return attrs.evolve(parse_error(fields), body=text)
    words = words_of_page(text)
    return ErrorDetails(message=words, text=words, body=text)


def parse_error(value: Any) -> ErrorDetails:
    """Read an error as a JSON value: the whole document, or the content of an event."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        words = value[:TEXT_LIMIT] if isinstance(value, str) else ""
        return ErrorDetails(message=words, text=words)
    layers, words = _layers(value)
    error = layers[0]
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    raw = _text_of(metadata.get("raw"))[:TEXT_LIMIT]
    message = next((text for layer in layers if (text := _message_of(layer))), "") or words
    holder = {"layers": layers, "error": error, "metadata": metadata}
    details = error.get("details")
    message = message[:TEXT_LIMIT]
    return ErrorDetails(
        message=message,
        text=(f"{message}: {raw}" if raw and message else message or raw)[:TEXT_LIMIT],
        codes=tuple(dict.fromkeys((*_codes(holder), *_codes_behind(raw)))),
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
    )


def _details_of(error: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the objects beside an error's words: its `details`, or the metadata of Google's typed ones."""
    details = error.get("details")
    if isinstance(details, Mapping):
        return (details,)
    entries = details[:16] if isinstance(details, list) else []
    metadata = [entry.get("metadata") for entry in entries if isinstance(entry, Mapping)]
    return tuple(value for value in metadata if isinstance(value, Mapping))


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


def _layers(value: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str]:
    """Return the error and what holds it, the innermost first, and the text if the error is one."""
    layers = [value]
    while len(layers) <= MAX_LAYERS:
        outer = layers[0]
        inner = next((outer[name] for name in _HOLDERS if outer.get(name)), None) or _failed_outcome(outer)
        if isinstance(inner, list):
            if not isinstance(inner[0], Mapping) or "loc" in inner[0]:
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
        if not isinstance(inner, Mapping):
            break
        layers.insert(0, inner)
    return layers, ""


def _embedded(text: str) -> Mapping[str, Any] | None:
    """Return the error that a text is as JSON: gateways pass errors on as text."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = decode_any(text.encode("utf-8", "replace"))
    except ValueError:
        return None
    return document if isinstance(document, Mapping) and document else None


def _failed_outcome(value: Mapping[str, Any]) -> Any:
    """Return MiniMax's outcome, which is beside every response; 0 is success."""
    outcome = value.get("base_resp")
    return outcome if isinstance(outcome, Mapping) and outcome.get("status_code") else None


# -- words ----------------------------------------------------------------------------------------------------------


def _message_of(layer: Mapping[str, Any]) -> str:
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
    if isinstance(value, Mapping):
        return next((text for name in _MESSAGE_FIELDS[:4] if (text := _text_of(value.get(name), depth + 1))), "")
    if isinstance(value, list):
        return "; ".join(text for item in value[:8] if (text := _complaint(item, depth + 1)))
    return ""


def _complaint(item: Any, depth: int) -> str:
    """Return one complaint of FastAPI: the place and the words. Its `input` echoes the request and is left out."""
    text = _text_of(item, depth)
    where = item.get("loc") if isinstance(item, Mapping) else None
    if text and isinstance(where, list):
        return f"{'.'.join(str(step) for step in where)}: {text}"
    return text


def _any_words(document: Mapping[str, Any]) -> str:
    """Return the texts of a document of no known shape, each behind its field."""
    found: list[str] = []
    left: list[tuple[str, Any, int]] = [(str(name), value, 0) for name, value in document.items()][::-1]
    while left and len(found) < 12:
        name, value, depth = left.pop()
        if name.lower() in _ECHOES:
            continue
        if isinstance(value, str) and value.strip():
            found.append(f"{name}: {one_line(value)[:400]}")
        elif isinstance(value, Mapping) and depth < MAX_LAYERS:
            left += [(str(key), item, depth + 1) for key, item in value.items()][:20][::-1]
        elif isinstance(value, list) and depth < MAX_LAYERS:
            left += [(name, item, depth + 1) for item in value[:8]][::-1]
    return "; ".join(found)


# -- codes and statuses ---------------------------------------------------------------------------------------------


def _codes(holder: Mapping[str, Any]) -> Iterator[str]:
    for steps in _CODE_STEPS:
        for name, value in _values_at(holder, steps):
            if isinstance(value, float) and value.is_integer():
                value = int(value)  # some gateways write every number as a fraction
            if isinstance(value, int) and not isinstance(value, bool) and not 100 <= value <= 599:
                yield str(value)  # GLM's and SiliconFlow's own numbers
            elif isinstance(value, str) and value.lower() not in _NO_CODES and not _is_http_number(value):
                yield aws_error_type(value) if name == "__type" else value


_CODE_STEPS = tuple(tuple(path.split(".")) for path in _CODE_PATHS)


def _values_at(value: Any, steps: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Return every value at a path, with the name of its field."""
    step, *later = steps
    if step == "*":
        for item in value if isinstance(value, list) else ():
            yield from _values_at(item, tuple(later))
        return
    for name in step.split("|") if isinstance(value, Mapping) else ():
        if name in value and later:
            yield from _values_at(value[name], tuple(later))
        elif name in value:
            yield name, value[name]


def _codes_behind(raw: str) -> tuple[str, ...]:
    """Return the codes of the error that a gateway passes on as text."""
    embedded = _embedded(raw)
    return parse_error(embedded).codes if embedded is not None else ()


def aws_error_type(text: str) -> str:
    """Return the bare name of an error of Amazon: `namespace#ThrottlingException:http://…/`."""
    return text.partition(":")[0].rpartition("#")[2]


def _is_http_number(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


def _status_of(layers: list[Mapping[str, Any]]) -> int | None:
    for layer in layers:
        for name in ("status_code", "code", "status", "http_status_code"):
            value = layer.get(name)
            if isinstance(value, str) and _is_http_number(value):
                value = int(value)
            if isinstance(value, int | float) and 400 <= value <= 599:
                return int(value)
    return None


def _headers_of(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(name), str(text)) for name, text in value.items() if isinstance(text, str | int | float))
