"""Checks: TLS trusts the right certificates, and requests to proxies follow HTTP."""

from __future__ import annotations

import base64
import ssl

from turnout.errors import ConnectFailed, Phase, TransportError, TurnoutError
from turnout_io.conformance.certificates import Certificates
from turnout_io.conformance.harness import (
    Checks,
    DoesNotApply,
    Harness,
    Shortfall,
    Strictness,
    chunk,
    collect,
    described,
    expect,
    expect_bytes,
    expect_kind,
    reply,
)
from turnout_io.conformance.server import (
    EndConnection,
    Hold,
    Receive,
    Request,
    Reset,
    ScriptedServer,
    Send,
    StartTls,
    Step,
)

__all__ = ["CHECKS"]

CHECKS = Checks()

CA = "ca_file trustme"

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ESTABLISHED = Send(b"HTTP/1.1 200 Connection established\r\n\r\n")
PASSWORD = "p@ss:word"


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


BASIC = _basic(f"user:{PASSWORD}")


async def _refused(harness: Harness, certificates: Certificates, context: ssl.SSLContext, host: str) -> str:
    """The message of the ConnectFailed that a server with this certificate must meet; nothing may be sent to it."""
    with ScriptedServer([StartTls(context), Request(), Send(reply(b"no")), Hold()]) as server:
        adapter = harness.make(ca_file=certificates.ca_file)
        url = f"https://{host}:{server.port}"
        fault = await expect(ConnectFailed, harness.fetch(adapter, url, b"{}"))
        assert fault.phase is Phase.NOT_SENT
        assert not server.requests, "the request was sent"
        return str(fault)


