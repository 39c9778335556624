"""Which certificates a transport accepts and shows, and the errors for those that it refuses."""

from __future__ import annotations

import asyncio
import datetime
import os
import pathlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from turnout import ChatRequest, ModelConfig
from turnout.errors import ConnectFailed, Disconnected, Phase, TransportError, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout.providers import create
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import reply
from turnout_io.conformance.server import EndConnection, Hold, Request, Reset, ScriptedServer, Send, StartTls, Step
from turnout_io.transports.asyncio import AsyncioTransport
from turnout_io.transports.requests import RequestsTransport
from turnout_io.transports.socket import SocketTransport
from turnout_io.transports.tls import TlsSettings
from turnout_io.transports.trio import TrioTransport

TIMEOUTS = TransportTimeouts(connect=10.0, response_headers=10.0)
Fetch = Callable[..., bytes]


def blocking(make: Callable[..., Any]) -> Fetch:
    def fetch(url: str, **settings: Any) -> bytes:
        transport = make(**settings)
        try:
            body: bytes = transport.open(HttpRequest("GET", url), TIMEOUTS).read(10.0)
            return body
        finally:
            transport.close()

    return fetch


def concurrent(make: Callable[..., Any], run: Callable[..., Any]) -> Fetch:
    async def fetch(url: str, settings: dict[str, Any]) -> bytes:
        transport = make(**settings)
        try:
            response = await transport.open(HttpRequest("GET", url), TIMEOUTS)
            body: bytes = await response.read(10.0)
            await response.aclose()
            return body
        finally:
            await transport.aclose()

    return lambda url, **settings: run(fetch, url, settings)


def with_session(ca_file: str) -> RequestsTransport:
    session = requests.Session()
    session.trust_env = False  # a bundle of the environment would replace `verify`
    session.verify = ca_file
    return RequestsTransport(session)


OURS: dict[str, Fetch] = {
    "requests": blocking(RequestsTransport),
    "socket": blocking(SocketTransport),
    "trio": concurrent(TrioTransport, trio.run),
    "asyncio": concurrent(AsyncioTransport, lambda steps, *args: asyncio.run(steps(*args))),
}
ours = pytest.mark.parametrize("name", list(OURS))
everyone = pytest.mark.parametrize("name", [*OURS, "session"])


def fetch_with(name: str, url: str, **settings: Any) -> bytes:
    fetch = OURS.get(name) or blocking(with_session)
    return fetch(url, **settings)


@pytest.fixture
def certificates() -> Iterator[Certificates]:
    with Certificates() as made:
        yield made


def script(context: ssl.SSLContext) -> list[Step]:
    return [StartTls(context), Request(), Send(reply(b"ok")), Hold()]


