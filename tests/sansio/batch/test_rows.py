"""Rows: what lines mean, which row one is, and that its place does not matter."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.batch.output import read_heads
from turnout.batch.rows import BatchInputError, InputProblems, RowReader, endpoint_of, numbered, split_lines

CHAT = "/v1/chat/completions"


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def full(custom_id: str | None, text: str = "hi", url: str = CHAT) -> bytes:
    fields: dict[str, Any] = {"method": "POST", "url": url, "body": {"model": "x/y", "messages": [text]}}
    return line(**({"custom_id": custom_id} if custom_id is not None else {}), **fields)


def cut(data: bytes, offsets: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({offset for offset in offsets if 0 < offset < len(data)}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


@given(
    st.lists(st.sampled_from([b"a", b"bb", b"", b"\r", b" "]), max_size=12), st.sets(st.integers(1, 60)), st.booleans()
)
def test_lines_are_the_same_however_the_file_is_cut(lines: list[bytes], offsets: set[int], mark: bool) -> None:
    data = (b"\xef\xbb\xbf" if mark and lines else b"") + b"\n".join(lines)
    blocks = list(split_lines(cut(data, offsets)))
    assert b"".join(blocks) == data.removeprefix(b"\xef\xbb\xbf")
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    found, at = [], 1
    for block in blocks:
        found += list(numbered(block, at))
        at += block.count(b"\n")
    assert found == [(number, text) for number, text in enumerate(lines, 1) if text.strip()]


def test_openai_s_lines() -> None:
    row = RowReader().row(full("r1"), 7)
    assert (row.custom_id, row.endpoint, row.line) == ("r1", "chat/completions", 7)
    assert row.body == {"model": "x/y", "messages": ["hi"]}
    assert row.kept == {}


def test_mistral_s_lines_have_no_url() -> None:
    row = RowReader().row(line(custom_id="0", body={"messages": []}), 1)
    assert (row.custom_id, row.endpoint) == ("0", "chat/completions")


def test_simple_lines_keep_their_other_fields() -> None:
    row = RowReader().row(line(prompt="Why?", label=3, model="x/y"), 1)
    assert row.body == {"model": "x/y", "messages": [{"role": "user", "content": "Why?"}]}
    assert row.kept == {"label": 3}
    row = RowReader().row(line(messages=[{"role": "system", "content": "Be brief."}], prompt="Why?"), 1)
    assert [message["role"] for message in row.body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("/v1/chat/completions", "chat/completions"),
        ("https://api.example.org/api/paas/v4/chat/completions", "chat/completions"),
        ("/v1/responses", "responses"),
        ("/v1/messages", "messages"),
        ("/v1/embeddings/?x=1", "embeddings"),
        ("embeddings", "embeddings"),
        ("/v1/images", None),
        ("/v1/subembeddings", None),
    ],
)
def test_urls(url: str, endpoint: str | None) -> None:
    assert endpoint_of(url) == endpoint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "line 3 is not a row"),
        (b"[]", "line 3 is not a row"),
        (b"{}", "no `body`, no `prompt` and no `messages`"),
        (line(custom_id="", prompt="x"), "1 to 512 characters"),
        (line(custom_id="x" * 600, prompt="x"), "1 to 512 characters"),
        (line(custom_id=5, prompt="x"), "line 3 is not a row"),
        (line(method="GET", prompt="x"), "method must be POST"),
        (line(url="/v1/images", body={}), "is not one of /v1/chat/completions"),
        (line(url=CHAT), "no `body`"),
        (line(url=CHAT, prompt="x"), "has a `url`, but no `body`"),
        (b"\xff\xfe", "line 3 is not a row"),
    ],
)
def test_what_is_no_row(text: bytes, message: str) -> None:
    with pytest.raises(BatchInputError, match="line 3") as caught:
        RowReader().heads(full("ok") + b"\n\n" + text + b"\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "twice",
    [
        b'{"custom_id": "a", "custom_id": "b", "prompt": "x"}',
        b'{"prompt": "x", "more": {"a": 1, "a": 2}}',
        b'{"prompt": "a: b", "prompt": "c: d"}',
        b'{"prompt": "\\u003a", "more": 1, "more": 2}',
        b'{"prompt": "\\u003A", "more": 1, "mor\\u0065": 2}',
    ],
)
def test_a_key_that_is_there_twice_is_refused(twice: bytes) -> None:
    with pytest.raises(BatchInputError, match=r"line 3 is not a row: the key '.*' is there twice in one object"):
        RowReader().row(twice, 3)


@pytest.mark.parametrize("prompt", ["a: b", ":::", "\\u003a", "\u003a", "\u2028:"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_colon_in_a_text_is_no_second_key(prompt: str, ascii_only: bool) -> None:
    text = json.dumps({"prompt": prompt, "a:": 1}, ensure_ascii=ascii_only).replace(":::", "\\u003a" * 3)
    assert RowReader().row(text.encode(), 3).body["messages"][0]["content"] == prompt


@pytest.mark.parametrize(
    ("block", "number"),
    [
        (b'{"prompt":\n"x"}\n{"prompt": "y"}\n', 1),
        (b'{"prompt": "y"}\n\n{"prompt":{}\n,\n"x": [{}\n,{}]}\n', 3),
        (b'{"prompt": "x"}{"prompt": "y"}\n\n', 1),
        (b'{"prompt": "x"}\n{"prompt": "y"} {"prompt": "z"}\r\n\r\n', 2),
    ],
)
def test_a_row_is_one_line(block: bytes, number: int) -> None:
    with pytest.raises(BatchInputError, match=f"line {number} is not a row"):
        RowReader().heads(block)


def test_an_output_line_is_one_line() -> None:
    line = b'{"custom_id": "a", "turnout": {"key": "k", "print": "ff"}}\n'
    for wrong in (line.replace(b": {", b":\n{"), line.strip() + line, b"{}\n"):
        heads, broken = read_heads(line + wrong)
        assert [head.custom_id for head in heads] == ["a"]
        assert broken == max(1, wrong.count(b"\n"))


@pytest.mark.parametrize("body", [[], "x", None, 3])
def test_a_body_is_an_object(body: object) -> None:
    with pytest.raises(BatchInputError, match="body must be an object"):
        RowReader().row(line(custom_id="a", url=CHAT, body=body), 1)


def test_empty_lines_are_no_rows() -> None:
    block = full("a") + b"\r\n\r\n \n" + full("b") + b"\n"
    assert [head.custom_id for head in RowReader().heads(block)] == ["a", "b"]


@given(st.permutations(range(6)))
def test_identity_is_content_and_not_position(order: list[int]) -> None:
    texts = ["one", "two", "two", "three", "two", "one"]

    def ids(sequence: Iterable[int]) -> list[str]:
        reader = RowReader()
        return sorted(reader.row(full(None, texts[index]), 1).custom_id for index in sequence)

    assert ids(order) == ids(range(6))
    assert len(set(ids(order))) == 6


def test_a_key_is_the_same_for_the_same_request() -> None:
    one = b'{"custom_id":"a","url":"/v1/chat/completions","body":{"model":"x/y","messages":[]}}'
    other = b'{ "body": {"messages": [], "model": "x/y"}, "url": "/v4/chat/completions", "custom_id": "b" }'
    first, second = RowReader().row(one, 1), RowReader().row(other, 2)
    assert first.key == second.key
    assert first.print != second.print


def test_a_key_depends_on_everything_that_decides_the_answer() -> None:
    keys = {
        RowReader().row(full("a"), 1).key,
        RowReader("other model").row(full("a"), 1).key,
        RowReader().row(full("a", "else"), 1).key,
        RowReader().row(full("a", url="/v1/responses"), 1).key,
    }
    assert len(keys) == 4
    prints = {
        RowReader().row(full("a"), 1).print,
        RowReader("other model").row(full("a"), 1).print,
        RowReader().row(full("a", "else"), 1).print,
        RowReader().row(full("a", url="/v1/responses"), 1).print,
    }
    assert len(prints) == 4


def test_the_heads_of_a_block_have_the_prints_of_its_rows() -> None:
    lines = [full("a"), full("b", "x" * 100), line(custom_id="c", prompt="x"), line(custom_id="d", messages=[1])]
    reader = RowReader("settings")
    heads = reader.heads(b"\n".join(lines))
    assert [head.print(reader.salt) for head in heads] == [reader.row(text, 1).print for text in lines]


def test_a_row_of_many_megabytes() -> None:
    text = "x" * 10_000_000
    blocks = list(split_lines(cut(full("big", text) + b"\n", range(0, 10_000_000, 65_536))))
    assert len(blocks) == 1
    assert RowReader().row(blocks[0], 1).body["messages"] == [text]


def test_lone_surrogates_are_an_error_with_a_line() -> None:
    with pytest.raises(BatchInputError, match="line 2"):
        RowReader().row(b'{"prompt": "\\ud800"}', 2)


def test_settings_of_a_simple_row_are_sent() -> None:
    row = RowReader().row(line(system="Be brief.", prompt="Why?", temperature=0, max_tokens=5, label=3), 1)
    assert row.body == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "temperature": 0,
        "max_tokens": 5,
    }
    assert row.kept == {"label": 3}


def test_other_fields_of_openai_s_lines_are_kept() -> None:
    row = RowReader().row(line(custom_id="a", url=CHAT, body={"messages": []}, prompt="mine", label=3), 1)
    assert row.body == {"messages": []}
    assert row.kept == {"prompt": "mine", "label": 3}


@pytest.mark.parametrize("field", ["model", "temperature", "system"])
def test_the_checksum_of_a_simple_row_depends_on_every_field_that_is_sent(field: str) -> None:
    values = [line(custom_id="a", prompt="Why?", **{field: value}) for value in ("x/y", "x/z")]
    assert RowReader().row(values[0], 1).print != RowReader().row(values[1], 1).print


@given(
    st.lists(st.tuples(st.sampled_from([f"problem {number}" for number in range(30)]), st.integers(0, 9)), max_size=60)
)
def test_every_problem_of_an_input_is_reported_or_counted(noted: list[tuple[str, int]]) -> None:
    problems = InputProblems()
    for text, at in noted:
        problems.note(text, at)
    if not noted:
        problems.refuse()
        return
    with pytest.raises(BatchInputError) as caught:
        problems.refuse()
    message = str(caught.value)
    first = list(dict.fromkeys(text for text, _ in noted))[:20]
    assert [text for text in first if f"{text}\n" in f"{message}\n"] == first
    assert len(message.splitlines()) <= 22
    beyond = sum(text not in first for text, _ in noted)
    assert (f"and {beyond} more" in message.splitlines()[-1]) == (beyond > 0)
    assert len(set(noted)) == 1 or len(first) == 1 or str(len(noted)) in message.splitlines()[0]