@CHECKS.add("tls.trusted", "a certificate of a trusted CA, by name and by address", needs=CA)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        names: list[str | None] = []
        context = certificates.good()

        def note(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
            names.append(name)

        context.sni_callback = note
        script: list[Step] = [StartTls(context), Request(), Send(reply(b"ok")), Hold()]
        with ScriptedServer(script, script) as server:
            for host in ("127.0.0.1", "localhost"):
                response = await harness.fetch(
                    harness.make(ca_file=certificates.ca_file), f"https://{host}:{server.port}"
                )
                await expect_bytes(collect(response), b"ok")
                await response.close()
        # RFC 6066 section 3: names are sent for the server to choose by, addresses are not.
        assert "localhost" in names, f"expected the name localhost in the TLS greeting (SNI), but got {names}"


@CHECKS.add("tls.wrong-host", "a certificate for another host is refused", needs=CA)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        told = await _refused(harness, certificates, certificates.good("example.test"), "localhost")
        assert "localhost" in told, f"the message must name the host localhost, but it is: {told}"


@CHECKS.add("tls.unknown-issuer", "a certificate of an unknown CA is refused", needs=CA)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        await _refused(harness, certificates, certificates.unknown_issuer(), "localhost")


@CHECKS.add(
    "tls.expired",
    "an expired certificate is refused, and the message says so",
    needs=CA,
)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        told = await _refused(harness, certificates, certificates.expired(), "localhost")
        assert "expired" in told, f"the message must say that the certificate has expired, but it is: {told}"


@CHECKS.add("tls.system-trust-by-default", "without a CA of its own, a private CA is refused", needs="trustme")
async def _(harness: Harness) -> None:
    with Certificates() as certificates, ScriptedServer([StartTls(certificates.good()), Hold()]) as server:
        await expect(ConnectFailed, harness.fetch(harness.make(), f"https://localhost:{server.port}"))


@CHECKS.add("tls.not-spoken", "a server without TLS is ConnectFailed")
async def _(harness: Harness) -> Shortfall | None:
    refusal = Send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    endings: list[list[Step]] = [[refusal, EndConnection()], [Reset()], [EndConnection()]]
    for ending in endings:
        # It answers the greeting: before that, the connection may not yet be made in the eyes of the client.
        with ScriptedServer([Receive(), *ending]) as server:
            # Nothing was sent. With a less exact error the router repeats the request less often.
            fault = await expect(TransportError, harness.fetch(harness.make(), f"https://127.0.0.1:{server.port}"))
            if not isinstance(fault, ConnectFailed):
                return Shortfall(Strictness.NONE, f"expected ConnectFailed, but got {described(fault)}")
    return None


@CHECKS.add("tls.reuse", "a TLS connection is used again, and not after it was closed", needs=CA)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        tls = StartTls(certificates.good())
        answer: list[Step] = [Request(), Send(reply(b"ok"))]
        again: list[Step] = [tls, *answer, Hold()]
        with ScriptedServer([tls, *answer, *answer, EndConnection()], again, again) as server:
            adapter = harness.make(ca_file=certificates.ca_file)
            for connections in (1, 1, 2):
                response = await harness.fetch(adapter, f"https://127.0.0.1:{server.port}")
                await expect_bytes(collect(response), b"ok")
                await response.close()
                if len(server.connections) > connections:
                    raise DoesNotApply("no connection is used again")
                assert len(server.connections) == connections, "a connection was used that its peer had closed"
                if len(server.requests) == 2:
                    await adapter.run_with(lambda: server.connections[0].over.wait(0.3))


@CHECKS.add("tls.bodies", "large bodies both ways, and a chunked one in small pieces", needs=CA)
async def _(harness: Harness) -> None:
    data = bytes(range(256)) * 8_000
    with Certificates() as certificates:
        wire = CHUNKED + chunk(b"hel") + chunk(b"lo") + chunk(b"")
        tls = StartTls(certificates.good())
        pieces: list[Step] = [Request(), Send(wire, each=1), Hold()]
        # The second response uses the first connection, or another if the transport keeps none.
        with ScriptedServer([tls, Request(), Send(reply(data)), *pieces], [tls, *pieces]) as server:
            adapter = harness.make(ca_file=certificates.ca_file)
            for expected in (data, b"hello"):
                response = await harness.fetch(adapter, f"https://127.0.0.1:{server.port}", data)
                await expect_bytes(collect(response), expected)
                await response.close()
            arrived = [request.body == data for request in server.requests]
            assert arrived == [True, True], f"expected {len(data)} bytes of each request at the server, but got others"


@CHECKS.add("tls.early-end", "a framed body that ends early is an error over TLS too", needs=CA)
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        for ending in (EndConnection(), EndConnection(notify=False), Reset()):
            script: list[Step] = [StartTls(certificates.good()), Request(), Send(CHUNKED + chunk(b"hello")), ending]
            with ScriptedServer(script) as server:
                adapter = harness.make(ca_file=certificates.ca_file)
                response = await harness.fetch(adapter, f"https://127.0.0.1:{server.port}")
                await expect(TransportError, collect(response))
                await response.close()


@CHECKS.add("tls.cut-line", "a body without framing must end with close_notify", needs=CA)
async def _(harness: Harness) -> Shortfall | None:
    head = Send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
    with Certificates() as certificates:
        tls = StartTls(certificates.good())
        with ScriptedServer(
            [tls, Request(), head, EndConnection()], [tls, Request(), head, EndConnection(notify=False)]
        ) as server:
            adapter = harness.make(ca_file=certificates.ca_file)
            response = await harness.fetch(adapter, f"https://127.0.0.1:{server.port}")
            await expect_bytes(collect(response), b"hello")
            await response.close()
            response = await harness.fetch(adapter, f"https://127.0.0.1:{server.port}")
            try:
                body = await collect(response)
            except TransportError:
                return None
            finally:
                await response.close()
            seen = f"expected an error for an end without close_notify, but got {body!r} as a complete body"
            return Shortfall(Strictness.NONE, seen)


@CHECKS.add("tls.client-certificate", "a client certificate is shown", needs="ca_file client_cert trustme")
async def _(harness: Harness) -> None:
    with Certificates() as certificates:
        script: list[Step] = [StartTls(certificates.asking_for_client_cert()), Request(), Send(reply(b"ok")), Hold()]
        with ScriptedServer(script, script) as server:
            url = f"https://127.0.0.1:{server.port}"
            adapter = harness.make(ca_file=certificates.ca_file, client_cert=certificates.client_cert())
            response = await harness.fetch(adapter, url)
            await expect_bytes(collect(response), b"ok")
            await response.close()
            # With TLS 1.3 a client without a certificate may get the refusal at its first read.
            await expect(TransportError, harness.fetch(harness.make(ca_file=certificates.ca_file), url))


def _expect_password(found: str | None) -> None:
    """Show what arrived. A value that is not of this check may be a real password, so it is masked."""
    known = (f"user:{PASSWORD}", "user:p%40ss%3Aword", "user:", "user")
    shown = next((f"Basic of {pair!r}" for pair in known if found == _basic(pair)), "another value, ***")
    assert found == BASIC, (
        f"expected proxy-authorization to be Basic of {f'user:{PASSWORD}'!r}, the user and the password of the URL "
        f"after percent-decoding, but got {'none' if found is None else shown}"
    )


def _proxy(server: ScriptedServer, *, password: bool = False) -> str:
    credentials = "user:p%40ss%3Aword@" if password else ""
    return f"http://{credentials}{server.authority}"


@CHECKS.add("proxy.plain", "an http URL is asked for whole at the proxy, credentials apart", needs="proxy")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply(b"ok")), Hold()]) as server:
        adapter = harness.make(proxy=_proxy(server, password=True))
        response = await harness.fetch(adapter, "http://api.example.test:8080/v1/x?a=b", b"{}")
        await expect_bytes(collect(response), b"ok")
        await response.close()
        request = server.requests[0]
        assert request.target == "http://api.example.test:8080/v1/x?a=b"
        host = request.get("host")
        assert host == "api.example.test:8080", f"expected Host: api.example.test:8080, but it is {host}"
        _expect_password(request.get("proxy-authorization"))


