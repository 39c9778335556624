"""Answers that say what the reference says, in another way: each was met at some server, and none loses anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sansio.providers.bodies import sse
from tests.sansio.providers.playing import exchange_of, feed, read, sent_back
from turnout.chat import ChatResponse, FinishReason, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import NotFound, ProviderError, RemoteProtocolError, ServerError, StreamTruncated
from turnout.messages import Image, Text
from turnout.providers import create
from turnout.providers.decoding.media import image_of_url
from turnout.providers.exchange import HttpExchange
from turnout.providers.protocol import Exchange, ModelPage

SERVER = "openai-compatible"


def said(finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def calls_of(response: ChatResponse) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in response.tool_calls]


def embedding(name: str, document: Any, texts: int = 1) -> Exchange[EmbeddingResponse]:
    exchange = create(name, api_key="k").embed(EmbeddingRequest(ModelConfig(name, "m"), ["text"] * texts))
    exchange.receive_head(200, ())
    exchange.receive_data(json.dumps(document).encode())
    exchange.receive_end()
    return exchange


def embedded(name: str, document: Any, texts: int = 1) -> EmbeddingResponse:
    exchange = embedding(name, document, texts)
    assert exchange.failure is None
    return exchange.result


def listed(name: str, document: Any) -> ModelPage:
    exchange = create(name, api_key="k").models()
    exchange.receive_head(200, ())
    exchange.receive_data(json.dumps(document).encode())
    exchange.receive_end()
    if exchange.failure is not None:
        raise exchange.failure
    return exchange.result


# -- chat completions ---------------------------------------------------------------------------------------------


def test_an_empty_delta_beside_the_message_is_nothing() -> None:
    answer = said(content="Rust")
    answer["choices"][0]["delta"] = {"role": "assistant", "content": ""}
    assert read(SERVER, answer).text == "Rust"
    # In the stream it is the other way: the message is all that came so far.
    chunks = [delta(content="Ru"), delta("stop", content="st")]
    for chunk, so_far in zip(chunks, ("Ru", "Rust"), strict=True):
        chunk["choices"][0]["message"] = {"role": "assistant", "content": so_far}
    assert feed(SERVER, sse(*chunks, "[DONE]")).result.text == "Rust"


def test_the_function_call_of_old_is_a_call() -> None:
    whole = read(SERVER, said("function_call", content=None, function_call={"name": "add", "arguments": '{"a": 1}'}))
    assert [call.name for call in whole.tool_calls] == ["add"]
    streamed = feed(
        SERVER,
        sse(
            delta(content=None, function_call={"name": "add", "arguments": ""}),
            delta(function_call={"arguments": '{"a"'}),
            delta(function_call={"arguments": ": 1}"}),
            delta("function_call"),
            "[DONE]",
        ),
    ).result
    assert calls_of(streamed) == calls_of(whole)
    assert whole.finish_reason is streamed.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("text", ["print(7)", "", " ", "null"])
def test_the_free_text_of_a_call_is_taken_as_it_is(text: str) -> None:
    call = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "code", "input": text}}
    whole = read(SERVER, said("tool_calls", content=None, tool_calls=[call]))
    begun = {**call, "custom": {"name": "code", "input": ""}}
    rest = {"index": 0, "custom": {"input": text}}
    streamed = feed(SERVER, sse(delta(tool_calls=[begun]), delta("tool_calls", tool_calls=[rest]))).result
    for response in (whole, streamed):
        assert calls_of(response) == [("c", "code", text)]
        (back,) = sent_back(SERVER, response.message)["messages"][1]["tool_calls"]
        assert back["custom"] == {"name": "code", "input": text}


@pytest.mark.parametrize("written", ["{}", "{ }", "", "null", " null"])
def test_whole_calls_of_a_stream_are_apart_without_index_and_id(written: str) -> None:
    told = [{"function": {"name": "f", "arguments": arguments}} for arguments in (written, '{"0": null}', written)]
    streamed = feed(SERVER, sse(*(delta(tool_calls=[call]) for call in told), delta("tool_calls"), "[DONE]")).result
    assert [call.parsed() for call in streamed.tool_calls] == [{}, {"0": None}, {}]


def test_the_null_of_a_call_that_is_told_twice_counts_once() -> None:
    told = {"id": "c1", "function": {"name": "f", "arguments": "null"}}
    (call,) = feed(SERVER, sse(*[delta(tool_calls=[told])] * 2, delta("tool_calls"), "[DONE]")).result.tool_calls
    assert call.parsed() == {}


def test_calls_of_a_whole_answer_are_apart_whatever_their_ids() -> None:
    functions = [{"name": "add", "arguments": "{}"}, {"name": "add", "arguments": '{"b": 2}'}]
    for same in ({"id": "c"}, {"id": "", "index": 0}, {"index": 0}):
        calls = read(SERVER, said(content=None, tool_calls=[{**same, "function": each} for each in functions]))
        assert [call.arguments for call in calls.tool_calls] == ["{}", '{"b": 2}']


@pytest.mark.parametrize(
    ("content", "text", "reasoning", "refusal"),
    [
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, {"text": "a"}], "a", "hm", None),
        ([{"type": "reasoning", "text": "hm"}, "a"], "a", "hm", None),
        ([{"type": "refusal", "refusal": "no"}], "", "", "no"),
        ({"type": "text", "text": "a"}, "a", "", None),
        ({"answer": 42}, '{"answer": 42}', "", None),
    ],
)
def test_content_is_not_always_a_string(content: Any, text: str, reasoning: str, refusal: str | None) -> None:
    whole = read(SERVER, said(content=content))
    streamed = feed(SERVER, sse(delta("stop", content=content), "[DONE]")).result
    for response in (whole, streamed):
        assert (response.text, response.reasoning, response.refusal) == (text, reasoning, refusal)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_may_be_in_parts(key: str) -> None:
    parts: dict[str, Any] = {key: [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]}
    for response in (read(SERVER, said(**parts)), feed(SERVER, sse(delta("stop", **parts))).result):
        assert response.reasoning == "hm"


def test_what_was_filtered_may_stand_behind_the_word() -> None:
    blocked = {"choices": [{"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"}]}
    for response in (read(SERVER, blocked), feed(SERVER, sse(blocked, "[DONE]")).result):
        assert response.finish_reason is FinishReason.CONTENT_FILTER
        assert response.raw_finish_reason == "content_filter: PROHIBITED_CONTENT"


def test_counts_may_be_written_as_text() -> None:
    answer = {**said(content="a"), "usage": {"prompt_tokens": "12", "completion_tokens": 3, "total_tokens": ""}}
    usage = read(SERVER, answer).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (12, 3)


def unary(name: str, body: bytes, **settings: Any) -> HttpExchange[ChatResponse]:
    exchange = exchange_of(name, stream=False, **settings)
    exchange.receive_head(200, ())
    exchange.receive_data(body)
    exchange.receive_end()
    return exchange


def test_a_server_that_only_streams_is_understood() -> None:
    chunks = sse(delta(content="a"), delta("stop", content="b"), {"choices": [], "usage": {"prompt_tokens": 3}})
    for body in (chunks, b": wait\n\n" + chunks + sse("[DONE]"), b"\r\n" + chunks.replace(b"\n", b"\r\n")):
        exchange = unary(SERVER, body)
        assert exchange.failure is None
        assert (exchange.result.text, exchange.result.usage.prompt_tokens) == ("ab", 3)
    told = unary(SERVER, sse(delta(content="a"), {"error": {"message": "gone", "code": 503}})).failure
    assert isinstance(told, ProviderError)
    assert told.status == 503
    cut = unary(SERVER, sse(delta(content="a"))).failure
    assert isinstance(cut, RemoteProtocolError)
    assert "incomplete" in str(cut)


def test_so_it_is_in_the_other_dialects_of_event_streams() -> None:
    message = {"type": "message_start", "message": {"content": [{"type": "text", "text": "a"}]}}
    assert unary("anthropic", sse(message, {"type": "message_stop"})).result.text == "a"
    items = [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]
    done = {"type": "response.completed", "response": {"status": "completed", "output": items}}
    assert unary("openai", sse(done), api="responses").result.text == "a"
    parts = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}
    assert unary("gemini", sse(parts)).result.text == "a"


def test_usage_may_stand_in_the_choice() -> None:
    """Moonshot's streams; where the chunk has a usage of its own, too, that one counts."""
    chunk = delta("stop")
    chunk["choices"][0]["usage"] = {"prompt_tokens": 7, "completion_tokens": 2, "cached_tokens": 4}
    usage = feed(SERVER, sse(delta(content="a"), chunk, "[DONE]")).result.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (7, 2, 4)
    both = [{**chunk, "usage": {"prompt_tokens": 8, "completion_tokens": 3}}, chunk]
    assert feed(SERVER, sse(*both, "[DONE]")).result.usage.prompt_tokens == 8


