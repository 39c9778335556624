"""The file of a recording: JSON that can be read, reviewed and kept under version control.

    {"turnout-cassette": 1,
     "exchanges": [
       {"request": {"method": "POST", "url": "https://…", "headers": ["Content-Type: application/json", …],
                    "json": {…}},
        "response": {"status": 200, "headers": ["content-type: text/event-stream", …],
                     "body": ["data: …\\n\\n", {"base64": "…"}, {"error": "Disconnected", …}],
                     "end": "complete"}},
       {"request": {…}, "error": {"error": "ConnectFailed", "message": "…", "phase": "not-sent"}}]}

The body of a request is `json`, `text` or `base64`, and absent if there is none. The body of a response has one entry
for each `read`: text if the bytes are UTF-8, else base64, or the error that it raised. `end` is "complete" if the end
was read, "broken" after an error, and "closed" if the reader stopped before either. Apart from the bytes of the peer,
nothing in the file depends on the time or the machine.
"""

from __future__ import annotations

import base64
import enum
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs

from turnout._utils.documents import DocumentError, decode_text, parse_json
from turnout._utils.validation import quoted
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

__all__ = ["VERSION", "CassetteError", "RecordedExchange", "RecordedResponse", "read_cassette", "write_cassette"]

VERSION: Final = 1
_MARK: Final = "turnout-cassette"
T = TypeVar("T")
MemberT = TypeVar("MemberT", bound=enum.StrEnum)


@attrs.frozen
class RecordedResponse:
    """A response as it was read. `steps` are bytes and faults; `complete` is true if its end was read."""

    status: int
    headers: Headers
    steps: tuple[BodyStep, ...]
    complete: bool


@attrs.frozen
class RecordedExchange:
    """One request, with its response or its error."""

    request: HttpRequest
    outcome: RecordedResponse | TransportFault


def write_cassette(path: Path, exchanges: Sequence[RecordedExchange]) -> None:
    """Write the file, completely or not at all. Raises OSError."""
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


class CassetteError(LocalProtocolError):
    """A file that is not a cassette, or a broken one. The message names the file and the key."""


def read_cassette(path: Path) -> tuple[RecordedExchange, ...]:
    """Return the exchanges of a file.

    Raises:
        CassetteError: If it is not a cassette.
        OSError: If it cannot be read.
    """
    try:
        document = parse_json(decode_text(path.read_bytes()))
    except DocumentError as error:
        raise CassetteError(f"{path} is not a cassette: {error}") from error
    version = document.get(_MARK) if isinstance(document, Mapping) else None
    if version is None:
        raise CassetteError(f'{path} is not a cassette: it has no "{_MARK}"')
    if version != VERSION:
        raise CassetteError(f"{path} is a cassette of version {quoted(version)}, and this Turnout reads {VERSION}")
    recorded = document.get("exchanges")
    if not isinstance(recorded, list):
        raise CassetteError(f"{path} is a broken cassette: exchanges: a list was expected")
    exchanges: list[RecordedExchange] = []
    for number, exchange in enumerate(recorded):
        try:
            exchanges.append(_exchange_in(exchange))
        except KeyError as error:
            problem = f"exchanges[{number}]: {error} is missing"
            raise CassetteError(f"{path} is a broken cassette: {problem}") from error
        except (TypeError, ValueError, AttributeError, RecursionError) as error:  # also of base64
            problem = f"exchanges[{number}]: {error}"
            raise CassetteError(f"{path} is a broken cassette: {problem}") from error
    return tuple(exchanges)


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
    except (ValueError, RecursionError):  # not JSON, or JSON that cannot be encoded again
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
            raise LocalProtocolError("a recording cannot contain pauses")


def _fault_out(fault: TransportFault) -> dict[str, object]:
    told: dict[str, object] = {"error": _name(fault), "message": fault.message}
    if isinstance(fault, TransportError):
        told["phase"] = fault.phase.value
    if isinstance(fault, TimedOut):
        told["timer"] = fault.timer.value
        if fault.reused:
            told["reused"] = True
    if isinstance(fault, Disconnected):
        told["reused"] = fault.reused
    if isinstance(fault, ConnectFailed) and fault.reason:
        told["reason"] = fault.reason
    return told


_Name = Literal["ConnectFailed", "TimedOut", "Disconnected", "TransportError", "RemoteProtocolError"]


def _name(fault: TransportFault) -> _Name:
    """Return the name of the error's class in Turnout, or of its base class there."""
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
    asked = _checked(told, "request", dict)
    request = HttpRequest(
        _checked(asked, "method", str), _checked(asked, "url", str), _fields_in(asked), _request_body_in(asked)
    )
    if "error" in told:
        return RecordedExchange(request, _fault_in(told["error"]))
    answer = _checked(told, "response", dict)
    if answer["end"] not in ("complete", "broken", "closed"):
        raise ValueError(f"an end is complete, broken or closed, not {quoted(answer['end'])}")
    steps = tuple(_move_in(step) for step in _checked(answer, "body", list))
    return RecordedExchange(
        request,
        RecordedResponse(_checked(answer, "status", int), _fields_in(answer), steps, answer["end"] == "complete"),
    )


def _checked(holder: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a value of a mapping.

    Raises:
        KeyError: If it is missing.
        TypeError: If it has another type.
    """
    value = holder[name]
    if not isinstance(value, kind):
        raise TypeError(f"{name} has the type {type(value).__name__}, not {kind.__name__}")
    return value


def _fields_in(holder: Mapping[str, Any]) -> Headers:
    split = (field.partition(": ") for field in _checked(holder, "headers", list))
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


def _member_in(told: Mapping[str, Any], name: str, kind: type[MemberT]) -> MemberT:
    """Return the member of an enum that a key names.

    Raises:
        KeyError: If the key is missing.
        ValueError: If it names no member.
    """
    try:
        return kind(told[name])
    except ValueError:
        raise ValueError(f"{name} must be one of {', '.join(kind)}, not {quoted(told[name])}") from None


def _fault_in(told: Mapping[str, Any]) -> TransportFault:
    message = str(told["message"])
    name: _Name = told["error"]
    match name:
        case "ConnectFailed":
            return ConnectFailed(message, reason=str(told.get("reason", "")), phase=_member_in(told, "phase", Phase))
        case "TimedOut":
            reused = bool(told.get("reused", False))
            return TimedOut(
                message, timer=_member_in(told, "timer", Timer), reused=reused, phase=_member_in(told, "phase", Phase)
            )
        case "Disconnected":
            return Disconnected(message, reused=bool(told["reused"]), phase=_member_in(told, "phase", Phase))
        case "TransportError":
            return TransportError(message, phase=_member_in(told, "phase", Phase))
        case "RemoteProtocolError":
            return RemoteProtocolError(message)
        case _:
            raise ValueError(f"{quoted(name)} is not the name of a recorded error")
