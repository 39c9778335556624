"""A conversation that was stored as JSON is the same conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.messages import Audio, File, Image, Message, Opaque, Refusal, Role, Text, Thinking, ToolCall

WORDS = st.text(max_size=8)
NAMES = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=8)
URLS = NAMES.map("https:{}".format)
SOME = st.none() | WORDS
BYTES = st.binary(max_size=8)
EXTRA = st.dictionaries(WORDS, st.recursive(st.none() | st.integers() | WORDS, st.lists, max_leaves=3), max_size=2)
TEXT = st.builds(Text, WORDS, signature=SOME, extra=EXTRA)
SEEN = (
    st.builds(Image, URLS, detail=st.sampled_from([None, "low"]), extra=EXTRA)
    | st.builds(Image, data=BYTES, media_type=NAMES)
    | st.builds(Audio, data=BYTES, media_type=NAMES, extra=EXTRA)
    | st.builds(File, data=BYTES, media_type=NAMES, filename=SOME)
    | st.builds(File, url=URLS, media_type=SOME)
    | st.builds(File, file_id=NAMES, extra=EXTRA)
)
SAID = (
    TEXT
    | st.builds(Thinking, WORDS, signature=SOME, extra=EXTRA)
    | st.builds(Refusal, WORDS)
    | st.builds(Opaque, st.binary(max_size=20))
)
CALLS = st.builds(ToolCall, NAMES, NAMES, st.just("{}") | WORDS, signature=SOME, extra=EXTRA)
MESSAGES = (
    st.builds(
        Message,
        st.just(Role.ASSISTANT),
        st.lists(SAID, max_size=4),
        tool_calls=st.lists(CALLS, max_size=2),
        origin=SOME,
        extra=EXTRA,
    )
    | st.builds(Message, st.just(Role.USER), st.lists(TEXT | SEEN, min_size=1, max_size=3), name=SOME)
    | st.builds(
        Message,
        st.just(Role.TOOL),
        st.lists(TEXT | SEEN, max_size=2),
        tool_call_id=NAMES,
        name=SOME,
        is_error=st.booleans(),
    )
)


@pytest.mark.full
@given(MESSAGES)
def test_a_message_comes_back_from_its_json(message: Message) -> None:
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


def test_what_is_stored_is_plain_and_short() -> None:
    assert Message.user("Hello").to_dict() == {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
    assert Message.from_dict({"role": "user", "content": "Hello"}) == Message.user("Hello")


def test_what_is_stored_is_a_copy() -> None:
    message = Message(Role.ASSISTANT, "x", extra={"seen": [1]})
    message.to_dict()["extra"]["seen"].append(2)
    assert message.extra == {"seen": [1]}


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (5, "the message must be an object, not int"),
        ({}, "'role'"),
        ({"role": "guest"}, "not 'guest'"),
        ({"role": "user"}, "Message.content must be a text, which may be '', or parts"),
        ({"role": "user", "content": 5}, "content must be a text or a list of parts, not int"),
        ({"role": "user", "content": ["x"]}, r"content\[0\] must be an object, not str"),
        ({"role": "user", "content": [{"type": []}]}, r"content\[0\].type must be one of text, thinking"),
        ({"role": "user", "content": [{"type": "text", "text": 1}]}, "Text.text must be a str, not int"),
        ({"role": "user", "content": [{"type": "text", "words": 1}]}, r"content\[0\] has fields .* know: words"),
        ({"role": "user", "content": [{"type": "image", "data": "%"}]}, r"content\[0\] is no Image: Only base64"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, r"tool_calls\[0\] is no ToolCall: .*'name'"),
        ({"role": "assistant", "content": "x", "mood": "good"}, "the message has fields .* know: mood"),
    ],
)
def test_what_does_not_fit_is_named(stored: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Message.from_dict(stored)