FLAT: list[tuple[dict[str, Any], str, int | None]] = [
    ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, "404 NOT_FOUND", 500),
    ({"detail": "worker died"}, "worker died", None),
    (
        {"choices": None, "usage": {}, "base_resp": {"status_code": 1013, "status_msg": "internal"}},
        "internal (1013)",
        None,
    ),
]


@pytest.mark.parametrize(("document", "words", "status"), FLAT)
def test_an_answer_without_choices_is_the_error_that_it_tells(
    document: dict[str, Any], words: str, status: int | None
) -> None:
    with pytest.raises(ServerError) as raised:
        read(SERVER, document)
    assert words in str(raised.value)
    assert raised.value.status == status
    failure = feed(SERVER, sse(delta(content="a"), document)).failure
    assert isinstance(failure, ServerError)
    assert str(failure) == str(raised.value)


def test_numbers_of_errors_may_be_written_as_fractions() -> None:
    with pytest.raises(NotFound) as raised:
        read(SERVER, {"error": {"message": "no", "code": 404.0}})
    assert (raised.value.status, raised.value.code) == (404, None)
    with pytest.raises(ProviderError) as raised_own:
        read(SERVER, {"error": {"message": "no", "code": 1305.0}}, 429)
    assert raised_own.value.code == "1305"


