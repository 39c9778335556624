"""Which proxy the environment names, and what a proxy's URL says."""

from __future__ import annotations

import pytest

from turnout.errors import ConnectFailed, LocalProtocolError
from turnout.http.origin import Origin, split_url
from turnout_io.transports.proxies import Proxy, proxy_for

PROXIES = {"HTTPS_PROXY": "http://secure.test:3128", "HTTP_PROXY": "plain.test:8080"}


def chosen(url: str, environ: dict[str, str]) -> str | None:
    proxy = proxy_for(split_url(url)[0], environ)
    return None if proxy is None else str(proxy)


def test_the_scheme_of_the_request_decides() -> None:
    assert chosen("https://api.example.test/", PROXIES) == "http://secure.test:3128"
    assert chosen("http://api.example.test/", PROXIES) == "http://plain.test:8080"
    assert chosen("http://api.example.test/", {"ALL_PROXY": "http://all.test"}) == "http://all.test:80"
    assert (
        chosen("https://api.example.test/", {"https_proxy": "a.test:1", "HTTPS_PROXY": "b.test:2"}) == "http://a.test:1"
    )
    assert chosen("https://api.example.test/", {}) is None
    assert chosen("https://api.example.test/", {"HTTPS_PROXY": ""}) is None


def test_a_field_of_a_cgi_request_names_no_proxy() -> None:
    environ = {**PROXIES, "REQUEST_METHOD": "GET"}
    assert chosen("http://api.example.test/", environ) is None
    assert chosen("http://api.example.test/", {**environ, "http_proxy": "x.test:1"}) == "http://x.test:1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "ollama.localhost"])
def test_loopback_goes_straight(host: str) -> None:
    assert chosen(f"http://{host}:11434/", PROXIES) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "straight"),
    [
        ("*", "https://api.example.test/", True),
        ("example.test", "https://example.test/", True),
        ("example.test", "https://api.example.test/", True),
        (".example.test", "https://api.example.test/", True),
        ("*.example.test", "https://api.example.test/", True),
        ("example.test", "https://badexample.test/", False),
        ("EXAMPLE.test , other.test", "https://other.test/", True),
        ("example.test:8443", "https://example.test:8443/", True),
        ("example.test:8443", "https://example.test/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://example.test/", False),
        ("fd00::/8", "http://[fd00::1]/", True),
        ("fd00::1", "http://[fd00::1]/", True),
        ("[fd00::1]:8080", "http://[fd00::1]:8080/", True),
        ("not/a/network", "http://10.1.2.3/", False),
        ("", "http://10.1.2.3/", False),
    ],
)
def test_exemptions(no_proxy: str, url: str, straight: bool) -> None:
    assert (chosen(url, {**PROXIES, "NO_PROXY": no_proxy}) is None) == straight


def test_credentials_are_sent_and_never_shown() -> None:
    proxy = Proxy.parse("http://user:p%40ss%3A@proxy.test:3128")
    assert proxy.authorization == "Basic dXNlcjpwQHNzOg=="
    assert "dXNl" not in repr(proxy)
    assert "p%40" not in repr(proxy) + str(proxy)
    with pytest.raises(LocalProtocolError) as caught:
        Proxy.parse("http://user:p%40ss@proxy.test:port")
    assert "p%40" not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_a_proxy_url_may_be() -> None:
    assert str(Proxy.parse("proxy.test")) == "http://proxy.test:80"
    assert str(Proxy.parse("https://[::1]:3128")) == "https://[::1]:3128"
    assert Proxy.parse("https://proxy.test").origin == Origin("https", "proxy.test", 443)
    assert Proxy.parse("socks5h://proxy.test").origin == Origin("http", "proxy.test", 1080)
    with pytest.raises(ConnectFailed, match="use http, https, socks5 or socks5h") as caught:
        _ = Proxy.parse("socks4://proxy.test").origin
    assert caught.value.reason == "proxy-refused"
    for wrong in ("http://", "http://proxy.test:0", "http://proxy.test:70000"):
        with pytest.raises(LocalProtocolError):
            Proxy.parse(wrong)
