"""An incomplete response of Gemini is continued with more requests: one text, one end, and the usage of all of them."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from turnout import ChatRequest, ModelConfig, ResponseFormat
from turnout.chat import ChatResponse, FinishReason
from turnout.errors import ServerError, StreamInterrupted
from turnout.events import End, Restarted, Token
from turnout.messages import Text
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.testing import Reply, ScriptedTransport

ASK = ChatRequest(ModelConfig("gemini", "gemini-3-pro"), "Tell me a story.")
FORBIDDEN = ASK.for_model(ModelConfig("gemini", "gemini-3-pro", extra={"gemini": {"automaticContinuation": False}}))


def piece(text: str, finish: str, token: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}
    if token is not None:
        candidate["continuationToken"] = token
    return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}


HALVES = (piece("Once ", "CONTINUATION", "t1"), piece("upon ", "CONTINUATION", "t2"), piece("a time.", "STOP"))
BROKEN = [f"data: {json.dumps({'candidates': [{'content': {'parts': [{'text': 'up'}]}}]})}\n\n".encode()]


def made(*replies: Reply, policy: Policy | None = None) -> tuple[Router, ScriptedTransport]:
    transport = ScriptedTransport()
    for reply in replies:
        transport.add(reply)
    return Router(
        [create("gemini", api_key="k")], policy=policy or Policy(max_retries=0), transport=transport
    ), transport


def whole(document: dict[str, Any]) -> Reply:
    return Reply(200, document)


def streamed(document: dict[str, Any]) -> Reply:
    return Reply(200, f"data: {json.dumps(document)}\n\n", {"content-type": "text/event-stream"})


def tokens_sent(transport: ScriptedTransport) -> list[str | None]:
    return [json.loads(request.body or b"{}").get("continuationToken") for request in transport.requests]


def ask(router: Router, way: str) -> ChatResponse | None:
    if way != "stream":
        return router.chat(ASK, collect=way == "collect")
    with router.stream(ASK) as stream:
        list(stream)
    return stream.response


def check(response: ChatResponse | None) -> None:
    assert response is not None
    assert (response.text, response.finish_reason, response.raw_finish_reason) == (
        "Once upon a time.",
        FinishReason.STOP,
        "STOP",
    )
    assert [type(part) for part in response.message.content] == [Text]
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (30, 15)


@pytest.mark.parametrize("collect", [False, True])
def test_chat_returns_the_whole_answer(collect: bool) -> None:
    router, transport = made(*map(streamed if collect else whole, HALVES))
    with router:
        response = router.chat(ASK, collect=collect)
    check(response)
    assert tokens_sent(transport) == [None, "t1", "t2"]
    assert response.trace is not None
    assert response.trace.attempts == 3


def test_a_stream_has_one_end_and_never_more_text_than_its_tokens() -> None:
    router, transport = made(*map(streamed, HALVES))
    told = ""
    events = []
    with router, router.stream(ASK) as stream:
        for event in stream:
            events.append(event)
            if isinstance(event, Token):
                told += event.delta
                assert stream.response is not None
                assert stream.response.text == told
    check(stream.response)
    assert [type(event) for event in events] == [Token, Token, Token, End]
    assert isinstance(events[-1], End)
    assert events[-1].usage.completion_tokens == 15
    assert tokens_sent(transport) == [None, "t1", "t2"]


JSON_HALVES = (piece('{"a": ', "CONTINUATION", "t1"), piece("1}", "STOP"))
JSON_REQUEST = attrs.evolve(ASK, response_format=ResponseFormat({"type": "object"}))


@pytest.mark.parametrize("collect", [False, True])
def test_the_whole_answer_must_meet_the_demands_not_its_last_part(collect: bool) -> None:
    router, _ = made(*map(streamed if collect else whole, JSON_HALVES))
    with router:
        reply = router.chat(JSON_REQUEST, collect=collect)
    assert (reply.text, reply.unmet, reply.trace.attempts) == ('{"a": 1}', (), 2)


def test_the_end_of_a_continued_stream_has_the_demands_of_the_whole() -> None:
    router, _ = made(*map(streamed, JSON_HALVES))
    with router, router.stream(JSON_REQUEST) as stream:
        *_, end = stream
    assert isinstance(end, End)
    assert (end.unmet, stream.response.unmet) == ((), ())


@pytest.mark.parametrize("collect", [False, True])
def test_a_continued_answer_that_does_not_meet_a_demand_begins_anew(collect: bool) -> None:
    halves = (piece("no ", "CONTINUATION", "t1"), piece("JSON", "STOP"), piece("{}", "STOP"))
    router, transport = made(*map(streamed if collect else whole, halves), policy=Policy(max_retries=1))
    with router:
        reply = router.chat(JSON_REQUEST, collect=collect)
    assert reply.text == "{}"
    assert tokens_sent(transport) == [None, "t1", None]


@pytest.mark.parametrize("collect", [False, True])
def test_the_caller_may_forbid_the_continuation(collect: bool) -> None:
    router, transport = made((streamed if collect else whole)(HALVES[0]))
    with router:
        response = router.chat(FORBIDDEN, collect=collect)
    assert (response.text, response.finish_reason, response.raw_finish_reason) == (
        "Once ",
        FinishReason.LENGTH,
        "CONTINUATION",
    )
    assert b"automaticContinuation" not in (transport.requests[0].body or b"")


def test_a_token_that_repeats_ends_the_answer() -> None:
    router, transport = made(whole(HALVES[0]), whole(piece("upon", "CONTINUATION", "t1")))
    with router:
        response = router.chat(ASK)
    assert (response.text, response.finish_reason) == ("Once upon", FinishReason.LENGTH)
    assert len(transport.requests) == 2


def test_a_failed_part_is_tried_again_and_the_parts_before_it_are_kept() -> None:
    router, transport = made(
        whole(HALVES[0]), Reply(503, ""), whole(piece("more.", "STOP")), policy=Policy(backoff_initial=0)
    )
    with router:
        assert router.chat(ASK).text == "Once more."
    assert tokens_sent(transport) == [None, "t1", "t1"]


def test_an_error_in_a_later_part_carries_the_text_of_all_parts() -> None:
    router, _ = made(streamed(HALVES[0]), Reply(200, BROKEN, {"content-type": "text/event-stream"}))
    with router, pytest.raises(StreamInterrupted) as caught, router.stream(ASK) as stream:
        list(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Once up"


@pytest.mark.parametrize("way", ["chat", "collect", "stream"])
def test_a_later_part_that_never_arrives_leaves_the_text_before_it(way: str) -> None:
    router, _ = made((whole if way == "chat" else streamed)(HALVES[0]), Reply(500, ""))
    with router, pytest.raises(ServerError if way != "stream" else StreamInterrupted) as caught:
        ask(router, way)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Once "


@pytest.mark.parametrize("way", ["chat", "collect", "stream"])
def test_calls_before_the_last_part_are_why_the_answer_ended(way: str) -> None:
    part = {"functionCall": {"name": "look", "args": {}}}
    called = {"candidates": [{"content": {"parts": [part]}, "finishReason": "CONTINUATION", "continuationToken": "t1"}]}
    router, _ = made(*map(whole if way == "chat" else streamed, (called, piece("Looking.", "STOP"))))
    with router:
        if way == "stream":
            with router.stream(ASK) as stream:
                *_, end = stream
            response = stream.response
            assert isinstance(end, End)
            assert end.finish_reason is FinishReason.TOOL_CALLS
        else:
            response = router.chat(ASK, collect=way == "collect")
    assert response is not None
    assert (response.text, [call.name for call in response.tool_calls]) == ("Looking.", ["look"])
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.TOOL_CALLS, "STOP")


def test_a_restart_begins_from_the_beginning() -> None:
    policy = Policy(on_interrupt="restart", backoff_initial=0)
    broken = Reply(200, BROKEN, {"content-type": "text/event-stream"})
    router, transport = made(streamed(HALVES[0]), broken, streamed(piece("Anew.", "STOP")), policy=policy)
    with router, router.stream(ASK) as stream:
        events = list(stream)
    assert any(isinstance(event, Restarted) for event in events)
    assert stream.response is not None
    assert stream.response.text == "Anew."
    assert tokens_sent(transport) == [None, "t1", None]