async def _tunnelled(harness: Harness, *, password: bool) -> None:
    with Certificates() as certificates:
        script: list[Step] = [Request(), ESTABLISHED, StartTls(certificates.good("api.example.test"))]
        answer: list[Step] = [Request(), Send(reply(b"ok"))]
        with ScriptedServer([*script, *answer, *answer, Hold()], [*script, *answer, Hold()]) as server:
            adapter = harness.make(proxy=_proxy(server, password=password), ca_file=certificates.ca_file)
            for _ in range(2):
                fields = (("Authorization", "Bearer k"),)
                response = await harness.fetch(adapter, "https://api.example.test/v1", b"{}", fields=fields)
                await expect_bytes(collect(response), b"ok")
                await response.close()
            # One tunnel, or one for each request if the transport keeps no connection.
            tunnels = [request for request in server.requests if request.method == "CONNECT"]
            requests = [request for request in server.requests if request.method != "CONNECT"]
            for connect in tunnels:
                assert connect.target == "api.example.test:443"
                assert connect.get("authorization") is None, "the proxy was shown the key"
                if password:
                    _expect_password(connect.get("proxy-authorization"))
                else:
                    assert connect.get("proxy-authorization") is None, "the proxy was shown a password that it has not"
            for request in requests:
                assert request.target == "/v1"
                assert request.get("proxy-authorization") is None, "the server was shown the proxy's password"
                assert request.get("authorization") == "Bearer k", "the field authorization did not reach the server"
            assert len(requests) == 2, f"expected two requests through the tunnel, but got {len(requests)}"


@CHECKS.add(
    "proxy.tunnel",
    "an https URL goes through a tunnel, which may be used again",
    needs="proxy ca_file trustme",
)
async def _(harness: Harness) -> None:
    await _tunnelled(harness, password=False)


@CHECKS.add(
    "proxy.tunnel-with-password",
    "a proxy's password is shown to the proxy alone",
    needs="proxy ca_file trustme",
)
async def _(harness: Harness) -> None:
    await _tunnelled(harness, password=True)


@CHECKS.add("proxy.refuses", "a proxy that refuses is ConnectFailed, and the message shows no password", needs="proxy")
async def _(harness: Harness) -> None:
    for status in ("407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"):
        refusal = Send(reply(b"no", "Proxy-Authenticate: Basic", status=status))
        with ScriptedServer([Request(), refusal, Hold()]) as server:
            adapter = harness.make(proxy=_proxy(server, password=True))
            fault = await expect(ConnectFailed, harness.fetch(adapter, "https://api.example.test/v1", b"{}"))
            assert fault.phase is Phase.NOT_SENT
            shows_password = "ss:word" in str(fault) or "p%40" in str(fault)
            assert not shows_password, "the message of the error shows the password of the proxy"
            assert "proxy" in str(fault), f"the message must name the proxy, but it is: {fault}"


@CHECKS.add("proxy.breaks", "a proxy that dies or talks nonsense is ConnectFailed", needs="proxy")
async def _(harness: Harness) -> None:
    scripts: list[list[Step]] = [
        [EndConnection()],
        [Request(), EndConnection()],
        [Request(), Reset()],
        [Request(), Send(b"hello\r\n\r\n"), EndConnection()],
    ]
    for script in scripts:
        with ScriptedServer(script) as server:
            adapter = harness.make(proxy=_proxy(server))
            fault = await expect(TurnoutError, harness.fetch(adapter, "https://api.example.test/v1", b"{}"))
            expect_kind(fault, ConnectFailed)


@CHECKS.add(
    "proxy.not-there", "a proxy that is not there is ConnectFailed, and the message names the proxy", needs="proxy"
)
async def _(harness: Harness) -> None:
    with ScriptedServer() as server:
        url = _proxy(server)
    for scheme in ("http", "https"):
        fault = await expect(ConnectFailed, harness.fetch(harness.make(proxy=url), f"{scheme}://api.example.test/"))
        assert server.authority in str(fault), f"the message must name the proxy {server.authority}, but it is: {fault}"
