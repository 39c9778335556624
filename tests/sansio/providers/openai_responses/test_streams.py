"""What an answer of the Responses API meant comes out, streamed or whole and however cut, and goes back as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sansio.providers import playing
from tests.sansio.providers.openai_responses.answers import (
    ANSWERS,
    Answer,
    event,
    exchange_of,
    feed,
    read,
    sent_back,
    whole,
)
from tests.sansio.providers.playing import CUTS, agreed
from turnout.chat import ChatRequest, FinishReason, ModelConfig
from turnout.errors import (
    ContextLengthExceeded,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    ServerError,
    StreamTruncated,
    TurnoutError,
)
from turnout.events import End, Event, Reasoning, Token, ToolCallReady
from turnout.messages import Message
from turnout.providers import create

REASONS = {
    "completed": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "later": FinishReason.UNKNOWN,
}


def kept(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items as they go back: reasoning that nothing follows is left out, for it is refused."""
    left = list(items)
    while left and left[-1]["type"] == "reasoning":
        left.pop()
    return left


@pytest.mark.full
@given(ANSWERS, CUTS)
@settings(deadline=None, max_examples=200)
def test_what_was_meant_comes_out_and_goes_back(answer: Answer, cuts: tuple[int, ...]) -> None:
    events, result, failure = seen = feed(answer.body, cuts)
    assert failure is None
    assert result.text == answer.text
    assert result.reasoning == answer.reasoning
    calls = answer.of("function_call", "custom_tool_call")
    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == [
        (call["call_id"], call["name"], call["arguments" if "arguments" in call else "input"]) for call in calls
    ]
    assert result.raw_finish_reason == answer.end
    reason = REASONS[answer.end]
    assert result.finish_reason is (FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason)
    assert (result.response_id, result.served_model) == ("resp_1", "served")
    usage = result.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (19, 17)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (5, 7)
    parts = [part for one in answer.of("message") for part in one["content"]]
    assert len(result.citations) == sum(len(part.get("annotations", ())) for part in parts)
    assert (result.refusal or "") == "".join(part.get("refusal", "") for part in parts)
    assert "".join(each.delta for each in events if isinstance(each, Token)) == result.text
    assert "".join(each.delta for each in events if isinstance(each, Reasoning)) == result.reasoning
    assert [each.call for each in events if each.type == "tool_call"] == list(result.tool_calls)
    assert isinstance(events[-1], End)
    assert sent_back(result.message) == kept(answer.items)
    assert agreed(feed(answer.body)) == agreed(seen)


@pytest.mark.full
@given(ANSWERS)
@settings(deadline=None, max_examples=100)
def test_streamed_and_whole_answers_are_equal(answer: Answer) -> None:
    _, result, _ = feed(answer.body)
    unary = read(whole(answer.items, answer.end))
    assert sent_back(unary.message) == sent_back(result.message) == kept(answer.items)
    for field in (
        "text",
        "reasoning",
        "tool_calls",
        "usage",
        "finish_reason",
        "raw_finish_reason",
        "citations",
        "refusal",
    ):
        assert getattr(unary, field) == getattr(result, field), field


ERRORS = {
    "rate_limit_exceeded": RateLimited,
    "insufficient_quota": QuotaExceeded,
    "context_length_exceeded": ContextLengthExceeded,
    "server_error": ServerError,
}


@pytest.mark.full
@given(ANSWERS, st.data(), st.sampled_from(sorted(ERRORS)), st.sampled_from(["error", "nested", "failed"]), CUTS)
@settings(deadline=None, max_examples=150)
def test_an_error_in_the_stream_keeps_what_came(
    answer: Answer, data: st.DataObject, code: str, shape: str, cuts: tuple[int, ...]
) -> None:
    at = data.draw(st.integers(0, len(answer.events) - 1))
    before = b"".join(answer.events[:at])
    told = {"code": code, "message": "busy"}
    if shape == "failed":
        error = event("response.failed", response={**whole([]), "status": "failed", "error": told})
    elif shape == "nested":
        error = event("error", error={"type": "x", **told})
    else:
        error = event("error", **told, param=None)
    events, result, failure = seen = feed(before + error, cuts)
    assert isinstance(failure, ProviderError)
    assert (type(failure), failure.message, failure.code) == (ERRORS[code], "busy", code)
    _, cut, _ = feed(before)
    assert (result.text, result.reasoning) == (cut.text, cut.reasoning)
    assert "".join(each.delta for each in events if isinstance(each, Token)) == result.text
    assert not any(isinstance(each, End | ToolCallReady) for each in events[-1:])
    assert agreed(feed(before + error)) == agreed(seen)


