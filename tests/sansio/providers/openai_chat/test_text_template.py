"""Chunks that repeat the bytes around their text: nothing is read from them that decoding would not read."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest
from turnout.providers import create
from turnout.providers.openai_chat.text_template import TextTemplate

OPENAI = create("openai", api_key="k")
REQUEST = ChatRequest("openai/m", "hello")

# Places of a text in a chunk, with what may confuse a search for it beside it.
CHUNKS = [
    b'{"id":"c","choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}],"model":"m"}',
    b'{ "choices" : [ { "delta" : { "content": %b } } ] }',
    b'{"choices":[{"delta":{"role":"assistant","content":%b}}]}',
    b'{"choices":[{"delta":{"content":"first","content":%b}}]}',
    b'{"choices":[{"delta":{"content":%b,"content":"last"}}]}',
    b'{"choices":[{"delta":{"content":%b,"c\\u006fntent":"last"}}]}',
    b'{"more":{"content":"decoy"},"choices":[{"delta":{"content":%b}}]}',
    b'{"choices":[{"delta":{"content":%b}}],"more":{"content":"decoy"}}',
    b'{"id":"a \\"content\\":\\"decoy\\" b","choices":[{"delta":{"content":%b}}]}',
    b'{"choices":[{"delta":{"content":%b,"reasoning":"r"}}]}',
    b'{"choices":[{"delta":{"reasoning":%b}}]}',
    b'{"choices":[{"delta":{"content":"a"}},{"index":1,"delta":{"content":%b}}]}',
    b'{"choices":[{"index":1,"delta":{"content":%b}}]}',
]
TEXTS = st.one_of(
    st.text(max_size=8).map(msgspec.json.encode),
    st.sampled_from(
        [
            *(b'""', b'"a"', b'"\\u0041\\n\\"b\\""', b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\xff"', b"null", b"1"),
            *(b'"a","b":"c"', b"", b'"', b'"a" ', b'["a"]', b'"a\\"', b'"\t"'),
            *(b'"a","content":"b"', b'"a"},"x":{"y":"z"'),
        ]
    ),
)


def read(frames: list[bytes], before: bytes) -> Any:
    """What an exchange makes of these chunks; the bytes before each keep them from the short way."""
    exchange = OPENAI.stream(REQUEST)
    exchange.receive_head(200, ())
    events = list(exchange.receive_data(b"".join(before + b"data: " + frame + b"\n\n" for frame in frames)))
    events += exchange.receive_data(before + b"data: [DONE]\n\n")
    failure, result = exchange.failure, exchange.result
    return events, str(failure), attrs.evolve(result, raw=None), result.raw, exchange.skipped


@given(st.lists(st.tuples(st.sampled_from(CHUNKS[:3]) | st.sampled_from(CHUNKS), TEXTS), min_size=2, max_size=6))
def test_a_template_changes_nothing(chunks: list[tuple[bytes, bytes]]) -> None:
    frames = [chunk % text for chunk, text in chunks]
    assert read(frames, b"") == read(frames, b"event: message\n")


@given(st.sampled_from(CHUNKS), st.lists(TEXTS, min_size=2, max_size=6))
def test_chunks_that_differ_in_their_text_alone(chunk: bytes, texts: list[bytes]) -> None:
    frames = [chunk % text for text in texts]
    assert read(frames, b"") == read(frames, b"event: message\n")


def test_the_first_text_gives_the_template() -> None:
    template = TextTemplate()
    template.learn(CHUNKS[0] % b'"a \\" b"')
    assert (template.before, template.after) == tuple(CHUNKS[0].split(b"%b"))


@pytest.mark.parametrize("chunk", [CHUNKS[3], CHUNKS[4], CHUNKS[5], CHUNKS[6]])
def test_only_the_string_that_is_the_text_gives_one(chunk: bytes) -> None:
    template = TextTemplate()
    template.learn(chunk % b'"a"')
    frame = template.before + b'"other"' + template.after
    if template.after:
        (choice,) = msgspec.json.decode(frame)["choices"]
        assert choice["delta"]["content"] == "other"


def test_a_stream_whose_chunks_all_differ_has_none_after_a_few() -> None:
    template = TextTemplate()
    for number in range(3):
        assert template.may_learn
        template.learn(b'{"created":%d,"choices":[{"delta":{"content":"a"}}]}' % number)
    assert not template.may_learn
