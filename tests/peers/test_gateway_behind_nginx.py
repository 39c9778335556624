"""The gateway behind nginx with TLS, in the configuration that its page shows: tokens arrive as they are made."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from pathlib import Path

import pytest
import trustme

from tests.docs.test_gateway_page import blocks
from tests.peers.neighbours import free_port, program, running
from tests.transports.serve.test_command import configured
from tests.transports.serve.test_command import running as running_gateway
from turnout_io.sandbox import Fault, Sandbox

pytestmark = [
    pytest.mark.peer,
    pytest.mark.full,
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed: apt-get install nginx-light"),
]
HELLO = [{"role": "user", "content": "hello"}]


def configuration(folder: Path, port: int, gateway: int) -> str:
    """The server of the page, on other ports and with other files."""
    (server,) = blocks("nginx")
    server = server.replace("443", f"127.0.0.1:{port}").replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
    server = re.sub(r"/etc/nginx/tls/\w+\.pem", f"{folder}/server.pem", server)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{server}\n}}\n"
    )


def test_tokens_pass_as_they_arrive(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("llm.example.com", "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    keys = [{"name": "team", "key": "secret"}]
    aliases = {"fast": ["openai/gpt-4o-mini"]}
    with Sandbox() as sandbox:
        # After two tokens, the provider says nothing more until the client has seen them.
        sandbox.script("openai", Fault(stall=60, after_tokens=2))
        path = configured(tmp_path, sandbox, keys=keys, aliases=aliases)
        with running_gateway("--config", path) as gateway:
            port = free_port()
            (tmp_path / "nginx.conf").write_text(configuration(tmp_path, port, gateway.port))
            command = [program("nginx") or "", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
            with running(command, port, tmp_path):
                connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
                body = json.dumps({"model": "fast", "messages": HELLO, "stream": True})
                headers = {"Authorization": "Bearer secret", "Host": "llm.example.com"}
                connection.request("POST", "/v1/chat/completions", body, headers)
                response = connection.getresponse()
                assert response.status == 200
                seen = b""
                while seen.count(b'"content":') < 3:  # the role, and two tokens
                    seen += response.read1()
                assert b"[DONE]" not in seen
                response.close()
                connection.close()
                # nginx passes on that the client has left.
                assert sandbox.wait(lambda sandbox: sandbox.in_flight("openai") == 0)
