"""What holds for the streams of every dialect: bodies that break off, bytes that are none of theirs, compressed ones.

Also: any bytes at all give events or a typed failure, whole or cut, and never another exception.
"""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sansio.providers.anthropic import answers as anthropic_answers
from tests.sansio.providers.bodies import sse
from tests.sansio.providers.gemini import answers as gemini_answers
from tests.sansio.providers.ollama import answers as ollama_answers
from tests.sansio.providers.openai_chat import answers as openai_answers
from tests.sansio.providers.playing import CUTS, exchange_of, feed
from turnout.errors import LocalProtocolError, Overloaded, ProviderError, RemoteProtocolError, StreamTruncated
from turnout.events import Token

NAMES = st.sampled_from(["openai", "gemini", "ollama", "anthropic", "cohere", "bedrock"])
# The provider, what it sent, and the text and reasoning that it meant.
Sent = tuple[str, bytes, str, str]
SENT: st.SearchStrategy[Sent] = st.one_of(
    openai_answers.ANSWERS.map(lambda answer: (answer.name, answer.body, answer.text, answer.reasoning)),
    gemini_answers.ANSWERS.map(lambda answer: ("gemini", answer.body, answer.text, answer.reasoning)),
    ollama_answers.ANSWERS.map(lambda answer: ("ollama", answer.body, answer.text, answer.reasoning)),
    anthropic_answers.ANSWERS.map(
        lambda answer: (
            "anthropic",
            answer.body,
            "".join(each.get("text", "") for each in answer.blocks),
            "".join(each.get("thinking", "") for each in answer.blocks),
        )
    ),
)


@pytest.mark.full
@given(SENT, st.integers(0, 4000), CUTS)
@settings(deadline=None, max_examples=300)
def test_a_body_that_breaks_off_is_never_taken_for_more_than_came(sent: Sent, at: int, cuts: tuple[int, ...]) -> None:
    name, body, text, reasoning = sent
    heard = feed(name, body[:at])
    assert text.startswith(heard.result.text)
    assert reasoning.startswith(heard.result.reasoning)
    assert (heard.failure is None) == any(event.done for event in heard.events)
    # The end was told, or it is told that there was none.
    assert heard.result.raw_finish_reason is not None or heard.failure is not None or at >= len(body.rstrip())
    assert feed(name, body[:at], cuts).agreed() == heard.agreed()


@pytest.mark.parametrize("cuts", [(), (25,), (40,), (25, 40)])
def test_after_an_error_nothing_behind_the_last_word_is_read(cuts: tuple[int, ...]) -> None:
    body = b'{"error": "it broke"}\n{"done": true}\n{"message": {"content": "more"}}\n'
    heard = feed("ollama", body, cuts)
    assert isinstance(heard.failure, ProviderError)
    assert heard.result.text == ""


JUNK = st.lists(
    st.sampled_from(
        [b"data: ", b"\n", b"\n\n", b"\r", b"{", b"}", b"[", b"]", b'"', b'{"choices":[{"delta":{"content":"a"}}]}',
         b'{"error":{"code":503}}', b'{"error":"x"}', b"[DONE]", b"event: error\n", b'{"message":{"content":"a"}}',
         b'{"done":true}', b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}', b"\xff",
         b'{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","input":[1]}}',
         b'{"type":"content_block_start","index":0,"content_block":{"type":"odd"}}',
         b'{"type":"content_block_delta","index":0,"delta":{"type":"odd","x":"y"}}', b'{"type":"message_stop"}',
         b'{"type":"message_start","message":{"content":[{"type":"text","text":"a"},1]}}',
         b"\xef\xbb\xbf", b"\\ud800", b"NaN", b"1.0", b",",
         b'{"choices":[{"delta":{"content":1.5,"tool_calls":[{}]}}]}']
    )
    | st.binary(max_size=6),
    max_size=10,
).map(b"".join)  # fmt: skip


