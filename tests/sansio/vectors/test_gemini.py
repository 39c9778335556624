"""Vectors 49 to 60: Gemini."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.vectors.exchanges import asking, chat, failed, refused, sent, stream
from turnout.chat import FinishReason, Usage
from turnout.errors import (
    AuthenticationFailed,
    InvalidRequest,
    Overloaded,
    ProviderError,
    QuotaExceeded,
    RateLimited,
)
from turnout.events import PartSigned, Reasoning, Token
from turnout.messages import Message, Tool

BUSY = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


def answer(*parts: Any, finish: str | None = None, **top: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "served", "responseId": "r1", **top}


def text(delta: str, **fields: Any) -> dict[str, Any]:
    return {"text": delta, **fields}


def crlf(*documents: Any) -> bytes:
    return sse(*documents, newline="\r\n", ascii=False)


HELLO = [
    answer(text("Hel")),
    answer(text("lo"), usageMetadata={"promptTokenCount": 3}),
    answer(text(""), finish="STOP"),
]


def test_vector_49_a_stream_in_crlf() -> None:
    seen = stream("gemini", crlf(*HELLO))
    assert seen.failure is None
    assert seen.events[:2] == (Token("Hel"), Token("lo"))
    assert seen.types == ["token", "token", "end"]
    assert (seen.result.raw_finish_reason, seen.result.served_model, seen.result.response_id) == (
        "STOP",
        "served",
        "r1",
    )


def test_vector_50_the_same_as_a_json_array() -> None:
    tricky = [answer(text('a "}],[{ b')), *HELLO]
    streamed = stream("gemini", crlf(*tricky))
    for array in (
        json.dumps(tricky).encode(),
        ("[" + "\n,\r\n".join(json.dumps(each, indent=2) for each in tricky) + "\n]\n").encode(),
    ):
        assert stream("gemini", array).agreed() == streamed.agreed()


def test_vector_51_a_blocked_prompt() -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}
    for seen in (stream("gemini", crlf(blocked)), chat("gemini", blocked)):
        assert seen.failure is None
        assert seen.result.finish_reason is FinishReason.CONTENT_FILTER
        assert (seen.result.raw_finish_reason, seen.result.usage.prompt_tokens) == ("PROHIBITED_CONTENT", 4)


@pytest.mark.parametrize(
    ("finish", "meaning"),
    [
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("MODEL_ARMOR", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
        ("MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR),
        ("NO_IMAGE", FinishReason.ERROR),
        ("OTHER", FinishReason.ERROR),
        ("LANGUAGE", FinishReason.CONTENT_FILTER),
        ("PUP_LIMITED_DISABLED", FinishReason.CONTENT_FILTER),
    ],
)
@pytest.mark.parametrize("content", [{}, {"content": {}}, {"content": {"role": "model"}}, {"content": {"parts": []}}])
def test_vector_52_a_candidate_without_content(finish: str, meaning: FinishReason, content: Any) -> None:
    document = {"candidates": [{**content, "finishReason": finish}]}
    for seen in (stream("gemini", crlf(document)), chat("gemini", document)):
        assert seen.failure is None
        assert (seen.result.finish_reason, seen.result.raw_finish_reason) == (meaning, finish)
        assert seen.result.text == ""


def test_vector_53_signatures_go_back_on_the_parts_they_came_with() -> None:
    pieces = [
        answer(text("Well, ", thought=True)),
        answer(text("so.", thought=True)),
        answer(text("", thoughtSignature="s1")),
        answer(text("one ")),
        answer(text("two", thoughtSignature="s2")),
        answer(text("three")),
        answer({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s3"}, finish="STOP"),
    ]
    seen = stream("gemini", crlf(*pieces))
    assert seen.events[:6] == (
        Reasoning("Well, "),
        Reasoning("so."),
        PartSigned("text", "s1"),
        Token("one "),
        Token("two"),
        PartSigned("text", "s2"),
    )
    again = sent(asking("gemini", Message.user("x"), seen.result.message, model_id="gemini-3-pro"))
    assert again["contents"][1]["parts"] == [
        {"text": "Well, so.", "thought": True},
        {"text": "", "thoughtSignature": "s1"},
        {"text": "one "},
        {"text": "two", "thoughtSignature": "s2"},
        {"text": "three"},
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s3"},
    ]


def test_vector_54_two_calls_of_one_name_without_ids() -> None:
    calls = [{"functionCall": {"name": "f", "args": {"n": n}}} for n in (1, 2)]
    for body in (crlf(answer(*calls, finish="STOP")), crlf(answer(calls[0]), answer(calls[1], finish="STOP"))):
        first, second = stream("gemini", body).result.tool_calls
        assert (first.parsed(), second.parsed()) == ({"n": 1}, {"n": 2})
        assert first.id != second.id


def test_vector_54_only_the_server_s_own_ids_go_back_to_it() -> None:
    parts = [{"functionCall": {"id": "abc", "name": "f", "args": {}}}, {"functionCall": {"name": "g"}}]
    seen = chat("gemini", answer(*parts, finish="STOP"))
    first, second = seen.result.tool_calls
    assert (first.id, second.arguments) == ("abc", "{}")
    results = [Message.tool(first, "1"), Message.tool(second, "2")]
    turns = sent(asking("gemini", Message.user("x"), seen.result.message, *results))["contents"]
    assert [part["functionCall"].get("id") for part in turns[1]["parts"]] == ["abc", None]
    assert [part["functionResponse"].get("id") for part in turns[2]["parts"]] == ["abc", None]


def partial(*pieces: Any, more: bool = True, **fields: Any) -> dict[str, Any]:
    call = {**fields, "willContinue": more} if more else fields
    return answer({"functionCall": call | ({"partialArgs": list(pieces)} if pieces else {})})


def test_vector_55_arguments_in_pieces_by_their_paths() -> None:
    body = crlf(
        partial(name="f", id="1"),
        partial({"jsonPath": "$.at[0].city", "stringValue": "Os", "willContinue": True}),
        partial({"jsonPath": "$.at[0].city", "stringValue": "lo"}, {"jsonPath": "$.at[1].n", "numberValue": 2.5}),
        partial({"jsonPath": "$.now", "boolValue": True}, {"jsonPath": "$.then", "nullValue": "NULL_VALUE"}),
        answer({"functionCall": {}}),
        answer(finish="STOP"),
    )
    seen = stream("gemini", body)
    assert seen.failure is None
    (call,) = seen.result.tool_calls
    assert (call.id, call.name) == ("1", "f")
    assert call.parsed() == {"at": [{"city": "Oslo"}, {"n": 2.5}], "now": True, "then": None}


def test_vector_55_pieces_whose_end_never_comes_and_a_call_without_any() -> None:
    body = crlf(
        partial(name="f"),
        partial({"jsonPath": "$.x", "stringValue": "y"}),
        partial(name="g", more=False),
        partial(name="h"),
        answer(finish="STOP"),
    )
    calls = stream("gemini", body).result.tool_calls
    assert [(call.name, call.parsed()) for call in calls] == [("f", {"x": "y"}), ("g", {}), ("h", {})]


def test_vector_56_counters_that_come_and_go() -> None:
    told: list[dict[str, int]] = [
        {"promptTokenCount": 9, "cachedContentTokenCount": 4},
        {"promptTokenCount": 9, "thoughtsTokenCount": 5},
        {"candidatesTokenCount": 2},
        {"candidatesTokenCount": 7, "totalTokenCount": 21},
    ]
    pieces = [answer(text("a"), usageMetadata=each) for each in told]
    usage = Usage(prompt_tokens=9, completion_tokens=12, cached_tokens=4, reasoning_tokens=5)
    assert stream("gemini", crlf(*pieces, answer(finish="STOP"))).result.usage == usage
    early = stream("gemini", crlf(answer(text("a"), usageMetadata={"promptTokenCount": 9}), answer(finish="STOP")))
    assert early.result.usage == Usage(prompt_tokens=9)


@pytest.mark.parametrize(
    "tail",
    [
        crlf(BUSY),
        json.dumps(BUSY, indent=2).encode() + b"\n",
        b"\r\n" + json.dumps(BUSY, indent=2).replace("\n", "\r\n").encode(),
        crlf([BUSY]),
    ],
)
def test_vector_57_an_error_after_text(tail: bytes) -> None:
    seen = stream("gemini", crlf(answer(text("Hel"))) + tail)
    assert seen.events == (Token("Hel"),)
    error = failed(seen)
    assert isinstance(error, Overloaded)
    assert (error.status, error.message, error.code) == (503, "busy", "UNAVAILABLE")
    assert seen.result.text == "Hel"


def test_vector_57_an_error_as_a_bare_string() -> None:
    seen = stream("gemini", crlf(answer(text("Hel")), '"error"'))
    assert seen.events == (Token("Hel"),)
    assert isinstance(seen.failure, ProviderError)


def test_vector_57_an_error_in_a_json_array() -> None:
    for body in ([BUSY], [answer(text("Hel")), BUSY]):
        seen = stream("gemini", json.dumps(body, indent=1).encode())
        assert isinstance(seen.failure, Overloaded)
        assert seen.types == ["token"] * (len(body) - 1)


@pytest.mark.parametrize(
    ("quota", "delay", "kind", "wait"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "34.4s", RateLimited, 34.4),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "34.4s", QuotaExceeded, 34.4),
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "34.074824224s", RateLimited, 34.074824224),
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "0s", RateLimited, None),
    ],
)
def test_vector_58_a_limit_by_the_minute_and_by_the_day(
    quota: str, delay: str, kind: type[ProviderError], wait: float | None
) -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    body = {"error": {"code": 429, "message": "Exceeded.", "status": "RESOURCE_EXHAUSTED", "details": details}}
    error = refused("gemini", 429, body)
    assert type(error) is kind
    assert error.retry_after == wait


def test_vector_59_a_wrong_key_is_no_invalid_request() -> None:
    def body(reason: str, message: str) -> dict[str, Any]:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": [info]}}

    assert type(refused("gemini", 400, body("API_KEY_INVALID", "Bad."))) is AuthenticationFailed
    assert type(refused("gemini", 400, body("FIELD", "Bad field."))) is InvalidRequest


def test_vector_60_a_system_prompt_alone_gets_a_turn() -> None:
    body = sent(asking("gemini", Message.system("Be brief.")))
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": " "}]}]


def test_vector_60_tool_results_stand_apart_from_the_user_s_words() -> None:
    seen = chat("gemini", answer({"functionCall": {"name": "f", "args": {}}}, finish="STOP"))
    (call,) = seen.result.tool_calls
    turns = (Message.user("x"), seen.result.message, Message.tool(call, "12"), Message.user("And now?"))
    contents = sent(asking("gemini", *turns, tools=(Tool("f"),)))["contents"]
    assert contents[2:] == [
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "12"}}}]},
        {"role": "user", "parts": [{"text": "And now?"}]},
    ]


def test_vector_60_gemma_hears_its_system_prompt_from_the_user() -> None:
    turns = (Message.system("Be brief."), Message.user("Hello."))
    body = sent(asking("gemini", *turns, model_id="gemma-3-27b-it"))
    assert "systemInstruction" not in body
    (turn,) = body["contents"]
    assert turn["role"] == "user"
    assert [part["text"] for part in turn["parts"]] == ["Be brief.", "Hello."]


def test_vector_60_gemma_4_has_a_system_prompt_of_its_own() -> None:
    body = sent(asking("gemini", Message.system("Be brief."), Message.user("Hello."), model_id="gemma-4-31b-it"))
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    for model_id in ("gemma-3n-e4b-it", "models/gemma-2-9b-it", "gemma-7b-it"):
        alone = sent(asking("gemini", Message.system("Be brief."), model_id=model_id))
        assert alone == {"contents": [{"role": "user", "parts": [{"text": "Be brief."}]}]}
