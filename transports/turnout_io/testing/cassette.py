"""The file of a recording: JSON that people can read, review and keep under version control.

    {"turnout-cassette": 1,
     "exchanges": [
       {"request": {"method": "POST", "url": "https://…", "headers": ["Content-Type: application/json", …],
                    "json": {…}},
        "response": {"status": 200, "headers": ["content-type: text/event-stream", …],
                     "body": ["data: …\\n\\n", {"base64": "…"}, {"error": "Disconnected", …}],
                     "end": "complete"}},
       {"request": {…}, "error": {"error": "ConnectFailed", "message": "…", "phase": "not-sent"}}]}

The body of a request is `json`, `text` or `base64`, and absent where there is none. The body of an answer has one entry
for each `read`: text where the bytes are UTF-8, else base64, or the error that it raised. `end` is "complete" where
the end was read, "broken" after an error, and "closed" where the reader went before either. Nothing in the file depends
on the time or the machine but what the peer sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from turnout.errors import (
    ConnectFailed,
    Disconnected,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    TimedOut,
    Timer,
    TransportError,
)
from turnout.http import Headers, HttpRequest
from turnout_io.testing.replies import BodyStep, TransportFault

__all__ = ["VERSION", "RecordedExchange", "RecordedResponse", "read_cassette", "write_cassette"]

VERSION: Final = 1
_MARK: Final = "turnout-cassette"


@attrs.frozen
class RecordedResponse:
    """An answer as it was read. `steps` are bytes and faults; `complete` says whether its end was seen."""

    status: int
    headers: Headers
    steps: tuple[BodyStep, ...]
    complete: bool


@attrs.frozen
class RecordedExchange:
    """One request and what came of it."""

    request: HttpRequest
    outcome: RecordedResponse | TransportFault


def write_cassette(path: Path, exchanges: Sequence[RecordedExchange]) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    document = {_MARK: VERSION, "exchanges": [_exchange_out(exchange) for exchange in exchanges]}
    try:
        data = json.dumps(document, ensure_ascii=False, indent=1).encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot hold
        data = json.dumps(document, indent=1).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(data + b"\n")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_cassette(path: Path) -> tuple[RecordedExchange, ...]:
    """The exchanges of a file. Raises OSError, and LocalProtocolError for a file that is no cassette."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise LocalProtocolError(f"{path} is no cassette: {error}") from error
    version = document.get(_MARK) if isinstance(document, Mapping) else None
    if version is None:
        raise LocalProtocolError(f'{path} is no cassette: it has no "{_MARK}"')
    if version != VERSION:
        raise LocalProtocolError(f"{path} is a cassette of version {version!r}, and this Turnout reads {VERSION}")
    try:
        return tuple(_exchange_in(exchange) for exchange in document["exchanges"])
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise LocalProtocolError(f"{path} is a broken cassette: {type(error).__name__}: {error}") from error


# -- out --------------------------------------------------------------------------------------------------------


def _exchange_out(exchange: RecordedExchange) -> dict[str, Any]:
    request, outcome = exchange.request, exchange.outcome
    told: dict[str, Any] = {
        "request": {
            "method": request.method,
            "url": request.url,
            "headers": _fields_out(request.headers),
            **_request_body_out(request.body),
        }
    }
    if isinstance(outcome, RecordedResponse):
        told["response"] = {
            "status": outcome.status,
            "headers": _fields_out(outcome.headers),
            "body": [_move_out(step) for step in outcome.steps],
            "end": _end(outcome),
        }
    else:
        told["error"] = _fault_out(outcome)
    return told


def _fields_out(headers: Headers) -> list[str]:
    # RFC 9110 section 5.1: a name holds no colon.
    return [f"{name}: {value}" for name, value in headers]


def _end(response: RecordedResponse) -> str:
    if response.complete:
        return "complete"
    last = response.steps[-1] if response.steps else b""
    return "closed" if isinstance(last, bytes | TimedOut) else "broken"


def _request_body_out(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
        json.dumps(value, allow_nan=False, indent=1)
        return {"json": value}
    except (ValueError, RecursionError):  # no JSON, or none that can be written down again
        told = _bytes_out(body)
        return {"text": told} if isinstance(told, str) else told


def _bytes_out(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _move_out(step: BodyStep) -> object:
    match step:
        case bytes():
            return _bytes_out(step)
        case TransportError() | RemoteProtocolError():
            return _fault_out(step)
        case _:
            raise LocalProtocolError("a recording holds no pauses")


def _fault_out(fault: TransportFault) -> dict[str, object]:
    told: dict[str, object] = {"error": _name(fault), "message": fault.message}
    if isinstance(fault, TransportError):
        told["phase"] = fault.phase.value
    if isinstance(fault, TimedOut):
        told["timer"] = fault.timer.value
    if isinstance(fault, Disconnected):
        told["reused"] = fault.reused
    if isinstance(fault, ConnectFailed) and fault.reason:
        told["reason"] = fault.reason
    return told


_Name = Literal["ConnectFailed", "TimedOut", "Disconnected", "TransportError", "RemoteProtocolError"]


def _name(fault: TransportFault) -> _Name:
    """The class of Turnout's that this error is, or is a kind of."""
    match fault:
        case ConnectFailed():
            return "ConnectFailed"
        case TimedOut():
            return "TimedOut"
        case Disconnected():
            return "Disconnected"
        case TransportError():
            return "TransportError"
        case _:
            return "RemoteProtocolError"


# -- in ---------------------------------------------------------------------------------------------------------


def _exchange_in(told: Mapping[str, Any]) -> RecordedExchange:
    asked = told["request"]
    request = HttpRequest(asked["method"], asked["url"], _fields_in(asked["headers"]), _request_body_in(asked))
    if "error" in told:
        return RecordedExchange(request, _fault_in(told["error"]))
    answer = told["response"]
    if answer["end"] not in ("complete", "broken", "closed"):
        raise ValueError(f"an end is complete, broken or closed, not {answer['end']!r}")
    steps = tuple(_move_in(step) for step in answer["body"])
    return RecordedExchange(
        request, RecordedResponse(answer["status"], _fields_in(answer["headers"]), steps, answer["end"] == "complete")
    )


def _fields_in(fields: Sequence[str]) -> Headers:
    split = (field.partition(": ") for field in fields)
    return Headers((name, value) for name, _, value in split)


def _request_body_in(asked: Mapping[str, Any]) -> bytes:
    if "json" in asked:
        return json.dumps(asked["json"]).encode()
    if "text" in asked:
        return str(asked["text"]).encode()
    return base64.b64decode(asked["base64"], validate=True) if "base64" in asked else b""


def _move_in(told: str | Mapping[str, Any]) -> BodyStep:
    if isinstance(told, str):
        return told.encode()
    return base64.b64decode(told["base64"], validate=True) if "base64" in told else _fault_in(told)


def _fault_in(told: Mapping[str, Any]) -> TransportFault:
    message = str(told["message"])
    name: _Name = told["error"]
    match name:
        case "ConnectFailed":
            return ConnectFailed(message, reason=str(told.get("reason", "")), phase=Phase(told["phase"]))
        case "TimedOut":
            return TimedOut(message, timer=Timer(told["timer"]), phase=Phase(told["phase"]))
        case "Disconnected":
            return Disconnected(message, reused=bool(told["reused"]), phase=Phase(told["phase"]))
        case "TransportError":
            return TransportError(message, phase=Phase(told["phase"]))
        case "RemoteProtocolError":
            return RemoteProtocolError(message)
        case _:
            raise ValueError(f"there is no error {name!r}")
