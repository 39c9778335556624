"""Gemini, Ollama and Anthropic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from turnout_io.sandbox import Fault, Sandbox

Ask = Callable[..., tuple[int, dict[str, str], bytes]]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FLASH = "/v1beta/models/gemini-2.5-flash"
DECLARED = [{"functionDeclarations": [{"name": name, "parameters": SCHEMA} for name in ("get_weather", "get_stock")]}]


def gemini(text: str = "Tell me of railways", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def sse(data: bytes) -> list[dict[str, Any]]:
    assert data.endswith(b"\r\n\r\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in data.split(b"\r\n\r\n") if event]


def parts_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for event in events for part in event["candidates"][0]["content"]["parts"]]


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(part.get("text", "") for part in parts_of(events) if not part.get("thought"))


def test_gemini_sends_the_same_text_whole_in_events_and_in_an_array(ask: Ask) -> None:
    whole = json.loads(ask("gemini", f"{FLASH}:generateContent", gemini())[2])
    status, headers, data = ask("gemini", f"{FLASH}:streamGenerateContent?alt=sse", gemini())
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    events = sse(data)
    status, headers, data = ask("gemini", f"{FLASH}:streamGenerateContent", gemini())
    assert (status, headers["content-type"]) == (200, "application/json; charset=UTF-8")
    array = json.loads(data)
    assert b"\n}\n,\r\n{\n" in data
    assert text_of([whole]) == text_of(events) == text_of(array)
    assert whole["usageMetadata"] == events[-1]["usageMetadata"] == array[-1]["usageMetadata"]
    assert ["finishReason" in event["candidates"][0] for event in events] == [False] * (len(events) - 1) + [True]
    assert whole["candidates"][0]["finishReason"] == "STOP"
    counts = [event["usageMetadata"].get("candidatesTokenCount", 0) for event in events]
    assert counts == sorted(counts)


def test_gemini_sends_calls_whole_and_answers_their_results(ask: Ask) -> None:
    body = gemini("the weather and a stock in Oslo", tools=DECLARED)
    events = sse(ask("gemini", f"{FLASH}:streamGenerateContent?alt=sse", body)[2])
    calls = [part["functionCall"] for part in parts_of(events) if "functionCall" in part]
    assert [(call["name"], call["args"]) for call in calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_stock", {"city": "Oslo"}),
    ]
    turns = [
        *body["contents"],
        {"role": "model", "parts": [{"functionCall": call} for call in calls]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": c["name"], "response": {"output": "rain"}}} for c in calls],
        },
    ]
    whole = json.loads(ask("gemini", f"{FLASH}:generateContent", {**body, "contents": turns})[2])
    assert "rain; rain" in text_of([whole])


def test_gemini_shows_thoughts_only_on_request(ask: Ask) -> None:
    shown = gemini(generationConfig={"thinkingConfig": {"includeThoughts": True}})
    events = sse(ask("gemini", f"{FLASH}:streamGenerateContent?alt=sse", shown)[2])
    assert "railways" in "".join(part["text"] for part in parts_of(events) if part.get("thought"))
    hidden = gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 100}})
    whole = json.loads(ask("gemini", f"{FLASH}:generateContent", hidden)[2])
    assert not any(part.get("thought") for part in parts_of([whole]))
    usage = whole["usageMetadata"]
    assert usage["totalTokenCount"] == sum(
        usage[name] for name in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    )
    assert (
        "thoughtsTokenCount" not in json.loads(ask("gemini", f"{FLASH}:generateContent", gemini())[2])["usageMetadata"]
    )


def test_gemini_structured_answers(ask: Ask) -> None:
    config = {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}},
    }
    whole = json.loads(ask("gemini", f"{FLASH}:generateContent", gemini(generationConfig=config))[2])
    assert isinstance(json.loads(text_of([whole]))["n"], int)


def test_gemini_lists_its_models_page_by_page(ask: Ask) -> None:
    names, token = [], ""
    for _ in range(10):
        page = json.loads(ask("gemini", f"/v1beta/models?pageSize=2{token}")[2])
        names += [model["name"] for model in page["models"]]
        if "nextPageToken" not in page:
            break
        token = f"&pageToken={page['nextPageToken']}"
    known = (
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3-flash-preview",
        "gemini-embedding-001",
        "gemini-embedding-2",
    )
    assert names == [f"models/{name}" for name in known]


def test_gemini_embeddings(ask: Ask) -> None:
    model = "models/gemini-embedding-001"
    one = {"model": model, "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8}
    answer = json.loads(ask("gemini", f"/v1beta/{model}:batchEmbedContents", {"requests": [one, one]})[2])
    assert [len(entry["values"]) for entry in answer["embeddings"]] == [8, 8]
    single = json.loads(ask("gemini", f"/v1beta/{model}:embedContent", one)[2])
    assert single["embedding"] == answer["embeddings"][0]
    assert ask("gemini", f"/v1beta/{model}:batchEmbedContents", {"requests": [one] * 101})[0] == 400
    assert ask("gemini", f"/v1beta/{model}:batchEmbedContents", {"requests": [{**one, "model": "other"}]})[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": [{"role": "system", "parts": [{"text": "x"}]}]},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "user", "parts": [{}]}]},
        {"contents": [{"role": "user", "parts": [{"text": 7}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "x", "functionCall": {"name": "f"}}]}]},
        gemini(messages=[]),
        gemini(stream=True),
        gemini(generationConfig={"maxOutputTokens": 0}),
        gemini(generationConfig={"temperature": 3}),
        gemini(generationConfig={"stopSequences": list("abcdef")}),
        gemini(generationConfig={"responseSchema": {"type": "OBJECT"}}),
        gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}),
        gemini(tools=[{"functionDeclarations": [{"name": "bad name"}]}]),
        gemini(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"$ref": "#/x"}}]}]),
        gemini(tools=DECLARED, toolConfig={"functionCallingConfig": {"mode": "SOMETIMES"}}),
        gemini(tools=DECLARED, toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["no"]}}),
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
            ]
        },
    ],
)
def test_requests_that_gemini_rejects(ask: Ask, body: dict[str, Any]) -> None:
    status, _, data = ask("gemini", f"{FLASH}:generateContent", body)
    error = json.loads(data)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")


def test_gemini_errors(sandbox: Sandbox, ask: Ask) -> None:
    path = f"{FLASH}:generateContent"
    status, _, data = ask(
        "gemini", path, gemini(), headers={"content-type": "application/json", "x-goog-api-key": "no"}
    )
    assert (status, json.loads(data)["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert ask("gemini", path, gemini(), headers={"content-type": "application/json"})[0] == 403
    assert ask("gemini", "/v1beta/models/no-such-model:generateContent", gemini())[0] == 404
    assert ask("gemini", f"{FLASH}:sing", gemini())[0] == 404
    assert ask("gemini", path, b"{not json")[0] == 400
    sandbox.script("gemini", Fault(error="rate-limit"), Fault(error="quota"))
    quotas = []
    for _ in range(2):
        status, _, data = ask("gemini", path, gemini())
        failure, retry = json.loads(data)["error"]["details"]
        assert status == 429
        assert retry["retryDelay"].endswith("s")
        quotas.append(failure["violations"][0]["quotaId"])
    assert "PerMinute" in quotas[0]
    assert "PerDay" in quotas[1]


def test_gemini_faults_in_both_framings(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.answer("gemini", "one two three")
    faults = (
        Fault(abort="error", after_tokens=1, error="overloaded"),
        Fault(abort="error"),
        Fault(corruption="json", after_tokens=1),
    )
    sandbox.script("gemini", *faults, *faults, Fault(abort="end", after_tokens=2))
    path = f"{FLASH}:streamGenerateContent"
    first = sse(ask("gemini", f"{path}?alt=sse", gemini())[2])
    assert (text_of(first[:1]), first[1]["error"]["status"]) == ("one", "UNAVAILABLE")
    assert [event["error"]["code"] for event in sse(ask("gemini", f"{path}?alt=sse", gemini())[2])] == [500]
    broken = ask("gemini", f"{path}?alt=sse", gemini())[2].split(b"\r\n\r\n")
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(broken.pop(1)[6:])
    assert text_of(sse(b"\r\n\r\n".join(broken))) == "one two three"
    array = json.loads(ask("gemini", path, gemini())[2])
    assert (text_of(array[:1]), array[1]["error"]["status"]) == ("one", "UNAVAILABLE")
    assert json.loads(ask("gemini", path, gemini())[2])[0]["error"]["code"] == 500
    assert b"[lost]" in ask("gemini", path, gemini())[2]
    assert not ask("gemini", path, gemini())[2].endswith(b"]")


# Ollama


def ollama(content: Any = "Tell me of railways", **more: Any) -> dict[str, Any]:
    return {"model": "llama3.2", "messages": [{"role": "user", "content": content}], **more}


OLLAMA_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("get_weather", "get_stock")
]


def test_ollama_streams_unless_stream_is_false(ask: Ask) -> None:
    status, headers, data = ask("ollama", "/api/chat", ollama())
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in data.splitlines()]
    status, headers, data = ask("ollama", "/api/chat", ollama(stream=False))
    whole = json.loads(data)
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert "".join(line["message"]["content"] for line in lines) == whole["message"]["content"]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert whole["done"]
    assert lines[-1]["eval_count"] == whole["eval_count"] == len(lines) - 1
    assert [line["created_at"] for line in lines] == sorted(line["created_at"] for line in lines)


def test_ollama_calls_tools_and_reasons_and_the_finish_is_stop(ask: Ask) -> None:
    data = ask("ollama", "/api/chat", ollama("weather and stock in Oslo", tools=OLLAMA_TOOLS, think=True))[2]
    lines = [json.loads(line) for line in data.splitlines()]
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_stock", {"city": "Oslo"}),
    ]
    assert "weather" in "".join(line["message"].get("thinking", "") for line in lines)
    assert lines[-1]["done_reason"] == "stop"
    turns = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "rain", "tool_name": "get_weather"},
        {"role": "tool", "content": "up", "tool_name": "get_stock"},
    ]
    answer = json.loads(ask("ollama", "/api/chat", {**ollama(stream=False), "messages": turns})[2])
    assert "rain; up" in answer["message"]["content"]


def test_ollama_formats_limits_and_loads(ask: Ask) -> None:
    structured = json.loads(ask("ollama", "/api/chat", ollama(stream=False, format=SCHEMA))[2])
    assert set(json.loads(structured["message"]["content"])) == {"city"}
    short = json.loads(ask("ollama", "/api/chat", ollama(stream=False, options={"num_predict": 2}))[2])
    assert (short["done_reason"], short["eval_count"]) == ("length", 2)
    loaded = json.loads(ask("ollama", "/api/chat", {"model": "llama3.2"})[2])
    assert loaded["done_reason"] == "load"


def test_ollama_embeds_and_lists(ask: Ask) -> None:
    answer = json.loads(ask("ollama", "/api/embed", {"model": "nomic-embed-text", "input": ["a", "b", "a"]})[2])
    assert [len(vector) for vector in answer["embeddings"]] == [768] * 3
    assert answer["embeddings"][0] == answer["embeddings"][2] != answer["embeddings"][1]
    assert json.loads(ask("ollama", "/api/embed", {"model": "nomic-embed-text", "input": []})[2])["embeddings"] == []
    assert json.loads(ask("ollama", "/api/tags")[2])["models"][0]["model"]
    assert ask("ollama", "/")[2] == b"Ollama is running"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{not json", 400),
        ({"messages": []}, 400),
        (ollama([{"type": "text", "text": "x"}]), 400),
        ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, 400),
        ({"model": "m", "messages": [{"role": "user", "content": "x", "images": ["data:image/png;base64,AAAA"]}]}, 400),
        (
            {
                "model": "m",
                "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}],
            },
            400,
        ),
        (ollama(think="very"), 400),
        (ollama(format=7), 400),
        (ollama(options={"num_predict": "many"}), 400),
        ({**ollama(), "model": "no-such-model"}, 404),
        ({**ollama(), "model": "nomic-embed-text"}, 400),
    ],
)
def test_requests_that_ollama_rejects(ask: Ask, body: Any, status: int) -> None:
    told, _, data = ask("ollama", "/api/chat", body)
    error = json.loads(data)
    assert told == status
    assert set(error) == {"error"}
    assert isinstance(error["error"], str)


def test_ollama_errors_of_a_script(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.answer("ollama", "one two")
    sandbox.script("ollama", Fault(status=503), Fault(abort="error", after_tokens=1), Fault(abort="error"))
    status, _, data = ask("ollama", "/api/chat", ollama())
    assert status == 503
    assert "pending" in json.loads(data)["error"]
    lines = ask("ollama", "/api/chat", ollama())[2].splitlines()
    assert (len(lines), set(json.loads(lines[-1]))) == (2, {"error"})
    status, _, data = ask("ollama", "/api/chat", ollama(stream=False))
    assert (status, set(json.loads(data))) == (200, {"error"})
    assert ask("ollama", "/api/no-such", ollama())[0] == 404


# Anthropic


def claude(**more: Any) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": "weather in Oslo"}],
        **more,
    }


CLAUDE_TOOLS = [{"name": "get_weather", "input_schema": SCHEMA}]


def named(data: bytes) -> list[dict[str, Any]]:
    events = []
    for block in data.decode().removesuffix("\n\n").split("\n\n"):
        name, _, payload = block.partition("\ndata: ")
        events.append(json.loads(payload))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_anthropic_blocks_in_order(ask: Ask) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = claude(tools=CLAUDE_TOOLS, thinking=thinking)
    whole = json.loads(ask("anthropic", "/v1/messages", body)[2])
    assert [block["type"] for block in whole["content"]] == ["thinking", "tool_use"]
    assert (whole["stop_reason"], whole["content"][1]["input"]) == ("tool_use", {"city": "Oslo"})
    status, headers, data = ask("anthropic", "/v1/messages", {**body, "stream": True})
    assert status == 200
    assert "anthropic-ratelimit-requests-reset" in headers
    events = named(data)
    assert (events[0]["type"], events[-2]["type"], events[-1]["type"]) == (
        "message_start",
        "message_delta",
        "message_stop",
    )
    assert any(event["type"] == "ping" for event in events)
    arguments = [event["delta"]["partial_json"] for event in events if "partial_json" in event.get("delta", {})]
    assert json.loads("".join(arguments)) == {"city": "Oslo"}
    opened = [event["index"] for event in events if event["type"] == "content_block_start"]
    closed = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert opened == closed == [0, 1]
    assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def test_anthropic_answers_a_tool_result(ask: Ask) -> None:
    turns = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}]},
    ]
    whole = json.loads(ask("anthropic", "/v1/messages", claude(messages=turns, tools=CLAUDE_TOOLS))[2])
    assert "rain" in whole["content"][0]["text"]
    assert whole["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": None},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}]},
        {"seed": 1},
        {"temperature": 1.5},
        {"thinking": {"type": "enabled", "budget_tokens": 10}},
        {"thinking": {"type": "enabled", "budget_tokens": 4000}},
        {"tool_choice": {"type": "auto"}},
        {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "tool", "name": "no"}},
        {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "any"}, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"tools": [{"name": "bad name", "input_schema": SCHEMA}]},
    ],
)
def test_requests_that_anthropic_rejects(ask: Ask, change: dict[str, Any]) -> None:
    status, headers, data = ask("anthropic", "/v1/messages", claude(**change))
    error = json.loads(data)
    assert (status, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert error["request_id"]
    assert headers["x-should-retry"] == "false"


def test_anthropic_refuses_a_prefilled_answer_since_claude_4_6(ask: Ask) -> None:
    turns = [{"role": "user", "content": "trains?"}, {"role": "assistant", "content": "Trains are"}]
    for model in ("claude-haiku-4-5", "claude-3-5-haiku-20241022", "claude-opus-4-1", "claude-sonnet-4-20250514"):
        assert ask("anthropic", "/v1/messages", claude(model=model, messages=turns))[0] == 200
    for model in ("claude-opus-4-6", "claude-sonnet-4-6-20260218", "claude-opus-5", "claude-fable-5-1"):
        status, _, data = ask("anthropic", "/v1/messages", claude(model=model, messages=turns))
        assert (status, "prefill" in json.loads(data)["error"]["message"]) == (400, True)
        assert ask("anthropic", "/v1/messages", claude(model=model))[0] == 200


def test_anthropic_keys_versions_and_errors(sandbox: Sandbox, ask: Ask) -> None:
    key = {"x-api-key": sandbox.key("anthropic")}
    assert (
        ask("anthropic", "/v1/messages", claude(), headers={**key, "x-api-key": "no", "anthropic-version": "1"})[0]
        == 401
    )
    assert ask("anthropic", "/v1/messages", claude(), headers=key)[0] == 400
    assert ask("anthropic", "/v1/messages", claude(model="no-such-model"))[0] == 404
    assert ask("anthropic", "/v1/nothing", claude())[0] == 404
    sandbox.answer("anthropic", "one two three")
    sandbox.script(
        "anthropic",
        Fault(error="overloaded"),
        Fault(error="rate-limit"),
        Fault(abort="error", error="overloaded", after_tokens=1),
    )
    assert ask("anthropic", "/v1/messages", claude())[0] == 529
    status, headers, _ = ask("anthropic", "/v1/messages", claude())
    assert (status, headers["retry-after"]) == (429, "3")
    events = named(ask("anthropic", "/v1/messages", claude(stream=True))[2])
    assert (events[-1]["type"], events[-1]["error"]["type"]) == ("error", "overloaded_error")
    assert json.loads(ask("anthropic", "/v1/models")[2])["data"][0]["id"]