def certificate_without_alternative_names(folder: pathlib.Path) -> tuple[str, ssl.SSLContext]:
    """Return the file of a CA, and a server's context with a certificate that names localhost only in its subject."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def issue(subject: str, public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder()
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
        builder = builder.public_key(public).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        return builder.sign(ca_key, hashes.SHA256())

    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(issue("Test CA", ca_key.public_key(), is_ca=True).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + issue("localhost", key.public_key(), is_ca=False).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return str(ca_file), context


def test_an_end_without_close_notify_is_an_error_of_every_context() -> None:
    """Python 3.11.0 to 3.11.2 ignore it by default, with OpenSSL 3."""
    made = TlsSettings()
    made.disable_verification()
    for context in (TlsSettings().context(), made.context()):
        assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF


@everyone
def test_certificate_without_subject_alt_name_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    ca_file, context = certificate_without_alternative_names(tmp_path)
    with ScriptedServer(script(context)) as server:
        with pytest.raises(ConnectFailed) as caught:
            fetch_with(name, f"https://localhost:{server.port}", ca_file=ca_file)
        assert caught.value.reason == "certificate"
        assert "localhost" in str(caught.value)
        assert not server.requests


@everyone
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_missing_client_certificate_is_connect_failed(
    name: str, version: ssl.TLSVersion, certificates: Certificates
) -> None:
    context = certificates.asking_for_client_cert()
    context.minimum_version = context.maximum_version = version
    with ScriptedServer(script(context)) as server:
        with pytest.raises(TransportError) as caught:
            fetch_with(name, f"https://localhost:{server.port}", ca_file=certificates.ca_file)
        if name == "session" and version is ssl.TLSVersion.TLSv1_3:
            return  # urllib3 can notice the end of the connection before it reads the alert
        assert isinstance(caught.value, ConnectFailed)
        # TLS 1.2 has no alert for it: the server sends the one for every handshake that fails.
        is_known = version is ssl.TLSVersion.TLSv1_3
        assert caught.value.reason == ("certificate" if is_known else "tls")
        assert "client certificate" in str(caught.value)
        assert "client_cert" in str(caught.value)


@ours
def test_missing_client_certificate_is_not_retried(name: str, certificates: Certificates) -> None:
    context = certificates.asking_for_client_cert()
    with ScriptedServer(*[script(context)] * 3) as server:
        url = f"https://localhost:{server.port}/v1"
        assert chat_with(name, url, certificates.ca_file).trace.attempts == 1


def chat_with(name: str, url: str, ca_file: str) -> TurnoutError:
    """Return the error of one call over a transport."""
    providers = [create("openai", api_key="sk-test", base_url=url)]
    request = ChatRequest(ModelConfig("openai", "m"), "hello")
    if name in ("trio", "asyncio"):
        module, kind = {
            "trio": (turnout_io.trio, TrioTransport),
            "asyncio": (turnout_io.asyncio, AsyncioTransport),
        }[name]

        async def chat() -> None:
            async with module.Router(providers, transport=kind(ca_file=ca_file)) as router:
                await router.chat(request)

        with pytest.raises(TurnoutError) as caught:
            trio.run(chat) if name == "trio" else asyncio.run(chat())
        return caught.value
    make: Callable[..., Any] = {"requests": RequestsTransport, "socket": SocketTransport}.get(name, with_session)
    with turnout_io.sync.Router(providers, transport=make(ca_file=ca_file)) as router:
        with pytest.raises(TurnoutError) as caught:
            router.chat(request)
        return caught.value


@everyone
def test_connection_that_ends_after_the_request_counts_as_sent(name: str, certificates: Certificates) -> None:
    with ScriptedServer([StartTls(certificates.good()), Request(), Reset()]) as server:
        with pytest.raises(Disconnected) as caught:
            fetch_with(name, f"https://localhost:{server.port}", ca_file=certificates.ca_file)
        assert caught.value.phase is Phase.SENT
    with ScriptedServer([StartTls(certificates.good()), Request(), EndConnection(notify=False)]) as server:
        with pytest.raises(Disconnected) as caught:
            fetch_with(name, f"https://localhost:{server.port}", ca_file=certificates.ca_file)
        assert caught.value.phase is Phase.SENT


@everyone
def test_bad_tls_record_after_the_request_counts_as_sent(name: str, certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            opened, _ = listener.accept()
            with opened, certificates.good().wrap_socket(opened, server_side=True) as secured:
                secured.recv(65536)
                os.write(secured.fileno(), b"HTTP/1.1 200 OK\r\n\r\n")  # not encrypted

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(TransportError) as caught:
            fetch_with(name, f"https://localhost:{listener.getsockname()[1]}", ca_file=certificates.ca_file)
        server.join()
        assert caught.value.phase is Phase.SENT


@ours
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_names_certificates_only_if_it_is_trusted(
    name: str, variable: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, certificates.ca_file)
    with ScriptedServer(script(certificates.good()), script(certificates.good())) as server:
        url = f"https://localhost:{server.port}"
        assert fetch_with(name, url, trust_env=True) == b"ok"
        with pytest.raises(ConnectFailed) as caught:
            fetch_with(name, url, trust_env=False)
        assert caught.value.reason == "certificate"


@ours
def test_directory_of_the_environment_is_ignored_if_it_is_not_trusted(
    name: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(pathlib.Path(certificates.ca_file).parent))
    with ScriptedServer(script(certificates.good())) as server, pytest.raises(ConnectFailed):
        fetch_with(name, f"https://localhost:{server.port}", trust_env=False)
