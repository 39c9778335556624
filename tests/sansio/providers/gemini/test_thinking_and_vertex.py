"""The thinking budgets of Gemini, and its URLs and tokens at Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.http import HttpRequest
from turnout.messages import Message
from turnout.providers import create


def body(request: HttpRequest) -> Any:
    return json.loads(request.body)


def gemini(request: ChatRequest) -> Any:
    return body(create("gemini", api_key="k").chat(request).request)


@pytest.mark.parametrize(
    ("model_id", "effort", "sent"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-3-pro", "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-2.5-pro", "none", None),
        ("gemini-3-pro", "none", None),
    ],
)
def test_gemini_thinks_by_budget_or_level(model_id: str, effort: str, sent: dict[str, Any] | None) -> None:
    request = ChatRequest(ModelConfig("p", model_id, reasoning_effort=effort), [Message.user("x")])
    if sent is None:
        with pytest.raises(CapabilityUnsupported):
            gemini(request)
    else:
        assert gemini(request)["generationConfig"]["thinkingConfig"] == sent


def test_vertex_takes_a_token_and_a_project() -> None:
    request = ChatRequest(ModelConfig("p", "gemini-2.5-flash"), [Message.user("x")])
    provider = create("gemini", vertex_project="proj", vertex_location="europe-west1", access_token="tok")
    asked = provider.stream(request).request
    assert asked.url == (
        "https://europe-west1-aiplatform.googleapis.com/v1beta1/projects/proj/locations/europe-west1"
        "/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
    assert asked.headers.get("authorization") == "Bearer tok"
    assert provider.missing_env == ()
    lazy = create("gemini", vertex_project="proj", access_token=lambda: "fresh")
    asked = lazy.chat(request).request
    assert asked.headers.get("authorization") is None
    assert asked.auth is not None
    signed = asked.auth(asked)
    assert isinstance(signed, HttpRequest)
    assert signed.headers.get("authorization") == "Bearer fresh"
    assert asked.url.startswith("https://aiplatform.googleapis.com/")
    embedding = EmbeddingRequest(ModelConfig("p", "e"), ["a"], dimensions=3, purpose="query")
    sent = body(provider.embed(embedding).request)
    assert sent == {
        "instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}],
        "parameters": {"outputDimensionality": 3},
    }
    with pytest.raises(CapabilityUnsupported):
        provider.models()


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
    ],
)
def test_vertex_has_a_host_for_each_kind_of_location(location: str, host: str) -> None:
    provider = create("gemini", vertex_project="proj", vertex_location=location, access_token="tok")
    request = ChatRequest(ModelConfig("p", "gemini-2.5-flash"), [Message.user("x")])
    assert provider.chat(request).request.url.startswith(
        f"https://{host}/v1beta1/projects/proj/locations/{location}/publishers/"
    )
