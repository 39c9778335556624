"""The resume index against a dictionary: the last line of a row holds, whatever came before."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import turnout.batch.index as module
from turnout.batch.index import ResumeIndex, RowState
from turnout.batch.output import Answered, OutputHead, RowFailure, encode_output, read_heads
from turnout.batch.rows import BatchRow

ROW = BatchRow("a", "chat/completions", {}, "0123456789abcdef", 77, {"label": 1})


def output_line(custom_id: str, fingerprint: int, outcome: str) -> bytes:
    row = BatchRow(custom_id, "chat/completions", {}, "0" * 16, fingerprint)
    if outcome == "done":
        return encode_output(row, Answered(body=b'{"x":"' + b"y" * 50 + b'"}', cost=0.5), "id")
    failure = RowFailure(code="server", message="no", temporary=outcome == "failed", cost=0.25)
    return encode_output(row, failure, "id")


def indexed(lines: list[bytes]) -> ResumeIndex:
    index = ResumeIndex()
    for start in range(0, len(lines), 3):
        index.add_block(b"".join(lines[start : start + 3]))

    def reread(note: Callable[[OutputHead], None]) -> None:
        for line in lines:
            for head in read_heads(line)[0]:
                note(head)

    index.finish(reread)
    return index


LINES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 2), st.sampled_from(["done", "failed", "final"])), max_size=20
)


@pytest.mark.parametrize("small", [0, 400_000])
@given(lines=LINES)
def test_it_equals_a_dictionary(small: int, lines: list[tuple[str, int, str]]) -> None:
    before, module.SMALL = module.SMALL, small
    try:
        index = indexed([output_line(*line) for line in lines])
    finally:
        module.SMALL = before
    last = {custom_id: (fingerprint, outcome) for custom_id, fingerprint, outcome in lines}
    states = {"done": RowState.DONE, "failed": RowState.FAILED, "final": RowState.FINAL}
    for custom_id in "abcdefg":
        for fingerprint in range(4):
            known = last.get(custom_id)
            if known is None:
                expected = RowState.NEW
            else:
                expected = states[known[1]] if known[0] == fingerprint else RowState.CHANGED
            assert index.state(custom_id, fingerprint) is expected
            assert index.is_done(custom_id, fingerprint) == (expected is RowState.DONE)
    assert index.rows == len(lines)
    assert index.superseded == len(lines) - len(last)
    assert index.cost == sum(0.5 if outcome == "done" else 0.25 for _, _, outcome in lines)


@given(st.lists(st.sampled_from([b"{", b"[]", b'{"custom_id": 5}', b"{}", b"", b"\xff", b"null"]), max_size=5))
def test_a_broken_line_is_counted_and_harms_no_other(garbage: list[bytes]) -> None:
    lines = [output_line("a", 1, "done"), *(text + b"\n" for text in garbage), output_line("b", 1, "done")]
    index = indexed([b"".join(lines)])
    assert index.is_done("a", 1)
    assert index.is_done("b", 1)
    assert index.broken == len([text for text in garbage if text]) if b"{}" not in garbage else True


def test_lines_of_other_programs_are_no_results() -> None:
    index = indexed([json.dumps({"custom_id": "a", "response": {}, "error": None}).encode() + b"\n"])
    assert (index.rows, index.broken, index.state("a", 5)) == (0, 1, RowState.NEW)


def test_an_answer_is_openai_s_line() -> None:
    answer = Answered(body=b'{"id": "c1"}', request_id="q", model="x/y", cost=0.25, attempts=2, seconds=1.23456)
    assert json.loads(encode_output(ROW, answer, "77")) == {
        "id": "batch_req_77",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "q", "body": {"id": "c1"}},
        "error": None,
        "turnout": {
            "key": "0123456789abcdef", "print": "4d", "model": "x/y", "cost": 0.25, "attempts": 2, "seconds": 1.235,
            "fields": {"label": 1},
        },
    }  # fmt: skip


def test_a_failure_has_the_provider_s_response_if_there_was_one() -> None:
    failure = RowFailure(code="invalid-request", message="no such field", temporary=False, status=400, request_id="q")
    document = json.loads(encode_output(ROW, failure, "77"))
    assert document["error"] == {"code": "invalid-request", "message": "no such field", "temporary": False}
    assert document["response"]["status_code"] == 400
    assert document["response"]["body"]["error"]["message"] == "no such field"
    document = json.loads(encode_output(ROW, RowFailure(code="connect", message="x", temporary=True), "77"))
    assert document["response"] is None


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), st.booleans())
def test_hashes_are_sorted_in_ranges(numbers: list[int], many: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 0 if many else 100)
        assert list(module.sort_hashes(array("q", numbers))) == sorted(numbers)
