"""What Gemini's models are asked differently from one another, and at Vertex AI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import CapabilityUnsupported
from turnout.http import HttpRequest
from turnout.messages import File, Image, Message, Part, Role, Text, ToolCall
from turnout.providers import create


def body(model_id: str, *messages: Message, **settings: Any) -> Any:
    request = ChatRequest(ModelConfig("gemini", model_id, **settings), messages or [Message.user("x")])
    return json.loads(create("gemini", api_key="k").chat(request).request.body)


def test_vertex_embeds_with_the_method_that_the_model_knows() -> None:
    provider = create("gemini", vertex_project="proj", access_token="tok")

    def embed(model_id: str, *texts: str, **options: Any) -> tuple[str, Any]:
        asked = provider.embed(EmbeddingRequest(ModelConfig("p", model_id), texts, **options)).request
        return asked.url.rpartition("/")[2], json.loads(asked.body)

    first, second = ({"content": {"parts": [{"text": text}]}} for text in "ab")
    assert embed("gemini-embedding-2", "a") == ("gemini-embedding-2:embedContent", first)
    assert embed("gemini-embedding-2", "a", "b") == (
        "gemini-embedding-2:batchEmbedContents",
        {"requests": [first, second]},
    )
    config = {"embedContentConfig": {"taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 3}}
    assert embed("gemini-embedding-001", "a", purpose="document", dimensions=3)[1] == first | config
    assert embed("text-embedding-005", "a", "b")[0] == "text-embedding-005:predict"
    assert embed("multilingual-e5-small-maas", "a")[0] == "multilingual-e5-small-maas:embedContent"
    with pytest.raises(CapabilityUnsupported, match="one text at a time"):
        embed("multilingual-e5-small-maas", "a", "b")


@pytest.mark.parametrize(
    ("model_id", "effort", "sent"),
    [
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24_576}),
        ("gemini-2.5-flash-lite", "xhigh", {"thinkingBudget": 24_576}),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32_768}),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3.1-pro", "minimal", {"thinkingLevel": "LOW"}),
        ("models/gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL"}),
    ],
)
def test_an_effort_stays_within_what_the_model_knows(model_id: str, effort: str, sent: dict[str, Any]) -> None:
    said = body(model_id, reasoning_effort=effort)["generationConfig"]["thinkingConfig"]
    assert said == {**sent, "includeThoughts": True}


@pytest.mark.parametrize(
    ("model_id", "wanted"),
    [
        ("gemini-2.5-pro", False),
        ("gemini-3-flash-preview", True),
        ("gemini-flash-latest", True),
        ("models/gemini-flash-lite-latest", True),
        ("gemini-4-pro", True),
    ],
)
def test_a_call_of_another_model_has_a_signature_where_one_must_be(model_id: str, wanted: bool) -> None:
    call = ToolCall(id="c", name="weather", arguments="{}")
    turn = Message(Role.ASSISTANT, (), tool_calls=[call])
    sent = body(model_id, Message.user("x"), turn, Message.tool(call, "rain"))["contents"][1]["parts"][0]
    assert ("thoughtSignature" in sent) is wanted


def test_a_conversation_begins_with_the_user() -> None:
    turn = Message(Role.ASSISTANT, (Text("Hello, who is there?"),))
    contents = body("gemini-2.5-flash", turn, Message.user("me"))["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert contents[0]["parts"] == [{"text": " "}]


@pytest.mark.parametrize(
    ("part", "media_type"),
    [
        (Image("https://example.com/a/Photo.JPG?width=3"), "image/jpeg"),
        (Image("gs://bucket/a.webp"), "image/webp"),
        (File(url="https://example.com/paper.pdf#page=2"), "application/pdf"),
        (Image("https://example.com/a.png", media_type="image/webp"), "image/webp"),
        (File(url="https://www.youtube.com/watch?v=a.png"), None),
        (File(file_id="https://generativelanguage.googleapis.com/v1beta/files/abc"), None),
    ],
)
def test_a_reference_has_the_type_that_its_name_tells(part: Part, media_type: str | None) -> None:
    sent = body("gemini-2.5-flash", Message.user(part))["contents"][0]["parts"][0]["fileData"]
    assert sent.get("mimeType") == media_type


def test_a_tool_s_result_holds_an_image_from_the_third_generation_on() -> None:
    call = ToolCall(id="c", name="look", arguments="{}")
    seen = Image(data=b"x", media_type="image/png")
    result = Message(Role.TOOL, (Text("seen"), seen), tool_call_id="c")
    turn = Message(Role.ASSISTANT, (), tool_calls=[call])
    sent = body("gemini-3-flash-preview", Message.user("x"), turn, result)["contents"][2]["parts"][0]
    assert sent["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]
    *_, older, media = body("gemini-2.5-flash", Message.user("x"), turn, result)["contents"]
    assert older["parts"] == [{"functionResponse": {"name": "look", "response": {"output": "seen"}}}]
    # Beside a result the model would misread it, so it is a turn alone.
    assert media["role"] == "user"
    assert media["parts"][1:] == [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]


def _hello(**settings: Any) -> HttpRequest:
    made = create("gemini", **settings)
    return made.chat(ChatRequest(ModelConfig("gemini", "gemini-4-argon"), [Message.user("x")])).request


def test_vertex_ai_takes_a_key_of_its_express_mode() -> None:
    request = _hello(vertex=True, api_key="express-key")
    assert request.url == (
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/gemini-4-argon:generateContent"
    )
    assert request.headers.get("x-goog-api-key") == "express-key"
    assert request.headers.get("authorization") is None
    assert create("gemini", vertex=True).missing_env == ("GEMINI_API_KEY",)
    assert create("gemini", vertex=True, api_key="k").missing_env == ()


def test_vertex_ai_takes_a_key_for_a_project() -> None:
    request = _hello(vertex_project="p", vertex_location="europe-west4", api_key="bound-key")
    assert request.url.startswith(
        "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4/publishers/google/"
    )
    assert request.headers.get("x-goog-api-key") == "bound-key"


def test_a_token_is_of_a_project_and_goes_before_a_key() -> None:
    request = _hello(vertex_project="p", access_token="tok", api_key="k")
    assert request.headers.get("authorization") == "Bearer tok"
    assert request.headers.get("x-goog-api-key") is None


def test_without_vertex_a_key_is_one_of_ai_studio() -> None:
    assert _hello(api_key="k").url.startswith("https://generativelanguage.googleapis.com/v1beta/models/")
    assert _hello(api_key="k", vertex="false").url.startswith("https://generativelanguage.googleapis.com/")
