"""Requests that are signed just before they are sent: by functions that work, that fail, and by AWS's own signer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import pytest
import trio
from botocore.session import Session

import turnout_io.asyncio as asyncio_driver
import turnout_io.trio as trio_driver
from turnout.chat import ChatRequest, ChatResponse
from turnout.errors import AuthenticationFailed
from turnout.http import HttpRequest
from turnout.providers import create
from turnout.providers.protocol import Provider
from turnout_io.aws import SigV4
from turnout_io.sandbox import Sandbox
from turnout_io.sync import Router
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
QUESTION = "Say a few things about trains."


# -- the drivers -------------------------------------------------------------------------------------------------------

Ask = Callable[[list[Provider], ChatRequest], ChatResponse]


def blocking(transport: Any) -> Ask:
    def ask(providers: list[Provider], request: ChatRequest) -> ChatResponse:
        with Router(providers, transport=transport()) as router:
            return router.chat(request)

    return ask


def on(module: Any, run: Callable[[Any], Any]) -> Ask:
    def ask(providers: list[Provider], request: ChatRequest) -> ChatResponse:
        async def main() -> ChatResponse:
            async with module.Router(providers) as router:
                reply: ChatResponse = await router.chat(request)
                return reply

        answered: ChatResponse = run(main)
        return answered

    return ask


DRIVERS: dict[str, Ask] = {
    "requests": blocking(RequestsTransport),
    "sockets": blocking(SocketTransport),
    "trio": on(trio_driver, trio.run),
    "asyncio": on(asyncio_driver, lambda main: asyncio.run(main())),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def groq(sandbox: Sandbox) -> Provider:
    environ = sandbox.environ()
    return create("groq", api_key=environ["GROQ_API_KEY"], base_url=environ["GROQ_ENDPOINT"])


def azure(token: Any) -> Provider:
    return create("azure", base_url="http://127.0.0.1:9", access_token=token)


def expired() -> str:
    raise RuntimeError("the refresh token has expired")


async def expired_later() -> str:
    raise RuntimeError("the refresh token has expired")


@pytest.mark.parametrize("driver", DRIVERS)
def test_credentials_that_cannot_be_had_move_the_call_on(driver: str, sandbox: Sandbox) -> None:
    tokens = [expired] if driver in ("requests", "sockets") else [expired, expired_later]
    for token in tokens:
        reply = DRIVERS[driver](
            [azure(token), groq(sandbox)], ChatRequest("azure/gpt-4o", QUESTION, fallbacks=["groq/llama"])
        )
        assert reply.model.provider == "groq"
        told = reply.trace.explain()
        assert "failed, authentication, phase not-sent" in told
        assert "refresh" not in told


@pytest.mark.parametrize("driver", DRIVERS)
def test_alone_they_are_one_clear_error(driver: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        DRIVERS[driver]([azure(expired)], ChatRequest("azure/gpt-4o", QUESTION))
    told = (
        "azure/gpt-4o: the credentials for this request are not available: RuntimeError: the refresh token has expired"
    )
    assert str(caught.value) == told
    assert isinstance(caught.value.__cause__, RuntimeError)


# -- Signature Version 4, by the reference and by nothing of botocore's -----------------------------------------------


@attrs.frozen
class Signed:
    """A request as a server saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def signature(self, region: str, service: str) -> tuple[str, str]:
        """The signature that it carries, and the one that it should."""
        words = self.headers["authorization"].replace(",", " ").split()
        given = dict(word.split("=", 1) for word in words[1:])
        names = given["SignedHeaders"].split(";")
        path, _, query = self.target.partition("?")
        canonical = [self.method, quote(path, safe="/-_.~"), "&".join(sorted(query.split("&"))) if query else ""]
        canonical += [f"{name}:{' '.join(self.headers[name].split())}" for name in names]
        canonical += ["", ";".join(names), hashlib.sha256(self.body).hexdigest()]
        date = self.headers["x-amz-date"]
        scope = f"{date[:8]}/{region}/{service}/aws4_request"
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        key = b"AWS4" + SECRET.encode()
        for part in (date[:8], region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}".encode()
        assert given["Credential"] == f"{KEY}/{scope}"
        return given["Signature"], hmac.digest(key, text, "sha256").hex()


