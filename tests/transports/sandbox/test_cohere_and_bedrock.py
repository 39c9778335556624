"""The bytes of Cohere and Bedrock in the sandbox, and the same read by an async driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from botocore.eventstream import EventStreamBuffer

from turnout import ChatRequest, EmbeddingRequest, FinishReason, Message, ModelConfig, Tool
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.trio import Router

Ask = Callable[..., tuple[int, dict[str, str], bytes]]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
COMMAND = "command-a-reasoning-08-2025"
HAIKU = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
CONVERSE = "/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"


def cohere(text: str = "Tell me of railways", **more: Any) -> dict[str, Any]:
    return {"model": COMMAND, "messages": [{"role": "user", "content": text}], **more}


def bedrock(text: str = "Tell me of railways", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": text}]}], **more}


# -- Cohere -----------------------------------------------------------------------------------------------------------


def events_of(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream. The name of each must be its type."""
    *blocks, last = data.decode().removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    events = []
    for block in blocks:
        name, _, told = block.partition("\n")
        events.append(json.loads(told.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_cohere_sends_the_same_text_whole_and_in_events(ask: Ask) -> None:
    thinking: dict[str, Any] = {"thinking": {"type": "enabled"}}
    whole = json.loads(ask("cohere", "/v2/chat", cohere(**thinking))[2])
    status, headers, data = ask("cohere", "/v2/chat", cohere(**thinking, stream=True))
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    events = events_of(data)
    told = {"thinking": "", "text": ""}
    for event in events:
        if event["type"] == "content-delta":
            for kind, piece in event["delta"]["message"]["content"].items():
                told[kind] += piece
    parts = whole["message"]["content"]
    assert [(part["type"], part[part["type"]]) for part in parts] == list(told.items())
    assert "railways" in told["thinking"]
    assert "railways" in told["text"]
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("message-start", "message-end")
    assert kinds.count("content-start") == kinds.count("content-end") == 2
    assert events[-1]["delta"] == {"finish_reason": "COMPLETE", "usage": whole["usage"]}


def test_cohere_sends_calls_in_fragments_and_answers_their_results(ask: Ask) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    body = cohere("The weather in Oslo?", tools=tools)
    events = events_of(ask("cohere", "/v2/chat", {**body, "stream": True})[2])
    kinds = [event["type"] for event in events]
    assert next(kind for kind in kinds if kind.startswith("tool-call-")) == "tool-call-start"
    assert kinds[-2:] == ["tool-call-end", "message-end"]
    fragments = [event["delta"]["message"]["tool_calls"] for event in events if event["type"] == "tool-call-delta"]
    assert len(fragments) > 1
    assert json.loads("".join(one["function"]["arguments"] for one in fragments)) == {"city": "Oslo"}
    called = json.loads(ask("cohere", "/v2/chat", body)[2])
    assert called["finish_reason"] == "TOOL_CALL"
    result = {"role": "tool", "tool_call_id": called["message"]["tool_calls"][0]["id"], "content": "rain"}
    again = {**body, "messages": [*body["messages"], called["message"], result]}
    assert "rain" in json.loads(ask("cohere", "/v2/chat", again)[2])["message"]["content"][0]["text"]


def test_cohere_sends_plain_text_on_request(ask: Ask) -> None:
    plain = json.loads(ask("cohere", "/v2/chat", cohere())[2])
    asked = json.loads(ask("cohere", "/v2/chat", cohere(response_format={"type": "text"}))[2])
    assert asked["message"] == plain["message"]


@pytest.mark.parametrize(("size", "given"), [(None, 1536), (256, 256), (1536, 1536)])
def test_cohere_embeds_in_the_size_of_the_request(ask: Ask, size: int | None, given: int) -> None:
    body = {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "output_dimension": size}
    answer = json.loads(ask("cohere", "/v2/embed", body)[2])
    assert [len(vector) for vector in answer["embeddings"]["float"]] == [given, given]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/chat", cohere(tool_choice="auto"), 400),
        ("/v2/chat", cohere(stop_sequences=["a"] * 6), 400),
        ("/v2/chat", {**cohere(), "model": "no-such-model"}, 404),
        ("/v2/embed", {"model": "embed-v4.0", "texts": ["a"]}, 400),
        ("/v2/embed", {"model": "embed-v4.0", "texts": ["a"] * 97, "input_type": "search_query"}, 400),
        ("/v2/nowhere", {}, 404),
    ],
)
def test_cohere_refuses(ask: Ask, path: str, body: dict[str, Any], status: int) -> None:
    got, _, data = ask("cohere", path, body)
    assert got == status
    assert set(json.loads(data)) == {"id", "message"}


# -- Bedrock ----------------------------------------------------------------------------------------------------------


