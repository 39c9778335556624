"""Checks: the caller gets status, fields and body unchanged, for every framing of the response."""

from __future__ import annotations

import gzip

from turnout.errors import LocalProtocolError, TurnoutError
from turnout.http import HttpRequest, TransportTimeouts
from turnout_io.conformance.harness import Checks, Harness, Strictness, chunk, collect, expect, reply
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
            assert await collect(response) == b"why"
            await response.close()


@CHECKS.add("status.redirect-is-not-followed", "a redirect is given to the caller with its body")
async def _(harness: Harness) -> None:
    for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
        with ScriptedServer([Request(), Send(reply(b"there", "Location: /other", status=status)), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url, b"{}", fields=(("Authorization", "Bearer k"),))
            assert response.status == int(status[:3])
            assert await collect(response) == b"there"
            await response.close()
            assert len(server.requests) == 1


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
            assert request.get(name) == value, f"{name}: {request.get(name)!r}"


@CHECKS.add("request.has-no-fields-of-its-own", "nothing is added but Host, Connection and the length of a body")
async def _(harness: Harness) -> None:
    answer: list[Step] = [Request(), Send(reply())]
    with ScriptedServer([*answer, *answer, Hold()], [*answer, Hold()]) as server:
        adapter = harness.make()
        for body in (b"{}", b""):
            response = await harness.fetch(adapter, server.url, body)
            assert await collect(response) == b""
            await response.close()
        for request in server.requests:
            added = {name.lower() for name, _ in request.fields} - {"host", "content-length", "connection"}
            assert not added, f"the transport added {', '.join(sorted(added))}"
            assert request.get("host") == server.authority
            length = request.get("content-length")
            if request.body:
                assert length == "2", f"expected Content-Length: 2 on a POST of two bytes, but it is {length}"
            else:
                assert length is None, f"expected no Content-Length on a GET, but it is {length}"


@CHECKS.add("request.empty-post-has-length", "a POST without a body says so with Content-Length: 0")
async def _(harness: Harness) -> None:
    with ScriptedServer([Request(), Send(reply()), Hold()]) as server:
        await (await harness.fetch(harness.make(), server.url, method="POST")).close()
        assert server.requests[0].get("content-length") == "0"


@CHECKS.add("request.line-break-in-a-field", "a field that would smuggle a line is refused, unsent and unshown")
async def _(harness: Harness) -> None:
    for value in ("Bearer sk-secret\r\nX-Smuggled: 1", "Bearer sk-secret\n"):
        with ScriptedServer([Request(), Send(reply()), Hold()]) as server:
            request = HttpRequest("GET", server.url, (("Authorization", value),))
            fault = await expect(
                LocalProtocolError, harness.make().open(request, TransportTimeouts(connect=5, response_headers=5))
            )
            assert "sk-secret" not in str(fault)
            assert not server.requests


@CHECKS.add("headers.repeated-are-kept", "each field of a repeated name is there, in order")
async def _(harness: Harness) -> None:
    fields = ("X-A: 1", "Set-Cookie: a=b", "X-A: 2", "set-cookie: c=d")
    with ScriptedServer([Request(), Send(reply(b"", *fields)), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await response.close()
        got = [(name.lower(), value) for name, value in response.headers]
        assert [value for name, value in got if name == "x-a"] == ["1", "2"], got
        assert [value for name, value in got if name == "set-cookie"] == ["a=b", "c=d"], got


@CHECKS.add("headers.odd-but-legal", "empty values, tabs, Latin-1 and unusual names are taken")
async def _(harness: Harness) -> None:
    fields = ("X-Empty:", "x!#$%&'*+.^_`|~9: 1", "X-Latin: caf\xe9", "X-Tab:\ta\tb\t", "X-Colon: a:b: c")
    with ScriptedServer([Request(), Send(reply(b"", *fields)), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        await response.close()
        got = {name.lower(): value for name, value in response.headers}
        assert got["x-empty"] == ""
        assert got["x!#$%&'*+.^_`|~9"] == "1"
        assert got["x-latin"] == "caf\xe9"
        assert got["x-tab"].strip() == "a\tb"
        assert got["x-colon"] == "a:b: c"


@CHECKS.add("headers.status-line-without-reason", "a status line may end after the number")
async def _(harness: Harness) -> None:
    for line in (b"HTTP/1.1 200", b"HTTP/1.1 200 "):
        assert await _body_of(harness, Send(line + b"\r\nContent-Length: 2\r\n\r\nok")) == b"ok"


@CHECKS.add("body.is-not-decoded", "a compressed body comes as it is, with its Content-Encoding")
async def _(harness: Harness) -> None:
    packed = gzip.compress(b"hello" * 100)
    with ScriptedServer([Request(), Send(reply(packed, "Content-Encoding: gzip")), Hold()]) as server:
        response = await harness.fetch(harness.make(), server.url)
        assert await collect(response) == packed
        await response.close()
        assert ("content-encoding", "gzip") in [(name.lower(), value) for name, value in response.headers]


@CHECKS.add("body.length", "a body with Content-Length")
async def _(harness: Harness) -> None:
    assert await _body_of(harness, Send(reply(b"hello"))) == b"hello"
    assert await _body_of(harness, Send(reply(b""))) == b""


@CHECKS.add("body.chunked", "a chunked body, with extensions and trailers")
async def _(harness: Harness) -> None:
    wire = b"5\r\nhello\r\n" + b'006;a=b;c="d"\r\n world\r\n' + b"A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert await _body_of(harness, Send(CHUNKED + wire)) == b"hello world0123456789"
    assert await _body_of(harness, Send(CHUNKED + chunk(b""))) == b""


@CHECKS.add("body.until-close", "a body without framing ends where the connection does")
async def _(harness: Harness) -> None:
    for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n"):
        with ScriptedServer([Request(), Send(head + b"some"), Send(b" more")]) as server:
            response = await harness.fetch(harness.make(), server.url)
            assert await collect(response) == b"some more"
            await response.close()


@CHECKS.add("body.none", "204, 304 and the answer to HEAD have no body, whatever their fields say")
async def _(harness: Harness) -> None:
    for method, head in (
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ):
        assert await _body_of(harness, Send(head), method=method) == b""


@CHECKS.add("body.byte-by-byte", "head and body in single bytes, in every framing")
async def _(harness: Harness) -> None:
    assert await _body_of(harness, Send(reply(b"hello", "X-A: b"), each=1)) == b"hello"
    wire = CHUNKED + chunk(b"hel") + b"2;x=y\r\nlo\r\n" + b"0\r\nA: b\r\n\r\n"
    assert await _body_of(harness, Send(wire, each=1)) == b"hello"


@CHECKS.add("body.large", "a megabyte, with its length and in 3,000 chunks")
async def _(harness: Harness) -> None:
    data = bytes(range(256)) * 4096
    assert await _body_of(harness, Send(reply(data))) == data
    wire = b"".join(chunk(data[at : at + 350]) for at in range(0, len(data), 350))
    assert await _body_of(harness, Send(CHUNKED + wire + chunk(b""), each=10_007)) == data


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
            assert await response.read(5.0) == b"some"
            server.open_gate("first")
            assert await collect(response) == b"more"
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
            assert data
            got += data
        server.open_gate("b")
        assert got + await collect(response) == b"somemore"
        await response.close()


@CHECKS.add("body.end-is-final", 'after the end, read gives b"" again and again, before close and after it')
async def _(harness: Harness) -> None:
    for wire in (reply(b"hello"), CHUNKED + chunk(b"hello") + chunk(b""), reply(b"")):
        with ScriptedServer([Request(), Send(wire), Hold()]) as server:
            response = await harness.fetch(harness.make(), server.url)
            await collect(response)
            assert [await response.read(1.0) for _ in range(3)] == [b""] * 3
            await response.close()
            assert await response.read(1.0) == b""


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
        assert b"".join(got) == b"abcde"


@CHECKS.add("interim.continue", "100 Continue is passed over, even where nobody asked for it")
async def _(harness: Harness) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"
    assert await _body_of(harness, Send(interim + reply(b"ok"))) == b"ok"
    assert await _body_of(harness, Send(interim), Send(interim, each=1), Send(reply(b"ok"))) == b"ok"


@CHECKS.add("interim.others", "102 and 103 are passed over")
async def _(harness: Harness) -> Strictness:
    wire = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(b"ok")
    with ScriptedServer([Request(), Send(wire), Hold()]) as server:
        try:
            response = await harness.fetch(harness.make(), server.url)
        except TurnoutError:
            return Strictness.NONE
        if response.status == 102:  # which no caller takes for success
            await response.close()
            return Strictness.NONE
        assert response.status == 200
        assert await collect(response) == b"ok"
        await response.close()
        return Strictness.EXACT