def test_the_check_itself_gives_the_published_signature() -> None:
    """AWS's test suite for Signature Version 4, case `get-vanilla`."""
    published = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={published}"
    )
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z", "authorization": authorization}
    assert Signed("GET", "/", headers, b"").signature("us-east-1", "service") == (published, published)


ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Trains run on rails."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
}


@attrs.define
class Amazon:
    """A server of one answer, which keeps what it is asked."""

    server: ThreadingHTTPServer
    seen: list[Signed]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    seen: list[Signed] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Signed(self.command, self.path, headers, self.rfile.read(length)))
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Amazon(server, seen)
    server.shutdown()
    server.server_close()
    thread.join()


def session(*, token: str | None = None) -> Session:
    made = Session()
    made.set_credentials(KEY, SECRET, token)
    return made


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("token", [None, "session-token"])
def test_a_request_to_bedrock_carries_a_signature_that_holds(driver: str, token: str | None, amazon: Amazon) -> None:
    signer = SigV4(region="eu-north-1", session=session(token=token))
    provider = create("bedrock", base_url=amazon.endpoint, region="eu-north-1", auth=signer)
    model = "arn:aws:bedrock:eu-north-1:1:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0"
    reply = DRIVERS[driver]([provider], ChatRequest(f"bedrock/{model}", "Zoë?"))
    assert reply.text == "Trains run on rails."
    (request,) = amazon.seen
    assert request.target == f"/model/{quote(model, safe='')}/converse"
    assert request.headers.get("x-amz-security-token") == token
    carried, right = request.signature("eu-north-1", "bedrock")
    assert carried == right
    signed = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(signed)


def test_a_list_of_models_is_signed_with_its_query(amazon: Amazon) -> None:
    signer = SigV4(region="us-east-1", session=session())
    provider = create("bedrock", base_url=amazon.endpoint, region="us-east-1", auth=signer)
    request = provider.models("profiles:a/b=").request
    assert request.auth is not None
    signed = request.auth(request)
    assert isinstance(signed, HttpRequest)
    target = urlsplit(signed.url)
    headers = {name.lower(): value for name, value in signed.headers} | {"host": target.netloc}
    carried, right = Signed("GET", f"{target.path}?{target.query}", headers, b"").signature("us-east-1", "bedrock")
    assert carried == right


def test_the_region_is_the_host_s_or_the_profile_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    signer = SigV4(session=session())
    for url, region in (
        ("https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/m/converse", "ap-southeast-2"),
        ("https://bedrock.us-west-2.amazonaws.com/foundation-models", "us-west-2"),
        ("https://bedrock-runtime.us-west-2.api.aws/model/m/converse", "us-west-2"),
        ("https://vpce-1a-2b.bedrock-runtime.eu-west-1.vpce.amazonaws.com/model/m/converse", "eu-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/m/converse", "cn-north-1"),
        ("https://bedrock-runtime.eusc-de-east-1.amazonaws.eu/model/m/converse", "eusc-de-east-1"),
        ("https://bedrock-runtime.us-iso-east-1.c2s.ic.gov/model/m/converse", "us-iso-east-1"),
        ("https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov/model/m/converse", "us-isob-east-1"),
    ):
        signed = signer(HttpRequest("POST", url))
        assert f"/{region}/bedrock/" in (signed.headers.get("authorization") or "")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AuthenticationFailed, match="no AWS region is known: set AWS_REGION"):
        SigV4(session=session())(HttpRequest("POST", "http://127.0.0.1/model/m/converse"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_without_credentials_the_error_says_what_to_set(
    driver: str, monkeypatch: pytest.MonkeyPatch, amazon: Amazon
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    provider = create("bedrock", base_url=amazon.endpoint, region="us-east-1", auth=SigV4(region="us-east-1"))
    with pytest.raises(AuthenticationFailed, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"):
        DRIVERS[driver]([provider], ChatRequest("bedrock/m", QUESTION))
    assert not amazon.seen


def test_a_profile_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    signer = SigV4(profile="no-such-profile", region="us-east-1")
    with pytest.raises(AuthenticationFailed, match=r"cannot be used.*no-such-profile"):
        signer(HttpRequest("POST", "http://127.0.0.1/model/m/converse"))


def test_no_secret_is_shown() -> None:
    signer = SigV4(region="us-east-1", session=session())
    assert SECRET not in repr(signer)
    assert SECRET not in repr(create("bedrock", region="us-east-1", auth=signer))
