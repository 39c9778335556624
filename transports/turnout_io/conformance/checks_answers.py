"""Checks: the caller gets status, fields and body unchanged, for every framing of the response."""

from __future__ import annotations

import gzip

from turnout.errors import LocalProtocolError, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.harness import (
    Checks,
    Harness,
    Shortfall,
    Strictness,
    chunk,
    collect,
    described,
    expect,
    expect_bytes,
    reply,
)
from turnout_io.conformance.server import Gate, Hold, Request, ScriptedServer, Send, Step

__all__ = ["CHECKS"]

CHECKS = Checks()

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _body_of(harness: Harness, *steps: Send, method: str = "GET") -> bytes:
    """Return the body that the caller gets if the server sends this."""
    with ScriptedServer([Request(), *steps, Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url, method=method)
        body = await collect(response)
        await response.close()
        return body


@CHECKS.add("status.is-no-error", "an error status is an answer like any other")
async def _(harness: Harness) -> None:
    for status in ("400 Bad Request", "401 Unauthorized", "429 Too Many Requests", "500 Oops", "529 Overloaded"):
        with ScriptedServer([Request(), Send(reply(b"why", status=status)), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url)
            assert response.status == int(status[:3])
            await expect_bytes(collect(response), b"why")
            await response.close()


@CHECKS.add("status.redirect-is-not-followed", "a redirect is given to the caller with its body")
async def _(harness: Harness) -> None:
    for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
        with ScriptedServer([Request(), Send(reply(b"there", "Location: /other", status=status)), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url, b"{}", fields=(("Authorization", "Bearer k"),))
            assert response.status == int(status[:3])
            await expect_bytes(collect(response), b"there")
            await response.close()
            assert len(server.requests) == 1, "the redirect was followed"


@CHECKS.add("request.is-sent-as-written", "method, target, fields and body arrive as they were given")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply()), Hold()]) as server:
        fields = (("Authorization", "Bearer k"), ("X-Odd!#", 'a  b;c="d"'), ("Content-Type", "application/json"))
        url = f"{server.url}/v1beta/models/m:generate?alt=sse&key=%20x"
        response = await harness.fetch(harness.make(), url, b'{"a": "\xc3\xa9"}', fields=fields)
        await response.close()
        request = server.requests[0]
        assert (request.method, request.target) == ("POST", "/v1beta/models/m:generate?alt=sse&key=%20x")
        assert request.body == b'{"a": "\xc3\xa9"}'
        for name, value in fields:
            got = request.get(name)
            assert got == value, f"expected the field {name}: {value!r}, but the server received {got!r}"


@CHECKS.add("request.has-no-fields-of-its-own", "nothing is added but Host, Connection and the length of a body")
async def _(harness: Harness) -> None:
    answer: list[Step] = [Request(), Send(reply())]
    with ScriptedServer([*answer, *answer, Hold()], [*answer, Hold()]) as server:
        adapter = harness.make()
        for body in (b"{}", b""):
            response = await harness.fetch(adapter, server.url, body)
            await expect_bytes(collect(response), b"")
            await response.close()
        for request in server.requests:
            added = {name.lower() for name, _ in request.fields} - {"host", "content-length", "connection"}
            assert not added, f"the transport added {', '.join(sorted(added))}"
            host = request.get("host")
            assert host == server.authority, f"expected Host: {server.authority}, but it is {host}"
            length = request.get("content-length")
            if request.body:
                assert length == "2", f"expected Content-Length: 2 on a POST of two bytes, but it is {length}"
            else:
                assert length is None, f"expected no Content-Length on a GET, but it is {length}"


@CHECKS.add("request.empty-post-has-length", "a POST without a body says so with Content-Length: 0")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply()), Hold()]) as server:
        await (await harness.fetch(harness.make(), server.url, method="POST")).close()
        length = server.requests[0].get("content-length")
        assert length == "0", f"expected Content-Length: 0, but it is {length}"


@CHECKS.add("request.line-break-in-a-field", "a field that would smuggle a line is refused, unsent and unshown")
async def _(harness: Harness) -> None:
    for value in ("Bearer sk-secret\r\nX-Smuggled: 1", "Bearer sk-secret\n"):
        with ScriptedServer([Request(), Send(reply()), Hold()]) as server:
            request = HttpRequest("GET", server.url, (("Authorization", value),))
            fault = await expect(
                LocalProtocolError, harness.make().open(request, TransportTimeouts(connect=5, response_headers=5))
            )
            assert "sk-secret" not in str(fault), "the message of the error shows the value of the field"
            assert not server.requests, "the request was sent"


