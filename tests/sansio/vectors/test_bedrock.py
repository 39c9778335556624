"""Vector 72: Bedrock's binary stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.framing.test_eventstream import encode, string_header
from tests.sansio.vectors.exchanges import failed, stream
from turnout.chat import FinishReason, Usage
from turnout.errors import (
    InvalidRequest,
    Overloaded,
    ProviderError,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    StreamTruncated,
)
from turnout.events import Token


def frame(kind: str, message: str = "event", /, **payload: Any) -> bytes:
    headers = string_header(":message-type", message) + string_header(f":{message}-type", kind)
    return encode(headers, json.dumps(payload).encode())


def text(delta: str) -> bytes:
    return frame("contentBlockDelta", contentBlockIndex=0, delta={"text": delta})


BEGIN = frame("messageStart", role="assistant")
STOP = frame("contentBlockStop", contentBlockIndex=0) + frame("messageStop", stopReason="end_turn")
METADATA = frame("metadata", usage={"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}, metrics={"latencyMs": 9})


def test_vector_72_frames_cut_anywhere_and_usage_after_the_stop() -> None:
    seen = stream("bedrock", BEGIN + text("") + text("Hel") + text("lo") + STOP + METADATA)
    assert seen.failure is None
    assert seen.events[:-1] == (Token("Hel"), Token("lo"))
    assert seen.result.usage == Usage(prompt_tokens=5, completion_tokens=2)
    assert (seen.result.finish_reason, seen.result.raw_finish_reason) == (FinishReason.STOP, "end_turn")


@pytest.mark.parametrize("at", [8, -1], ids=["prelude", "message"])
def test_vector_72_a_checksum_that_is_wrong(at: int) -> None:
    broken = bytearray(text("lo"))
    broken[at] ^= 0x01
    seen = stream("bedrock", BEGIN + text("Hel") + bytes(broken) + STOP)
    assert seen.events == (Token("Hel"),)
    assert isinstance(seen.failure, RemoteProtocolError)
    assert "checksum" in str(seen.failure).lower() or "crc" in str(seen.failure).lower()


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [
        ("throttlingException", RateLimited, 429),
        ("modelStreamErrorException", ServerError, 424),
        ("internalServerException", ServerError, 500),
        ("validationException", InvalidRequest, 400),
        ("serviceUnavailableException", Overloaded, 503),
    ],
)
def test_vector_72_an_exception_after_text(kind: str, error: type[ProviderError], status: int) -> None:
    seen = stream("bedrock", BEGIN + text("Hel") + frame(kind, "exception", message="No."))
    assert seen.events == (Token("Hel"),)
    met = failed(seen)
    assert type(met) is error
    assert (met.status, met.code, met.message) == (status, kind, "No.")
    assert seen.result.text == "Hel"


def test_vector_72_an_event_of_an_unknown_type() -> None:
    odd = frame("inventedEvent", delta={"text": "not this"})
    seen = stream("bedrock", odd + BEGIN + text("Hel") + odd + text("lo") + STOP + odd + METADATA)
    assert seen.failure is None
    assert seen.result.text == "Hello"


def test_vector_72_a_body_that_breaks_off_inside_a_frame() -> None:
    seen = stream("bedrock", (BEGIN + text("Hel") + text("lo"))[:-3])
    assert seen.events == (Token("Hel"),)
    assert isinstance(seen.failure, StreamTruncated)
