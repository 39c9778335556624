"""No key, token or named value is in the file of a recording."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transports.testing.exchanges import TIMEOUTS, URL, use
from turnout import ChatRequest, Message, ModelConfig
from turnout.errors import (
    AuthenticationFailed,
    ConnectFailed,
    Disconnected,
    LocalProtocolError,
    TransportError,
    TurnoutError,
)
from turnout.http import HttpRequest
from turnout.providers import CATALOG, create
from turnout_io import sync
from turnout_io.testing import (
    BodyStep,
    RecordingTransport,
    ReplayTransport,
    Reply,
    ScriptedTransport,
)

SECRET = 'sk-pröj/a"b\\c+d é'
PLAIN = "sk-proj-0123456789abcdef"


def forms(secret: str) -> list[bytes]:
    """The secret as it may stand in a file, also inside of base64 wherever it begins in it."""
    raw = secret.encode()
    plain = [raw, json.dumps(secret)[1:-1].encode(), json.dumps(secret, ensure_ascii=False)[1:-1].encode()]
    packed = [base64.b64encode(b"\0" * shift + raw)[4 * (shift > 0) : -4] for shift in range(3)]
    return [*plain, quote_plus(secret).encode(), *(form for form in packed if len(form) > 6)]


def recorded(tmp_path: Path, request: HttpRequest, answer: Reply | TransportError, **options: Any) -> bytes:
    script = ScriptedTransport()
    script.add(answer)
    path = tmp_path / "secret.json"
    use(RecordingTransport(script, path, **options), [request])
    return path.read_bytes()


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_no_key_of_a_provider_is_in_the_file(name: str, tmp_path: Path) -> None:
    script = ScriptedTransport()
    endpoint = None if CATALOG[name].base_url else "http://127.0.0.1:8000/v1"
    other = "very-secret-tenant-value"
    provider = create(name, api_key=PLAIN, base_url=endpoint, headers={"x-tenant-token": other})
    echo = {"error": {"message": f"Incorrect API key provided: {PLAIN} of {other}"}}
    path = tmp_path / "call.json"
    with sync.Router(
        [provider],
        transport=RecordingTransport(script, path),
    ) as router:
        script.add(Reply(401, echo, {"set-cookie": "session=abcdefgh", "x-debug": f"key {PLAIN}"}))
        with pytest.raises(AuthenticationFailed):
            router.chat(ChatRequest(ModelConfig(name, "m"), [Message.user(f"my key is {PLAIN}")]))
        script.answer(name, "Hello")
        assert router.chat(ChatRequest(ModelConfig(name, "m"), [Message.user("?")])).text == "Hello"
    content = path.read_bytes()
    assert b"Incorrect API key provided: REMOVED of REMOVED" in content
    for secret in (PLAIN, other, "abcdefgh"):
        for form in forms(secret):
            assert form not in content


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {PLAIN}")],
        [("x-api-key", PLAIN)],
        [("api-key", PLAIN)],
        [("X-Goog-Api-Key", PLAIN)],
        [("Cookie", f"a=b; session={PLAIN}")],
        [("X-Amz-Security-Token", PLAIN)],
        [("Proxy-Authorization", f"Basic {PLAIN}")],
        [("Authorization", f"AWS4-HMAC-SHA256 Credential={PLAIN}/20260101/x, SignedHeaders=host, Signature={PLAIN}")],
        [("x-custom-secret", PLAIN)],
    ],
    ids=lambda headers: headers[0][0],
)  # fmt: skip
def test_no_credential_of_a_header_is_in_the_file(headers: list[tuple[str, str]], tmp_path: Path) -> None:
    answer = Reply(200, [f"you said {headers[0][1]}".encode()])
    content = recorded(tmp_path, HttpRequest("GET", URL, headers), answer)
    assert PLAIN.encode() not in content
    assert b"you said REMOVED" in content


@pytest.mark.parametrize("name", ["key", "api_key", "X-Amz-Signature", "X-Amz-Credential", "access_token", "sig"])
def test_no_credential_of_a_url_is_in_the_file_nor_compared(name: str, tmp_path: Path) -> None:
    content = recorded(tmp_path, HttpRequest("GET", f"{URL}?a=b&{name}={PLAIN}&c=d"), ConnectFailed(f"no {PLAIN}"))
    assert PLAIN.encode() not in content
    assert f"?a=b&{name}=REMOVED&c=d".encode() in content
    with pytest.raises(ConnectFailed, match="no REMOVED"):
        ReplayTransport(tmp_path / "secret.json").open(HttpRequest("GET", f"{URL}?a=b&{name}=other&c=d"), TIMEOUTS)


@pytest.mark.full
@given(
    st.lists(st.integers(0, 80), max_size=6),
    st.sampled_from([SECRET, PLAIN]),
    st.sampled_from(["plain", "json", "url", "gzip"]),
)
@settings(max_examples=150)
def test_a_named_value_is_removed_wherever_it_is_cut(cuts: list[int], secret: str, how: str) -> None:
    if how == "json":
        body = json.dumps({"said": f"<{secret}|{secret}>"}).encode()
    elif how == "url":
        body = f"<{quote_plus(secret)}|{quote_plus(secret)}>".encode()
    else:
        body = f"<{secret}|{secret}>".encode()
    sent = gzip.compress(body) if how == "gzip" else body
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    steps: list[BodyStep] = [sent[at:to] for at, to in itertools.pairwise(places)]
    steps.append(Disconnected(f"cut at {secret}"))
    headers = {
        "x-said": secret,
        "content-length": str(len(sent)),
        **({"content-encoding": "gzip"} if how == "gzip" else {}),
    }
    request = HttpRequest("POST", f"{URL}/{quote_plus(secret)}", [("x-odd", secret)], json.dumps([secret]).encode())
    with tempfile.TemporaryDirectory() as folder:
        content = recorded(Path(folder), request, Reply(200, steps, headers), secrets=[secret])
        for form in forms(secret):
            assert form not in content
        (seen,) = use(ReplayTransport(Path(folder, "secret.json"), secrets=[secret]), [request])
    read = b"".join(piece for piece in seen.read if isinstance(piece, bytes))
    assert b"<REMOVED|REMOVED>" in read
    assert dict(seen.headers) == {"x-said": "REMOVED", "content-length": str(len(read))}
    assert "cut at REMOVED" in str(seen.read[-1])


def test_the_pieces_keep_their_bounds_around_what_is_removed(tmp_path: Path) -> None:
    answer = Reply(200, [b"one ", b"two very-", b"secret", b"-value three", b" four"])
    recorded(tmp_path, HttpRequest("GET", URL), answer, secrets=["very-secret-value"])
    (seen,) = use(ReplayTransport(tmp_path / "secret.json"), [HttpRequest("GET", URL)])
    assert seen.read == (b"one ", b"two REMOVED", b" three", b" four", b"")


def test_further_fields_can_be_named(tmp_path: Path) -> None:
    request = HttpRequest("GET", URL, [("x-team", "red")])
    answer = Reply(200, b"", {"X-Account": "number-seven", "openai-organization": "ours"})
    content = recorded(tmp_path, request, answer, secret_headers=["X-Team", "x-account"])
    assert b"number-seven" not in content
    assert b"red" not in content
    assert b"openai-organization: ours" in content


@pytest.mark.parametrize("secrets", ["sk-one", [""], [7]])
def test_what_cannot_be_removed_is_refused_before_anything_is_sent(secrets: Any, tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError):
        RecordingTransport(ScriptedTransport(), tmp_path / "x.json", secrets=secrets)
    assert issubclass(LocalProtocolError, TurnoutError)
