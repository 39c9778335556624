"""What Gemini meant comes out, streamed either way or whole and however it is cut, and goes back as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.gemini.answers import ANSWERS, BLOCKED, ERRORS, GROUNDING, Answer
from tests.sansio.providers.playing import CUTS, feed, read, sent_back
from turnout.chat import ChatResponse, FinishReason, Usage
from turnout.errors import ProviderError, StreamTruncated
from turnout.events import End, Reasoning, Token, ToolCallReady
from turnout.messages import Opaque


def assert_said(answer: Answer, result: ChatResponse) -> None:
    assert (result.text, result.reasoning) == (answer.text, answer.reasoning)
    assert [(call.name, call.parsed()) for call in result.tool_calls] == [
        (name, args) for _, name, args in answer.calls
    ]
    for call, (id, _, _) in zip(result.tool_calls, answer.calls, strict=True):
        assert id in (None, call.id)
    assert len({call.id for call in result.tool_calls}) == len(answer.calls)
    assert (result.raw_finish_reason, result.finish_reason) == (str(answer.finish), answer.reason)
    assert result.citations == ((GROUNDING,) if answer.grounded else ())
    assert (result.response_id, result.served_model) == ("r1", "served")


def assert_goes_back(answer: Answer, result: ChatResponse) -> None:
    contents = sent_back("gemini", result.message)["contents"]
    assert (contents[1]["parts"] if len(contents) > 1 else []) == answer.replayed


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=300)
def test_what_was_meant_comes_out_and_goes_back(answer: Answer, cuts: tuple[int, ...]) -> None:
    heard = feed("gemini", answer.body)
    assert heard.failure is None
    assert_said(answer, heard.result)
    assert heard.result.usage == answer.usage
    assert "".join(each.delta for each in heard.events if isinstance(each, Token)) == answer.text
    assert "".join(each.delta for each in heard.events if isinstance(each, Reasoning)) == answer.reasoning
    assert [each.call for each in heard.events if isinstance(each, ToolCallReady)] == list(heard.result.tool_calls)
    last = heard.events[-1]
    assert isinstance(last, End)
    assert (last.usage, last.skipped) == (answer.usage, 0)
    assert_goes_back(answer, heard.result)
    assert feed("gemini", answer.body, cuts).agreed() == heard.agreed()


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=200)
def test_an_answer_that_is_no_stream_says_the_same(answer: Answer) -> None:
    result = read("gemini", answer.whole)
    assert_said(answer, result)
    assert_goes_back(answer, result)
    for field in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
        assert getattr(result.usage, field) == getattr(answer.usage, field)


@pytest.mark.full
@given(ANSWERS, st.data(), st.sampled_from(ERRORS), CUTS)
@settings(deadline=None, max_examples=300)
def test_an_error_in_the_stream_keeps_what_came(
    answer: Answer, data: st.DataObject, error: tuple[Any, bytes, type[Exception]], cuts: tuple[int, ...]
) -> None:
    element, tail, kind = error
    documents = answer.documents[: data.draw(st.integers(0, len(answer.documents)))]
    body = answer.written(documents) + tail if answer.array is None else answer.written((*documents, element))
    heard = feed("gemini", body)
    assert isinstance(heard.failure, ProviderError)
    assert (type(heard.failure), heard.failure.message) == (kind, "busy")
    assert heard.result.finish_reason is FinishReason.ERROR
    cut = feed("gemini", answer.written(documents, closed=False))
    assert [each for each in heard.events if isinstance(each, Token | Reasoning)] == [
        each for each in cut.events if isinstance(each, Token | Reasoning)
    ]
    assert not any(isinstance(each, End | ToolCallReady) for each in heard.events)
    assert (heard.result.text, heard.result.reasoning) == (cut.result.text, cut.result.reasoning)
    assert feed("gemini", body, cuts).agreed() == heard.agreed()


@pytest.mark.full
@given(ANSWERS, st.data(), CUTS)
@settings(deadline=None, max_examples=200)
def test_a_stream_that_breaks_off_is_truncated(answer: Answer, data: st.DataObject, cuts: tuple[int, ...]) -> None:
    documents = answer.documents[: data.draw(st.integers(0, len(answer.documents) - 1))]
    body = answer.written(documents, closed=False)
    heard = feed("gemini", body)
    assert answer.text.startswith(heard.result.text)
    assert answer.reasoning.startswith(heard.result.reasoning)
    if heard.result.raw_finish_reason is None:
        assert isinstance(heard.failure, StreamTruncated)
        assert not any(each.done for each in heard.events)
    sent_back("gemini", heard.result.message)  # what came can be sent, whatever came
    assert feed("gemini", body, cuts).agreed() == heard.agreed()


@pytest.mark.full
@given(BLOCKED, ANSWERS, CUTS)
@settings(deadline=None, max_examples=100)
def test_a_blocked_prompt(document: dict[str, Any], answer: Answer, cuts: tuple[int, ...]) -> None:
    body = answer.written((document,))
    heard = feed("gemini", body, cuts)
    assert heard.failure is None
    for result in (heard.result, read("gemini", document)):
        assert (result.text, result.tool_calls) == ("", ())
        assert result.finish_reason is FinishReason.CONTENT_FILTER
        assert result.raw_finish_reason == document["promptFeedback"]["blockReason"]
        counted = Usage(prompt_tokens=7) if "usageMetadata" in document else Usage(source="absent")
        assert result.usage == counted


def test_a_path_that_contradicts_what_came_changes_nothing() -> None:
    def piece(path: str, **value: Any) -> dict[str, Any]:
        call = {"partialArgs": [{"jsonPath": path, **value}], "willContinue": True}
        return {"candidates": [{"content": {"parts": [{"functionCall": call}]}}]}

    begun = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "willContinue": True}}]}}]}
    wrong = [piece("$.a.z", boolValue=True), piece("$.a[99999]", numberValue=1), piece("$", stringValue="x")]
    body = sse(begun, piece("$.a[0].b", stringValue="y"), piece("$['k']", nullValue=None), *wrong)
    heard = feed("gemini", body + sse({"candidates": [{"finishReason": "STOP"}]}))
    assert heard.failure is None
    assert heard.result.tool_calls[0].parsed() == {"a": [{"b": "y"}], "k": None}


def test_a_part_that_is_no_object_is_passed_over_and_counted() -> None:
    parts = [{"text": "a"}, "odd", 5, {"text": "b"}]
    heard = feed("gemini", sse({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}))
    assert (heard.result.text, heard.result.message.origin) == ("ab", "gemini")
    assert isinstance(heard.events[-1], End)
    assert heard.events[-1].skipped == 2


def parts_of(response: ChatResponse) -> list[Any]:
    return [json.loads(part.json) if isinstance(part, Opaque) else part for part in response.message.content]


CODE = {"language": "PYTHON", "code": "1"}
PIXEL = {"mimeType": "image/png", "data": "iVBORw0KGgo="}


@pytest.mark.parametrize("signature", [{}, {"thoughtSignature": "proof"}])
@pytest.mark.parametrize(
    ("fields", "apart"),
    [
        ({"text": "a", "functionCall": {"name": "f", "args": {"n": 1}}}, ("text", "functionCall")),
        ({"text": "a", "executableCode": CODE}, ("text", "executableCode")),
        ({"text": "a", "inlineData": PIXEL}, ("text", "inlineData")),
        ({"functionCall": {"name": "f", "args": {}}, "inlineData": PIXEL}, ("inlineData", "functionCall")),
        ({"text": "a", "toolCall": {"id": "t"}, "functionCall": {"name": "f"}}, ("text", "toolCall", "functionCall")),
        ({"text": "a", "fileData": {"fileUri": "gs://a"}, "thought": True}, ("text", "fileData")),
    ],
)
def test_a_part_of_several_kinds_is_read_as_several_parts(
    fields: dict[str, Any], apart: tuple[str, ...], signature: dict[str, str]
) -> None:
    def answer(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}

    shared = {"thought": True} if "thought" in fields else {}
    split = [{name: fields[name], **shared} for name in apart]
    split[-1] |= signature
    document, expected = answer({**fields, **signature}), read("gemini", answer(*split))
    for result in (read("gemini", document), feed("gemini", sse(document)).result):
        assert parts_of(result) == parts_of(expected)
        assert result.tool_calls == expected.tool_calls
        assert (result.text, result.reasoning) == (expected.text, expected.reasoning)


def test_arguments_may_be_a_text() -> None:
    call = {"functionCall": {"name": "f", "args": '{"n": 1}'}}
    document = {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
    assert read("gemini", document).tool_calls[0].parsed() == {"n": 1}
