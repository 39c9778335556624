"""The providers that are compatible with OpenAI: their differences and their checks."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from turnout_io.sandbox import Fault, Sandbox

Ask = Callable[..., tuple[int, dict[str, str], bytes]]

CHAT = "/chat/completions"
SHAPED = ["openai", "glm4", "openrouter", "siliconflow", "cerebras", "modelscope", "groq", "openai-compatible"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "get_stock", "parameters": SCHEMA}},
]


def chat(content: Any = "Tell me of railways", **more: Any) -> dict[str, Any]:
    return {"model": "a-model", "messages": [{"role": "user", "content": content}], **more}


def events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: {")]


def deltas(data: bytes) -> list[dict[str, Any]]:
    return [choice["delta"] for event in events(data) for choice in event["choices"]]


def calls_of(data: bytes) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    for delta in deltas(data):
        for call in delta.get("tool_calls", ()):
            name, arguments = found.get(call["index"], ("", ""))
            found[call["index"]] = (name or call["function"]["name"], arguments + call["function"]["arguments"])
    return found


@pytest.mark.parametrize("provider", SHAPED)
def test_a_stream_equals_the_whole_answer(sandbox: Sandbox, ask: Ask, provider: str) -> None:
    status, headers, whole = ask(provider, CHAT, chat())
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = json.loads(whole)
    status, headers, data = ask(provider, CHAT, chat(stream=True, stream_options={"include_usage": True}))
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    message = answer["choices"][0]["message"]
    assert "".join(delta.get("content") or "" for delta in deltas(data)) == message["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    counted = [event["usage"] for event in events(data) if event.get("usage")]
    assert counted[-1] == answer["usage"]
    assert counted[-1]["total_tokens"] == counted[-1]["prompt_tokens"] + counted[-1]["completion_tokens"]


@pytest.mark.parametrize("provider", SHAPED)
def test_parallel_calls_in_a_stream_and_whole(ask: Ask, provider: str) -> None:
    body = chat("The weather in Oslo, and a stock", tools=TOOLS)
    whole = json.loads(ask(provider, CHAT, body)[2])["choices"][0]
    made = [call["function"] for call in whole["message"]["tool_calls"]]
    assert [call["name"] for call in made] == ["get_weather", "get_stock"]
    assert whole["finish_reason"] == "tool_calls"
    data = ask(provider, CHAT, {**body, "stream": True})[2]
    streamed = calls_of(data)
    assert [streamed[0], streamed[1]] == [(call["name"], call["arguments"]) for call in made]
    assert json.loads(streamed[0][1]) == {"city": "Oslo"}


def test_which_providers_send_calls_in_fragments(ask: Ask) -> None:
    body = chat("The weather in Oslo", tools=TOOLS, stream=True)
    pieces = {
        provider: sum("tool_calls" in delta for delta in deltas(ask(provider, CHAT, body)[2])) for provider in SHAPED
    }
    assert {provider for provider, count in pieces.items() if count == 1} == {"glm4", "cerebras", "groq"}


@pytest.mark.parametrize("provider", SHAPED)
def test_a_tool_result_is_answered_with_text(ask: Ask, provider: str) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain at noon"},
    ]
    status, _, data = ask(provider, CHAT, {"model": "m", "messages": messages, "tools": TOOLS})
    assert status == 200
    assert "rain at noon" in json.loads(data)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("provider", "asking", "key"),
    [
        ("glm4", {"thinking": {"type": "enabled"}}, "reasoning_content"),
        ("openrouter", {"reasoning": {"effort": "low"}}, "reasoning"),
        ("siliconflow", {"enable_thinking": True}, "reasoning_content"),
        ("cerebras", {"reasoning_effort": "low"}, "reasoning"),
        ("modelscope", {"enable_thinking": True}, "reasoning_content"),
        ("groq", {"reasoning_effort": "low"}, "reasoning"),
    ],
)
def test_reasoning_on_request(ask: Ask, provider: str, asking: dict[str, Any], key: str) -> None:
    message = json.loads(ask(provider, CHAT, chat(**asking))[2])["choices"][0]["message"]
    assert "railways" in message[key]
    streamed = deltas(ask(provider, CHAT, chat(stream=True, **asking))[2])
    assert "".join(delta.get(key) or "" for delta in streamed) == message[key]
    assert not json.loads(ask(provider, CHAT, chat())[2])["choices"][0]["message"].get(key)


def test_openai_counts_reasoning_and_does_not_show_it(ask: Ask) -> None:
    data = ask("openai", CHAT, chat(model="gpt-5-mini", stream=True, stream_options={"include_usage": True}))[2]
    assert b"reasoning_content" not in data
    assert events(data)[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


@pytest.mark.parametrize("provider", SHAPED)
def test_a_structured_answer_fits_its_schema(ask: Ask, provider: str) -> None:
    wanted: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    if provider == "glm4":
        wanted = {"type": "json_object"}
    data = ask(provider, CHAT, chat("A place in json please", response_format=wanted))[2]
    value = json.loads(json.loads(data)["choices"][0]["message"]["content"])
    assert set(value) == ({"answer"} if provider == "glm4" else {"city"})


# Differences of one provider each


def test_openai_sends_usage_only_on_request(ask: Ask) -> None:
    plain = events(ask("openai", CHAT, chat(stream=True))[2])
    assert all("usage" not in event for event in plain)
    asked = events(ask("openai", CHAT, chat(stream=True, stream_options={"include_usage": True}))[2])
    assert [event["usage"] for event in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    quiet = {"include_obfuscation": False}
    assert all(
        "obfuscation" not in event for event in events(ask("openai", CHAT, chat(stream=True, stream_options=quiet))[2])
    )
    assert all("obfuscation" in event for event in plain)


def test_which_providers_send_a_done_marker(ask: Ask) -> None:
    marked = {
        provider for provider in SHAPED if ask(provider, CHAT, chat(stream=True))[2].endswith(b"data: [DONE]\n\n")
    }
    assert marked == set(SHAPED) - {"cerebras"}


def test_glm_repeats_the_role_and_names_no_finish_until_the_end(ask: Ask) -> None:
    choices = [event["choices"][0] for event in events(ask("glm4", CHAT, chat(stream=True))[2])]
    assert all(choice["delta"]["role"] == "assistant" for choice in choices)
    assert ["finish_reason" in choice for choice in choices] == [False] * (len(choices) - 1) + [True]


def test_openrouter_comments_and_repeats_the_finish(ask: Ask) -> None:
    data = ask("openrouter", CHAT, chat(stream=True))[2]
    assert data.startswith(b": OPENROUTER PROCESSING\n\n")
    last = events(data)[-2:]
    assert [event["choices"][0]["finish_reason"] for event in last] == ["stop", "stop"]
    assert ["usage" in event for event in last] == [False, True]
    assert ask("openrouter", CHAT, chat())[2].startswith(b"\n   ")


def test_siliconflow_counts_grow(ask: Ask) -> None:
    counted = [event["usage"]["completion_tokens"] for event in events(ask("siliconflow", CHAT, chat(stream=True))[2])]
    assert counted == sorted(counted)
    assert len(set(counted)) > 5


def test_groq_counts_three_times(ask: Ask) -> None:
    found = events(ask("groq", CHAT, chat(stream=True, stream_options={"include_usage": True}))[2])
    assert found[0]["x_groq"]["id"] == found[-2]["x_groq"]["id"]
    assert found[-2]["x_groq"]["usage"] == found[-2]["usage"] == found[-1]["usage"]


# Errors


@pytest.mark.parametrize(
    ("provider", "error", "status", "where", "value"),
    [
        ("openai", "quota", 429, ("error", "code"), "insufficient_quota"),
        ("openai", "context-length", 400, ("error", "code"), "context_length_exceeded"),
        ("glm4", "quota", 429, ("error", "code"), "1113"),
        ("glm4", "rate-limit", 429, ("error", "code"), "1302"),
        ("glm4", "overloaded", 429, ("error", "code"), "1305"),
        ("openrouter", "quota", 402, ("error", "code"), 402),
        ("openrouter", "overloaded", 503, ("error", "metadata", "provider_name"), "Sandbox"),
        ("siliconflow", "quota", 403, ("code",), 30001),
        ("siliconflow", "no-such-model", 400, ("code",), 20012),
        ("siliconflow", "auth", 401, (), "Invalid token"),
        ("cerebras", "overloaded", 429, ("code",), "queue_exceeded"),
        ("modelscope", "auth", 401, ("errors", "message"), None),
        ("groq", "rate-limit", 429, ("error", "code"), "rate_limit_exceeded"),
        ("groq", "server", 500, ("error", "type"), "server_error"),
    ],
)
def test_each_kind_of_error_has_the_providers_own_body(
    sandbox: Sandbox, ask: Ask, provider: str, error: str, status: int, where: tuple[str, ...], value: object
) -> None:
    sandbox.script(provider, Fault(error=error))
    told, _, data = ask(provider, CHAT, chat())
    found = json.loads(data)
    for name in where:
        found = found[name]
    assert told == status
    assert found == value or (value is None and isinstance(found, str))


@pytest.mark.parametrize("provider", SHAPED)
def test_a_status_alone_is_enough(sandbox: Sandbox, ask: Ask, provider: str) -> None:
    statuses = [400, 401, 402, 403, 404, 408, 422, 429, 498, 500, 502, 503, 504, 529]
    sandbox.script(provider, *(Fault(status=status) for status in statuses))
    for status in statuses:
        told, headers, data = ask(provider, CHAT, chat())
        assert told == status
        assert headers["content-type"] == "application/json"
        assert json.loads(data)


def test_an_error_inside_a_stream_has_the_providers_shape(sandbox: Sandbox, ask: Ask) -> None:
    said = {}
    for provider in SHAPED:
        sandbox.answer(provider, "one two three")
        sandbox.script(
            provider, Fault(abort="error", error="overloaded", after_tokens=2), Fault(abort="error", error="server")
        )
        data = ask(provider, CHAT, chat(stream=True))[2]
        assert (
            "".join(
                delta.get("content") or ""
                for event in events(data)
                for delta in [choice["delta"] for choice in event.get("choices", ())]
            )
            == "one two"
        )
        assert b"[DONE]" not in data
        said[provider] = data.decode().rstrip().rpartition("\n\n")[2]
        assert len(events(ask(provider, CHAT, chat(stream=True))[2])) == 1
    assert said["groq"].startswith("event: error\ndata: {")
    assert json.loads(said["groq"].partition("data: ")[2])["error"]["status_code"] == 503
    assert json.loads(said["siliconflow"][6:])["code"] == 50505
    assert json.loads(said["cerebras"][6:])["status_code"] == 429
    assert json.loads(said["openrouter"][6:])["error"]["code"] == 503


@pytest.mark.parametrize("provider", SHAPED[:-1])
def test_keys_paths_models_and_json(ask: Ask, provider: str) -> None:
    plain = {"content-type": "application/json"}
    assert ask(provider, CHAT, chat(), headers=plain)[0] == 401
    assert ask(provider, CHAT, chat(), headers={**plain, "authorization": "Bearer wrong"})[0] == 401
    assert ask(provider, "/no/such/path", chat())[0] == 404
    assert ask(provider, CHAT, chat(model="no-such-model"))[0] in (400, 404)
    assert ask(provider, CHAT, b"{not json")[0] == 400
    assert ask(provider, CHAT, b"[1]")[0] == 400
    assert ask(provider, CHAT, {"messages": []})[0] == 400
    status, _, data = ask(provider, "/models")
    assert status == 200
    assert all({"id", "object", "created", "owned_by"} <= set(model) for model in json.loads(data)["data"])


ASSISTANT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "cat"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages.[0].role"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [ASSISTANT_CALL]}, {"role": "user", "content": "x"}]},
            "messages.[1].role",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [ASSISTANT_CALL]}]}, "messages.[0].role"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [ASSISTANT_CALL]},
                    {"role": "tool", "tool_call_id": "c2", "content": "x"},
                ]
            },
            "messages.[1].tool_call_id",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{**ASSISTANT_CALL, "function": {"name": "f", "arguments": {}}}],
                    }
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"top_k": 4}, "top_k"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "bad name"}}]}, "tools[0].function.name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object"}}, "messages"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
                }
            },
            "response_format",
        ),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"model": "gpt-5-mini", "max_tokens": 5}, "max_tokens"),
        ({"model": "o3", "temperature": 0.5}, "temperature"),
    ],
)
def test_requests_that_openai_rejects_with_the_name_of_the_field(ask: Ask, change: dict[str, Any], param: str) -> None:
    status, _, data = ask("openai", CHAT, {**chat(model="gpt-4o-mini"), **change})
    error = json.loads(data)["error"]
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("provider", "change"),
    [
        ("groq", {"logprobs": True}),
        ("groq", {"n": 2}),
        ("groq", {"messages": [{"role": "user", "content": "x", "name": "ada"}]}),
        ("cerebras", {"presence_penalty": 0.5}),
        ("cerebras", {"thinking": {}}),
        ("glm4", {"stop": ["a", "b"]}),
        ("glm4", {"messages": [{"role": "system", "content": "x"}]}),
        ("glm4", {"response_format": {"type": "json_schema"}}),
        ("modelscope", {"model": "Qwen/Qwen3-8B"}),
        ("siliconflow", {"messages": [{"role": "developer", "content": "x"}]}),
    ],
)
def test_requests_that_other_providers_reject(ask: Ask, provider: str, change: dict[str, Any]) -> None:
    assert ask(provider, CHAT, {**chat(), **change})[0] == 400


def test_a_prompt_beyond_the_window_is_refused(ask: Ask) -> None:
    status, _, data = ask("openai", CHAT, chat("word " * 130_000))
    assert (status, json.loads(data)["error"]["code"]) == (400, "context_length_exceeded")
    status, _, data = ask("cerebras", CHAT, chat("word " * 140_000))
    assert status == 400
    assert b"maximum context length" in data


# Embeddings

EMBEDDERS = {"openai": "text-embedding-3-small", "glm4": "embedding-3", "siliconflow": "BAAI/bge-m3"}
EMBEDDERS |= {"openrouter": "openai/text-embedding-3-small", "modelscope": "Qwen/Qwen3-Embedding-8B"}


@pytest.mark.parametrize("provider", EMBEDDERS)
def test_embeddings_are_in_order_and_equal_in_both_encodings(ask: Ask, provider: str) -> None:
    body = {"model": EMBEDDERS[provider], "input": ["one", "two", "one"]}
    status, _, data = ask(provider, "/embeddings", body)
    assert status == 200
    answer = json.loads(data)
    vectors = [entry["embedding"] for entry in answer["data"]]
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2]
    assert vectors[0] == vectors[2] != vectors[1]
    assert answer["usage"]["prompt_tokens"] == 3
    status, _, data = ask(provider, "/embeddings", {**body, "encoding_format": "base64"})
    if provider == "glm4":
        assert status == 400
        return
    packed = base64.b64decode(json.loads(data)["data"][1]["embedding"])
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(vectors[1], abs=1e-9)


@pytest.mark.parametrize(
    ("provider", "change", "status"),
    [
        ("openai", {"input": ["x"] * 2049}, 400),
        ("openai", {"input": ["x"] * 2048, "dimensions": 1}, 200),
        ("siliconflow", {"input": ["x"] * 33}, 400),
        ("siliconflow", {"input": ["x"] * 32}, 200),
        ("glm4", {"input": ["x"] * 65}, 400),
        ("glm4", {"input": ["x"], "dimensions": 300}, 400),
        ("glm4", {"input": ["x"], "dimensions": 256}, 200),
        ("openai", {"input": []}, 400),
        ("openai", {"input": [""]}, 400),
        ("openai", {"input": "x", "dimensions": 5000}, 400),
        ("openai", {"input": "x", "dimensions": 8}, 200),
        ("openai", {"input": [1, 2, 3]}, 200),
        ("openai", {"input": "x", "model": "text-embedding-ada-002", "dimensions": 8}, 400),
        ("openai", {"input": "x", "model": "gpt-4o"}, 403),
        ("openai", {"input": "x", "model": "no-such-embedding"}, 404),
    ],
)
def test_limits_of_embeddings(ask: Ask, provider: str, change: dict[str, Any], status: int) -> None:
    told, _, data = ask(provider, "/embeddings", {"model": EMBEDDERS[provider], **change})
    assert told == status, data[:300]
    if status == 200:
        size = change.get("dimensions", 1024 if provider == "siliconflow" else 1536)
        assert {len(entry["embedding"]) for entry in json.loads(data)["data"]} == {size}


@pytest.mark.parametrize("provider", ["cerebras", "groq"])
def test_which_providers_have_no_embeddings(ask: Ask, provider: str) -> None:
    assert ask(provider, "/embeddings", {"model": "x-embed", "input": "x"})[0] == 404


def test_an_embedding_model_does_not_chat(ask: Ask) -> None:
    assert ask("openai", CHAT, chat(model="text-embedding-3-small"))[0] == 403


def test_a_chat_model_does_not_embed(ask: Ask) -> None:
    status, _, data = ask("openai", "/embeddings", {"model": "gpt-4o-mini", "input": "x"})
    error = json.loads(data)["error"]
    assert (status, error["type"], error["code"]) == (403, "invalid_request_error", None)
    assert error["message"] == "You are not allowed to generate embeddings from this model"
