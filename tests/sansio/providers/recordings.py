"""Real exchanges with providers, and what a correct client reports of each: the comparison, for tests and benchmarks.

The recordings are no part of the project. They are looked for in TURNOUT_RECORDINGS, then in ../shared/recordings.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from turnout import errors
from turnout.chat import ChatRequest, ChatResponse, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.events import Event
from turnout.messages import Commentary, Message, Text, ToolCall
from turnout.providers import CATALOG, create
from turnout.providers.protocol import Exchange, ModelPage, Provider
from turnout.redaction import escape_controls

ROOT = Path(os.environ.get("TURNOUT_RECORDINGS") or Path(__file__).resolve().parents[4] / "shared" / "recordings")

# The catalog's provider for a recording: by its API where that is a dialect of its own, else by its folder.
BY_API = {
    "gemini": "gemini",
    "gemini-embed": "gemini",
    "ollama.chat": "ollama",
    "ollama.generate": "ollama",
    "messages": "anthropic",
    "cohere.chat": "cohere",
    "converse": "bedrock",
}
BY_FOLDER = {
    "openai": "openai",
    "groq": "groq",
    "cerebras": "cerebras",
    "glm": "glm4",
    "cohere": "cohere",
    "openrouter": "openrouter",
    "gemini": "gemini",
    "ollama": "ollama",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "azure": "azure",
    "xai": "xai",
    "together": "together",
}

# The beginning of a stream of the Responses API.
_FIRST_EVENT = b"event: response.created\n"

CLASSES = {
    "content_filter": errors.ContentFiltered,
    "context_length": errors.ContextLengthExceeded,
    "authentication": errors.AuthenticationFailed,
    "quota": errors.QuotaExceeded,
    "not_found": errors.NotFound,
    "rate_limit": errors.RateLimited,
    "permission": errors.PermissionDenied,
    "overloaded": errors.Overloaded,
    "server": errors.ServerError,
    "invalid_request": errors.InvalidRequest,
    "unknown": errors.ProviderError,
}


@attrs.frozen
class Recording:
    """One recorded exchange with the line that says what it means."""

    path: str
    expected: dict[str, Any]

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((ROOT / self.path).read_text("utf-8"))
        return document

    @property
    def kind(self) -> str:
        return str(self.expected["kind"])

    @property
    def outcome(self) -> str:
        """What it comes to; of one whose surface is not asked for, what it would come to."""
        skipped = re.search(r"would be outcome ([a-z-]+)", self.expected["note"])
        return skipped[1] if skipped else str(self.expected["outcome"])

    @property
    def api(self) -> str:
        return str(self.expected["api"])

    @property
    def folder(self) -> str:
        return str(self.expected["provider"])

    @property
    def body(self) -> bytes:
        response = self.content["response"]
        if "body_base64" in response:
            return base64.b64decode(response["body_base64"])
        body = str(response.get("body_text") or "").encode()
        # Two files hold the answers to four requests, one behind the other; what is expected is of the last of them.
        return body[max(body.rfind(_FIRST_EVENT), 0) :] if self.api == "responses" else body

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.content["response"]["headers"].items()]

    def alternatives(self, field: str) -> list[Any]:
        found = [re.match(r"alt\(([a-z_.]+)\)=(.*)$", note) for note in self.expected["note"].split(" | ")]
        return [json.loads(match[2]) for match in found if match and match[1] == field]


@attrs.frozen
class Seen:
    """What a client made of a recording: what the whole and every split of it must agree on."""

    events: tuple[Any, ...]
    result: Any
    failure: errors.TurnoutError | None

    def agreed(self) -> Any:
        failure = self.failure
        told = (type(failure).__name__, str(failure)) if failure is not None else None
        result = attrs.evolve(self.result, raw=None) if isinstance(self.result, ChatResponse) else self.result
        return self.events, result, told


def recordings() -> Iterator[Recording]:
    """Yield every recording. The lines of `expected-changes.jsonl` replace those of the same path."""
    expectations: dict[str, dict[str, Any]] = {}
    for name in ("expected.jsonl", "expected-changes.jsonl"):
        file = ROOT / name
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        expectations |= {expected["path"]: expected for expected in map(json.loads, lines)}
    for path, expected in expectations.items():
        yield Recording(path, expected)


def provider_of(recording: Recording) -> Provider | None:
    """The provider that reads this recording; None where its dialect is not there."""
    name = None
    if recording.api in ("chat.completions", "embeddings", "models"):
        name = BY_FOLDER.get(recording.folder, "openai-compatible")
        # Gemini and Ollama have an OpenAI-shaped skin beside their own dialects.
        own = "/v1beta/models" if name == "gemini" else "/api/"
        if name in ("gemini", "ollama") and own not in str(recording.content["request"]["url"]):
            name = "openai-compatible"
    if recording.api == "responses":
        name = BY_FOLDER.get(recording.folder, "openai-compatible")
        return create(name, api_key="k-not-a-key", api="responses")
    name = BY_API.get(recording.api, name)
    if recording.expected["outcome"] == "skip" or name is None:
        return None
    return create(name, api_key="k-not-a-key") if name in CATALOG else None


def exchange_of(recording: Recording, provider: Provider) -> Exchange[Any]:
    model = ModelConfig(provider.name, "recorded-model")
    kind = recording.kind
    if kind == "error":
        path = str(recording.content["request"]["url"])
        kind = "embedding" if "mbed" in path else "chat"
        body = recording.content["request"].get("body")
        if kind == "chat" and (("stream" in path) or (isinstance(body, dict) and body.get("stream"))):
            kind = "stream"
    if kind == "embedding":
        count = (recording.expected["embeddings"] or {}).get("count", 1)
        return provider.embed(EmbeddingRequest(model, ["text"] * count))
    if kind == "models":
        return provider.models()
    request = ChatRequest(model, (Message.user("hello"),))
    return provider.stream(request) if kind == "stream" else provider.chat(request)


def cuts_of(size: int, how: str) -> list[int]:
    """Where to cut a body: not at all, at every byte, or at places drawn by the number after `random`."""
    if how == "whole":
        return []
    if how == "bytes":
        return list(range(1, size))
    rng = random.Random(how)
    return sorted(rng.sample(range(1, size), min(size - 1, rng.randint(1, 12)))) if size > 1 else []


def play(recording: Recording, provider: Provider, how: str = "whole") -> Seen:
    exchange = exchange_of(recording, provider)
    body = recording.body
    exchange.receive_head(recording.content["response"]["status"], recording.headers)
    events: list[Event] = []
    edges = [0, *cuts_of(len(body), how), len(body)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            events += exchange.receive_data(body[start:end])
    events += exchange.receive_end()
    try:
        result = exchange.result
    except errors.LocalProtocolError:
        result = None
    return Seen(tuple(events), result, exchange.failure)


def differences(recording: Recording, seen: Seen) -> list[str]:
    """How what was seen differs from what a correct client reports; nothing where it does not."""
    expected, failure, result = recording.expected, seen.failure, seen.result
    wrong: list[str] = []

    def compare(field: str, got: Any, want: Any) -> None:
        if got != want and got not in recording.alternatives(field):
            wrong.append(f"{field}: {got!r} is not {want!r}")

    outcome = recording.outcome
    if isinstance(failure, errors.StreamTruncated):
        compare("outcome", "truncated", outcome)
    elif failure is not None:
        compare("outcome", "stream-error" if _content(result) else "error", outcome)
        if outcome in ("ok", "truncated"):
            return [*wrong, f"failure: {failure}"]
        wrong += _error_differences(recording, failure)
    else:
        compare("outcome", "ok", outcome)
    if expected["embeddings"] is not None and isinstance(result, EmbeddingResponse):
        wrong += _vector_differences(expected["embeddings"], result)
    if expected["models"] is not None and isinstance(result, ModelPage):
        compare("models", len(result.models), expected["models"])
    if isinstance(result, ChatResponse):
        wrong += _chat_differences(recording, result, compare)
    return wrong


def _content(result: Any) -> bool:
    return isinstance(result, ChatResponse) and bool(result.text or result.reasoning or result.tool_calls)


def _chat_differences(recording: Recording, result: ChatResponse, compare: Any) -> list[str]:
    expected = recording.expected
    # The expectations count commentary as text.
    spoken = (part.text for part in result.message.content if isinstance(part, Text | Commentary))
    compare("text", "".join(spoken), expected["text"])
    compare("reasoning", result.reasoning, expected["reasoning"])
    calls = [_call(call) for call in result.tool_calls]
    wanted = [dict(call) for call in expected["tool_calls"]]
    for call, want in zip(calls, wanted, strict=False):
        if want["id"] is None:
            call["id"] = None
        if call["arguments"] in recording.alternatives("tool_calls.arguments"):
            call["arguments"] = want["arguments"]
    compare("tool_calls", calls, wanted)
    raw = expected["finish_raw"]
    compare("raw_finish_reason", result.raw_finish_reason, None if raw is None else str(raw))
    if expected["kind"] != "error":
        compare("finish", result.finish_reason.value, expected["finish"])
    usage: dict[str, int | None] = expected["usage"] or dict.fromkeys(("prompt", "completion", "cached", "reasoning"))
    got: dict[str, int | None] = {
        "prompt": result.usage.prompt_tokens,
        "completion": result.usage.completion_tokens,
        "cached": result.usage.cached_tokens,
        "reasoning": result.usage.reasoning_tokens,
    }
    for field, value in got.items():
        compare(f"usage.{field}", value, usage[field])
    return []


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments: Any = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments
    return {"id": call.id, "name": call.name, "arguments": arguments}


def _error_differences(recording: Recording, failure: errors.TurnoutError) -> list[str]:
    want = recording.expected["error"] or {}
    if not isinstance(failure, errors.ProviderError):
        return [f"error: {type(failure).__name__}: {failure}"]
    wrong = []
    kinds = [want.get("class"), *recording.alternatives("error.class"), *recording.alternatives("class")]
    if type(failure) not in {CLASSES[kind] for kind in kinds} and "unknown" not in kinds:
        wrong.append(f"error.class: {type(failure).__name__} is not {want.get('class')}")
    statuses = [want.get("status"), *recording.alternatives("error.status"), *recording.alternatives("status")]
    if failure.status not in statuses:
        wrong.append(f"error.status: {failure.status} is not {want.get('status')}")
    if escape_controls(want.get("message") or "") not in failure.message + failure.body:
        wrong.append(f"error.message: {failure.message!r} lacks {want.get('message')!r}")
    after = want.get("retry_after")
    if failure.retry_after != after and not (after and abs((failure.retry_after or 0) - after) < 0.01):
        wrong.append(f"error.retry_after: {failure.retry_after} is not {after}")
    return wrong


def _vector_differences(want: dict[str, Any], result: EmbeddingResponse) -> list[str]:
    wrong = []
    if (len(result.vectors), result.vectors.dimensions) != (want["count"], want["dimensions"]):
        wrong.append(f"embeddings: {result.vectors!r} is not {want['count']} × {want['dimensions']}")
    first = want["first"] if isinstance(want["first"], list) else [want["first"]]
    got = result.vectors[0].tolist()[: len(first)]
    if any(abs(a - b) > 1e-6 for a, b in zip(got, first, strict=True)):
        wrong.append(f"embeddings.first: {got} is not {first}")
    return wrong
