"""Vectors 1 to 17: how bytes fall apart into events, whatever stands between them."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.sansio.framing.test_eventstream import encode, string_header
from tests.sansio.providers.anthropic.answers import event
from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.chunks import DONE, delta, finish, whole
from tests.sansio.vectors.exchanges import chat, stream
from turnout.errors import RemoteProtocolError, StreamTruncated
from turnout.framing.sse import SseParser

HELLO = delta(content="Hello")
ONE, TWO = delta(content="one "), delta(content="two")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_vector_01_lines_end_with_lf_crlf_or_cr(newline: str) -> None:
    # The byte-by-byte feeding cuts every CRLF between its halves.
    seen = stream("openai", sse(ONE, TWO, finish(), DONE, newline=newline))
    assert seen.failure is None
    assert seen.types == ["token", "token", "end"]
    assert seen.result.text == "one two"


def test_vector_02_at_most_one_space_after_the_colon_goes() -> None:
    tight = sse(HELLO, finish(), DONE).replace(b"data: ", b"data:")
    assert stream("openai", tight).result.text == "Hello"
    assert stream("openai", tight.replace(b"data:", b"data:  ")).result.text == "Hello"
    frames = SseParser().receive_data(b"data:  x\n\ndata:y\n\ndata: z\n\n")
    assert [frame.data for frame in frames] == [b" x", b"y", b"z"]


def test_vector_03_comments_anywhere() -> None:
    noise = b": OPENROUTER PROCESSING\n\n"
    body = noise + sse(ONE) + noise + sse(TWO) + b": keep-alive\n" + sse(finish()) + noise + sse(DONE) + noise
    seen = stream("openai", body)
    assert seen.failure is None
    assert seen.result.text == "one two"
    alone = stream("openai", noise * 3)
    assert alone.events == ()
    assert isinstance(alone.failure, StreamTruncated)


def test_vector_04_one_json_over_three_data_lines() -> None:
    text = json.dumps(HELLO)
    # Between tokens, for a line break is only space there.
    first, second, third = text.replace(', "', ',\n "', 2).split("\n")
    body = f"data: {first}\ndata: {second}\ndata:{third}\n\n".encode() + sse(finish(), DONE)
    assert stream("openai", body).result.text == "Hello"


def test_vector_05_other_fields_of_an_event() -> None:
    fields = b'id: 7\nretry: 3000\nevent: chunk\nserver-note: {"error": "not one"}\nalone\n'
    body = fields + sse(HELLO) + fields + sse(finish())
    for end in (b"", sse(DONE)):
        seen = stream("openai", body + end)
        assert seen.failure is None
        assert seen.result.text == "Hello"


@pytest.mark.parametrize("missing", ["\n", "\n\n"])
def test_vector_06_the_last_event_without_its_end(missing: str) -> None:
    body = sse(HELLO, finish())
    seen = stream("openai", body.removesuffix(missing.encode()))
    assert seen.failure is None
    assert seen.types == ["token", "end"]
    done = stream("openai", (body + sse(DONE)).removesuffix(missing.encode()))
    assert done.agreed() == seen.agreed()


def test_vector_07_a_leading_bom() -> None:
    body = sse(HELLO, finish(), DONE)
    assert stream("openai", b"\xef\xbb\xbf" + body).agreed() == stream("openai", body).agreed()
    assert chat("openai", b"\xef\xbb\xbf" + json.dumps(whole(content="Hello")).encode()).result.text == "Hello"


def test_vector_08_characters_cut_by_a_read() -> None:
    # Every offset is cut: 1+3, 2+2 and 3+1 of each emoji, 1+2 and 2+1 of each CJK character.
    for text in ("a👩‍👩‍👧z", "汉字かな"):
        assert stream("openai", sse(delta(content=text), finish(), DONE, ascii=False)).result.text == text


def test_vector_08_a_byte_that_is_no_utf_8_is_reported_in_its_place() -> None:
    body = sse(HELLO, finish(), DONE).replace(b"Hello", b"He\xffo")
    seen = stream("openai", body)
    assert seen.failure is None
    assert seen.result.text == "He\ufffdo"


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\v", "\f"])
def test_vector_09_what_only_looks_like_a_line_s_end(character: str) -> None:
    text = f"a{character}b"
    body = sse(HELLO, finish(), DONE).replace(b"Hello", text.encode())
    seen = stream("openai", body)
    assert seen.failure is None
    assert seen.result.text == text


def test_vector_10_one_line_of_five_mebibytes() -> None:
    text = "word " * (1024 * 1024)
    seen = stream("openai", sse(delta(content=text), finish(), DONE))
    assert seen.failure is None
    assert seen.result.text == text


@pytest.mark.parametrize("end", [b"data: [DONE] \n\n", b"data: [DONE]\r\n\r\n", b"data:[DONE]\r\r", b""])
def test_vector_11_forms_of_the_terminator(end: bytes) -> None:
    seen = stream("openai", sse(HELLO, finish()) + end)
    assert seen.failure is None
    assert seen.types == ["token", "end"]


def test_vector_11_two_terminators_end_once() -> None:
    assert stream("openai", sse(HELLO, finish(), DONE, DONE)).types == ["token", "end"]


def test_vector_12_nothing_after_the_terminator_counts() -> None:
    after = sse(delta(content=" and more"), {"error": {"message": "late"}})
    assert stream("openai", sse(HELLO, finish(), DONE) + after).types == ["token", "end"]


@pytest.mark.parametrize("body", [b"", b" \t ", b"\n\n\r\n"])
def test_vector_13_a_good_status_with_nothing_behind_it(body: bytes) -> None:
    for name in ("openai", "gemini", "ollama", "anthropic"):
        streamed = stream(name, body)
        assert streamed.events == ()
        assert isinstance(streamed.failure, StreamTruncated | RemoteProtocolError)
        unary = chat(name, body)
        assert isinstance(unary.failure, RemoteProtocolError)
        assert unary.answer is None


def test_vector_13_blank_lines_before_the_document() -> None:
    body = b"\n" * 40 + json.dumps(whole(content="Hello")).encode()
    for seen in (chat("openai", body), stream("openai", body)):
        assert seen.failure is None
        assert seen.result.text == "Hello"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_vector_14_a_compressed_stream_in_small_pieces(coding: str) -> None:
    body = sse(ONE, TWO, finish(), DONE)
    packed = gzip.compress(body, mtime=0) if coding == "gzip" else zlib.compress(body)
    assert stream("openai", packed, [("Content-Encoding", coding)]).agreed() == stream("openai", body).agreed()


@pytest.mark.parametrize(
    "kind", ["text/event-stream;charset=UTF-8", "text/event-stream", "application/octet-stream", "text/html", None]
)
def test_vector_15_the_content_type_is_only_a_hint(kind: str | None) -> None:
    headers = [("Content-Type", kind)] if kind is not None else []
    seen = stream("openai", sse(HELLO, finish(), DONE), headers)
    assert seen.types == ["token", "end"]
    assert chat("openai", whole(content="Hello"), headers).result.text == "Hello"


@pytest.mark.parametrize("indent", [None, 2])
def test_vector_16_a_completion_where_a_stream_was_asked_for(indent: int | None) -> None:
    document = whole(content="Hello") | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    seen = stream("openai", json.dumps(document, indent=indent).encode())
    assert seen.failure is None
    assert seen.types == ["token", "end"]
    assert (seen.result.text, seen.result.usage.total_tokens) == ("Hello", 4)


def test_vector_17_padding() -> None:
    chunks = [each | {"obfuscation": "aZ3kQ"} for each in (HELLO, finish())]
    body = sse(*chunks, DONE).replace(b"}\n", b"      }\n")
    assert stream("openai", body).result.text == "Hello"
    told = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"}, pad=" " * 30)
    begun = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    ended = event("message_delta", delta={"stop_reason": "end_turn"}) + event("message_stop")
    assert stream("anthropic", begun + told + ended).result.text == "Hello"


def test_vector_17_bedrock_s_filler() -> None:
    def frame(kind: str, **payload: object) -> bytes:
        headers = string_header(":message-type", "event") + string_header(":event-type", kind)
        return encode(headers, json.dumps(payload | {"p": "abcdefghijk"}).encode())

    body = frame("contentBlockDelta", contentBlockIndex=0, delta={"text": "Hello"})
    seen = stream("bedrock", body + frame("messageStop", stopReason="end_turn"))
    assert seen.failure is None
    assert seen.result.text == "Hello"