@pytest.mark.full
@given(ANSWERS, st.data())
@settings(deadline=None, max_examples=150)
def test_a_stream_without_its_terminal_event_is_truncated(answer: Answer, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer.events) - 1))
    events, result, failure = feed(b"".join(answer.events[:at]))
    assert isinstance(failure, StreamTruncated)
    assert not any(each.done for each in events)
    sent_back(result.message)  # what came can be sent, whatever came


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_failed_answer_without_a_reason_says_so(status: str) -> None:
    with pytest.raises(ProviderError, match=f"the response is {status}, and does not say why"):
        read({**whole([]), "status": status})


def test_a_whole_failure_is_its_error() -> None:
    with pytest.raises(ServerError, match="The model broke"):
        read({**whole([]), "status": "failed", "error": {"code": "server_error", "message": "The model broke."}})


def test_an_error_in_place_of_a_stream() -> None:
    body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "slow down"}}).encode()
    heard = playing.feed("openai", body, api="responses")
    assert isinstance(heard.failure, RateLimited)
    assert "slow down" in str(heard.failure)


@pytest.mark.parametrize("document", [{}, {"id": "x"}, [], 7, None, "x"])
def test_what_is_no_response_is_said_to_be_none(document: Any) -> None:
    with pytest.raises(TurnoutError):
        read(document)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
FIELDS = [
    "item",
    "part",
    "response",
    "delta",
    "output_index",
    "content_index",
    "item_id",
    "text",
    "arguments",
    "input",
    "error",
]
NESTED = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["message", "function_call", "custom_tool_call", "reasoning", "output_text", "refusal", "odd"]
        )
        | JSON,
        "id": JSON,
        "call_id": JSON,
        "name": JSON,
        "arguments": JSON,
        "input": JSON,
        "content": JSON | st.lists(st.fixed_dictionaries({"type": st.just("output_text"), "text": JSON}), max_size=2),
        "summary": JSON,
        "output": JSON,
        "status": JSON,
        "usage": JSON,
        "error": JSON,
    },
)
NAMES = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_text.annotation.added",
        "response.completed",
        "response.done",
        "response.failed",
        "error",
        "odd",
    ]
)


@pytest.mark.full
@given(st.lists(st.tuples(NAMES, st.dictionaries(st.sampled_from(FIELDS), NESTED | JSON, max_size=4)), max_size=8))
@settings(deadline=None, max_examples=400)
def test_odd_events_never_raise(told: list[tuple[str, dict[str, Any]]]) -> None:
    body = b"".join(event(name, **fields) for name, fields in told)
    _, result, failure = feed(body)
    assert failure is None or isinstance(failure, ProviderError | RemoteProtocolError | StreamTruncated)
    assert isinstance(sent_back(result.message), list)


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_give_events_or_an_error(body: bytes, cuts: tuple[int, ...]) -> None:
    assert agreed(feed(body, cuts)) == agreed(feed(body))


def test_a_server_that_invents_ids_loses_nothing() -> None:
    """Some give each event of one item an id of its own (seen behind proxies); the place in the output holds."""
    parts = [
        event("response.output_item.added", output_index=0, item={"type": "message", "id": "a", "content": []}),
        event("response.output_text.delta", output_index=0, item_id="b", content_index=0, delta="Hel"),
        event("response.output_text.delta", output_index=0, item_id="c", content_index=0, delta="lo"),
        event("response.completed", response=whole([])),
    ]
    _, result, failure = feed(b"".join(parts))
    assert failure is None
    assert result.text == "Hello"


def test_arguments_may_be_an_object() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}}
    (read_call,) = read(whole([call])).tool_calls
    assert read_call.parsed() == {"a": 1}


