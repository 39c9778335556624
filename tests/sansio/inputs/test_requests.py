"""Settings as keywords: they reach the model and every fallback, and an unknown one is refused with the right name."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import turnout
from turnout import ChatRequest, ChatResponse, EmbeddingRequest, Message, ModelConfig, RerankRequest, Usage
from turnout.inputs.requests import chat_request, embedding_request, rerank_request

MODEL = "openai/gpt-4o-mini"
REQUEST = ChatRequest(MODEL, "hi", temperature=0.2, metadata={"job": "7"})


def chat(*given: Any, **settings: Any) -> ChatRequest:
    return chat_request("chat", given, settings)


def test_settings_hold_for_the_model_and_its_fallbacks() -> None:
    request = ChatRequest(MODEL, "hi", fallbacks=[ModelConfig("groq", "m", temperature=1)], temperature=0.2, stop="END")
    assert [model.temperature for model in (request.model, *request.fallbacks)] == [0.2, 0.2]
    assert request.fallbacks[0].stop == ("END",)


@pytest.mark.parametrize(
    "request_",
    [
        chat(MODEL, "hi", temperature=0.2),
        chat(MODEL, [{"role": "user", "content": "hi"}], temperature=0.2),
        chat(MODEL, [Message.user("hi")], temperature=0.2),
        chat(model=MODEL, messages="hi", temperature=0.2),
        chat("hi", model=MODEL, temperature=0.2),
        chat(MODEL, messages="hi", temperature=0.2),
        chat({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2}),
        chat(ModelConfig("openai", "gpt-4o-mini", temperature=0.2), "hi"),
        chat(request=ChatRequest(MODEL, "hi"), temperature=0.2),
    ],
)
def test_every_spelling_makes_the_same_request(request_: ChatRequest) -> None:
    assert request_ == ChatRequest(ModelConfig("openai", "gpt-4o-mini", temperature=0.2), [Message.user("hi")])


def test_keywords_change_a_request() -> None:
    changed = chat(REQUEST, temperature=0.9, metadata={"user": "ada"}, fallbacks=["groq/m"])
    assert (changed.model.temperature, changed.fallbacks[0].temperature) == (0.9, 0.9)
    assert changed.metadata == {"job": "7", "user": "ada"}
    assert changed.messages is REQUEST.messages
    assert chat(REQUEST) is REQUEST
    assert REQUEST.model.temperature == 0.2


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"time_out": 1}, "did you mean 'timeout'"),
        ({"max_completion_tokens": 5}, "write max_tokens"),
        ({"stream": True}, r"router.stream\("),
        ({"n": 2}, "one answer"),
        ({"extra_body": {}}, r"write extra=\{'openai': "),
        ({"store": True}, r"write extra=\{'openai': \{'store': …\}\}"),
        ({"logit_bias": {}}, r"write extra=\{'openai': \{'logit_bias': "),
        ({"max_retries": 5}, "Policy"),
        ({"api_key": "sk-secret"}, "api_keys="),
        ({"frobnicate": 1}, r"extra=\{'openai': \{'frobnicate'"),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_right_one(settings: Any, problem: str) -> None:
    makers: list[Callable[..., ChatRequest]] = [chat, ChatRequest]
    for make in makers:
        with pytest.raises(TypeError, match=problem) as caught:
            make(MODEL, "hi", **settings)
        assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "settings", "problem"),
    [
        ((), {}, "model and messages"),
        (("hi",), {}, "messages is missing: write router.chat"),
        ((MODEL, "hi", "x"), {}, "by position"),
        ((REQUEST, "hi"), {}, "either a ChatRequest"),
        ((REQUEST,), {"model": MODEL, "messages": "hi"}, "either a ChatRequest"),
        ((MODEL, "hi"), {"model": MODEL}, "'model' twice"),
    ],
)
def test_what_is_missing_is_named(given: tuple[Any, ...], settings: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        chat(*given, **settings)


def test_embeddings_and_rerankings_take_keywords() -> None:
    request = embedding_request(("openai/e", ["a"]), {"dimensions": 5, "extra": {"user": "x"}})
    assert request == EmbeddingRequest(ModelConfig("openai", "e", extra={"user": "x"}), ["a"], dimensions=5)
    assert embedding_request((request,), {"dimensions": 7}) == attrs.evolve(request, dimensions=7)
    assert embedding_request((), {"model": "openai/e", "input": "a"}) == EmbeddingRequest("openai/e", "a")
    ranked = rerank_request(("cohere/r", "q", ["a", "b"]), {"top_n": 1})
    assert ranked == RerankRequest("cohere/r", "q", ["a", "b"], top_n=1)
    with pytest.raises(TypeError, match="did you mean 'dimensions'"):
        embedding_request(("openai/e", "a"), {"dimension": 5})
    with pytest.raises(TypeError, match="input is missing"):
        embedding_request(("openai/e",), {})


def test_a_request_is_equal_after_pickle_and_copy() -> None:
    for again in (pickle.loads(pickle.dumps(REQUEST)), copy.deepcopy(REQUEST), attrs.evolve(REQUEST)):
        assert again == REQUEST


@pytest.mark.parametrize("name", ["completion", "Router", "OpenAI", "create"])
def test_a_name_that_is_elsewhere_is_named(name: str) -> None:
    with pytest.raises(AttributeError, match="import"):
        getattr(turnout, name)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    assert not hasattr(turnout, "frobnicate")
    assert not hasattr(turnout, "__wrapped__")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("choices", "reply.text"), ("content", "reply.text"), ("id", "response_id"), ("model_dump", "to_dict")],
)
def test_the_attributes_of_other_libraries_are_named(name: str, advice: str) -> None:
    reply = ChatResponse(message=Message.assistant("hi"), model=ModelConfig("p", "m"))
    with pytest.raises(AttributeError, match=advice):
        getattr(reply, name)
    with pytest.raises((AttributeError, KeyError), match=advice):
        reply[name]
    with pytest.raises(AttributeError, match="prompt_tokens"):
        Usage().input_tokens  # type: ignore[attr-defined]  # noqa: B018 - what is tested