def test_success_beside_no_answer_is_no_error_of_the_provider() -> None:
    with pytest.raises(RemoteProtocolError):
        read(SERVER, {"choices": None, "base_resp": {"status_code": 0, "status_msg": "success"}})


@pytest.mark.parametrize("cuts", [(), (3, 70, 90)])
def test_an_error_may_be_a_field_of_the_event_stream(cuts: tuple[int, ...]) -> None:
    told = b'error: {"code": 500, "message": "slot is gone", "type": "server_error"}\n\n'
    heard = feed(SERVER, sse(delta(content="a")) + told, cuts)
    assert heard.result.text == "a"
    assert isinstance(heard.failure, ServerError)
    assert heard.failure.status == 500


@pytest.mark.parametrize("cuts", [(), (3, 70, 90, 200)])
def test_the_empty_lines_between_events_may_be_missing(cuts: tuple[int, ...]) -> None:
    whole = sse(delta(content="a"), delta(content="b"), delta("stop"), "[DONE]")
    heard = feed(SERVER, whole.replace(b"\n\n", b"\n"), cuts)
    assert heard.failure is None
    assert heard.agreed() == feed(SERVER, whole).agreed()
    # Where it breaks off, what was whole is there, and one event was not to be read.
    cut = feed(SERVER, whole.replace(b"\n\n", b"\n")[: whole.index(b"stop") - 4], cuts)
    assert isinstance(cut.failure, StreamTruncated)
    assert (cut.result.text, [event.type for event in cut.events]) == ("ab", ["token", "token"])


# -- the other dialects -------------------------------------------------------------------------------------------