@CHECKS.add("headers.repeated-are-kept", "each field of a repeated name is there, in order")
async def _(harness: Harness) -> None:
    fields = ("X-A: 1", "Set-Cookie: a=b", "X-A: 2", "set-cookie: c=d")
    with ScriptedServer([Request(), Send(reply(b"", *fields)), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await response.close()
        got = [(name.lower(), value) for name, value in response.headers]
        for wanted, values in (("x-a", ["1", "2"]), ("set-cookie", ["a=b", "c=d"])):
            found = [value for name, value in got if name == wanted]
            assert found == values, f"expected two fields {wanted} with the values {values}, but got {found}"


@CHECKS.add("headers.odd-but-legal", "empty values, tabs, Latin-1 and unusual names are taken")
async def _(harness: Harness) -> None:
    fields = ("X-Empty:", "x!#$%&'*+.^_`|~9: 1", "X-Latin: caf\xe9", "X-Tab:\ta\tb\t", "X-Colon: a:b: c")
    with ScriptedServer([Request(), Send(reply(b"", *fields)), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await response.close()
        got = {name.lower(): value for name, value in response.headers}
        for name, value in (
            ("x-empty", ""),
            ("x!#$%&'*+.^_`|~9", "1"),
            ("x-latin", "caf\xe9"),
            ("x-tab", "a\tb"),
            ("x-colon", "a:b: c"),
        ):
            found = got.get(name)
            assert found is not None, f"the field {name} is missing"
            assert found.strip("\t") == value, f"expected the field {name}: {value!r}, but got {found!r}"


@CHECKS.add("headers.status-line-without-reason", "a status line may end after the number")
async def _(harness: Harness) -> None:
    for line in (b"HTTP/1.1 200", b"HTTP/1.1 200 "):
        await expect_bytes(_body_of(harness, Send(line + b"\r\nContent-Length: 2\r\n\r\nok")), b"ok")


@CHECKS.add("body.is-not-decoded", "a compressed body comes as it is, with its Content-Encoding")
async def _(harness: Harness) -> None:
    packed = gzip.compress(b"hello" * 100)
    with ScriptedServer([Request(), Send(reply(packed, "Content-Encoding: gzip")), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await expect_bytes(collect(response), packed)
        await response.close()
        fields = [(name.lower(), value) for name, value in response.headers]
        assert ("content-encoding", "gzip") in fields


@CHECKS.add("body.length", "a body with Content-Length")
async def _(harness: Harness) -> None:
    await expect_bytes(_body_of(harness, Send(reply(b"hello"))), b"hello")
    await expect_bytes(_body_of(harness, Send(reply(b""))), b"")


@CHECKS.add("body.chunked", "a chunked body, with extensions and trailers")
async def _(harness: Harness) -> None:
    wire = b"5\r\nhello\r\n" + b'006;a=b;c="d"\r\n world\r\n' + b"A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
    await expect_bytes(_body_of(harness, Send(CHUNKED + wire)), b"hello world0123456789")
    await expect_bytes(_body_of(harness, Send(CHUNKED + chunk(b""))), b"")


@CHECKS.add("body.until-close", "a body without framing ends where the connection does")
async def _(harness: Harness) -> None:
    for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n"):
        with ScriptedServer([Request(), Send(head + b"some"), Send(b" more")]) as server:
            response = await harness.fetch(harness.make(), server.url)
            await expect_bytes(collect(response), b"some more")
            await response.close()


@CHECKS.add("body.none", "204, 304 and the answer to HEAD have no body, whatever their fields say")
async def _(harness: Harness) -> None:
    for method, head in (
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ):
        await expect_bytes(_body_of(harness, Send(head), method=method), b"")


@CHECKS.add("body.byte-by-byte", "head and body in single bytes, in every framing")
async def _(harness: Harness) -> None:
    await expect_bytes(_body_of(harness, Send(reply(b"hello", "X-A: b"), each=1)), b"hello")
    wire = CHUNKED + chunk(b"hel") + b"2;x=y\r\nlo\r\n" + b"0\r\nA: b\r\n\r\n"
    await expect_bytes(_body_of(harness, Send(wire, each=1)), b"hello")


@CHECKS.add("body.large", "a megabyte, with its length and in 3,000 chunks")
async def _(harness: Harness) -> None:
    data = bytes(range(256)) * 4096
    await expect_bytes(_body_of(harness, Send(reply(data))), data)
    wire = b"".join(chunk(data[at : at + 350]) for at in range(0, len(data), 350))
    await expect_bytes(_body_of(harness, Send(CHUNKED + wire + chunk(b""), each=10_007)), data)


@CHECKS.add("body.arrives-as-it-comes", "read returns what is there, and does not wait for more")
async def _(harness: Harness) -> None:
    for head, first, second in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", b"some", b"more"),
        (CHUNKED, chunk(b"some"), chunk(b"more") + chunk(b"")),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"some", b"more"),
    ):
        script: list[Step] = [Request(), Send(head), Gate("head"), Send(first), Gate("first"), Send(second)]
        with ScriptedServer(script) as server:
            response = await harness.fetch(harness.make(), server.url)
            server.open_gate("head")
            await expect_bytes(response.read(5.0), b"some")
            server.open_gate("first")
            await expect_bytes(collect(response), b"more")
            await response.close()


@CHECKS.add("body.part-of-a-chunk", "the part of a chunk that is there is given at once")
async def _(harness: Harness) -> None:
    script: list[Step] = [
        Request(),
        Send(CHUNKED + b"8\r\nso"),
        Gate("a"),
        Send(b"me"),
        Gate("b"),
        Send(b"more\r\n0\r\n\r\n"),
        Hold(),
    ]
    with ScriptedServer(script) as server:
        response = await harness.fetch(harness.make(), server.url)
        got = await response.read(5.0)
        server.open_gate("a")
        while len(got) < 4:
            data = await response.read(5.0)
            assert data, f"expected b'some' while the chunk is still sent, but the body ended after {got!r}"
            got += data
        server.open_gate("b")
        got += await collect(response)
        assert got == b"somemore"
        await response.close()


@CHECKS.add("body.end-is-final", 'after the end, read gives b"" again and again, before close and after it')
async def _(harness: Harness) -> None:
    for wire in (reply(b"hello"), CHUNKED + chunk(b"hello") + chunk(b""), reply(b"")):
        with ScriptedServer([Request(), Send(wire), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url)
            await collect(response)
            for _ in range(3):
                await expect_bytes(response.read(1.0), b"")
            await response.close()
            await expect_bytes(response.read(1.0), b"")


@CHECKS.add("body.empty-is-only-the-end", 'framing bytes alone never give b""')
async def _(harness: Harness) -> None:
    pieces = [CHUNKED, b"3", b"\r\n", b"abc", b"\r\n", b"2;ext", b"\r\nde\r", b"\n0\r\n", b"X: y\r\n", b"\r\n"]
    steps = [Send(piece) if piece is CHUNKED else Send(piece, every=0.02) for piece in pieces]
    with ScriptedServer([Request(), *steps, Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        got = []
        while data := await response.read(5.0):
            got.append(data)
        await response.close()
        body = b"".join(got)
        assert body == b"abcde", f"expected the body b'abcde', but read returned b'' after {body!r}"


@CHECKS.add("interim.continue", "100 Continue is passed over, even where nobody asked for it")
async def _(harness: Harness) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"
    await expect_bytes(_body_of(harness, Send(interim + reply(b"ok"))), b"ok")
    await expect_bytes(_body_of(harness, Send(interim), Send(interim, each=1), Send(reply(b"ok"))), b"ok")


@CHECKS.add("interim.others", "102 and 103 are passed over")
async def _(harness: Harness) -> Shortfall | None:
    wire = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(b"ok")
    with ScriptedServer([Request(), Send(wire), Hold()]) as server:
        try:
            response = await harness.fetch(harness.make(), server.url)
        except TurnoutError as fault:
            return Shortfall(
                Strictness.NONE, f"expected the response 200 after 102 and 103, but got {described(fault)}"
            )
        if response.status == 102:  # which no caller takes for success
            await response.close()
            return Shortfall(Strictness.NONE, "expected the status 200 after 102 and 103, but got 102 as the response")
        assert response.status == 200
        await expect_bytes(collect(response), b"ok")
        await response.close()
        return None
