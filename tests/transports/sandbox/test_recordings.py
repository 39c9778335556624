"""The answers of the sandbox have the fields of recorded ones: none that was never seen, and all that are always there.

A shape is the set of paths in a JSON document with the type at each; entries of an array share a path. The recordings
are read where TURNOUT_RECORDINGS, or the folder beside the repository, has them.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
Shape = frozenset[tuple[str, str]]

BESIDE = pathlib.Path(__file__).resolve().parents[4] / "shared" / "recordings"
RECORDINGS = pathlib.Path(os.environ.get("TURNOUT_RECORDINGS", BESIDE))

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings of real traffic at hand")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FREE = ("args", "arguments", "input", "metadata")  # below these the content is the user's


def paths(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    yield path, kind
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in FREE:
                yield from paths(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from paths(part, f"{path}[]")


def shape(documents: list[Any]) -> Shape:
    return frozenset(pair for document in documents for pair in paths(document))


def documents(body: str) -> list[Any]:
    """Return the JSON documents of a body, for every framing of a stream; a whole body is one document."""
    text = body.strip()
    if text.startswith("["):
        return list(json.loads(text))
    if "data: " in text:
        lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in lines if line != "[DONE]"]
    if "\n{" in text and not text.startswith("{\n"):
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return [json.loads(text)]


@functools.cache
def recorded(provider: str, kind: str, api: str) -> tuple[Shape, ...]:
    """The shapes of the real exchanges of a kind. Edited ones and those with an error inside are left out."""
    found = []
    for file in sorted((RECORDINGS / provider).glob(f"{kind}-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        meta = record["meta"]
        usable = meta["fidelity"] in ("wire", "reserialised", "scrubbed") and "mid-stream-error" not in meta["features"]
        if usable and meta["api"] == api and record["response"].get("body_text"):
            found.append(shape(documents(record["response"]["body_text"])))
    assert found, f"no recording of {provider} {kind} {api}"
    return tuple(found)


def openai_body(*, stream: bool, tools: bool, thinking: dict[str, Any]) -> dict[str, Any]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "The weather in Oslo"}],
        "stream": stream,
        **thinking,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    if tools:
        body["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    return body


THINKING: dict[str, dict[str, Any]] = {
    "openai": {},
    "glm4": {"thinking": {"type": "enabled"}},
    "openrouter": {"reasoning": {"effort": "low"}},
    "cerebras": {"reasoning_effort": "low"},
    "groq": {"reasoning_effort": "low"},
}
FOLDERS = {"glm4": "glm"}


def both(ask: Ask, provider: str, path: str, make: Callable[[bool], dict[str, Any]]) -> Shape:
    """The shape of a text answer and of a tool call together."""
    found: list[Any] = []
    for tools in (False, True):
        status, _, data = ask(provider, path, make(tools))
        assert status == 200, data
        found += documents(data.decode())
    return shape(found)


def compare(mine: Shape, real: tuple[Shape, ...], known_gaps: frozenset[str] = frozenset()) -> None:
    """`known_gaps` are paths that the sandbox leaves out on purpose."""
    ever = frozenset().union(*real)
    always = frozenset.intersection(*real)
    invented = {pair for pair in mine - ever if pair[1] != "NoneType"}
    assert not invented, f"never seen in real traffic: {sorted(invented)}"
    missing = {path for path, _ in always} - {path for path, _ in mine} - known_gaps
    assert not missing, f"always there in real traffic: {sorted(missing)}"


@pytest.mark.parametrize("provider", THINKING)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "chat"])
def test_openai_shaped_answers(ask: Ask, provider: str, stream: bool) -> None:
    mine = both(
        ask,
        provider,
        "/chat/completions",
        lambda tools: openai_body(stream=stream, tools=tools, thinking=THINKING[provider]),
    )
    kind = "stream" if stream else "chat"
    compare(mine, recorded(FOLDERS.get(provider, provider), kind, "chat.completions"))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "chat"])
def test_gemini_answers(ask: Ask, stream: bool) -> None:
    def make(tools: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "The weather in Oslo"}]}]}
        body["generationConfig"] = {"thinkingConfig": {"includeThoughts": True}}
        if tools:
            body["tools"] = [{"functionDeclarations": [{"name": "get_weather", "parameters": SCHEMA}]}]
        return body

    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    mine = both(ask, "gemini", f"/v1beta/models/gemini-3-flash-preview:{method}", make)
    compare(mine, recorded("gemini", "stream" if stream else "chat", "gemini"))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "chat"])
def test_ollama_answers(ask: Ask, stream: bool) -> None:
    status, _, data = ask(
        "ollama", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    )
    assert status == 200
    compare(shape(documents(data.decode())), recorded("ollama", "stream" if stream else "chat", "ollama.chat"))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "chat"])
def test_anthropic_answers(ask: Ask, stream: bool) -> None:
    def make(tools: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "m", "max_tokens": 3000, "stream": stream}
        body["messages"] = [{"role": "user", "content": "The weather in Oslo"}]
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if tools:
            body["tools"] = [{"name": "get_weather", "input_schema": SCHEMA}]
        return body

    compare(
        both(ask, "anthropic", "/v1/messages", make), recorded("anthropic", "stream" if stream else "chat", "messages")
    )


@pytest.mark.parametrize(
    ("provider", "path", "body", "api"),
    [
        ("openai", "/embeddings", {"model": "text-embedding-3-small", "input": ["a"]}, "embeddings"),
        ("openrouter", "/embeddings", {"model": "openai/text-embedding-3-small", "input": ["a"]}, "embeddings"),
        (
            "gemini",
            "/v1beta/models/gemini-embedding-2:batchEmbedContents",
            {"requests": [{"model": "models/gemini-embedding-2", "content": {"parts": [{"text": "a"}]}}]},
            "gemini-embed",
        ),
    ],
)
def test_embeddings(ask: Ask, provider: str, path: str, body: dict[str, Any], api: str) -> None:
    status, _, data = ask(provider, path, body)
    assert status == 200
    compare(shape(documents(data.decode())), recorded(provider, "embedding", api))


@pytest.mark.parametrize(
    ("provider", "path"), [("gemini", "/v1beta/models"), ("openrouter", "/models")], ids=["gemini", "openrouter"]
)
def test_lists_of_models_have_what_every_real_entry_has(ask: Ask, provider: str, path: str) -> None:
    (real,) = recorded(provider, "models", "models")
    mine = shape(documents(ask(provider, path)[2].decode()))
    essential = (
        {".models[].name", ".models[].supportedGenerationMethods"}
        if provider == "gemini"
        else {".data[].id", ".data[].created"}
    )
    assert essential <= {name for name, _ in real}
    assert essential <= {name for name, _ in mine}


@pytest.mark.parametrize(
    ("provider", "wrong", "like"),
    [
        ("openai", {"model": "no-such-model"}, "404"),
        ("groq", {"model": "no-such-model"}, "404"),
        ("openrouter", {"key": ""}, "401"),
        ("openai", {"key": "sk-wrong-key-0001"}, "401"),
    ],
)
def test_errors_have_the_recorded_body(ask: Ask, provider: str, wrong: dict[str, str], like: str) -> None:
    body = {"model": wrong.get("model", "m"), "messages": [{"role": "user", "content": "x"}]}
    headers = (
        {"content-type": "application/json", "authorization": f"Bearer {wrong['key']}"} if "key" in wrong else None
    )
    status, _, data = ask(provider, "/chat/completions", body, headers=headers)
    real = []
    for file in sorted((RECORDINGS / provider).glob("error-chat-completions-*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if str(record["response"]["status"]) == like:
            real.append(json.loads(record["response"]["body_text"]))
    assert real
    assert str(status) == like
    mine = json.loads(data)
    assert any(set(mine["error"]) == set(other["error"]) for other in real)
    assert any(mine["error"].get("code") == other["error"].get("code") for other in real)
