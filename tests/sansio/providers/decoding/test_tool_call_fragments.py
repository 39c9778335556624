"""Calls of one answer that share their id, or have none, are told apart by their names and by whole arguments."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import feed

CALLS = st.lists(
    st.tuples(st.sampled_from(["look", "write", "list"]), st.sampled_from(["", "{}", '{"n":1}', '{"n":2}', "null"])),
    min_size=1,
    max_size=4,
)


def are_told_apart(calls: list[tuple[str, str]]) -> bool:
    """True if each call differs from the one before it in its name, or both have whole arguments that differ."""
    return all(
        name != other or ("" not in (arguments, more) and arguments != more)
        for (name, arguments), (other, more) in itertools.pairwise(calls)
    )


def heard(calls: list[tuple[str, str]], id: str | None, index: int | None, in_pieces: bool) -> list[tuple[str, str]]:
    shared = {name: value for name, value in (("id", id), ("index", index)) if value is not None}
    deltas: list[list[dict[str, Any]]] = []
    for name, arguments in calls:
        if in_pieces and len(arguments) > 1:
            deltas.append([{**shared, "function": {"name": name, "arguments": arguments[:1]}}])
            deltas.append([{**shared, "function": {"arguments": arguments[1:]}}])
        else:
            deltas.append([{**shared, "function": {"name": name, "arguments": arguments}}])
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": delta}}]} for delta in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    answer = feed("openai-compatible", sse(*chunks, end, "[DONE]"))
    assert answer.failure is None
    return [(call.name, call.arguments) for call in answer.result.tool_calls]


@given(CALLS.filter(are_told_apart), st.sampled_from([None, "call_0"]), st.sampled_from([None, 0]), st.booleans())
def test_calls_with_other_names_are_other_calls(
    calls: list[tuple[str, str]], id: str | None, index: int | None, in_pieces: bool
) -> None:
    expected = [(name, "{}" if arguments in ("", "null") else arguments) for name, arguments in calls]
    assert heard(calls, id, index, in_pieces) == expected


@pytest.mark.parametrize("index", [None, 0])
def test_a_repeated_name_continues_half_arguments(index: int | None) -> None:
    pieces = [("look", '{"n"'), ("look", ":1}")]
    assert heard(pieces, "call_0", index, in_pieces=False) == [("look", '{"n":1}')]
