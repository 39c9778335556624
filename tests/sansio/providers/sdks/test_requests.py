"""Any conversation, with any settings, is a request that the vendor's own SDK has the types for."""

from __future__ import annotations

import json
from typing import Any

import openai.types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mistralai.client import models as mistral
from ollama import _types as ollama
from pydantic import BaseModel, TypeAdapter

from tests.sansio.providers.playing import ARGUMENTS, TEXT
from tests.sansio.providers.sdks.types import TAKEN, dumped, plain
from turnout.chat import ChatRequest, ModelConfig, ResponseFormat
from turnout.embeddings import EmbeddingRequest
from turnout.messages import Audio, File, Image, Message, Part, Role, Text, Tool, ToolCall, ToolChoice
from turnout.providers import create

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
TOOLS = (Tool("weather", "The weather.", SCHEMA), Tool("clock", "The time."))
MODELS = {
    "openai": "gpt-4o-mini",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-large-latest",
    "ollama": "llama3.2",
    "gemini": "gemini-2.5-flash",
}
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 40),
        "max_tokens": st.integers(1, 4096),
        "stop": st.lists(TEXT, min_size=1, max_size=4),
        "seed": st.integers(0, 2**31),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "logprobs": st.integers(0, 5),
    },
)
WORDS: st.SearchStrategy[Part] = st.builds(Text, TEXT)
IMAGES: st.SearchStrategy[Part] = st.sampled_from(
    [Image(data=b"png", media_type="image/png"), Image("data:image/jpeg;base64,anBn", detail="low")]
)
CALLS = st.lists(st.tuples(st.sampled_from(["weather", "clock"]), ARGUMENTS), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    first = draw(st.sampled_from([None, Role.SYSTEM, Role.DEVELOPER]))
    turns: list[Message] = [Message(first, "Be brief.")] if first is not None else []
    for round in range(draw(st.integers(1, 3))):
        turns.append(Message.user(*draw(st.lists(WORDS | IMAGES, min_size=1, max_size=3))))
        calls = [
            ToolCall(f"call{round}x{place}", name, json.dumps(arguments))
            for place, (name, arguments) in enumerate(draw(CALLS))
        ]
        if calls:
            turns.append(Message.assistant(draw(st.none() | TEXT), tool_calls=calls))
            turns += [Message.tool(call, draw(TEXT | st.just('{"degrees": 12}'))) for call in calls]
        turns.append(Message.assistant(draw(TEXT)))
    return (*turns, Message.user("Go on."))


def body_of(request: ChatRequest, *, stream: bool = False) -> dict[str, Any]:
    provider = create(request.model.provider, api_key="k", unsupported="drop")
    sent: dict[str, Any] = json.loads((provider.stream if stream else provider.chat)(request).request.body)
    return sent


def assert_taken(request: ChatRequest, *, stream: bool = False) -> None:
    body = body_of(request, stream=stream)
    assert TAKEN[request.model.provider](body) == body


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(TAKEN))
@given(conversations(), SETTINGS, st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_conversation_with_any_settings(
    name: str, turns: tuple[Message, ...], model: dict[str, Any], stream: bool
) -> None:
    assert_taken(ChatRequest(ModelConfig(name, MODELS[name], **model), turns, tools=TOOLS), stream=stream)


@pytest.mark.parametrize("name", sorted(TAKEN))
@pytest.mark.parametrize("choice", ["auto", "none", "required", "named"])
def test_every_tool_choice(name: str, choice: str) -> None:
    if name == "ollama" and choice in ("required", "named"):
        return  # it has no word for them, and says so
    wanted = ToolChoice.named("weather") if choice == "named" else ToolChoice(choice)  # type: ignore[arg-type]  # one of them
    parallel = None if name in ("ollama", "gemini") else False
    request = ChatRequest(
        ModelConfig(name, MODELS[name]), "Hi", tools=TOOLS, tool_choice=wanted, parallel_tool_calls=parallel
    )
    assert_taken(request)
    assert body_of(request) != body_of(ChatRequest(request.model, "Hi", tools=TOOLS)) or name == "ollama"


@pytest.mark.parametrize("name", sorted(TAKEN))
@pytest.mark.parametrize("wanted", [ResponseFormat.json(), ResponseFormat(SCHEMA, name="place", description="A place")])
def test_structured_answers(name: str, wanted: ResponseFormat) -> None:
    assert_taken(ChatRequest(ModelConfig(name, MODELS[name]), "Hi", response_format=wanted))


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("openai", "gpt-5.1"),
        ("groq", "openai/gpt-oss-120b"),
        ("mistral", "magistral-medium-latest"),
        ("ollama", "gpt-oss:20b"),
        ("ollama", "qwen3"),
        ("gemini", "gemini-2.5-flash"),
        ("gemini", "gemini-3-pro"),
    ],
)
@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_every_effort(name: str, model_id: str, effort: str) -> None:
    request = ChatRequest(ModelConfig(name, model_id, reasoning_effort=effort), "Hi")
    assert_taken(request)


@pytest.mark.parametrize("name", ["openai", "gemini"])
@pytest.mark.parametrize(
    "part",
    [
        Audio(data=b"wav", media_type="audio/wav"),
        File(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
        File(file_id="files/1"),
        Image("https://x.test/a.png"),
    ],
)
def test_sound_and_documents(name: str, part: Part) -> None:
    assert_taken(ChatRequest(ModelConfig(name, MODELS[name]), [Message.user("Look:", part)]))


EMBEDDINGS: dict[str, TypeAdapter[Any]] = {
    "openai": TypeAdapter(openai.types.EmbeddingCreateParams),
    "mistral": TypeAdapter(mistral.EmbeddingRequest),
    "ollama": TypeAdapter(ollama.EmbedRequest),
}


@pytest.mark.parametrize("name", sorted(EMBEDDINGS))
@pytest.mark.parametrize("dimensions", [None, 256])
def test_texts_to_embed(name: str, dimensions: int | None) -> None:
    request = EmbeddingRequest(ModelConfig(name, "e"), ["a", "b"], dimensions=dimensions)
    body = json.loads(create(name, api_key="k").embed(request).request.body)
    taken = EMBEDDINGS[name].validate_python(body)
    assert (dumped(taken) if isinstance(taken, BaseModel) else plain(taken)) == body
