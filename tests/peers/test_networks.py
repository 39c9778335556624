"""What stands between programs and providers in real networks: nginx, a proxy with a password, a proxy that looks into
TLS, and a wire that delivers one byte at a time. Each is the real program, with every transport.

    apt-get install nginx-light tinyproxy socat && pip install mitmproxy
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

from tests.peers.neighbours import DRIVERS, Asked, free_port, program, running
from turnout.errors import ConnectFailed, ProviderError, ServerError
from turnout_io.sandbox import Sandbox

pytestmark = pytest.mark.peer
each_driver = pytest.mark.parametrize("driver", DRIVERS)
each_manner = pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream"])


def needs(name: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(program(name) is None, reason=f"{name} is not installed: {package}")


needs_nginx = needs("nginx", "apt-get install nginx-light")
needs_tinyproxy = needs("tinyproxy", "apt-get install tinyproxy")
needs_socat = needs("socat", "apt-get install socat")
needs_mitmproxy = needs("mitmdump", "pip install mitmproxy")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(token_interval=0.0) as server:
        yield server


@pytest.fixture(scope="module")
def direct(sandbox: Sandbox) -> str:
    """What is answered with nobody in between."""
    sandbox.answer("groq", "Signals, points, and Zoë's 🚂: " + "all of it arrives. " * 40)
    (reply,) = DRIVERS["requests"](Asked(endpoint=sandbox.environ()["GROQ_ENDPOINT"]))
    return reply.text


def path_of(sandbox: Sandbox) -> tuple[str, str]:
    origin, _, path = sandbox.environ()["GROQ_ENDPOINT"].removeprefix("http://").partition("/")
    return origin, path


# -- nginx: TLS in front, limits on connections and bodies, buffering, gzip -------------------------------------------


@attrs.frozen
class Nginx:
    port: int
    ca_file: str
    process: subprocess.Popen[bytes]
    path: str

    def asked(self, prefix: str = "", **fields: Any) -> Asked:
        made = Asked(endpoint=f"https://localhost:{self.port}/{prefix}{self.path}", options={"ca_file": self.ca_file})
        return attrs.evolve(made, **fields)


@pytest.fixture(scope="module")
def nginx(sandbox: Sandbox, direct: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    origin, path = path_of(sandbox)
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(f"""
        daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
        events {{}}
        http {{
            access_log off;
            {temporary}
            gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
                keepalive_requests 3; client_max_body_size 64k;
                proxy_http_version 1.1; proxy_set_header Connection "";
                location /             {{ proxy_pass http://{origin};  proxy_buffering off; }}
                location /buffered/    {{ proxy_pass http://{origin}/; proxy_buffering on; }}
                location /dead/        {{ proxy_pass http://127.0.0.1:9/; }}
            }}
        }}
    """)
    command = [program("nginx") or "", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with running(command, port, folder) as process:
        yield Nginx(port, str(folder / "ca.pem"), process, path)


@needs_nginx
@each_driver
@each_manner
@pytest.mark.parametrize("prefix", ["", "buffered/"], ids=["unbuffered", "buffered"])
def test_nginx_in_front_changes_nothing(driver: str, stream: bool, prefix: str, nginx: Nginx, direct: str) -> None:
    """Ten calls, three to a connection: what it closes between two calls costs nobody anything."""
    replies = DRIVERS[driver](nginx.asked(prefix, stream=stream, calls=10))
    assert [reply.text for reply in replies] == [direct] * 10


@needs_nginx
@each_driver
def test_connections_that_die_while_idle_are_replaced(driver: str, nginx: Nginx, direct: str) -> None:
    """A reload makes its old workers close what is idle, at any moment before or during the next call."""
    replies = DRIVERS[driver](nginx.asked(calls=6, before=lambda: nginx.process.send_signal(signal.SIGHUP)))
    assert [reply.text for reply in replies] == [direct] * 6


@needs_nginx
@each_driver
def test_a_body_that_is_too_large_is_an_error_and_no_reset(driver: str, nginx: Nginx) -> None:
    with pytest.raises(ProviderError) as caught:
        DRIVERS[driver](nginx.asked(question="x" * 3_000_000))
    assert caught.value.status == 413
    assert "413 Request Entity Too Large" in str(caught.value)


@needs_nginx
@each_driver
def test_a_page_of_html_is_told_in_a_line(driver: str, nginx: Nginx) -> None:
    with pytest.raises(ServerError) as caught:
        DRIVERS[driver](nginx.asked("dead/"))
    assert caught.value.status == 502
    assert "502 Bad Gateway" in str(caught.value)
    assert "<" not in str(caught.value)


@needs_nginx
@each_driver
def test_a_certificate_of_a_stranger_s_ca_is_refused(driver: str, nginx: Nginx) -> None:
    with pytest.raises(ConnectFailed, match="is not trusted here: name its CA as ca_file if you trust it"):
        DRIVERS[driver](nginx.asked(options={}))


# -- tinyproxy: CONNECT and plain requests, with a password -----------------------------------------------------------


@attrs.frozen
class TinyProxy:
    port: int
    log: Path

    def url(self, user: str) -> str:
        return f"http://{user}@127.0.0.1:{self.port}" if user else f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyProxy]:
    folder = tmp_path_factory.mktemp("tinyproxy")
    port = free_port()
    (folder / "tinyproxy.conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 30\nAllow 127.0.0.1\nLogLevel Connect\nLogFile "{folder}/log"\n'
        f'PidFile "{folder}/pid"\nBasicAuth ada correct-horse\nMaxClients 50\n'
    )
    command = [program("tinyproxy") or "", "-d", "-c", str(folder / "tinyproxy.conf")]
    with running(command, port, folder):
        yield TinyProxy(port, folder / "log")


@needs_tinyproxy
@needs_nginx
@each_driver
@each_manner
def test_tls_goes_through_a_proxy_with_a_password(
    driver: str, stream: bool, nginx: Nginx, tinyproxy: TinyProxy, direct: str
) -> None:
    options = {"ca_file": nginx.ca_file, "proxy": tinyproxy.url("ada:correct-horse")}
    before = tinyproxy.log.read_text().count(f"CONNECT localhost:{nginx.port}")
    replies = DRIVERS[driver](nginx.asked(stream=stream, calls=3, options=options))
    assert [reply.text for reply in replies] == [direct] * 3
    assert tinyproxy.log.read_text().count(f"CONNECT localhost:{nginx.port}") > before


@needs_tinyproxy
@each_driver
@each_manner
def test_plain_requests_go_through_it_too(
    driver: str, stream: bool, sandbox: Sandbox, tinyproxy: TinyProxy, direct: str
) -> None:
    options = {"proxy": tinyproxy.url("ada:correct-horse")}
    asked = Asked(endpoint=sandbox.environ()["GROQ_ENDPOINT"], stream=stream, calls=3, options=options)
    assert [reply.text for reply in DRIVERS[driver](asked)] == [direct] * 3


@needs_tinyproxy
@needs_nginx
@each_driver
@pytest.mark.parametrize(
    ("user", "told"),
    [
        ("ada:wrong", "does not accept its user name and password"),
        ("", "wants a user name and password: give them in its URL, http://user:password@host:port"),
    ],
    ids=["wrong", "none"],
)
def test_a_password_that_is_not_right_is_one_clear_line(
    driver: str, user: str, told: str, nginx: Nginx, tinyproxy: TinyProxy
) -> None:
    options = {"ca_file": nginx.ca_file, "proxy": tinyproxy.url(user)}
    with pytest.raises(ConnectFailed) as caught:
        DRIVERS[driver](nginx.asked(options=options))
    assert str(caught.value) == f"groq/llama-3.1-8b-instant: the proxy http://127.0.0.1:{tinyproxy.port} {told}"


# -- mitmproxy: in the middle of TLS, with a CA of its own ------------------------------------------------------------


@attrs.frozen
class Middle:
    port: int
    ca_file: str

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middle]:
    folder = tmp_path_factory.mktemp("mitmproxy")
    port = free_port()
    settings = [f"confdir={folder}", "ssl_insecure=true", "flow_detail=0"]
    command = [program("mitmdump") or "", "--listen-host", "127.0.0.1", "-p", str(port)]
    command += [word for setting in settings for word in ("--set", setting)]
    with running(command, port, folder):
        yield Middle(port, str(folder / "mitmproxy-ca-cert.pem"))


@needs_mitmproxy
@needs_nginx
@each_driver
@each_manner
def test_a_proxy_that_looks_into_tls_is_let_when_its_ca_is_named(
    driver: str, stream: bool, nginx: Nginx, middle: Middle, direct: str
) -> None:
    options = {"ca_file": middle.ca_file, "proxy": middle.proxy}
    replies = DRIVERS[driver](nginx.asked(stream=stream, calls=2, options=options))
    assert [reply.text for reply in replies] == [direct] * 2


@needs_mitmproxy
@needs_nginx
@each_driver
def test_and_is_refused_when_it_is_not(driver: str, nginx: Nginx, middle: Middle) -> None:
    with pytest.raises(ConnectFailed, match=f"certificate of localhost:{nginx.port} .*name"):
        DRIVERS[driver](nginx.asked(options={"ca_file": nginx.ca_file, "proxy": middle.proxy}))


# -- socat: one byte at a time ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow_wire(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    origin, _ = path_of(sandbox)
    port = free_port()
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay"
    command = [program("socat") or "", "-b", "1", listen, f"TCP:{origin},nodelay"]
    with running(command, port, tmp_path_factory.mktemp("socat")):
        yield port


@needs_socat
@each_driver
@each_manner
def test_one_byte_at_a_time_says_the_same(
    driver: str, stream: bool, sandbox: Sandbox, slow_wire: int, direct: str
) -> None:
    _, path = path_of(sandbox)
    asked = Asked(endpoint=f"http://127.0.0.1:{slow_wire}/{path}", stream=stream, calls=2)
    assert [reply.text for reply in DRIVERS[driver](asked)] == [direct] * 2