def test_a_call_begins_where_the_protocol_says_so_even_with_the_id_of_another() -> None:
    uses = [{"type": "tool_use", "id": "t", "name": "add", "input": {"a": place}} for place in range(2)]
    assert len(read("anthropic", {"content": uses, "stop_reason": "tool_use"}).tool_calls) == 2
    blocks = [{"toolUse": {"toolUseId": "t", "name": "add", "input": {"a": place}}} for place in range(2)]
    answer = {"output": {"message": {"content": blocks}}, "stopReason": "tool_use"}
    assert len(read("bedrock", answer, region="us-east-1").tool_calls) == 2
    calls = [{"id": "t", "function": {"name": "add", "arguments": "{}"}} for _ in range(2)]
    assert len(read("cohere", {"message": {"tool_calls": calls}, "finish_reason": "TOOL_CALL"}).tool_calls) == 2
    events: list[dict[str, Any]] = []
    for place, use in enumerate(uses):
        events.append({"type": "content_block_start", "index": place, "content_block": {**use, "input": {}}})
        piece = {"type": "input_json_delta", "partial_json": json.dumps(use["input"])}
        events.append({"type": "content_block_delta", "index": place, "delta": piece})
        events.append({"type": "content_block_stop", "index": place})
    end = ({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"})
    streamed = feed("anthropic", sse(*events, *end)).result
    assert [call.arguments for call in streamed.tool_calls] == ['{"a": 0}', '{"a": 1}']


def test_calls_of_responses_may_have_one_id() -> None:
    items = [
        {"type": "function_call", "id": f"fc{place}", "call_id": "t", "name": "add", "arguments": f'{{"a": {place}}}'}
        for place in range(2)
    ]
    whole = read("openai", {"status": "completed", "output": items}, api="responses")
    events = [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(items)]
    end = {"type": "response.completed", "response": {"status": "completed", "output": items}}
    for response in (whole, feed("openai", sse(*events, end), api="responses").result):
        assert [call.arguments for call in response.tool_calls] == ['{"a": 0}', '{"a": 1}']


def test_a_part_of_gemini_s_that_holds_nothing_is_not_sent_back() -> None:
    parts = [{"text": "a"}, {}, {"thoughtSignature": "c2ln"}, {"inlineData": {"data": "AA==", "mimeType": "image/png"}}]
    answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    kept = read("gemini", answer).message.content
    assert kept[:2] == (Text("a"), Text("", signature="c2ln"))
    assert kept[2:] == (Image(data=b"\0", media_type="image/png"),)


def test_a_list_of_no_models_may_be_null() -> None:
    assert listed("ollama", {"models": None}).models == ()
    assert listed(SERVER, {"object": "list", "data": None}).models == ()
    with pytest.raises(RemoteProtocolError):
        listed("ollama", {"version": "0.5"})
    with pytest.raises(RemoteProtocolError):
        listed(SERVER, {"version": "0.5"})


@pytest.mark.parametrize("row", [None, [0.5, None], [0.5, "x"], [[0.5]], {}, ""])
def test_a_vector_that_is_none_is_never_left_out_in_silence(row: Any) -> None:
    for rows in ([row], [row, [0.5, 0.25]], [[0.5, 0.25], row]):
        failure = embedding(SERVER, {"data": [{"embedding": one} for one in rows]}, len(rows)).failure
        assert isinstance(failure, RemoteProtocolError)
        assert "vectors" in str(failure)


def test_vertex_ai_counts_the_tokens_of_each_text() -> None:
    rows = [{"embeddings": {"values": [1.0, 2.0], "statistics": {"token_count": count}}} for count in (3, 4)]
    answer = embedded("gemini", {"predictions": rows}, 2)
    assert answer.vectors.tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert answer.usage.prompt_tokens == 7


def test_each_count_of_cohere_s_that_is_not_told_is_the_billed_one() -> None:
    usage = {"billed_units": {"input_tokens": 5, "output_tokens": 3}, "tokens": {"input_tokens": 70}}
    answer = {"message": {"content": [{"type": "text", "text": "a"}]}, "finish_reason": "COMPLETE", "usage": usage}
    told = read("cohere", answer).usage
    assert (told.prompt_tokens, told.completion_tokens) == (70, 3)


@pytest.mark.parametrize("rows", [[[0.5, -1.0]], {"float": [[0.5, -1.0]]}])
def test_cohere_s_vectors_have_a_type_or_none(rows: Any) -> None:
    assert embedded("cohere", {"embeddings": rows}).vectors.tolist() == [[0.5, -1.0]]


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_cohere_s_vectors_of_small_numbers(kind: str) -> None:
    assert embedded("cohere", {"embeddings": {kind: [[7, 12]]}}).vectors.tolist() == [[7.0, 12.0]]


def test_a_model_that_needs_a_profile_is_not_to_be_found_there() -> None:
    told = "Invocation of model ID x.y-v1:0 with on-demand throughput isn’t supported. Retry with an inference profile."
    with pytest.raises(NotFound):
        read("bedrock", {"message": told}, 400, region="us-east-1")


@pytest.mark.parametrize("body", [{"error_code": 17, "error_msg": "daily"}, {"status": "failure", "message": "x"}])
def test_errors_of_gateways_have_words(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as raised:
        read(SERVER, body, 400)
    assert raised.value.message in ("daily", "x")


ARGUMENTS = '{"n":1.50,  "b":12345678901234567890123, "a":"\\u00e9\\ud83d\\ude80"}'


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("gemini", '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":%s}}]}}]}'),
        ("ollama", '{"message":{"tool_calls":[{"function":{"name":"f","arguments":%s}}]},"done":true}'),
        ("anthropic", '{"content":[{"type":"tool_use","id":"t","name":"f","input":%s}],"stop_reason":"tool_use"}'),
        ("bedrock", '{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"f","input":%s}}]}}}'),
    ],
)
def test_arguments_that_are_no_string_stay_as_they_were_written(name: str, document: str) -> None:
    (call,) = read(name, (document % ARGUMENTS).encode()).tool_calls
    assert call.arguments == ARGUMENTS


@pytest.mark.parametrize("url", ["", "x", "/images/1.png", "//cdn.test/1.png"])
def test_an_image_without_a_usable_url_is_no_failure(url: str) -> None:
    assert image_of_url(url) is None
