"""What a person reads when the network is wrong: one line that says what failed, where, and what to do; by every
transport, and on the command line."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.peers.neighbours import DRIVERS, Asked, free_port
from turnout.errors import AuthenticationFailed, ConnectFailed, NotFound, TransportError, TurnoutError
from turnout_io.conformance.certificates import Certificates
from turnout_io.sandbox import Fault, Sandbox

SECRET = "sandbox-groq-key"


@attrs.frozen
class Wrong:
    """One thing that is wrong.

    endpoint  as it is configured
    told      what the line says, in this order
    ca_file   what is trusted besides
    proxy     on the way
    """

    endpoint: str
    error: type[TurnoutError]
    told: tuple[str, ...]
    ca_file: str | None = None
    proxy: str | None = None
    model: str = "llama-3.1-8b-instant"


@contextlib.contextmanager
def server(context: ssl.SSLContext | None) -> Iterator[int]:
    """Shakes hands, reads a little, and hangs up; without a context, it speaks plain HTTP, and understands nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    if context is None:
                        connection.recv(4096)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        continue
                    with context.wrap_socket(connection, server_side=True) as tls:
                        tls.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@contextlib.contextmanager
def situation(name: str, folder: Path) -> Iterator[Wrong]:
    with contextlib.ExitStack() as stack:
        certificates = stack.enter_context(Certificates())
        told: tuple[str, ...]

        def tls(context: ssl.SSLContext) -> str:
            return f"localhost:{stack.enter_context(server(context))}"

        match name:
            case "no such host":
                told = (
                    "no address is known for no-such-host.invalid:443",
                    "check the host name and this machine's DNS",
                )
                yield Wrong("https://no-such-host.invalid/v1", ConnectFailed, told)
            case "refused":
                where = f"127.0.0.1:{free_port()}"
                told = (f"{where} refused the connection", "check that the server runs and that the port is right")
                yield Wrong(f"http://{where}/v1", ConnectFailed, told)
            case "expired":
                where = tls(certificates.expired())
                told = (f"the certificate of {where} has expired", "its owner must renew it, or this machine's clock")
                yield Wrong(f"https://{where}/v1", ConnectFailed, told, certificates.ca_file)
            case "unknown issuer":
                where = tls(certificates.unknown_issuer())
                told = (f"the issuer of the certificate of {where} is not trusted", "name its CA as ca_file")
                yield Wrong(f"https://{where}/v1", ConnectFailed, told, certificates.ca_file)
            case "self-signed":
                where = tls(self_signed(folder))
                told = (f"the certificate of {where} is self-signed", "name it as ca_file")
                yield Wrong(f"https://{where}/v1", ConnectFailed, told, certificates.ca_file)
            case "another's name":
                where = tls(certificates.good("example.test"))
                told = (f"the certificate of {where} is not for localhost", "check the host name in the URL")
                yield Wrong(f"https://{where}/v1", ConnectFailed, told, certificates.ca_file)
            case "no TLS there":
                where = f"localhost:{stack.enter_context(server(None))}"
                told = (f"{where} does not speak TLS", "should the URL begin with http://")
                yield Wrong(f"https://{where}/v1", ConnectFailed, told)
            case "TLS there":
                where = tls(certificates.good())
                yield Wrong(f"http://{where}/v1", TransportError, (where, "closed the connection"))
            case "proxy down" | "proxy down, plain http":
                proxy = f"127.0.0.1:{free_port()}"
                told = (f"the proxy http://{proxy} refused the connection",)
                scheme = "http" if name.endswith("http") else "https"
                yield Wrong(
                    f"{scheme}://api.example.test/v1", ConnectFailed, told, proxy=f"http://ada:{SECRET}@{proxy}"
                )
            case "wrong key":
                sandbox = stack.enter_context(Sandbox())
                sandbox.script("groq", Fault(status=401), forever=True)
                yield Wrong(
                    sandbox.environ()["GROQ_ENDPOINT"], AuthenticationFailed, ("groq/llama-3.1-8b-instant: ", "401")
                )
            case "no such model":
                sandbox = stack.enter_context(Sandbox())
                told = ("groq/no-such-model: ", "404")
                yield Wrong(sandbox.environ()["GROQ_ENDPOINT"], NotFound, told, model="no-such-model")
            case _:
                raise AssertionError(name)


NAMES = [
    "no such host", "refused", "expired", "unknown issuer", "self-signed", "another's name", "no TLS there",
    "TLS there", "proxy down", "proxy down, plain http", "wrong key", "no such model",
]  # fmt: skip


REASONS = {
    "no such host": "name",
    "refused": "refused",
    "expired": "certificate",
    "unknown issuer": "certificate",
    "self-signed": "certificate",
    "another's name": "certificate",
    "no TLS there": "tls",
    "proxy down": "refused",
    "proxy down, plain http": "refused",
}


def right(line: str, wrong: Wrong) -> None:
    place = 0
    for words in wrong.told:
        found = line.find(words, place)
        assert found >= 0, f"{words!r} is not in {line!r} where it should be"
        place = found + len(words)
    assert "\n" not in line
    assert SECRET not in line
    assert "Traceback" not in line


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", NAMES)
def test_each_transport_says_what_is_wrong(name: str, driver: str, tmp_path: Path) -> None:
    with situation(name, tmp_path) as wrong:
        options: dict[str, Any] = {"trust_env": False, "ca_file": wrong.ca_file}
        if wrong.proxy is not None:
            options["proxy"] = wrong.proxy
        with pytest.raises(wrong.error) as caught:
            DRIVERS[driver](Asked(endpoint=wrong.endpoint, options=options, model=wrong.model))
        right(str(caught.value), wrong)
        told = caught.value.trace.explain()
        assert SECRET not in told
        if isinstance(caught.value, ConnectFailed):
            # What the trace keeps of it is one word: messages stay out of traces.
            assert caught.value.reason == REASONS[name]
            assert f"code {REASONS[name]}" in told


# Plain http to another host has a warning of its own, before the line.
@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in NAMES if name != "proxy down, plain http"])
def test_the_command_line_says_it_in_one_line(name: str, tmp_path: Path) -> None:
    with situation(name, tmp_path) as wrong:
        environ = {key: value for key, value in os.environ.items() if not key.lower().endswith(("_proxy", "_bundle"))}
        environ |= {"GROQ_API_KEY": SECRET, "GROQ_ENDPOINT": wrong.endpoint, "PYTHONUTF8": "1"}
        if wrong.ca_file is not None:
            environ["SSL_CERT_FILE"] = wrong.ca_file
        if wrong.proxy is not None:
            environ["HTTPS_PROXY"] = wrong.proxy
        config = tmp_path / "once.yaml"
        config.write_text("runtime: {router: {maxRetries: 0}}\n")
        words = ["chat", "hi", "-m", f"groq/{wrong.model}", "--config", str(config)]
        done = subprocess.run(
            [sys.executable, "-c", "from turnout_io.cli import main; main()", *words],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert done.stdout.strip() == ""
        assert done.stderr.startswith("turnout: ")
        right(done.stderr.removesuffix("\n"), wrong)
