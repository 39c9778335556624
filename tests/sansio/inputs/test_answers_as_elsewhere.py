"""Answers that are read as other libraries write it: it works, or the error names the right way."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ChatRequest, ChatResponse, EmbeddingResponse, Message, ModelConfig, Tool, ToolCall, ToolChoice
from turnout._utils.names import PROVIDER_NAMES, did_you_mean
from turnout.config.settings import Settings, SettingsError
from turnout.embeddings import Vectors
from turnout.errors import ProviderNotRegistered
from turnout.providers import CATALOG, create
from turnout.routing.tool_loop import ToolRound, ToolRun
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport

MODEL = "openai/gpt-4o-mini"
REPLY = ChatResponse(message=Message.assistant('{"name": "Crewe"}'), model=ModelConfig.parse(MODEL))
RUN = ToolRun((ToolRound(REPLY, ()),), (REPLY.message,))
CALL = ToolCall("call_1", "weather", '{"city": "Crewe"}')


@attrs.define
class Yard:
    name: str


@pytest.mark.parametrize("answer", [REPLY, RUN])
def test_parsed_without_a_call_names_the_class(answer: Any) -> None:
    with pytest.raises(AttributeError, match=r"parsed is a method: write reply\.parsed\(City\)\.name"):
        _ = answer.parsed.name
    with pytest.raises(TypeError, match=r"parsed is a method: write reply\.parsed\(City\)\['name'\]"):
        _ = answer.parsed["name"]
    assert "write reply.parsed(City)" in repr(answer.parsed)
    assert answer.parsed(Yard) == Yard("Crewe")


def test_arguments_of_a_call_are_read_with_a_call() -> None:
    arguments: Any = CALL.parsed
    with pytest.raises(TypeError, match=r"parsed is a method: write call\.parsed\(\)\['city'\]"):
        _ = arguments["city"]
    with pytest.raises(AttributeError, match=r"parsed is a method: write call\.parsed\(\)\.get"):
        _ = arguments.get
    assert CALL.parsed() == {"city": "Crewe"}


def test_parsed_stays_a_method_with_a_docstring() -> None:
    assert (ChatResponse.parsed.__doc__ or "").startswith("Return the text of the answer")
    assert (REPLY.parsed.__doc__ or "").startswith("Return the text of the answer")
    assert REPLY.parsed.__name__ == "parsed"
    assert pickle.loads(pickle.dumps(REPLY)) == copy.deepcopy(REPLY) == REPLY
    assert not hasattr(REPLY.parsed, "__array__")


def test_a_model_is_equal_to_its_name() -> None:
    assert REPLY.model == MODEL
    assert REPLY.model != "openai/gpt-4o"
    assert ModelConfig.parse(MODEL, temperature=0.2) == MODEL
    assert REPLY.model in (MODEL, MODEL)
    assert {MODEL: 1}[REPLY.model] == 1  # type: ignore[index]
    assert REPLY.model != ModelConfig.parse(MODEL, temperature=0.2)
    assert REPLY.model != 5


settings = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "seed": st.integers(0, 3),
        "stop": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "extra": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 2), max_size=2),
    },
)
names = st.sampled_from([MODEL, "openai/gpt-4o", "azure/gpt-4o-mini"])
models = st.builds(lambda name, fields: ModelConfig.parse(name, **fields), names, settings)


@pytest.mark.slow
@given(models, models, names)
def test_equal_models_have_one_hash(one: ModelConfig, other: ModelConfig, name: str) -> None:
    assert (one == other) == (attrs.astuple(one, recurse=False) == attrs.astuple(other, recurse=False))
    assert (one != other) == (not operator.eq(one, other))
    assert (one == name) == (str(one) == name)
    if one == other:
        assert hash(one) == hash(other)
    if one == name:
        assert hash(one) == hash(name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("shape", "vectors.dimensions"),
        ("to_list", "write vectors.tolist()"),
        ("numpy", "write numpy.asarray(vectors)"),
        ("embedding", "write vectors[0]"),
        ("values", "write vectors.tolist()"),
    ],
)
def test_vectors_name_what_arrays_of_other_libraries_have(name: str, advice: str) -> None:
    with pytest.raises(AttributeError, match=name) as caught:
        getattr(Vectors.of([[1.0, 2.0]]), name)
    assert advice in str(caught.value)


def test_an_item_of_an_answer_of_vectors_is_named() -> None:
    response: Any = EmbeddingResponse(vectors=Vectors.of([[1.0, 2.0]]), model=ModelConfig.parse(MODEL))
    with pytest.raises(TypeError, match=r"the vectors are response\.vectors"):
        _ = response[0]
    with pytest.raises(TypeError, match=r"the vectors are response\.vectors"):
        list(response)
    for name in ("vector", "data", "embeddings"):
        with pytest.raises(AttributeError, match=r"response\.vectors"):
            getattr(response, name)


@pytest.mark.parametrize(
    ("read", "advice"),
    [
        (lambda: REPLY.message["content"], "write message.text, or message.to_dict()['content']"),  # type: ignore[index]
        (lambda: list(REPLY.message), "write message.text"),  # type: ignore[call-overload]
        (lambda: CALL.function.name, "write call.name and call.arguments"),  # type: ignore[attr-defined]
        (lambda: CALL.input, "write call.parsed()"),  # type: ignore[attr-defined]
        (lambda: CALL.args, "write call.parsed()"),  # type: ignore[attr-defined]
        (lambda: CALL["function"], "write call.name and call.arguments"),  # type: ignore[index]
    ],
)
def test_messages_and_calls_name_their_own_fields(read: Any, advice: str) -> None:
    with pytest.raises((AttributeError, TypeError)) as caught:
        read()
    assert advice in str(caught.value)


@pytest.mark.parametrize("mode", ["any", "force", "tool", "always"])
def test_a_tool_choice_of_another_library_is_named(mode: str) -> None:
    with pytest.raises(ValueError, match=rf"names '{mode}', which is not among the tools; .*tool_choice='required'"):
        ChatRequest(MODEL, "hi", tools=[Tool("look")], tool_choice=mode)
    assert ChatRequest(MODEL, "hi", tools=[Tool(mode)], tool_choice=mode).tool_choice == ToolChoice.named(mode)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("key", "api_key"),
        ("token", "api_key"),
        ("endpoint", "base_url"),
        ("api_base", "base_url"),
        ("default_headers", "headers"),
        ("timeout", "Router.from_env(timeout=…)"),
        ("http_client", "Router(…, transport=…)"),
        ("model", "router.chat('openai/…', '…')"),
        ("base_ulr", "did you mean base_url"),
    ],
)
def test_a_setting_of_a_provider_elsewhere_is_named(name: str, advice: str) -> None:
    setting: dict[str, Any] = {name: "sk-secret"}
    with pytest.raises(ValueError, match=f"openai takes no setting named {name}") as caught:
        create("openai", **setting)
    assert advice in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ChatRequest(MODEL, "hi", extra="x"), "ModelConfig.extra must be a mapping such as"),  # type: ignore[arg-type]
        (lambda: ModelConfig("openai", "gpt-5", extra=5), "ModelConfig.extra must be a mapping such as"),  # type: ignore[arg-type]
        (lambda: Tool("f", parameters="x"), "Tool.parameters must be a JSON Schema, not str"),  # type: ignore[arg-type]
        (lambda: Tool("f", extra="x"), "extra must be a mapping such as"),  # type: ignore[arg-type]
        (lambda: Tool("f", {"type": "object"}), "write Tool('f', parameters={…})"),  # type: ignore[arg-type]
        (lambda: ToolCall("c", "f", {"a": 1}), "ToolCall.arguments must be JSON text"),  # type: ignore[arg-type]
    ],
)
def test_a_value_in_the_wrong_place_is_named_with_its_field(make: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert words in str(caught.value)


def test_an_unknown_effort_is_not_said_to_be_one_of_this_model() -> None:
    with pytest.raises(ValueError, match=r"max; a model knows some of them or none, and no model knows 'tiny'"):
        ModelConfig("openai", "gpt-4o-mini", reasoning_effort="tiny")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("google", "gemini"),
        ("vertex_ai", "gemini"),
        ("claude", "anthropic"),
        ("grok", "xai"),
        ("together_ai", "together"),
    ],
)
def test_a_provider_under_the_name_of_another_library_is_named(name: str, meant: str) -> None:
    providers = [create(provider, api_key="k", base_url="http://127.0.0.1:1") for provider in (meant, "groq")]
    with (
        Router(providers, transport=ScriptedTransport()) as router,
        pytest.raises(ProviderNotRegistered, match=f"did you mean {meant}/some-model\\?"),
    ):
        router.chat(f"{name}/some-model", "hi")
    with pytest.raises(ValueError, match=rf"did you mean create\('{meant}', …\)\?"):
        create(name)
    with pytest.raises(SettingsError, match=f"did you mean {meant}\\?"):
        Settings.from_mapping({"providers": {name: {"apiKey": "k"}}}, {})


def test_the_other_names_of_providers_are_of_the_catalog() -> None:
    assert set(PROVIDER_NAMES.values()) <= set(CATALOG)
    assert PROVIDER_NAMES.keys().isdisjoint(CATALOG)
    assert did_you_mean("google", ["openai"]) == "; known are openai"