def frames_of(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the events as the client of AWS reads them; it checks both checksums of every message."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    frames = []
    for message in buffer:
        read: dict[str, Any] = message.to_response_dict()
        told = read["headers"]
        assert told[":content-type"] == "application/json"
        frames.append((told[f":{told[':message-type']}-type"], json.loads(read["body"])))
    return frames


def test_bedrock_sends_the_same_text_whole_and_in_frames(ask: Ask) -> None:
    body = bedrock(
        inferenceConfig={"maxTokens": 2000},
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}},
    )
    whole = json.loads(ask("bedrock", CONVERSE, body)[2])
    status, headers, data = ask("bedrock", CONVERSE + "-stream", body)
    assert (status, headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
    frames = frames_of(data)
    kinds = [kind for kind, _ in frames]
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
    deltas = [payload["delta"] for kind, payload in frames if kind == "contentBlockDelta"]
    thought = "".join(delta.get("reasoningContent", {}).get("text", "") for delta in deltas)
    text = "".join(delta.get("text", "") for delta in deltas)
    reasoning, spoken = whole["output"]["message"]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["text"] == thought
    assert spoken == {"text": text}
    assert "railways" in text
    assert frames[-1][1]["usage"] == whole["usage"]


def test_bedrock_sends_calls_in_fragments(ask: Ask) -> None:
    tools = [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]
    body = bedrock("The weather in Oslo?", toolConfig={"tools": tools})
    frames = frames_of(ask("bedrock", CONVERSE + "-stream", body)[2])
    starts = [payload["start"] for kind, payload in frames if kind == "contentBlockStart"]
    assert [start["toolUse"]["name"] for start in starts] == ["get_weather"]
    pieces = [payload["delta"]["toolUse"]["input"] for kind, payload in frames if kind == "contentBlockDelta"]
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == {"city": "Oslo"}
    assert frames[-2][1]["stopReason"] == "tool_use"


def test_bedrock_ends_a_stream_with_an_exception(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.script("bedrock", Fault(abort="error", error="rate-limit", after_tokens=2))
    frames = frames_of(ask("bedrock", CONVERSE + "-stream", bedrock())[2])
    assert [kind for kind, _ in frames[-2:]] == ["contentBlockDelta", "throttlingException"]
    assert frames[-1][1]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        (CONVERSE, {"messages": []}, 400, "ValidationException"),
        ("/model/no-such-model/converse", bedrock(), 400, "ValidationException"),
        ("/model/m/invoke", bedrock(), 404, "UnknownOperationException"),
    ],
)
def test_bedrock_refuses(ask: Ask, path: str, body: dict[str, Any], status: int, kind: str) -> None:
    got, headers, data = ask("bedrock", path, body)
    assert (got, headers["x-amzn-errortype"].partition(":")[0]) == (status, kind)
    assert json.loads(data)["message"]


def test_bedrock_wants_a_key_and_lists_models_and_profiles(ask: Ask) -> None:
    assert ask("bedrock", CONVERSE, bedrock(), headers={"content-type": "application/json"})[0] == 403
    models = json.loads(ask("bedrock", "/foundation-models")[2])["modelSummaries"]
    profiles = json.loads(ask("bedrock", "/inference-profiles")[2])["inferenceProfileSummaries"]
    assert HAIKU in [profile["inferenceProfileId"] for profile in profiles]
    assert HAIKU.removeprefix("eu.") in [model["modelId"] for model in models]


# -- through an async driver ------------------------------------------------------------------------------------------


@pytest.fixture
def environ(sandbox: Sandbox) -> dict[str, str]:
    return sandbox.environ()


def test_the_environment_names_a_region(environ: dict[str, str]) -> None:
    assert environ["AWS_REGION"]


@pytest.mark.parametrize("model", [ModelConfig("cohere", COMMAND), ModelConfig("bedrock", HAIKU)])
def test_a_streamed_round_of_tools_on_trio(environ: dict[str, str], model: ModelConfig) -> None:
    asked = Message.user("The weather in Oslo?")
    weather = Tool("get_weather", "The weather", SCHEMA)

    async def main() -> str:
        async with Router.from_env(environ=environ, dotenv=None, max_retries=0, timeout=20) as router:
            async with router.stream(ChatRequest(model, [asked], tools=[weather])) as stream:
                async for _ in stream:
                    pass
            reply = stream.response
            assert reply is not None
            assert reply.finish_reason is FinishReason.TOOL_CALLS
            results = [Message.tool(call, f"rain in {call.parsed()['city']}") for call in reply.tool_calls]
            again = await router.chat(ChatRequest(model, [asked, reply.message, *results], tools=[weather]))
            return again.text

    assert "rain in Oslo" in trio.run(main)


def test_embeddings_on_trio(environ: dict[str, str]) -> None:
    async def main() -> list[int]:
        async with Router.from_env(environ=environ, dotenv=None, max_retries=0, timeout=20) as router:
            request = EmbeddingRequest(ModelConfig("cohere", "embed-v4.0"), [f"text {n}" for n in range(100)])
            return [len(vector) for vector in (await router.embed(request)).vectors]

    assert trio.run(main) == [1536] * 100