@pytest.mark.full
@given(NAMES, JUNK, st.lists(st.integers(0, 200), max_size=4).map(tuple))
@settings(deadline=None, max_examples=500)
@example("gemini", b'data: "overloaded"\n\n', ())
@example("openai", b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', ())
@example("openai", b"\n\xef\xbb\xbf", (1,))
@example("openai", b' data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}', (1,))
def test_any_bytes_give_events_or_a_typed_failure(name: str, body: bytes, cuts: tuple[int, ...]) -> None:
    heard = feed(name, body)
    assert isinstance(heard.failure, ProviderError | RemoteProtocolError | StreamTruncated | None)
    assert feed(name, body, cuts).agreed() == heard.agreed()


@pytest.mark.full
@given(SENT, st.sampled_from(["gzip", "deflate", "raw"]), CUTS)
@settings(deadline=None, max_examples=100)
def test_compressed_answers_are_read_as_they_come(sent: Sent, how: str, cuts: tuple[int, ...]) -> None:
    name, body, _, _ = sent
    wbits = {"gzip": 31, "deflate": 15, "raw": -15}[how]
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(body) + packer.flush()
    headers = (("content-encoding", "gzip" if how == "gzip" else "deflate"),)
    assert feed(name, packed, cuts, headers).agreed() == feed(name, body).agreed()


def test_a_broken_compressed_body_keeps_what_stood_before_the_break() -> None:
    body = sse({"choices": [{"delta": {"content": "kept"}}]})
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff\xff\xff"
    heard = feed("openai", packed, (), (("content-encoding", "gzip"),))
    assert heard.events == (Token("kept"),)
    assert isinstance(heard.failure, RemoteProtocolError)
    cut = feed("openai", packed[:-4], (), (("content-encoding", "gzip"),))
    assert cut.events == (Token("kept"),)
    assert cut.failure is not None


@pytest.mark.parametrize("cuts", [(), (60,), (20, 40, 60, 80, 100, 120)])
def test_an_error_told_in_a_compressed_stream_is_that_error(cuts: tuple[int, ...]) -> None:
    body = sse(
        {"choices": [{"delta": {"content": "kept"}}]},
        {"error": {"message": "the engine fell over", "code": 503}},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
    )
    for rest in (b"", b"data: [DONE]\n\n"):
        told = feed("openai", body + rest)
        assert isinstance(told.failure, Overloaded)
        assert told.result.usage.completion_tokens == 2
        packed = gzip.compress(body + rest)
        assert feed("openai", packed, cuts, (("content-encoding", "gzip"),)).agreed() == told.agreed()


def test_an_encoding_that_was_not_asked_for_is_a_clear_error() -> None:
    exchange = exchange_of("openai", stream=True)
    exchange.receive_head(200, [("content-encoding", "br")])
    assert isinstance(exchange.failure, RemoteProtocolError)
    assert "'br'" in str(exchange.failure)
    assert exchange.receive_data(b"x") == exchange.receive_end() == ()


def test_calls_out_of_order_change_nothing() -> None:
    exchange = exchange_of("openai", stream=True)
    for wrong in (lambda: exchange.receive_data(b"x"), exchange.receive_end, lambda: exchange.result):
        with pytest.raises(LocalProtocolError):
            wrong()
    exchange.receive_head(200, [])
    with pytest.raises(LocalProtocolError):
        exchange.receive_head(200, [])
    with pytest.raises(LocalProtocolError):
        exchange.receive_data(b"")
    body = sse({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}, "[DONE]")
    assert [event.type for event in exchange.receive_data(body)] == ["token", "end"]
    assert exchange.complete
    assert exchange.receive_data(b"data: more\n\n") == ()
    assert exchange.receive_end() == ()
    with pytest.raises(LocalProtocolError):
        exchange.receive_end()


def test_what_is_no_stream_and_no_json_is_shown() -> None:
    heard = feed("openai", b"<html>sorry</html>")
    assert isinstance(heard.failure, RemoteProtocolError)
    assert "<html>" in str(heard.failure)
