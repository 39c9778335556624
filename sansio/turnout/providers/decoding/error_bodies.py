"""The shapes that providers give their errors, read into one: `ErrorDetails`.

{"error": {"message", "type", "code", "param", …}}     OpenAI and most others; Google with `details`
{"error": {"message", "type", "details": {…}}}         Anthropic
{"error": "text"}   {"code": "…", "error": "text"}     Ollama; xAI
{"errors": {"message"}, "request_id"}                  ModelScope
{"code", "message", "data"}   {"object": "error", …}   SiliconFlow, Cerebras, Mistral
{"detail": "text"}   {"detail": [{"loc", "msg"}]}      Mistral, FastAPI servers
{"message"}   {"__type", "Message"}                    Bedrock
{"id", "message", "error_type"}                        Cohere
"text"   [{"error": {…}}]                              SiliconFlow; Google without alt=sse
{"base_resp": {"status_code", "status_msg"}}           MiniMax
HTML, plain text, nothing                              whatever stands before the provider
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout.providers.json_codec import decode_any

__all__ = ["ErrorDetails", "aws_error_type", "parse_error", "read_error_body"]

TEXT_LIMIT = 4_000
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,1000}>")
_SPACE = re.compile(r"\s+")
# Where a code may stand, the most telling first.
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
_MESSAGE_FIELDS = (
    "message",
    "Message",
    "msg",
    "detail",
    "error_description",
    "error_msg",
    "status_msg",
)
_NO_CODES = frozenset({"", "error", "none", "null"})


@attrs.frozen(kw_only=True)
class ErrorDetails:
    """What an error says.

    message     its words
    text        its words and those of the error behind it (a gateway's `metadata.raw`)
    codes       codes, types and reasons as text, the most telling first; bare HTTP numbers are left out
    status      the HTTP status that the body implies, 400 to 599
    details     Google's typed details
    headers     the header fields of the error behind it
    body        the body as text
    """

    message: str = ""
    text: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None
    details: tuple[Any, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None
    body: str = ""


def read_error_body(body: bytes) -> ErrorDetails:
    """Any body of an error status; never raises."""
    text = body.decode("utf-8", "replace")
    try:
        value = decode_any(body)
    except ValueError:
        words = _words_of_page(text)
        return ErrorDetails(message=words, text=words, body=text)
    return attrs.evolve(parse_error(value), body=text)


def parse_error(value: Any) -> ErrorDetails:
    """An error as a JSON value: the whole document, or what an event of a stream holds."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        words = value if isinstance(value, str) else ""
        return ErrorDetails(message=words, text=words)
    inner = next((value[name] for name in ("error", "errors") if value.get(name)), None) or _told_by_minimax(value)
    if isinstance(inner, list) and inner:
        inner = inner[0]
    error: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    layers = [error, value]
    message = _message_of(error) or (inner if isinstance(inner, str) else "") or _message_of(value)
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    raw = _text_of(metadata.get("raw"))
    request_id = next((layer["request_id"] for layer in layers if isinstance(layer.get("request_id"), str)), None)
    details = error.get("details")
    return ErrorDetails(
        message=message[:TEXT_LIMIT],
        text=(f"{message}: {raw}" if raw and message else message or raw)[:TEXT_LIMIT],
        codes=tuple(dict.fromkeys(_codes([*layers, metadata], error, raw))),
        status=_status_of(layers),
        details=tuple(details) if isinstance(details, list) else (),
        headers=_headers_of(metadata.get("headers")),
        request_id=request_id,
    )


def _told_by_minimax(value: Mapping[str, Any]) -> Any:
    """MiniMax puts the outcome beside every answer, and 0 is success."""
    outcome = value.get("base_resp")
    return outcome if isinstance(outcome, Mapping) and outcome.get("status_code") else None


def _message_of(layer: Mapping[str, Any]) -> str:
    for name in _MESSAGE_FIELDS:
        if text := _text_of(layer.get(name)):
            return text
    return ""


def _text_of(value: Any) -> str:
    """Words in any of the places where servers put them: a string, an object around it, a list of complaints."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _message_of(value) if any(name in value for name in ("message", "msg", "detail")) else ""
    if isinstance(value, list):
        return "; ".join(text for item in value[:8] if (text := _complaint(item)))
    return ""


def _complaint(item: Any) -> str:
    """One of FastAPI's: where, and what. Its `input` echoes the request and is left out."""
    text = _text_of(item)
    where = item.get("loc") if isinstance(item, Mapping) else None
    if text and isinstance(where, list):
        return f"{'.'.join(str(step) for step in where)}: {text}"
    return text


def _codes(layers: list[Mapping[str, Any]], error: Mapping[str, Any], raw: str) -> Iterator[str]:
    details = error.get("details")
    if isinstance(details, Mapping) and isinstance(details.get("error_code"), str):
        yield details["error_code"]
    for layer in layers:
        for name in _CODE_FIELDS:
            value = layer.get(name)
            if isinstance(value, float) and value.is_integer():
                value = int(value)  # some gateways write every number as a fraction
            if isinstance(value, int) and not isinstance(value, bool) and not 100 <= value <= 599:
                yield str(value)  # GLM's and SiliconFlow's own numbers
            elif isinstance(value, str) and value.lower() not in _NO_CODES and not _is_http_number(value):
                yield aws_error_type(value) if name == "__type" else value
    for name in ("innererror", "inner_error"):
        inner = error.get(name)
        if isinstance(inner, Mapping) and isinstance(inner.get("code"), str):
            yield inner["code"]
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, Mapping):
            continue
        if isinstance(detail.get("reason"), str):
            yield detail["reason"]
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, Mapping) and isinstance(violation.get("quotaId"), str):
                yield violation["quotaId"]
    if raw.lstrip().startswith("{"):
        try:
            behind = parse_error(decode_any(raw.encode("utf-8", "replace")))
        except (ValueError, RecursionError):
            return
        yield from behind.codes


def aws_error_type(text: str) -> str:
    """The name of an error of Amazon's without what stands around it: `namespace#ThrottlingException:http://…/`."""
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


def _words_of_page(text: str) -> str:
    """The title of an HTML page, or plain text as it is."""
    page = text[: 64 * 1024]
    if not re.search(r"<(?:!doctype|html|head|body|title)\b", page, re.IGNORECASE):
        return _SPACE.sub(" ", page).strip()[:TEXT_LIMIT]
    title = _TITLE.search(page)
    words = title[1] if title else _TAG.sub(" ", page)
    return _SPACE.sub(" ", html.unescape(words)).strip()[:TEXT_LIMIT]
