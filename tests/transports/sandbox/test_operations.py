"""The operations besides chat: counting tokens, reranking, several choices, HEAD, and Ollama's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.reranking import RerankRequest
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
HELLO = [{"role": "user", "content": "Hello, railways."}]
DOCUMENTS = ["a train to the coast", "points that are frozen in winter", "tickets"]


def events_of(data: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in data.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


@pytest.mark.parametrize("fault", [Fault(), Fault(error="server", abort="error", after_tokens=2)])
def test_events_of_responses_are_numbered(sandbox: Sandbox, ask: Ask, fault: Fault) -> None:
    sandbox.script("openai", fault)
    _, _, data = ask("openai", "/responses", {"model": "gpt-4o", "input": "Hello, railways.", "stream": True})
    events = events_of(data)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == ("response.failed" if fault.error else "response.completed")


def test_each_part_of_responses_begins_and_ends(ask: Ask) -> None:
    body = {"model": "gpt-5-mini", "input": "Hello, railways.", "stream": True, "reasoning": {"effort": "low"}}
    _, _, data = ask("openai", "/responses", body)
    kinds = [event["type"].removeprefix("response.") for event in events_of(data)]
    for begin, delta, done in (
        ("reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_part.done"),
        ("content_part.added", "output_text.delta", "content_part.done"),
    ):
        assert kinds.index(begin) < kinds.index(delta) < kinds.index(done)
    assert kinds.count("output_item.added") == kinds.count("output_item.done") == 2


@pytest.mark.parametrize(
    ("provider", "path", "body", "field"),
    [
        ("openai", "/responses/input_tokens", {"model": "gpt-4o", "input": "Hello."}, "input_tokens"),
        ("mistral", "/responses/input_tokens", {"model": "mistral-small-latest", "input": "Hello."}, "input_tokens"),
        ("anthropic", "/v1/messages/count_tokens", {"model": "claude-haiku-4-5", "messages": HELLO}, "input_tokens"),
        (
            "gemini",
            "/v1beta/models/gemini-2.5-flash:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]},
            "totalTokens",
        ),
        (
            "bedrock",
            "/model/amazon.nova-lite-v1%3A0/count-tokens",
            {"input": {"converse": {"messages": [{"role": "user", "content": [{"text": "Hello."}]}]}}},
            "inputTokens",
        ),
    ],
)
def test_tokens_are_counted(ask: Ask, provider: str, path: str, body: Any, field: str) -> None:
    status, _, data = ask(provider, path, body)
    assert (status, json.loads(data)[field] > 0) == (200, True), data


def test_a_request_to_count_tokens_takes_no_sampling_parameters(ask: Ask) -> None:
    body = {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 5}
    status, _, data = ask("anthropic", "/v1/messages/count_tokens", body)
    assert (status, b"max_tokens" in data) == (400, True)


@pytest.mark.parametrize(
    "model",
    [
        "cohere/rerank-v4.0-pro",
        "together/Salesforce/Llama-Rank-v1",
        "dashscope/qwen3-rerank",
        "fireworks/fireworks/qwen3-reranker-8b",
        "openrouter/cohere/rerank-v3.5",
        "siliconflow/BAAI/bge-reranker-v2-m3",
        "vllm/BAAI/bge-reranker-v2-m3",
        "llama-cpp/reranker",
    ],
)
def test_turnout_reads_every_reranker(sandbox: Sandbox, model: str) -> None:
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0) as router:
        ranked = router.rerank(RerankRequest(ModelConfig.parse(model), "frozen points", DOCUMENTS))
    assert ranked.documents[0].index == 1
    assert len(ranked.documents) == 3


@pytest.mark.parametrize("body", [{"query": ""}, {"documents": []}, {"documents": [5]}, {"documents": "one"}])
def test_a_wrong_request_to_rerank_is_rejected(ask: Ask, body: Any) -> None:
    right = {"model": "rerank-v4.0-pro", "query": "points", "documents": DOCUMENTS}
    assert ask("cohere", "/v2/rerank", {**right, **body})[0] == 400


@pytest.mark.parametrize("model", ["openai/gpt-4o", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
def test_turnout_reads_every_count_of_tokens(sandbox: Sandbox, model: str) -> None:
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0) as router:
        request = ChatRequest(ModelConfig.parse(model), [Message.user("Hello, railways.")])
        assert router.count_tokens(request).prompt_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "provider", ["openai", "azure", "mistral", "together", "xai", "fireworks", "vllm", "dashscope"]
)
def test_a_request_may_have_several_choices(ask: Ask, provider: str, stream: bool) -> None:
    body = {"model": "some-model", "messages": HELLO, "n": 3, "stream": stream}
    status, _, data = ask(provider, "/chat/completions", body)
    assert status == 200, data
    wholes = events_of(data) if stream else [json.loads(data)]
    choices = [choice for whole in wholes for choice in whole["choices"]]
    assert {choice["index"] for choice in choices if choice.get("finish_reason")} == {0, 1, 2}
    assert len({whole["id"] for whole in wholes} - {""}) == 1


def test_usage_counts_all_choices(ask: Ask) -> None:
    def tokens(n: int) -> int:
        _, _, data = ask("openai", "/chat/completions", {"model": "gpt-4o", "messages": HELLO, "n": n})
        return int(json.loads(data)["usage"]["completion_tokens"])

    assert tokens(4) > 2 * tokens(1)


@pytest.mark.parametrize(("provider", "n", "status"), [("openai", 129, 400), ("openai", 0, 400), ("groq", 2, 400)])
def test_too_many_choices_are_rejected(ask: Ask, provider: str, n: int, status: int) -> None:
    assert ask(provider, "/chat/completions", {"model": "gpt-4o", "messages": HELLO, "n": n})[0] == status


@pytest.mark.parametrize(("alt", "read"), [("?alt=sse", events_of), ("", json.loads)])
def test_gemini_returns_several_candidates(ask: Ask, alt: str, read: Callable[[bytes], Any]) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}], "generationConfig": {"candidateCount": 2}}
    _, _, data = ask("gemini", f"/v1beta/models/gemini-2.5-flash:streamGenerateContent{alt}", body)
    candidates = [candidate for event in read(data) for candidate in event["candidates"]]
    assert {candidate["index"] for candidate in candidates if "finishReason" in candidate} == {0, 1}


@pytest.mark.parametrize(("provider", "path"), [("openai", "/models"), ("ollama", "/api/tags"), ("groq", "/models")])
def test_head_has_the_fields_of_get_and_no_body(sandbox: Sandbox, ask: Ask, provider: str, path: str) -> None:
    _, whole, body = ask(provider, path)
    status, headers, data = ask(provider, path, method="HEAD")
    assert (status, data) == (200, b"")
    assert headers["content-length"] == whole["content-length"] == str(len(body))
    assert [request.method for request in sandbox.requests] == ["GET", "HEAD"]


def test_ollama_generates(ask: Ask) -> None:
    _, _, data = ask("ollama", "/api/generate", {"model": "qwen3:8b", "prompt": "Hello.", "think": True})
    lines = [json.loads(line) for line in data.splitlines()]
    assert "".join(line["response"] for line in lines)
    assert "".join(line.get("thinking", "") for line in lines)
    assert (lines[-1]["done"], lines[-1]["done_reason"], lines[-1]["eval_count"] > 0) == (True, "stop", True)
    _, _, data = ask("ollama", "/api/generate", {"model": "qwen3:8b"})
    assert json.loads(data)["done_reason"] == "load"


def test_ollama_shows_a_model(ask: Ask) -> None:
    shown = json.loads(ask("ollama", "/api/show", {"model": "nomic-embed-text:latest"})[2])
    assert shown["capabilities"] == ["embedding"]
    assert ask("ollama", "/api/show", {"model": "no-such-model"})[0] == 404


def test_a_provider_reads_both_sets_of_variables(sandbox: Sandbox) -> None:
    environ = {**sandbox.sdk_environ(), **sandbox.environ()}
    with Router.from_env(environ=environ, dotenv=None, max_retries=0) as router:
        for model in ("groq/llama-3.3-70b-versatile", "bedrock/amazon.nova-lite-v1:0", "together/some-model"):
            assert router.chat(ChatRequest(ModelConfig.parse(model), [Message.user("Hello.")])).text
