"""Documents that people write: encodings, depth, aliases, large numbers, and the line of each problem."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout._utils.documents import DocumentError, decode_text, parse_json, parse_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)


@given(VALUES)
@settings(max_examples=30)
def test_json_is_read_by_both(value: object) -> None:
    text = json.dumps(value)
    assert parse_json(text) == value
    parse_yaml(text)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_document_error(data: bytes) -> None:
    for parse in (parse_json, parse_yaml):
        try:
            parse(decode_text(data))
        except DocumentError as error:
            assert error.line is None or error.line >= 1


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 1: this is not YAML"),
        ("a: 1\nb: 2001-99-99\n", "line 2: "),
        ("a: 1\nb: " + "9" * 5000, "line 2: "),
        ("a: !!python/object:os.system x", "line 1: "),
        ("a: 1\nb: {c: 1,\n c: 2}", "line 3: .* the key 'c' is there twice in one mapping"),
        ("a: &a [*a]", "an alias contains itself"),
        ("[" * 1500, "nested too deeply"),
        (BOMB, "more than 1,000,000 values"),
    ],
)
def test_problem_of_yaml_is_named(text: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{\n,", "line 2: "),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not JSON that can be read"),
        ('[{"a": {"b": 1, "b": 2}}]', "the key 'b' is there twice in one object"),
    ],
)
def test_problem_of_json_is_named(text: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        parse_json(text)


def test_mappings_may_be_merged_twice() -> None:
    merged = parse_yaml("a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n  x: 3\n")
    assert merged["c"]["x"] == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_mark_are_read(encoding: str) -> None:
    assert decode_text("é: ü\n".encode(encoding)) == "é: ü\n"


@pytest.mark.parametrize(("data", "problem"), [(b"a\n\xff", "line 2: this is not UTF-8"), (b"a\x00", "UTF-16 without")])
def test_other_encodings_are_named(data: bytes, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem):
        decode_text(data)