ITEM = {"type": "function_call", "call_id": "c", "name": "f"}
SPOKEN = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("output", [None, [], [SPOKEN, {**ITEM, "arguments": '{"a": 1}'}]])
def test_items_without_a_place_and_an_id_are_the_last_of_their_kind(ended: bool, output: Any) -> None:
    last: dict[str, Any] = {} if output is None else {"response": whole(output)}
    parts = [
        *(event("response.output_text.delta", delta=delta) for delta in ("Hel", "lo")),
        event("response.output_item.added", item=ITEM),
        *(event("response.function_call_arguments.delta", delta=delta) for delta in ('{"a"', ": 1}")),
        event("response.output_item.done", item={**ITEM, "arguments": '{"a": 1}'}) if ended else b"",
        event("response.completed", **last),
    ]
    _, result, failure = feed(b"".join(parts))
    assert failure is None
    assert result.text == "Hello"
    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == [("c", "f", '{"a": 1}')]
    assert result.raw_finish_reason == "completed"


def test_two_calls_without_a_place_stay_two() -> None:
    parts = []
    calls = [{**ITEM, "arguments": '{"a": 1}'}, {**ITEM, "call_id": "d", "arguments": '{"b": 2}'}]
    for call in calls:
        parts += [
            event("response.output_item.added", item={**call, "arguments": ""}),
            event("response.function_call_arguments.delta", delta=call["arguments"]),
            event("response.output_item.done", item=call),
        ]
    for result in (
        feed(b"".join([*parts, event("response.completed", response=whole(calls))])).result,
        feed(event("response.completed", response=whole(calls))).result,
    ):
        assert [(call.id, call.arguments) for call in result.tool_calls] == [("c", '{"a": 1}'), ("d", '{"b": 2}')]


def test_a_search_of_xai_s_own_is_no_call() -> None:
    search = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "xs_1", "name": "x_keyword_search", "input": "{}"}
    message = {
        "type": "message",
        "id": "msg_1",
        "content": [{"type": "output_text", "text": "Found.", "annotations": []}],
    }
    where: dict[str, Any] = {"output_index": 0, "item_id": "ctc_1"}
    parts = [
        event("response.output_item.added", output_index=0, item={**search, "input": ""}),
        event("response.custom_tool_call_input.delta", delta="{}", **where),
        event("response.custom_tool_call_input.done", input="{}", **where),
        event("response.output_item.done", output_index=0, item=search),
        event("response.completed", response=whole([search, message])),
    ]
    streamed = playing.feed("xai", b"".join(parts), api="responses")
    assert [each.type for each in streamed.events] == ["part", "token", "end"]
    for result in (streamed.result, playing.read("xai", whole([search, message]), api="responses")):
        assert (result.text, result.tool_calls, result.finish_reason) == ("Found.", (), FinishReason.STOP)
        exchange = create("xai", api_key="k", api="responses").chat(
            ChatRequest(ModelConfig("xai", "m"), [Message.user("x"), result.message])
        )
        assert json.loads(exchange.request.body)["input"][1] == search


def test_events_come_as_soon_as_their_bytes() -> None:
    exchange = exchange_of(stream=True)
    exchange.receive_head(200, [])
    told: list[Event] = []
    for delta in ("One", " two"):
        told += exchange.receive_data(event("response.output_text.delta", output_index=0, delta=delta))
        assert told[-1] == Token(delta)
    rest = exchange.receive_data(event("response.completed", response=whole([])))
    assert isinstance(rest[-1], End)
    assert exchange.complete


def test_log_probabilities_are_kept_once() -> None:
    one = [{"token": "a", "logprob": -0.1}]
    parts = [
        event("response.output_text.delta", output_index=0, content_index=0, delta="a", logprobs=one),
        event("response.output_text.done", output_index=0, content_index=0, text="a", logprobs=one),
        event("response.completed", response=whole([])),
    ]
    logprobs = feed(b"".join(parts))[1].logprobs
    assert logprobs is not None
    assert list(logprobs) == one


@pytest.mark.slow
def test_every_byte_is_a_place_to_cut() -> None:
    items: list[dict[str, Any]] = [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "e",
        },
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Zoë 🚂", "annotations": []}]},
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a": "é"}'},
    ]
    body = b"".join(
        [
            *(event("response.output_item.done", output_index=place, item=one) for place, one in enumerate(items)),
            event("response.completed", response=whole(items)),
        ]
    )
    expected = agreed(feed(body))
    assert agreed(feed(body, tuple(range(len(body))))) == expected
    for cut in range(len(body)):
        assert agreed(feed(body, (cut,))) == expected
